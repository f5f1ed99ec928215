"""Confusion matrices, and differences of two, as cells of an SVG."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CELL = 22  # side of a cell, SVG units


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
    """A confusion matrix, or the difference of two. left: room for the names, SVG units."""

    series: int | None
    name: str
    cells: list[Cell]
    class_names: Sequence[str]
    left: int

    @property
    def width(self) -> int:
        return self.left + CELL * len(self.class_names) + 2


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
    left = 18 + round(5.6 * longest) if longest > 2 else 26
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
    return HeatMap(series, name, cells, class_names, left)


def _cell_text(value: float, signed: bool) -> str:
    """At most four characters."""
    size = f"{abs(value):.1f}" if abs(value) < 9.95 and value % 1 else f"{abs(value):.0f}"
    return ("−" if value < 0 else "+" if signed else "") + (size.removesuffix(".0"))
