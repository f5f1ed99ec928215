"""`--tune N`: the settings that each level gets before the seeds that count, chosen on validation images.

Each level is trained at the same N points of the tuned keys, and keeps those of its best point. Point 0 is
the configuration as it stands, so no level becomes worse on the images that decide. A level that seems worse
may only need other settings than the others: Bouthillier et al., "Accounting for Variance in Machine Learning
Benchmarks", arXiv 2103.03098.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cnnkit.config.load import flat
from cnnkit.config.ranges import Number, Range, ranges_of
from cnnkit.config.schema import Config
from cnnkit.errors import DamagedFile, UsageError
from cnnkit.events import Monitored
from cnnkit.filenames import RESULT
from cnnkit.kept import read_sealed
from cnnkit.records import Record
from cnnkit.scores import ACCURACY, METRICS
from cnnkit.stats import MOST_SEEDS
from cnnkit.words import listed, short_key

MOST_POINTS = 1000
Settings = dict[str, int | float | None]


@dataclass(frozen=True)
class Tuning(Record):
    """What is tried at every level. points: the settings; the first are the configuration's own.

    seed: of all these trainings, and of none that counts. monitor: what decides, as `training.monitor` names
    it.
    """

    keys: list[str]
    seed: int
    points: list[Settings]
    monitor: str = ACCURACY

    def __str__(self) -> str:
        by = "" if self.monitor == ACCURACY else f", by {METRICS.get(self.monitor, self.monitor)}"
        return f"over {len(self.points)} points of {listed(self.keys)}{by}"


@dataclass(frozen=True)
class PointResult(Monitored, Record):
    """`result.json` of one training in `tuning`: what it reached on validation images, at its best epoch.

    Accuracies and F1 are fractions. val_loss: mean cross-entropy, nats. id: of the trial.
    """

    id: str
    val_accuracy: float
    val_loss: float
    best_epoch: int
    train_seconds: float
    val_balanced_accuracy: float | None = None
    val_macro_f1: float | None = None


@dataclass(frozen=True)
class Tuned(Record):
    """What came out for a level. point: the chosen one; settings: those of it.

    val_accuracies: one a point, the first with the configuration's own settings; None where training failed.
    folders: the names of the points' folders, below `tuning`. values: as val_accuracies, of what decided;
    empty where accuracy did.
    """

    point: int
    settings: Settings
    val_accuracies: list[float | None]
    folders: list[str]
    values: list[float | None] = field(default_factory=list)

    @property
    def deciding(self) -> list[float | None]:
        """One a point: what decided."""
        return self.values or self.val_accuracies

    @property
    def gain(self) -> float | None:
        """By how much the chosen point is above the first, a fraction; None where that failed.

        The best of several noisy accuracies is too high: other images would show less.
        """
        before, after = self.val_accuracies[0], self.val_accuracies[self.point]
        return None if before is None or after is None else after - before


def plan_tuning(
    count: int,
    keys: Sequence[str],
    configs: Sequence[Config],
    compared: Sequence[str],
    metric: str = ACCURACY,
) -> Tuning:
    """The points that every level is tried at. configs: the levels'. compared: the keys they differ in.

    metric: the study's. It decides; where it is accuracy, what all configurations monitor does.
    There are fewer than `count` points only where the ranges hold no more. Raises UsageError where the keys
    cannot be tuned, nothing is held out to decide, or Optuna is missing.
    """
    if not 2 <= count <= MOST_POINTS:
        raise UsageError(f"--tune {count}: expected 2 to {MOST_POINTS:,} points; the first changes nothing")
    keys = list(dict.fromkeys(keys))
    ranges = ranges_of(keys, configs, compared)
    first = configs[0]
    if not first.data.validation_images:
        raise UsageError("--tune: it decides on validation images; set data.validation")
    seed = seed_for_tuning(first.training.seed)
    own = {key: flat(first)[key] for key in keys}
    points: list[Settings] = [own]
    for point in _drawn(ranges, count - 1, seed):
        if point not in points:
            points.append(dict(point))
    monitors = {config.training.monitor for config in configs}
    monitor = monitors.pop() if metric == ACCURACY and len(monitors) == 1 else metric
    return Tuning(keys, seed, points, monitor)


def seed_for_tuning(first_seed: int) -> int:
    """A seed that no trial of the study can have, however many seeds are added to it."""
    beyond = first_seed + MOST_SEEDS
    return beyond if beyond < 2**63 else first_seed - 1


def with_settings(config: Config, settings: Mapping[str, Any]) -> Config:
    """The configuration with other values of some dotted keys."""
    values = config.model_dump()
    for key, value in settings.items():
        *sections, name = key.split(".")
        node = values
        for section in sections:
            node = node[section]
        node[name] = value
    return Config.model_validate(values)


def kept_point(folder: Path, trial_id: str = "") -> PointResult | None:
    """What a folder of `tuning` holds, of this trial if one is named.

    None where that training has failed, or has to be run, or run again.
    """
    try:
        result = read_sealed(folder / RESULT, PointResult)
    except (FileNotFoundError, DamagedFile):
        return None
    return result if trial_id in ("", result.id) else None


def best_point(tuning: Tuning, results: Sequence[PointResult | None], folders: Sequence[str]) -> Tuned:
    """The point that is best by the tuning's monitor; of equal ones that of the least loss, then the first.

    results, folders: one a point; None where training failed. Where all failed the configuration stays as it
    is.
    """

    def worth(point: int) -> tuple[float, float]:
        result = results[point]
        return result.rank(tuning.monitor) if result else (-math.inf, 0.0)

    point = max(range(len(results)), key=worth)
    accuracies = [result.val_accuracy if result else None for result in results]
    of_others = [result.monitored(tuning.monitor) if result else None for result in results]
    values = [] if tuning.monitor == ACCURACY else of_others
    return Tuned(point, tuning.points[point], accuracies, list(folders), values)


def changes(tuning: Tuning, tuned: Tuned) -> str:
    """What a level was tuned to and what that gained, in words."""
    own = tuning.points[0]
    changed = [
        f"{short_key(key)} {setting_text(own[key])} → {setting_text(value)}{_at_an_end(tuning, key, value)}"
        for key, value in tuned.settings.items()
        if value != own[key]
    ]
    before, after = (tuned.deciding[point] for point in (0, tuned.point))
    if after is None:
        return "every point failed, so nothing was changed"
    if not changed:
        found = value_text(tuning.monitor, after)
        return f"nothing was better than what is configured, {found} on validation images"
    gained = "failed before" if before is None else f"{value_text(tuning.monitor, before, short=True)} before"
    return f"{', '.join(changed)}: {value_text(tuning.monitor, after)} on validation images, {gained}"


def value_text(monitor: str, value: float, short: bool = False) -> str:
    """A value of what is monitored, with its name where it is no accuracy. short: without it."""
    if monitor == "loss":
        return f"{value:.4f}" if short else f"a loss of {value:.4f}"
    return f"{value:.2%}" if short or monitor == ACCURACY else f"{value:.2%} {METRICS[monitor]}"


def _at_an_end(tuning: Tuning, key: str, value: Number | None) -> str:
    """What a person should know where a value beyond those that were tried might be better still."""
    tried = {number for point in tuning.points if (number := point[key]) is not None}
    if len(tried) < 3 or value not in (min(tried), max(tried)):
        return ""
    return f" (the {'lowest' if value == min(tried) else 'highest'} tried)"


def setting_text(value: Number | None) -> str:
    return "null" if value is None else f"{value:g}"


def _drawn(ranges: Mapping[str, Range], count: int, seed: int) -> list[dict[str, Number]]:
    """Points that fill the ranges evenly: a scrambled Halton sequence, numbers to three digits."""
    try:
        import optuna
    except ImportError as error:
        raise UsageError("--tune needs Optuna: pip install 'cnnkit[tune]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    make = optuna.distributions
    space = {
        key: make.CategoricalDistribution(of_key.choices)
        if of_key.choices
        else make.FloatDistribution(of_key.low, of_key.high, log=of_key.log)
        for key, of_key in ranges.items()
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.QMCSampler(qmc_type="halton", scramble=True, seed=seed % 2**32)
    study = optuna.create_study(sampler=sampler)
    # The sampler takes the ranges from the first trial of a study, and draws from the second on.
    known = {key: of_key.choices[0] if of_key.choices else of_key.low for key, of_key in ranges.items()}
    study.add_trial(optuna.trial.create_trial(params=known, distributions=space, value=0.0))
    drawn = [study.ask(space).params for _ in range(count)]
    return [
        {key: float(f"{value:.3g}") if isinstance(value := point[key], float) else value for key in ranges}
        for point in drawn
    ]
