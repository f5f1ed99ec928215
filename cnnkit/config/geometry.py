"""The grids and the receptive field that follow from a configuration."""

from typing import TYPE_CHECKING, NamedTuple

from cnnkit.families.heads import HEADS
from cnnkit.families.poolings import POOLINGS

if TYPE_CHECKING:
    from cnnkit.config.schema import ModelConfig


def grids(model: "ModelConfig", shape: tuple[int, int, int]) -> list[tuple[int, int]]:
    """(height, width) before the first stage and after each: a stage divides by k, rounding down."""
    sizes = [shape[1:]]
    for stage in model.stages:
        height, width = sizes[-1]
        sizes.append((height // stage.pool_size, width // stage.pool_size))
    return sizes


def head_features(model: "ModelConfig", shape: tuple[int, int, int]) -> int:
    """How many values the first dense layer sees of an image of shape (C, H, W)."""
    channels = model.stages[-1].out_channels
    return HEADS[model.head_choice.name].features(channels, grids(model, shape)[-1])


class Cells(NamedTuple):
    """The last grid, laid over the image: cell (i, j) begins at pixel (i · side, j · side).

    side: of a cell, pixels. sees: its receptive field: the side, in pixels, of the square of the image that
    its features depend on; 0: not known, because a pooling of a person's own does not say so.
    """

    rows: int
    columns: int
    side: int
    sees: int


def cells_of(model: "ModelConfig", shape: tuple[int, int, int]) -> Cells:
    """The grid that the last stage leaves of an image of shape (C, H, W), and what each of its cells sees."""
    side = sees = 1
    known = not any(POOLINGS[stage.pooling].sees_all for stage in model.stages)
    for stage in model.stages:
        convolved = stage.convolutions * (stage.kernel_size - 1)
        sees += (convolved + POOLINGS[stage.pooling].seen(stage.choice, stage.pool_size) - 1) * side
        side *= stage.pool_size
    return Cells(*grids(model, shape)[-1], side, sees * known)
