"""Where in a network information goes: what a stage's pooling lets through, and what each stage knows.

All is asked of kept weights in evaluation mode. Maps are those that the pooling of a stage reduces: of the
convolution where the stage pools first, of the activation otherwise.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnkit.config.geometry import cells_of
from cnnkit.families.poolings import Layer, Pooling
from cnnkit.nn.model import CNN
from cnnkit.nn.pooling import Downsampling

SEEN = 0.0455  # of the strongest gradient: what a Gaussian has left at two and a half of its deviations
PROBE_GRID = 4  # cells along each side of the maps that a linear probe is given
PROBE_PENALTY = 1.0  # of the ridge regression, on standardised values


class _Watched(Pooling):
    """A pooling that computes what it always does, the long way, and keeps what went in and came out.

    Of one that skips, all places of the convolution count as going in, also those that it leaves out.
    """

    def __init__(self, own: Pooling, change: Callable[[Tensor], Tensor] | None = None) -> None:
        self.own, self.change = own, change
        self.multiplies_channels, self.skips, self.parts = own.multiplies_channels, own.skips, own.parts
        self.before = self.after = torch.empty(0)

    def convolve(self, layer: Layer, images: Tensor) -> Tensor:
        if not self.skips:
            return self.own.convolve(layer, images)
        return layer.convolution.dense(images)  # type: ignore[attr-defined,no-any-return]

    def reduce(self, layer: Layer, maps: Tensor) -> Tensor:
        self.before = maps
        if self.skips:
            k = layer.factor
            height, width = maps.shape[-2] // k, maps.shape[-1] // k
            self.after = maps[..., ::k, ::k][..., :height, :width]
        else:
            self.after = self.own.reduce(layer, maps)
        return self.after if self.change is None else self.change(self.after)

    def forward(self, layer: Layer, images: Tensor) -> Tensor:
        return self.reduce(layer, self.convolve(layer, images))


@contextmanager
def watched(
    model: CNN, change: dict[int, Callable[[Tensor], Tensor]] | None = None
) -> Iterator[list[_Watched]]:
    """While it is open, each stage's pooling is watched. change: by stage, what is done to its maps after."""
    with ExitStack() as stack:
        poolings = []
        for number, layer in enumerate(_downsamplings(model)):
            pooling = _Watched(layer.pooling, (change or {}).get(number))
            stack.callback(setattr, layer, "pooling", layer.pooling)
            layer.pooling = pooling
            poolings.append(pooling)
        yield poolings


def _downsamplings(model: CNN) -> list[Downsampling]:
    return [layer for layer in model.modules() if isinstance(layer, Downsampling)]


@dataclass(frozen=True)
class Flow:
    """Of one stage, a share each.

    reached: of the cells of the maps, how many get a gradient of the loss. energy: mean square of the reduced
    maps, divided by that of each cell's strongest value. winner: entropy of the place in a k × k cell that
    the answer depends on, by its share of the gradient, divided by log k², the largest; averaged over
    channels. 0: always the same place, 1: all alike.
    """

    reached: float
    energy: float
    winner: float


def flows(model: CNN, images: Tensor, labels: Tensor) -> list[Flow]:
    """One for each stage. images: (N, C, H, W), pixels 0 … 255. labels: (N,)."""
    with watched(model) as poolings:
        logits = model(images)
        loss = F.cross_entropy(logits, labels, reduction="sum")
        gradients = torch.autograd.grad(loss, [pooling.before for pooling in poolings], retain_graph=True)
        told = []
        for layer, pooling, gradient in zip(_downsamplings(model), poolings, gradients, strict=True):
            (weight,) = torch.autograd.grad(pooling.after.sum(), pooling.before, retain_graph=True)
            strongest = F.max_pool2d(pooling.before.detach().square(), layer.factor)
            energy = pooling.after.detach().square().mean() / strongest.mean()
            reached = (gradient != 0).float().mean()
            told.append(Flow(float(reached), float(energy), _winner(weight.abs(), layer.factor)))
    return told


def _winner(weights: Tensor, k: int) -> float:
    """weights: (N, C, H, W), what the reduced maps depend on."""
    if k == 1:
        return 0.0
    height, width = (side // k * k for side in weights.shape[2:])
    cells = weights[..., :height, :width].unflatten(3, (-1, k)).unflatten(2, (-1, k))
    places = cells.sum((0, 2, 4)).flatten(1).double()  # (C, k · k)
    shares = places / places.sum(1, keepdim=True).clamp(min=1e-30)
    return float(torch.special.entr(shares).sum(1).mean() / math.log(k * k))


def receptive_field(model: CNN, images: Tensor) -> float:
    """What a cell in the middle of the last maps really sees, as a share of what it could: side by side.

    Gradients of the cell's features by the pixels, their sizes added over images and channels; counted are
    pixels above `SEEN` of the strongest (Luo et al. 2016, "Understanding the effective receptive field").
    """
    pixels = images.float().requires_grad_()
    maps = model.stages(model.normalize(pixels))
    middle = maps[..., maps.shape[2] // 2, maps.shape[3] // 2]
    (gradient,) = torch.autograd.grad(middle.sum(), pixels)
    strength = gradient.abs().sum((0, 1))
    side = math.sqrt(int((strength > SEEN * strength.max()).sum()))
    shape = images.shape[1:]
    return side / float(min(cells_of(model.config, (shape[0], shape[1], shape[2])).sees, *shape[1:]))


def silenced(model: CNN, stage: int, part: int) -> Callable[[Tensor], Tensor]:
    """What takes the information out of one part of a stage's maps: each map becomes its own mean.

    Its level stays, so that what follows is not surprised by silence alone.
    """
    parts = _downsamplings(model)[stage].pooling.multiplies_channels

    def change(maps: Tensor) -> Tensor:
        channels = maps.shape[1] // parts
        mine = slice(part * channels, (part + 1) * channels)
        changed = maps.clone()
        changed[:, mine] = maps[:, mine].mean((0, 2, 3), keepdim=True)
        return changed

    return change


@torch.no_grad()
def stage_features(model: CNN, images: Tensor) -> list[Tensor]:
    """After each stage, averaged to at most `PROBE_GRID` × `PROBE_GRID` cells: (N, D) each."""
    maps, found = model.normalize(images), []
    for stage in model.stages:
        maps = stage(maps)
        grid = min(PROBE_GRID, maps.shape[2]), min(PROBE_GRID, maps.shape[3])
        found.append(F.adaptive_avg_pool2d(maps.float(), grid).flatten(1))
    return found


def linear_probe(train: Tensor, train_labels: Tensor, test: Tensor, test_labels: Tensor) -> float:
    """Accuracy of a ridge classifier on features. train: (N, D). test: (M, D)."""
    from sklearn.linear_model import RidgeClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    scaler: Any = StandardScaler
    ridge: Any = RidgeClassifier
    together: Any = make_pipeline
    probe = together(scaler(), ridge(alpha=PROBE_PENALTY))
    probe.fit(train.cpu().numpy(), train_labels.cpu().numpy())
    return float((probe.predict(test.cpu().numpy()) == test_labels.cpu().numpy()).mean())
