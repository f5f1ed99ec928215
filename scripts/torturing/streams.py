"""Part streams: output that is closed, full, slow, or read no further. Files are written."""

import os
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from torturing.processes import Workshop
from torturing.samples import RUN, VERIFY, finished_run, finished_study
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
    def attempt(random: Random, folder: Path) -> str:
        command, kind = random.choice(COMMANDS), random.choice(KINDS)
        made = finished_study(workshop) if command == VERIFY else finished_run(workshop)
        shutil.copytree(made, folder, dirs_exist_ok=True)
        streams = random.choice((("out",), ("out",), ("err",), ("out", "err")))
        workshop.commands.append(f"# std{' and std'.join(streams)}: {kind}")
        target = _target(folder, kind)
        options: dict[str, Any] = dict.fromkeys(streams, target)
        done = workshop.run(folder, *command, **options)
        lost = replace(done, err=done.err or "lost")  # its words may be
        lost.check(_codes(kind, "nothing" in command, "out" in streams))
        if kind == "closed" and done.code == 0 and not _written(folder, command):
            done.fail("the file is not written")
        return kind

    return attempt


def _codes(kind: str, wrong: bool, out: bool) -> tuple[int, ...]:
    """Exit codes that are right. wrong: the command line is. out: whether standard output is concerned."""
    if kind == "read no further":
        return (*BROKEN_PIPE, 2)
    if kind == "full":
        return (1, 2) if wrong else (1,) if out else (0, 1)
    return (2,) if wrong else (0,)


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
