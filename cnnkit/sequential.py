"""Verdicts that may be looked at after every seed: which levels of a study differ, and which are equivalent.

Accuracies are (levels, seeds) float, NaN where a level was not trained with a seed. All pairs are those of
`itertools.combinations(range(levels), 2)`, in that order.

The evidence of a pair is an e-value: a number whose mean is at most 1 where the pair does not differ,
whenever one stops. Large numbers are evidence against "no difference", and 1 / 0.05 = 20 is enough: by
Ville's inequality such evidence ever reaches 20 in at most 5 % of studies in which there is no difference.

An example. Two levels differ by 1 point in the mean of 5 seeds, and the difference of one seed has a standard
deviation of 0.5 points, with 4 degrees of freedom. So t = 1 / 0.5 · √5 = 4.5, and `e_values` is 10.4: not
enough. With 8 seeds, the same mean and deviation, and 7 degrees of freedom, it is 90: they differ. `reach`
tells the other way round from which mean on evidence is enough: 1.30 points with 5 seeds, 0.73 with 8. With
it as half its width, an interval around the mean holds the true difference at every look, in 95 % of studies.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from cnnkit.additive import Bools, Fit, Floats, fit_pairs
from cnnkit.closed_testing import (
    EXACT_LEVELS,
    closed_over_partitions,
    closed_over_subsets,
    joined_pairs,
    pair_indices,
)

ENOUGH = 20.0  # 1 / 0.05
SHARE = 2 / 3  # of studies, in which a difference that is told to be found is found
PRIOR = 0.5  # the weight g of the mixture, in seeds; small: it expects differences of several deviations


def e_values(distance: ArrayLike, seeds: ArrayLike, variance: Floats, df: ArrayLike) -> Floats:
    """Evidence that a true difference is not 0, from an estimate this far away from 0; NaN: no estimate.

    seeds, n: whose mean the estimate is. variance: of a difference within one seed. df: its degrees of
    freedom. All of one shape, that of the evidence, or single numbers. With q = g / (g + n), g = `PRIOR`, and
    x = t² / df = n · distance² / (variance · df):

        evidence = √q · ((1 + x) / (1 + q · x)) ^ ((df + 1) / 2)

    This is the likelihood ratio of the t statistic, averaged over a normal distribution of the true
    difference: the test martingale of Wang & Ramdas, arXiv 2310.03722; see Lindon et al., arXiv 2210.08589,
    and, with a flat distribution, Lai, "On confidence sequences", Annals of Statistics 1976. 1 where nothing
    is known.
    """
    n, squared, df = np.asarray(seeds, float), np.square(np.asarray(distance, float)), np.asarray(df, float)
    q = PRIOR / (PRIOR + n)
    with np.errstate(divide="ignore", invalid="ignore"):
        x = np.where(squared == 0, 0.0, squared * n / variance / df)  # not 0 / 0, where there is no noise
        ratio = np.where(x < math.inf, (1 + x) / (1 + q * x), 1 / q)
        evidence = np.sqrt(q) * ratio ** ((df + 1) / 2)
    return np.where(np.isfinite(squared) & (df > 0), evidence, 1.0)


def reach(seeds: ArrayLike, variance: ArrayLike, df: ArrayLike, enough: ArrayLike = ENOUGH) -> Floats:
    """The distance from 0 at which `e_values` is `enough`: half the width of a confidence sequence.

    The formula of `e_values`, solved for the distance. Infinite where no distance is enough: with few seeds,
    as evidence never exceeds √q · (1 / q) ^ ((df + 1) / 2).
    """
    n, enough, df = (np.asarray(value, float) for value in (seeds, enough, df))
    q = PRIOR / (PRIOR + n)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = (enough / np.sqrt(q)) ** (2 / (df + 1))  # (1 + x) / (1 + q · x)
        x = np.where((q * ratio < 1) & (df > 0), (ratio - 1) / (1 - q * ratio), np.inf)
        return np.where(df > 0, np.sqrt(x * df * np.asarray(variance, float) / n), np.inf)


def least_decided(fit: Fit, seeds: int) -> float | None:
    """The smallest lead that is decided in a share `SHARE` of studies with so many seeds in all.

    A lead: one level is better than every other by as much. The noise is the median of the pairs in `fit`. It
    is only estimated, so t follows a noncentral t distribution. None: fewer than two seeds are known.
    """
    from scipy.special import nctdtrit

    known = (fit.df > 0) & (fit.seeds > 1)
    if not known.any():
        return None
    seen, variance = int(fit.seeds[known].max()), float(np.median(fit.variance[known]))
    levels, df, n = len(fit.effect), int(fit.df[known].max()), max(seeds, seen)
    # A lead is decided once every partition that joins the leader with others is rejected. Its evidence is
    # the mean over all pairs that it joins, of which only the leader's, one less than its group has levels,
    # differ.
    sizes = range(2, levels + 1)  # of the leader's group; the other levels may be one group, too
    pairs_each = max((math.comb(m, 2) + math.comb(levels - m, 2)) / (m - 1) for m in sizes)
    needed = reach(n, 1.0, df * (n - 1) / (seen - 1), ENOUGH * pairs_each) * math.sqrt(n)  # of t
    if not needed < math.inf:
        return None
    return float(nctdtrit(df, float(needed), SHARE)) * math.sqrt(variance / n)


@dataclass(frozen=True)
class Look:
    """What one look tells: evidence, and intervals, (pairs,) each where nothing else is said.

    "Closed" evidence is what is left if all pairs are tested together: see `cnnkit.closed_testing`.
    unequal: (hypotheses,), evidence against each hypothesis of `joined_pairs`. different: closed evidence of
    a difference. equivalent: closed evidence that the difference is less than the margin.
    not_better: (levels, levels), evidence that the second is not better than the first by the margin or more;
    infinite for a level and itself.
    half_width: of the interval around `fit.difference`; it leaves out 0 where `different` is enough.
    near_half_width: of one that lies within the margin where `equivalent` is enough.
    """

    fit: Fit
    unequal: Floats
    different: Floats
    equivalent: Floats
    not_better: Floats
    half_width: Floats
    near_half_width: Floats

    def within(self, beaten: Bools) -> Floats:
        """(levels,): closed evidence that no other level is better by the margin or more.

        Of all levels at least one is the best, so at most `levels - 1` of the hypotheses are true. beaten:
        (levels,), whether a level is worse than some other. Beaten levels are left out: the level that beats
        one is better still, so it is enough that this level is not better by the margin.
        """
        others = np.where(beaten, np.inf, self.not_better)
        return closed_over_subsets(others.min(1), len(beaten) - 1)


def look(accuracies: ArrayLike, margin: float, resolution: float = 0.0) -> Look:
    """The evidence in the accuracies of the seeds so far, (levels, seeds) with NaN.

    margin: the largest difference that counts as none, a fraction: 0.001 is 0.1 points. resolution: one test
    image's share; no two trainings are known better than by one image.
    """
    return look_at(fit_pairs(accuracies, resolution), margin)


def look_at(fit: Fit, margin: float) -> Look:
    """The evidence on each pair of levels. fit: of all pairs."""
    difference, levels = fit.difference, len(fit.effect)
    evidence = e_values(difference, fit.seeds, fit.variance, fit.df)
    near = evidence_above(fit, margin - np.abs(difference))  # |difference| < margin
    unequal, different = closed_over_partitions(evidence, levels)
    equivalent = closed_over_subsets(near)
    widths = half_widths(fit, (evidence, near), (different, equivalent))
    not_better = np.full((levels, levels), np.inf)
    first, second = pair_indices(levels)
    not_better[first, second] = evidence_above(fit, margin + difference)  # first - second > -margin
    not_better[second, first] = evidence_above(fit, margin - difference)  # second - first > -margin
    return Look(fit, unequal, different, equivalent, not_better, *widths)


def evidence_above(fit: Fit, distance: Floats) -> Floats:
    """(contrasts,): evidence that true values are above a bound, from estimates that lie `distance` above it.

    0 where an estimate is not above the bound.
    """
    return np.where(distance > 0, e_values(np.maximum(distance, 0), fit.seeds, fit.variance, fit.df), 0.0)


def half_widths(fit: Fit, alone: Sequence[Floats], closed: Sequence[Floats]) -> Floats:
    """(kinds, pairs): half widths of intervals that agree with closed evidence, a row for each kind of it.

    alone, closed: for each kind the evidence of each pair, (pairs,), and what is left of it if all are tested
    together. A pair that is left with a fifth of its evidence needs five times as much before it is enough.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        needed = ENOUGH * (np.array(alone) / np.array(closed))
    return reach(fit.seeds, fit.variance, fit.df, np.nan_to_num(needed, nan=np.inf))


