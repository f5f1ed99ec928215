"""What a process does that prepares images: it reads files, decodes them, and writes the pixels.

Nothing here imports torch or concurrent.futures: each process starts with these imports.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.data.pictures import Bytes, decoded, import_formats, quiet
from cnnkit.data.prepared_files import DAMAGED, Files, Fit, hash_of
from cnnkit.errors import CnnkitError, ImageError
from cnnkit.listing import Listing, ReadMember, source_reader
from cnnkit.processes import begin_worker

AHEAD = 2**22  # bytes of files that are read before they are decoded: both are faster in blocks


@dataclass(frozen=True)
class Part:
    """Some images of a listing: their numbers in it, and where they are read from; (n,) each."""

    numbers: list[int]
    paths: list[str]
    offsets: list[int]
    sizes: list[int]

    @classmethod
    def of(cls, listing: Listing, numbers: Any) -> "Part":
        """numbers: (n,) int64."""
        of = np.zeros(len(numbers), np.int64) if listing.offsets is None else listing.offsets[numbers]
        paths = [listing.paths[i] for i in numbers.tolist()]
        return cls(numbers.tolist(), paths, of.tolist(), listing.sizes[numbers].tolist())


@dataclass(frozen=True)
class Whole:
    """What all parts of a listing have in common: where its images lie, what they become, and where.

    images: how many there are.
    """

    root: Path
    container: str
    files: Files
    images: int
    fit: Fit


@dataclass(frozen=True)
class Work:
    """What a process needs to decode parts of a listing. pixels, hashes, shapes: arrays on the files."""

    fit: Fit
    read: ReadMember
    pixels: Any
    hashes: Any
    shapes: Any


def begin(whole: Whole) -> Work:
    mapped = map(np.asarray, whole.files.mapped(whole.images, whole.fit, "r+"))  # a memmap is slower to index
    return Work(whole.fit, source_reader(whole.root, whole.container), *mapped)


def begin_process() -> None:
    begin_worker()
    import_formats()


def decode_in_process(whole: Whole, part: Part) -> tuple[int, dict[int, str]]:
    return decode(_begun(whole), part)


_begun = lru_cache(maxsize=1)(begin)  # of a process that ends with the listing


def decode(work: Work, part: Part) -> tuple[int, dict[int, str]]:
    """Writes pixels, shape and then hash of each image; returns (how many, what cannot be used and why)."""
    unread = dict[int, str]()
    pixels, hashes, shapes, fit = work.pixels, work.hashes, work.shapes, work.fit
    channels, size, how = fit.channels, fit.size, fit.how
    with quiet():
        for i, name, raw in _read(part, work.read):
            try:
                if isinstance(raw, Exception):
                    raise raw
                image, shape = decoded(raw, name, channels, size, how)
            except (CnnkitError, OSError) as error:
                reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
                unread[i] = reason if isinstance(error, ImageError) else f"{name} cannot be read: {reason}"
                hashes[i] = DAMAGED
                continue
            pixels[i], shapes[i] = image, shape
            hashes[i] = hash_of(pixels[i])
    return len(part.numbers), unread


def _read(part: Part, read: ReadMember) -> Iterator[tuple[int, str, bytes | Bytes | Exception]]:
    """The images in order, as they are in their files; in place of one that cannot be read the error."""
    ready: list[tuple[int, str, bytes | Bytes | Exception]] = []
    waiting = 0
    for i, path, offset, size in zip(part.numbers, part.paths, part.offsets, part.sizes, strict=True):
        try:
            ready.append((i, path, read(path, offset, size)))
        except (CnnkitError, OSError) as error:
            ready.append((i, path, error))
        waiting += size
        if waiting >= AHEAD:
            yield from ready
            ready, waiting = [], 0
    yield from ready
