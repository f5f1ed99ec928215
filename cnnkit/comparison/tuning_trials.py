"""The trainings of `--tune`: one for each level and point, kept below `tuning` in the study's folder."""

from collections.abc import Mapping
from pathlib import Path

from cnnkit.comparison.trial import Trial
from cnnkit.comparison.tuning import Tuned, Tuning, best_point, kept_point, with_settings
from cnnkit.config.schema import Config

Points = Mapping[str, list[Trial]]  # of a level: one trial a point


def tuning_trials(tuning: Tuning, configs: Mapping[str, Config], data: str) -> Points:
    """configs: of each level, by its name, with its own settings. data: `data_hash`."""
    return {
        level: [
            Trial(
                level,
                with_settings(config, {**point, "training.seed": tuning.seed}),
                data,
                validation_only=True,
            )
            for point in tuning.points
        ]
        for level, config in configs.items()
    }


def missing_trials(trials: Points, home: Path) -> list[Trial]:
    """Those that have no result below `home` yet: all levels of a point before the next point."""
    by_point = (trial for point in zip(*trials.values(), strict=True) for trial in point)
    return [trial for trial in by_point if kept_point(home / trial.folder, trial.id) is None]


def tuned_levels(tuning: Tuning, trials: Points, home: Path) -> dict[str, Tuned]:
    """What the kept results choose for each level."""
    return {
        level: best_point(tuning, [kept_point(home / trial.folder, trial.id) for trial in of_level])
        for level, of_level in trials.items()
    }
