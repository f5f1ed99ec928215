"""The files in the cache that hold prepared images.

Of a listing of N images, in the order of their places, there are: `<name>.pixels`, (N, C, H, W) uint8;
`<name>.shapes`, what each image was before; `<name>.hashes`, a number for each image, which is written after
its pixels, so that it says which images are there and whole; `<name>.keys`, by which an image whose file has
not changed is found again when others have; `<name>.json`, written last, which says that all are there; and
`<name>.png`, a sheet of examples, once `cnnkit data` has drawn it.
"""

import contextlib
import hashlib
import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnkit.data.pictures import Bytes
from cnnkit.errors import DataError
from cnnkit.filenames import HASHES, KEYS, LOCK_SUFFIX, PIXELS, PREPARED, SHAPES
from cnnkit.listing import Listing
from cnnkit.words import gigabytes

MISSING, DAMAGED = 0, 1  # instead of a hash


@dataclass(frozen=True)
class Fit:
    """What images become. size: (height, width), pixels. how: `cover`, `contain` or `stretch`."""

    channels: int
    size: tuple[int, int]
    how: str

    @property
    def bytes(self) -> int:
        """Of one image."""
        return self.channels * math.prod(self.size)


@dataclass(frozen=True)
class Files:
    """Where the prepared images of one listing lie. stem: without the endings."""

    stem: Path

    def at(self, ending: str) -> Path:
        """ending: of `cnnkit.filenames.PREPARED`, or that of the lock."""
        return self.stem.with_suffix(ending)

    def mapped(self, images: int, fit: Fit, mode: Any) -> tuple[Any, Any, Any]:
        """(pixels, hashes, shapes) as arrays on the files. mode: "r+" to write, "c" to read."""
        pixels = np.memmap(self.at(PIXELS), np.uint8, mode, shape=(images, fit.channels, *fit.size))
        hashes = np.memmap(self.at(HASHES), np.uint64, mode, shape=(images,))
        return pixels, hashes, np.memmap(self.at(SHAPES), np.int32, mode, shape=(images, 3))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def whole_images(pixels: Bytes, hashes: NDArray[np.uint64], images: Sequence[int]) -> int:
    """How many of the images have the pixels that their hash is of; of the others the hash is taken away."""
    for i in images:
        if hashes[i] > DAMAGED and hashes[i] != hash_of(pixels[i]):
            hashes[i] = MISSING
    return int((hashes[images] > DAMAGED).sum())


def hash_of(pixels: Bytes) -> int:
    digest = hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=8).digest()
    return max(int.from_bytes(digest, "little"), DAMAGED + 1)


def make_room(files: Files, images: int, fit: Fit) -> None:
    """Makes files of the right length, where they are not there yet. Raises DataError for want of room."""
    needed, free = images * fit.bytes, shutil.disk_usage(files.stem.parent).free
    if not files.at(PIXELS).exists() and needed > free:
        raise DataError(
            f"the prepared images need {gigabytes(needed)} in {files.stem.parent}, and "
            f"{gigabytes(free)} are free; choose a smaller data.size, or another folder by XDG_CACHE_HOME"
        )
    for ending, length in ((PIXELS, needed), (HASHES, 8 * images), (SHAPES, 12 * images)):
        with files.at(ending).open("ab") as file:
            if file.tell() != length:
                file.truncate(0)
                file.truncate(length)


def _older(files: Files, ending: str) -> Iterator[Path]:
    """Files of what the same folder became before some of it changed."""
    *same, _ = files.stem.name.split("-")
    for path in files.stem.parent.glob("-".join([*same, f"*{ending}"])):
        if not path.name.startswith(files.stem.name):
            yield path


def remove_older(files: Files) -> None:
    """Takes away what the same folder became before one of its files changed, but not from who is at it."""
    from filelock import FileLock, Timeout

    for stem in {path.with_suffix("") for path in _older(files, "")}:
        older = Files(stem)
        with contextlib.suppress(Timeout, OSError):  # another process maps a file (Windows)
            with FileLock(older.at(LOCK_SUFFIX), timeout=0):
                for ending in PREPARED:
                    older.at(ending).unlink(missing_ok=True)
            older.at(LOCK_SUFFIX).unlink(missing_ok=True)


def take_unchanged(files: Files, listing: Listing, fit: Fit) -> int:
    """Copies the pixels of images whose files are as they were when an older listing was prepared.

    Returns how many were copied. An image is known by path, size and time of change; in archives no member
    has such a time, so of these nothing is copied.
    """
    if listing.container != "folder" or not any(_older(files, KEYS)):
        return 0
    keys = _keys(listing)
    pixels, hashes, shapes = files.mapped(len(keys), fit, "r+")
    wanted = {key: i for i, key in enumerate(keys.tolist()) if hashes[i] <= DAMAGED}
    taken = 0
    for path in _older(files, KEYS):
        older = Files(path.with_suffix(""))
        with contextlib.suppress(OSError, ValueError):  # removed meanwhile, or of another length
            old_keys = np.fromfile(path, np.uint64)
            old_pixels, old_hashes, old_shapes = older.mapped(len(old_keys), fit, "r")
            for old, key in enumerate(old_keys.tolist()):
                new, number = wanted.get(key), int(old_hashes[old])
                if new is not None and number > DAMAGED and hash_of(old_pixels[old]) == number:
                    pixels[new], shapes[new] = old_pixels[old], old_shapes[old]
                    hashes[new] = number
                    del wanted[key]
                    taken += 1
    return taken


def write_keys(files: Files, listing: Listing) -> None:
    if listing.container == "folder":
        _keys(listing).tofile(files.at(KEYS))


def _keys(listing: Listing) -> NDArray[np.uint64]:
    """(N,): a number for each image, another one once its file has changed."""
    lines = zip(listing.paths, listing.sizes.tolist(), listing.changed.tolist(), strict=True)
    return np.array([int(digest(repr(line))[:16], 16) for line in lines], np.uint64)
