"""What a claim comes to: its cases, each with an interval, and the verdict that follows from them.

The rule was written down in scripts/README.md before anything was measured.
"""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from cnnkit.records import Record
from cnnkit.stats import Interval

HOLDS, IN_PART, NOT_HERE = "holds", "holds in part", "does not hold here"
WIDTHS = (36, 58, 22)  # of the table's columns, characters


@dataclass(frozen=True)
class Case(Record):
    """One case of a claim. interval: 95 %, together with those of the claim's other cases, in `unit`.

    The claim says that the true value lies above `above` and below `below`; None: no such bound.
    """

    name: str
    interval: Interval
    unit: str
    above: float | None = None
    below: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the interval lies wholly on the claimed side. One of unknown width does not."""
        low, high = self.interval.low, self.interval.high
        if low is None or high is None:
            return False
        lowest = -math.inf if self.above is None else self.above
        highest = math.inf if self.below is None else self.below
        return lowest < low and high < highest

    @property
    def claimed(self) -> str:
        """The claimed side in words."""
        bounds = [f"above {self.above:+g}" if self.above else "above 0"] if self.above is not None else []
        bounds += [f"below {self.below:+g}" if self.below else "below 0"] if self.below is not None else []
        return " and ".join(bounds)

    def __str__(self) -> str:
        return f"{figure(self.interval)} {self.unit}".strip()


@dataclass(frozen=True)
class Judged(Record):
    """A claim as it was measured. told: the figures for the table, in words. setting: what was trained.

    details: further figures, which the verdict does not look at.
    """

    name: str
    claim: str
    setting: str
    told: str
    cases: list[Case]
    details: list[Case] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        return verdict([case.holds for case in self.cases])


def verdict(held: Sequence[bool]) -> str:
    """`holds` in every case, `holds in part` in some, else `does not hold here`."""
    if held and all(held):
        return HOLDS
    return IN_PART if any(held) else NOT_HERE


def figure(interval: Interval, digits: int = 2) -> str:
    """`+0.12 [+0.05, +0.19]`; a value without an interval says so."""
    if not math.isfinite(interval.mean):
        return "not measured"
    mean = f"{interval.mean:+.{digits}f}"
    if interval.low is None or interval.high is None:
        return f"{mean} [unknown]"
    return f"{mean} [{interval.low:+.{digits}f}, {interval.high:+.{digits}f}]"


def figures(cases: Sequence[Case], digits: int = 2) -> str:
    return ", ".join(figure(case.interval, digits) for case in cases)


def table(rows: Sequence[Judged]) -> str:
    """The rows in plain text, each wrapped within its columns."""
    cells = [("claim", "measured, 95 % intervals", "verdict")]
    cells += [(f"{row.claim} ({row.name})", row.told, of_all(row)) for row in rows]
    return "\n".join(map(_wrapped, cells))


def _wrapped(cells: Sequence[str]) -> str:
    columns = [textwrap.wrap(cell, width) for cell, width in zip(cells, WIDTHS, strict=True)]
    lines = zip_longest(*columns, fillvalue="")
    return "\n".join(
        "  ".join(part.ljust(width) for part, width in zip(line, WIDTHS, strict=True)).rstrip()
        for line in lines
    )


def of_all(row: Judged) -> str:
    """The verdict, and in how many cases the claim holds where these are some."""
    held = sum(case.holds for case in row.cases)
    return row.verdict + f" ({held} of {len(row.cases)})" * (0 < held < len(row.cases))
