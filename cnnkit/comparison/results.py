"""`results.json`: every number of a comparison, computed from what its trials left behind."""

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnkit.comparison.first_version import FirstResults, kept_results
from cnnkit.comparison.function_results import analyse_function
from cnnkit.comparison.function_study import is_of_function
from cnnkit.comparison.pair_records import OPPOSITE
from cnnkit.comparison.ranking import level_alone, observe, results_of
from cnnkit.comparison.records import LevelResult, LevelTiming, SizeAccuracy, StudyResults
from cnnkit.comparison.study_file import load_study, read_labels, trial_folder
from cnnkit.comparison.study_records import LevelPlan, TrialEntry
from cnnkit.comparison.trial_records import TrialResult, TrialTiming, facts_of
from cnnkit.config.images import DataConfig
from cnnkit.errors import RunError
from cnnkit.experiment.run_dir import RunDir, RunResult
from cnnkit.filenames import LABELS, PREDICTIONS, RESULT, RESULTS, TESTED
from cnnkit.kept import is_plain, sha256
from cnnkit.scores import (
    ACCURACY,
    METRICS,
    ClassScores,
    class_scores,
    confusion_of,
    image_scores,
    image_share,
)
from cnnkit.stats import Interval, deviation, mean_interval, sampling_error


@dataclass(frozen=True)
class FinishedTrial:
    """What one trial left behind.

    right: (images,) bool, over its test images. score: by the study's metric; scores: its `image_scores`.
    tested: which of all images these are, where its seed chose them; None: the test split.
    """

    result: RunResult
    right: NDArray[np.bool_]
    score: float
    scores: NDArray[Any]
    tested: NDArray[np.int64] | None


def analyse(folder: Path) -> StudyResults:
    """What `results.json` holds, from `study.json`, the labels and the trials' predictions alone.

    Of a study of a person's own function: from what its calls returned.
    Levels are ranked by accuracy, the leader first. Times, which no second run repeats, are under `timing`.
    Raises RunError where a file is damaged.
    """
    if is_of_function(folder):
        return analyse_function(folder)
    study = load_study(folder)
    labels, data = read_labels(folder, study), study.base().data
    pool = len(labels) if data.redrawn else 0
    finished, rows = {}, []
    for entry in study.trials:
        trial, row = _trial(trial_folder(folder, entry.folder), entry, labels, data, study.metric)
        if trial or row.error:
            rows.append(row)
        if trial:
            finished[entry.level, entry.seed] = trial
    plans = {level.name: level for level in study.levels}
    images = data.info.test_images if pool else len(labels)
    scores = {key: trial.scores for key, trial in finished.items()}
    known: dict[str, object] = {"pool": pool, "share": share_of(study.metric, labels, images)}
    apart = None if study.metric == ACCURACY else labels
    observed, seeds = observe([*plans], rows, scores, classes=None if pool else apart, **known)

    def level_of(name: str) -> LevelResult:
        trials = {seed: finished[name, seed] for seed in seeds if (name, seed) in finished}
        level = _level(plans[name], trials, study.object_sizes)
        return level if apart is None else _with_scores(level, [*trials.values()], apart, observed.resolution)

    own: dict[str, object] = {"match": study.match, "metric": study.metric, "tuning": study.tuning}
    own |= {"shard": study.shard, "test_images": images, "pool": pool}
    return results_of(study, rows, observed, seeds, level_of, **own)


def share_of(metric: str, labels: NDArray[np.int64], tested: int) -> float:
    """`image_share` of test images; labels: of all that may be tested."""
    return image_share(metric, np.bincount(labels), tested)


def _with_scores(
    level: LevelResult, trials: Sequence[FinishedTrial], labels: NDArray[np.int64], resolution: float
) -> LevelResult:
    """A level with what it came to in another metric than accuracy. labels: of all that may be tested."""
    values = np.array([trial.score for trial in trials])
    by_image, numbers = _by_image([trial.scores for trial in trials], trials)
    return replace(
        level.with_scores(values, resolution),
        seed_deviation=deviation(values) if len(values) > 1 else None,
        sampling_error=sampling_error(by_image, labels[numbers]),
    )


def _level(plan: LevelPlan, trials: Mapping[int, FinishedTrial], sizes: Sequence[int]) -> LevelResult:
    """A level's accuracies, without how it stands to others."""
    right = np.stack([trial.right for trial in trials.values()])
    results = [trial.result for trial in trials.values()]
    alone = level_alone(plan.name, plan.value, list(trials), right.mean(1), _timing(results), right)
    return replace(
        alone,
        parameters=results[0].parameters,
        macs=results[0].macs,
        changed=plan.changed,
        sampling_error=sampling_error(_by_image(right, list(trials.values()))[0]),
        by_object_size=_by_object_size(right, sizes),
        train_gap=_train_gap(list(trials.values())),
        tuned=plan.tuned,
    )


