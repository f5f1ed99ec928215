"""How a stage shrinks its feature maps.

All poolings start from the same convolution with "same" padding and give the same grid: height and width
divided by k, rounding down, for every input size, kernel size and k. They differ only in how k × k cells
become one. A stage reduces the maps of its convolution, or what norm and activation make of them: `ORDERS`.

To add one, write a subclass of `Pooling` and register an instance of it in `POOLINGS`. Nothing else in
cnnkit needs to know its name.
"""

from typing import TYPE_CHECKING, Any, Protocol

from cnnkit.families.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor


class Convolution(Protocol):
    """The convolution of a stage. weight: (C', C / groups, side, side)."""

    @property
    def weight(self) -> "Tensor": ...

    @property
    def __call__(self) -> Any:  # a property, because torch declares a module's __call__ as an attribute
        """(N, C, H, W) -> (N, C', H, W), or (N, C', ⌈H/k⌉, ⌈W/k⌉) if the pooling skips."""

    def averaged(self, images: "Tensor", k: int) -> "Tensor":
        """The means of k × k cells of what it computes: (N, C, H, W) -> (N, C', ⌊H/k⌋, ⌊W/k⌋)."""


class Layer(Protocol):
    """The torch module that a pooling works in. factor: k."""

    @property
    def factor(self) -> int: ...

    @property
    def convolution(self) -> Convolution: ...


class Pooling:
    """One way to shrink feature maps; a subclass sets the attributes and `reduce`.

    name: the word in a configuration. summary: one line for a person who chooses.
    kind: the name of its layer in `cnnkit summary`.
    multiplies_channels: how many maps it makes of one map of the convolution.
    skips: whether the convolution has stride k.
    keeps_one_value: whether a cell of one value stays as it is: with k = 1 such poolings are one network.
    parts: the name of each of the maps that it makes of one map; empty if it makes one, which has its name.
    """

    name: str
    summary: str
    kind: str
    multiplies_channels = 1
    skips = False
    keeps_one_value = False
    parts: tuple[str, ...] = ()

    def convolve(self, layer: Layer, images: "Tensor") -> "Tensor":
        """(N, C, H, W) -> the maps that are reduced, (N, C', H, W); on the last grid if the pooling skips."""
        return layer.convolution(images)  # type: ignore[no-any-return]

    def reduce(self, layer: Layer, maps: "Tensor") -> "Tensor":
        """(N, C', H, W) -> (N, multiplies_channels · C', ⌊H/k⌋, ⌊W/k⌋)."""
        raise NotImplementedError

    def forward(self, layer: Layer, images: "Tensor") -> "Tensor":
        """Both, with nothing between: (N, C, H, W) -> (N, multiplies_channels · C', ⌊H/k⌋, ⌊W/k⌋).

        A pooling that has a short cut takes it here. It must give the same, up to rounding.
        """
        return self.reduce(layer, self.convolve(layer, images))

    def add_parameters(self, layer: Any) -> None:
        """Called once with the new torch module: a pooling with parameters of its own adds them here."""

    def own_cost(self, channels: int, grid: tuple[int, int]) -> tuple[int, int]:
        """(parameters, multiply-accumulates for one image) without those of the convolution.

        channels, grid: of the maps that it makes; grid is (height, width).
        """
        return 0, 0

    def values_seen(self, k: int) -> int:
        """How many values of the convolution's grid one cell depends on, along one side."""
        return 1 if self.skips else k


class Stride(Pooling):
    name = "stride"
    summary = "the convolution skips: its value at the cell's first corner; the others are not computed"
    kind = "StridedConv"
    skips = True
    keeps_one_value = True

    def convolve(self, layer: Layer, images: "Tensor") -> "Tensor":
        height, width = images.shape[-2] // layer.factor, images.shape[-1] // layer.factor
        # A k that does not divide leaves a started cell at the edge, which the poolings drop.
        return layer.convolution(images)[..., :height, :width]  # type: ignore[no-any-return]

    def reduce(self, layer: Layer, maps: "Tensor") -> "Tensor":
        return maps


class Max(Pooling):
    name = "max"
    summary = "the largest value of the cell"
    kind = "MaxPool"
    keeps_one_value = True

    def reduce(self, layer: Layer, maps: "Tensor") -> "Tensor":
        from torch.nn.functional import max_pool2d

        return max_pool2d(maps, layer.factor)


class Average(Pooling):
    name = "avg"
    summary = "the mean of the cell"
    kind = "AvgPool"
    keeps_one_value = True

    def reduce(self, layer: Layer, maps: "Tensor") -> "Tensor":
        from torch.nn.functional import avg_pool2d

        return avg_pool2d(maps, layer.factor)

    def forward(self, layer: Layer, images: "Tensor") -> "Tensor":
        return layer.convolution.averaged(images, layer.factor)


class Concat(Pooling):
    """fastai's AdaptiveConcatPool2d does the same at the head."""

    name = "concat"
    summary = "the largest value and the mean, stacked: twice the channels"
    kind = "ConcatPool"
    multiplies_channels = 2
    parts = ("max", "avg")

    def reduce(self, layer: Layer, maps: "Tensor") -> "Tensor":
        from torch.nn.functional import avg_pool2d

        return _largest_and(avg_pool2d(maps, layer.factor), maps, layer.factor)

    def forward(self, layer: Layer, images: "Tensor") -> "Tensor":
        if (
            layer.convolution.weight.shape[1] > 1
        ):  # a second convolution costs more: a step of 11.3 ms for 9.7
            return super().forward(layer, images)
        means = layer.convolution.averaged(images, layer.factor)
        return _largest_and(means, layer.convolution(images), layer.factor)


def _largest_and(means: "Tensor", maps: "Tensor", k: int) -> "Tensor":
    import torch
    from torch.nn.functional import max_pool2d

    return torch.cat([max_pool2d(maps, k), means], dim=1)


POOLINGS: Registry[Pooling] = Registry("pooling", Stride(), Max(), Average(), Concat())
ACTIVATION_FIRST, POOLING_FIRST = "activation_first", "pooling_first"
# What follows the convolution of a stage. One that skips has nothing left to reduce: both orders are one.
ORDERS = {
    ACTIVATION_FIRST: "norm and activation, and then downsampling: what is reduced are activations",
    POOLING_FIRST: "downsampling, and then norm and activation on the smaller grid, which is less work",
}
