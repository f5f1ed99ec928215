"""Verdicts that may be looked at after every seed: which levels of a study differ, and which are equivalent.

Accuracies are (levels, seeds) float, NaN where a level was not trained with a seed. All pairs are those of
`itertools.combinations(range(levels), 2)`, in that order. The evidence of a pair is an e-value: a number
whose mean is at most 1 where the pair does not differ, whenever one stops. Large numbers are evidence
against "no difference", and 1 / 0.05 = 20 is enough.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnnkit.closed_testing import (
    EXACT_LEVELS,
    closed_over_partitions,
    closed_over_subsets,
    joined_pairs,
    pair_indices,
    pair_weights,
)

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

ENOUGH = 20.0  # 1 / 0.05
NOISY = 1.1  # times the common variance: beyond it a pair's own degrees of freedom count
SHARE = 2 / 3  # of studies, in which a difference that is told to be found is found
NO_DIRECTION = 1e-9  # of the largest eigenvalue: less is 0, but for rounding; 12 levels round to 1e-15
PRIOR = 0.5  # the weight g of the mixture, in seeds; small: it expects differences of several deviations


@dataclass(frozen=True)
class Fit:
    """What a look at the accuracies knows of each pair, or of other contrasts of levels.

    effect: of each level, over the seeds that it has; of the additive fit, mean 0. NaN where it has none.
    difference: of the means over the seeds that both have, first minus second, NaN where there are none.
    seeds: how many those are. variance: of a difference between two trainings of a seed. df: its degrees of
    freedom.
    """

    effect: Floats
    difference: Floats
    seeds: NDArray[np.int64]
    variance: Floats
    df: NDArray[np.int64]


def fit_pairs(accuracies: ArrayLike, resolution: float = 0.0) -> Fit:
    """Every pair of levels."""
    values = np.asarray(accuracies, float)
    return fit_contrasts(values, pair_weights(len(values)), resolution)


def fit_contrasts(values: Floats, weights: Floats, resolution: float = 0.0) -> Fit:
    """Level + seed, fitted by least squares; all levels together tell the variance.

    weights: (contrasts, levels), of sum 0, such as 1 and -1 for a pair. A seed counts for a contrast where
    it has all the levels that the contrast weighs. A contrast has the residual variance times the sum of its
    squared weights, but never less than its own (one level may be noisier than the others), nor than that of
    a pair which differs by `resolution`, one test image's share.
    """
    known = np.isfinite(values)
    differences = np.where((weights != 0) @ ~known, np.nan, weights @ np.where(known, values, 0.0))
    seeds = np.isfinite(differences).sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.nansum(differences, 1) / np.where(seeds, seeds, np.nan)
        own = np.nansum((differences - means[:, None]) ** 2, 1) / np.where(seeds > 1, seeds - 1, np.nan)
    effect, residual, df = _additive_fit(values)
    own, scale = np.nan_to_num(own), (weights**2).sum(1)
    noisy = own > NOISY * scale * residual
    variance = np.maximum(np.maximum(scale * residual, own), scale / 2 * resolution**2)
    return Fit(effect, means, seeds, variance, np.where(noisy, np.minimum(seeds - 1, df), df))


def _additive_fit(values: Floats) -> tuple[Floats, float, int]:
    """(effects of the levels, residual variance, its degrees of freedom); 0 of them where nothing is left.

    Within each seed values are taken from their mean, which leaves normal equations of the levels alone.
    """
    there = np.isfinite(values)
    there &= there.sum(0) > 1  # a seed of one level alone says nothing of differences
    centred = _centred(values, there)
    share = there / np.maximum(there.sum(0), 1)
    normal = np.diag(there.sum(1)).astype(float) - there.astype(float) @ share.T
    eigenvalues, directions = np.linalg.eigh(normal)  # one is 0 for each group of levels that share no seed
    known = eigenvalues > NO_DIRECTION * max(eigenvalues[-1], 1.0)
    directions, eigenvalues = directions[:, known], eigenvalues[known]
    effect = directions @ (directions.T @ centred.sum(1) / eigenvalues)
    left = centred - _centred(np.broadcast_to(effect[:, None], values.shape), there)
    df = int(there.sum() - there.any(0).sum() - known.sum())
    residual = float((left**2).sum()) / df if df > 0 else 0.0
    return np.where(there.any(1), effect, np.nan), residual, max(df, 0)


def _centred(values: Floats, there: Bools) -> Floats:
    """(levels, seeds): minus the mean of the seed, 0 where there is no value."""
    known = np.where(there, values, 0.0)
    return np.where(there, known - known.sum(0) / np.maximum(there.sum(0), 1), 0.0)


def e_values(distance: ArrayLike, seeds: ArrayLike, variance: Floats, df: ArrayLike) -> Floats:
    """Evidence that a true difference is not 0, from an estimate this far away from 0; NaN: no estimate.

    A normal mixture over the true difference: the test martingale of Wang & Ramdas, arXiv 2310.03722, for
    what is known of t alone; see Lindon et al., arXiv 2210.08589, and, with a flat mixture, Lai, "On
    confidence sequences", Annals of Statistics 1976. It is 1 where nothing is known.
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


