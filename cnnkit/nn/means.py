"""Means that lie between the mean and the maximum, computed so that nothing overflows."""

import math

import torch
from torch import Tensor, nn

from cnnkit.families.settings import LEARNED

FIRST_POWER = 3.0


class Power(nn.Module):
    """() -> p; where that is `learned`, a power above 1 for each map, (C,): 1 + e^(log), 3 at first."""

    def __init__(self, channels: int, p: float | str) -> None:
        super().__init__()
        self.p = p
        if p == LEARNED:
            self.log = nn.Parameter(torch.full((channels,), math.log(FIRST_POWER - 1)))

    def forward(self) -> Tensor | float:
        return 1 + self.log.exp() if self.p == LEARNED else float(self.p)


def wider(values: Tensor) -> Tensor:
    """In float32, if they are in fewer bits."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values


def largest_of(values: Tensor, dimension: int = 0) -> Tensor:
    """The largest along a dimension, as a constant to divide by: never 0."""
    largest = values.detach().amax(dimension, keepdim=True)
    return largest.clamp(min=torch.finfo(values.dtype).tiny)


def power_mean(values: Tensor, power: Tensor | float, dimension: int) -> Tensor:
    """(mean x^p)^(1/p) of values (…, C) of 0 or more; the dimension is gone. power: 1 or more, or (C,).

    Values are divided by the largest first: no power overflows, and the root is taken of 1/n or more, where
    its slope is finite. Of zeros alone it is 0, and so is its gradient.
    """
    shares = values / largest_of(values, dimension)
    sums = _power(shares, power).sum(dimension).clamp(min=1)  # 1 is the largest one's
    return values.detach().amax(dimension) * _power(sums / values.shape[dimension], 1 / power)


def _power(values: Tensor, power: Tensor | float) -> Tensor:
    """Of values from 0 to 1. torch's own power of a tensor takes 20 times as long on a CPU."""
    if isinstance(power, float):
        return values.pow(power)
    return (power * values.clamp(min=torch.finfo(values.dtype).tiny).log()).exp()
