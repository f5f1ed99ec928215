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


def mean_interval(values: ArrayLike, resolution: float = 0.0, together: int = 1) -> Interval:
    """The mean of independent values and its 95 % interval; a single value has none.

    resolution: the step in which values are measured, such as one test image's share. Few values are often
    equal, which says little; so their deviation is never taken to be less than one step. together: how many
    intervals shall hold all together with 95 %; each is then wider (Bonferroni).
    Student, "The probable error of a mean", Biometrika 1908.
    """
    from scipy.special import stdtrit  # scipy.stats computes the same, and takes 0.8 s more to import

    values = np.asarray(values, float)
    mean, n = float(values.mean()), len(values)
    if n < 2:
        return Interval(mean, None, None)
    error = max(deviation(values), resolution) / math.sqrt(n)
    reach = -float(stdtrit(n - 1, (1 - CONFIDENCE) / 2 / together)) * error
    return Interval(mean, mean - reach, mean + reach)


def sampling_error(scores: ArrayLike, classes: NDArray[np.integer] | None = None) -> float:
    """Standard error of an accuracy from having measured on these images and no others.

    scores: (seeds, images), whether each was right, or its part in another metric. Each image counts once,
    with the mean over the seeds. classes: (images,), where each class would have as many images again.
    """
    means = np.asarray(scores, float).mean(0)
    if classes is None:
        return deviation(means) / math.sqrt(len(means))
    centred, sizes = from_class_means(means, classes)
    return math.sqrt(float((centred**2 * sizes / np.maximum(sizes - 1, 1)).mean()) / len(means))


def from_class_means(
    values: NDArray[np.float64], classes: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(…, images), (images,) -> the values minus the mean of their class, and the size of that class."""
    _, place, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    by_class = values[..., np.argsort(place, kind="stable")]
    means = np.add.reduceat(by_class, np.cumsum(sizes) - sizes, axis=-1) / sizes
    return values - means[..., place], sizes[place]


def deviation(values: NDArray[np.float64]) -> float:
    """Standard deviation of a sample; a single value's is unknown and so infinite."""
    return float(values.std(ddof=1)) if len(values) > 1 else math.inf
