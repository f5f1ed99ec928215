"""A person's own images, as `data.dataset: folder` describes them, as tensors that are mapped from a file."""

import shlex
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cnnkit.config.images import DataConfig, listing_of
from cnnkit.config.understood import understood
from cnnkit.data.dataset import Apart, ImageDataset, Published
from cnnkit.data.equal_images import that_equal, with_other_labels, words_of_labels
from cnnkit.data.prepared import Pool, PreparedImages, prepared_images, processes_ahead
from cnnkit.data.prepared_files import Fit
from cnnkit.data.sources import cache_folder
from cnnkit.errors import ChangedSource, DataError
from cnnkit.events import Note, NoteListener, Prepared
from cnnkit.listing import TEST, VALIDATION, Listing, remarks, some
from cnnkit.words import counted, first_lines

NAMED = 10  # damaged files that a message names


def load_folder(config: DataConfig, notify: NoteListener) -> Published:
    """The images of a folder, prepared where that has not been done.

    Raises DataError where the folder is not what the configuration was read with, or where images cannot be
    used and `data.damaged` or `data.duplicates` does not say how to go on.
    """
    with decoders_ahead(config) as pool:
        listing = listing_now(config)
        notify(Note("\n".join(understood(config, listing))))
        for remark in remarks(listing):
            notify(Note(remark))
        found, decoded = _prepared_now(config, listing, notify, pool)
    usable = _usable(config, listing, found, notify)
    published = published_of(config, listing, found, usable)
    _tell_of_duplicates(config, published.apart, len(published.train), notify)
    _tell_of_labels(listing, found, usable.numpy(), notify)
    if decoded:
        notify(Note(f"`cnnkit data {shlex.quote(str(listing.root))}` looks for images that are nearly equal"))
    return published


def listing_now(config: DataConfig) -> Listing:
    """What lies in the folder. Raises DataError where that is not what the configuration was read with."""
    listing = listing_of(config)
    _refuse_another(config, listing)
    return listing


def prepared_folder(
    config: DataConfig, listing: Listing, notify: NoteListener, pool: Pool | None = None
) -> PreparedImages:
    """pool: of `decoders_ahead`."""
    return prepared_images(listing, _fit(config), _cache(), notify, pool)


def decoders_ahead(config: DataConfig) -> AbstractContextManager[Pool | None]:
    """Processes that decode, if it seems that there is much to decode."""
    assert config.images is not None
    assert config.root is not None
    return processes_ahead(sum(config.images), Path(config.root), _fit(config), _cache())


def _fit(config: DataConfig) -> Fit:
    info = config.source
    return Fit(info.shape[0], info.shape[1:], info.fit)


def _cache() -> Path:
    return cache_folder() / "prepared"


def _prepared_now(
    config: DataConfig, listing: Listing, notify: NoteListener, pool: Pool | None
) -> tuple[PreparedImages, bool]:
    """The prepared images, and whether some were decoded now: no command has looked at them before."""
    decoded = False

    def listen(note: Note) -> None:
        nonlocal decoded
        decoded |= isinstance(note, Prepared)
        notify(note)

    return prepared_folder(config, listing, listen, pool), decoded


def published_of(config: DataConfig, listing: Listing, found: PreparedImages, usable: Tensor) -> Published:
    """The splits of the images that can be used. usable: (n,) their numbers in the listing."""
    labels, splits = (torch.from_numpy(values).long() for values in (listing.labels, listing.splits))
    pixels = torch.from_numpy(found.pixels)
    held_out = splits[usable] == VALIDATION
    train, test = usable[splits[usable] != TEST], usable[splits[usable] == TEST]
    places = torch.from_numpy(found.places)
    same = torch.from_numpy(found.hashes[torch.cat([train, test]).numpy()].view(np.int64))
    groups = None if listing.groups is None else torch.from_numpy(listing.groups)[torch.cat([train, test])]
    apart = Apart(held_out[splits[usable] != TEST].nonzero()[:, 0] if held_out.any() else None, groups, same)
    split, tested = (
        ImageDataset(pixels, labels[rows], config.source, places[rows]) for rows in (train, test)
    )
    return Published(split, tested, apart)


