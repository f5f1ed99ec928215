"""Which differences are real: from who was right on which image, seed by seed, to a verdict on every pair.

Two questions are told apart. Would other seeds come out the same way? The evidence for that grows with each
seed, and may be looked at whenever one likes. Would other test images? That no number of seeds can tell: it
needs more images. Only where both answers are yes a level is called better.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnkit.additive import Fit, Floats
from cnnkit.closed_testing import pair_indices, pair_weights
from cnnkit.comparison.pair_records import (
    APART,
    BETTER,
    BETTER_HERE,
    EQUIVALENT,
    FEWEST_TOLD,
    NOT_KNOWN,
    OPPOSITE,
    THE_BEST,
    UNDECIDED,
    PairResult,
    SeedRange,
)
from cnnkit.comparison.records import LookResult
from cnnkit.factorial import Effects
from cnnkit.image_error import OfImages, image_error, image_error_of_redrawn
from cnnkit.sequential import ENOUGH, Look, Watch, reach
from cnnkit.stats import MOST_SEEDS, Interval

FEWEST_SEEDS = 2  # of a look: one seed says nothing of the noise
MOST_EVIDENCE = 1e12  # larger numbers are told as this one
BEATEN = "beaten"  # the state of a level that is worse than another; see `Judge.state`


@dataclass(frozen=True)
class Observed:
    """What the trials of a study came to, in the order of its levels and seeds.

    accuracies: (levels, seeds), fractions, NaN where there is none; of another metric its values. failed:
    (levels, seeds), where a training failed. scores: (levels, seeds, images), which test image was classified
    right, or `image_scores` of another metric; 0 without a training; None where only accuracies are known.
    images: how many test images; 0: not known. pool: out of how many each seed chooses them; 0: all seeds
    have the same ones. Of another metric than accuracy also: share: `image_share`; classes: (images,), the
    class of each, of which other test images would have as many; None with a pool; plain: the accuracies.
    """

    names: Sequence[str]
    accuracies: Floats
    failed: NDArray[np.bool_]
    scores: NDArray[Any] | None
    images: int
    pool: int = 0
    share: float | None = None
    classes: NDArray[np.int64] | None = None
    plain: Floats | None = None

    @property
    def resolution(self) -> float:
        """One test image's share; 0: there is none that is known."""
        if self.share is not None:
            return self.share
        return 1 / self.images if self.images else 0.0

    def _taken(self, levels: Any, seeds: Any) -> "Observed":
        """Some levels or seeds of it."""
        scores, plain = (None if of is None else of[levels][:, seeds] for of in (self.scores, self.plain))
        rows = np.arange(len(self.names))[levels].tolist()
        accuracies, failed = self.accuracies[levels][:, seeds], self.failed[levels][:, seeds]
        names = [self.names[row] for row in rows]
        return replace(self, names=names, accuracies=accuracies, failed=failed, scores=scores, plain=plain)

    @property
    def known(self) -> "Observed":
        """Without the levels that have no seed in common with any other."""
        there = np.isfinite(self.accuracies)
        return self._taken(np.asarray((there & (there.sum(0) > 1)).any(1)), slice(None))

    @property
    def has_whole_seed(self) -> bool:
        """Whether all levels have an accuracy with one seed."""
        return bool(np.isfinite(self.accuracies).all(0).any())

    def first(self, seeds: int) -> "Observed":
        """What was known after so many seeds."""
        return self._taken(slice(None), slice(seeds))


