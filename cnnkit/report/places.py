"""Accuracy by the size and place of an object: for each level and size a square of cells, one a place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cnnkit.report.heat import CELL, Cell
from cnnkit.stats import Interval


@dataclass(frozen=True)
class Places:
    """squares: the side of the object, pixels, and a cell for each place. width: of a square, SVG units."""

    level: str
    squares: list[tuple[str, list[Cell]]]
    width: float


def places_of(means: Mapping[str, Mapping[str, Interval | None]], levels: Sequence[str]) -> list[Places]:
    """means: by figure and level, of figures `objects.8.0-2`: side, row and column.

    The worst of all is pale, the best is full.
    """
    accuracies: dict[str, dict[str, dict[tuple[int, int], float]]] = {}
    for name, of_levels in means.items():
        kind, *rest = name.split(".")
        if kind == "objects":
            row, column = map(int, rest[1].split("-"))
            for level in levels:
                if mean := of_levels.get(level):
                    accuracies.setdefault(level, {}).setdefault(rest[0], {})[row, column] = mean.mean
    every = [a for sides in accuracies.values() for places in sides.values() for a in places.values()]
    low, high = min(every), max(every)
    return [
        Places(
            level,
            [(side, _cells(f"{level}, {side} pixels", places, low, high)) for side, places in sides.items()],
            CELL * (1 + max(column for places in sides.values() for _, column in places)),
        )
        for level, sides in accuracies.items()
    ]


def _cells(what: str, accuracies: Mapping[tuple[int, int], float], low: float, high: float) -> list[Cell]:
    return [
        Cell(
            column * CELL,
            row * CELL,
            "less",
            (accuracy - low) / ((high - low) or 1),
            f"{accuracy * 100:.0f}",
            f"{what}, row {row + 1}, column {column + 1}: {accuracy:.1%}",
        )
        for (row, column), accuracy in accuracies.items()
    ]
