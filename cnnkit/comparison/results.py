"""`results.json`: every number of a comparison, computed from what its trials left behind."""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnkit.comparison.records import (
    LevelResult,
    LevelTiming,
    PairResult,
    SizeAccuracy,
    StudyResults,
    TrialResult,
    TrialTiming,
)
from cnnkit.comparison.study_file import StudyFile, TrialEntry, load_study
from cnnkit.comparison.verdicts import judge_pairs
from cnnkit.errors import DamagedFile, RunError
from cnnkit.experiment.run_dir import RunDir, RunResult
from cnnkit.filenames import FAILURE, LABELS, PREDICTIONS, RESULT, RESULTS, STUDY, TRIAL, TRIALS
from cnnkit.stats import Interval, deviation, friedman_test, mean_interval, sampling_error
from cnnkit.words import listed

VERSION = 1
ROUNDING = 1e-6  # relative: what another version of SciPy may change in a statistic
SHOWN = 10  # differences, in a message
# Statistics, in which `verify` allows for rounding. All other numbers are counts and shares of counts.
ROUNDED = (
    "low",
    "high",
    "p",
    "p_different",
    "p_equivalent",
    "friedman_p",
    "seed_deviation",
    "sampling_error",
)


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
    labels = np.frombuffer(_read(folder / LABELS), np.uint8)
    finished, rows = {}, []
    for entry in study.trials:
        trial, row = _trial(folder / TRIALS / entry.folder, entry, labels)
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
        failure = folder / FAILURE
        told = failure.read_text(encoding="utf-8").splitlines() if failure.exists() else []
        return None, replace(row, error=told[0] if told else "not run yet")
    kept = _read(folder / PREDICTIONS)
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
        hashes={**_hashes(folder / TRIAL), "predictions": hashlib.sha256(kept).hexdigest()},
        timing=TrialTiming(result.train_seconds, result.eval_seconds),
        clean_train_accuracy=result.clean_train_accuracy,
    )
    return FinishedTrial(result, right), row


def _hashes(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(_read(path))["hashes"])
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path} is damaged: {error!r}") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing") from error


def read_results(folder: Path) -> StudyResults:
    """What `results.json` holds, or would hold. Raises RunError where it is damaged."""
    path = folder / RESULTS
    if not path.exists():
        return analyse(folder)
    try:
        content = json.loads(_read(path))
        version = content["version"]
    except (ValueError, TypeError, KeyError) as error:
        raise RunError(f"{path} is damaged: {error}") from error
    if version != VERSION:
        raise RunError(f"{path} is of version {version}, and this cnnkit reads version {VERSION}")
    try:
        return StudyResults.from_dict(content)
    except DamagedFile as error:
        raise RunError(f"{path} is damaged: {error}") from error


def verify(folder: Path) -> StudyResults:
    """Computes `results.json` again. Raises RunError, with what differs, where it is not what comes out.

    Counts and accuracies must be the same; statistics may differ by `ROUNDING`, relative, because another
    version of SciPy rounds differently. The message names every file that may have been changed.
    """
    path = folder / RESULTS
    if not path.exists():
        raise RunError(f"{path} is missing")
    kept, again = read_results(folder), analyse(folder)
    if differing := dict(_differing(kept.to_dict(), again.to_dict(), "")):
        files = dict.fromkeys(_computed_from(key, again) for key in differing)
        shown = "\n".join(f"  {key}: {difference}" for key, difference in list(differing.items())[:SHOWN])
        more = f"\n  and {len(differing) - SHOWN} more" if len(differing) > SHOWN else ""
        raise RunError(
            f"{path} does not agree with {listed([*files])}: at least one of these files was changed. "
            f"Equal are counts and accuracies, and statistics up to a relative {ROUNDING:g}, but here\n"
            f"{shown}{more}"
        )
    if wrong := dict(_contradictions(folder, again)):
        told = "\n".join(f"  {key}: {difference}" for key, difference in wrong.items())
        raise RunError(f"{folder / STUDY} does not agree with the trials: one of them was changed.\n{told}")
    return again


def _differing(kept: Any, again: Any, key: str) -> Iterator[tuple[str, str]]:
    """(dotted key, what differs) of two JSON values."""
    if isinstance(kept, dict) and isinstance(again, dict):
        for name in {**kept, **again}:
            yield from _differing(kept.get(name), again.get(name), f"{key}.{name}" if key else name)
    elif isinstance(kept, list) and isinstance(again, list) and len(kept) == len(again):
        for i, (left, right) in enumerate(zip(kept, again, strict=True)):
            yield from _differing(left, right, f"{key}[{i}]")
    elif kept != again and not _is_rounding(kept, again, key):
        yield key, f"{kept} is kept, {again} comes out"


def _is_rounding(kept: Any, again: Any, key: str) -> bool:
    numbers = isinstance(kept, float) and isinstance(again, float)
    return (
        numbers
        and key.rpartition(".")[2] in ROUNDED
        and math.isclose(kept, again, rel_tol=ROUNDING, abs_tol=1e-9)
    )


# The file that a value of `results.json` comes from: the first pattern that fits its key counts.
ORIGINS = (
    (r"trials\[(\d+)\]\.hashes\.predictions", PREDICTIONS),
    (r"trials\[(\d+)\]\.hashes", TRIAL),
    (r"trials\[(\d+)\]\.(test_|val_|best_|clean_|timing|error)", RESULT),
    (
        r"trials|key|margin|history|match|warnings|seeds|levels\[\d+\]\.(name|value|changed|by_object_size$|by_object_size.*\.size)",
        STUDY,
    ),
    (r"test_images", LABELS),
    (r"levels\[\d+\]\.(parameters|macs|timing|train_gap)", f"the trials' {RESULT}"),
    (r"", f"the trials' {PREDICTIONS}"),
)


def _computed_from(key: str, results: StudyResults) -> str:
    """The file that a value of `results.json` comes from."""
    for pattern, name in ORIGINS:
        if found := re.match(pattern, key):
            number = found.group(1) if found.groups() else ""
            in_trial = name in (PREDICTIONS, TRIAL, RESULT)
            return f"{TRIALS}/{results.trials[int(number)].folder}/{name}" if in_trial else name
    raise AssertionError(key)  # the last pattern fits every key


def _contradictions(folder: Path, results: StudyResults) -> Iterator[tuple[str, str]]:
    """(dotted key of `study.json`, what is wrong) where the plan and the trials tell different things."""
    study = load_study(folder)
    seed = study.base().training.seed
    if seed != study.first_seed:
        yield "config", f"training.seed is {seed}, first_seed {study.first_seed}"
    costs = {level.name: (level.parameters, level.macs) for level in results.levels}
    for number, level in enumerate(study.levels):
        if costs.get(level.name, found := (level.parameters, level.macs)) != found:
            yield f"levels[{number}]", f"costs are {found} there, and {costs[level.name]} in the trials"
