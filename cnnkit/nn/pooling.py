"""The torch modules of a stage's downsampling and of the head, built of what `cnnkit.families` names."""

from collections.abc import Callable

from torch import Tensor, nn

from cnnkit.families.heads import Head
from cnnkit.families.poolings import Pooling
from cnnkit.families.settings import Choice
from cnnkit.nn.convolution import SameConv2d


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
