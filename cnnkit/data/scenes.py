"""The data set `small-object`: one digit in a larger scene, among pieces of other digits.

The question behind it: is there a bear in one of 7 × 7 cells? The average over the cells may miss a small
bear that the maximum finds. After "cluttered MNIST" of Mnih et al., "Recurrent models of visual
attention", 2014, whose digits keep their size.
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnkit.config.images import SceneConfig
from cnnkit.families.datasets import INK_SIDE


@dataclass(frozen=True)
class Clutter:
    """One piece of clutter in each of N scenes.

    donors: (N,), the digits that the pieces are cut from. cuts, corners: (N, 2) row and column of a piece's
    upper left corner, in its digit and in the scene.
    """

    donors: Tensor
    cuts: Tensor
    corners: Tensor


@dataclass(frozen=True)
class Layout:
    """What lies where in N scenes, before a pixel is drawn.

    chosen: (N,), the digits that are the objects. corners: (N, 2) row and column of each object's upper
    left corner.
    """

    chosen: Tensor
    clutter: list[Clutter]
    corners: Tensor


def make_scenes(
    digits: Tensor, labels: Tensor, scene: SceneConfig, count: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Scenes (count, 1, S, S) uint8 and the labels (count,) of their objects.

    digits: (N, 1, H, W) uint8, used in random order, each once before any is used again. Scene i holds
    an object of side `scene.object_sizes[i % len]`, so that every size is as frequent.
    """
    ink, layout = _without_margin(digits), _layout(len(digits), scene, count, generator)
    return _drawn(ink, scene, layout), labels[layout.chosen]


def scenes_at(
    digits: Tensor,
    labels: Tensor,
    scene: SceneConfig,
    corner: tuple[int, int],
    count: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """As `make_scenes`, but each object's upper left corner lies at the row and column of `corner`."""
    ink, layout = _without_margin(digits), _layout(len(digits), scene, count, generator)
    layout = replace(layout, corners=torch.tensor(corner).expand(count, 2))
    return _drawn(ink, scene, layout), labels[layout.chosen]


def _drawn(ink: Tensor, scene: SceneConfig, layout: Layout) -> Tensor:
    """The clutter, and over it the objects: (count, 1, S, S) uint8."""
    count = len(layout.chosen)
    scenes = torch.zeros(count, scene.size**2, dtype=torch.uint8)
    for clutter in layout.clutter:
        pieces = _pieces(ink[clutter.donors], scene.clutter_size, clutter.cuts)
        _put(scenes, torch.arange(count), pieces, clutter.corners, scene.size)
    _put_objects(scenes, ink, scene, layout)
    return scenes.view(count, 1, scene.size, scene.size)


def only_objects(digits: Tensor, scene: SceneConfig, count: int, generator: torch.Generator) -> Tensor:
    """The scenes of `make_scenes` without their clutter: (count, 1, S, S) uint8.

    generator: in the state that `make_scenes` was given it.
    """
    scenes = torch.zeros(count, scene.size**2, dtype=torch.uint8)
    _put_objects(scenes, _without_margin(digits), scene, _layout(len(digits), scene, count, generator))
    return scenes.view(count, 1, scene.size, scene.size)


def _layout(digits: int, scene: SceneConfig, count: int, generator: torch.Generator) -> Layout:
    """All random draws of the scenes. Their order decides every scene of a seed: keep it."""
    rounds = -(-count // digits)
    chosen = torch.cat([torch.randperm(digits, generator=generator) for _ in range(rounds)])[:count]
    clutter = [
        Clutter(
            torch.randint(digits, (count,), generator=generator),
            _anywhere(count, INK_SIDE - scene.clutter_size, generator),
            _anywhere(count, scene.size - scene.clutter_size, generator),
        )
        for _ in range(scene.clutter)
    ]
    corners = torch.empty(count, 2, dtype=torch.long)
    for k, side in enumerate(scene.object_sizes):
        mine = slice(k, count, len(scene.object_sizes))
        corners[mine] = _object_corners(scene, side, len(corners[mine]), generator)
    return Layout(chosen, clutter, corners)


def _put_objects(scenes: Tensor, ink: Tensor, scene: SceneConfig, layout: Layout) -> None:
    for k, side in enumerate(scene.object_sizes):
        mine = torch.arange(k, len(scenes), len(scene.object_sizes))
        _put(scenes, mine, _resized(ink[layout.chosen[mine]], side), layout.corners[mine], scene.size)


def _without_margin(digits: Tensor) -> Tensor:
    """(N, 1, H, W) -> (N, 1, INK_SIDE, INK_SIDE): cuts off MNIST's margin, enlarges smaller digits."""
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


def _pieces(images: Tensor, side: int, corners: Tensor) -> Tensor:
    """A square of each image: (N, 1, H, W) -> (N, 1, side, side). corners: (N, 2)."""
    index = _square(corners, side, images.shape[-1])
    return images.flatten(1).gather(1, index).view(len(images), 1, side, side)


def _anywhere(count: int, room: int, generator: torch.Generator) -> Tensor:
    """(count, 2): random rows and columns, 0 … room."""
    return torch.randint(room + 1, (count, 2), generator=generator)


def _object_corners(scene: SceneConfig, side: int, count: int, generator: torch.Generator) -> Tensor:
    """(count, 2): row and column of each object's upper left corner."""
    room = scene.size - side
    if scene.position == "anywhere":
        return _anywhere(count, room, generator)
    if scene.position == "centre":
        return torch.full((count, 2), room // 2)
    return torch.randint(2, (count, 2), generator=generator) * room


def _square(corners: Tensor, side: int, width: int) -> Tensor:
    """(N, side · side): the indices of a square's pixels in a flat image of that width. corners: (N, 2)."""
    steps = torch.arange(side)
    rows, columns = corners[:, :1] + steps, corners[:, 1:] + steps
    return (rows[:, :, None] * width + columns[:, None, :]).flatten(1)


def _put(scenes: Tensor, which: Tensor, patches: Tensor, corners: Tensor, width: int) -> None:
    """Lays patches (N, 1, s, s) over scenes (M, width · width). Of two pixels the brighter one stays."""
    index = _square(corners, patches.shape[-1], width)
    under = scenes[which]
    brighter = torch.maximum(under.gather(1, index), patches.flatten(1))
    scenes[which] = under.scatter(1, index, brighter)
