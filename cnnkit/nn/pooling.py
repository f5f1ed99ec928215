"""How feature maps shrink: the downsampling strategies, and the poolings of the head.

All strategies start from the same convolution with "same" padding and give the same grid: height and
width divided by k, rounding down, for every input size, kernel size and k. They differ only in how
k × k cells become one:

    stride   the convolution's value at the cell's first corner; the others are never computed
    max      their largest
    avg      their mean
    concat   both, stacked: twice the channels (fastai's AdaptiveConcatPool2d does so at the head)
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SameConv2d(nn.Conv2d):
    """A convolution whose grid at stride 1 is its input's: (N, C, H, W) -> (N, C', ⌈H/s⌉, ⌈W/s⌉).

    An even kernel, which has no middle, gets its extra padding at the bottom and the right.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, bias: bool = True
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, (kernel_size - 1) // 2, bias=bias)

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

    A subclass declares how it multiplies the channels, so that no caller asks for its name, and whether
    its convolution skips by k.
    """

    multiplies_channels = 1
    skips = False

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, factor: int, bias: bool = True
    ) -> None:
        super().__init__()
        self.factor = factor
        self.out_channels = out_channels * self.multiplies_channels
        stride = factor if self.skips else 1
        self.convolution = SameConv2d(in_channels, out_channels, kernel_size, stride, bias)


class StridedConv(Downsampling):
    skips = True

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2] // self.factor, images.shape[-1] // self.factor
        # A k that does not divide leaves a started cell at the edge, which the poolings drop.
        return self.convolution(images)[..., :height, :width]  # type: ignore[no-any-return]


class MaxPool(Downsampling):
    def forward(self, images: Tensor) -> Tensor:
        return F.max_pool2d(self.convolution(images), self.factor)


class AvgPool(Downsampling):
    def forward(self, images: Tensor) -> Tensor:
        return self.convolution.averaged(images, self.factor)


class ConcatPool(Downsampling):
    multiplies_channels = 2

    def forward(self, images: Tensor) -> Tensor:
        maps = self.convolution(images)
        if self.convolution.weight.shape[1] == 1:
            means = self.convolution.averaged(images, self.factor)
        else:  # of many channels a second convolution costs more: a step of 11.3 ms, not 9.7
            means = F.avg_pool2d(maps, self.factor)
        return torch.cat([F.max_pool2d(maps, self.factor), means], dim=1)


POOLING: dict[str, type[Downsampling]] = {
    "stride": StridedConv,
    "max": MaxPool,
    "avg": AvgPool,
    "concat": ConcatPool,
}


class FlattenHead(nn.Module):
    """(N, C, H, W) -> (N, H·W·C): every cell of the grid keeps its own weights.

    Channels come last, as they lie in memory: nothing is copied, there or back, which saves 5 % of a step.
    """

    def forward(self, maps: Tensor) -> Tensor:
        return maps.permute(0, 2, 3, 1).flatten(1)


class AvgHead(nn.Module):
    """(N, C, H, W) -> (N, C): how much of it is there, on average?"""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.mean((2, 3))


class MaxHead(nn.Module):
    """(N, C, H, W) -> (N, C): is it anywhere?"""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.amax((2, 3))


class ConcatHead(nn.Module):
    """(N, C, H, W) -> (N, 2C): the maxima, then the means."""

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([maps.amax((2, 3)), maps.mean((2, 3))], dim=1)


HEADS: dict[str, type[FlattenHead | AvgHead | MaxHead | ConcatHead]] = {
    "flatten": FlattenHead,
    "avg": AvgHead,
    "max": MaxHead,
    "concat": ConcatHead,
}
