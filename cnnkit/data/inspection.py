"""What a person's own images are like: counted, measured, compared; as `cnnkit data PATH` tells it."""

from collections import Counter
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cnnkit.config.first import first_configuration, fitting_size
from cnnkit.config.images import DataConfig
from cnnkit.config.understood import understood
from cnnkit.data.equal_images import with_other_labels
from cnnkit.data.folder import decoders_ahead, listing_now, prepared_folder, published_of, readable
from cnnkit.data.near_duplicates import near_duplicates
from cnnkit.data.pictures import MODES, WIDE_GREYS, Shape, opened, quiet, shape_of
from cnnkit.data.prepared import PreparedImages
from cnnkit.data.splits import shares_of
from cnnkit.errors import CnnkitError, DataError
from cnnkit.events import Note, NoteListener
from cnnkit.listing import Listing, list_images, reader

SPLITS = ("training", "validation", "test")
LOOKED_AT = 100  # images whose size and mode decide what the configuration to begin with says
GREY = ("L", "1", "LA", "F", *WIDE_GREYS)
MOST_PAIRS = 2_000_000_000  # that are looked at for nearly equal images: a minute on two cores

TOLD_PAIRS = 20_000_000  # that take a second or more


@dataclass(frozen=True)
class Likeness:
    """Two images of different splits that are nearly the same. likeness: a correlation up to 1."""

    train: str
    judged: str
    split: str
    likeness: float
    rows: tuple[int, int]


