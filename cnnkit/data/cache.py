"""What cnnkit keeps in its cache: prepared images, and locks. Only files that it names itself are touched."""

import contextlib
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from cnnkit.families.datasets import DATASETS
from cnnkit.filenames import LOCK_SUFFIX, PREPARED, WEIGHTS_SUFFIX, WHOLE


def _one_of(texts: Iterable[str]) -> str:
    """A pattern."""
    return f"({'|'.join(map(re.escape, texts))})"


ENDINGS = _one_of([*PREPARED, LOCK_SUFFIX])
FOLDERS = re.compile(rf"(folder-[0-9a-f]{{8}}-[0-9a-f]{{6}}-[0-9a-f]{{10}}){ENDINGS}")
SETS = re.compile(rf"({_one_of(DATASETS)}-([0-9a-f]{{8}}|bundled)){re.escape(WEIGHTS_SUFFIX)}")
HALF = "half prepared"
IN_USE = "in use by another process"


@dataclass(frozen=True)
class Kept:
    """The files of one source. source: a folder, or a data set's title. bytes: of all files.

    used: when one was last read or written, seconds since 1970, as far as the file system notes that.
    """

    source: str
    files: tuple[Path, ...]
    bytes: int
    used: float


def cached(folder: Path) -> list[Kept]:
    """What lies in `prepared/` of the cache folder, the largest first."""
    found: dict[str, dict[Path, os.stat_result]] = {}
    for path in sorted((folder / "prepared").glob("*")):
        known = FOLDERS.fullmatch(path.name) or SETS.fullmatch(path.name)
        with contextlib.suppress(FileNotFoundError):  # another process took it away meanwhile
            if known and stat.S_ISREG((told := path.lstat()).st_mode):
                found.setdefault(known[1], {})[path] = told
    return sorted((_kept(files) for files in found.values()), key=lambda kept: -kept.bytes)


def _kept(files: dict[Path, os.stat_result]) -> Kept:
    used = max(max(told.st_atime, told.st_mtime) for told in files.values())
    return Kept(_source([*files]), tuple(files), sum(told.st_size for told in files.values()), used)


def _source(files: list[Path]) -> str:
    first = files[0].name
    if known := SETS.fullmatch(first):
        return DATASETS[known[2]].title
    endings = {path.suffix for path in files}
    if endings == {LOCK_SUFFIX}:
        return "a lock"
    if WHOLE not in endings:
        return HALF
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        said = json.loads(next(p for p in files if p.suffix == WHOLE).read_text(encoding="utf-8"))
        return str(said["root"])
    return HALF


def clear(folder: Path) -> list[tuple[Kept, str]]:
    """Removes what `cached` finds; returns what is still there, with the reasons."""
    left = []
    for kept in cached(folder):
        try:
            with _locked(kept):
                for path in kept.files:
                    if path.suffix != LOCK_SUFFIX:
                        path.unlink(missing_ok=True)
            for path in kept.files:
                if path.suffix == LOCK_SUFFIX:
                    path.unlink(missing_ok=True)
        except Timeout:
            left.append((kept, IN_USE))
        except OSError as error:  # Windows: another process maps the file
            left.append((kept, f"{IN_USE}: {error.strerror}"))
    return left


@contextlib.contextmanager
def _locked(kept: Kept) -> Iterator[None]:
    """Raises Timeout where another process is preparing these images."""
    locks = [path for path in kept.files if path.suffix == LOCK_SUFFIX]
    if not locks:
        yield
        return
    with FileLock(locks[0], timeout=0):
        yield
