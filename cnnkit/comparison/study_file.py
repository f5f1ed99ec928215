"""`study.json`: reading it, and what is wrong with one."""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnkit.class_numbers import numbers_in
from cnnkit.comparison.study_records import VERSION, FactorPlan, LevelPlan, StudyFile
from cnnkit.comparison.widths import cost_of
from cnnkit.config.load import flat
from cnnkit.config.schema import Config
from cnnkit.config.training import MONITORS
from cnnkit.errors import CnnkitError, DamagedFile, RunError, UsageError
from cnnkit.experiment.run_dir import RunDir
from cnnkit.filenames import CONFIG, FAILURE, GROUPS, LABELS, RESULT, STUDY, TRIALS, TUNING
from cnnkit.kept import is_plain, parse_json, read_kept, read_sealed, sha256
from cnnkit.own.sources import learn, learn_from_trials
from cnnkit.scores import METRICS
from cnnkit.stats import MOST_SEEDS

SHOWN = 10  # differences, in a message


def load_study(folder: Path) -> StudyFile:
    """Reads `study.json`. Raises UsageError where there is none, RunError where it is damaged."""
    path = folder / STUDY
    learn(folder)
    try:
        study = read_sealed(path, StudyFile)
    except FileNotFoundError as error:
        raise UsageError(f"{folder} holds no study: there is no {STUDY} in it") from error
    except DamagedFile as error:
        if function_in(folder):
            again = f"only Python can call that: go on with cnnkit.compare(…, out={str(folder)!r})"
            if of_table(folder):
                again = "cnnkit trained nothing of it: judge a longer table, into another folder"
            raise UsageError(f"the study in {folder} is of {no_networks(folder)}; {again}") from error
        raise RunError("\n  ".join([str(error), *_changed(folder)])) from error
    learn_from_trials(folder, repr(study))
    if complaint := next(_complaints(study), None):
        raise RunError(f"{path} is damaged: {complaint}")
    return study


def function_in(folder: Path) -> str:
    """The name of the person's own function, or of the table, that a study is of; empty where it is none."""
    return str(_of_function(folder, "function", ""))


def of_table(folder: Path) -> bool:
    """Whether a study judges a table of other programs' numbers."""
    return bool(_of_function(folder, "of_table", False))


def no_networks(folder: Path) -> str:
    """What a study is of that holds no networks of cnnkit, in words."""
    if of_table(folder):
        return f"the numbers in the table {function_in(folder)}"
    return f"the function {function_in(folder)}"


def _of_function(folder: Path, key: str, none: Any) -> Any:
    """A key of `study.json`; none where that cannot be read, or has no such key."""
    with contextlib.suppress(DamagedFile, FileNotFoundError):
        return parse_json(read_kept(folder / STUDY)).get(key, none)
    return none


def _changed(folder: Path) -> list[str]:
    """What a changed `study.json` tells otherwise than the trials, as far as it can be read."""
    with contextlib.suppress(CnnkitError, OSError):
        study = StudyFile.from_dict(parse_json(read_kept(folder / STUDY)))
        if not any(_complaints(study)):
            return list(dict.fromkeys(told for _, told in differences(study, folder)))[:SHOWN]
    return []


def _complaints(study: StudyFile) -> Iterator[str]:
    """What cnnkit never writes."""
    if study.version != VERSION:
        yield f"it is of version {study.version}, and this cnnkit reads version {VERSION}"
    if not 1 <= study.seeds <= MOST_SEEDS or not 0 <= study.first_seed < 2**63 - study.seeds:
        yield f"{study.seeds} seeds from {study.first_seed} on make no study"
    if study.min_seeds is not None and not 2 <= study.min_seeds <= study.seeds:
        yield f"at least {study.min_seeds} seeds of {study.seeds}"
    if not 0 < study.margin < 100:
        yield f"a margin of {study.margin:g} points"
    if study.metric not in METRICS:
        yield f"a metric {study.metric[:80]!r}"
    if study.shard and (study.shard.complaint or study.min_seeds):
        yield f"shard {study.shard} of it is none"
    names = {level.name for level in study.levels}
    if len(names) < max(2, len(study.levels)):
        yield "a study has two levels or more, of different names"
    if told := combinations_complaint(study.levels, study.factors):
        yield told
    yield from _complaints_about_tuning(study)
    if any(size < 1 for size in study.object_sizes):
        yield "an object of no size"
    for entry in study.trials:
        if not is_plain(entry.folder):
            yield f"{entry.folder[:80]!r} is no name of a folder in {TRIALS}"
        if entry.level not in names or entry.seed not in study.all_seeds:
            yield f"the trial {entry.folder} is of no level and seed of the study"