@dataclass(frozen=True)
class Inspection:
    """counts: (splits, classes). splits: (N,) 0 … 2, as the first seed has it; -1 where an image is damaged.

    equal: images that equal an earlier one of the same split, and training images that equal one of another.
    contradicting: images that equal one of another class; contradictions: pairs of them, (rows).
    judged: how many validation and test images were compared for nearly equal ones, of how many.
    """

    config: DataConfig
    listing: Listing
    prepared: PreparedImages
    splits: NDArray[np.int64]
    counts: NDArray[np.int64]
    equal: tuple[int, int]
    contradicting: int
    contradictions: list[tuple[int, int]]
    near: tuple[Likeness, ...]
    judged: tuple[int, int]

    @property
    def lines(self) -> tuple[str, str]:
        return understood(self.config, self.listing)

    def sizes(self) -> dict[str, Any]:
        """Of the files' images, (width, height) in pixels: by area."""
        shapes = self.prepared.shapes[self.splits >= 0].astype(np.int64)
        if not len(shapes):
            return {}
        order = shapes[np.argsort(shapes[:, 0] * shapes[:, 1], kind="stable"), :2].tolist()
        return {
            "smallest": order[0],
            "median": order[len(order) // 2],
            "largest": order[-1],
            "not_square": int((shapes[:, 0] != shapes[:, 1]).sum()),
        }

    def modes(self) -> dict[str, int]:
        """How many images have which mode of Pillow, the most frequent first."""
        found = Counter(self.prepared.shapes[self.splits >= 0, 2].tolist())
        return {MODES[mode] or "other": count for mode, count in found.most_common()}

    def to_dict(self) -> dict[str, object]:
        listing = self.listing
        return {
            "root": str(listing.root),
            "kind": listing.kind,
            "container": listing.container,
            "images": {
                split: dict(zip(listing.classes, counts, strict=True))
                for split, counts in zip(SPLITS, self.counts.tolist(), strict=True)
            },
            "sizes": self.sizes(),
            "modes": self.modes(),
            "equal": dict(zip(("within_splits", "across_splits"), self.equal, strict=True)),
            "equal_of_other_classes": {
                "images": self.contradicting,
                "pairs": [[listing.paths[row] for row in pair] for pair in self.contradictions],
            },
            "nearly_equal": [
                {"training": pair.train, pair.split: pair.judged, "likeness": round(pair.likeness, 4)}
                for pair in self.near
            ],
            "compared": self.judged[0],
            "damaged": {listing.paths[i]: reason for i, reason in sorted(self.prepared.damaged.items())},
            "passed_over": [
                {"reason": reason, "files": count, "first": list(names)}
                for reason, count, names in listing.passed_over
            ],
            "warnings": list(listing.warnings),
        }


def configuration_for(root: Path) -> str:
    """The YAML text to begin with. Raises DataError where the source cannot be used."""
    listing = list_images(root, 0.2)
    shapes = _first_shapes(listing)
    channels = 1 if all(MODES[mode] in GREY for *_, mode in shapes) else 3
    size = fitting_size([shape[:2] for shape in shapes])
    return first_configuration(listing.root, listing, channels, size, int((listing.splits == 0).sum()))


def _first_shapes(listing: Listing) -> list[Shape]:
    """Of some images from all classes. Raises DataError where none of them can be read."""
    read, shapes = reader(listing), list[Shape]()
    for i in np.unique(np.linspace(0, len(listing.paths) - 1, LOOKED_AT).round().astype(int)).tolist():
        try:
            found = read(i)
            if not isinstance(found, bytes):
                grey = found.ndim == 2 or found.shape[2] == 1
                shapes.append((found.shape[1], found.shape[0], MODES.index("L" if grey else "RGB")))
                continue
            with quiet(), opened(BytesIO(found), listing.paths[i]) as image:
                shapes.append(shape_of(image))
        except (CnnkitError, OSError) as error:
            reason = error
    if not shapes:
        raise DataError(f"none of the images that were looked at can be read; the last: {reason}")
    return shapes


def inspect(config: DataConfig, seed: int, notify: NoteListener) -> Inspection:
    """Looks at all images; decodes those that are not prepared yet. seed: whose splits are told.

    Raises DataError where the source cannot be used; images that cannot be read are counted only.
    """
    with decoders_ahead(config) as pool:
        listing = listing_now(config)
        found = prepared_folder(config, listing, notify, pool)
    rows = _rows_of_splits(config, listing, found, seed)
    splits = np.full(len(listing.paths), -1)
    for split, members in enumerate(rows):
        splits[members] = split
    counts = [np.bincount(listing.labels[members], minlength=len(listing.classes)) for members in rows]
    judged = np.concatenate(rows[1:])
    some = _some(judged, MOST_PAIRS // max(1, len(rows[0])))
    usable = np.flatnonzero(splits >= 0)
    contradicting, pairs = with_other_labels(found.hashes[usable], listing.labels[usable])
    near = _nearly_equal(listing, found, splits, rows[0], some, notify)
    return Inspection(
        config,
        listing,
        found,
        splits,
        np.stack(counts),
        _equal(found.hashes, rows),
        contradicting,
        [(int(usable[a]), int(usable[b])) for a, b in pairs],
        near,
        (len(some), len(judged)),
    )


def _rows_of_splits(
    config: DataConfig, listing: Listing, found: PreparedImages, seed: int
) -> list[NDArray[np.int64]]:
    """The numbers of the images of each split, with equal images, and without damaged ones."""
    published = published_of(config, listing, found, readable(found))
    shares = shares_of(config.model_copy(update={"duplicates": "keep"}), published, seed)
    whole = published.train if shares.tested is None else published.all
    tested = published.test if shares.tested is None else whole[shares.tested]
    parts = (whole[shares.train], whole[shares.validation], tested)
    return [listing.numbers[torch.as_tensor(part.rows).numpy()] for part in parts]


def _some(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Evenly spread, at most so many."""
    step = -(-len(rows) // max(1, most))
    return rows[:: max(1, step)]


def _equal(hashes: NDArray[np.uint64], rows: list[NDArray[np.int64]]) -> tuple[int, int]:
    within = sum(len(members) - len(np.unique(hashes[members])) for members in rows)
    return within, int(np.isin(hashes[rows[0]], hashes[np.concatenate(rows[1:])]).sum())


def _nearly_equal(
    listing: Listing,
    found: PreparedImages,
    splits: NDArray[np.int64],
    train: NDArray[np.int64],
    judged: NDArray[np.int64],
    notify: NoteListener,
) -> tuple[Likeness, ...]:
    if len(train) * len(judged) > TOLD_PAIRS:
        notify(Note(f"looking for images that nearly equal one of {len(train):,} training images"))
    numbers, places = listing.numbers, found.places
    pairs = [
        (int(numbers[pair.train]), int(numbers[pair.judged]), pair.likeness)
        for pair in near_duplicates(found.pixels, places[train], places[judged])
    ]
    return tuple(
        Likeness(
            listing.paths[train_image],
            listing.paths[judged_image],
            SPLITS[splits[judged_image]],
            likeness,
            (train_image, judged_image),
        )
        for train_image, judged_image, likeness in pairs
        if found.hashes[train_image] != found.hashes[judged_image]
    )