class Decided:
    """What was decided so far of each pair, or of each contrast.

    evidence: the most there was of a difference. near: the most of a difference of less than the margin.
    """

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

    levels: how many. margin, resolution: as `look` has them. evidence, near: (pairs,), as in `Decided`.
    within_margin: (levels,), the most evidence there was that no other level is better than this one by the
    margin or more. None of them ever falls.
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
        """Takes in a look, and returns it."""
        if self.levels > EXACT_LEVELS:
            self.evidence = np.maximum(self.evidence, seen.different)
        else:  # each hypothesis may have been rejected at a look of its own
            self._unequal = np.maximum(self._unequal, seen.unequal)
            joined = joined_pairs(self.levels)
            self.evidence = np.where(joined, self._unequal[:, None], np.inf).min(0)
        self.near = np.maximum(self.near, seen.equivalent)
        self.within_margin = np.maximum(self.within_margin, seen.within(self.beaten(seen)))
        return seen

    @property
    def within(self) -> Bools:
        """(levels,): whether no other level is better than this one by the margin or more."""
        return np.asarray(self.within_margin >= ENOUGH)

    def beaten(self, seen: Look, by: Bools | None = None) -> Bools:
        """(levels,): whether a level is worse than some other. It needs no further trainings.

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

        failing: (levels,), whether a training of the level failed.
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
