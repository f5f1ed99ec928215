"""The schema: every key of the YAML, its type, default and one line of documentation.

The README's table, `cnnkit config schema` and the error messages all come from here. Nothing here imports
torch.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, model_validator

from cnnkit.config.checks import complaints_about
from cnnkit.config.choices import Chosen, OneOf
from cnnkit.config.complaints import Complaint, Inconsistent
from cnnkit.config.images import DataConfig
from cnnkit.config.runtime import RuntimeConfig
from cnnkit.config.types import (
    Count,
    Listed,
    NonNegative,
    OneOrEach,
    Positive,
    Probability,
    Section,
)
from cnnkit.families.activations import ACTIVATIONS
from cnnkit.families.heads import HEADS
from cnnkit.families.optimizers import OPTIMIZERS
from cnnkit.families.poolings import ACTIVATION_FIRST, ORDERS, POOLING_FIRST, POOLINGS
from cnnkit.families.schedules import SCHEDULES
from cnnkit.families.settings import Choice, choice_of
from cnnkit.families.trackers import TRACKERS
from cnnkit.own.names import in_file_names, reference
from cnnkit.words import counted

PER_STAGE = ("kernel_sizes", "convolutions", "pooling", "pool_size", "order")  # keys of the model
BALANCED = "balanced"
MONITORS = ("accuracy", "loss", "balanced_accuracy", "macro_f1")
Depth = Annotated[int, Field(ge=1, le=100)]
Strategy = Annotated[str | Choice, Chosen(POOLINGS)]
Order = Annotated[str, OneOf(ORDERS)]
HeadStrategy = Annotated[str | Choice, Chosen(HEADS)]
ActivationName = Annotated[str, OneOf(ACTIVATIONS)]
OptimizerName = Annotated[str, OneOf(OPTIMIZERS)]
ScheduleName = Annotated[str, OneOf(SCHEDULES)]
TrackerName = Annotated[str, OneOf(TRACKERS)]


@dataclass(frozen=True)
class StageConfig:
    """One stage. pools_first: convolution, downsampling, norm, activation; else downsampling comes last.

    convolutions: how many; those before the last keep the grid, each with its norm and activation.
    """

    channels: int
    kernel_size: int
    convolutions: int
    choice: Choice  # of the pooling, with its settings
    pool_size: int
    pools_first: bool

    @property
    def pooling(self) -> str:
        return self.choice.name

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
    head: HeadStrategy = Field("flatten", description="what the dense layers see of the last feature maps")
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
        choices, orders = [*map(choice_of, _spread(self.pooling, n))], _spread(self.order, n)
        pools_first = [
            (POOLINGS[choice.name].only_order or order) == POOLING_FIRST
            for choice, order in zip(choices, orders, strict=True)
        ]
        sizes, depths = _spread(self.kernel_sizes, n), _spread(self.convolutions, n)
        rest = (choices, _spread(self.pool_size, n), pools_first)
        return tuple(map(StageConfig, self.channels, sizes, depths, *rest))

    @property
    def head_choice(self) -> Choice:
        """The head, with its settings."""
        return choice_of(self.head)

    @property
    def stacks(self) -> bool:
        """Whether networks of several seeds can be trained as one, each as if it were alone."""
        own = reference(self.head_choice.name) or reference(self.activation)
        return not own and all(POOLINGS[stage.pooling].stacks for stage in self.stages)

    @property
    def strategies(self) -> str:
        """The pooling in words: `avg`, or `stride/max` where the stages differ, from first to last."""
        told = [str(stage.choice) for stage in self.stages]
        return told[0] if len({*told}) == 1 else "/".join(told)

    @property
    def strategy(self) -> str:
        """The pooling for the name of a folder: `avg`, or `stride-max`, each name once."""
        return "-".join(dict.fromkeys(in_file_names(stage.pooling) for stage in self.stages))

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
    momentum: Probability = Field(0.9, description="of sgd, muon and rmsprop")
    betas: Annotated[tuple[Probability, Probability], Field(strict=False)] = Field(
        (0.9, 0.999), description="decay of the two running means of adam, adamw, muon and nadam"
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
    tracking: Listed[TrackerName] = Field(
        (), description="trackers that are told of the training; it is computed alike with and without them"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> "Config":
        if complaints := list(complaints_about(self)):
            raise Inconsistent(complaints)
        return self


def _spread(value: Any, n: int) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,) * n
