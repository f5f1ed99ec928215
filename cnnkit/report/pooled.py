"""The poolings of a comparison that varies them: what each makes of one and the same feature map."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnkit.comparison.study_records import StudyFile, name_of
from cnnkit.errors import OwnCodeError
from cnnkit.families.poolings import POOLINGS
from cnnkit.families.settings import Choice
from cnnkit.own.sources import references_in
from cnnkit.random import generator_for
from cnnkit.report.images import grid_size, signed_image
from cnnkit.report.parts import reason

KEY = "model.pooling"
SCALE = 8  # pixels of a picture for a value of the map
SIDE = 24  # pixels of the map, at k = 2 twelve cells


@dataclass(frozen=True)
class Pooled:
    """images: a part's name and its picture."""

    name: str
    images: list[tuple[str, str]]
    grid: str
    summary: str
    formula: str


@dataclass(frozen=True)
class PooledMaps:
    """given: the map, as a picture. k: the side of a cell. guessed: names that have weights to train.

    not_run: names of own classes that nobody has trusted. failed: of those that could not be drawn, and why.
    """

    given: str
    grid: str
    k: int
    levels: list[Pooled]
    guessed: list[str]
    not_run: list[str]
    failed: list[str]


def pooled_maps(study: StudyFile) -> PooledMaps | None:
    """None where the study varies no pooling, or only those of single stages."""
    k = min(max(study.base().model.stages[0].pool_size, 2), SIDE // 3)
    drawn = PooledMaps(signed_image(sample_map(), 1.0), grid_size(sample_map()), k, [], [], [], [])
    for value in study.varied.get(KEY, []):
        try:
            if choice := _choice(value):
                _draw(choice, k, drawn)
        except Exception as error:
            if not any(references_in(value)):
                raise
            why = str(error) if isinstance(error, OwnCodeError) else reason(error)
            drawn.failed.append(f"{name_of(value)} ({why})")
    return drawn if drawn.levels or drawn.not_run or drawn.failed else None


def _draw(choice: Choice, k: int, drawn: PooledMaps) -> None:
    try:
        module = POOLINGS[choice.name].build(choice, k, 1)
    except OwnCodeError:
        drawn.not_run.append(str(choice))
        return
    drawn.levels.append(_pooled(choice, module, k))
    if any(True for _ in module.parameters()):
        drawn.guessed.append(str(choice))


def _choice(value: Any) -> Choice | None:
    """None for a list, a name for each stage, and for what is no longer registered."""
    with contextlib.suppress(AttributeError, KeyError, TypeError):
        given = value if isinstance(value, dict) else {"name": value}
        known = [setting.name for setting in POOLINGS[given["name"]].settings]
        return Choice(given["name"], {key: given[key] for key in known if key in given})
    return None


def made_of_sample(choice: Choice, k: int) -> Tensor:
    """(parts, h, w): what a pooling makes of `sample_map`. Raises OwnCodeError where it may not run."""
    return _made(choice, POOLINGS[choice.name].build(choice, k, 1), k)


def _pooled(choice: Choice, module: Any, k: int) -> Pooled:
    entry = POOLINGS[choice.name]
    maps = _made(choice, module, k)
    parts = zip(entry.drawn_parts, maps, strict=True)
    images = [(part, signed_image(values, 1.0)) for part, values in parts]
    return Pooled(str(choice), images, grid_size(maps), entry.summary, entry.formula)


def _made(choice: Choice, module: Any, k: int) -> Tensor:
    """As in training, where it may draw."""
    entry = POOLINGS[choice.name]
    generator = generator_for(0, "picture", choice.name)
    if entry.draws:
        module.generator = generator
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, torch.nn.Conv2d):  # weights that begin at random
                layer.weight.uniform_(-1 / k, 1 / k, generator=generator)
                layer.bias = None
        maps: Tensor = module(sample_map()[None, None])[0]
    return maps


def picture_of(maps: Sequence[Tensor]) -> Tensor:
    """(1, H, W) uint8: maps (h, w) side by side, 0 white and 1 black, all in one height."""
    side = max(len(values) for values in maps) * SCALE
    drawn = []
    for values in maps:
        shown = (255 * (1 - values.clamp(0, 1))).round().to(torch.uint8)[None, None].float()
        height, width = (round(side * n / max(values.shape)) for n in values.shape)
        drawn.append(F.interpolate(shown, (height, width), mode="nearest")[0])
        drawn.append(torch.full((1, height, SCALE), 255.0))
    height = max(part.shape[1] for part in drawn)
    return torch.cat([F.pad(part, (0, 0, 0, height - part.shape[1]), value=255) for part in drawn], 2).byte()


def sample_map() -> Tensor:
    """(SIDE, SIDE), 0 … 1, as after an activation: thin lines, single dots, a faint and a grainy patch."""
    values = torch.zeros(SIDE, SIDE)
    for i in range(SIDE // 2):
        values[2 + i, 2 + i // 3] = 1.0  # a steep line
        values[3, 8 + i] = 0.9  # a level one
    for row, column in ((8, 10), (9, 17), (12, 21)):
        values[row, column] = 1.0
    values[15:22, 2:10] = 0.4
    grain = torch.rand(8, 10, generator=generator_for(0, "picture"))
    values[14:22, 13:23] = grain
    return values
