"""What must hold between the keys of a configuration, and the shapes that follow from it.

Checked before any data is touched. Nothing here imports torch.
"""

from typing import TYPE_CHECKING

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
    height, width = grids(model, shape)[-1]
    per_channel = {"flatten": height * width, "avg": 1, "max": 1, "concat": 2}[model.head]
    return model.stages[-1].out_channels * per_channel
