"""The trainings of `--tune`: one for each level and point, kept below `tuning` in the study's folder."""

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from cnnkit.comparison.executor import Executor, Outcome
from cnnkit.comparison.forecasts import forecast_study
from cnnkit.comparison.study import StudyPlan
from cnnkit.comparison.trial import Trial
from cnnkit.comparison.tuning import Tuned, Tuning, best_point, kept_point, value_text, with_settings
from cnnkit.config.schema import Config
from cnnkit.data.dataset import Published
from cnnkit.events import PointDone, TuningBegun
from cnnkit.own.sources import handed_over

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
                code=handed_over(config.model.own_classes),
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
        level: best_point(
            tuning,
            [kept_point(home / trial.folder, trial.id) for trial in of_level],
            [trial.folder for trial in of_level],
        )
        for level, of_level in trials.items()
    }


class TuningRun:
    """Chooses the settings of the levels of a study that have none yet. home: the folder `tuning`."""

    def __init__(self, study: StudyPlan, home: Path, data: str) -> None:
        assert study.tuning is not None
        self.plan, self.tuning, self.home = study, study.tuning, home
        configs = {level.name: level.config for level in study.untuned}
        self.trials = tuning_trials(self.tuning, configs, data)
        self.missing = missing_trials(self.trials, home)

    def begun(self, executor: Executor, published: Published) -> TuningBegun:
        """What a person is told before it trains."""
        trainings, left = len(self.trials) * len(self.tuning.points), Counter(t.level for t in self.missing)
        costs = forecast_study(self.plan, executor, published)
        times = costs.seconds if costs else {}
        between = "; " if self.plan.factors else ", "
        return TuningBegun(
            what=between.join([*self.trials, f"each {self.tuning}"]),
            trainings=trainings,
            finished=trainings - len(self.missing),
            seconds=sum(left[level] * times[level] for level in left) if times else None,
            seed_seconds=sum(times.values()) if times else None,
        )

    def ended(self, executor: Executor, published: Published) -> Iterator[PointDone]:
        """Trains what is missing; yields each training as it ends."""
        points = {
            trial.id: point for of_level in self.trials.values() for point, trial in enumerate(of_level)
        }
        with contextlib.closing(executor.one_by_one(self.home).run(self.missing, published)) as outcomes:
            for outcome in outcomes:
                yield self._point_done(outcome, points[outcome.trial.id])

    def _point_done(self, outcome: Outcome, point: int) -> PointDone:
        trial = outcome.trial
        result = None if outcome.error else kept_point(self.home / trial.folder, trial.id)
        if result is None:
            return PointDone(trial.level, point, None, None, outcome.error, trial.folder)
        value = result.monitored(self.tuning.monitor)
        told = None if value is None else value_text(self.tuning.monitor, value)
        return PointDone(trial.level, point, told, result.train_seconds, None, trial.folder)

    def study(self) -> StudyPlan:
        """The study with the settings that were chosen. Call it when all has ended."""
        tuned = tuned_levels(self.tuning, self.trials, self.home)
        levels = tuple(level.with_tuned(tuned.get(level.name)) for level in self.plan.levels)
        return replace(self.plan, levels=levels)
