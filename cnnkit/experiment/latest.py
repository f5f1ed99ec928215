"""`runs/latest`: a link to the run that was trained last, or a file that names it."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from cnnkit.errors import UsageError
from cnnkit.filenames import CONFIG, RUNS
from cnnkit.files import write_atomically

LATEST = RUNS / "latest"


def latest_run() -> Path:
    """The run that was trained last, wherever it lies; if it is gone, the newest one left in `runs/`.

    Raises UsageError where there is none.
    """
    named = _named()
    if named != LATEST and (named / CONFIG).is_file():
        here = Path.cwd().resolve()
        return named.relative_to(here) if named.is_relative_to(here) else named
    if left := [path.parent for path in RUNS.glob(f"*/{CONFIG}")]:
        return max(left, key=lambda run: (run / CONFIG).stat().st_mtime)
    gone = f"{LATEST} names {named}, which is gone, and " if named != LATEST else ""
    raise UsageError(
        f"{gone}there is no run in {RUNS} here yet; name a run, or train one: cnnkit train mnist"
    )


def _named() -> Path:
    """What `runs/latest` names; itself where there is none."""
    return Path(os.path.realpath(LATEST)) if LATEST.is_symlink() else followed(LATEST)


@contextlib.contextmanager
def latest_mended() -> Iterator[None]:
    """Where the block removes the run that `runs/latest` names, the newest that is left takes its place."""
    before = _named()
    there = before != LATEST and (before / CONFIG).is_file()
    try:
        yield
    finally:
        if there and not (before / CONFIG).is_file():
            LATEST.unlink(missing_ok=True)
            with contextlib.suppress(UsageError):  # there is none left
                point_latest_at(latest_run())


def followed(path: Path) -> Path:
    """What `runs/latest` names where it is a file, because links cannot be made; any other path as it is."""
    if path.name == LATEST.name and path.is_file():
        with contextlib.suppress(OSError, ValueError):
            return Path(path.read_text(encoding="utf-8").strip())
    return path


def point_latest_at(path: Path) -> None:
    """Makes `runs/latest` name a run, if there is a folder `runs`.

    It is a link, or where links cannot be made a file that holds the path.
    """
    if not RUNS.is_dir():
        return
    inside = path.parent.resolve() == RUNS.resolve()
    aside = RUNS / f".latest.{os.getpid()}"
    with contextlib.suppress(OSError):  # a folder that takes no files has no `latest`
        try:
            aside.symlink_to(path.name if inside else path.resolve())
            aside.replace(LATEST)
        except (OSError, NotImplementedError):
            aside.unlink(missing_ok=True)
            write_atomically(LATEST, str(path.resolve()))
