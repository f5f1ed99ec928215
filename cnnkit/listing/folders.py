"""A folder → the files in it. Links are followed where they stay inside."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from cnnkit.errors import SourceError
from cnnkit.listing.names import IMAGE_ENDINGS, ending, is_hidden, whole
from cnnkit.listing.records import Files, PassedOver, Tree, joined

MOST_FOLDERS = 100_000
TABLES, ARRAYS = ("csv", "tsv"), ("npy", "npz")
HIDDEN, OTHER_KIND = "hidden files and system litter", "files of other kinds"
LINKS_OUT, LINKS_BACK = "links that leave the folder", "links back to a folder around them"
LINKS_LOST, NO_FILES = "links to no file", "what is neither file nor folder"


def tree_of(root: Path) -> Tree:
    """Every folder below root is opened once, and each image's size asked for.

    Raises SourceError where a folder cannot be read, or links lead through too many.
    """
    base, tree = os.fspath(root), beside(root)
    real = os.path.realpath(base)
    waiting = [("", base, real, frozenset({real}))]
    while waiting:
        folder, place, here, around = waiting.pop()
        images = tree.folders[folder] = Files()
        if len(tree.folders) > MOST_FOLDERS:
            raise SourceError(
                f"{whole(root)} holds more than {MOST_FOLDERS:,} folders; name the one with your images"
            )
        for entry in _entries(place):
            if _is_plain(entry):  # one of very many: nothing else is asked of it
                _add(entry, images)
                continue
            path = joined(folder, entry.name)
            target = _target(entry, here, real, path, tree.passed)
            if target is None:
                continue
            if not entry.is_dir():
                _keep(entry, path, images, tree)
            elif entry.is_symlink() and target in around:
                tree.passed.note(LINKS_BACK, [path])
            else:
                waiting.append((path, entry.path, target, around | {target}))
    return tree


def beside(root: Path) -> Tree:
    """The tree of a folder that is not looked through: its files are found by their names."""
    base = os.fspath(root)

    def find(path: str) -> tuple[int, int] | None:
        try:
            found = os.stat(os.path.join(base, path))  # noqa: PTH116, PTH118 - a Path for each image is slow
        except (OSError, ValueError):
            return None
        return (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None

    return Tree("folder", {}, lambda path: (root / path).read_bytes(), find, base)


def _entries(place: str) -> Iterator["os.DirEntry[str]"]:
    try:
        with os.scandir(place) as entries:
            yield from entries
    except OSError as error:
        raise SourceError(
            f"{whole(place)} cannot be read: {error.strerror}; let it be read, or name another folder"
        ) from error


def _is_plain(entry: "os.DirEntry[str]") -> bool:
    """Whether it is an image file, neither hidden nor a link."""
    name = entry.name
    return ending(name) in IMAGE_ENDINGS and name[0] != "." and entry.is_file(follow_symlinks=False)


def _target(entry: "os.DirEntry[str]", here: str, real: str, path: str, passed: PassedOver) -> str | None:
    """The real path of what an entry stands for; None where it is passed over."""
    if is_hidden(entry.name):
        passed.note(HIDDEN, [path])
        return None
    if not entry.is_symlink():
        return f"{here}{os.sep}{entry.name}"
    target = os.path.realpath(entry.path)
    if target != real and not target.startswith(real.rstrip(os.sep) + os.sep):
        passed.note(LINKS_OUT, [path])
        return None
    if not os.path.exists(target):  # noqa: PTH110
        passed.note(LINKS_LOST, [path])
        return None
    return target


def _keep(entry: "os.DirEntry[str]", path: str, images: Files, tree: Tree) -> None:
    """One file, by its ending."""
    kind = ending(entry.name)
    if not entry.is_file():
        tree.passed.note(NO_FILES, [path])
    elif kind in IMAGE_ENDINGS:
        _add(entry, images)
    else:
        keep_other(kind, path, tree)


def _add(entry: "os.DirEntry[str]", images: Files) -> None:
    found = entry.stat()
    images.add(entry.name, found.st_size, found.st_mtime_ns)


def keep_other(kind: str, path: str, tree: Tree) -> None:
    """A file that is no image: a table, an array, or passed over."""
    if kind in TABLES:
        tree.tables.append(path)
    elif kind in ARRAYS:
        tree.arrays.append(path)
    else:
        tree.passed.note(OTHER_KIND, [path])
