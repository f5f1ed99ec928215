"""What a process does that prepares images: it reads files, decodes them, and writes the pixels.

Nothing here imports torch or concurrent.futures: each process starts with these imports.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.data.pictures import Bytes, decoded, quiet
from cnnkit.data.prepared_files import DAMAGED, Files, Fit, hash_of
from cnnkit.errors import CnnkitError, ImageError
from cnnkit.listing import Listing, source_reader
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


@dataclass
class _Work:
    """What a process needs to decode; kept for its whole life."""

    fit: Fit
    read: Any
    pixels: Any
    hashes: Any
    shapes: Any


_work: list[_Work] = []


def begin_process(root: Path, container: str, files: Files, images: int, fit: Fit) -> None:
    begin_worker()
    begin(root, container, files, images, fit)


def begin(root: Path, container: str, files: Files, images: int, fit: Fit) -> None:
    """Call it before `decode`. images: of the whole listing."""
    mapped = map(np.asarray, files.mapped(images, fit, "r+"))  # a memmap is slower to index
    _work[:] = [_Work(fit, source_reader(root, container), *mapped)]


def decode(part: Part) -> tuple[int, dict[int, str]]:
    """Writes pixels, shape and then hash of each image; returns (how many, what cannot be used and why)."""
    work, unread = _work[0], dict[int, str]()
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


def _read(part: Part, read: Any) -> Iterator[tuple[int, str, bytes | Bytes | Exception]]:
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
