"""Intervals of one quantity, 95 %. Each function names its source."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnnkit.records import Record

CONFIDENCE = 0.95
Z_95 = 1.959963984540054  # the 97.5 % point of the standard normal distribution
MOST_SEEDS = 1000  # a larger study is not worth waiting for


@dataclass(frozen=True)
class Interval(Record):
    """A mean and its 95 % interval. A single value has none: its low and high are None."""

    mean: float
    low: float | None
    high: float | None

    def negated(self) -> "Interval":
        """The interval of the opposite difference: b minus a for a minus b."""
        low, high = (None if end is None else -end for end in (self.high, self.low))
        return replace(self, mean=-self.mean, low=low, high=high)

    def clipped(self) -> "Interval":
        """Within 0 … 1, for a share."""
        low, high = (None if end is None else min(max(end, 0.0), 1.0) for end in (self.low, self.high))
        return Interval(self.mean, low, high)


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % score interval of a proportion, as fractions.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927. The
    same as scipy.stats.binomtest(…).proportion_ci(method="wilson"), without importing scipy.
    Raises ValueError for counts that make no proportion.
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes in {trials} trials make no proportion")
    share, square = successes / trials, Z_95**2
    centre = share + square / (2 * trials)
    reach = Z_95 * math.sqrt(share * (1 - share) / trials + square / (4 * trials**2))
    scale = 1 + square / trials
    return max(0.0, (centre - reach) / scale), min(1.0, (centre + reach) / scale)


def mean_interval(values: ArrayLike, resolution: float = 0.0) -> Interval:
    """The mean of independent values and its 95 % interval; a single value has none.

    resolution: the step in which values are measured, such as one test image's share. Few values are often
    equal, which says little; so their deviation is never taken to be less than one step.
    Student, "The probable error of a mean", Biometrika 1908.
    """
    from scipy.stats import t

    values = np.asarray(values, float)
    mean, n = float(values.mean()), len(values)
    if n < 2:
        return Interval(mean, None, None)
    error = max(deviation(values), resolution) / math.sqrt(n)
    reach = float(t.ppf((1 + CONFIDENCE) / 2, n - 1)) * error
    return Interval(mean, mean - reach, mean + reach)


def sampling_error(right: ArrayLike) -> float:
    """Standard error of an accuracy from having measured on these images and no others.

    right: (seeds, images) bool. Each image counts once, with the share of seeds that get it right.
    """
    return _standard_error(np.asarray(right, float).mean(0))


def deviation(values: NDArray[np.float64]) -> float:
    """Standard deviation of a sample; a single value's is unknown and so infinite."""
    return float(values.std(ddof=1)) if len(values) > 1 else math.inf


def _standard_error(values: NDArray[np.float64]) -> float:
    return deviation(values) / math.sqrt(len(values))
