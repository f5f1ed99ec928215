"""What a network costs, layer by layer, from its configuration alone."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from cnnkit.config.model import ModelConfig, StageConfig
from cnnkit.families.activations import ACTIVATIONS
from cnnkit.families.datasets import ImageInfo
from cnnkit.families.heads import HEADS
from cnnkit.families.poolings import POOLINGS


@dataclass(frozen=True)
class LayerCost:
    """One row of a summary. output_shape: without the batch. macs: for one image."""

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int = 0
    macs: int = 0


def layer_costs(model: ModelConfig, info: ImageInfo) -> list[LayerCost]:
    """A row a layer, in the order in which one image passes them.

    A multiply-accumulate is one weight times one value, added; half of what torch's flop counter counts.
    Norms and activations have none. Of a pooling or a head each product, quotient, power, exponential and
    logarithm of its formula counts as one. A short cut, such as an average pooling inside its convolution,
    does not count: costs are those of the network as it is configured.
    """
    rows = [LayerCost("normalize", "Normalize", info.shape)]
    channels, sizes = info.shape[0], model.grids(info.shape)
    for number, stage in enumerate(model.stages):
        rows += _stage_costs(f"stages.{number}", model, stage, channels, sizes[number])
        channels = stage.out_channels
    features, head = model.head_features(info.shape), HEADS[model.head_choice.name]
    cost = head.own_cost(model.head_choice, channels, math.prod(sizes[-1]))
    rows.append(LayerCost("head", head.kind, (features,), *cost))
    return [*rows, *_dense_costs(model, features, info.classes)]


def not_counted(model: ModelConfig) -> list[str]:
    """The own poolings and heads whose multiply-accumulates are not known, by their names."""
    poolings, head = (POOLINGS[stage.pooling] for stage in model.stages), HEADS[model.head_choice.name]
    names = [entry.title for entry in poolings if not entry.counted]
    return list(dict.fromkeys([*names, *[head.title] * (not head.counted)]))


def _stage_costs(
    name: str, model: ModelConfig, stage: StageConfig, channels: int, grid: tuple[int, int]
) -> Iterator[LayerCost]:
    """channels, grid: of the maps that the stage is given; grid is (height, width)."""
    for number in range(stage.convolutions - 1):
        shape = (stage.channels, *grid)
        yield _convolution_cost(f"{name}.before.{number}", model, stage, channels, shape)
        yield from _activated_costs(f"{name}.before.{number}", model, shape)
        channels = stage.channels
    pooling, k, made = POOLINGS[stage.pooling], stage.pool_size, stage.out_channels
    height, width = (-(-side // k) if pooling.skips else side for side in grid)
    shape = (stage.channels, height, width)
    yield _convolution_cost(f"{name}.downsampling", model, stage, channels, shape)
    after = (made, grid[0] // k, grid[1] // k)
    cost = pooling.own_cost(stage.choice, k, stage.channels, math.prod(after[1:]))
    downsampling = LayerCost(f"{name}.downsampling", pooling.kind, after, *cost)
    if stage.pools_first:
        yield downsampling
        shape = after
    yield from _activated_costs(name, model, shape)
    if not stage.pools_first:
        yield downsampling
    if model.feature_dropout:
        yield LayerCost(f"{name}.dropout", "Dropout", after)


def _convolution_cost(
    name: str, model: ModelConfig, stage: StageConfig, channels: int, shape: tuple[int, int, int]
) -> LayerCost:
    """channels: that it is given. shape: (C, H, W) of the maps that it makes."""
    weights = channels * stage.channels * stage.kernel_size**2
    bias = 0 if model.batch_norm else stage.channels
    return LayerCost(
        f"{name}.convolution", "SameConv2d", shape, weights + bias, weights * shape[1] * shape[2]
    )


def _activated_costs(name: str, model: ModelConfig, shape: tuple[int, int, int]) -> Iterator[LayerCost]:
    """Of norm and activation, which keep the shape (C, H, W)."""
    if model.batch_norm:
        yield LayerCost(f"{name}.norm", "BatchNorm2d", shape, 2 * shape[0])
    yield LayerCost(f"{name}.activation", ACTIVATIONS[model.activation].kind, shape)


def _dense_costs(model: ModelConfig, units: int, classes: int) -> Iterator[LayerCost]:
    for number, outputs in enumerate((*model.hidden, classes), 1):
        if model.dropout:
            yield LayerCost(f"dense.dropout{number}", "Dropout", (units,))
        weights = units * outputs
        yield LayerCost(f"dense.linear{number}", "Linear", (outputs,), weights + outputs, weights)
        if number <= len(model.hidden):
            kind = ACTIVATIONS[model.activation].kind
            yield LayerCost(f"dense.activation{number}", kind, (outputs,))
        units = outputs
