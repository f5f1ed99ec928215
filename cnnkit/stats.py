"""Intervals and tests. Each function names its source.

Values are paired throughout: `differences` holds, seed by seed, one number per seed, (seeds,), such as
the accuracy with one pooling minus the accuracy with another. Intervals are 95 %.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnnkit.records import Record

CONFIDENCE = 0.95
LEVEL = 0.05  # the chance of calling something a difference that is none
POWER = 0.8  # the chance of finding a difference that is there
Z_95 = 1.959963984540054  # the 97.5 % point of the standard normal distribution
EXACT_SEEDS = 16  # all 2ⁿ signs up to here; a sample of them beyond
RANDOM_FLIPS = 100_000
RESAMPLES = 10_000
SEEDS_FOR_BOOTSTRAP = 6  # different values: with fewer the resamples are too alike
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
        return Interval(-self.mean, low, high)

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


def mean_interval(values: ArrayLike) -> Interval:
    """The mean of independent values and its 95 % interval; a single value has none.

    Student, "The probable error of a mean", Biometrika 1908.
    """
    from scipy.stats import t

    values = np.asarray(values, float)
    mean, n = float(values.mean()), len(values)
    if n < 2:
        return Interval(mean, None, None)
    reach = float(t.ppf((1 + CONFIDENCE) / 2, n - 1)) * _standard_error(values)
    return Interval(mean, mean - reach, mean + reach)


def bootstrap_interval(differences: ArrayLike) -> Interval:
    """The mean of paired differences and its 95 % bootstrap-t interval.

    Efron & Tibshirani, "An introduction to the bootstrap", 1993, chapter 12.5. Each resample's mean is
    measured in its own standard error, which at ten seeds keeps the nominal coverage where the
    percentile and BCa bootstraps fall short of it. With fewer than `SEEDS_FOR_BOOTSTRAP` different
    values, as small test sets give, it falls short too, and Student's interval takes its place. The
    resamples are the same on every call.
    """
    differences = np.asarray(differences, float)
    n, error = len(differences), _standard_error(differences)
    if len(np.unique(differences.round(9))) < SEEDS_FOR_BOOTSTRAP:
        return mean_interval(differences)
    mean = float(differences.mean())
    resamples = differences[_resampled_seeds(n)]
    errors = resamples.std(axis=1, ddof=1) / math.sqrt(n)
    varied = errors > 1e-9 * error  # a resample of one seed n times measures nothing
    studentized = (resamples[varied].mean(axis=1) - mean) / errors[varied]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(studentized, [tail, 1 - tail])
    return Interval(mean, mean - float(high) * error, mean - float(low) * error)


def sign_flip_test(differences: ArrayLike) -> float:
    """Two-sided p value of a mean difference of 0: were the signs a coin's, how often so far from 0?

    Fisher, "The design of experiments", 1935, section 21. Exact up to `EXACT_SEEDS` seeds; beyond, from
    `RANDOM_FLIPS` random ones, the observed counted among them (Phipson & Smyth, "Permutation p-values
    should never be zero", 2010).
    """
    differences = np.asarray(differences, float)
    sums = np.abs(_signs(len(differences)) @ differences)
    observed = abs(differences.sum())
    as_far = int((sums >= observed - 1e-9 * np.abs(differences).sum()).sum())
    if len(differences) <= EXACT_SEEDS:
        return as_far / len(sums)
    return (as_far + 1) / (len(sums) + 1)


def smallest_sign_flip_p(seeds: int) -> float:
    """What `sign_flip_test` says where all differences have one sign: it cannot say less."""
    return 2 / 2**seeds if seeds <= EXACT_SEEDS else 1 / (RANDOM_FLIPS + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """p values corrected for being several, so that at level α the chance of any error is at most α.

    Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = largest
    return corrected


def equivalence_test(differences: ArrayLike, margin: float, resolution: float = 0.0) -> float:
    """p value of a true mean difference of ±margin or more; small: they are equivalent.

    Two one-sided paired t tests: Schuirmann, "A comparison of the two one-sided tests procedure and the
    power approach", 1987. resolution: the step in which differences are measured, one test image's share.
    Few seeds often differ by the same few images, which says little; so their standard deviation is
    never taken to be less than one step.
    """
    from scipy.stats import t

    differences = np.asarray(differences, float)
    distance = margin - abs(float(differences.mean()))
    if len(differences) < 2:
        return 1.0
    error = max(_standard_error(differences), resolution / math.sqrt(len(differences)))
    if error == 0:
        return 0.0 if distance > 0 else 1.0
    return float(t.sf(distance / error, len(differences) - 1))


@dataclass(frozen=True)
class McNemar(Record):
    """only_a, only_b: how many images one gets right in more seeds than the other."""

    only_a: int
    only_b: int
    p: float


def mcnemar_test(right_a: ArrayLike, right_b: ArrayLike) -> McNemar:
    """Exact test of whether two of them would differ on other images too. (seeds, images) bool each.

    McNemar, "Note on the sampling error of the difference between correlated proportions", 1947. Seeds
    are trained on the same images and measured on the same, so their answers to one image are no
    independent evidence: each image has one vote, for the one that is right on it in more seeds.
    """
    from scipy.stats import binomtest

    votes = np.asarray(right_a, bool).sum(0) - np.asarray(right_b, bool).sum(0)
    only_a, only_b = int((votes > 0).sum()), int((votes < 0).sum())
    p = float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0
    return McNemar(only_a, only_b, p)


def friedman_test(values: ArrayLike) -> float | None:
    """p value of all being equal, by their ranks within each seed. (seeds, k) -> p; None below k = 3.

    Friedman, "The use of ranks to avoid the assumption of normality", 1937.
    """
    from scipy.stats import friedmanchisquare

    values = np.asarray(values, float)
    if values.shape[1] < 3 or len(values) < 2:
        return None
    if (values == values[:, :1]).all():
        return 1.0
    return float(friedmanchisquare(*values.T).pvalue)


def sampling_error(right: ArrayLike) -> float:
    """Standard error of an accuracy from having measured on these images and no others.

    right: (seeds, images) bool. Each image counts once, with the share of seeds that get it right.
    """
    return _standard_error(np.asarray(right, float).mean(0))


def seeds_to_decide(mean: float, deviation: float, margin: float, pairs: int, seeds: int) -> int | None:
    """With how many seeds in all would a pair be decided with probability `POWER`, were this all true?

    mean, deviation: of the paired differences so far. Decided: called different at the level that Holm
    asks of the first of `pairs`, or equivalent within ±margin. None: beyond `MOST_SEEDS`.
    Power of the t tests as in Cohen, "Statistical power analysis", 1988, chapter 2.
    """
    from scipy.stats import nct, t

    n, level = np.arange(max(seeds + 1, 2), MOST_SEEDS + 1), LEVEL / pairs
    if deviation == 0:
        different, equivalent = np.full(len(n), mean != 0), np.full(len(n), abs(mean) < margin)
    else:
        root = np.sqrt(n) / deviation
        different = nct.sf(t.ppf(1 - level / 2, n - 1), n - 1, abs(mean) * root) >= POWER
        equivalent = (margin - abs(mean)) * root >= t.ppf(1 - level, n - 1) + t.ppf((1 + POWER) / 2, n - 1)
    possible = np.array([smallest_sign_flip_p(int(k)) <= level for k in n], bool)
    decided = n[different & possible | equivalent]
    return int(decided[0]) if len(decided) else None


def deviation(values: NDArray[np.float64]) -> float:
    """Standard deviation of a sample; a single value's is unknown and so infinite."""
    return float(values.std(ddof=1)) if len(values) > 1 else math.inf


def _standard_error(values: NDArray[np.float64]) -> float:
    return deviation(values) / math.sqrt(len(values))


@functools.cache
def _signs(n: int) -> NDArray[np.float64]:
    """(flips, n) of ±1: all 2ⁿ of them, or a sample."""
    if n <= EXACT_SEEDS:
        bits = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
        return np.where(bits, -1.0, 1.0)
    return np.random.default_rng(0).choice([-1.0, 1.0], (RANDOM_FLIPS, n))


@functools.cache
def _resampled_seeds(n: int) -> NDArray[Any]:
    """(RESAMPLES, n) indices: draws with replacement."""
    return np.random.default_rng(0).integers(0, n, (RESAMPLES, n))