def _refuse_another(config: DataConfig, listing: Listing) -> None:
    if listing.fingerprint == config.fingerprint:
        return
    now = "its classes are others" if listing.classes != config.classes else _difference(config, listing)
    raise ChangedSource(
        f"{config.root} is no longer what it was when this configuration was written: {now}; "
        "bring the images of then"
    )


def _difference(config: DataConfig, listing: Listing) -> str:
    assert config.images is not None
    before, now = sum(config.images), len(listing.paths)
    return f"{before:,} images then, {now:,} now" if before != now else "names, sizes or splits have changed"


def _usable(config: DataConfig, listing: Listing, found: PreparedImages, notify: NoteListener) -> Tensor:
    """(n,) numbers of the images that could be read. Raises DataError where others may not be skipped."""
    usable = readable(found)
    if not found.damaged:
        return usable
    told = first_lines([found.damaged[i] for i in sorted(found.damaged)], NAMED)
    count = f"{counted(len(found.damaged), 'image')} of {len(listing.paths):,} cannot be used"
    if config.damaged == "refuse" or config.redrawn:
        skip = ", or set data.damaged: skip"
        if config.redrawn:
            skip = "; data.damaged: skip does not go with data.folds or data.resample_test"
        raise DataError(f"{count}; mend or remove them{skip}\n{told}")
    notify(Note(f"{count} and {'is' if len(found.damaged) == 1 else 'are'} left out:\n{told}"))
    return usable


def readable(found: PreparedImages) -> Tensor:
    """(n,) numbers of the images that are not damaged."""
    usable = torch.ones(len(found.hashes), dtype=torch.bool)
    usable[list(found.damaged)] = False
    return usable.nonzero()[:, 0]


def _tell_of_duplicates(config: DataConfig, apart: Apart, train: int, notify: NoteListener) -> None:
    """Of images that the source itself puts into different splits; those that a seed divides are not told."""
    assert apart.same is not None
    if config.redrawn:
        _tell_of_redrawn(config, apart.same, notify)
        return
    judged = torch.ones(len(apart.same), dtype=torch.bool)
    judged[:train] = False
    held_out = torch.zeros_like(judged)
    if apart.validation is not None:
        held_out[apart.validation] = True
    told = [
        f"{that_equal(both, f'{noun} image')}, pixel by pixel, an image of the {others} split"
        for noun, mask, against, others in (
            ("training", ~judged & ~held_out, judged | held_out, "validation or test"),
            ("validation", held_out, judged, "test"),
        )
        if (both := int(torch.isin(apart.same[mask], apart.same[against]).sum()))
    ]
    if told and config.duplicates == "refuse":
        raise DataError(f"{'; '.join(told)}; remove them, or set data.duplicates: drop")
    how = "left out" if config.duplicates == "drop" else "kept, as data.duplicates says"
    for each in told:
        notify(Note(f"{each}: {how}"))


def _tell_of_redrawn(config: DataConfig, same: Tensor, notify: NoteListener) -> None:
    """Where each seed draws its test images, any two equal images may come into different splits."""
    copies = len(same) - len(same.unique())
    if not copies:
        return
    told = f"{that_equal(copies)} another one, pixel by pixel"
    if config.duplicates == "refuse":
        raise DataError(f"{told}, and a seed may part them; remove them, or set data.duplicates: drop")
    how = "left out" if config.duplicates == "drop" else "kept"
    notify(
        Note(
            f"{told}: of each seed, a training image that equals a validation or test image is {how}, and so "
            "is a validation image that equals a test image"
        )
    )


def _tell_of_labels(
    listing: Listing, found: PreparedImages, usable: NDArray[np.int64], notify: NoteListener
) -> None:
    number, pairs = with_other_labels(found.hashes[usable], listing.labels[usable])
    if number:
        first = some(f"{listing.paths[usable[a]]} and {listing.paths[usable[b]]}" for a, b in pairs)
        notify(Note(f"{words_of_labels(number)}: {first}"))
