"""`--verify`: computes again what a study has kept, and compares."""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnkit.comparison.first_version import FirstResults, first_results
from cnnkit.comparison.function_study import is_of_function
from cnnkit.comparison.probe_file import probe_left
from cnnkit.comparison.records import StudyResults
from cnnkit.comparison.results import analyse, images_tested, read_results
from cnnkit.comparison.study_file import (
    differences,
    load_study,
    no_networks,
    read_groups,
    read_labels,
    trial_folder,
)
from cnnkit.comparison.study_records import StudyFile
from cnnkit.comparison.verified_tuning import untrue_tuning
from cnnkit.comparison.widths import cost_of
from cnnkit.config.images import DataConfig
from cnnkit.errors import RunError, UsageError
from cnnkit.events import ignore
from cnnkit.experiment.manifest import damage_of
from cnnkit.experiment.run_dir import RunDir
from cnnkit.filenames import (
    CONFIG,
    GROUPS,
    LABELS,
    MANIFEST,
    METRICS,
    PREDICTIONS,
    PROBE,
    RESULT,
    RESULTS,
    STUDY,
    TESTED,
    TRIAL,
    TRIALS,
    TUNING,
)
from cnnkit.words import counted, first_lines, listed

SHOWN = 10  # differences, in a message
ROUNDING = 1e-6  # relative: what another version of SciPy may change in a statistic
# Statistics, in which `verify` allows for rounding. All other numbers are counts and shares of counts.
ROUNDED = (
    "low",
    "high",
    "different",
    "equivalent",
    "within",
    "image_error",
    "seed_deviation",
    "sampling_error",
    "images",
    "images_seen",
    "seeds",
)
EFFECTS = ("factors", "interactions", "dependence")  # all of them means and statistics


def verify(
    folder: Path, deep: bool = False, told: Callable[[str], None] = ignore, root: Path | None = None
) -> StudyResults:
    """Computes a study's numbers again; returns them. Raises RunError, with what does not fit, in which file.

    Counts and accuracies must be the same; statistics may differ by `ROUNDING`, relative, because another
    version of SciPy rounds differently. deep: also evaluates the kept weights, which takes the images;
    root: where these lie now.
    told: is given what was checked from what, and what could not be, a sentence each.
    """
    if not (folder / RESULTS).exists():
        raise RunError(f"{folder / RESULTS} is missing")
    if is_of_function(folder):
        return _verify_function(folder, deep, told)
    study = load_study(folder)
    runs = [run for entry in study.trials if (run := RunDir(trial_folder(folder, entry.folder))).finished]
    without = _without_manifest(runs, told)
    results = _computed_again(folder)
    told(f"{_what_came_out(folder)} in {RESULTS} come out of {PREDICTIONS} and {LABELS}")
    other_plan = (f"{path}: {what}" for path, what in differences(study, folder))
    _raise([*_contradictions(folder, study), *other_plan])
    told(f"the {CONFIG} of every trial is what {STUDY} plans")
    _raise(list(untrue_tuning(folder, study)))
    if study.tuning:
        best = "the settings of each level are the best of those tried"
        told(f"{best}, from {CONFIG} and {RESULT} in {TUNING}")
    if results.pool:
        labels = read_labels(folder, study)
        groups = read_groups(folder, len(labels))
        _raise(list(_tested_on_others(runs, labels, groups)))
        source = f"the classes in {LABELS}{'' if groups is None else f' and the groups in {GROUPS}'}"
        told(f"the images in every {TESTED} are those that its seed draws from {source}")
    _raise([sentence for run in runs for sentence in _forged(run)])
    told(f"best epoch, validation and seconds in each {RESULT} are those of {METRICS}")
    probe, untrue = probe_left(folder, study)
    _raise(untrue)
    if probe:
        told(f"{PROBE} is about the weights that lie in the study; not checked: its figures")
    told(f"parameters and multiply-accumulates, counted again from {CONFIG}, are those of {RESULT}")
    if deep:
        from cnnkit.comparison.deep import evaluate_again

        for sentence in evaluate_again(runs, root):
            told(sentence)
    for what in _not_checked(without, deep):
        told(f"not checked: {what}")
    return results


