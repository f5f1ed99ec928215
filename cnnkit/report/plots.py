"""Where each mark of the report's plots lies; the templates draw them as SVG that follows the page's theme.

A series is a number: the templates give it its colour, its marker and its dashes.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnnkit.comparison.records import LevelResult
from cnnkit.report.axes import (
    Axis,
    Bar,
    Line,
    Mark,
    Panel,
    Tick,
    Written,
    accuracy_axis,
    axis_over,
    labels,
    short,
)
from cnnkit.report.labels import find_room, labels_beside
from cnnkit.report.trained import fate

CLOSEST = 4  # intervals nearer than this are nested, SVG units
MOST_WRITTEN = 8  # values that find room beside one another
MOST_SPREAD = 45  # of dots above and below their line, SVG units

# Eight shapes about (0, 0), so that no series is told by its colour alone.
MARKERS = (
    "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0z",
    "M-4-4h8v8h-8z",
    "M0-5.4L5 4h-10z",
    "M0-5.6L5.6 0L0 5.6L-5.6 0z",
    "M0 5.4L5-4h-10z",
    "M-1.7-5h3.4v3.3h3.3v3.4h-3.3v3.3h-3.4v-3.3h-3.3v-3.4h3.3z",
    "M-4-5.4L0-1.4L4-5.4L5.4-4L1.4 0L5.4 4L4 5.4L0 1.4L-4 5.4L-5.4 4L-1.4 0L-5.4-4z",
    "M-2.7-4.7h5.4L5.4 0L2.7 4.7h-5.4L-5.4 0z",
)
# A series' colour is its number modulo 8; its marker and dashes move on by one after each eight.
DASHES = ("none", "7 3", "2 2.5", "9 3 2 3", "5 2", "1 3", "12 3", "4 2 1 2")


def shape_of(series: int) -> str:
    return MARKERS[(series + series // len(MARKERS)) % len(MARKERS)]


def dashes_of(series: int) -> str:
    return DASHES[(series + series // len(DASHES)) % len(DASHES)]


@dataclass(frozen=True)
class Dot:
    """x: percent of the width. dy: SVG units, away from dots that it would cover."""

    x: float
    dy: float
    title: str


@dataclass(frozen=True)
class DotRow:
    """One level: a dot a seed, its mean, its interval; percent of the width. None: one seed has none.

    note: what became of it; empty: nothing. beaten: whether it is worse than some other level.
    """

    series: int
    name: str
    label: str
    note: str
    beaten: bool
    dots: list[Dot]
    mean: float
    low: float | None
    high: float | None
    height: float


def dot_rows(levels: Sequence[LevelResult], series: Mapping[str, int]) -> tuple[list[DotRow], list[Tick]]:
    """Every seed's accuracy, or what else is compared, and the axis below."""
    bounds = [end for level in levels for end in (level.compared.low, level.compared.high)]
    axis = accuracy_axis([value for level in levels for value in level.values], bounds)

    def position(value: float) -> float:
        return round(100 * min(max(axis.share(value * 100), 0.0), 1.0), 2)

    rows = []
    for level in levels:
        positions = [position(value) for value in level.values]
        offsets = spread_dots(positions)
        titles = [f"seed {seed}: {a:.2%}" for seed, a in zip(level.seeds, level.values, strict=True)]
        mean = level.compared
        row = DotRow(
            series=series[level.name],
            name=level.name,
            label=f"{mean.mean:.2%}",
            note=fate(level),
            beaten=level.beaten_after is not None,
            dots=[Dot(*dot) for dot in zip(positions, offsets, titles, strict=True)],
            mean=position(mean.mean),
            low=None if mean.low is None else position(mean.low),
            high=None if mean.high is None else position(mean.high),
            height=34 + 2 * max(abs(dy) for dy in offsets),
        )
        rows.append(row)
    ticks = axis.ticks(5)
    return rows, [Tick(round(100 * axis.share(v), 2), t) for v, t in zip(ticks, labels(ticks), strict=True)]


