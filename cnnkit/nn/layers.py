"""Layers that torch lacks in this form: dropout with its own random generator, pixel normalisation."""

import math

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """Zeroes a share p of its input while training and scales the rest by 1 / (1 - p).

    Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 2014.
    whole_maps: zero feature maps (N, C, H, W) whole instead of single values, as Tompson et al. do in
    "Efficient object localization using convolutional networks", CVPR 2015.
    p is met to within 1e-5. generator: draws the masks; None: torch's global one.
    Each 64-bit draw serves several values: `bernoulli_` took 15 % of a step on a CPU.
    """

    def __init__(self, p: float, whole_maps: bool = False) -> None:
        super().__init__()
        self.p = p
        self.whole_maps = whole_maps
        self.generator: torch.Generator | None = None
        self.bits = 8 if (p * 2**8).is_integer() else 16  # of a value's draw; 8 take half of the time

    def forward(self, values: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return values
        shape = (*values.shape[:2], 1, 1) if self.whole_maps else values.shape
        draws = torch.empty(self.draws_for(shape), dtype=torch.int64, device=values.device)
        self.draw(draws)
        return values * self.factors(draws, shape, values.dtype)

    def draws_for(self, shape: tuple[int, ...]) -> int:
        """How many draws of 64 bits."""
        return math.ceil(math.prod(shape) * self.bits / 64)

    def draw(self, draws: Tensor) -> None:
        """Fills (`draws_for` a shape,) int64 with this layer's generator."""
        draws.random_(-(2**63), None, generator=self.generator)

    def factors(self, draws: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """0 where a value is zeroed and 1 / (1 - p) where it is kept; draws: one row, or several."""
        levels = 2**self.bits
        zeroed = min(round(self.p * levels), levels - 1) - levels // 2
        factors: Tensor = (self._uniform(draws, shape) >= zeroed).to(dtype)
        return factors.div_(1 - self.p)

    def numbers(self, draws: Tensor, shape: tuple[int, ...]) -> Tensor:
        """The random numbers that `factors` compares with p, 0 … 1: a value is kept from p on."""
        levels = 2**self.bits
        numbers: Tensor = (self._uniform(draws, shape).float() + levels // 2) / levels
        return numbers

    def _uniform(self, draws: Tensor, shape: tuple[int, ...]) -> Tensor:
        """An integer of `bits` bits for each value."""
        uniform = draws.view(torch.int8 if self.bits == 8 else torch.int16)[..., : math.prod(shape)]
        return uniform.view(*draws.shape[:-1], *shape)

    def extra_repr(self) -> str:
        return f"p={self.p}, whole_maps={self.whole_maps}"


class Normalize(nn.Module):
    """Pixels 0 … 255, as uint8 or float, -> float with mean 0 and standard deviation 1.

    The training images' own mean and deviation are buffers, so that they travel with the weights.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels, 1, 1))
        self.register_buffer("std", torch.ones(channels, 1, 1))
        self.mean: Tensor
        self.std: Tensor

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std
