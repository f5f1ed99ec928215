"""The torch modules of a stage's pooling and of the head; `cnnkit.families` has what they compute."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from cnnkit.families.heads import Head
from cnnkit.families.poolings import Pooling


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

    filters: of the convolution. factor: k.
    """

    def __init__(
        self,
        pooling: Pooling,
        in_channels: int,
        filters: int,
        kernel_size: int,
        factor: int,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.pooling = pooling
        self.factor = factor
        self.out_channels = filters * pooling.multiplies_channels
        stride = factor if pooling.skips else 1
        self.convolution = SameConv2d(in_channels, filters, kernel_size, stride, bias)
        pooling.add_parameters(self)

    @property
    def parts(self) -> tuple[str, ...]:
        """The name of each of the maps that the pooling makes of one; empty where it makes one."""
        return self.pooling.parts

    def forward(self, images: Tensor, between: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """between: what is done to the convolution's maps before they are reduced; it keeps their shape."""
        if between is None:
            return self.pooling.forward(self, images)
        return self.pooling.reduce(self, between(self.pooling.convolve(self, images)))


class HeadLayer(nn.Module):
    """(N, C, H, W) -> (N, features)"""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, maps: Tensor) -> Tensor:
        return self.head.forward(maps)
