"""What a person names as images: files, folders of them, or globs → the image files."""

import glob
import itertools
import os
from pathlib import Path

from cnnkit.errors import ImageError, SourceError
from cnnkit.listing.folders import OTHER_KIND, tree_of
from cnnkit.listing.names import natural
from cnnkit.listing.records import PassedOver, joined


def is_glob(path: Path) -> bool:
    """Whether a name stands for the files that match it; a file that is called so is that file."""
    return glob.has_magic(str(path)) and not os.path.lexists(path)


def image_files(named: Path, passed: PassedOver | None = None) -> list[Path]:
    """The files that a name stands for, in natural order: `2.jpg` before `10.jpg`.

    A folder: all image files in it and below, but for hidden ones. A glob, in which `**` stands for any
    folders: what a shell would name. Anything else: itself. passed: takes what is
    passed over in folders. Raises ImageError where there is none.
    """
    if os.path.isdir(named):  # noqa: PTH112 - a name that is too long is no error here
        files, none = _below(named, passed), "is no run directory, and holds no image file"
    elif is_glob(named):
        found = sorted(glob.glob(str(named), recursive=True), key=natural)  # noqa: PTH207 - Path.glob takes no absolute one
        of_each = (_below(path, passed) if path.is_dir() else [path] for path in map(Path, found))
        files, none = list(dict.fromkeys(itertools.chain.from_iterable(of_each))), "matches no file"
    else:
        return [named]
    if not files:
        raise ImageError(f"{named} {none}")
    return files


def _below(folder: Path, passed: PassedOver | None) -> list[Path]:
    try:
        tree = tree_of(folder)
    except SourceError as error:
        raise ImageError(str(error)) from error
    if passed is not None:
        others = {OTHER_KIND: [*tree.tables, *tree.arrays]}
        for reason, names in (*tree.passed.reasons.items(), *others.items()):
            passed.note(reason, (str(folder / name) for name in names))
    paths = [joined(home, name) for home, images in tree.folders.items() for name in images.names]
    return [folder / path for path in sorted(paths, key=natural)]
