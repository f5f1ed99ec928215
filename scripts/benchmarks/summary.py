"""Samples → rows, medians, and whether a target is met."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Sample = dict[str, Any]  # "value" in the row's unit, and what else was measured with it


@dataclass
class Row:
    """One contestant's samples. note: why there are none, or what else a reader should know."""

    name: str
    unit: str
    samples: list[Sample] = field(default_factory=list)
    note: str = ""
    failed: bool = False

    def column(self, key: str = "value") -> list[float]:
        return [sample[key] for sample in self.samples if sample.get(key) is not None]

    @property
    def median(self) -> float:
        return statistics.median(self.column())

    @property
    def mean_accuracy(self) -> float:
        return statistics.fmean(self.column("test_accuracy"))

    def as_dict(self) -> dict[str, Any]:
        content: dict[str, Any] = {"name": self.name, "unit": self.unit, "note": self.note}
        if values := self.column():
            content |= {"median": self.median, "low": min(values), "high": max(values)}
        if accuracies := self.column("test_accuracy"):
            content |= {"mean_accuracy": self.mean_accuracy, "accuracy_deviation": deviation(accuracies)}
        return {**content, "samples": self.samples}


Rows = Mapping[str, Row]


@dataclass(frozen=True)
class Verdict:
    """A figure against its bound. wanted: "≥" or "≤"."""

    what: str
    value: float
    wanted: str
    bound: float
    shown: Callable[[float], str]

    @property
    def met(self) -> bool:
        return self.value >= self.bound if self.wanted == "≥" else self.value <= self.bound

    def __str__(self) -> str:
        outcome = "met" if self.met else "MISSED"
        return f"{self.what} {self.shown(self.value)} ({self.wanted} {self.shown(self.bound)}): {outcome}"

    def as_dict(self) -> dict[str, Any]:
        return {
            "what": self.what,
            "value": self.value,
            "wanted": self.wanted,
            "bound": self.bound,
            "met": self.met,
        }


Verdicts = dict[str, list[Verdict]]  # by the row that they stand beside


def measured(rows: Rows, *names: str) -> bool:
    return all(name in rows and rows[name].samples for name in names)


def ratio(rows: Rows, numerator: str, denominator: str) -> float:
    """Of the medians."""
    return rows[numerator].median / rows[denominator].median


def difference(rows: Rows, first: str, second: str) -> float:
    """Of the medians, the first less the second."""
    return rows[first].median - rows[second].median


def deviation(values: Sequence[float]) -> float:
    """The sample's standard deviation; 0 where there is only one value."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def times(value: float) -> str:
    return f"{value:.3g} ×" if value < 100 else f"{value:.0f} ×"


def seconds(value: float) -> str:
    digits = 3 if value < 1 else 2 if value < 10 else 1
    return f"{value:.{digits}f} s"


def percent(value: float) -> str:
    return f"{value:.3%}"


def share(value: float) -> str:
    return f"{value:.1%}"


def megabytes(value: float) -> str:
    return f"{value / 1e6:,.0f} MB"


def per_second(value: float) -> str:
    return f"{value:,.0f}/s"


SHOWN: dict[str, Callable[[float], str]] = {"s": seconds, "bytes": megabytes, "images/s": per_second}
