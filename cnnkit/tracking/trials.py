"""What trackers are told of each training of a study, from the files that it has kept."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnnkit.comparison.function_study import AnyStudy, FunctionStudy, FunctionTrial, read_answer
from cnnkit.comparison.study_file import read_labels, trial_folder
from cnnkit.comparison.study_records import StudyFile, TrialEntry
from cnnkit.comparison.tuning import PointResult, kept_point
from cnnkit.experiment.run_dir import RunDir
from cnnkit.filenames import CONFIG, RESULT, TUNING
from cnnkit.tracking.messages import Ended, Message, Opened, Row, Scalars, Text, escaped
from cnnkit.tracking.told import history, opened, outcome, parameters_of


@dataclass(frozen=True)
class TrialMessages:
    """Tells of the trainings of a study in a folder: networks, calls of a function, trainings of `--tune`.

    error: why one failed; empty where it did not. goes_on: whether it may have been told before.
    """

    folder: Path
    study: AnyStudy

    def of_trial(
        self, entry: TrialEntry | FunctionTrial, error: str = "", goes_on: bool = False
    ) -> Iterator[Message]:
        """All of a trial that has ended."""
        run = RunDir(trial_folder(self.folder, entry.folder))
        tags = {"level": entry.level, "seed": str(entry.seed)}
        if isinstance(self.study, FunctionStudy):
            assert isinstance(entry, FunctionTrial)
            told = self._opened(run, _given(self.study, entry), tags, goes_on)
            return _ended(run, told, [] if error else self._returned(entry), (), error)
        assert isinstance(entry, TrialEntry)
        told = self._opened(run, _parameters(self.study, entry, run), tags, goes_on)
        tested = () if error else outcome(run, run.config, self._labels(self.study, run))
        return _ended(run, told, history(run), tested, error)

    def of_point(self, level: str, name: str, error: str = "", goes_on: bool = False) -> Iterator[Message]:
        """All of a training that served to choose settings. name: of its folder."""
        run = RunDir(trial_folder(self.folder, name, TUNING))
        parameters = parameters_of(run.config) if (run.path / CONFIG).is_file() else {}
        told = self._opened(run, parameters, {"level": level, "part": "tuning"}, goes_on)
        result = None if error else kept_point(run.path)
        return _ended(run, told, [_validated(result, _changed(run))] if result else [], (), error)

    def _opened(
        self, run: RunDir, parameters: dict[str, object], tags: dict[str, str], goes_on: bool
    ) -> Opened:
        return opened(run, parameters, goes_on, str(self.folder), **tags)

    def _returned(self, trial: FunctionTrial) -> list[Row]:
        answer = read_answer(self.folder, trial)
        if answer is None:
            return []
        seconds = {} if answer.seconds is None else {"seconds": answer.seconds}
        ended = _changed(RunDir(trial_folder(self.folder, trial.folder)))
        return [Row(0, {"test/accuracy": answer.accuracy, **seconds}, ended)]

    def _labels(self, study: StudyFile, run: RunDir) -> NDArray[np.int64]:
        """Of the images that a trial was tested on, (images,)."""
        labels = read_labels(self.folder, study)
        if study.base().data.redrawn:
            labels = labels[np.frombuffer(run.tested(), "<u4")]
        return labels


def tuned_in(study: AnyStudy) -> Iterator[tuple[str, str]]:
    """(level, name of its folder) of each training that has chosen settings."""
    for level in study.levels if isinstance(study, StudyFile) else ():
        for name in level.tuned.folders if level.tuned else ():
            yield level.name, name


def _ended(
    run: RunDir, told: Opened, rows: list[Row], tested: Iterable[Message], error: str
) -> Iterator[Message]:
    """The messages of a training, in order. rows: of its epochs. tested: what came out at the end."""
    folder, ended = str(run.path), rows[-1].seconds if rows else time.time()
    began = rows[0].seconds - rows[0].values.get("seconds", 0.0) if rows else told.seconds
    yield replace(told, seconds=began)
    yield Scalars(folder, rows)
    if error:
        yield Text(folder, "failure", error, escaped(error))
    yield from tested
    yield Ended(folder, "failed" if error else "finished", ended)


def _changed(run: RunDir) -> float:
    """When a result was kept, seconds since 1970."""
    return (run.path / RESULT).stat().st_mtime


def _validated(result: PointResult, seconds: float) -> Row:
    """What a training reached on validation images at its best epoch."""
    measured = {
        name: result.monitored(name) for name in ("accuracy", "loss", "balanced_accuracy", "macro_f1")
    }
    values = {f"{name}/val": value for name, value in measured.items() if value is not None}
    return Row(result.best_epoch, {**values, "seconds": result.train_seconds}, seconds)


def _given(study: FunctionStudy, trial: FunctionTrial) -> dict[str, object]:
    """What a function is called with."""
    values = trial.value if study.factors else {study.key: trial.value}
    return {"function": study.function, **values, "seed": trial.seed}


def _parameters(study: StudyFile, entry: TrialEntry, run: RunDir) -> dict[str, object]:
    """Those of a trial: kept with it, or planned where it never began."""
    if (run.path / CONFIG).is_file():
        return parameters_of(run.config)
    level = next(one for one in study.levels if one.name == entry.level)
    planned = {**study.settings_of(level), **level.settings, "training.seed": entry.seed}
    return {**parameters_of(study.base()), **planned}
