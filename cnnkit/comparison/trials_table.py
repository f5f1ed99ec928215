"""`trials.csv`: a row for each trial of a study, for a spreadsheet or pandas. No verdict rests on it."""

import operator
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cnnkit.comparison.function_study import AnyStudy, any_study, planned_trials
from cnnkit.comparison.records import StudyResults
from cnnkit.comparison.study_file import trial_folder
from cnnkit.comparison.trial_records import TrialResult
from cnnkit.experiment.run_dir import RunDir, RunResult
from cnnkit.tables import Column, Table, columns_after

COLUMNS = (
    *(Column("level", str), Column("seed", int), Column("state", str)),
    Column("accuracy", float),
    *(Column("balanced_accuracy", float), Column("macro_f1", float), Column("loss", float)),
    *(Column("val_accuracy", float), Column("train_accuracy", float)),
    *(Column("best_epoch", int), Column("epochs", int)),
    *(Column("train_seconds", float), Column("eval_seconds", float)),
    *(Column("parameters", int), Column("macs", int), Column("folder", str), Column("reason", str)),
)
FINISHED, FAILED, UNFINISHED = "finished", "failed", "unfinished"
OF_RUN = (  # of `result.json`, in the order of the columns
    *("test_balanced_accuracy", "test_macro_f1", "test_loss", "val_accuracy", "clean_train_accuracy"),
    *("best_epoch", "epochs", "train_seconds", "eval_seconds", "parameters", "macs"),
)


def trials_table(folder: Path, results: StudyResults) -> Table:
    """level, seed, state, figures, costs, folder, reason; then each key, where several are varied.

    Ordered by level, as the study names them, and seed. accuracy and what follows are those of test images,
    val_ and train_ those of others; fractions. state: finished, failed, or unfinished where a trial was begun
    and stopped; reason: why it failed. What is not known is empty: of a person's own function most is.
    Raises RunError where a trial is damaged.
    """
    study = any_study(folder)
    columns = columns_after(COLUMNS, [factor.key for factor in study.factors], str)
    return Table(columns, list(_rows(folder, study, results)))


def _rows(folder: Path, study: AnyStudy, results: StudyResults) -> Iterator[list[Any]]:
    names = [level.name for level in study.levels]
    ended = {(trial.level, trial.seed): trial for trial in results.trials}
    for entry in sorted(planned_trials(study), key=lambda one: (names.index(one.level), one.seed)):
        trial, home = ended.get((entry.level, entry.seed)), trial_folder(folder, entry.folder)
        if trial is None and not home.is_dir():
            continue  # the study ended without it
        level = study.levels[names.index(entry.level)]
        reason = "" if trial is None else trial.error or ""
        figures = _figures(home, trial)
        yield [entry.level, entry.seed, *figures, entry.folder, reason, *_values(study, level)]


def _values(study: AnyStudy, level: Any) -> list[str]:
    """Of each key, where several are varied. One network may be several combinations."""
    return [
        "/".join(dict.fromkeys(factor.names[chosen[place]] for chosen in level.combinations))
        for place, factor in enumerate(study.factors)
    ]


def _figures(home: Path, trial: TrialResult | None) -> Sequence[Any]:
    """State, accuracy, and what `OF_RUN` names."""
    if trial is None or trial.error is not None:
        return [UNFINISHED if trial is None else FAILED, None, *(None for _ in OF_RUN)]
    if trial.hashes is None:  # of a function: there is no run
        seconds = trial.timing.train_seconds if trial.timing else None
        known = {"train_seconds": seconds}
        return [FINISHED, trial.test_accuracy, *map(known.get, OF_RUN)]
    result: RunResult = RunDir(home).result
    return [FINISHED, trial.test_accuracy, *operator.attrgetter(*OF_RUN)(result)]