def _by_image(
    scores: Sequence[NDArray[Any]] | NDArray[Any], trials: Sequence[FinishedTrial]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """((seeds, images), (images,)): their scores, and which images these are.

    Where seeds choose their images, (1, images): the means over the seeds that an image was tested with.
    """
    values = np.stack(list(scores)).astype(float)
    tested = [trial.tested for trial in trials if trial.tested is not None]
    if not tested:
        return values, np.arange(values.shape[1])
    numbers = np.concatenate(tested)
    often = np.bincount(numbers)
    known = np.flatnonzero(often)
    return (np.bincount(numbers, values.ravel())[known] / often[known])[None], known


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


def images_tested(run: RunDir, images: int, pool: int) -> NDArray[np.int64]:
    """Which `images` of a pool a trial was tested on, sorted. Raises RunError where they are none of it."""
    raw = run.tested()
    tested = np.frombuffer(raw[: len(raw) // 4 * 4], "<u4").astype(np.int64)
    if len(raw) != 4 * images or (np.diff(tested) <= 0).any() or tested[-1] >= pool:
        raise RunError(f"{run.path / TESTED} is damaged: it does not name {images:,} of {pool:,} images")
    return tested


def _trial(
    folder: Path, entry: TrialEntry, labels: NDArray[np.int64], data: DataConfig, metric: str
) -> tuple[FinishedTrial | None, TrialResult]:
    """A trial where it has finished, and its row in `results.json`. labels: of all that may be tested."""
    run = RunDir(folder)
    row = TrialResult(entry.level, entry.seed, entry.folder, error=None)
    if not run.finished:
        return None, replace(row, error=run.failure or None)
    predictions = run.predicted(data.info.classes)
    images = data.info.test_images if data.redrawn else len(labels)
    if len(predictions) != images:
        raise RunError(f"{folder / PREDICTIONS} holds {len(predictions):,} predictions, not {images:,}")
    tested = images_tested(run, images, len(labels)) if data.redrawn else None
    if tested is not None:
        labels = labels[tested]
    result, right, scores = run.result, predictions == labels, image_scores(metric, labels, predictions)
    if result.test_correct != right.sum():
        raise RunError(
            f"{folder / RESULT} tells of {result.test_correct:,} right images of {len(labels):,}, "
            f"{folder / PREDICTIONS} and the study's {LABELS} of {right.sum():,}: one of them was changed"
        )
    of_classes = class_scores(confusion_of(labels, predictions))
    _compare_scores(run, of_classes)
    accuracy = float(right.mean())
    score = accuracy if metric == ACCURACY else getattr(of_classes, metric)
    row = replace(
        row,
        test_accuracy=accuracy,
        val_accuracy=result.val_accuracy,
        best_epoch=result.best_epoch,
        hashes={**facts_of(run).hashes, "predictions": sha256(run.predictions())},
        timing=TrialTiming(result.train_seconds, result.eval_seconds),
        clean_train_accuracy=result.clean_train_accuracy,
        score=None if metric == ACCURACY else score,
    )
    return FinishedTrial(result, right, score, scores, tested), row


def _compare_scores(run: RunDir, scores: ClassScores) -> None:
    """Raises RunError where the result tells others than those of its predictions."""
    for name in ("balanced_accuracy", "macro_f1"):
        told, found = getattr(run.result, f"test_{name}"), getattr(scores, name)
        if told is not None and not math.isclose(told, found, rel_tol=1e-9):
            raise RunError(
                f"{run.path / RESULT}: test_{name} is {told}, and {found} comes out of {PREDICTIONS}"
            )


def read_results(folder: Path) -> StudyResults:
    """What `results.json` holds, or would hold: one of version 1 is computed anew from the trials' files.

    Raises RunError where it is damaged.
    """
    path = folder / RESULTS
    try:
        results = kept_results(path)
    except FileNotFoundError:
        return analyse(folder)
    if isinstance(results, FirstResults):
        return analyse(folder)
    if complaint := _complaint(results):
        raise RunError(f"{path} is damaged: {complaint}")
    return results


def _complaint(results: StudyResults) -> str:
    """What no study comes to, in words; empty where there is nothing."""
    names, of_scores = [level.name for level in results.levels], results.metric != ACCURACY
    found = sorted(sorted((pair.a, pair.b)) for pair in results.pairs)
    if len({*names}) < len(names) or found != sorted(sorted(pair) for pair in combinations(names, 2)):
        return "its pairs are not those of its levels"
    if any(len(of) != len(one.seeds) for one in results.levels for of in (one.accuracies, one.values)):
        return "its accuracies are not one a seed"
    if results.metric not in METRICS or any(bool(one.scores) != of_scores for one in results.levels):
        return "its metric is none, or not that of its levels"
    if not 0 < results.margin < 100:
        return "its margin is none"
    if any(not 0 <= accuracy <= 1 for level in results.levels for accuracy in level.values):
        return "an accuracy lies between 0 and 1"
    if any(len(factor.levels) < 2 for factor in results.factors):
        return "a key has one value"
    pairs = [*results.pairs, *(pair for factor in results.factors for pair in factor.pairs)]
    if any(pair.verdict not in OPPOSITE for pair in pairs):
        return "a verdict is none"
    if any(len(look.different) != len(results.pairs) for look in results.looks):
        return "a look has not the evidence of each pair"
    if any(not is_plain(trial.folder) for trial in results.trials):
        return "a trial's folder is no name"
    return ""


def rewritten(folder: Path) -> list[str]:
    """What a study that goes on writes anew because it is damaged, a sentence each; of a whole one, none."""
    found = []
    study = load_study(folder)
    for read in (lambda: kept_results(folder / RESULTS), lambda: read_labels(folder, study)):
        with contextlib.suppress(FileNotFoundError):
            try:
                read()
            except RunError as error:
                found.append(f"{error}; it is written anew")
    return found
