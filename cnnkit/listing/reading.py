"""One image of a listing: its file's bytes, or its pixels."""

import os
import zipfile
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from cnnkit.listing import archives, arrays
from cnnkit.listing.records import Listing

Read = Callable[[int], bytes | NDArray[np.uint8]]


def reader(listing: Listing) -> Read:
    """Reads image i as the bytes of its file, or of arrays as (H, W) or (H, W, C) uint8.

    It opens files of its own, so each process makes its own reader.
    The bytes are those that lie there now. It raises OSError where they cannot be read.
    """
    if listing.container == "arrays":
        return arrays.reader(listing)
    if listing.container == "zip":
        return _zip_reader(listing)
    if listing.container == "tar":
        return _tar_reader(listing)
    base = listing.root if listing.root.is_dir() else listing.root.parent
    return _file_reader(str(base), listing.paths)


def _file_reader(base: str, paths: Sequence[str]) -> Read:
    """Without pathlib, which takes as long as the reading of a small file."""

    def read(i: int) -> bytes:
        with open(os.path.join(base, paths[i]), "rb", buffering=0) as file:  # noqa: PTH118, PTH123
            return file.read()

    return read


def _zip_reader(listing: Listing) -> Read:
    assert listing.offsets is not None
    archive = zipfile.ZipFile(listing.root)
    members = {info.header_offset: info for info in archive.infolist()}
    offsets = listing.offsets

    def read(i: int) -> bytes:
        try:
            return archive.read(members[int(offsets[i])])
        except archives.UNREADABLE as error:
            raise OSError(f"{listing.paths[i]} in {listing.root} cannot be read: {error}") from error

    return read


def _tar_reader(listing: Listing) -> Read:
    assert listing.offsets is not None
    offsets, sizes = listing.offsets, listing.sizes

    def read(i: int) -> bytes:
        data = archives.read_at(listing.root, int(offsets[i]), int(sizes[i]))
        if len(data) < sizes[i]:
            raise OSError(f"{listing.paths[i]} in {listing.root} is cut short")
        return data

    return read
