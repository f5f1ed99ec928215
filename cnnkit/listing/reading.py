"""One image of a listing: its file's bytes, or its pixels."""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnnkit.listing import archives, arrays
from cnnkit.listing.records import Listing

Read = Callable[[int], bytes | NDArray[np.uint8]]
ReadMember = Callable[[str, int, int], bytes | NDArray[np.uint8]]
READ = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)  # O_BINARY: Windows


def reader(listing: Listing) -> Read:
    """Reads image i; see `source_reader`."""
    read, paths, sizes = source_reader(listing.root, listing.container), listing.paths, listing.sizes
    offsets = np.zeros(len(paths), np.int64) if listing.offsets is None else listing.offsets
    return lambda i: read(paths[i], int(offsets[i]), int(sizes[i]))


def source_reader(root: Path, container: str) -> ReadMember:
    """Reads an image of a listing by (path, offset, size), which are as the listing has them.

    Gives the bytes of its file, or of arrays (H, W) or (H, W, C) uint8.
    It opens files of its own, so each process makes its own reader.
    The bytes are those that lie there now. It raises OSError where they cannot be read.
    """
    if container == "arrays":
        return arrays.reader(root)
    if container == "zip":
        return _zip_reader(root)
    if container == "tar":
        return _tar_reader(root)
    return _file_reader(str(root if root.is_dir() else root.parent))


def _file_reader(base: str) -> ReadMember:
    """With few calls of the system: `open` and `pathlib` take as long as the reading of a small file."""

    def read(path: str, _: int, size: int) -> bytes:
        place = os.path.join(base, path)  # noqa: PTH118
        file = os.open(place, READ)
        try:
            data = os.read(file, size + 1)
        finally:
            os.close(file)
        return data if len(data) == size else Path(place).read_bytes()  # changed, or read in part

    return read


def _zip_reader(root: Path) -> ReadMember:
    archive = zipfile.ZipFile(root)
    members = {info.header_offset: info for info in archive.infolist()}

    def read(path: str, offset: int, _: int) -> bytes:
        try:
            return archive.read(members[offset])
        except archives.UNREADABLE as error:
            raise OSError(f"{path} in {root} cannot be read: {error}") from error

    return read


def _tar_reader(root: Path) -> ReadMember:
    def read(path: str, offset: int, size: int) -> bytes:
        data = archives.read_at(root, offset, size)
        if len(data) < size:
            raise OSError(f"{path} in {root} is cut short")
        return data

    return read
