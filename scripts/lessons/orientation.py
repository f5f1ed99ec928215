"""How oriented a filter is: near 0 for a blob or noise without end, near 1 for a grating.

The index is the length of the mean of exp(2iθ) over the filter's power spectrum, θ the direction of a
frequency: the coherence of the structure tensor (Bigün & Granlund, ICCV 1987), with each frequency's power
counted once instead of by the square of the frequency, which would favour pixel noise.
"""

import math

import torch
from torch import Tensor

GRID = 64  # frequencies along each axis
SOBEL = ((1.0, 0.0, -1.0), (2.0, 0.0, -2.0), (1.0, 0.0, -1.0))
NULL_FILTERS = 1000


def orientation_index(filters: Tensor) -> Tensor:
    """Filters (N, K, K) -> (N,), 0 … 1. A filter's mean does not count; a constant filter has 0."""
    filters = filters.double() - filters.double().mean((1, 2), keepdim=True)
    power = torch.fft.fft2(filters, (GRID, GRID)).abs() ** 2
    frequency = torch.fft.fftfreq(GRID, dtype=torch.float64)
    vertical, horizontal = frequency[:, None], frequency[None]
    radius = torch.hypot(vertical, horizontal)
    power = power * ((radius > 0) & (radius <= 0.5))  # a disc: corners would favour diagonals
    doubled = 2 * torch.atan2(vertical, horizontal)
    total = power.sum((1, 2))
    along = torch.hypot((power * doubled.cos()).sum((1, 2)), (power * doubled.sin()).sum((1, 2)))
    return torch.where(total > 0, along / total.clamp_min(math.ulp(0.0)), 0.0)


def random_filters(side: int, seed: int = 0) -> Tensor:
    """(NULL_FILTERS, side, side) uniform noise, as cnnkit and torch begin a convolution with."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(NULL_FILTERS, side, side, generator=generator) - 0.5
