"""Networks of one shape side by side, as one: S small layers become one layer that fills a GPU."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from cnnkit.nn.layers import Downsampling, Dropout, HeadLayer, Normalize, SameConv2d
from cnnkit.nn.model import CNN, Stage


class Alone(nn.Module):
    """Gives a single network the interface of `SideBySide`: (N, C, H, W) -> logits (1, N, classes)."""

    def __init__(self, model: CNN) -> None:
        super().__init__()
        self.model = model
        self.tensors = side_by_side([model])

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images)[None]  # type: ignore[no-any-return]


class SideBySide(nn.Module):
    """S networks as one, with their channels side by side: images (N, S·C, H, W) -> logits (S, N, classes).

    Convolutions have S groups, norms have S times the channels, dense layers are batched products. No value
    of one network reaches another. Each parameter and buffer is the concatenation of the networks' own along
    the first dimension. The networks' own become views of it, so each can be measured and saved alone.
    tensors: all parameters and buffers, by the name that they have in a single network.
    """

    def __init__(self, models: Sequence[CNN]) -> None:
        super().__init__()
        with torch.device("meta"):  # the weights come from `side_by_side`
            self.normalize = wide([model.normalize for model in models])
            self.stages = wide([model.stages for model in models])
            self.head = wide([model.head for model in models])
            self.dense = wide([model.dense for model in models])
        self.tensors = side_by_side(models)
        for name, tensor in self.tensors.items():
            owner, _, leaf = name.rpartition(".")
            layer = self.get_submodule(owner)
            setattr(layer, leaf, nn.Parameter(tensor) if leaf in layer._parameters else tensor)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.stages(self.normalize(images))
        return self.dense(self.head(maps))  # type: ignore[no-any-return]


def side_by_side(models: Sequence[nn.Module]) -> dict[str, Tensor]:
    """Concatenates parameters and buffers of equally built models, by name; the models' become views."""
    owned = [dict([*model.named_parameters(), *model.named_buffers()]) for model in models]
    if len(models) == 1:
        return {name: tensor.detach() for name, tensor in owned[0].items()}
    result = {}
    for name, first in owned[0].items():
        parts = [tensors[name].detach() for tensors in owned]
        whole = torch.cat(parts) if first.dim() else torch.stack(parts)
        if whole.dim() == 4:
            whole = whole.contiguous(memory_format=torch.channels_last)
        views = whole.chunk(len(models)) if first.dim() else whole.unbind()
        for tensors, view in zip(owned, views, strict=True):
            tensors[name].data = view
        result[name] = whole
    return result


def wide(layers: Sequence[nn.Module]) -> nn.Module:
    """One layer that does for S networks side by side what each of these does for its own."""
    first = layers[0]
    if isinstance(first, nn.Sequential):
        rows = zip(*(layer.named_children() for layer in layers), strict=True)
        widened = OrderedDict((row[0][0], wide([layer for _, layer in row])) for row in rows)
        return Stage(widened, first.pools_first) if isinstance(first, Stage) else nn.Sequential(widened)
    for kind, make in WIDE.items():
        if isinstance(first, kind):
            return make(layers)
    return first  # activations work value by value


def wide_convolution(layers: Sequence[SameConv2d]) -> SameConv2d:
    """At stride 1: (N, S·C, H, W) -> (N, S·C', H, W)"""
    first, count = layers[0], len(layers)
    channels = (first.in_channels * count, first.out_channels * count)
    return SameConv2d(*channels, first.kernel_size[0], bias=first.bias is not None, groups=count)


class WideDownsampling(nn.Module):
    """(N, S·C, H, W) -> (N, S·out_channels, ⌊H/k⌋, ⌊W/k⌋)"""

    def __init__(self, layers: Sequence[Downsampling]) -> None:
        super().__init__()
        first, self.count = layers[0], len(layers)
        narrow = first.convolution
        channels = (narrow.in_channels * self.count, narrow.out_channels * self.count)
        size, bias = narrow.kernel_size[0], narrow.bias is not None
        self.layer = Downsampling(first.entry, *channels, size, first.factor, bias, first.choice, self.count)
        # Under the names that they have in a single network.
        self.convolution, self.pooling = self.layer.convolution, self.layer.pooling

    def forward(self, maps: Tensor, between: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        maps = self.layer(maps, between)
        times = self.layer.entry.multiplies_channels
        if times == 1:
            return maps
        kinds = maps.permute(0, 2, 3, 1).unflatten(3, (times, self.count, -1))
        by_seed: Tensor = kinds.transpose(3, 4).flatten(3)  # so do they lie in memory, too
        return by_seed.permute(0, 3, 1, 2)


class WideHead(nn.Module):
    """(N, S·C, H, W) -> (S, N, features)"""

    def __init__(self, layers: Sequence[HeadLayer]) -> None:
        super().__init__()
        self.count = len(layers)
        # Its parameters become those of all networks, one after the other; `_one` has none that are used.
        self.pooling = deepcopy(layers[0].pooling)
        self._one = (deepcopy(layers[0].pooling),)

    def forward(self, maps: Tensor) -> Tensor:
        own = {name: p.unflatten(0, (self.count, -1)) for name, p in self.pooling.named_parameters()}
        each = torch.vmap(partial(functional_call, self._one[0]), in_dims=(0, 1))
        return each(own, maps.unflatten(1, (self.count, -1)))  # type: ignore[no-any-return]


class WideLinear(nn.Module):
    """(S, N, inputs) -> (S, N, outputs)"""

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.count = len(layers)
        self.weight = nn.Parameter(torch.empty(0))
        self.bias = nn.Parameter(torch.empty(0))

    def forward(self, values: Tensor) -> Tensor:
        weight, bias = (tensor.unflatten(0, (self.count, -1)) for tensor in (self.weight, self.bias))
        return torch.baddbmm(bias[:, None], values, weight.transpose(1, 2))


class WideDropout(nn.Module):
    """(S, N, units), or whole maps of (N, S·C, H, W): each network's own generator draws its masks."""

    def __init__(self, layers: Sequence[Dropout]) -> None:
        super().__init__()
        self.layers = list(layers)  # not copied: a generator may be given to them later

    def forward(self, values: Tensor) -> Tensor:
        first, count = self.layers[0], len(self.layers)
        if not self.training or first.p == 0:
            return values
        maps = (len(values), values.shape[1] // count, 1, 1)
        shape = maps if first.whole_maps else values.shape[1:]
        draws = torch.empty(count, first.draws_for(shape), dtype=torch.int64, device=values.device)
        for layer, row in zip(self.layers, draws, strict=True):
            layer.draw(row)
        factors = first.factors(draws, shape, values.dtype)
        return values * (factors.transpose(0, 1).flatten(1, 2) if first.whole_maps else factors)


WIDE: dict[Any, Callable[[Sequence[Any]], nn.Module]] = {
    Normalize: lambda layers: Normalize(sum(len(layer.mean) for layer in layers)),
    nn.BatchNorm2d: lambda layers: nn.BatchNorm2d(sum(layer.num_features for layer in layers)),
    SameConv2d: wide_convolution,
    Downsampling: WideDownsampling,
    nn.Linear: WideLinear,
    Dropout: WideDropout,
    HeadLayer: WideHead,
}