def least_decided(fit: Fit, seeds: int) -> float | None:
    """A difference that so many seeds in all decide in the share `SHARE` of studies, or in more.

    It is one by which a level is ahead of all others, whose noise is as in `fit`: the median of its pairs.
    That the noise is only estimated counts, too: t is noncentral. None: two seeds or more have to be known.
    """
    from scipy.stats import nct

    known = (fit.df > 0) & (fit.seeds > 1)
    if not known.any():
        return None
    seen, variance = int(fit.seeds[known].max()), float(np.median(fit.variance[known]))
    levels, df, n = len(fit.effect), int(fit.df[known].max()), max(seeds, seen)
    sizes = range(2, levels + 1)  # of the leader's group in a partition: the others may be joined, too
    joined = max((math.comb(m, 2) + math.comb(levels - m, 2)) / (m - 1) for m in sizes)
    needed = reach(n, 1.0, df * (n - 1) / (seen - 1), ENOUGH * joined) * math.sqrt(n)
    if not needed < math.inf:
        return None
    return float(nct.ppf(SHARE, df, float(needed))) * math.sqrt(variance / n)


@dataclass(frozen=True)
class Look:
    """What one look tells, for each pair; `within` for each level.

    unequal: evidence against each hypothesis of `joined_pairs`. different: evidence of a difference, closed.
    equivalent: evidence that the difference is less than the margin, closed. within: closed evidence that no
    other level is better by the margin or more. half_width: of the interval around `fit.difference`; it
    leaves out 0 where `different` is enough. near_half_width: of one that lies within the margin where
    `equivalent` is enough.
    """

    fit: Fit
    unequal: Floats
    different: Floats
    equivalent: Floats
    within: Floats
    half_width: Floats
    near_half_width: Floats


def look(accuracies: ArrayLike, margin: float, resolution: float = 0.0) -> Look:
    """The evidence in the accuracies of the seeds so far. margin: as a fraction."""
    return look_at(fit_pairs(accuracies, resolution), margin)


def look_at(fit: Fit, margin: float) -> Look:
    """The evidence on each pair of levels. fit: of all pairs."""
    difference, levels = fit.difference, len(fit.effect)
    evidence = e_values(difference, fit.seeds, fit.variance, fit.df)
    rooms = (margin - np.abs(difference), margin + difference, margin - difference)
    near, *sides = (evidence_of_room(fit, room) for room in rooms)
    unequal, different = closed_over_partitions(evidence, levels)
    equivalent = closed_over_subsets(near)
    widths = half_widths(fit, (evidence, near), (different, equivalent))
    return Look(fit, unequal, different, equivalent, _within_margin_of_best(sides, levels), *widths)


def evidence_of_room(fit: Fit, room: Floats) -> Floats:
    """Evidence that a true value is above a bound, from an estimate that is `room` above it; else 0."""
    return np.where(room > 0, e_values(np.maximum(room, 0), fit.seeds, fit.variance, fit.df), 0.0)


