"""The section `model` of a configuration: the network, its stages, and the grids that follow from them."""

from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from pydantic import Field, model_validator

from cnnkit.config.choices import Chosen, OneOf
from cnnkit.config.types import Complaint, Count, Inconsistent, Listed, OneOrEach, Probability, Section
from cnnkit.families.activations import ACTIVATIONS
from cnnkit.families.heads import HEADS
from cnnkit.families.poolings import ACTIVATION_FIRST, ORDERS, POOLING_FIRST, POOLINGS
from cnnkit.families.settings import Choice, choice_of
from cnnkit.own.names import Reference, in_file_names, reference
from cnnkit.own.sources import references_in
from cnnkit.words import counted

PER_STAGE = ("kernel_sizes", "convolutions", "pooling", "pool_size", "order")  # keys of the model
Depth = Annotated[int, Field(ge=1, le=100)]
Strategy = Annotated[str | Choice, Chosen(POOLINGS)]
Order = Annotated[str, OneOf(ORDERS)]
HeadStrategy = Annotated[str | Choice, Chosen(HEADS)]
ActivationName = Annotated[str, OneOf(ACTIVATIONS)]


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


class Cells(NamedTuple):
    """The last grid, laid over the image: cell (i, j) begins at pixel (i · side, j · side).

    side: of a cell, pixels. sees: its receptive field: the side, in pixels, of the square of the image that
    its features depend on; 0: not known, because a pooling of a person's own does not say so.
    """

    rows: int
    columns: int
    side: int
    sees: int


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
    def own_classes(self) -> list[Reference]:
        """The classes of a person's own that the network names, each once."""
        named = [[stage.pooling for stage in self.stages], self.head_choice.name, self.activation]
        return list(dict.fromkeys(references_in(named)))

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

    def grids(self, shape: tuple[int, int, int]) -> list[tuple[int, int]]:
        """(height, width) before the first stage and after each: a stage divides by k, rounding down."""
        sizes = [shape[1:]]
        for stage in self.stages:
            height, width = sizes[-1]
            sizes.append((height // stage.pool_size, width // stage.pool_size))
        return sizes

    def head_features(self, shape: tuple[int, int, int]) -> int:
        """How many values the first dense layer sees of an image of shape (C, H, W)."""
        channels = self.stages[-1].out_channels
        return HEADS[self.head_choice.name].features(channels, self.grids(shape)[-1])

    def cells(self, shape: tuple[int, int, int]) -> Cells:
        """The last grid, over an image of shape (C, H, W), and what each of its cells sees."""
        side = sees = 1
        known = not any(POOLINGS[stage.pooling].sees_all for stage in self.stages)
        for stage in self.stages:
            convolved = stage.convolutions * (stage.kernel_size - 1)
            sees += (convolved + POOLINGS[stage.pooling].seen(stage.choice, stage.pool_size) - 1) * side
            side *= stage.pool_size
        return Cells(*self.grids(shape)[-1], side, sees * known)

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


def _spread(value: Any, n: int) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,) * n
