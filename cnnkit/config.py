"""The schema: every key of the YAML, its type, default and one line of documentation.

Frozen and strict: unknown keys, booleans for numbers, NaN and infinities are errors. The README's
table, `cnnkit config schema` and the error messages all come from here. Nothing here imports torch.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from cnnkit.catalog import DATASETS, DatasetInfo

Strategy = Literal["stride", "max", "avg", "concat"]
Head = Literal["flatten", "avg", "max", "concat"]
Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "mish", "hardswish", "tanh", "sigmoid"]
Optimizer = Literal["sgd", "adam", "adamw", "nadam", "rmsprop", "adagrad", "adadelta"]
Schedule = Literal["one_cycle", "cosine", "linear", "step", "constant"]

STRATEGIES: tuple[str, ...] = get_args(Strategy)
LARGEST_LAYER = 100_000_000  # weights; 400 MB in float32, four times that while Adam trains it

T = TypeVar("T")
Count = Annotated[int, Field(ge=1)]
Size = Annotated[int, Field(ge=1)]
Probability = Annotated[float, Field(ge=0, lt=1)]
NonNegative = Annotated[float, Field(ge=0)]
Listed = Annotated[tuple[T, ...], Field(strict=False)]


def _one_or_each(value: object) -> str:
    return "each" if isinstance(value, list | tuple) else "one"


OneOrEach = Annotated[
    Annotated[T, Tag("one")]
    | Annotated[Annotated[tuple[T, ...], Field(strict=False, min_length=1)], Tag("each")],
    Discriminator(_one_or_each),
]


def _count_or_fraction(value: object) -> str:
    return "fraction" if isinstance(value, float) else "count"


CountOrFraction = Annotated[
    Annotated[Annotated[int, Field(ge=0)], Tag("count")]
    | Annotated[Annotated[float, Field(ge=0, lt=1)], Tag("fraction")],
    Discriminator(_count_or_fraction),
]
UNION_TAGS = frozenset({"one", "each", "count", "fraction"})


class Inconsistent(ValueError):
    """Keys that are fine alone but not together. problems: (dotted key, message, remedy) each."""

    def __init__(self, problems: list[tuple[str, str, str]]) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{key}: {message}; {remedy}" for key, message, remedy in problems))


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class AugmentConfig(Section):
    """Random changes of the training images, made anew for each batch on the device."""

    rotate: Annotated[float, Field(ge=0, le=180)] = Field(0.0, description="largest turn either way, degrees")
    translate: NonNegative = Field(0.0, description="largest shift along each axis, pixels")
    zoom: Probability = Field(0.0, description="largest enlargement or reduction, fraction")

    @property
    def active(self) -> bool:
        return self.rotate > 0 or self.translate > 0 or self.zoom > 0


class DataConfig(Section):
    """Which images."""

    dataset: Literal["mnist", "fashion-mnist", "kmnist", "qmnist", "digits"] = Field(
        "mnist", description="the images and their classes"
    )
    root: str | None = Field(
        None, description="folder of the data sets; null: `$CNNKIT_DATA`, else the user's cache folder"
    )
    validation: CountOrFraction = Field(
        5000,
        description="images, or a fraction, held out of the training split, stratified; 0: none, "
        "and the last epoch is kept",
    )
    augment: AugmentConfig = Field(AugmentConfig(), description="random changes of the training images")

    @property
    def info(self) -> DatasetInfo:
        return DATASETS[self.dataset]

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
    """One stage: convolution, downsampling, norm, activation."""

    channels: int
    kernel_size: int
    pooling: Strategy
    pool_size: int

    @property
    def out_channels(self) -> int:
        """Channels the next stage sees: `concat` stacks two poolings."""
        return self.channels * (2 if self.pooling == "concat" else 1)


class ModelConfig(Section):
    """The network: stages, then a head, then dense layers."""

    channels: Annotated[tuple[Count, ...], Field(strict=False, min_length=1)] = Field(
        (32, 64), description="filters of each stage's convolution"
    )
    kernel_sizes: OneOrEach[Size] = Field(
        3, description="side of the filters, pixels, even ones too: one for all stages, or one each"
    )
    pooling: OneOrEach[Strategy] = Field(
        "max",
        description="how a stage shrinks its feature maps: the convolution skips (stride), or a pooling "
        "follows it; one for all stages, or one each",
    )
    pool_size: OneOrEach[Size] = Field(
        2, description="k: a stage divides height and width by k; one for all stages, or one each"
    )
    head: Head = Field("flatten", description="what the dense layers see of the last feature maps")
    hidden: Listed[Count] = Field((128,), description="units of each dense layer before the logits")
    dropout: Probability = Field(0.25, description="before each dense layer: probability of zeroing a value")
    feature_dropout: Probability = Field(
        0.0, description="after each stage: probability of zeroing a whole feature map"
    )
    activation: Activation = Field("relu", description="after each stage and each hidden dense layer")
    batch_norm: bool = Field(True, description="batch normalisation in each stage, before the activation")

    @property
    def stages(self) -> tuple[StageConfig, ...]:
        n = len(self.channels)
        parts = (self.channels, *(_spread(v, n) for v in (self.kernel_sizes, self.pooling, self.pool_size)))
        return tuple(StageConfig(*stage) for stage in zip(*parts, strict=True))

    @property
    def strategy(self) -> str:
        """The pooling strategy in one word, `mixed` where the stages differ."""
        names = {stage.pooling for stage in self.stages}
        return names.pop() if len(names) == 1 else "mixed"

    @model_validator(mode="after")
    def _one_value_per_stage(self) -> "ModelConfig":
        n = len(self.channels)
        problems = [
            (
                f"model.{key}",
                f"{len(value)} values for {n} stages",
                "give one for all stages, or as many as `channels` has",
            )
            for key in ("kernel_sizes", "pooling", "pool_size")
            if isinstance(value := getattr(self, key), tuple) and len(value) != n
        ]
        if problems:
            raise Inconsistent(problems)
        return self


class TrainingConfig(Section):
    """How it learns."""

    epochs: Count = Field(5, description="passes over the training images")
    batch_size: Count = Field(256, description="images per optimizer step")
    optimizer: Optimizer = Field("adam", description="the rule that turns gradients into steps")
    learning_rate: Annotated[float, Field(gt=0)] = Field(0.005, description="its peak")
    schedule: Schedule = Field(
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
    gradient_clip: Annotated[float, Field(gt=0)] | None = Field(
        None, description="largest norm of the gradient; null: any"
    )
    weight_averaging: Probability = Field(
        0.0, description="decay per step of a running mean of the weights, which is then what is kept; 0: off"
    )
    early_stopping: Count | None = Field(
        None, description="epochs without a better validation accuracy after which to stop; null: never"
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(
        0, description="of initial weights, data order, split, augmentation and dropout"
    )


class RuntimeConfig(Section):
    """Where it runs."""

    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")] = Field(
        "auto", description="auto: cuda, then mps, then cpu; or cpu, cuda, cuda:N, mps"
    )
    precision: Literal["auto", "float32", "bf16"] = Field(
        "auto", description="of convolutions and dense layers; auto: bf16 where the hardware runs it natively"
    )
    threads: Count | None = Field(None, description="CPU threads; null: as many as there are cores")
    deterministic: bool = Field(
        False, description="refuse operations that vary from run to run; a CPU never does"
    )


class Config(Section):
    """One experiment."""

    data: DataConfig = Field(DataConfig(), description="which images")
    model: ModelConfig = Field(ModelConfig(), description="the network")
    training: TrainingConfig = Field(TrainingConfig(), description="how it learns")
    runtime: RuntimeConfig = Field(RuntimeConfig(), description="where it runs")

    @model_validator(mode="after")
    def _fits_together(self) -> "Config":
        problems = [*_split_problems(self), *_grid_problems(self), *_layer_problems(self)]
        if problems:
            raise Inconsistent(problems)
        return self


def grids(model: ModelConfig, shape: tuple[int, int, int]) -> list[tuple[int, int]]:
    """(height, width) before the first stage and after each: a stage divides by k, rounding down."""
    sizes = [shape[1:]]
    for stage in model.stages:
        height, width = sizes[-1]
        sizes.append((height // stage.pool_size, width // stage.pool_size))
    return sizes


def head_features(model: ModelConfig, shape: tuple[int, int, int]) -> int:
    """How many values the first dense layer sees of an image of shape (C, H, W)."""
    height, width = grids(model, shape)[-1]
    per_channel = {"flatten": height * width, "avg": 1, "max": 1, "concat": 2}[model.head]
    return model.stages[-1].out_channels * per_channel


def _spread(value: Any, n: int) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,) * n


def _split_problems(config: Config) -> Iterator[tuple[str, str, str]]:
    data, info = config.data, config.data.info
    held, smallest = data.validation_images, info.classes
    if data.train_images < smallest:
        yield (
            "data.validation",
            f"{held} of {info.train_images} images held out leave {max(0, data.train_images)} to train on",
            f"hold out at most {info.train_images - smallest}",
        )
    if data.validation and held < smallest:
        yield (
            "data.validation",
            f"{held} images cannot hold out one of each of {info.classes} classes",
            f"hold out at least {smallest}, or 0 for none",
        )
    if not data.validation and config.training.early_stopping:
        yield "training.early_stopping", "needs validation images", "set data.validation"


def _grid_problems(config: Config) -> Iterator[tuple[str, str, str]]:
    for number, (grid, stage) in enumerate(
        zip(grids(config.model, config.data.info.shape), config.model.stages, strict=False), 1
    ):
        smaller = min(grid)
        if stage.kernel_size > 2 * smaller - 1:
            yield (
                "model.kernel_sizes",
                f"stage {number}: a kernel of {stage.kernel_size} is larger than its padded grid; "
                f"on {grid[0]}×{grid[1]} the weights beyond {2 * smaller - 1} never see a pixel",
                f"use at most {2 * smaller - 1}",
            )
        if smaller // stage.pool_size < 1:
            yield (
                "model.pool_size",
                f"stage {number} would shrink its {grid[0]}×{grid[1]} grid by {stage.pool_size} to below 1",
                "use fewer stages or a smaller pool_size",
            )
            return


def _layer_problems(config: Config) -> Iterator[tuple[str, str, str]]:
    model, info = config.model, config.data.info
    channels = info.shape[0]
    for number, stage in enumerate(model.stages, 1):
        weights = channels * stage.channels * stage.kernel_size**2
        if weights > LARGEST_LAYER:
            yield (
                "model.channels",
                f"stage {number}'s convolution would have {weights:,} weights",
                f"stay below {LARGEST_LAYER:,}: fewer channels or a smaller kernel",
            )
        channels = stage.out_channels
    sizes = [head_features(model, info.shape), *model.hidden, info.classes]
    for inputs, outputs in pairwise(sizes):
        if inputs * outputs > LARGEST_LAYER:
            yield (
                "model.hidden",
                f"a dense layer from {inputs:,} to {outputs:,} units would have {inputs * outputs:,} weights",
                f"stay below {LARGEST_LAYER:,}: fewer units, fewer channels, or head: avg",
            )
    if config.training.batch_size == 1 and model.batch_norm and grids(model, info.shape)[-1] == (1, 1):
        yield (
            "training.batch_size",
            "batch normalisation has nothing to average over in one image whose grid is 1×1",
            "use at least 2, or batch_norm: false",
        )
