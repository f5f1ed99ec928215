"""Part kills: SIGKILL at any moment; what goes on afterwards ends bit for bit as if nothing had happened."""

import os
import signal
import time
from pathlib import Path
from random import Random

from torturing.going_on import Whole, go_on, whole_run, whole_study
from torturing.processes import Started, Workshop, in_session, refuse_orphans
from torturing.samples import with_config
from torturing.tries import Attempt, Part

LONGEST = 60.0  # seconds until a comparison has got to where it is killed
WEIGHTS = (0.7, 0.15, 0.15)  # shares of the ways


def prepare(workshop: Workshop) -> Attempt:
    def attempt(random: Random, folder: Path) -> str:
        with_config(folder)
        make, kill = random.choices(WAYS, WEIGHTS)[0]
        whole = make(workshop)
        kill(workshop, random, folder, whole)
        return go_on(workshop, folder, whole)

    return attempt


def kill_at_ticks(workshop: Workshop, random: Random, folder: Path, whole: Whole) -> None:
    """Once, or a second time while it goes on."""
    for _ in range(random.randint(1, 2)):
        resuming = (folder / whole.holds).exists()
        command = whole.resume if resuming else whole.command
        tick = random.randint(1, whole.ticks)
        started = workshop.start(folder, *command, signals={tick: [signal.SIGKILL]})
        workshop.wait(started).check([-signal.SIGKILL, 0])  # 0: what was left had fewer ticks
        refuse_orphans(started)


def kill_by_progress(workshop: Workshop, random: Random, folder: Path, whole: Whole) -> None:
    """The command, or a process of its own, when its trials have kept a number of files."""
    files, worker = random.randint(0, 6 * len(whole.weights)), random.random() < 0.5
    workshop.commands.append(f"# SIGKILL of {'a worker' if worker else 'the command'} at {files} files")
    started = workshop.start(folder, *whole.command)
    deadline = time.monotonic() + LONGEST
    while _files(folder, whole) < files and time.monotonic() < deadline and _lives(started):
        time.sleep(0.005)
    others = sorted(pid for pid in in_session(started.pid) if pid != started.pid)
    if worker and others:
        os.kill(others[-1], signal.SIGKILL)
        workshop.wait(started).check([0, 1])  # a worker's trial is tried again
    else:
        started.signal(signal.SIGKILL)
        workshop.wait(started).check([-signal.SIGKILL, 0])
    refuse_orphans(started)


def _files(folder: Path, whole: Whole) -> int:
    return sum(path.suffix != ".part" for path in (folder / whole.home).glob("trials/*/*"))


def _lives(started: Started) -> bool:
    return started.pid in in_session(started.pid)


WAYS = ((whole_run, kill_at_ticks), (whole_study, kill_at_ticks), (whole_study, kill_by_progress))
PART = Part("kills", "SIGKILL at any moment: resumed, and bitwise the same", prepare, 60)
