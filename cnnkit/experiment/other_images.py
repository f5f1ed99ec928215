"""Labelled images that a run has not been trained for: found, framed, and labelled as its network does."""

import contextlib
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cnnkit.config.images import DataConfig
from cnnkit.data.dataset import ImageDataset
from cnnkit.data.own_images import OwnImage, framed, load_images
from cnnkit.data.prepared import prepared_images
from cnnkit.data.prepared_files import Fit
from cnnkit.data.sources import cache_folder
from cnnkit.errors import DataError, ImageError
from cnnkit.events import Note, NoteListener, Prepared
from cnnkit.families.datasets import DatasetInfo
from cnnkit.listing import TEST, TRAIN, VALIDATION, Listing, list_images, reader, remarks
from cnnkit.words import counted, first_lines, listed

SPLITS = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
AT_ONCE = 128  # drawings that are framed before their progress is told
NAMED = 10  # damaged files that a message names


@dataclass(frozen=True)
class OtherImages:
    """N images of a source, of the classes that the network knows.

    whole: before the crop. paths: (N,) as the listing has them. renamed: the network's name of each class
    that the source writes in another way. missing: classes of the network without an image. unknown: other
    classes, with the number of their images, which are left out. damaged: how many could not be read.
    """

    root: Path
    whole: ImageDataset
    paths: tuple[str, ...]
    renamed: Mapping[str, str]
    missing: tuple[str, ...]
    unknown: Mapping[str, int]
    damaged: int

    def to_dict(self) -> dict[str, object]:
        return {
            "data": str(self.root),
            "renamed_classes": dict(self.renamed),
            "missing_classes": list(self.missing),
            "unknown_classes": dict(self.unknown),
            "damaged_images": self.damaged,
        }


def other_images(data: DataConfig, root: Path, split: str | None, notify: NoteListener) -> OtherImages:
    """The images at `root`, framed as those of a run's configuration. split: None: all images.

    notify is told which classes do not match, and which images are damaged. Raises DataError where there is
    no image of a class that the network knows.
    """
    listing, known = list_images(root, trained=False), data.info.class_names
    for remark in remarks(listing):
        notify(Note(remark))
    numbers = matching_classes(listing.classes, known)
    mine = np.array([-1 if number is None else number for number in numbers])[listing.labels]
    wanted = np.ones(len(mine), bool) if split is None else listing.splits == SPLITS[split]
    left_out = np.bincount(listing.labels[wanted & (mine < 0)], minlength=len(numbers)).tolist()
    unknown = {name: count for name, count in zip(listing.classes, left_out, strict=True) if count}
    rows = np.flatnonzero(wanted & (mine >= 0))
    if not len(rows):
        _refuse_strangers(listing, known, split)
    whole_info = data.model_copy(update={"crop": 0}).info
    pixels, stored, damaged = (_photographs if whole_info.photographs else _drawings)(
        listing, rows, whole_info, notify
    )
    read = [i for i, row in enumerate(rows.tolist()) if row not in damaged]
    _tell_damaged([damaged[row] for row in rows.tolist() if row in damaged], listing, notify)
    labels = torch.from_numpy(mine[rows[read]]).long()
    there = set(labels.tolist())
    other = OtherImages(
        root=listing.root,
        whole=ImageDataset(pixels, labels, whole_info, stored[read]),
        paths=tuple(listing.paths[row] for row in rows[read]),
        renamed={
            name: known[number]
            for name, number in zip(listing.classes, numbers, strict=True)
            if number is not None and known[number] != name
        },
        missing=tuple(name for number, name in enumerate(known) if number not in there),
        unknown=unknown,
        damaged=len(rows) - len(read),
    )
    for sentence in _sentences(other):
        notify(Note(sentence))
    return other


def holds_the_same(data: DataConfig, root: Path) -> bool:
    """Whether the images at `root` are those of a run's configuration, wherever they lay then."""
    with contextlib.suppress(DataError):
        return data.own and list_images(root, data.test, data.test_seed).fingerprint == data.fingerprint
    return False


