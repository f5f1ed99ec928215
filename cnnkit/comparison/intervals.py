"""Which intervals tell something."""

from dataclasses import replace
from typing import TypeVar

from cnnkit.comparison.records import LevelResult, StudyResults
from cnnkit.stats import Interval

FEWEST_SEEDS = 3  # two values put Student's interval 12.7 standard errors out
SMALLEST = 1e-9  # a narrower interval is the rounding of equal values

Kind = TypeVar("Kind", bound=Interval)


def informative(results: StudyResults) -> StudyResults:
    """The same results without the intervals that tell nothing: of too few seeds, or of equal values."""
    return replace(
        results,
        levels=[_level(level, results) for level in results.levels],
        pairs=[replace(pair, difference=_interval(pair.difference, pair.seeds)) for pair in results.pairs],
    )


def _level(level: LevelResult, results: StudyResults) -> LevelResult:
    to_best, seeds = level.to_best, len(level.seeds)
    if to_best:
        shared = results.pair(level.name, results.best.name).seeds
        to_best = replace(to_best, difference=_interval(to_best.difference, shared))
    return replace(
        level,
        accuracy=_interval(level.accuracy, seeds),
        by_object_size=[_interval(row, seeds) for row in level.by_object_size],
        to_best=to_best,
    )


def _interval(interval: Kind, seeds: int) -> Kind:
    low, high = interval.low, interval.high
    if low is None or high is None or seeds < FEWEST_SEEDS or high - low < SMALLEST:
        return replace(interval, low=None, high=None)
    return interval
