"""What of a run or a study is damaged: a report is drawn without it, and says so."""

import contextlib
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnnkit.comparison.records import StudyResults
from cnnkit.comparison.results import analyse, read_results
from cnnkit.comparison.study_file import read_labels
from cnnkit.comparison.study_records import StudyFile
from cnnkit.errors import CnnkitError, OwnCodeError, RunError
from cnnkit.experiment.checkpoints import load_weights
from cnnkit.experiment.manifest import damage_of
from cnnkit.experiment.run_dir import RunDir
from cnnkit.filenames import BEST, ENVIRONMENT, MANIFEST, METRICS, RESULT
from cnnkit.kept import sha256


def damaged_files(run: RunDir) -> list[str]:
    """What is wrong with the files of a run, a sentence each. Without a manifest: what cannot be read."""
    found = damage_of(run.path)
    if (run.path / MANIFEST).exists():
        if run.finished:
            return found
        found.append(f"{run.path / RESULT} is missing; cnnkit train --resume {run.path} writes it again")
    for name, read in (
        (ENVIRONMENT, lambda: run.environment),
        (METRICS, run.metrics),
        (RESULT, lambda: run.result),
        (BEST, lambda: load_weights(run.path)),
    ):
        if (run.path / name).exists():
            try:
                read()
            except OwnCodeError:
                continue  # it was not run, which is no damage
            except (CnnkitError, OSError) as error:
                found.append(str(error))
    return found


def results_left(folder: Path) -> tuple[StudyResults, list[str]]:
    """The results of a study, computed again where `results.json` is damaged, and what is to be told of it.

    Raises RunError where they cannot be computed either.
    """
    try:
        return read_results(folder), []
    except RunError as error:
        try:
            return analyse(folder), [f"{error}; the numbers here were computed again from the predictions"]
        except RunError as second:
            raise second if str(second) == str(error) else RunError(f"{error}\n{second}") from error


def labels_left(folder: Path, study: StudyFile) -> tuple[NDArray[np.int64], list[str]]:
    """(labels, what is wrong with them): (images,), none where they are damaged."""
    try:
        return read_labels(folder, study), []
    except RunError as error:
        return np.zeros(0, np.int64), [str(error)]


def predictions_left(run: RunDir, images: int, classes: int, kept_hash: str = "") -> NDArray[np.int64] | None:
    """The classes that a run kept, (images,); None where they are not all there. kept_hash: where known."""
    with contextlib.suppress(RunError):
        kept = run.predicted(classes)
        known = kept_hash in ("", sha256(run.predictions()))
        if len(kept) == images and kept.max(initial=0) < classes and known:
            return kept
    return None


def without_folder(damage: Iterable[str], folder: Path) -> list[str]:
    """For the page, whose bytes do not depend on where the folder lies."""
    inside = re.compile(rf"(?<!\S){re.escape(str(folder))}/")
    return [inside.sub("", sentence) for sentence in damage]