class Judge:
    """Looks at a study after each seed. What one look has decided stays decided. margin: a fraction.

    resolution: one test image's share; 0: not known. weights: (pairs, rows of `Observed`), what is compared:
    the levels, or means of several of them.
    """

    def __init__(
        self,
        names: Sequence[str],
        margin: float,
        resolution: float,
        watch: Watch | None = None,
        weights: Floats | None = None,
    ) -> None:
        self.names, self.margin = names, margin
        self.watch = watch or Watch(len(names), margin, resolution)
        self.weights = pair_weights(len(names)) if weights is None else weights
        self.beaten_after: dict[str, int] = {}
        self.seen: Look | None = None
        self.leader = 0
        self.failing = np.zeros(len(names), bool)

    @property
    def fits(self) -> list[Fit]:
        """Of the last look."""
        return [self.seen.fit] if self.seen else []

    def look(self, observed: Observed) -> LookResult:
        """observed: of all seeds so far, at least `FEWEST_SEEDS`."""
        seen, seeds = self.watch.look(observed.accuracies), observed.accuracies.shape[1]
        self.take(seen, np.asarray(observed.failed.any(1)), seeds)
        there = np.isfinite(observed.accuracies)
        return LookResult(
            seeds=seeds,
            trainings=int(there.sum()),
            leader=self.names[self.leader],
            means=[
                float(row[has].mean()) if has.any() else None
                for row, has in zip(observed.accuracies, there, strict=True)
            ],
            beaten=[name for name in self.names if name in self.beaten_after],
            different=_told(self.watch.evidence),
            equivalent=_told(self.watch.near),
            within=_told(self.watch.within_margin)[self.leader],
            decided=self.watch.decided(self.leader, seen),
        )

    def take(self, seen: Look, failing: NDArray[np.bool_], seeds: int) -> None:
        """Takes in a look of the watch after so many seeds. failing: (levels,)."""
        self.seen, self.failing = seen, failing
        beaten = np.flatnonzero(self.watch.beaten(seen, by=~failing)).tolist()
        names = [self.names[level] for level in beaten]
        self.beaten_after = {name: self.beaten_after.get(name) or seeds for name in names}
        self.leader = self.watch.leader(seen, failing)

    def state(self, level: int) -> str:
        """In a word how a level stands. One of which a training failed is not equivalent to another."""
        if level == self.leader:
            return THE_BEST
        if self.names[level] in self.beaten_after:
            return BEATEN
        first, second = pair_indices(len(self.names))
        pair = (np.minimum(level, self.leader) == first) & (np.maximum(level, self.leader) == second)
        failing = self.failing[[level, self.leader]].any()
        return EQUIVALENT if self.watch.equivalent[pair].all() and not failing else UNDECIDED

    def ranked(self) -> list[int]:
        """The levels, the leader first, then by their accuracy over the same seeds; without the unknown."""
        assert self.seen is not None
        effect = self.seen.fit.effect
        known = [i for i in range(len(self.names)) if math.isfinite(effect[i])]
        return sorted(known, key=lambda i: (i != self.leader, -effect[i]))


def _told(evidence: Floats) -> list[float]:
    return [float(value) for value in np.minimum(evidence, MOST_EVIDENCE)]


def judge(observed: Observed, margin: float) -> tuple[Judge, list[LookResult], list[PairResult]]:
    """A look after each seed, then a verdict on every pair, in the order of `combinations(names, 2)`.

    margin: a fraction; a smaller difference counts for nothing.
    """
    observed = observed.known
    judge = Judge(observed.names, margin, observed.resolution)
    seeds = observed.accuracies.shape[1]
    looks = [judge.look(observed.first(n)) for n in range(FEWEST_SEEDS, seeds + 1)]
    if not looks:  # a single seed: there are differences, but their noise is not known
        judge.look(observed)
    return judge, looks, list(pairs_of(judge, observed))


def pairs_of(judge: Judge, observed: Observed) -> Iterator[PairResult]:
    """A verdict on every pair. observed: what the last look of the judge was at."""
    seen, watch = judge.seen, judge.watch
    assert seen is not None
    first, second = pair_indices(len(judge.names))
    for pair, (a, b) in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
        mean, seeds = float(seen.fit.difference[pair]), int(seen.fit.seeds[pair])
        of_images = of_images_in(observed, seen.fit, pair, judge.weights[pair])
        elsewhere = of_images.half_width(float(seen.half_width[pair]), len(first)) if of_images else math.inf
        verdict = _verdict(judge, pair, a, b, mean, elsewhere)
        told = verdict == UNDECIDED and not judge.failing[[a, b]].any()  # more seeds mend no failure
        yield PairResult(
            judge.names[a],
            judge.names[b],
            seeds=seeds,
            difference=interval_of(judge.margin, seen, pair, mean if seeds else 0.0, verdict, elsewhere),
            verdict=verdict,
            different=_told(watch.evidence)[pair],
            equivalent=_told(watch.near)[pair],
            image_error=of_images.error if of_images else None,
            seeds_needed=_seeds_needed(judge, pair) if told else None,
        )


