"""Which intervals tell something."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from cnnkit.comparison.pair_records import PairResult, pair_in
from cnnkit.comparison.records import FactorResult, LevelResult, MarginalResult, StudyResults
from cnnkit.stats import Interval

FEWEST_SEEDS = 3  # two values put Student's interval 12.7 standard errors out
SMALLEST = 1e-9  # a narrower interval is the rounding of equal values

Level = TypeVar("Level", LevelResult, MarginalResult)


@dataclass(frozen=True)
class Unvarying(Interval):
    """Of values that are equal with every seed: they do not tell how far others would lie. It has no ends."""


def informative(results: StudyResults) -> StudyResults:
    """The same results without the intervals that tell nothing: of too few seeds, or of equal values."""
    return replace(
        results,
        levels=[_level(level, results.pairs, results.best.name) for level in results.levels],
        pairs=_pairs(results.pairs),
        factors=[_factor(factor) for factor in results.factors],
        interactions=[
            replace(one, difference=telling(one.difference, one.seeds)) for one in results.interactions
        ],
    )


def _pairs(pairs: Sequence[PairResult]) -> list[PairResult]:
    return [replace(pair, difference=telling(pair.difference, pair.seeds)) for pair in pairs]


def _factor(factor: FactorResult) -> FactorResult:
    best = factor.levels[0].name
    levels = [_standing(level, factor.pairs, best) for level in factor.levels]
    return replace(factor, levels=levels, pairs=_pairs(factor.pairs))


def _standing(level: Level, pairs: Sequence[PairResult], best: str) -> Level:
    """Its accuracy, and how it stands to the best."""
    to_best = level.to_best
    if to_best:
        shared = pair_in(pairs, level.name, best).seeds
        to_best = replace(to_best, difference=telling(to_best.difference, shared))
    seeds = len(level.seeds)
    score = None if level.score is None else telling(level.score, seeds)
    return replace(level, accuracy=telling(level.accuracy, seeds), score=score, to_best=to_best)


def _level(level: LevelResult, pairs: Sequence[PairResult], best: str) -> LevelResult:
    by_size = []
    for row in level.by_object_size:
        told = telling(row, len(level.seeds))
        by_size.append(replace(row, low=told.low, high=told.high))
    return replace(_standing(level, pairs, best), by_object_size=by_size)


def telling(interval: Interval, seeds: int) -> Interval:
    """The interval of a mean over so many seeds, without ends where they tell nothing."""
    low, high = interval.low, interval.high
    if low is None or high is None or seeds < FEWEST_SEEDS:
        return Interval(interval.mean, None, None)
    return Unvarying(interval.mean, None, None) if high - low < SMALLEST else interval