def spread_dots(positions: Sequence[float], closest: float = 1.8) -> list[float]:
    """How far above or below the line each dot goes so that it covers none; positions: percent.

    0, then one step up, one down, two up … Steps shrink where many dots are alike.
    """
    steps = [0] * len(positions)
    put: list[tuple[float, int]] = []
    for i in sorted(range(len(positions)), key=lambda i: positions[i]):
        near = {step for x, step in put if abs(x - positions[i]) < closest}
        steps[i] = next(s for k in itertools.count() for s in (-k, k) if s not in near)
        put.append((positions[i], steps[i]))
    size = min(9.0, MOST_SPREAD / max(map(abs, steps), default=1)) if any(steps) else 0.0
    return [round(step * size, 1) for step in steps]


class CostPoint(NamedTuple):
    """accuracy, low, high: percent, of what is compared; None: one seed has no interval."""

    series: int
    name: str
    cost: float
    accuracy: float
    low: float | None
    high: float | None


def pareto_front(points: Sequence[CostPoint]) -> list[CostPoint]:
    """The points that no other point beats: none is at least as cheap and as accurate, and better in one."""
    return sorted(
        (
            p
            for p in points
            if not any(
                o.cost <= p.cost and o.accuracy >= p.accuracy and (o.cost, o.accuracy) != (p.cost, p.accuracy)
                for o in points
            )
        ),
        key=lambda p: (p.cost, p.series),
    )


def cost_panel(title: str, unit: str, points: Sequence[CostPoint]) -> Panel:
    """Accuracy against a cost: the Pareto front as a stair of filled marks, the others hollow."""
    bounds = [value / 100 for p in points for value in (p.low, p.high) if value is not None]
    y_axis = accuracy_axis([p.accuracy / 100 for p in points], bounds)
    panel = Panel(title, unit, axis_over([p.cost for p in points], log=True, from_zero=True), y_axis)
    front = pareto_front(points)
    stairs = [(p.cost, p.accuracy) for p in front]
    for before, after in itertools.pairwise(front):
        stairs.append((after.cost, before.accuracy))
    stairs.sort()
    stairs.append((panel.x_axis.high, front[-1].accuracy))
    panel.front = panel.points(*zip(*stairs, strict=True))
    for point in points:
        x, y = panel.x(point.cost), panel.y(point.accuracy)
        title = f"{point.name}: {point.accuracy:.2f} %, {short(point.cost)} {unit}"
        panel.marks.append(Mark(point.series, x, y, point not in front, title))
        if point.low is not None and point.high is not None:
            panel.bars.append(Bar(point.series, x, panel.y(point.low), panel.y(point.high)))
    panel.bars = _nested(panel.bars)
    names = [point.name for point in points]
    if find_room(names):
        panel.labels += labels_beside(panel.marks, names)
    return panel


def _nested(bars: Sequence[Bar]) -> list[Bar]:
    """Intervals that lie upon one another: the shorter one is the wider, so that each is seen."""
    ordered = sorted(bars, key=lambda bar: bar.high - bar.low)
    longer = [sum(abs(other.x - bar.x) < CLOSEST for other in ordered[:i]) for i, bar in enumerate(ordered)]
    return [bar._replace(width=2 + 4 * n) for bar, n in zip(ordered, longer, strict=True)]


def size_panel(levels: Sequence[LevelResult], series: Mapping[str, int]) -> Panel:
    """Accuracy against the size of the object, with intervals."""
    every = [row for level in levels for row in level.by_object_size]
    y_axis = accuracy_axis([row.mean for row in every], [end for row in every for end in (row.low, row.high)])
    sizes = [row.size for row in levels[0].by_object_size]
    panel = Panel("accuracy, %, against object size", "side of the object, pixels", axis_over(sizes), y_axis)
    panel.x_ticks = [Tick(panel.x(size), str(size)) for size in sizes]
    for level in levels:
        _add_size_line(panel, level, series[level.name])
    panel.bars = _nested(panel.bars)
    return panel