def combinations_complaint(levels: Sequence[Any], factors: Sequence[FactorPlan]) -> str:
    """What is wrong where several keys are varied; empty if nothing. levels: with their `combinations`."""
    combinations = sorted(tuple(one) for level in levels for one in level.combinations)
    shape = [len(factor.values) for factor in factors]
    if factors and combinations != list(product(*map(range, shape))):
        return "its levels are not all combinations of its factors"
    return ""


def _complaints_about_tuning(study: StudyFile) -> Iterator[str]:
    points = study.tuning.points if study.tuning else []
    if study.tuning and study.tuning.monitor not in MONITORS:
        yield f"it is tuned by {study.tuning.monitor[:80]!r}"
    if any(level.tuned and not study.tuning for level in study.levels) or (study.tuning and not points):
        yield "it is tuned over no points"
    for tuned in filter(None, (level.tuned for level in study.levels)):
        if not (
            0
            <= tuned.point
            < len(points)
            == len(tuned.val_accuracies)
            == len(tuned.deciding)
            == len(tuned.folders)
        ):
            yield "a level is tuned over other points than the study"
        if not all(map(is_plain, tuned.folders)):
            yield f"a folder in {TUNING} has no plain name"


def folder_name(level: str, seed: int, identity: str) -> str:
    """Of a trial. identity: a hash."""
    plain = re.sub(r"[^A-Za-z0-9.]+", "-", level).strip("-.")
    return f"{plain}-seed{seed}-{identity[:12]}"


def trial_folder(folder: Path, name: str, below: str = TRIALS) -> Path:
    """The folder of a trial, which need not be there. Raises RunError where a link leads out of the study."""
    path = folder / below / name
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # links in a circle
        inside = False
    if not inside:
        raise RunError(f"{path} is a link that leads out of the study: it is not followed")
    return path


def has_ended(folder: Path, name: str) -> bool:
    """Whether a trial of a study came to a result or a failure. name: of its folder."""
    home = trial_folder(folder, name)
    return any((home / file).exists() for file in (RESULT, FAILURE))


def read_labels(folder: Path, study: StudyFile) -> NDArray[np.int64]:
    """The classes in `labels.bin`, (images,). Raises RunError where it is not the one that was written."""
    path = folder / LABELS
    try:
        raw, groups = read_kept(path), _raw_groups(folder)
    except (FileNotFoundError, DamagedFile) as error:
        raise RunError(str(error)) from error
    if study.labels and sha256(raw + groups) != study.labels:
        named = f"{path} or {GROUPS}" if groups else path
        raise RunError(f"{named} is damaged or was changed: it has another hash than in {STUDY}")
    return numbers_in(raw, study.base().data.info.classes, path)


def read_groups(folder: Path, images: int) -> NDArray[np.int64] | None:
    """The group of each image, (images,), from `groups.bin`; None where each image is a group.

    `read_labels` has checked its hash.
    """
    raw = _raw_groups(folder)
    if not raw:
        return None
    if len(raw) != 4 * images:
        raise RunError(f"{folder / GROUPS} is damaged: it holds {len(raw):,} bytes, not {4 * images:,}")
    return np.frombuffer(raw, "<u4").astype(np.int64)


def _raw_groups(folder: Path) -> bytes:
    try:
        return read_kept(folder / GROUPS)
    except FileNotFoundError:
        return b""


def trained_otherwise(
    study: StudyFile, level: LevelPlan, settings: Mapping[str, Any], seed: int, config: Config
) -> Iterator[str]:
    """What a configuration has otherwise than a study plans: `key is 1 in study.json and 2`.

    settings: that tuning chooses or tries.
    """
    planned = {**flat(study.base()), **study.settings_of(level), **settings, "training.seed": seed}
    scaled = "model.channels" if study.match != "none" else ""
    for key, value in flat(config).items():
        if key not in ("data.root", scaled) and value != planned.get(key):
            yield f"{key} is {planned.get(key)} in {STUDY} and {value}"


def differences(study: StudyFile, folder: Path) -> Iterator[tuple[Path, str]]:
    """(file, what differs) where a trial that is kept has another configuration than the study plans.

    A configuration that cannot be read is left out.
    """
    levels = {level.name: level for level in study.levels}
    for entry in study.trials:
        path, level = trial_folder(folder, entry.folder) / CONFIG, levels[entry.level]
        try:
            config = RunDir(path.parent).config
        except CnnkitError:
            continue
        for told in trained_otherwise(study, level, level.settings, entry.seed, config):
            yield path, f"{told} in the trial"
        if cost_of(config) != (level.parameters, level.macs):
            found = f"{level.parameters:,} parameters and {level.macs:,} multiply-accumulates"
            yield path, f"{entry.level} has {found} in {STUDY}, and others by this configuration"
