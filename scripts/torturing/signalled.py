"""Part signals: SIGINT, SIGTERM and SIGHUP, one or two, at any moment: an exit code, and it goes on."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

from torturing.going_on import Whole, go_on, whole_run, whole_study
from torturing.processes import TRACEBACK, Failure, Workshop, refuse_orphans
from torturing.samples import TRAIN, with_config
from torturing.tries import Attempt, Part

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
RUNS, STUDIES = 0.7, 0.2  # shares of the tries; in the others the signal comes as Python starts
EARLY = 0.06  # seconds after the start
OURS = re.compile(r"cnnkit/\w+\.py")


def prepare(workshop: Workshop) -> Attempt:
    def attempt(random: Random, folder: Path) -> str:
        with_config(folder)
        kind = random.random()
        if kind > RUNS + STUDIES:
            return _early(workshop, random, folder)
        whole = whole_run(workshop) if kind < RUNS else whole_study(workshop)
        numbers = _signal_at_ticks(workshop, random, folder, whole)
        return f"{go_on(workshop, folder, whole)} after {' and '.join(n.name for n in numbers)}"

    return attempt


def _signal_at_ticks(workshop: Workshop, random: Random, folder: Path, whole: Whole) -> list[signal.Signals]:
    numbers = random.choices(NUMBERS, k=random.choice((1, 1, 2)))
    first = random.choice((random.randint(1, whole.ticks), whole.ticks - random.randint(0, 5)))
    at: dict[int, list[int]] = {first: [numbers[0]]}
    for number in numbers[1:]:
        at.setdefault(first + random.choice((0, 1, random.randint(2, 30))), []).append(number)
    started = workshop.start(folder, *whole.command, signals=at)
    workshop.wait(started).check([0, *codes_of(numbers)])
    refuse_orphans(started)
    return numbers


def _early(workshop: Workshop, random: Random, folder: Path) -> str:
    """While Python itself starts. The moment is the clock's: a second try may differ."""
    number, seconds = random.choice(NUMBERS[:2]), random.uniform(0, EARLY)
    workshop.commands.append(f"# a new Python, {number.name} after {seconds * 1000:.1f} ms")
    process = subprocess.Popen(
        [sys.executable, "-m", "cnnkit", *TRAIN],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(seconds)
    process.send_signal(number)
    _, err = process.communicate()
    if TRACEBACK in err and not OURS.search(err):
        return "stopped before cnnkit began"  # Python's own traceback
    if process.returncode not in codes_of([number]) or TRACEBACK in err:
        raise Failure(f"exit {process.returncode} {seconds * 1000:.1f} ms after the start: {err[-300:]}")
    return "stopped as it started"


def codes_of(numbers: list[signal.Signals]) -> list[int]:
    """What a shell shows as 128 + number: the exit code itself, or death by the signal."""
    return [code for number in numbers for code in (128 + number, -number)]


PART = Part("signals", "Signals at any moment: an exit code, no traceback, and it goes on", prepare, 60)
