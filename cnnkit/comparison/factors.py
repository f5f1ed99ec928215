"""A study of several keys: main effects, interactions, and whether the winner depends on a key."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cnnkit.additive import Fit, Floats
from cnnkit.comparison.function_study import AnyStudy, FunctionLevel
from cnnkit.comparison.pair_records import APART, APART_HERE, EQUIVALENT, NOT_KNOWN, UNDECIDED, to_leader
from cnnkit.comparison.records import (
    DependenceResult,
    FactorResult,
    InteractionResult,
    LookResult,
    MarginalResult,
    StudyResults,
)
from cnnkit.comparison.study_records import FactorPlan, LevelPlan
from cnnkit.comparison.verdicts import MOST_EVIDENCE, Judge, Observed, interval_of, of_images_in, pairs_of
from cnnkit.events import Standing
from cnnkit.factorial import Design, FactorialLook, FactorialWatch
from cnnkit.stats import Interval, mean_interval
from cnnkit.words import short_key

PlannedLevel = LevelPlan | FunctionLevel


def design_of(levels: Sequence[PlannedLevel]) -> Design:
    """levels: each a network, with the combinations that it is."""
    cells = {tuple(one): number for number, level in enumerate(levels) for one in level.combinations}
    shape = tuple(1 + max(numbers) for numbers in zip(*cells, strict=True))
    return Design(np.array([cells[cell] for cell in sorted(cells)]).reshape(shape))


@dataclass(frozen=True)
class Effects:
    """What a study of several keys tells of them. fits: of each key's main effects, at the last look."""

    main: list[FactorResult]
    interactions: list[InteractionResult]
    dependence: list[DependenceResult]
    fits: list[Fit]


NO_EFFECTS = Effects([], [], [], [])


def judge_factors(
    study: AnyStudy, observed: Observed, seeds: Sequence[int], looks: Sequence[LookResult]
) -> tuple[list[LookResult], Effects]:
    """(the looks, each with whether the study is decided then; all effects after the last look).

    There are no effects until one seed has trained all combinations. seeds: the numbers of the seeds.
    """
    if not observed.has_whole_seed:
        return [replace(look, decided=False) for look in looks], NO_EFFECTS
    judge = judge_for(study, observed.resolution)
    assert judge is not None
    told = [replace(look, decided=judge.look(observed.first(look.seeds))) for look in looks]
    if not looks:
        judge.look(observed)
    main = judge.main_effects(observed, seeds)
    interactions, dependence = list(judge.interactions(observed)), list(judge.dependence(observed))
    return told, Effects(main, interactions, dependence, judge.fits)


def means_over(weights: Floats, accuracies: Floats) -> Floats:
    """(…, networks), (networks, seeds) -> (…, seeds): means, NaN where a network is missing."""
    known = np.isfinite(accuracies)
    return np.where((weights > 0) @ ~known, np.nan, weights @ np.where(known, accuracies, 0.0))


def means_at(study: AnyStudy, results: StudyResults, given: int) -> list[list[Interval]]:
    """The mean of each value of the first key at each value of another one, over all other keys."""
    levels = {level.name: level for level in results.levels}
    accuracies = np.full((len(study.levels), len(results.seeds)), np.nan)
    for network, name in enumerate([plan.name for plan in study.levels]):
        level = levels[name]
        accuracies[network, [results.seeds.index(seed) for seed in level.seeds]] = level.values
    means = means_over(design_of(study.levels).means(0, given), accuracies)
    resolution = 1 / results.test_images if results.test_images else 0.0
    return [[mean_interval(at[np.isfinite(at)], resolution).clipped() for at in row] for row in means]


def judge_for(study: AnyStudy, resolution: float) -> "FactorsJudge | None":
    """None where one key is varied. resolution: one test image's share."""
    if not study.factors:
        return None
    return FactorsJudge(study.factors, study.levels, study.margin / 100, resolution)


