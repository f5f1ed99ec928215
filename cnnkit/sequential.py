"""Verdicts that may be looked at after every seed: which levels of a study differ, and which are equivalent.

Accuracies are (levels, seeds) float, NaN where a level was not trained with a seed. All pairs are those of
`itertools.combinations(range(levels), 2)`, in that order. The evidence of a pair is an e-value: a number
whose mean is at most 1 where the pair does not differ, whenever one stops. Large numbers are evidence
against "no difference", and 1 / 0.05 = 20 is enough.
"""

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

ENOUGH = 20.0  # 1 / 0.05
NOISY = 1.5  # times the common variance: beyond it a pair's own degrees of freedom count
PRIOR = 0.5  # the weight g of the mixture, in seeds; small: it expects differences of several deviations
EXACT_LEVELS = 8  # there are 4,140 partitions of eight levels, and 21,147 of nine


@dataclass(frozen=True)
class Fit:
    """What a look at the accuracies knows of each pair.

    difference: of the means over the seeds that both have, first minus second, NaN where there are none.
    seeds: how many those are. variance: of a difference between two trainings of a seed. df: its degrees of
    freedom.
    """

    difference: Floats
    seeds: NDArray[np.int64]
    variance: Floats
    df: NDArray[np.int64]


def fit_pairs(accuracies: ArrayLike, resolution: float = 0.0) -> Fit:
    """Level + seed, fitted by least squares; all levels together tell the variance.

    The variance of a pair is twice the residual variance, but never less than `resolution` squared, one test
    image's share, nor than the pair's own: one level may be noisier than the others.
    """
    values = np.asarray(accuracies, float)
    first, second = pair_indices(len(values))
    differences = values[first] - values[second]
    seeds = np.isfinite(differences).sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.nansum(differences, 1) / np.where(seeds, seeds, np.nan)
        own = np.nansum((differences - means[:, None]) ** 2, 1) / np.where(seeds > 1, seeds - 1, np.nan)
    residual, df = _residual_variance(values)
    own = np.nan_to_num(own)
    noisy = own > NOISY * 2 * residual
    variance = np.maximum(np.maximum(2 * residual, own), resolution**2)
    return Fit(means, seeds, variance, np.where(noisy, np.minimum(seeds - 1, df), df))


def _residual_variance(values: Floats) -> tuple[float, int]:
    """Of the additive fit, and its degrees of freedom; 0 degrees where nothing is left over."""
    there = np.isfinite(values)
    there &= there.sum(0) > 1  # a seed of one level alone says nothing of differences
    level, seed = np.nonzero(there)
    columns, column = np.unique(seed, return_inverse=True)
    rows, row = np.unique(level, return_inverse=True)
    df = len(level) - len(rows) - len(columns) + 1
    if df < 1:
        return 0.0, 0
    if there[np.ix_(rows, columns)].all():
        block = values[np.ix_(rows, columns)]
        left = block - block.mean(0) - block.mean(1, keepdims=True) + block.mean()
    else:
        design = np.zeros((len(level), len(rows) + len(columns)))
        design[np.arange(len(level)), row] = design[np.arange(len(level)), len(rows) + column] = 1
        observed = values[level, seed]
        left = observed - design @ np.linalg.lstsq(design, observed, rcond=None)[0]
    return float((left**2).sum()) / df, df