def _add_size_line(panel: Panel, level: LevelResult, series: int) -> None:
    rows = sorted(level.by_object_size, key=lambda row: row.size)
    xs, ys = [panel.x(row.size) for row in rows], [panel.y(row.mean * 100) for row in rows]
    points = panel.points([row.size for row in rows], [row.mean * 100 for row in rows])
    panel.lines.append(Line(series, points, dashes_of(series)))
    for row, x, y in zip(rows, xs, ys, strict=True):
        if row.low is not None and row.high is not None:
            panel.bars.append(Bar(series, x, panel.y(row.low * 100), panel.y(row.high * 100)))
        panel.marks.append(Mark(series, x, y, False, f"{level.name}, {row.size} pixels: {row.mean:.2%}"))


class Curve(NamedTuple):
    """A value over the epochs 1 … E: its mean and its extremes over seeds, each (E,)."""

    series: int
    name: str
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def curve_of(series: int, name: str, histories: Sequence[Sequence[float]]) -> Curve:
    """histories: a list a seed; those that stopped early are missing from the later epochs."""
    table = np.full((len(histories), max(map(len, histories))), np.nan)
    for row, values in zip(table, histories, strict=True):
        row[: len(values)] = values
    return Curve(series, name, np.nanmean(table, 0), np.nanmin(table, 0), np.nanmax(table, 0))


def curve_panel(title: str, curves: Sequence[Curve], log: bool = False, kept: int | None = None) -> Panel:
    """Lines with bands; where there is one epoch, a mark with a bar for each, side by side."""
    epochs = max(len(curve.mean) for curve in curves)
    every = [float(v) for curve in curves for v in (*curve.low, *curve.high)]
    y_axis = axis_over(every, log=log)
    if epochs == 1:
        return _one_epoch(title, curves, y_axis)
    panel = Panel(title, "epoch", Axis(1 - 0.03 * epochs, epochs * 1.03), y_axis)
    panel.x_ticks = [Tick(panel.x(e), str(e)) for e in whole_ticks(1, epochs)]
    for curve in curves:
        xs = list(range(1, len(curve.mean) + 1))
        around = panel.points([*xs, *reversed(xs)], [*curve.low, *reversed(curve.high)])
        panel.bands.append(Line(curve.series, around, "none"))
        dashes = dashes_of(curve.series)
        panel.lines.append(Line(curve.series, panel.points(xs, list(curve.mean)), dashes))
        last = float(curve.mean[-1])
        panel.marks.append(
            Mark(curve.series, panel.x(xs[-1]), panel.y(last), False, f"{curve.name}: {last:.4g}")
        )
    panel.kept = None if kept is None else panel.x(kept)
    return panel


def whole_ticks(first: int, last: int) -> list[int]:
    """At most eight round numbers of epochs, or of seeds, from first to last."""
    step = next(f * 10**p for p in itertools.count() for f in (1, 2, 5) if 8 * f * 10**p >= last)
    return [number for number in range(step, last + 1, step) if number >= first]


def _one_epoch(title: str, curves: Sequence[Curve], y_axis: Axis) -> Panel:
    """There are few points, so their values are written beside them."""
    panel = Panel(title, "after the one epoch", Axis(-0.6, len(curves) - 0.4), y_axis)
    panel.x_ticks = []
    for number, curve in enumerate(curves):
        x, mean = panel.x(number), float(curve.mean[0])
        panel.bars.append(Bar(curve.series, x, panel.y(float(curve.low[0])), panel.y(float(curve.high[0]))))
        panel.marks.append(Mark(curve.series, x, panel.y(mean), False, f"{curve.name}: {mean:.4g}"))
        if len(curves) <= MOST_WRITTEN:
            text = f"{mean:.{2 if mean >= 10 else 4}f}"
            panel.notes.append(Written(x, round(panel.y(float(curve.high[0])) - 8, 1), text))
    return panel
