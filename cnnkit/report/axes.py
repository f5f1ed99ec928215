"""Axes and empty panels: the position of a value, and the round values that get a tick."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

WIDTH, HEIGHT = 360, 236  # of a panel, in SVG units: about a phone's width in pixels
LEFT, RIGHT, TOP, BOTTOM = 50, 12, 10, 40
MOST_RATIO = 20  # beyond it an axis is logarithmic
ALIKE = 1e-9  # of the larger: labels have 12 digits


class Tick(NamedTuple):
    place: float
    label: str


@dataclass(frozen=True)
class Axis:
    """The values from low to high, laid on 0 … 1."""

    low: float
    high: float
    log: bool = False

    def share(self, value: float) -> float:
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            return (math.log(value) - low) / (high - low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self, most: int = 6) -> list[float]:
        """Round values within the axis."""
        if self.log and (values := self._log_ticks(most)):
            return values
        step = _round_step((self.high - self.low) / most)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [float(f"{i * step:.12g}") for i in range(first, last + 1)]

    def _log_ticks(self, most: int) -> list[float]:
        """Round values of a logarithmic axis; none where the axis is too short for two of them."""
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        every = math.ceil(len(powers) / most)  # on a long axis only every second power, or third, or …
        for factors, step in (((1, 2, 5), 1), ((1, 3), 1), ((1,), 1), ((1,), every)):
            values = [f * 10.0**p for p in powers if p % step == 0 for f in factors]
            values = [value for value in values if self.low <= value <= self.high]
            if 2 <= len(values) <= most:
                return values
        return []


def _round_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= least * (1 - 1e-9))


def axis_over(values: Sequence[float], log: bool = False, from_zero: bool = False) -> Axis:
    """An axis with a little room beyond the values; logarithmic, where asked, if they differ a lot."""
    low, high = min(values), max(values)
    if log and low > 0 and high / low > MOST_RATIO:
        return Axis(low / 1.15, high * 1.15, log=True)
    if from_zero and low >= 0:
        return Axis(0.0, high * 1.08 or 1.0)
    far = max(abs(low), abs(high))
    alike = high - low <= ALIKE * far  # but for rounding: ticks between them would have the same label
    room = (far * 0.01 or 1.0) if alike else (high - low) * 0.07
    return Axis(low - room, high + room)


def accuracy_axis(accuracies: Sequence[float], bounds: Sequence[float | None]) -> Axis:
    """An axis in percent, for fractions. It shows every accuracy; much wider intervals are cut off."""
    low, high = min(accuracies), max(accuracies)
    reach = 0.8 * (high - low) or 0.002
    known = [bound for bound in bounds if bound is not None]
    low, high = max(min([low, *known]), low - reach), min(max([high, *known]), high + reach, 1.0)
    room = (high - low) * 0.04 or 0.001
    return Axis((low - room) * 100, (high + room) * 100)


def labels(values: Sequence[float]) -> list[str]:
    """Labels of ticks, all different. Below 1,000 all have as many decimals as the one that needs most."""
    if max(map(abs, values), default=0.0) >= 1000:
        texts = [short(value) for value in values]
        return texts if len({*texts}) == len(values) else [f"{value:,.12g}" for value in values]
    plain = [f"{value:.6g}" for value in values]
    if len({*plain}) < len(values):
        plain = [f"{value:.12g}" for value in values]
    if any("e" in text for text in plain):
        return plain
    decimals = max((len(text.partition(".")[2]) for text in plain), default=0)
    return [f"{value:.{decimals}f}" for value in values]


def short(value: float) -> str:
    """1,250,000 -> 1.25M: for ticks."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"


class Mark(NamedTuple):
    series: int
    x: float
    y: float
    hollow: bool
    title: str


class Bar(NamedTuple):
    """A vertical interval. width: SVG units."""

    series: int
    x: float
    low: float
    high: float
    width: int = 2


class Label(NamedTuple):
    """The name of a mark at (x, y), written at (text_x, text_y); anchor: as SVG's text-anchor."""

    x: float
    y: float
    text_x: float
    text_y: float
    anchor: str
    text: str


class Written(NamedTuple):
    """A value beside its mark, centred above (x, y)."""

    x: float
    y: float
    text: str


class Line(NamedTuple):
    """points: as an SVG polyline has them. dashes: an SVG dash array."""

    series: int
    points: str
    dashes: str


@dataclass
class Panel:
    """One plot; every place is in SVG units."""

    title: str
    x_label: str
    x_axis: Axis
    y_axis: Axis
    x_ticks: list[Tick] = field(init=False)
    y_ticks: list[Tick] = field(init=False)
    bands: list[Line] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    notes: list[Written] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    front: str = ""
    kept: float | None = None

    def __post_init__(self) -> None:
        xs, ys = self.x_axis.ticks(), self.y_axis.ticks()
        self.x_ticks = [Tick(self.x(value), label) for value, label in zip(xs, labels(xs), strict=True)]
        self.y_ticks = [Tick(self.y(value), label) for value, label in zip(ys, labels(ys), strict=True)]

    def x(self, value: float) -> float:
        return round(LEFT + self.x_axis.share(value) * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        """Values outside the axis are drawn at its end."""
        share = min(max(self.y_axis.share(value), 0.0), 1.0)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    def points(self, xs: Sequence[float], ys: Sequence[float]) -> str:
        return " ".join(f"{self.x(x)},{self.y(y)}" for x, y in zip(xs, ys, strict=True))
