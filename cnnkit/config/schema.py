"""The schema: every key of the YAML, its type, default and one line of documentation.

The README's table, `cnnkit config schema` and the error messages all come from here. Nothing here imports
torch.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, model_validator

from cnnkit.config.augmentation import AugmentConfig
from cnnkit.config.checks import Complaint, Inconsistent, complaints_about
from cnnkit.config.choices import OneOf
from cnnkit.config.runtime import RuntimeConfig
from cnnkit.config.types import (
    Count,
    CountOrFraction,
    Listed,
    NonNegative,
    OneOrEach,
    Positive,
    Probability,
    Section,
)
from cnnkit.families.activations import ACTIVATIONS
from cnnkit.families.datasets import DATASETS, DatasetInfo
from cnnkit.families.heads import HEADS
from cnnkit.families.optimizers import OPTIMIZERS
from cnnkit.families.poolings import ACTIVATION_FIRST, ORDERS, POOLING_FIRST, POOLINGS
from cnnkit.families.schedules import SCHEDULES
from cnnkit.words import counted

PER_STAGE = ("kernel_sizes", "convolutions", "pooling", "pool_size", "order")  # keys of the model
BALANCED = "balanced"
MONITORS = ("accuracy", "loss", "balanced_accuracy", "macro_f1")
Depth = Annotated[int, Field(ge=1, le=100)]
Strategy = Annotated[str, OneOf(POOLINGS)]
Order = Annotated[str, OneOf(ORDERS)]
HeadName = Annotated[str, OneOf(HEADS)]
ActivationName = Annotated[str, OneOf(ACTIVATIONS)]
OptimizerName = Annotated[str, OneOf(OPTIMIZERS)]
ScheduleName = Annotated[str, OneOf(SCHEDULES)]


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
        None, description="folder of the data sets; null: `$CNNKIT_DATA`, else the user's cache folder"
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
        return DATASETS[self.scene.source if self.drawn else self.dataset]

    @property
    def object_sizes(self) -> tuple[int, ...]:
        """Pixels: image i shows an object of size i % len. Empty for images that are no scenes."""
        return self.scene.object_sizes if self.drawn else ()

    @property
    def validation_images(self) -> int:
        if isinstance(self.validation, float):
            return round(self.validation * self.info.train_images)
        return self.validation

    @property
    def train_images(self) -> int:
        return self.info.train_images - self.validation_images


@dataclass(frozen=True)
class StageConfig:
    """One stage. pools_first: convolution, downsampling, norm, activation; else downsampling comes last.

    convolutions: how many; those before the last keep the grid, each with its norm and activation.
    """

    channels: int
    kernel_size: int
    convolutions: int
    pooling: str
    pool_size: int
    pools_first: bool

    @property
    def out_channels(self) -> int:
        """Channels that the next stage sees; a pooling may make several of each."""
        return self.channels * POOLINGS[self.pooling].multiplies_channels


class ModelConfig(Section):
    """The network: stages, then a head, then dense layers."""

    channels: Annotated[tuple[Count, ...], Field(strict=False, min_length=1)] = Field(
        (32, 64), description="filters of each stage's convolutions"
    )
    kernel_sizes: OneOrEach[Count] = Field(
        3, description="side of the filters, pixels, even ones too: one for all stages, or one each"
    )
    convolutions: OneOrEach[Depth] = Field(
        1,
        description="of a stage, one after the other, each with its norm and activation; the last one is the "
        "one that is downsampled, or that skips (stride); one for all stages, or one each",
    )
    pooling: OneOrEach[Strategy] = Field(
        "max",
        description="how a stage shrinks its feature maps: the convolution skips (stride), or a pooling "
        "follows it; one for all stages, or one each",
    )
    pool_size: OneOrEach[Count] = Field(
        2, description="k: a stage divides height and width by k; one for all stages, or one each"
    )
    order: OneOrEach[Order] = Field(
        ACTIVATION_FIRST,
        description="what comes first after the convolution: norm and activation, or the downsampling; "
        "one for all stages, or one each",
    )
    head: HeadName = Field("flatten", description="what the dense layers see of the last feature maps")
    hidden: Listed[Count] = Field((128,), description="units of each dense layer before the logits")
    dropout: Probability = Field(0.25, description="before each dense layer: probability of zeroing a value")
    feature_dropout: Probability = Field(
        0.0, description="after each stage: probability of zeroing a whole feature map"
    )
    activation: ActivationName = Field(
        "relu", description="after each convolution and each hidden dense layer"
    )
    batch_norm: bool = Field(
        True, description="batch normalisation after each convolution, before the activation"
    )

    @property
    def stages(self) -> tuple[StageConfig, ...]:
        n = len(self.channels)
        poolings, orders = _spread(self.pooling, n), _spread(self.order, n)
        pools_first = [
            order == POOLING_FIRST or POOLINGS[pooling].skips
            for pooling, order in zip(poolings, orders, strict=True)
        ]
        sizes, depths = _spread(self.kernel_sizes, n), _spread(self.convolutions, n)
        rest = (poolings, _spread(self.pool_size, n), pools_first)
        return tuple(map(StageConfig, self.channels, sizes, depths, *rest))

    @property
    def strategy(self) -> str:
        """The pooling strategy in one word, `mixed` where the stages differ."""
        names = {stage.pooling for stage in self.stages}
        return names.pop() if len(names) == 1 else "mixed"

    @property
    def strategies(self) -> str:
        """The strategy in words: `avg`, or `mixed (stride, max)`, from the first stage to the last."""
        names = [stage.pooling for stage in self.stages]
        return self.strategy if len(set(names)) == 1 else f"mixed ({', '.join(names)})"

    @model_validator(mode="after")
    def _one_value_per_stage(self) -> "ModelConfig":
        n = len(self.channels)
        complaints = [
            Complaint(
                f"model.{key}",
                f"{counted(len(value), 'value')} for {counted(n, 'stage')}",
                "give one for all stages, or as many as `channels` has",
                frozenset({"model.channels", f"model.{key}"}),
            )
            for key in PER_STAGE
            if isinstance(value := getattr(self, key), tuple) and len(value) != n
        ]
        if complaints:
            raise Inconsistent(complaints)
        return self


class TrainingConfig(Section):
    """How it learns."""

    epochs: Count = Field(5, description="passes over the training images")
    batch_size: Count = Field(256, description="images per optimizer step")
    optimizer: OptimizerName = Field("adam", description="the rule that turns gradients into steps")
    learning_rate: Positive = Field(0.005, description="its peak")
    schedule: ScheduleName = Field(
        "one_cycle",
        description="the learning rate after its warm-up: one_cycle and cosine fall along a cosine, linear "
        "along a line, both to 0; step multiplies it by `gamma` after each epoch",
    )
    warmup: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        None, description="share of all steps in which the rate rises; null: 0.25 for one_cycle, else 0"
    )
    gamma: Annotated[float, Field(gt=0, le=1)] = Field(0.7, description="factor of the step schedule")
    weight_decay: NonNegative = Field(0.0, description="L2 penalty; decoupled for adamw")
    momentum: Probability = Field(0.9, description="of sgd and rmsprop")
    betas: Annotated[tuple[Probability, Probability], Field(strict=False)] = Field(
        (0.9, 0.999), description="decay of the two running means of adam, adamw and nadam"
    )
    label_smoothing: Probability = Field(0.0, description="share of the target spread over all classes")
    class_weights: Annotated[str, OneOf(("none", BALANCED))] = Field(
        "none",
        description="of the loss: none, or balanced, so that all classes count alike however many training "
        "images they have",
    )
    gradient_clip: Positive | None = Field(None, description="largest norm of the gradient; null: any")
    weight_averaging: Probability = Field(
        0.0, description="decay per step of a running mean of the weights, which is then what is kept; 0: off"
    )
    monitor: Annotated[str, OneOf(MONITORS)] = Field(
        "accuracy", description="of the validation images, tells the best epoch, whose weights are kept"
    )
    early_stopping: Count | None = Field(
        None,
        description="epochs without a better epoch, as `monitor` tells, after which to stop; null: never",
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(
        0, description="of initial weights, data order, split, augmentation and dropout"
    )


class Config(Section):
    """One experiment."""

    data: DataConfig = Field(DataConfig(), description="which images")
    model: ModelConfig = Field(ModelConfig(), description="the network")
    training: TrainingConfig = Field(TrainingConfig(), description="how it learns")
    runtime: RuntimeConfig = Field(RuntimeConfig(), description="where it runs")

    @model_validator(mode="after")
    def _fits_together(self) -> "Config":
        if complaints := list(complaints_about(self)):
            raise Inconsistent(complaints)
        return self


def _spread(value: Any, n: int) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,) * n