class FactorsJudge:
    """Looks at a study of several keys after each seed; rows of `Observed` are its networks.

    judges: one for each key's main effects. margin: a fraction. resolution: one test image's share.
    """

    def __init__(
        self, factors: Sequence[FactorPlan], levels: Sequence[PlannedLevel], margin: float, resolution: float
    ) -> None:
        self.factors, self.design, self.margin = factors, design_of(levels), margin
        self.watch = FactorialWatch(self.design, margin, resolution)
        self.judges = [
            Judge(factor.names, margin, resolution, self.watch.main[axis], self.design.main(axis))
            for axis, factor in enumerate(factors)
        ]
        self.seen: FactorialLook | None = None

    @property
    def fits(self) -> list[Fit]:
        """Of each key's main effects, at the last look."""
        return [look.fit for look in self.seen.main] if self.seen else []

    def look(self, observed: Observed) -> bool:
        """Takes in all seeds so far, at least two; returns whether the study may end here."""
        failed = np.asarray(observed.failed.any(1))[self.design.networks]
        self.seen = self.watch.look(observed.accuracies[self.design.networks], failed)
        for axis, (judge, seen) in enumerate(zip(self.judges, self.seen.main, strict=True)):
            judge.take(seen, self.watch.failing(axis), observed.accuracies.shape[1])
        return self.watch.decided

    def failures(self, axis: int, observed: Observed) -> list[int]:
        """Of each value of a key: how many trainings of the combinations with it failed."""
        of_networks = observed.failed.sum(1)[self.design.networks]
        return [int(of_value.sum()) for of_value in np.moveaxis(of_networks, axis, 0)]

    def standings(self, observed: Observed) -> Iterator[Standing]:
        """Where each value of each key stands, the leader first."""
        for axis, (judge, factor) in enumerate(zip(self.judges, self.factors, strict=True)):
            marginals = means_over(self.design.means(axis), observed.accuracies)
            failures = self.failures(axis, observed)
            for number in judge.ranked():
                own = marginals[number][np.isfinite(marginals[number])]
                mean = float(own.mean()) if len(own) else float("nan")
                name = f"{short_key(factor.key)} {judge.names[number]}"
                yield Standing(name, mean, len(own), failures[number], judge.state(number))

    def main_effects(self, observed: Observed, seeds: Sequence[int]) -> list[FactorResult]:
        """One result a key. observed: what the last look was at. seeds: the numbers of its seeds."""
        return [self._main_effect(axis, observed, seeds) for axis in range(len(self.judges))]

    def _main_effect(self, axis: int, observed: Observed, seeds: Sequence[int]) -> FactorResult:
        judge, factor = self.judges[axis], self.factors[axis]
        pairs = list(pairs_of(judge, observed))
        weights = self.design.means(axis)
        marginals = means_over(weights, observed.accuracies)
        plain = None if observed.plain is None else means_over(weights, observed.plain)
        leader, failures, levels = judge.names[judge.leader], self.failures(axis, observed), []
        for number in judge.ranked():
            name, of_seeds = judge.names[number], marginals[number]
            known = np.isfinite(of_seeds)
            measured = of_seeds if plain is None else plain[number]
            level = MarginalResult(
                name,
                factor.values[number],
                mean_interval(measured[known], 1 / observed.images if observed.images else 0.0).clipped(),
                measured[known].tolist(),
                [seed for seed, there in zip(seeds, known.tolist(), strict=True) if there],
                to_leader(pairs, name, leader),
                failures[number],
            )
            if plain is not None:
                level = level.with_scores(of_seeds[known], observed.resolution)
            levels.append(level)
        within = min(float(judge.watch.within_margin[judge.leader]), MOST_EVIDENCE)
        within = 0.0 if judge.failing.any() else within
        return FactorResult(factor.key, levels, pairs, within)

    def interactions(self, observed: Observed) -> Iterator[InteractionResult]:
        """One result for each two keys, and for each two values of both."""
        assert self.seen is not None
        for (one, other), of_two in self.watch.interactions.items():
            seen, weights = self.seen.interactions[one, other], self.design.interaction(one, other)
            pairs = itertools.product(
                itertools.combinations(self.factors[one].names, 2),
                itertools.combinations(self.factors[other].names, 2),
            )
            for number, (values, others) in enumerate(pairs):
                seeds = int(seen.fit.seeds[number])
                mean = float(seen.fit.difference[number]) if seeds else 0.0
                images = of_images_in(observed, seen.fit, number, weights[number])
                half = float(seen.half_width[number])
                elsewhere = images.half_width(half, len(weights)) if images else math.inf
                verdict = UNDECIDED
                if failed := self._failed(observed, weights[number]):
                    verdict = NOT_KNOWN
                elif of_two.equivalent[number]:
                    verdict = EQUIVALENT
                elif of_two.different[number]:
                    verdict = APART if abs(mean) > elsewhere else APART_HERE
                yield InteractionResult(
                    self.factors[one].key,
                    self.factors[other].key,
                    list(values),
                    list(others),
                    seeds,
                    interval_of(self.margin, seen, number, mean, verdict, elsewhere),
                    verdict,
                    min(float(of_two.evidence[number]), MOST_EVIDENCE),
                    min(float(of_two.near[number]), MOST_EVIDENCE),
                    failed,
                )

    def _failed(self, observed: Observed, weights: Floats) -> list[str]:
        """The names of the combinations with a weight other than 0 of which a training failed."""
        rests_on = observed.failed.any(1) & (weights != 0)
        return [name for name, failed in zip(observed.names, rests_on.tolist(), strict=True) if failed]

    def dependence(self, observed: Observed) -> Iterator[DependenceResult]:
        """Whether the winner of the first key depends on each of the others."""
        assert self.seen is not None
        first, failed = self.factors[0], self._failed(observed, np.ones(len(observed.names)))
        for given, question in self.watch.dependence.items():
            means = self.design.means(given, 0) @ self.seen.networks
            leaders = np.argmax(np.nan_to_num(means, nan=-np.inf), 1).tolist()
            yield DependenceResult(
                first.key,
                self.factors[given].key,
                {
                    name: first.names[best]
                    for name, best in zip(self.factors[given].names, leaders, strict=True)
                },
                min(float(question.beaten_somewhere.min()), MOST_EVIDENCE),
                dict(
                    zip(first.names, np.minimum(question.best_anywhere, MOST_EVIDENCE).tolist(), strict=True)
                ),
                failed,
            )
