"""Where in a network information goes: what a stage's pooling lets through, and what each stage knows.

All is asked of kept weights in evaluation mode. Maps are those that the pooling of a stage reduces: of the
convolution where the stage pools first, of the activation otherwise.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnkit.families.poolings import POOLINGS
from cnnkit.nn.layers import Downsampling
from cnnkit.nn.model import CNN
from cnnkit.probe.shift import DIRECTIONS, shifted

SEEN = 0.0455  # of the strongest gradient: what a Gaussian has left at two and a half of its deviations
PROBE_GRID = 4  # cells along each side of the maps that a linear probe is given
PROBE_PENALTY = 1.0  # of the ridge regression, on standardised values


@dataclass
class Watched:
    """Maps of a stage at the last answer, (N, C, H, W): before its pooling, and after it."""

    before: Tensor
    after: Tensor


Change = Callable[[Tensor], Tensor]


@contextmanager
def watched(model: CNN, change: dict[int, Change] | None = None) -> Iterator[list[Watched]]:
    """Records, in a `with` block, the maps of each stage before and after its pooling.

    change: by stage, a function of the maps after it. Poolings compute the same values as always, but no
    convolution skips places.
    """
    with ExitStack() as stack:
        seen = []
        for number, layer in enumerate(downsamplings(model)):
            one = Watched(torch.empty(0), torch.empty(0))
            layer.forward = partial(_watch, layer, layer.forward, one, (change or {}).get(number))  # type: ignore[method-assign]
            stack.callback(delattr, layer, "forward")
            seen.append(one)
        yield seen


def _watch(
    layer: Downsampling,
    forward: Callable[[Tensor, Change], Tensor],
    seen: Watched,
    change: Change | None,
    images: Tensor,
    between: Change | None = None,
) -> Tensor:
    """As the layer's own `forward`. A convolution that skips is computed at all places, and then skips."""

    def kept(maps: Tensor) -> Tensor:
        seen.before = maps if between is None else between(maps)
        return seen.before

    if layer.convolution.stride[0] == 1:
        seen.after = forward(images, kept)
    else:
        k = layer.factor
        maps = kept(layer.convolution.dense(images))
        height, width = maps.shape[-2] // k, maps.shape[-1] // k
        seen.after = maps[..., ::k, ::k][..., :height, :width]
    return seen.after if change is None else change(seen.after)


def downsamplings(model: CNN) -> list[Downsampling]:
    """Of each stage."""
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
        for layer, pooling, gradient in zip(downsamplings(model), poolings, gradients, strict=True):
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


def receptive_field(model: CNN, images: Tensor) -> Tensor:
    """What a cell in the middle of the last maps depends on, pixel by pixel of the square that it could see.

    (rows, columns), 0 … 1, as far as the square lies in the image. Gradients of the cell's features by the
    pixels, their sizes added over images and channels, divided by the largest (Luo et al. 2016,
    "Understanding the effective receptive field").
    """
    pixels = images.float().requires_grad_()
    maps = model.stages(model.normalize(pixels))
    row, column = maps.shape[2] // 2, maps.shape[3] // 2
    (gradient,) = torch.autograd.grad(maps[..., row, column].sum(), pixels)
    rows, columns = square_seen(model, images.shape[2:])
    strength = gradient.abs().sum((0, 1))[rows, columns]
    return strength / strength.max().clamp(min=1e-30)


def square_seen(model: CNN, size: Sequence[int]) -> tuple[slice, slice]:
    """The rows and columns of an image of this height and width that `receptive_field` tells of."""
    middle = (side // math.prod(stage.pool_size for stage in model.config.stages) // 2 for side in size)
    rows, columns = (_seen_by(model, cell, side) for cell, side in zip(middle, size, strict=True))
    return rows, columns


def _seen_by(model: CNN, cell: int, size: int) -> slice:
    """The pixels, of `size` along one side, that a cell of the last maps could depend on."""
    first = last = cell
    for stage in reversed(model.config.stages):
        k, side = stage.pool_size, stage.kernel_size
        seen = POOLINGS[stage.pooling].seen(stage.choice, k)
        beyond = max(0, seen - k) // 2  # a pooling that looks beyond its cell does so on both sides
        first, last = first * k - beyond, last * k - beyond + seen - 1
        first -= stage.convolutions * ((side - 1) // 2)
        last += stage.convolutions * (side // 2)
    return slice(max(first, 0), min(last + 1, size))


def seen_share(field: Tensor) -> float:
    """Of `receptive_field`: the side of as many pixels as are above `SEEN`, divided by that of all."""
    return math.sqrt(int((field > SEEN).sum()) / field.numel())


@torch.no_grad()
def responses(model: CNN, images: Tensor) -> list[float]:
    """What is left in the strongest cell of each map of stage 1 when the image moves by 0, 1, … k pixels.

    Sums over images and maps of how far the cell lies above the mean of its map, divided by that of images
    that do not move; means over the four directions. images: (N, C, H, W), pixels 0 … 255.
    """
    maps = _first_maps(model, images)
    strongest = maps.argmax(2, keepdim=True)
    usual = float((maps.gather(2, strongest) - maps.mean(2, keepdim=True)).sum())
    found = [1.0]
    for distance in range(1, model.config.stages[0].pool_size + 1):
        moved = [
            _first_maps(model, shifted(images, distance * y, distance * x)) for y, x in DIRECTIONS.values()
        ]
        left = [float((m.gather(2, strongest) - m.mean(2, keepdim=True)).sum()) for m in moved]
        found.append(sum(left) / len(left) / (usual or 1.0))
    return found


def _first_maps(model: CNN, images: Tensor) -> Tensor:
    """(N, C, cells)"""
    return model.stages[0](model.normalize(images)).float().flatten(2)  # type: ignore[no-any-return]


def silenced(model: CNN, stage: int, part: int) -> Callable[[Tensor], Tensor]:
    """A function that removes the information from one part of a stage's maps: each becomes its own mean.

    The mean of each map stays, so the next layers see values as large as before.
    """
    parts = len(downsamplings(model)[stage].parts)

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
    """Accuracy of a ridge classifier on features: least squares to 1 for the class and -1 for the others.

    train: (N, D). test: (M, D). Features are standardised; the weights' sizes cost `PROBE_PENALTY`.
    """
    mean, deviation = train.mean(0), train.std(0, correction=0)
    deviation[deviation == 0] = 1
    x, asked = ((features - mean) / deviation for features in (train, test))
    wanted = 2 * F.one_hot(train_labels).to(x) - 1
    level = wanted.mean(0)
    weights = _ridge(x, wanted - level)
    return float(((asked @ weights + level).argmax(1) == test_labels.to(x.device)).double().mean())


def _ridge(x: Tensor, y: Tensor) -> Tensor:
    """(N, D), (N, classes) -> (D, classes), by the smaller of the two systems of equations."""
    wide = x.shape[1] > len(x)
    gram = (x @ x.T if wide else x.T @ x).double()
    gram.diagonal().add_(PROBE_PENALTY)
    found = torch.cholesky_solve((y if wide else x.T @ y).double(), torch.linalg.cholesky(gram)).to(x)
    return x.T @ found if wide else found
