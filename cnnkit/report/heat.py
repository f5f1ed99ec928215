"""Confusion matrices, and differences of two, as cells of an SVG; of many classes as one image."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnnkit.report.images import NEGATIVE, POSITIVE, data_uri

CELL = 22  # side of a cell, SVG units
MOST_CELLS, NARROW = 30, 15  # classes whose counts can be read; and in half a page
SIDE, NAMES, DOTS = 300, 25, 300  # of the image of more: SVG units, class names at its sides, pixels
PAIRS_SHOWN = 15
GREY = (138, 148, 158)


class Cell(NamedTuple):
    """strength: 0 … 1. kind: more, less or right."""

    x: float
    y: float
    kind: str
    strength: float
    text: str
    title: str


@dataclass(frozen=True)
class HeatMap:
    """A confusion matrix, or the difference of two.

    labels: class names, and where the middle of each stands. left: room for the names. side: of the matrix.
    All in SVG units. image: a PNG of the matrix where there are too many classes for cells.
    """

    series: int | None
    name: str
    cells: list[Cell]
    labels: list[tuple[float, str]]
    left: int
    side: float
    image: str = ""

    @property
    def slanted(self) -> bool:
        """Whether a name is too long for the width of a cell."""
        return bool(self.image) or any(len(name) > 2 for _, name in self.labels)

    @property
    def wide(self) -> bool:
        """Whether its counts can be read only over the whole width of a page."""
        return not self.image and len(self.labels) > NARROW

    @property
    def width(self) -> float:
        return self.left + self.side + 2


def mistakes_map(
    counts: NDArray[np.float64],
    class_names: Sequence[str],
    name: str = "",
    series: int | None = None,
    text: Callable[[float], str] | None = None,
) -> HeatMap:
    """A confusion matrix, (classes, classes), rows are the truth: the more mistakes, the stronger."""
    strongest = float(mistakes_alone(counts).max()) or 1.0
    return heat_map(counts, class_names, name, strongest, series, text=text)


def mistakes_alone(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The matrix with a diagonal of zeros."""
    return matrix * (1 - np.eye(len(matrix)))


def heat_map(
    matrix: NDArray[np.float64],
    class_names: Sequence[str],
    name: str,
    strongest: float,
    series: int | None = None,
    signed: bool = False,
    text: Callable[[float], str] | None = None,
) -> HeatMap:
    """matrix: counts of mistakes, or signed differences of them: (classes, classes), rows are the truth.

    strongest: the count that gets the full colour. text: of a count in its cell; by default at most four
    characters.
    """
    longest = max(map(len, class_names))
    many = len(class_names) > MOST_CELLS
    left = 18 + round(5.6 * longest) if longest > 2 or many else 26
    if many:
        labels = _labels(class_names, left, SIDE / len(class_names), _step(class_names))
        return HeatMap(series, name, [], labels, left, SIDE, _image(matrix, strongest, signed))
    text = text or (lambda value: _cell_text(value, signed))
    cells = []
    for (row, column), value in np.ndenumerate(matrix):
        right = row == column
        shown = abs(value) >= 0.05 and not (right and signed)
        truth, taken = class_names[row], class_names[column]
        title = f"{truth} taken for {taken}: {value:{'+' if signed else ''}.4g}"
        kind = "right" if right else "more" if value > 0 else "less"
        strength = 1.0 if right else min(abs(float(value)) / strongest, 1.0) if shown else 0.0
        words = text(float(value)) if shown else ""
        cells.append(Cell(left + column * CELL, left + row * CELL, kind, round(strength, 3), words, title))
    return HeatMap(series, name, cells, _labels(class_names, left, CELL), left, CELL * len(class_names))


def _labels(names: Sequence[str], left: int, cell: float, step: int = 1) -> list[tuple[float, str]]:
    """Every `step`-th name."""
    return [(round(left + cell * (i + 0.5), 2), names[i]) for i in range(0, len(names), step)]


def _image(matrix: NDArray[np.float64], strongest: float, signed: bool) -> str:
    """A PNG with a pixel for each cell: the more mistakes, the stronger; the diagonal is grey.

    Of more cells than `DOTS` a side each pixel is the strongest of several.
    """
    block = -(-len(matrix) // DOTS)
    mistakes = _strongest_of_blocks(mistakes_alone(matrix), block)
    share = np.abs(mistakes).clip(0, strongest) / strongest
    pixels = np.zeros((*mistakes.shape, 4), np.uint8)
    pixels[..., :3] = np.where(mistakes[..., None] >= 0, POSITIVE, NEGATIVE)
    pixels[..., 3] = np.where(share > 0, 40 + 215 * share, 0).round()
    if not signed and block == 1:
        pixels[np.diag_indices(len(pixels))] = (*GREY, 90)
    return data_uri(pixels)


def _strongest_of_blocks(matrix: NDArray[np.float64], block: int) -> NDArray[np.float64]:
    """(N, N) -> (⌈N / block⌉, ⌈N / block⌉): of each block the value that is farthest from 0."""
    padded = np.pad(matrix, (0, -len(matrix) % block))
    blocks = padded.reshape(len(padded) // block, block, -1, block).swapaxes(1, 2)
    flat = blocks.reshape(*blocks.shape[:2], -1)
    return np.take_along_axis(flat, np.abs(flat).argmax(-1)[..., None], -1)[..., 0]


def note_on_many(class_names: Sequence[str]) -> str:
    """What a reader of an image of many classes must know, in words; empty where there are cells."""
    if len(class_names) <= MOST_CELLS:
        return ""
    return (
        f"A point is a pair of the {len(class_names)} classes, of which one in {_step(class_names)} is "
        f"named; the stronger, the more mistakes. The table has the {PAIRS_SHOWN} most frequent."
    )


def _step(class_names: Sequence[str]) -> int:
    """Every so many-th name has room."""
    return -(-len(class_names) // NAMES)


class Confused(NamedTuple):
    """counts: of each level, how often it takes the one class for the other."""

    truth: str
    taken_for: str
    counts: list[float]


def most_confused(confusions: Sequence[NDArray[np.float64]], class_names: Sequence[str]) -> list[Confused]:
    """The pairs that the first of these matrices confuses most; none where the cells themselves are told."""
    if len(class_names) <= MOST_CELLS:
        return []
    mistakes = mistakes_alone(confusions[0])
    order = np.argsort(-mistakes, axis=None, kind="stable")[:PAIRS_SHOWN]
    pairs = [divmod(int(place), len(class_names)) for place in order]
    return [
        Confused(class_names[row], class_names[column], [float(c[row, column]) for c in confusions])
        for row, column in pairs
        if mistakes[row, column] > 0
    ]


def _cell_text(value: float, signed: bool) -> str:
    """At most four characters."""
    size = f"{abs(value):.1f}" if abs(value) < 9.95 and value % 1 else f"{abs(value):.0f}"
    return ("−" if value < 0 else "+" if signed else "") + (size.removesuffix(".0"))
