"""What a configuration says of a person's own images, and what was found where they lie.

The folder is listed once, when a configuration is read that does not say yet what the folder holds. The
kept text says it: a run tells its classes and sizes also where the folder is gone.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cnnkit.config.complaints import Complaint, Inconsistent
from cnnkit.errors import DataError
from cnnkit.families.datasets import FOLDER, OWN_IMAGES, DatasetInfo
from cnnkit.listing import TEST, TRAIN, VALIDATION, Listing, list_images

if TYPE_CHECKING:
    from cnnkit.config.images import DataConfig

CHANNELS, SIDE = 3, 32  # where the configuration does not say
HELD_OUT = 0.1  # the share of the training images, where neither source nor configuration says one
MOST_HELD_OUT = 0.3  # of them, so that there is one image a class


def listing_of(data: "DataConfig") -> Listing:
    """What lies at `data.root` now. Raises DataError where that cannot be used."""
    assert data.root is not None
    return list_images(Path(data.root), data.test, data.test_seed)


def with_what_is_there(data: "DataConfig") -> "DataConfig":
    """The configuration with the classes, numbers of images and fingerprint of its folder.

    Raises Inconsistent where there is none, or where its images cannot be used.
    """
    if data.root is None:
        raise _complaint(
            "data.root", "is not said, so there are no images", "name their folder: data.root=FOLDER"
        )
    said = os.path.expanduser(data.root)  # noqa: PTH111  Path.expanduser fails without a home
    root = Path(said).absolute()
    data = data.model_copy(update={"root": str(root)})
    try:
        found = listing_of(data)
    except DataError as error:
        message, _, remedy = str(error).partition("; ")
        if str(root) != said and not os.path.exists(root):  # noqa: PTH110 - a name may be too long
            message += f" ({said} counts from the folder you work in, {Path.cwd()})"
        raise _complaint("data.root", message, remedy) from error
    counts = tuple(int((found.splits == split).sum()) for split in (TRAIN, VALIDATION, TEST))
    chosen = "validation" in data.model_fields_set
    kept = {"classes": found.classes, "images": counts, "fingerprint": found.fingerprint}
    data = data.model_copy(update=kept if chosen else {**kept, "validation": HELD_OUT})
    if chosen or (counts[1] and not data.redrawn):
        return data
    return data.model_copy(
        update={"validation": usual_validation(data.info.train_images, len(found.classes))}
    )


def usual_validation(train_images: int, classes: int) -> float | int:
    """A tenth, or one image a class where that is more; none where it would be too many."""
    if round(HELD_OUT * train_images) >= classes:
        return HELD_OUT
    return classes if classes <= MOST_HELD_OUT * train_images else 0


def _complaint(key: str, message: str, remedy: str) -> Inconsistent:
    return Inconsistent([Complaint(key, message, remedy, frozenset({key, "data.dataset", "data.test"}))])


def info_of(data: "DataConfig") -> DatasetInfo:
    """The record of a person's own images, from the configuration alone."""
    assert data.classes is not None
    assert data.images is not None
    train, held_out, test = data.images
    return replace(
        OWN_IMAGES,
        title=Path(data.root or FOLDER).name,
        shape=(data.channels or CHANNELS, *_sides(data)),
        class_names=data.classes,
        train_images=train + held_out,
        test_images=test,
        fit=data.fit,
    )


def _sides(data: "DataConfig") -> tuple[int, int]:
    """(height, width), pixels."""
    size = data.size or SIDE
    return (size, size) if isinstance(size, int) else size