def matching_classes(found: Sequence[str], known: Sequence[str]) -> list[int | None]:
    """Which of the known classes each found one is: of the same name, else of the same name but for case and
    Unicode form, where only one is. None: none of them.
    """
    exact = {name: number for number, name in enumerate(known)}
    free: dict[str, list[int]] = {}
    for number, name in enumerate(known):
        if name not in found:
            free.setdefault(_plain(name), []).append(number)
    alike = [_plain(name) for name in found if name not in exact]

    def one(name: str) -> int | None:
        plain = _plain(name)
        alone = len(free.get(plain, ())) == 1 == alike.count(plain)
        return free[plain][0] if alone else None

    return [exact.get(name, one(name)) for name in found]


def _plain(name: str) -> str:
    """Without what differs between two spellings of a name: case, Unicode form, outer spaces."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).strip()


def _refuse_strangers(listing: Listing, known: Sequence[str], split: str | None) -> None:
    if split is not None and not (listing.splits == SPLITS[split]).any():
        raise DataError(f"{listing.root} holds no {split} images; leave out --split to measure all")
    raise DataError(
        f"no class in {listing.root} is one of the network's: it holds {_some(listing.classes)}, and the "
        f"network knows {_some(known)}; call the folders as the network calls its classes"
    )


def _some(names: Sequence[str]) -> str:
    return listed([*names[:NAMED], f"{len(names) - NAMED:,} more"] if len(names) > NAMED else names)


def _photographs(
    listing: Listing, rows: np.ndarray, info: DatasetInfo, notify: NoteListener
) -> tuple[Tensor, Tensor, dict[int, str]]:
    """(stored images, which of them the rows are, what is damaged)."""
    fit = Fit(info.shape[0], info.shape[1:], info.fit)
    found = prepared_images(listing, fit, cache_folder() / "prepared", notify)
    return torch.from_numpy(found.pixels), torch.from_numpy(found.places[rows]), found.damaged


def _drawings(
    listing: Listing, rows: np.ndarray, info: DatasetInfo, notify: NoteListener
) -> tuple[Tensor, Tensor, dict[int, str]]:
    """The same of handwriting, which is found in each image and centred."""
    read = reader(listing)

    def load(row: int) -> OwnImage:
        try:
            return framed(read(row), listing.paths[row], info)
        except OSError as error:
            raise ImageError(f"{listing.paths[row]} cannot be read: {error.strerror or error}") from error

    pixels, damaged = torch.zeros(len(rows), *info.shape, dtype=torch.uint8), dict[int, str]()
    for i, image in enumerate(_loaded(rows.tolist(), load, listing, notify)):
        if isinstance(image, ImageError):
            damaged[int(rows[i])] = str(image)
        else:
            pixels[i] = image.pixels[0]
    return pixels, torch.arange(len(rows)), damaged


def _loaded(
    rows: list[int], load: Callable[[int], OwnImage], listing: Listing, notify: NoteListener
) -> Iterator[OwnImage | ImageError]:
    told = f"{counted(len(rows), 'image')} of {listing.root}"
    for first in range(0, len(rows), AT_ONCE):
        notify(Prepared(f"framing {told}", first, len(rows)))
        yield from load_images(rows[first : first + AT_ONCE], load)
    notify(Prepared(f"framed {told}", len(rows), len(rows)))


def _tell_damaged(damaged: list[str], listing: Listing, notify: NoteListener) -> None:
    if damaged:
        told = f"{counted(len(damaged), 'image')} of {listing.root} cannot be used"
        notify(Note(f"{told}:\n{first_lines(damaged, NAMED)}"))


def _sentences(other: OtherImages) -> Iterator[str]:
    if other.renamed:
        told = [f"{found} as {known}" for found, known in other.renamed.items()]
        yield f"taken as the same class: {_some(told)}"
    if other.missing:
        yield f"missing in {other.root}: {_some(other.missing)}"
    if other.unknown:
        told = [f"{name} ({counted(count, 'image')})" for name, count in other.unknown.items()]
        yield f"unknown to the network, and left out: {_some(told)}"