def _without_manifest(runs: list[RunDir], told: Callable[[str], None]) -> int:
    """Compares files with the hashes in their run's manifest; returns how many runs have none."""
    _raise([sentence for run in runs for sentence in damage_of(run.path)])
    having = sum((run.path / MANIFEST).is_file() for run in runs)
    if having:
        told(f"the files of {counted(having, 'trial')} have the hashes in their {MANIFEST}")
    return len(runs) - having


def _not_checked(without: int, deep: bool) -> Iterator[str]:
    """without: trials that have no manifest."""
    if without:
        yield f"whether files of {counted(without, 'trial')} were exchanged: 0.1.0 wrote no {MANIFEST}"
    yield "times, device and threads"
    if not deep:
        yield f"calibration, figures on training images, and the hashes in {TRIAL}; --deep does"
        yield "whether the weights give the predictions; --deep evaluates them again"


def _verify_function(folder: Path, deep: bool, told: Callable[[str], None]) -> StudyResults:
    if deep:
        raise UsageError(f"deep: {folder} holds no weights; it compares {no_networks(folder)}")
    results = _computed_again(folder)
    told(f"accuracies, intervals and verdicts in {RESULTS} come out of each {RESULT}")
    told(f"each {RESULT} has its own checksum")
    same = f"whether {results.function} would return the same again"
    told("not checked: " + ("whether the table was right" if results.of_table else f"times, and {same}"))
    return results


def _what_came_out(folder: Path) -> str:
    if first_results(folder):
        return "accuracies (the verdicts are of version 1, which used other tests: not checked)"
    return "accuracies, intervals and verdicts"


def _raise(complaints: list[str]) -> None:
    if complaints:
        raise RunError(first_lines(complaints, SHOWN, indent=""))


def _computed_again(folder: Path) -> StudyResults:
    first, again = first_results(folder), analyse(folder)
    if first:
        kept, found = _of_first_version(first, again)
    else:
        kept, found = read_results(folder).to_dict(), again.to_dict()
        if kept["can_tell"] is None:  # of cnnkit 0.3 and before
            found["can_tell"] = None
    if differing := dict(_differing(kept, found, "")):
        origins = ORIGINS_OF_FUNCTION if again.function else ORIGINS
        files = dict.fromkeys(_computed_from(key, again, origins) for key in differing)
        shown = first_lines([f"{key}: {difference}" for key, difference in differing.items()], SHOWN)
        raise RunError(
            f"{folder / RESULTS} does not agree with {listed([*files])}: at least one of these files was "
            f"changed. Equal are counts and accuracies, and statistics up to a relative {ROUNDING:g}, but "
            f"here\n{shown}"
        )
    return again


def _of_first_version(
    first: FirstResults, again: StudyResults
) -> tuple[dict[str, object], dict[str, object]]:
    """What both versions tell, of the one that is kept and of what comes out again."""
    shared = ("key", "margin", "match", "warnings", "test_images", "history")
    kept, found = ({name: content.to_dict()[name] for name in shared} for content in (first, again))
    kept["trials"] = [trial.to_dict() for trial in first.trials if trial.error != "not run yet"]
    found["trials"] = [trial.to_dict() for trial in again.trials]
    for level in first.levels:
        accuracies = dict(zip(first.seeds, level["accuracies"], strict=False))
        kept[level["name"]] = [accuracies.get(seed) for seed in first.seeds]
    for of_level in again.levels:
        accuracies = dict(zip(of_level.seeds, of_level.accuracies, strict=True))
        found[of_level.name] = [accuracies.get(seed) for seed in first.seeds]
    return kept, found


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
    effect = key.startswith(EFFECTS)
    return (
        numbers
        and (effect or re.sub(r"\[\d+\]$", "", key.rpartition(".")[2]) in ROUNDED)
        and math.isclose(kept, again, rel_tol=ROUNDING, abs_tol=1e-9)
    )


