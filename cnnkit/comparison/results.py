"""`results.json`: every number of a comparison, computed from what its trials left behind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnnkit.comparison.records import (
    LevelResult,
    LevelTiming,
    PairResult,
    SizeAccuracy,
    StudyResults,
    TrialFacts,
    TrialResult,
    TrialTiming,
)
from cnnkit.comparison.study_file import StudyFile, TrialEntry, load_study, read_labels, trial_folder
from cnnkit.comparison.verdicts import judge_pairs
from cnnkit.errors import DamagedFile, RunError
from cnnkit.experiment.run_dir import RunDir, RunResult
from cnnkit.filenames import FAILURE, LABELS, PREDICTIONS, RESULT, RESULTS, TRIAL
from cnnkit.kept import read_kept, read_sealed, sha256
from cnnkit.stats import Interval, deviation, friedman_test, mean_interval, sampling_error

VERSION = 1


@dataclass(frozen=True)
class FinishedTrial:
    """What one trial left behind. right: (images,) bool, over the test images."""

    result: RunResult
    right: NDArray[np.bool_]


def analyse(folder: Path) -> StudyResults:
    """What `results.json` holds, from `study.json`, the labels and the trials' predictions alone.

    Levels are ranked by mean accuracy. Only seeds with which every level has finished are counted. Times,
    which no second run repeats, are under `timing`. Raises RunError where a file is damaged.
    """
    study = load_study(folder)
    labels = np.frombuffer(read_labels(folder, study), np.uint8)
    finished, rows = {}, []
    for entry in study.trials:
        trial, row = _trial(trial_folder(folder, entry.folder), entry, labels)
        rows.append(row)
        if trial:
            finished[entry.level, entry.seed] = trial
    names = [level.name for level in study.levels]
    seeds = [seed for seed in study.all_seeds if all((name, seed) in finished for name in names)]
    counted = {name: [finished[name, seed] for seed in seeds] for name in names}
    right = {name: np.stack([trial.right for trial in trials]) for name, trials in counted.items() if seeds}
    pairs = judge_pairs(right, study.margin / 100) if seeds else []
    return StudyResults(
        version=VERSION,
        key=study.key,
        margin=study.margin,
        match=study.match,
        warnings=study.warnings,
        test_images=len(labels),
        seeds=seeds,
        levels=_levels(study, counted, right, pairs) if seeds else [],
        pairs=pairs,
        friedman_p=friedman_test(np.stack([r.mean(1) for r in right.values()], axis=1)) if seeds else None,
        trials=rows,
        history=study.history,
    )


def _levels(
    study: StudyFile,
    counted: Mapping[str, Sequence[FinishedTrial]],
    right: Mapping[str, NDArray[np.bool_]],
    pairs: Sequence[PairResult],
) -> list[LevelResult]:
    """The levels, best first."""
    best = max(right, key=lambda name: right[name].mean(1).mean())
    levels = []
    for plan in study.levels:
        trials, of_level = counted[plan.name], right[plan.name]
        accuracies = of_level.mean(1)
        pair = next((pair for pair in pairs if {pair.a, pair.b} == {plan.name, best}), None)
        level = LevelResult(
            name=plan.name,
            value=plan.value,
            parameters=trials[0].result.parameters,
            macs=trials[0].result.macs,
            changed=plan.changed,
            accuracy=mean_interval(accuracies).clipped(),
            accuracies=accuracies.tolist(),
            seed_deviation=deviation(accuracies) if len(trials) > 1 else None,
            sampling_error=sampling_error(of_level),
            by_object_size=_by_object_size(of_level, study.object_sizes),
            to_best=pair.seen_from(plan.name) if pair and plan.name != best else None,
            timing=_timing([trial.result for trial in trials]),
            train_gap=_train_gap(trials),
        )
        levels.append(level)
    return sorted(levels, key=lambda level: -level.accuracy.mean)


def _by_object_size(right: NDArray[np.bool_], sizes: Sequence[int]) -> list[SizeAccuracy]:
    """Accuracy on the test images of each object size, pixels, over the seeds. right: (seeds, images)."""
    rows = []
    for k, size in enumerate(sizes):
        interval = mean_interval(right[:, k :: len(sizes)].mean(1)).clipped()
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
        return None, replace(row, error=_failure(folder) or "not run yet")
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


def _failure(folder: Path) -> str:
    """The first line of why a trial failed; empty where that is not told."""
    try:
        told = read_kept(folder / FAILURE).decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return ""
    except DamagedFile as error:
        return str(error)
    return told[0] if told else ""


def _facts(run: RunDir) -> TrialFacts:
    facts: TrialFacts = run.record(TRIAL, TrialFacts)
    return facts


def read_results(folder: Path) -> StudyResults:
    """What `results.json` holds, or would hold. Raises RunError where it is damaged."""
    path = folder / RESULTS
    try:
        results = read_sealed(path, StudyResults)
    except FileNotFoundError:
        return analyse(folder)
    except DamagedFile as error:
        raise RunError(str(error)) from error
    if results.version != VERSION:
        raise RunError(f"{path} is of version {results.version}, and this cnnkit reads version {VERSION}")
    if complaint := results.complaint():
        raise RunError(f"{path} is damaged: {complaint}")
    return results