def _verdict(judge: Judge, pair: int, a: int, b: int, mean: float, elsewhere: float) -> str:
    """Of a against b. A level whose trainings fail is never called better or equivalent."""
    if judge.watch.equivalent[pair]:
        return UNDECIDED if judge.failing[[a, b]].any() else EQUIVALENT
    if not judge.watch.different[pair]:
        return UNDECIDED
    better = BETTER if abs(mean) > elsewhere else BETTER_HERE
    if judge.failing[a if mean > 0 else b]:
        return UNDECIDED
    return better if mean > 0 else OPPOSITE[better]


def of_images_in(observed: Observed, fit: Fit, contrast: int, weights: Floats) -> OfImages | None:
    """How much a contrast depends on the choice of test images; None where that is not known.

    weights: (rows of `observed`,), of the contrast.
    """
    used = np.flatnonzero(weights)
    both = np.isfinite(observed.accuracies[used]).all(0)
    if observed.scores is None or both.sum() < FEWEST_SEEDS:
        return None
    if observed.pool:
        variance, df = float(fit.variance[contrast]), float(fit.df[contrast])
        return image_error_of_redrawn(variance, df, observed.images, observed.pool - observed.images)
    told = image_error(
        sum(float(weights[row]) * observed.scores[row, both] for row in used), observed.classes
    )
    return told if told.error < math.inf else None


def interval_of(
    margin: float, seen: Look | Effects, pair: int, mean: float, verdict: str, elsewhere: float
) -> Interval:
    """The interval that agrees with the verdict; cut at 0 or the margin for a verdict of an earlier look."""
    if verdict == EQUIVALENT:
        half = float(seen.near_half_width[pair])
        return Interval(mean, max(mean - half, -margin), min(mean + half, margin))
    half, undecided = float(seen.half_width[pair]), verdict in (UNDECIDED, NOT_KNOWN)
    if verdict in (BETTER, OPPOSITE[BETTER], APART) or (undecided and elsewhere < math.inf):
        half = elsewhere
    if not half < math.inf:
        return Interval(mean, None, None)
    low, high = mean - half, mean + half
    if not undecided:
        low, high = (max(low, 0.0), high) if mean > 0 else (low, min(high, 0.0))
    return Interval(mean, max(low, -1.0), min(high, 1.0))


def _seeds_needed(judge: Judge, pair: int) -> SeedRange | None:
    """How many seeds in all would decide the pair, if its true difference is near the one seen so far.

    Near: within one standard error. The evidence must be enough for all pairs together.
    """
    assert judge.seen is not None
    fit, watch = judge.seen.fit, judge.watch
    seeds, variance, df = int(fit.seeds[pair]), float(fit.variance[pair]), int(fit.df[pair])
    if seeds < FEWEST_SEEDS or df < 1 or watch.different[pair] or watch.equivalent[pair]:
        return None
    n = np.arange(seeds + 1, MOST_SEEDS + 1)
    half = reach(n, variance, df * (n - 1) / (seeds - 1), ENOUGH * len(fit.seeds))
    error = math.sqrt(variance / seeds)
    needed = []
    for distance in np.abs(float(fit.difference[pair]) + np.linspace(-1, 1, 9) * error):
        enough = np.flatnonzero((half <= distance) | (half <= judge.margin - distance))
        needed.append(max(int(n[enough[0]]), FEWEST_TOLD) if len(enough) else None)
    told = [number for number in needed if number is not None]
    if not told:
        return None
    return SeedRange(min(told), max(told) if len(told) == len(needed) else None)


def fewest_seeds(levels: int) -> int:
    """The fewest seeds with which a pair of so many levels can be called different at all."""
    seeds = np.arange(FEWEST_SEEDS, 10)
    return int(seeds[np.isfinite(reach(seeds, 1.0, (levels - 1) * (seeds - 1)))][0])
