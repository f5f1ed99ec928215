"""The section `data` of a configuration: which images, and how they are split."""

from typing import Annotated, Literal

from pydantic import Field, ModelWrapValidatorHandler, model_validator

from cnnkit.config.augmentation import AugmentConfig
from cnnkit.config.choices import OneOf
from cnnkit.config.own_images import info_of, with_what_is_there
from cnnkit.config.types import CountOrFraction, Counts, OfOwnImages, Section, Sides
from cnnkit.families.datasets import DATASETS, FOLDER, DatasetInfo

FITS = ("cover", "contain", "stretch")
DUPLICATES = ("drop", "keep", "refuse")
DAMAGED = ("refuse", "skip")


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
        "drop", description="training images that equal a validation or test image: left out, kept, an error"
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
            return info_of(self)
        return DATASETS[self.scene.source if self.drawn else self.dataset]

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