# The file that a value of `results.json` comes from: the first pattern that fits its key counts.
ORIGINS = (
    (r"trials\[(\d+)\]\.hashes\.predictions", PREDICTIONS),
    (r"trials\[(\d+)\]\.hashes", TRIAL),
    (r"trials\[(\d+)\]\.(test_|val_|best_|clean_|timing|error)", RESULT),
    (
        r"trials|key|margin|history|match|warnings|seeds|shard|tuning|levels\[\d+\]\.(name|value|changed|tuned|by_object_size$|by_object_size.*\.size)",
        STUDY,
    ),
    (r"test_images|pool", LABELS),
    (r"levels\[\d+\]\.(parameters|macs|timing|train_gap)", f"the trials' {RESULT}"),
    (r"", f"the trials' {PREDICTIONS}"),
)


ORIGINS_OF_FUNCTION = (
    (r"trials\[(\d+)\]", RESULT),
    (r"key|margin|history|match|warnings|function|of_table|test_images|levels\[\d+\]\.(name|value)", STUDY),
    (r"", f"the trials' {RESULT}"),
)


def _computed_from(key: str, results: StudyResults, origins: Sequence[tuple[str, str]]) -> str:
    """The file that a value of `results.json` comes from."""
    for pattern, name in origins:
        if found := re.match(pattern, key):
            number = found.group(1) if found.groups() else ""
            in_trial = name in (PREDICTIONS, TRIAL, RESULT)
            return f"{TRIALS}/{results.trials[int(number)].folder}/{name}" if in_trial else name
    raise AssertionError(key)  # the last pattern fits every key


def _contradictions(folder: Path, study: StudyFile) -> Iterator[str]:
    """Where `study.json` tells two different things."""
    seed = study.base().training.seed
    if seed != study.first_seed:
        yield f"{folder / STUDY}: training.seed is {seed}, first_seed {study.first_seed}"
    if study.object_sizes != list(study.base().data.object_sizes):
        yield f"{folder / STUDY}: object_sizes are not those of its configuration"


def _tested_on_others(
    runs: Sequence[RunDir], labels: NDArray[np.int64], groups: NDArray[np.int64] | None
) -> Iterator[str]:
    """Where a trial was not tested on the images that its seed chooses."""
    import torch

    from cnnkit.data.splits import redrawn_test_and_rest

    classes, together = torch.from_numpy(labels), None if groups is None else torch.from_numpy(groups)

    @cache  # the levels share what a seed draws
    def drawn(data: DataConfig, seed: int) -> list[int]:
        return redrawn_test_and_rest(data, classes, seed, together)[0].tolist()

    for run in runs:
        data, seed = run.config.data, run.config.training.seed
        tested = drawn(data, seed)
        if tested != images_tested(run, len(tested), len(labels)).tolist():
            yield f"{run.path / TESTED} does not name the images that seed {seed} is tested on"


def _forged(run: RunDir) -> Iterator[str]:
    """Where the result of a run does not follow from its epochs and its configuration."""
    result, history, config = run.result, run.metrics(), run.config
    if not 0 < result.best_epoch <= len(history):
        yield f"{run.path / METRICS} holds {counted(len(history), 'epoch')}, not epoch {result.best_epoch}"
        return
    best = max(history, key=lambda record: record.rank(config.training.monitor))
    parameters, macs = cost_of(config)
    expected = {
        "best_epoch": result.best_epoch if best.val_accuracy is None else best.epoch,
        "val_accuracy": best.val_accuracy,
        "val_loss": best.val_loss,
        "clean_train_accuracy": history[result.best_epoch - 1].clean_train_accuracy,
        "clean_train_loss": history[result.best_epoch - 1].clean_train_loss,
        "epochs": len(history),
        "train_seconds": sum(record.seconds for record in history),
        "parameters": parameters,
        "macs": macs,
        "seed": config.training.seed,
        "dataset": config.data.dataset,
    }
    if not config.data.own:  # of which equal and damaged images may be left out
        data = config.data
        expected |= {"train_images": data.train_images, "val_images": data.validation_images}
        expected["test_images"] = data.info.test_images
    if result.precision not in ("float32", "bf16"):
        yield f"{run.path / RESULT}: precision is {result.precision!r}"
    for key, value in expected.items():
        if getattr(result, key) != value:
            yield f"{run.path / RESULT}: {key} is {getattr(result, key)}, and {value} comes out again"
