"""A person's images decoded once, into a file of the cache that is then mapped into memory.

Whoever is stopped goes on where it was. Where files of a folder have changed or are new, only these are
decoded.
"""

import contextlib
import json
import multiprocessing
from collections.abc import Generator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from cnnkit.data.decoding import Part, Whole, begin, begin_process, decode, decode_in_process
from cnnkit.data.pictures import Bytes
from cnnkit.data.prepared_files import (
    DAMAGED,
    Files,
    Fit,
    digest,
    make_room,
    remove_older,
    take_unchanged,
    whole_images,
    write_keys,
)
from cnnkit.errors import DataError
from cnnkit.events import Note, NoteListener, Prepared
from cnnkit.filenames import LOCK_SUFFIX, PIXELS, SHEET, WHOLE
from cnnkit.files import write_json
from cnnkit.listing import Listing
from cnnkit.processes import available_cpus, starting_processes
from cnnkit.words import counted

VERSION = 2  # of what is in the files: raise it where the same image becomes other pixels
Pool = ProcessPoolExecutor
CHUNK = 200  # images that a worker decodes before it tells
FEW = 400  # images that are decoded here: no process is started for them


@dataclass(frozen=True)
class PreparedImages:
    """pixels: (N, C, H, W) uint8, mapped, ordered by the images' places. All else is ordered as the listing.

    places: (N,) int64, where the pixels of each image are. hashes: (N,) uint64, equal where pixels are equal.
    shapes: (N, 3) int32, width, height and mode of each image before, as `pictures.Shape`; 0 where damaged.
    damaged: which images could not be read, with the reasons; their pixels are 0.
    sheet: the file beside them into which a sheet of examples is drawn.
    """

    pixels: Bytes
    places: NDArray[np.int64]
    hashes: NDArray[np.uint64]
    shapes: NDArray[np.int32]
    damaged: dict[int, str]
    sheet: Path


@dataclass(frozen=True)
class _Stored:
    """The same as the files have it: all of it is ordered by place, whatever the splits of a listing."""

    pixels: Bytes
    hashes: NDArray[np.uint64]
    shapes: NDArray[np.int32]
    damaged: dict[int, str]

    def as_listed(self, listing: Listing, sheet: Path) -> PreparedImages:
        places, numbers = listing.places, listing.numbers
        damaged = {int(numbers[place]): reason for place, reason in self.damaged.items()}
        return PreparedImages(self.pixels, places, self.hashes[places], self.shapes[places], damaged, sheet)


def prepared_images(
    listing: Listing, fit: Fit, folder: Path, notify: NoteListener, pool: Pool | None = None
) -> PreparedImages:
    """Decodes what is not decoded yet, in as many processes as there are cores, and maps the file.

    folder: of the cache. pool: of `processes_ahead`. Of several processes the first one decodes, and the
    others wait. Raises DataError where the cache cannot be written.
    """
    files = Files(folder / f"{_name(listing.root, fit)}-{listing.stamp[:10]}")
    stored = listing.by_place()
    try:
        if (found := _finished(files, stored, fit)) is None:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(files.at(LOCK_SUFFIX)):
                if (found := _finished(files, stored, fit)) is None:
                    found = _prepare(files, stored, fit, notify, pool)
    except OSError as error:
        raise DataError(
            f"the images cannot be prepared in {folder}: {error.strerror}; "
            "set XDG_CACHE_HOME to a folder that takes files"
        ) from error
    return found.as_listed(listing, files.at(SHEET))


def _name(root: Path, fit: Fit) -> str:
    """It holds what decides about the pixels, but for the files: where they lie, and what they become."""
    return f"folder-{digest(str(root))[:8]}-{digest(repr((VERSION, fit)))[:6]}"


