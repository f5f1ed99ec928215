"""The modules that `POOLINGS` names: (N, C, H, W) -> (N, C, ⌊H/k⌋, ⌊W/k⌋), `Concat` with 2C maps.

Each is built with k, the number of channels and its settings, and looks at cells of k × k values x. What a k
that does not divide leaves at the edge is dropped. One that can use the convolution before it has
`of_convolution` as well, which gives the same, up to rounding, and costs less.
`cnnkit.families.poolings` has the formulas and their sources.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnnkit.families.settings import LEARNED
from cnnkit.nn.layers import SameConv2d
from cnnkit.nn.means import Power, largest_of, power_mean, wider


class Pool(nn.Module):
    """A pooling without weights. k: the side of its cells."""

    def __init__(self, k: int, channels: int) -> None:
        super().__init__()
        self.k = k

    def extra_repr(self) -> str:
        return f"k={self.k}"


def cells_of(maps: Tensor, k: int) -> Tensor:
    """(N, C, H, W) -> (k², N, ⌊H/k⌋, ⌊W/k⌋, C), copied; row by row.

    Reduced along its first dimension, where channels lie together: of cells that are views of (N, C, H, W),
    `Soft` takes five times as long.
    """
    height, width = (side // k * k for side in maps.shape[-2:])
    last = maps[..., :height, :width].permute(0, 2, 3, 1)
    return torch.stack([last[:, row::k, column::k] for row in range(k) for column in range(k)])


def as_maps(values: Tensor) -> Tensor:
    """(N, h, w, C) -> (N, C, h, w), channels last in memory."""
    return values.permute(0, 3, 1, 2)


class Stride(Pool):
    """The first value of a cell. After a convolution that skips there is nothing left to do."""

    def forward(self, maps: Tensor) -> Tensor:
        return as_maps(cells_of(maps, self.k)[0])

    def of_convolution(self, convolution: SameConv2d, images: Tensor) -> Tensor:
        """convolution: of stride k."""
        height, width = images.shape[-2] // self.k, images.shape[-1] // self.k
        # A k that does not divide leaves a started cell at the edge, which the poolings drop.
        return convolution(images)[..., :height, :width]  # type: ignore[no-any-return]


class Max(Pool):
    def forward(self, maps: Tensor) -> Tensor:
        return F.max_pool2d(maps, self.k)


class Average(Pool):
    def forward(self, maps: Tensor) -> Tensor:
        return F.avg_pool2d(maps, self.k)

    def of_convolution(self, convolution: SameConv2d, images: Tensor) -> Tensor:
        return convolution.averaged(images, self.k)


class Concat(Pool):
    """(N, C, H, W) -> (N, 2C, ⌊H/k⌋, ⌊W/k⌋): the maxima of all maps, then the means."""

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([F.max_pool2d(maps, self.k), F.avg_pool2d(maps, self.k)], dim=1)

    def of_convolution(self, convolution: SameConv2d, images: Tensor) -> Tensor:
        # Of several input maps a second convolution costs more: a step of 11.3 ms for 9.7.
        if convolution.weight.shape[1] > 1:
            return self(convolution(images))  # type: ignore[no-any-return]
        means = convolution.averaged(images, self.k)
        return torch.cat([F.max_pool2d(convolution(images), self.k), means], dim=1)


class Conv(Pool):
    """groups: networks whose maps lie side by side."""

    def __init__(self, k: int, channels: int, *, groups: int = 1) -> None:
        super().__init__(k, channels)
        self.convolution = nn.Conv2d(channels, channels, k, stride=k, groups=groups)

    def forward(self, maps: Tensor) -> Tensor:
        return self.convolution(maps)  # type: ignore[no-any-return]


class Mixed(Pool):
    """a = σ(logit) stays between 0 and 1, and begins at 1/2. logit: (C, 1, 1)"""

    def __init__(self, k: int, channels: int) -> None:
        super().__init__(k, channels)
        self.logit = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, maps: Tensor) -> Tensor:
        return mixture(maps, self.k, self.logit.sigmoid())


class Gated(Pool):
    """The weights of a cell begin at 0, so that a begins at 1/2. weight: (C, 1, k, k)"""

    def __init__(self, k: int, channels: int) -> None:
        super().__init__(k, channels)
        self.weight = nn.Parameter(torch.zeros(channels, 1, k, k))

    def forward(self, maps: Tensor) -> Tensor:
        answers = F.conv2d(maps, self.weight, stride=self.k, groups=len(self.weight))
        return mixture(maps, self.k, answers.sigmoid())


def mixture(maps: Tensor, k: int, share: Tensor) -> Tensor:
    """a · max + (1 − a) · mean of each cell. share: a, that can be broadcast to the result."""
    share = share.to(maps.dtype)
    return share * F.max_pool2d(maps, k) + (1 - share) * F.avg_pool2d(maps, k)


class Soft(Pool):
    """beta: a number; or `learned`, e^(log_beta), one for each map, which begins at 1. log_beta: (C,)"""

    def __init__(self, k: int, channels: int, *, beta: float | str = 1.0) -> None:
        super().__init__(k, channels)
        self.beta = beta
        if beta == LEARNED:
            self.log_beta = nn.Parameter(torch.zeros(channels))

    def forward(self, maps: Tensor) -> Tensor:
        values = wider(cells_of(maps, self.k))
        beta = self.log_beta.exp() if self.beta == LEARNED else float(self.beta)
        limits = torch.finfo(values.dtype)
        # Exponents are 0 or less, and finite even where the difference is not: 0 times infinity is no number.
        below = (values - values.detach().amax(0)).clamp(min=limits.min)
        weights = (beta * below).exp()
        means = (weights / weights.sum(0) * values).sum(0)
        means = means.clamp(limits.min, limits.max)  # rounding may pass the largest number
        return as_maps(means.to(maps.dtype))


class PowerMean(Pool):
    """p: a number; or `learned`, one for each map. Of values of 0 or more."""

    def __init__(self, k: int, channels: int, *, p: float | str = 3.0) -> None:
        super().__init__(k, channels)
        self.power = Power(channels, p)

    def forward(self, maps: Tensor) -> Tensor:
        means = power_mean(wider(cells_of(maps, self.k)), self.power(), 0)
        return as_maps(means.to(maps.dtype))


class Blur(Pool):
    """Beyond the edge there are no values: a maximum there is one of fewer.

    A binomial filter is a mean of two neighbours, taken again and again; the last time k places apart.
    """

    def forward(self, maps: Tensor) -> Tensor:
        around = F.pad(maps, (self.k - 1,) * 4, value=-math.inf)
        filtered: Tensor = wider(F.max_pool2d(around, self.k, stride=1)) / 4  # lest a sum of four overflows
        for left in reversed(range(2 * self.k - 2)):
            filtered = F.avg_pool2d(filtered, 2, stride=1 if left else self.k)
        return (filtered * 4).to(maps.dtype)


class Stochastic(Pool):
    """generator: draws the values while training; None: torch's global one. Of values of 0 or more."""

    def __init__(self, k: int, channels: int) -> None:
        super().__init__(k, channels)
        self.generator: torch.Generator | None = None

    def forward(self, maps: Tensor) -> Tensor:
        values = cells_of(maps, self.k)
        if not self.training:
            return as_maps(self._expectation(wider(values)).to(maps.dtype))
        with torch.no_grad():
            chosen = self._drawn(wider(values))
        return as_maps(values.gather(0, chosen).squeeze(0))

    def _drawn(self, values: Tensor) -> Tensor:
        """(k², …) -> (1, …), the number of one value: where the sum first passes a random share of all."""
        sums = (values / largest_of(values)).cumsum(0)
        share = torch.empty_like(sums[0]).uniform_(generator=self.generator)
        passed = (sums <= share * sums[-1]).sum(0, keepdim=True)
        return passed.clamp(max=len(values) - 1)  # of a cell of zeros, whichever it is

    def _expectation(self, values: Tensor) -> Tensor:
        """Σ x² / Σ x: (k², …) -> (…)"""
        largest = values.detach().amax(0)
        shares = values / largest_of(values)  # no square of these overflows
        return largest * (shares.square().sum(0) / shares.sum(0).clamp(min=1))  # 1 is the largest one's


class Median(Pool):
    def forward(self, maps: Tensor) -> Tensor:
        ordered = cells_of(maps, self.k).sort(0).values
        middle = self.k**2 // 2
        if self.k % 2:
            return as_maps(ordered[middle])
        return as_maps(ordered[middle - 1] / 2 + ordered[middle] / 2)
