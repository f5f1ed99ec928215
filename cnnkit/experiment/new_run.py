"""A new run directory: nothing is overwritten, no two processes get the same, and it tells where it began."""

import contextlib
import functools
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from cnnkit.config.load import config_text
from cnnkit.config.schema import Config
from cnnkit.errors import UsageError
from cnnkit.experiment.latest import LATEST, point_latest_at
from cnnkit.experiment.run_dir import RunDir, resume_command
from cnnkit.filenames import CONFIG, ENVIRONMENT, LOCK, RUNS
from cnnkit.files import PART, write_atomically, write_json
from cnnkit.locks import alone_at
from cnnkit.own.sources import keep
from cnnkit.training.device import Placement
from cnnkit.version import __version__


def refuse_used(out: Path) -> None:
    """Raises UsageError where a folder already holds something; nothing is overwritten."""
    if out.absolute() == LATEST.absolute():
        raise UsageError(f"{out} is the name of the newest run; name another folder")
    if out.is_file():
        raise UsageError(f"{out} is a file; name a folder")
    if out.exists() and (not out.is_dir() or _holds_something(out)):
        going_on = (out / CONFIG).is_file() and not RunDir(out).failure
        raise UsageError(
            f"{out} is not empty, and nothing is overwritten; name another folder"
            + f", or go on with the run in it: {resume_command(out)}" * going_on
        )


def refuse_taken(out: Path) -> None:
    """Raises UsageError where a process trains into a folder, or it holds something; makes nothing."""
    if (out / LOCK).is_file():
        with alone_at(out, "run"):
            refuse_used(out)
    refuse_used(out)


def _holds_something(folder: Path) -> bool:
    """Whether there is more than a killed process leaves behind before it has written a file."""
    return any(path.name != LOCK and path.suffix != PART for path in folder.iterdir())


@contextlib.contextmanager
def new_run(config: Config, config_name: str, out: Path | None = None) -> Iterator[RunDir]:
    """What `create_run` makes, locked for the length of a `with` block, before anything is looked at."""
    if out is None:
        run = create_run(config, config_name)  # in a folder that no other process has made
        with alone_at(run.path, "run"):
            yield run
    else:
        with alone_at(out, "run"):
            yield create_run(config, config_name, out)


def create_run(config: Config, config_name: str, out: Path | None = None) -> RunDir:
    """A new run directory: `out`, or `runs/<config>-<strategy>-<time>`. `runs/latest` then names it.

    Raises UsageError where `out` already holds something.
    """
    if out is not None:
        refuse_used(out)
        out.mkdir(parents=True, exist_ok=True)
        path = out
    else:
        name = f"{config_name}-{config.model.strategy}-{time.strftime('%Y%m%d-%H%M%S')}"
        path = _new_folder(RUNS, name)
    keep(config.model.own_classes, path)
    write_atomically(path / CONFIG, config_text(config))
    point_latest_at(path)  # last: what it names opens
    return RunDir(path)


def _new_folder(parent: Path, name: str) -> Path:
    """Makes a folder that no other run has, even if two runs begin in the same second."""
    number = 1
    while True:
        path = parent / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            if parent.exists() and not parent.is_dir():
                raise
            number += 1
        else:
            return path


def write_environment(folder: Path, placement: Placement | None = None) -> None:
    """Keeps versions, device, git commit of the current folder and command line.

    placement: None where cnnkit does not train itself.
    """
    own = (
        {}
        if placement is None
        else {
            "torch": torch.__version__,
            "device": str(placement.device),
            "device_name": placement.name,
            "precision": placement.precision,
            "threads": placement.threads,
        }
    )
    environment = {
        "cnnkit": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": platform.platform(),
        **own,
        "git_commit": _git("rev-parse", "HEAD"),
        "git_changes": None if (changes := _git("status", "--porcelain")) is None else bool(changes),
        "command": ["cnnkit", *sys.argv[1:]] if sys.argv[0].endswith("__main__.py") else sys.argv,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    write_json(folder / ENVIRONMENT, environment)


@functools.cache  # else each trial would start two processes
def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
