"""Part streams: output that is closed, full, slow, or read no further. No traceback, and files are written."""

import os
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path
from random import Random

from torturing.processes import Finished, Workshop
from torturing.samples import RUN, STUDY, VERIFY, finished_run, finished_study, with_config
from torturing.tries import Attempt, Part

BROKEN_PIPE = (0, 1, 141, -13)
FULL = "/dev/full"
KINDS = ("closed", "full", "slow", "read no further")
COMMANDS: tuple[tuple[str, ...], ...] = (
    *(("config", "list"), ("config", "show", "--config", "fast"), ("config", "keys"), ("config", "schema")),
    *(
        ("summary", "--config", "fast"),
        ("summary", "--config", "fast", "--json"),
        ("--help",),
        ("--version",),
    ),
    *(("eval", RUN), ("eval", RUN, "--json"), ("predict", RUN, "seven.png"), ("report", RUN), VERIFY),
    *(("train", "--config", "tiny.yaml", "--out", "N"), ("train", "--resume", RUN), ("data", "digits")),
    *(("report", "nothing"), ("config", "check", "nothing")),
)
WRITES = {"eval": f"{RUN}/eval-test.json", "report": f"{RUN}/report.html", "train": "N/result.json"}


def prepare(workshop: Workshop) -> Attempt:
    run, study = finished_run(workshop), finished_study(workshop)

    def attempt(random: Random, folder: Path) -> str:
        shutil.copytree(run, with_config(folder), dirs_exist_ok=True)
        shutil.copytree(study / STUDY, folder / STUDY)
        command, kind = random.choice(COMMANDS), random.choice(KINDS)
        of_err = random.random() < 0.35
        both = kind in ("closed", "full") and random.random() < 0.2
        workshop.commands.append(f"# {'both' if both else 'stderr' if of_err else 'stdout'} {kind}")
        target = _target(folder, kind)
        options = {"err" if of_err else "out": target, **({"err": target, "out": target} if both else {})}
        done = workshop.run(folder, *command, **options)
        wrong = "nothing" in command
        if kind == "read no further":
            done.check((*BROKEN_PIPE, 2) if wrong else BROKEN_PIPE)
        elif kind == "full":
            done = _with_words(done) if of_err or both else done
            done.check((1, 2, 0) if of_err else (2,) if wrong else (1,))
        else:
            (_with_words(done) if of_err or both else done).check((1, 2) if wrong else (0,))
        if kind == "closed" and not wrong and not _written(folder, command):
            done.fail("the file is not written")
        return kind

    return attempt


def _with_words(done: Finished) -> Finished:
    """As if it had told why: what it printed is lost."""
    return replace(done, err=done.err or "lost")


def _written(folder: Path, command: tuple[str, ...]) -> bool:
    name = WRITES.get(command[0])
    return name is None or "--resume" in command or (folder / name).is_file()


def _target(folder: Path, kind: str) -> str:
    """Where a stream goes: a name for `Workshop.start`."""
    if kind in ("closed", "full"):
        return FULL if kind == "full" else kind
    pipe = folder / ".pipe"
    os.mkfifo(pipe)
    threading.Thread(target=_read, args=(pipe, kind == "slow"), daemon=True).start()
    return str(pipe)


def _read(pipe: Path, slowly: bool) -> None:
    """All of it, 4 kB every 5 ms, or the first byte alone."""
    with pipe.open("rb", buffering=0) as stream:
        if not slowly:
            stream.read(1)
            return
        while stream.read(4096):
            time.sleep(0.005)


PART = Part("streams", "Output that is closed, full, slow or read no further", prepare, 80)
