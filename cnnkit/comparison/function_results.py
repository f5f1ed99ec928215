"""`results.json` of a study of a person's own function."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from cnnkit.comparison.function_study import Answer, FunctionStudy, load_function_study, read_answer
from cnnkit.comparison.ranking import Right, level_alone, observe, results_of
from cnnkit.comparison.records import LevelResult, LevelTiming, StudyResults
from cnnkit.comparison.study_file import trial_folder
from cnnkit.comparison.trial_records import TrialResult, TrialTiming
from cnnkit.errors import RunError
from cnnkit.experiment.run_dir import RunDir
from cnnkit.filenames import RESULT

Answers = dict[tuple[str, int], Answer]  # by level and seed


def analyse_function(folder: Path) -> StudyResults:
    """What `results.json` holds, from `study.json` and what each call returned. Raises RunError."""
    study = load_function_study(folder)
    rows, answers = read_answers(folder, study)
    right = rights(answers)
    names = [level.name for level in study.levels]
    observed, seeds = observe(names, rows, right)

    def level_of(name: str) -> LevelResult:
        own = {seed: answers[name, seed] for seed in seeds if (name, seed) in answers}
        return level_alone(
            name,
            study.levels[names.index(name)].value,
            list(own),
            np.array([answer.accuracy for answer in own.values()]),
            LevelTiming(_median(answer.seconds for answer in own.values()), None),
            np.stack([right[name, seed] for seed in own]) if right else None,
        )

    own = {
        "match": "none",
        "test_images": study.images or 0,
        "function": study.function,
        "of_table": study.of_table,
    }
    return results_of(study, rows, observed, seeds, level_of, **own)


def _median(seconds: Iterable[float | None]) -> float | None:
    """None where not all are known."""
    known = list(seconds)
    return None if None in known else float(np.median(np.array(known)))


def rights(answers: Answers) -> dict[tuple[str, int], Right]:
    """By level and seed, (images,), which test images were right; empty where only accuracies are known."""
    return {key: answer.of_images() for key, answer in answers.items() if answer.images}


def read_answers(
    folder: Path, study: FunctionStudy
) -> tuple[list[TrialResult], dict[tuple[str, int], Answer]]:
    """Each call that has ended, and what those that did not fail returned."""
    rows, answers = [], {}
    for trial in study.trials():
        home = trial_folder(folder, trial.folder)
        row = TrialResult(trial.level, trial.seed, trial.folder, error=None)
        if answer := read_answer(folder, trial):
            if answer.images != study.images:
                raise RunError(f"{home / RESULT} is of {answer.images} images, the study of {study.images}")
            answers[trial.level, trial.seed] = answer
            timing = None if answer.seconds is None else TrialTiming(answer.seconds, None)
            rows.append(replace(row, test_accuracy=answer.accuracy, timing=timing))
        elif error := RunDir(home).failure:
            rows.append(replace(row, error=error))
    return rows, answers