def half_widths(fit: Fit, alone: Sequence[Floats], closed: Sequence[Floats]) -> Floats:
    """Of intervals that decide where the closed evidence does, a row for each kind of evidence."""
    with np.errstate(divide="ignore", invalid="ignore"):
        needed = ENOUGH * (np.array(alone) / np.array(closed))
    return reach(fit.seeds, fit.variance, fit.df, np.nan_to_num(needed, nan=np.inf))


def _within_margin_of_best(sides: Sequence[Floats], levels: int) -> Floats:
    """sides: per pair the evidence that the first, and that the second, is less than the margin below.

    Of all levels at least one is the best, so at most `levels - 1` of the hypotheses are true.
    """
    least = np.full((levels, levels), np.inf)
    first, second = pair_indices(levels)
    least[first, second], least[second, first] = sides
    return closed_over_subsets(least.min(1), levels - 1)


class Decided:
    """What was decided so far. evidence: of a difference, for each. near: of less than the margin."""

    evidence: Floats
    near: Floats

    @property
    def different(self) -> Bools:
        return np.asarray(self.evidence >= ENOUGH)

    @property
    def equivalent(self) -> Bools:
        return np.asarray(self.near >= ENOUGH)


@dataclass
class Watch(Decided):
    """The verdicts of a study after each look; what was decided at one look stays decided.

    evidence: of a difference, for each pair, so far. near: of less than the margin. within_margin: for each
    level, that no other is better by the margin or more. None of them ever falls.
    """

    levels: int
    margin: float
    resolution: float = 0.0

    def __post_init__(self) -> None:
        pairs = self.levels * (self.levels - 1) // 2
        self.evidence, self.near, self.within_margin = np.zeros(pairs), np.zeros(pairs), np.zeros(self.levels)
        self._unequal: Floats = np.zeros(1)

    def look(self, accuracies: ArrayLike) -> Look:
        """Takes in the accuracies so far, (levels, seeds) with NaN."""
        return self.take(look(accuracies, self.margin, self.resolution))

    def take(self, seen: Look) -> Look:
        """Takes in a look."""
        if self.levels > EXACT_LEVELS:
            self.evidence = np.maximum(self.evidence, seen.different)
        else:  # each hypothesis may have been rejected at a look of its own
            self._unequal = np.maximum(self._unequal, seen.unequal)
            joined = joined_pairs(self.levels)
            self.evidence = np.where(joined, self._unequal[:, None], np.inf).min(0)
        self.near = np.maximum(self.near, seen.equivalent)
        self.within_margin = np.maximum(self.within_margin, seen.within)
        return seen

    @property
    def within(self) -> Bools:
        """(levels,): than which no other is better by the margin or more."""
        return np.asarray(self.within_margin >= ENOUGH)

    def beaten(self, seen: Look, by: Bools | None = None) -> Bools:
        """(levels,): which are worse than some other level. They need no further trainings.

        by: the levels that count as better; None: all.
        """
        first, second = pair_indices(self.levels)
        by = np.ones(self.levels, bool) if by is None else by
        beaten = np.zeros(self.levels, bool)
        beaten[second[self.different & (seen.fit.difference > 0) & by[first]]] = True
        beaten[first[self.different & (seen.fit.difference < 0) & by[second]]] = True
        return beaten

    def leader(self, seen: Look, failing: Bools) -> int:
        """The best level that is not beaten; one of those that never failed, if there is any.

        failing: (levels,), of which a training failed.
        """
        known = np.isfinite(seen.fit.effect)
        going = known & ~self.beaten(seen, by=~failing)
        candidates = next((c for c in (going & ~failing, going) if c.any()), known)
        return int(np.argmax(np.where(candidates, seen.fit.effect, -np.inf)))

    def settled(self, leader: int, seen: Look) -> bool:
        """Whether each other level is beaten, or different from the leader, or equivalent to it."""
        first, second = pair_indices(self.levels)
        own = (first == leader) | (second == leader)
        other = np.where(first == leader, second, first)
        return bool((self.different | self.equivalent | self.beaten(seen)[other])[own].all())

    def decided(self, leader: int, seen: Look) -> bool:
        """Whether all is settled, or no other level is better than the leader by the margin or more."""
        return bool(self.within[leader]) or self.settled(leader, seen)
