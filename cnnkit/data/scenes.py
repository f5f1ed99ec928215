"""The data set `small-object`: one digit in a larger scene, among pieces of other digits.

Made for one question: is there a bear in one of 7 × 7 cells? Averaging the cells may miss a small one
that the maximum finds. After "cluttered MNIST" of Mnih et al., "Recurrent models of visual attention",
2014, whose digits keep their size.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnkit.config.schema import SceneConfig

INK_SIDE = 22  # pixels: what is left of an MNIST digit's 28 without its empty margin


def make_scenes(
    digits: Tensor, labels: Tensor, scene: SceneConfig, count: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Scenes (count, 1, S, S) uint8 and the labels (count,) of their objects.

    digits: (N, 1, H, W) uint8, used in random order, each once before any is used again. Scene i holds
    an object of side `scene.object_sizes[i % len]`, so that every size is as frequent.
    """
    ink = _without_margin(digits)
    rounds = -(-count // len(ink))
    chosen = torch.cat([torch.randperm(len(ink), generator=generator) for _ in range(rounds)])[:count]
    scenes = torch.zeros(count, scene.size**2, dtype=torch.uint8)
    for _ in range(scene.clutter):
        donors = torch.randint(len(ink), (count,), generator=generator)
        pieces = _pieces(ink[donors], scene.clutter_size, generator)
        places = _anywhere(count, scene.size - scene.clutter_size, generator)
        _put(scenes, torch.arange(count), pieces, places, scene.size)
    for k, side in enumerate(scene.object_sizes):
        mine = torch.arange(k, count, len(scene.object_sizes))
        places = _places(scene, side, len(mine), generator)
        _put(scenes, mine, _resized(ink[chosen[mine]], side), places, scene.size)
    return scenes.view(count, 1, scene.size, scene.size), labels[chosen]


def _without_margin(digits: Tensor) -> Tensor:
    """(N, 1, H, W) -> (N, 1, INK_SIDE, INK_SIDE): MNIST's margin cut off, smaller digits enlarged."""
    margin = max(0, (digits.shape[-1] - INK_SIDE) // 2)
    inner = digits[..., margin : digits.shape[-2] - margin, margin : digits.shape[-1] - margin]
    return inner if inner.shape[-1] == INK_SIDE else _resized(inner, INK_SIDE)


def _resized(images: Tensor, side: int) -> Tensor:
    """(N, 1, H, W) uint8 -> (N, 1, side, side) uint8, each image's brightest pixel 255 again."""
    if images.shape[-1] == side or not len(images):
        return images
    chunks = [
        F.interpolate(chunk.float(), size=(side, side), mode="bilinear", antialias=True)
        for chunk in images.split(4096)
    ]
    resized = torch.cat(chunks)
    strongest = resized.amax((2, 3), keepdim=True).clamp(min=1)
    return (resized * 255 / strongest).round().to(torch.uint8)


def _pieces(images: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """A random square of each image: (N, 1, H, W) -> (N, 1, side, side)."""
    n, _, height, width = images.shape
    index = _square(_anywhere(n, height - side, generator), side, width)
    return images.flatten(1).gather(1, index).view(n, 1, side, side)


def _anywhere(count: int, room: int, generator: torch.Generator) -> Tensor:
    """(count, 2) rows and columns, 0 … room."""
    return torch.randint(room + 1, (count, 2), generator=generator)


def _places(scene: SceneConfig, side: int, count: int, generator: torch.Generator) -> Tensor:
    """(count, 2): where the upper left corner of each object lies."""
    room = scene.size - side
    if scene.position == "anywhere":
        return _anywhere(count, room, generator)
    if scene.position == "centre":
        return torch.full((count, 2), room // 2)
    return torch.randint(2, (count, 2), generator=generator) * room


def _square(places: Tensor, side: int, width: int) -> Tensor:
    """(N, side · side): the places of a square's pixels in a flat image of that width."""
    steps = torch.arange(side)
    rows, columns = places[:, :1] + steps, places[:, 1:] + steps
    return (rows[:, :, None] * width + columns[:, None, :]).flatten(1)


def _put(scenes: Tensor, which: Tensor, patches: Tensor, places: Tensor, width: int) -> None:
    """Lays patches (N, 1, s, s) over scenes (M, width · width), the brighter of two pixels winning."""
    index = _square(places, patches.shape[-1], width)
    under = scenes[which]
    brighter = torch.maximum(under.gather(1, index), patches.flatten(1))
    scenes[which] = under.scatter(1, index, brighter)
