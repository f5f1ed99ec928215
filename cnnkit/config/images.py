"""The section `data` of a configuration: which images, and how they are split.

A folder of a person's own images is listed once, when a configuration is read that does not say yet what the
folder holds. The kept text says it: a run tells its classes and sizes also where the folder is gone.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ModelWrapValidatorHandler, model_validator

from cnnkit.config.augmentation import AugmentConfig
from cnnkit.config.choices import OneOf
from cnnkit.config.types import (
    Complaint,
    CountOrFraction,
    Counts,
    Inconsistent,
    OfOwnImages,
    Section,
    Sides,
)
from cnnkit.errors import DataError
from cnnkit.families.datasets import DATASETS, FOLDER, OWN_IMAGES, DatasetInfo
from cnnkit.listing import TEST, TRAIN, VALIDATION, Listing, list_images

FITS = ("cover", "contain", "stretch")
DUPLICATES = ("drop", "keep", "refuse")
DAMAGED = ("refuse", "skip")
CHANNELS, SIDE = 3, 32  # where the configuration does not say
HELD_OUT = 0.1  # the share of the training images, where neither source nor configuration says one
MOST_HELD_OUT = 0.3  # of them, so that there is one image a class


class SceneConfig(Section):
    """The scenes of `small-object`: one digit each, among pieces of others."""

    source: Annotated[str, OneOf(("mnist", "digits"))] = Field("mnist", description="whose digits")
    size: Annotated[int, Field(ge=16, le=256)] = Field(56, description="side of a scene, pixels")
    object_sizes: Annotated[
        tuple[Annotated[int, Field(ge=4, le=256)], ...], Field(strict=False, min_length=1, max_length=20)
    ] = Field((8, 12, 16, 20, 28), description="sides of the digit, pixels, all as frequent")
    position: Annotated[str, OneOf(("anywhere", "centre", "corner"))] = Field(
        "anywhere", description="where the digit lies"
    )
    clutter: Annotated[int, Field(ge=0, le=100)] = Field(8, description="pieces of other digits in a scene")
    clutter_size: Annotated[int, Field(ge=1, le=16)] = Field(8, description="side of such a piece, pixels")
    train_images: Annotated[int, Field(ge=100, le=200_000)] = Field(20_000, description="scenes to train on")
    test_images: Annotated[int, Field(ge=100, le=200_000)] = Field(10_000, description="scenes to test on")

    @property
    def info(self) -> DatasetInfo:
        source = DATASETS[self.source]
        return source.in_scenes(self.size, self.object_sizes, self.train_images, self.test_images)


class DataConfig(Section):
    """Which images."""

    dataset: Annotated[str, OneOf(DATASETS)] = Field("mnist", description="the images and their classes")
    root: Annotated[str, Field(pattern=r"^[^\x00]+$")] | None = Field(
        None,
        description="where your own images are: a folder, table, .zip, .tar or .npz, counted from the folder "
        "you work in; else the folder of the data sets, null: `$CNNKIT_DATA`, else the user's cache folder",
    )
    channels: OfOwnImages[Literal[1, 3] | None] = Field(
        None, description="of your own images: 3 colours, 1 grey; null: 3; of others null"
    )
    size: OfOwnImages[Sides | None] = Field(
        None, description="of your own images, pixels: one number, or [height, width]; null: 32"
    )
    fit: OfOwnImages[Annotated[str, OneOf(FITS)]] = Field(
        "cover",
        description="how your own images of another shape become that: their middle, whole with black "
        "edges, or distorted",
    )
    test: OfOwnImages[Annotated[float, Field(gt=0, lt=1)]] = Field(
        0.2, description="share of your own images held out as the test split, where they have none"
    )
    test_seed: OfOwnImages[Annotated[int, Field(ge=0, lt=2**63)]] = Field(0, description="of that share")
    duplicates: OfOwnImages[Annotated[str, OneOf(DUPLICATES)]] = Field(
        "drop",
        description="training images that equal a validation or test image, and validation images that equal "
        "a test image: left out, kept, an error",
    )
    damaged: OfOwnImages[Annotated[str, OneOf(DAMAGED)]] = Field(
        "refuse", description="image files that cannot be read: an error, or left out"
    )
    classes: OfOwnImages[Annotated[tuple[str, ...], Field(strict=False)] | None] = Field(
        None, description="written by cnnkit: the classes of your own images; null: look again"
    )
    images: OfOwnImages[Counts | None] = Field(
        None, description="written by cnnkit: how many there are to train, validate and test on"
    )
    fingerprint: OfOwnImages[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None] = Field(
        None, description="written by cnnkit: the hash of their names, sizes and classes"
    )
    validation: CountOrFraction = Field(
        5000,
        description="images, or a fraction, held out of the training split, stratified; 0: none, "
        "and the last epoch is kept",
    )
    crop: Annotated[int, Field(ge=0, le=1000)] = Field(
        0, description="pixels cut off each side of every image; MNIST's outer 2 hold 0.2 % of its ink"
    )
    folds: Annotated[int, Field(ge=2, le=1000)] | None = Field(
        None, description="K: test on fold `seed` mod K of all published images; null: on the test split"
    )
    resample_test: bool = Field(False, description="draw the test split anew from all images, by the seed")
    augment: AugmentConfig = Field(AugmentConfig(), description="random changes of the training images")
    scene: SceneConfig = Field(SceneConfig(), description="what small-object is made of")

    @model_validator(mode="wrap")
    @classmethod
    def _look_where_they_are(
        cls, values: object, handler: ModelWrapValidatorHandler["DataConfig"]
    ) -> "DataConfig":
        data = handler(values)
        known = None not in (data.classes, data.images, data.fingerprint)
        return data if known or not data.own else with_what_is_there(data)

    @property
    def own(self) -> bool:
        """Whether the images are a person's own."""
        return self.dataset == FOLDER

    @property
    def info(self) -> DatasetInfo:
        info = self.scene.info if self.drawn else self.source.cropped(self.crop)
        return info.in_folds(self.folds) if self.folds else info

    @property
    def redrawn(self) -> bool:
        """Whether each seed has test images of its own, out of all published images."""
        return self.folds is not None or self.resample_test

    @property
    def drawn(self) -> bool:
        """Whether the images are scenes, drawn as `scene` says from the digits of `source`."""
        return DATASETS[self.dataset].drawn

    @property
    def source(self) -> DatasetInfo:
        """The data set whose files are read."""
        if self.own:
            return self._own_info()
        return DATASETS[self.scene.source if self.drawn else self.dataset]

    def _own_info(self) -> DatasetInfo:
        """The record of a person's own images, from the configuration alone."""
        assert self.classes is not None
        assert self.images is not None
        train, held_out, test = self.images
        size = self.size or SIDE
        return replace(
            OWN_IMAGES,
            title=Path(self.root or FOLDER).name,
            shape=(self.channels or CHANNELS, *((size, size) if isinstance(size, int) else size)),
            class_names=self.classes,
            train_images=train + held_out,
            test_images=test,
            fit=self.fit,
        )

    @property
    def object_sizes(self) -> tuple[int, ...]:
        """Pixels: image i shows an object of size i % len. Empty for images that are no scenes."""
        return self.scene.object_sizes if self.drawn else ()

    @property
    def validation_images(self) -> int:
        """Held out of the training images; by the source of a person's own images, where it says which."""
        if self.images and self.images[1] and not self.redrawn:
            return self.images[1]
        if isinstance(self.validation, float):
            return round(self.validation * self.info.train_images)
        return self.validation

    @property
    def train_images(self) -> int:
        return self.info.train_images - self.validation_images


def listing_of(data: DataConfig) -> Listing:
    """What lies at `data.root` now. Raises DataError where that cannot be used."""
    assert data.root is not None
    return list_images(Path(data.root), data.test, data.test_seed)


def with_what_is_there(data: DataConfig) -> DataConfig:
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