@contextlib.contextmanager
def processes_ahead(images: int, root: Path, fit: Fit, folder: Path) -> Generator[Pool | None]:
    """The processes for `prepared_images`, started before the images are listed: both take a while.

    All but one, which would slow down the listing. None where there are few images, or where they seem to be
    prepared.
    """
    if images <= FEW or any(folder.glob(f"{_name(root, fit)}-*.json")):
        yield None
        return
    with _processes(-(-images // CHUNK)) as pool:
        with starting_processes():
            for _ in range(max(1, available_cpus() - 1)):
                pool.submit(int)
        yield pool


@contextlib.contextmanager
def _processes(most: int) -> Generator[Pool]:
    """A process is started where something is submitted and all others are at work."""
    context = multiprocessing.get_context("spawn")  # a fork would copy torch's threads
    pool = ProcessPoolExecutor(min(available_cpus(), most), context, begin_process)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _finished(files: Files, listing: Listing, fit: Fit) -> _Stored | None:
    """The prepared images; None where they are not all there, or are no longer what was written."""
    try:
        said = json.loads(files.at(WHOLE).read_text(encoding="utf-8"))
        damaged = {int(index): str(reason) for index, reason in said["damaged"].items()}
        images = len(listing.paths)
        pixels, hashes, shapes = files.mapped(images, fit, "c")
        touched = files.at(PIXELS).stat().st_mtime_ns != said["changed"]
        if touched and whole_images(pixels, hashes, range(images)) != images - len(damaged):
            return None
    except (OSError, ValueError, LookupError, AttributeError, TypeError):
        return None
    return _Stored(pixels, hashes, shapes, damaged)


def _prepare(files: Files, listing: Listing, fit: Fit, notify: NoteListener, pool: Pool | None) -> _Stored:
    images = len(listing.paths)
    files.at(WHOLE).unlink(missing_ok=True)
    make_room(files, images, fit)
    pixels, hashes, shapes = files.mapped(images, fit, "r+")
    begun = np.flatnonzero(hashes > DAMAGED)
    if len(begun):
        whole_images(pixels, hashes, begun.tolist())
    if taken := take_unchanged(files, listing, fit):
        notify(Note(f"{taken:,} of {counted(images, 'image')} have not changed: their pixels are kept"))
    missing = np.flatnonzero((hashes <= DAMAGED) | (shapes[:, 0] == 0))
    done, damaged = images - len(missing), dict[int, str]()
    going_on = f"preparing {counted(images, 'image')} of {listing.root}"
    notify(Prepared(going_on, done, images))
    with contextlib.closing(_decoded(files, listing, fit, missing, pool)) as chunks:
        for count, unread in chunks:
            done += count
            damaged |= unread
            told = f"prepared {counted(images, 'image')}" if done == images else going_on
            notify(Prepared(told, done, images))
    pixels.flush()
    hashes.flush()
    shapes.flush()
    changed = files.at(PIXELS).stat().st_mtime_ns
    write_json(files.at(WHOLE), {"root": str(listing.root), "changed": changed, "damaged": damaged})
    remove_older(files)
    return _Stored(*files.mapped(images, fit, "c"), damaged)


def _decoded(
    files: Files, listing: Listing, fit: Fit, missing: NDArray[np.int64], pool: Pool | None
) -> Generator[tuple[int, dict[int, str]]]:
    """Decodes the missing images into the files; yields (how many, what cannot be read) for each chunk."""
    parts = [missing[first : first + CHUNK] for first in range(0, len(missing), CHUNK)]
    whole = Whole(listing.root, listing.container, files, len(listing.paths), fit)
    if len(missing) <= FEW:
        write_keys(files, listing)
        work = begin(whole)
        for part in parts:
            yield decode(work, Part.of(listing, part))
        return
    with _processes(len(parts)) if pool is None else contextlib.nullcontext(pool) as pool:
        with starting_processes():
            ended = [pool.submit(decode_in_process, whole, Part.of(listing, part)) for part in parts]
        write_keys(files, listing)
        for future in as_completed(ended):
            yield future.result()
