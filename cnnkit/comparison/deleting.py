"""Deletes runs and studies, and of each folder only what cnnkit has written into it."""

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from cnnkit import filenames as names
from cnnkit.comparison.kept_runs import is_kept, told_of_none
from cnnkit.errors import UsageError
from cnnkit.files import PART
from cnnkit.locks import alone_at


def _pattern(file: Callable[[str], str], part: str) -> str:
    """Matches the names that a function of `filenames` gives. part: matches what it is given."""
    return re.escape(file("PART")).replace("PART", part)


FOLDERS = (names.TRIALS, names.TUNING, names.OWN, names.EVENT_FILES)
FILES = (
    *(names.ENVIRONMENT, names.IMAGES, names.METRICS, names.BEST, names.LAST, names.STATE, names.TESTED),
    *(names.PREDICTIONS, names.MANIFEST, names.FAILURE, names.CURVES, names.TRIAL, names.LABELS),
    *(names.GROUPS, names.PROBE, names.REPORT, names.PLAY, names.TRIALS_TABLE),
)
RESULTS = (names.RESULT, names.RESULTS)  # removed first: what is left is not taken for finished
KNOWN_BY = (names.CONFIG, names.STUDY)  # removed last: what is left can be deleted again
PATTERNS = (
    _pattern(names.tracker_file, r"\w+"),
    _pattern(names.evaluation_file, ".*"),
    _pattern(names.confusion_picture, ".*"),
    r"(best|last)(-int8)?\.(onnx|pt2)(\.json)?",
    rf"\..*{re.escape(PART)}",
)
WRITTEN = (names.LOCK, names.RESULT, names.RESULTS, *FILES)  # one of these lies beside what a run is known by


def refuse_undeletable(named: Path) -> Path:
    """The folder of a run or a study that may be deleted: a path, or a name in `runs/`.

    Raises UsageError where it is a link, lies behind one that leads out of `runs/`, is none of cnnkit's, is
    part of a study, or where a process is at work in it.
    """
    path = named if os.path.lexists(named) else names.RUNS / named
    if path.is_symlink():
        target = os.path.realpath(path)
        raise UsageError(f"{path} is a link, and none is followed; name what it leads to: {target}")
    if not is_kept(path):
        raise UsageError(f"{told_of_none(named)}; nothing is deleted")
    if not any((path / name).exists() for name in WRITTEN) and not (path / names.TRIALS).is_dir():
        raise UsageError(f"{named} is not of cnnkit: it holds nothing else of a run; nothing is deleted")
    meant = Path(os.path.normpath(path.absolute()))
    inside = path.resolve().is_relative_to(names.RUNS.resolve())
    if meant.is_relative_to(names.RUNS.absolute()) and not inside:
        raise UsageError(f"{path} lies behind a link that leads out of {names.RUNS}: it is not followed")
    for above in path.resolve().parents:
        if (above / names.STUDY).is_file():
            raise UsageError(f"{named} is part of the study in {above}, which needs it: delete the study")
    if os.path.lexists(path / names.LOCK):
        with _alone_at(path):
            return path
    return path


def _alone_at(path: Path) -> AbstractContextManager[None]:
    return alone_at(path, "study" if (path / names.STUDY).is_file() else "run")


def size_of(path: Path) -> int:
    """Bytes of what would be deleted."""
    return sum(
        file.lstat().st_size
        for mine in _written(path)
        for file in ([mine] if mine.is_symlink() or mine.is_file() else mine.rglob("*"))
    )


def delete_kept(path: Path) -> list[str]:
    """Removes what cnnkit wrote into the folder of a run or a study, and the folder if it is then empty.

    path: as `refuse_undeletable` gives it. Links are removed, and what they lead to stays. Returns the names
    of what is left because cnnkit did not write it. Raises UsageError where a process is at work in it.
    """
    with _alone_at(path):
        for mine in _written(path):
            if mine.is_dir() and not mine.is_symlink():
                shutil.rmtree(mine)
            else:
                mine.unlink(missing_ok=True)
    (path / names.LOCK).unlink(missing_ok=True)
    left = sorted(entry.name for entry in path.iterdir())
    if not left:
        path.rmdir()
    return left


def _written(path: Path) -> Iterator[Path]:
    """What cnnkit wrote into a folder, in the order in which it is removed; without the lock."""
    there = sorted(path.iterdir())
    yield from _of(RESULTS, there)
    for entry in there:
        patterned = any(re.fullmatch(pattern, entry.name) for pattern in PATTERNS)
        if entry.name in (*FOLDERS, *FILES) or (patterned and not entry.is_dir()):
            yield entry
    yield from _of(KNOWN_BY, there)


def _of(wanted: Sequence[str], there: Sequence[Path]) -> Iterator[Path]:
    return (entry for entry in there if entry.name in wanted)
