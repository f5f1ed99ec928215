"""One process at a time at a folder. The system lifts the lock when its process ends, also by SIGKILL."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from cnnkit.errors import UsageError
from cnnkit.filenames import LOCK


@contextlib.contextmanager
def alone_at(folder: Path, what: str) -> Iterator[None]:
    """Holds the lock of a folder, which it makes, for the length of a `with` block.

    what: that the folder holds, for the message: "run" or "study". Raises UsageError where another process,
    or another thread of this one, holds the lock, and where something else lies in its place.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _refuse_odd(folder / LOCK)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UsageError(
            f"{_holder(folder)} is at the {what} in {folder}; wait until it has ended, or name another folder"
        ) from error
    try:
        with contextlib.suppress(OSError):  # a full disk; the number only serves the message
            (folder / LOCK).write_text(f"{os.getpid()}\n", encoding="ascii")
        yield
    finally:
        lock.release()


def _refuse_odd(path: Path) -> None:
    """Raises UsageError where a link, a folder or a pipe is in the place of the lock."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        kind = "a link" if path.is_symlink() else "a folder" if path.is_dir() else "no file"
        raise UsageError(f"{path} is {kind}; cnnkit keeps its lock there, in a file: remove it and try again")


def _holder(folder: Path) -> str:
    """Which process holds the lock; without its number where the file cannot be read (Windows)."""
    with contextlib.suppress(OSError, ValueError):
        return f"process {int((folder / LOCK).read_text(encoding='ascii'))}"
    return "another process"
