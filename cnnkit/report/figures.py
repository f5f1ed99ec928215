"""Numbers as the report writes them."""

from collections.abc import Callable, Sequence

from cnnkit.comparison.intervals import Unvarying
from cnnkit.comparison.pair_records import FEWEST_TOLD, UNDECIDED, PairResult
from cnnkit.stats import Interval
from cnnkit.words import counted, listed

MOST_LISTED = 6  # seeds that are told one by one
MINUS = "−"


def points(value: float, decimals: int = 3) -> str:
    """A difference of fractions in percentage points, with its sign."""
    text = f"{value * 100:+.{decimals}f}"
    return text.replace("-", MINUS) if float(text) else f"{0:.{decimals}f}"


def percent_range(interval: Interval) -> str:
    """The ends of an interval of fractions, in percent, or why there is none."""
    return _range(interval, lambda end: f"{end * 100:.3f}")


def points_range(interval: Interval, decimals: int = 3) -> str:
    """The ends of an interval of differences, in percentage points, or why there is none."""
    return _range(interval, lambda end: points(end, decimals))


def _range(interval: Interval, text: Callable[[float], str]) -> str:
    if isinstance(interval, Unvarying):
        return "equal with every seed"
    if interval.low is None or interval.high is None:
        return "too few seeds"
    return f"{text(interval.low)} to {text(interval.high)}"


def evidence(e_value: float) -> str:
    """An e-value, as precise as it matters."""
    if e_value >= 1000:
        return "> 1,000"
    return f"{e_value:.0f}" if e_value >= 10 else f"{e_value:.1f}"


def seeds_needed(pair: PairResult, seeds: int) -> str:
    """How many seeds would decide an undecided pair; empty for a decided one, or where nobody can tell."""
    if pair.verdict != UNDECIDED or seeds < FEWEST_TOLD:
        return ""
    return "too many seeds" if pair.seeds_needed is None else str(pair.seeds_needed)


def told_seeds(seeds: Sequence[int]) -> str:
    """Which seeds these are, in ascending order; at least one."""
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"seeds {seeds[0]} to {seeds[-1]}"
    if len(seeds) <= MOST_LISTED:
        return f"seeds {listed([str(seed) for seed in seeds])}"
    return f"{counted(len(seeds), 'seed')} from {seeds[0]} to {seeds[-1]}"
