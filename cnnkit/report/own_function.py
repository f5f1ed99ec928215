"""What the report of a comparison of a person's own function shows: numbers, and no networks."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.comparison.function_results import read_answers, rights
from cnnkit.comparison.function_study import FunctionStudy, load_function_study
from cnnkit.comparison.records import StudyResults
from cnnkit.comparison.sentence import changes_of_the_margin, verdict_alone
from cnnkit.comparison.study_file import trial_folder
from cnnkit.experiment.run_dir import RunDir
from cnnkit.filenames import RESULTS, STUDY
from cnnkit.report.damage import results_left
from cnnkit.report.effects import series_of
from cnnkit.report.parts import Parts
from cnnkit.report.provenance import provenance_of
from cnnkit.report.study import plots_of_levels, shown_results
from cnnkit.report.trained import trainings
from cnnkit.report.trials import GALLERY_SHOWN
from cnnkit.words import counted

NOTHING: dict[str, object] = {
    **dict.fromkeys(
        (
            "sizes",
            "activations",
            "poolings",
            "curves",
            "confusion",
            "networks",
            "evidence",
            "effects",
            "why",
        )
    ),
    "config": None,
    "images_missing": "",
    "as_is": False,
    "predictions_missing": "",
    "tuning": None,
    "shared": [],
}


def function_view(folder: Path) -> dict[str, Any]:
    """Everything that the template names."""
    study, (kept, damage) = load_function_study(folder), results_left(folder)
    results, parts = shown_results(study, kept), Parts()
    series = series_of(study)
    runs = [RunDir(trial_folder(folder, trial.folder)) for trial in results.trials if not trial.error]
    files = [folder / name for name in (RESULTS, STUDY)]
    view = {
        **NOTHING,
        "study": study,
        "results": results,
        "sentence": verdict_alone(kept),
        "changes_of_the_margin": changes_of_the_margin(results),
        "trainings": trainings(study, results),
        "damage": damage,
        "series": [(series[level.name], level.name) for level in results.levels],
        "series_of": series,
        "gallery": parts.draw("gallery", lambda: _images_apart(folder, study, results), None),
        **provenance_of(runs),
        "hashes": [(p.name, hashlib.sha256(p.read_bytes()).hexdigest()) for p in files if p.is_file()],
        "failures": parts.failures,
    }
    if results.levels:
        view |= plots_of_levels(study, results, series, parts)
    return view


def _images_apart(folder: Path, study: FunctionStudy, results: StudyResults) -> dict[str, object] | None:
    """The numbers of the test images in which the levels differ most; None where none is known.

    Of each, with how many seeds each level is right, of the seeds that every level has.
    """
    of_trials = rights(read_answers(folder, study)[1])
    names = [level.name for level in results.levels]
    seeds = [seed for seed in results.seeds if all((name, seed) in of_trials for name in names)]
    if not seeds or not names:
        return None
    right = np.array([sum(of_trials[name, seed].astype(int) for seed in seeds) for name in names])
    apart = right.max(0) - right.min(0)
    numbers = [i for i in np.argsort(-apart, kind="stable")[:GALLERY_SHOWN].tolist() if apart[i]]
    if not numbers:
        return None
    all_apart, clear = int((apart > 0).sum()), int((apart == len(seeds)).sum())
    where = "the table" if study.of_table else "what the function returns"
    caption = (
        f"On {counted(all_apart, 'test image')} one level is right with more seeds than another, on {clear} "
        f"with every seed while another is right with none. The {len(numbers)} with the largest differences "
        f"are named by their place in {where}, from 0. Numbers: with how many of "
        f"{counted(len(seeds), 'seed')} each level is right."
    )
    return {"names": names, "rows": [(i, right[:, i].tolist()) for i in numbers], "caption": caption}
