"""Part 9: how time and memory grow with images, pixels, channels, convolutions, seeds, workers and levels.

Each row is one value, in a process of its own. Beside it stands the exponent since the row before: the time
grows as the value to the power of it. Where a curve bends, two exponents of an axis differ.
"""

import math
from dataclasses import dataclass

from benchmarks.parts import Contestant, Options, Part, last_line_of_json
from benchmarks.processes import Finished, python
from benchmarks.summary import Row, Rows, Sample, Verdict, Verdicts, measured

REPEATS = 3
TOLERANCE = 0.15  # of an exponent


@dataclass(frozen=True)
class Axis:
    """values: that are measured. exponent: of the arithmetic, which neither time nor memory should pass.

    memory: the exponent of memory, where it is another one.
    """

    what: str
    values: tuple[int, ...]
    exponent: float
    memory: float | None = None


AXES = {
    "images": Axis("training images", (1_000, 10_000, 100_000, 1_000_000), 1),
    "side": Axis("side of an image, pixels", (8, 16, 32, 64, 128, 224), 2),
    "channels": Axis("channels", (8, 16, 32, 64, 128), 2),
    # Those added have 16 channels in place of one, and the whole grid in place of a strided one.
    "convolutions": Axis("convolutions a stage", (1, 2, 4, 8), 2),
    "seeds": Axis("seeds", (1, 4, 16, 64), 1),
    "workers": Axis("workers", (1, 2, 4, 8), 0, memory=1),  # each is a process with torch
    "levels": Axis("levels", (2, 4, 8, 12), 1),
}


def row_name(axis: str, value: int) -> str:
    return f"{AXES[axis].what}: {value:,}"


def contestants(options: Options) -> list[Contestant]:
    rounds = options.repeats or REPEATS
    return [_contestant(name, value, rounds) for name, axis in AXES.items() for value in axis.values]


def _contestant(axis: str, value: int, rounds: int) -> Contestant:
    command = python("-m", "benchmarks.grown", axis, str(value))

    def read(finished: Finished) -> Sample:
        return {**last_line_of_json(finished), "axis": axis, "at": value}

    return Contestant(row_name(axis, value), lambda _: command, read, rounds)


def exponent(before: float, after: float, factor: float) -> float:
    """The power of `factor` by which a value grew."""
    return math.log(after / before) / math.log(factor)


def judge(rows: Rows) -> Verdicts:
    verdicts: Verdicts = {}
    for name, axis in AXES.items():
        bounds = [axis.exponent, axis.exponent if axis.memory is None else axis.memory]
        for low, high in zip(axis.values, axis.values[1:], strict=False):
            first, second = row_name(name, low), row_name(name, high)
            if measured(rows, first, second):
                grew = [
                    exponent(_median(rows[first], key), _median(rows[second], key), high / low)
                    for key in ("value", "peak")
                ]
                verdicts[second] = [
                    Verdict(f"{what} grows as", power, "≤", bound + TOLERANCE, _power)
                    for what, power, bound in zip(("time", "memory"), grew, bounds, strict=True)
                ]
    return verdicts


def _median(row: Row, key: str) -> float:
    values = sorted(row.column(key))
    return values[len(values) // 2]


def _power(value: float) -> str:
    return f"^{value:.2f}"


PART = Part("growth", "How cost grows: seconds of training", contestants, judge, needs_data=False)
