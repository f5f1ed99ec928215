"""The report's evidence maps: which cells of a network's last grid speak for the true class, and how much."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnkit.config.images import DataConfig
from cnnkit.config.model import Cells
from cnnkit.data.dataset import ImageDataset
from cnnkit.experiment.checkpoints import Weights
from cnnkit.nn.evidence import above_mean, evidence_and_logits
from cnnkit.nn.model import CNN
from cnnkit.report.image_captions import Hits, evidence_caption, hits_caption
from cnnkit.report.images import input_image, objects_alone, signed_image

LOOKED_AT = 500  # test images that are measured, and of which the shown ones are chosen
CHUNK = 50  # images at once
FEWEST_SHOWN, MOST_SHOWN = 4, 6
INK = 64  # brightness from which a pixel counts as the object's, 0 … 255


class Square(NamedTuple):
    """Pixels of the image."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class LevelEvidence:
    """One network on N images. maps: (N, h, w), from `above_mean`. answers: predicted classes, (N,)."""

    series: int
    name: str
    cells: Cells
    maps: Tensor
    answers: Tensor

    @property
    def strongest(self) -> Tensor:
        """(N,): each image's strongest cell, in a flat grid."""
        return self.maps.flatten(1).argmax(1)

    def holding(self, objects: Tensor) -> Tensor:
        """(N, 1, H, W) uint8 -> (N, cells) bool: which cells hold some of the object's ink."""
        rows, columns, side, _ = self.cells
        ink = (objects >= INK).float()[..., : rows * side, : columns * side]
        return F.max_pool2d(ink, side).flatten(1).bool()

    def hits(self, objects: Tensor) -> Tensor:
        """(N,) bool: whether the strongest cell holds some of the object's ink."""
        return self.holding(objects).gather(1, self.strongest[:, None])[:, 0]


@dataclass(frozen=True)
class Tile:
    """One network's map of one image. size: of the map, pixels of the image."""

    series: int
    name: str
    image: str
    size: tuple[int, int]
    limit: str
    strongest: Square
    right: bool
    answer: str


@dataclass(frozen=True)
class Row:
    """One image. object: around the object, where it is known. side: of the object, pixels."""

    number: int
    truth: str
    image: str
    size: tuple[int, int]
    object: Square | None
    side: int | None
    tiles: list[Tile]


@dataclass(frozen=True)
class EvidenceView:
    """What the template draws. crop_note: what the network does not see of the images, or empty."""

    rows: list[Row]
    caption: str
    as_is: bool
    crop_note: str = ""


def evidence_view(
    weights: Mapping[str, Weights], series: Mapping[str, int], test: ImageDataset | None
) -> EvidenceView | None:
    """weights: per level. None where no level ends in a grid of several cells; no rows without images."""
    grids = {name: w for name, w in weights.items() if _has_grid(_cells(w.model))}
    if not grids:
        return None
    if test is None:
        return EvidenceView([], "", False)
    data = next(iter(grids.values())).config.data
    grids = {name: w for name, w in grids.items() if w.model.info.shape == test.stored.shape[1:]}
    alone = objects_alone(data, test)
    objects = None if alone is None else alone[:LOOKED_AT]
    first = next(test.batches(LOOKED_AT))
    few = ImageDataset(first.images, first.labels, first.info)
    measured = [_measure(series[name], name, w, few) for name, w in grids.items()]
    if not measured:
        return None
    sides = None if objects is None else object_sides(data, len(few))
    right = torch.stack([m.answers == few.labels for m in measured]).any(0)
    numbers = shown_by_size(sides, right) if sides else shown_by_class(few.labels.tolist(), right)
    as_is = data.info.shown_as_is
    rows = [_row(i, few, measured, objects, sides, as_is) for i in numbers]
    caption = _caption(weights, measured, objects, numbers, as_is)
    return EvidenceView(rows, caption, as_is)


def _cells(model: CNN) -> Cells:
    return model.config.cells(model.info.shape)


def _has_grid(cells: Cells) -> bool:
    return cells.rows * cells.columns > 1