@functools.cache
def pair_indices(levels: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    first, second = np.triu_indices(levels, 1)
    return first, second


def e_values(distance: ArrayLike, seeds: ArrayLike, variance: Floats, df: ArrayLike) -> Floats:
    """Evidence that a true difference is not 0, from an estimate this far away from 0; NaN: no estimate.

    The mixture of t statistics of Lai, "On confidence sequences", Annals of Statistics 1976; see Wang &
    Ramdas, arXiv 2310.03722, and Lindon et al., arXiv 2210.08589. It is 1 where nothing is known.
    """
    n, squared, df = np.asarray(seeds, float), np.square(np.asarray(distance, float)), np.asarray(df, float)
    q = PRIOR / (PRIOR + n)
    with np.errstate(divide="ignore", invalid="ignore"):
        x = np.where(squared == 0, 0.0, squared * n / variance / df)
        growth = np.where(x < math.inf, (1 + x) / (1 + q * x), 1 / q)
        evidence = np.sqrt(q) * growth ** ((df + 1) / 2)
    return np.where(np.isfinite(squared) & (df > 0), evidence, 1.0)


def reach(seeds: ArrayLike, variance: ArrayLike, df: ArrayLike, enough: ArrayLike = ENOUGH) -> Floats:
    """The distance at which `e_values` is `enough`: half a confidence sequence, maybe infinite."""
    n, enough, df = (np.asarray(value, float) for value in (seeds, enough, df))
    q = PRIOR / (PRIOR + n)
    with np.errstate(divide="ignore", invalid="ignore"):
        growth = (enough / np.sqrt(q)) ** (2 / (df + 1))
        x = np.where((q * growth < 1) & (df > 0), (growth - 1) / (1 - q * growth), np.inf)
        return np.where(df > 0, np.sqrt(x * df * np.asarray(variance, float) / n), np.inf)


def partitions(levels: int) -> Iterator[list[int]]:
    """Every way to put levels into groups, as a group's number for each level."""

    def extended(start: list[int]) -> Iterator[list[int]]:
        if len(start) == levels:
            yield start
            return
        for group in range(max(start, default=-1) + 2):
            yield from extended([*start, group])

    return extended([])


@functools.cache
def _joined_pairs(levels: int) -> Bools:
    """(hypotheses, pairs): which pairs each hypothesis calls equal. One hypothesis is one partition."""
    first, second = pair_indices(levels)
    groups = np.array(list(partitions(levels)))
    joined = groups[:, first] == groups[:, second]
    return np.asarray(joined[joined.any(1)])


def closed_over_partitions(evidence: Floats, levels: int) -> tuple[Floats, Floats]:
    """Evidence against each hypothesis, and for each pair what is left if all are tested together.

    A hypothesis is tested with the mean evidence of the pairs that it calls equal. A pair is left with the
    least of the hypotheses that call it equal: Vovk & Wang, "E-values: calibration, combination and
    applications", Annals of Statistics 2021. With more than `EXACT_LEVELS` levels the least of all sets of
    pairs takes its place: it is smaller, so it decides later but not wrongly more often.
    """
    if levels > EXACT_LEVELS:
        return evidence, closed_over_subsets(evidence)
    joined = _joined_pairs(levels)
    means = joined @ evidence / joined.sum(1)
    return means, np.where(joined, means[:, None], np.inf).min(0)


def closed_over_subsets(evidence: Floats, largest: int | None = None) -> Floats:
    """For each hypothesis the least mean evidence of all sets, of at most `largest`, that it is in."""
    size = np.arange(1, len(evidence) + 1)
    rank = np.argsort(evidence, kind="stable")
    ascending = evidence[rank]
    sums = np.cumsum(ascending)
    before = ascending[:, None] + np.concatenate([[0.0], sums[:-1]])  # with the smallest of those before it
    means = np.where(size <= size[:, None], before, sums) / size
    closed = np.empty(len(evidence))
    closed[rank] = means[:, : largest or len(evidence)].min(1)
    return closed


@dataclass(frozen=True)
class Look:
    """What one look tells, for each pair; `within` for each level.

    unequal: evidence against each hypothesis of `_joined_pairs`. different: evidence of a difference, closed.
    equivalent: evidence that the difference is less than the margin, closed. within: closed evidence that no
    other level is better by the margin or more. half_width: of the interval around `fit.difference`; it
    leaves out 0 where `different` is enough.
    """

    fit: Fit
    unequal: Floats
    different: Floats
    equivalent: Floats
    within: Floats
    half_width: Floats


def look(accuracies: ArrayLike, margin: float, resolution: float = 0.0) -> Look:
    """The evidence in the accuracies of the seeds so far. margin: as a fraction."""
    values = np.asarray(accuracies, float)
    levels, fit = len(values), fit_pairs(values, resolution)
    difference = fit.difference
    rooms = np.maximum([margin - np.abs(difference), margin + difference, margin - difference], 0)
    evidence, near, *sides = e_values([difference, *rooms], fit.seeds, fit.variance, fit.df)
    near, *sides = (np.where(room > 0, e, 0.0) for room, e in zip(rooms, (near, *sides), strict=True))
    unequal, different = closed_over_partitions(evidence, levels)
    return Look(
        fit,
        unequal,
        different,
        equivalent=closed_over_subsets(near),
        within=_within_margin_of_best(sides, levels),
        half_width=reach(fit.seeds, fit.variance, fit.df, ENOUGH * evidence / different),
    )


def _within_margin_of_best(sides: Sequence[Floats], levels: int) -> Floats:
    """sides: per pair the evidence that the first, and that the second, is less than the margin below.

    Of all levels at least one is the best, so at most `levels - 1` of the hypotheses are true.
    """
    least = np.full((levels, levels), np.inf)
    first, second = pair_indices(levels)
    least[first, second], least[second, first] = sides
    return closed_over_subsets(least.min(1), levels - 1)


@dataclass
class Watch:
    """The verdicts of a study after each look; what was decided at one look stays decided."""

    levels: int
    margin: float
    resolution: float = 0.0

    def __post_init__(self) -> None:
        pairs = self.levels * (self.levels - 1) // 2
        self.different, self.equivalent = np.zeros(pairs, bool), np.zeros(pairs, bool)
        self.within = np.zeros(self.levels, bool)
        self._rejected: Bools = np.zeros(1, bool)

    def look(self, accuracies: ArrayLike) -> Look:
        """Takes in the accuracies so far, (levels, seeds) with NaN."""
        seen = look(accuracies, self.margin, self.resolution)
        if self.levels > EXACT_LEVELS:
            self.different |= seen.different >= ENOUGH
        else:  # each hypothesis may have been rejected at a look of its own
            self._rejected = self._rejected | (seen.unequal >= ENOUGH)
            self.different = np.asarray(~(_joined_pairs(self.levels) & ~self._rejected[:, None]).any(0))
        self.equivalent |= seen.equivalent >= ENOUGH
        self.within |= seen.within >= ENOUGH
        return seen

    def beaten(self, seen: Look) -> Bools:
        """(levels,): which are worse than some other level. They need no further trainings."""
        first, second = pair_indices(self.levels)
        beaten = np.zeros(self.levels, bool)
        beaten[second[self.different & (seen.fit.difference > 0)]] = True
        beaten[first[self.different & (seen.fit.difference < 0)]] = True
        return beaten

    def settled(self, leader: int, seen: Look) -> bool:
        """Whether each other level is beaten, or different from the leader, or equivalent to it."""
        first, second = pair_indices(self.levels)
        own = (first == leader) | (second == leader)
        other = np.where(first == leader, second, first)
        return bool((self.different | self.equivalent | self.beaten(seen)[other])[own].all())

    def decided(self, leader: int, seen: Look) -> bool:
        """Whether all is settled, or no other level is better than the leader by the margin or more."""
        return bool(self.within[leader]) or self.settled(leader, seen)


@dataclass(frozen=True)
class OfImages:
    """What the choice of test images puts into a difference. error: standard error; df: how well known."""

    error: float
    df: float

    def half_width(self, of_seeds: float, pairs: int) -> float:
        """Of an interval for other seeds and other images. of_seeds: `Look.half_width` of the pair.

        Both are independent, so they add like the sides of a right triangle. The part of the images holds for
        all `pairs` of a study together (Bonferroni).
        """
        from scipy.stats import t

        return math.hypot(of_seeds, float(t.ppf(1 - 0.025 / pairs, self.df)) * self.error)


def image_error(differences: ArrayLike) -> OfImages:
    """differences: (seeds, images), of whether each of a pair is right: −1, 0 or 1.

    The variance over images of the mean over seeds, less what seeds put into it (several readers and several
    cases, both random: Obuchowski & Rockette 1995). Where few images differ it is known badly; its degrees
    of freedom follow from the kurtosis (O'Neill, "Some useful moment results in sampling problems", 2014).
    """
    values = np.asarray(differences, float)
    n, images = values.shape
    if n < 2 or images < 2:
        return OfImages(math.inf, 1.0)
    centred = values - values.mean(1, keepdims=True)  # a seed's own level is no image's
    means = centred.mean(0)
    between, within = float(means.var(ddof=1)), float(centred.var(0, ddof=1).mean())
    if between == 0:
        return OfImages(0.0, 1.0)
    kurtosis = float((means**4).mean()) / float((means**2).mean()) ** 2
    df = max(1.0, 2 * images / (kurtosis - (images - 3) / (images - 1)))
    return OfImages(math.sqrt(max(0.0, between - within / n) / images), df)


def default_margin(images: int, errors: Sequence[float] = ()) -> float:
    """The largest of 0.1 percentage points, two test images, and two standard errors of the images."""
    return max(0.001, 2 / images, 2 * max(errors, default=0.0))
