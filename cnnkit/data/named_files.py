"""What a person names as images: files, folders of them, or globs → the image files."""

import glob
import os
from pathlib import Path

from cnnkit.errors import ImageError, SourceError
from cnnkit.listing.folders import tree_of
from cnnkit.listing.names import natural
from cnnkit.listing.records import joined


def is_glob(path: Path) -> bool:
    """Whether a name stands for the files that match it; a file that is called so is that file."""
    return glob.has_magic(str(path)) and not os.path.lexists(path)


def image_files(named: Path) -> list[Path]:
    """The files that a name stands for, in natural order: `2.jpg` before `10.jpg`.

    A folder: all image files in it and below, but for hidden ones. A glob, in which `**` stands for any
    folders: what a shell would name. Anything else: itself. Raises ImageError where there is none.
    """
    if named.is_dir():
        return _below(named)
    if not is_glob(named):
        return [named]
    found = sorted(glob.glob(str(named), recursive=True), key=natural)
    files = [file for path in map(Path, found) for file in (_below(path, ()) if path.is_dir() else [path])]
    if not files:
        raise ImageError(f"{named}: no file has such a name")
    return list(dict.fromkeys(files))


def _below(folder: Path, none: tuple[Path, ...] | None = None) -> list[Path]:
    """none: instead of an error, where no image file lies there."""
    try:
        tree = tree_of(folder)
    except SourceError as error:
        raise ImageError(str(error)) from error
    paths = [joined(home, name) for home, images in tree.folders.items() for name, *_ in images]
    if not paths and none is None:
        raise ImageError(f"{folder} is no run directory, and holds no image file")
    return [folder / path for path in sorted(paths, key=natural)]
