"""From what trials came to, however they were trained, to ranked levels and the verdict on each pair."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnkit.additive import Fit
from cnnkit.comparison.can_tell import CanTell, ImagesOfSeed, by_images_seen, by_seeds
from cnnkit.comparison.factors import NO_EFFECTS, judge_factors
from cnnkit.comparison.function_study import AnyStudy
from cnnkit.comparison.pair_records import PairResult, to_leader
from cnnkit.comparison.records import VERSION, LevelResult, LevelTiming, LookResult, StudyResults
from cnnkit.comparison.trial_records import TrialResult
from cnnkit.comparison.verdicts import Observed
from cnnkit.comparison.verdicts import judge as judge_study
from cnnkit.stats import deviation, mean_interval, sampling_error

Right = NDArray[np.bool_]


def observe(
    names: Sequence[str],
    rows: Sequence[TrialResult],
    scores: Mapping[tuple[str, int], NDArray[Any]],
    **known: Any,
) -> tuple[Observed, list[int]]:
    """What the trials came to, and the seeds that were tried. names: of the levels.

    scores: by level and seed, (images,), which test images were right, or what each puts into another
    metric; empty where only accuracies are known. known: what else `Observed` holds.
    """
    seeds = sorted({row.seed for row in rows})
    images = max((len(of_trial) for of_trial in scores.values()), default=0)
    accuracies = np.full((len(names), len(seeds)), np.nan)
    plain, failed = accuracies.copy(), np.zeros(accuracies.shape, bool)
    of_images = np.zeros((*accuracies.shape, images), next(iter(scores.values())).dtype if images else bool)
    for row in rows:
        place = names.index(row.level), seeds.index(row.seed)
        failed[place] = row.error is not None
        if row.test_accuracy is not None:
            accuracies[place], plain[place] = row.compared, row.test_accuracy
        if (row.level, row.seed) in scores:
            of_images[place] = scores[row.level, row.seed]
    of_accuracy = all(row.score is None for row in rows)
    observed = Observed(
        names,
        accuracies,
        failed,
        of_images if images else None,
        images,
        plain=None if of_accuracy else plain,
        **known,
    )
    return observed, seeds


def results_of(
    study: AnyStudy,
    rows: Sequence[TrialResult],
    observed: Observed,
    seeds: list[int],
    level_of: Callable[[str], LevelResult],
    **own: Any,
) -> StudyResults:
    """What `results.json` holds. rows: the trials that have ended. own: what only one kind of study has.

    level_of: gives what a level came to alone.
    """
    levels, looks, pairs, fits = ranked(observed, study.margin, level_of)
    effects, families = NO_EFFECTS, [pairs]
    if study.factors:
        looks, effects = judge_factors(study, observed, seeds, looks)
        families, fits = [factor.pairs for factor in effects.main], effects.fits
    can_tell = CanTell(
        ImagesOfSeed(observed.images, observed.pool, observed.resolution).least(
            map(len, study.varied.values())
        ),
        by_images_seen(families),
        by_seeds(fits, len(seeds), study.seeds),
        study.seeds,
    )
    return StudyResults(
        version=VERSION,
        key=study.key,
        margin=study.margin,
        warnings=study.warnings,
        seeds=seeds,
        levels=levels,
        pairs=pairs,
        looks=looks,
        trials=list(rows),
        history=study.history,
        factors=effects.main,
        interactions=effects.interactions,
        dependence=effects.dependence,
        can_tell=can_tell,
        **own,
    )


def ranked(
    observed: Observed, margin: float, level_of: Callable[[str], LevelResult]
) -> tuple[list[LevelResult], list[LookResult], list[PairResult], list[Fit]]:
    """The levels, the leader first; all empty while fewer than two levels have finished a training.

    margin: percentage points. level_of: gives what a level came to alone. The last is of the last look.
    """
    if len(observed.known.names) < 2:
        return [], [], [], []
    judge, looks, pairs = judge_study(observed, margin / 100)
    leader = judge.names[judge.leader]
    levels = []
    for name in (judge.names[i] for i in judge.ranked()):
        level = replace(
            level_of(name),
            failures=int(observed.failed[observed.names.index(name)].sum()),
            beaten_after=judge.beaten_after.get(name),
            to_best=to_leader(pairs, name, leader),
        )
        levels.append(level)
    return levels, looks, pairs, judge.fits


def level_alone(
    name: str,
    value: Any,
    seeds: list[int],
    accuracies: NDArray[np.float64],
    timing: LevelTiming,
    right: Right | None,
) -> LevelResult:
    """What a level came to, of which no network is known, without how it stands to others.

    accuracies: (seeds,). right: (seeds, images), None where only accuracies are known.
    """
    return LevelResult(
        name=name,
        value=value,
        parameters=None,
        macs=None,
        changed="",
        accuracy=mean_interval(accuracies, 0.0 if right is None else 1 / right.shape[1]).clipped(),
        accuracies=accuracies.tolist(),
        seeds=seeds,
        failures=0,
        beaten_after=None,
        seed_deviation=deviation(accuracies) if len(seeds) > 1 else None,
        sampling_error=None if right is None else sampling_error(right),
        by_object_size=[],
        to_best=None,
        timing=timing,
    )
