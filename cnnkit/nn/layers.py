"""The layers of a network that torch lacks in this form, in the order in which an image passes them.

Pixel normalisation; a convolution that keeps the grid; the downsampling of a stage and the head, built of
what `cnnkit.families` names; dropout with its own random generator.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnnkit.families.heads import Head
from cnnkit.families.poolings import Pooling
from cnnkit.families.settings import Choice


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


class SameConv2d(nn.Conv2d):
    """A convolution whose grid at stride 1 is its input's: (N, C, H, W) -> (N, C', ⌈H/s⌉, ⌈W/s⌉).

    An even kernel, which has no middle, gets its extra padding at the bottom and the right.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        bias: bool = True,
        groups: int = 1,
    ) -> None:
        padding = (kernel_size - 1) // 2
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=bias)

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(self._padded(images))

    def averaged(self, images: Tensor, k: int) -> Tensor:
        """`F.avg_pool2d(self(images), k)` as one convolution: (N, C, H, W) -> (N, C', ⌊H/k⌋, ⌊W/k⌋).

        The mean over a cell of k × k answers is the answer of the mean of the filter's k × k shifts, so
        the filters are averaged, and the convolution skips by k: a step of fast.yaml with avg takes 5.1 ms
        on two cores, pooled apart 6.3.
        """
        filters = F.avg_pool2d(F.pad(self.weight, (k - 1,) * 4), k, stride=1)
        return F.conv2d(self._padded(images), filters, self.bias, k, self.padding, groups=self.groups)

    def dense(self, images: Tensor) -> Tensor:
        """The answer at every place, whatever the stride: (N, C, H, W) -> (N, C', H, W)."""
        return F.conv2d(self._padded(images), self.weight, self.bias, 1, self.padding, groups=self.groups)

    def _padded(self, images: Tensor) -> Tensor:
        return images if self.kernel_size[0] % 2 else F.pad(images, (0, 1, 0, 1))


class Downsampling(nn.Module):
    """A convolution, and then k × k cells made one: (N, C, H, W) -> (N, out_channels, ⌊H/k⌋, ⌊W/k⌋).

    filters: of the convolution. factor: k. choice: the settings of the pooling; None: their defaults.
    networks: how many lie side by side.
    """

    def __init__(
        self,
        entry: Pooling,
        in_channels: int,
        filters: int,
        kernel_size: int,
        factor: int,
        bias: bool = True,
        choice: Choice | None = None,
        networks: int = 1,
    ) -> None:
        super().__init__()
        self.entry = entry
        self.factor = factor
        self.choice = choice or Choice(entry.name)
        self.out_channels = filters * entry.multiplies_channels
        stride = factor if entry.skips else 1
        self.convolution = SameConv2d(in_channels, filters, kernel_size, stride, bias, groups=networks)
        self.pooling = entry.build(self.choice, factor, filters, networks)

    @property
    def parts(self) -> tuple[str, ...]:
        """The name of each of the maps that the pooling makes of one; empty where it makes one."""
        return self.entry.parts

    def forward(self, images: Tensor, between: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """between: what is done to the convolution's maps before they are reduced; it keeps their shape."""
        if between is not None:
            return self.pooling(between(self.convolution(images)))  # type: ignore[no-any-return]
        if shorter := getattr(self.pooling, "of_convolution", None):
            return shorter(self.convolution, images)  # type: ignore[no-any-return]
        return self.pooling(self.convolution(images))  # type: ignore[no-any-return]


class HeadLayer(nn.Module):
    """(N, C, H, W) -> (N, features). choice: the settings of the head; None: their defaults."""

    def __init__(self, entry: Head, channels: int, choice: Choice | None = None) -> None:
        super().__init__()
        self.entry = entry
        self.pooling = entry.build(choice or Choice(entry.name), channels)

    def forward(self, maps: Tensor) -> Tensor:
        return self.pooling(maps)  # type: ignore[no-any-return]


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