def object_sides(data: DataConfig, images: int) -> list[int]:
    """The side of the object in each of the first test scenes, pixels."""
    sizes = data.object_sizes
    return [sizes[i % len(sizes)] for i in range(images)]


def _measure(series: int, name: str, weights: Weights, images: ImageDataset) -> LevelEvidence:
    model = weights.model
    maps, answers = [], []
    for chunk in images.batches(CHUNK):
        cells, logits = evidence_and_logits(model, chunk.images)
        maps.append(above_mean(cells, chunk.labels))
        answers.append(logits.argmax(1))
    return LevelEvidence(series, name, _cells(model), torch.cat(maps), torch.cat(answers))


def shown_by_size(sides: Sequence[int], right: Tensor) -> list[int]:
    """Images to show, from small objects to large: of each size the first that some network gets right."""
    sizes = sorted(set(sides))
    if len(sizes) > MOST_SHOWN:
        sizes = [sizes[round(k * (len(sizes) - 1) / (MOST_SHOWN - 1))] for k in range(MOST_SHOWN)]
    shown = []
    for size in sizes:
        of_size = [i for i, side in enumerate(sides) if side == size]
        of_size.sort(key=lambda i: not right[i])  # stable: the first ones stay first
        shown += of_size[: -(-FEWEST_SHOWN // len(sizes))]
    return shown


def shown_by_class(labels: Sequence[int], right: Tensor) -> list[int]:
    """Images to show: the first that some network gets right, each of another class."""
    of_class: dict[int, int] = {}
    for i in sorted(range(len(labels)), key=lambda i: not right[i]):
        of_class.setdefault(labels[i], i)
    return list(of_class.values())[:FEWEST_SHOWN]


def _row(
    i: int,
    images: ImageDataset,
    measured: Sequence[LevelEvidence],
    objects: Tensor | None,
    sides: Sequence[int] | None,
    as_is: bool,
) -> Row:
    image, truth, names = images.images[i], int(images.labels[i]), images.info.class_names
    height, width = image.shape[1:]
    around = None if objects is None else bounds(objects[i, 0])
    side = None if sides is None else sides[i]
    tiles = [_tile(m, i, truth, names) for m in measured]
    return Row(i, names[truth], input_image(image, as_is), (width, height), around, side, tiles)


def bounds(image: Tensor) -> Square | None:
    """The smallest box around the ink of (H, W) uint8; None if there is no ink."""
    rows, columns = (image >= INK).nonzero(as_tuple=True)
    if not len(rows):
        return None
    top, left = int(rows.min()), int(columns.min())
    return Square(left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1)


def _tile(measured: LevelEvidence, i: int, truth: int, names: Sequence[str]) -> Tile:
    rows, columns, side, _ = measured.cells
    values, answer = measured.maps[i], int(measured.answers[i])
    limit = float(values.abs().max())
    y, x = divmod(int(measured.strongest[i]), columns)
    return Tile(
        measured.series,
        measured.name,
        signed_image(values, limit),
        (columns * side, rows * side),
        f"{limit:.3g}" if limit < 100 else f"{limit:.0f}",
        Square(x * side, y * side, side, side),
        answer == truth,
        names[answer],
    )


def _caption(
    weights: Mapping[str, Weights],
    measured: Sequence[LevelEvidence],
    objects: Tensor | None,
    numbers: Sequence[int],
    as_is: bool,
) -> str:
    heads = {m.name: weights[m.name].config.model.head_choice.name for m in measured}
    seed = min(weights[name].config.training.seed for name in heads)
    left_out = [name for name in weights if name not in heads]
    colours = evidence_caption(heads, seed, [m.cells for m in measured], left_out, as_is)
    if objects is None:
        return f"The strongest cell is framed. {colours}"
    hits = {m.name: _hits(m, objects, numbers) for m in measured}
    return f"{hits_caption(hits, len(numbers), len(objects))} {colours}"


def _hits(measured: LevelEvidence, objects: Tensor, numbers: Sequence[int]) -> Hits:
    hit, chance = measured.hits(objects), measured.holding(objects).float().mean()
    return Hits(int(hit[list(numbers)].sum()), float(hit.float().mean()), float(chance))
