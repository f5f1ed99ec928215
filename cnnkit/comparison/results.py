"""`results.json`: every number of a comparison, computed from what its trials left behind."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnkit.comparison.factors import NO_EFFECTS, judge_factors
from cnnkit.comparison.first_version import FirstResults
from cnnkit.comparison.records import (
    LevelResult,
    LevelTiming,
    LookResult,
    PairResult,
    SizeAccuracy,
    StudyResults,
    TrialFacts,
    TrialResult,
    TrialTiming,
)
from cnnkit.comparison.study_file import (
    LevelPlan,
    StudyFile,
    TrialEntry,
    load_study,
    read_labels,
    trial_folder,
)
from cnnkit.comparison.verdicts import Observed
from cnnkit.comparison.verdicts import judge as judge_study
from cnnkit.errors import DamagedFile, RunError
from cnnkit.experiment.run_dir import RunDir, RunResult
from cnnkit.filenames import LABELS, PREDICTIONS, RESULT, RESULTS, TRIAL
from cnnkit.kept import parse_json, read_kept, read_sealed, sha256
from cnnkit.stats import Interval, deviation, mean_interval, sampling_error

VERSION = 2


@dataclass(frozen=True)
class FinishedTrial:
    """What one trial left behind. right: (images,) bool, over the test images."""

    result: RunResult
    right: NDArray[np.bool_]


def analyse(folder: Path) -> StudyResults:
    """What `results.json` holds, from `study.json`, the labels and the trials' predictions alone.

    Levels are ranked by accuracy, the leader first. Times, which no second run repeats, are under `timing`.
    Raises RunError where a file is damaged.
    """
    study = load_study(folder)
    labels = np.frombuffer(read_labels(folder, study), np.uint8)
    finished, rows = {}, []
    for entry in study.trials:
        trial, row = _trial(trial_folder(folder, entry.folder), entry, labels)
        if trial or row.error:
            rows.append(row)
        if trial:
            finished[entry.level, entry.seed] = trial
    observed, seeds = _observed(study, finished, rows, len(labels))
    levels, looks, pairs = _judged(study, finished, observed, seeds)
    effects = NO_EFFECTS
    if study.factors:
        looks, effects = judge_factors(study, observed, seeds, looks)
    return StudyResults(
        version=VERSION,
        key=study.key,
        margin=study.margin,
        match=study.match,
        warnings=study.warnings,
        test_images=len(labels),
        seeds=seeds,
        levels=levels,
        pairs=pairs,
        looks=looks,
        trials=rows,
        history=study.history,
        factors=effects.main,
        interactions=effects.interactions,
        dependence=effects.dependence,
    )


def _observed(
    study: StudyFile,
    finished: Mapping[tuple[str, int], FinishedTrial],
    rows: Sequence[TrialResult],
    images: int,
) -> tuple[Observed, list[int]]:
    """What the trials came to, and the seeds that were tried."""
    seeds = sorted({row.seed for row in rows})
    names = [level.name for level in study.levels]
    right = np.zeros((len(names), len(seeds), images), bool)
    accuracies = np.full(right.shape[:2], np.nan)
    failed = np.zeros(right.shape[:2], bool)
    for row in rows:
        place = names.index(row.level), seeds.index(row.seed)
        failed[place] = row.error is not None
        if trial := finished.get((row.level, row.seed)):
            right[place] = trial.right
            accuracies[place] = trial.right.mean()
    return Observed(names, accuracies, failed, right, images), seeds


def _judged(
    study: StudyFile,
    finished: Mapping[tuple[str, int], FinishedTrial],
    observed: Observed,
    seeds: Sequence[int],
) -> tuple[list[LevelResult], list[LookResult], list[PairResult]]:
    """The levels, the leader first; all empty while fewer than two levels have finished a training."""
    if len(observed.known.names) < 2:
        return [], [], []
    judge, looks, pairs = judge_study(observed, study.margin / 100)
    plans = {level.name: level for level in study.levels}
    leader = judge.names[judge.leader]
    levels = []
    for name in (judge.names[i] for i in judge.ranked()):
        trials = {seed: finished[name, seed] for seed in seeds if (name, seed) in finished}
        pair = next((pair for pair in pairs if {pair.a, pair.b} == {name, leader}), None)
        level = _level(plans[name], trials, study.object_sizes)
        failures = int(observed.failed[observed.names.index(name)].sum())
        level = replace(
            level,
            failures=failures,
            beaten_after=judge.beaten_after.get(name),
            to_best=pair.seen_from(name) if pair and name != leader else None,
        )
        levels.append(level)
    return levels, looks, pairs


def _level(plan: LevelPlan, trials: Mapping[int, FinishedTrial], sizes: Sequence[int]) -> LevelResult:
    """A level alone: what it came to, without how it stands to others."""
    right = np.stack([trial.right for trial in trials.values()])
    accuracies, results = right.mean(1), [trial.result for trial in trials.values()]
    return LevelResult(
        name=plan.name,
        value=plan.value,
        parameters=results[0].parameters,
        macs=results[0].macs,
        changed=plan.changed,
        accuracy=mean_interval(accuracies, 1 / right.shape[1]).clipped(),
        accuracies=accuracies.tolist(),
        seeds=list(trials),
        failures=0,
        beaten_after=None,
        seed_deviation=deviation(accuracies) if len(trials) > 1 else None,
        sampling_error=sampling_error(right),
        by_object_size=_by_object_size(right, sizes),
        to_best=None,
        timing=_timing(results),
        train_gap=_train_gap(list(trials.values())),
    )


def _by_object_size(right: NDArray[np.bool_], sizes: Sequence[int]) -> list[SizeAccuracy]:
    """Accuracy on the test images of each object size, pixels, over the seeds. right: (seeds, images)."""
    rows = []
    for k, size in enumerate(sizes):
        of_size = right[:, k :: len(sizes)]
        interval = mean_interval(of_size.mean(1), 1 / of_size.shape[1]).clipped()
        rows.append(SizeAccuracy(interval.mean, interval.low, interval.high, size))
    return rows


def _train_gap(trials: Sequence[FinishedTrial]) -> Interval | None:
    """Training accuracy minus test accuracy, over the seeds."""
    gaps = [
        trial.result.clean_train_accuracy - float(trial.right.mean())
        for trial in trials
        if trial.result.clean_train_accuracy is not None
    ]
    return mean_interval(gaps) if len(gaps) == len(trials) else None


def _timing(results: Sequence[RunResult]) -> LevelTiming:
    """Medians over the trials of a level."""
    return LevelTiming(
        train_seconds=float(np.median([result.train_seconds for result in results])),
        images_per_second=float(np.median([r.test_images / r.eval_seconds for r in results])),
    )


def _trial(
    folder: Path, entry: TrialEntry, labels: NDArray[np.uint8]
) -> tuple[FinishedTrial | None, TrialResult]:
    """A trial where it has finished, and its row in `results.json`."""
    run = RunDir(folder)
    row = TrialResult(entry.level, entry.seed, entry.folder, error=None)
    if not run.finished:
        return None, replace(row, error=run.failure or None)
    kept = run.predictions()
    predictions = np.frombuffer(kept, np.uint8)
    if len(predictions) != len(labels):
        raise RunError(f"{folder / PREDICTIONS} holds {len(predictions):,} predictions, not {len(labels):,}")
    result, right = run.result, predictions == labels
    if result.test_correct != right.sum():
        raise RunError(
            f"{folder / RESULT} tells of {result.test_correct:,} right images of {len(labels):,}, "
            f"{folder / PREDICTIONS} and the study's {LABELS} of {right.sum():,}: one of them was changed"
        )
    row = replace(
        row,
        test_accuracy=float(right.mean()),
        val_accuracy=result.val_accuracy,
        best_epoch=result.best_epoch,
        hashes={**_facts(run).hashes, "predictions": sha256(kept)},
        timing=TrialTiming(result.train_seconds, result.eval_seconds),
        clean_train_accuracy=result.clean_train_accuracy,
    )
    return FinishedTrial(result, right), row


def _facts(run: RunDir) -> TrialFacts:
    facts: TrialFacts = run.record(TRIAL, TrialFacts)
    return facts


def read_results(folder: Path) -> StudyResults:
    """What `results.json` holds, or would hold: one of version 1 is computed anew from the trials' files.

    Raises RunError where it is damaged.
    """
    path = folder / RESULTS
    try:
        results = _kept(path)
    except FileNotFoundError:
        return analyse(folder)
    if isinstance(results, FirstResults):
        return analyse(folder)
    if complaint := results.complaint():
        raise RunError(f"{path} is damaged: {complaint}")
    return results


def _kept(path: Path) -> StudyResults | FirstResults:
    """Raises FileNotFoundError, or RunError where it is damaged or of a newer version."""
    try:
        version = _version(path)
        if version == 1:
            first: FirstResults = read_sealed(path, FirstResults)
            return first
        results: StudyResults = read_sealed(path, StudyResults)
    except DamagedFile as error:
        raise RunError(str(error)) from error
    if results.version != VERSION:
        raise RunError(f"{path} is of version {version}, and this cnnkit reads up to version {VERSION}")
    return results


def _version(path: Path) -> Any:
    raw = read_kept(path)
    try:
        return parse_json(raw).get("version")
    except DamagedFile as error:
        raise DamagedFile(f"{path} is damaged or was changed: {error}") from error


def rewritten(folder: Path) -> list[str]:
    """What a study that goes on writes anew because it is damaged, a sentence each; of a whole one, none."""
    found = []
    study = load_study(folder)
    for read in (lambda: _kept(folder / RESULTS), lambda: read_labels(folder, study)):
        with contextlib.suppress(FileNotFoundError):
            try:
                read()
            except RunError as error:
                found.append(f"{error}; it is written anew")
    return found


def first_results(folder: Path) -> FirstResults | None:
    """What `results.json` holds where it is of version 1."""
    kept = _kept(folder / RESULTS)
    return kept if isinstance(kept, FirstResults) else None
