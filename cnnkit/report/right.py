"""A study's test images, one a row: with how many seeds each level was right."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnnkit.comparison.function_results import read_answers, rights
from cnnkit.comparison.function_study import is_of_function, load_function_study
from cnnkit.comparison.study_file import load_study
from cnnkit.config.images import DataConfig
from cnnkit.data.prepare import all_tested, load_data, paths_of
from cnnkit.data.sources import at_hand
from cnnkit.errors import DataError, RunError
from cnnkit.events import Note, NoteListener
from cnnkit.report.damage import results_left
from cnnkit.report.images import moved_to, refuse_root
from cnnkit.report.trials import UNTESTED, missing_predictions, open_trials
from cnnkit.tables import Column, Table, columns_after

SEEDS = Column("seeds", int)


def right_table(folder: Path, notify: NoteListener, root: Path | None = None) -> Table:
    """image, truth, seeds, and a column a level: with how many of these seeds it was right.

    image: the path of a person's own image, else the number in the test split, or in all images where seeds
    draw their test images. truth: not known of a person's own function, whose image is a place in what it
    returns. seeds: those with which every level was tested on the image.
    notify: is told of trials whose predictions are missing. root: where the images lie now.
    Raises RunError where none can be told.
    """
    if is_of_function(folder):
        refuse_root(folder, root)
        return _of_function(folder)
    study, (results, _) = load_study(folder), results_left(folder)
    config = moved_to(study.base(), root)
    trials = open_trials(folder, study, config, results)
    if missing := missing_predictions(trials):
        notify(Note(missing))
    if not trials.predicted:
        raise RunError(f"{folder}: there is no seed of which every level's predictions are there")
    levels = [level.name for level in study.levels if level.name in trials.order]
    answers = [trials.predictions_of(level) for level in levels]
    tested = (answers[0] != UNTESTED).sum(0)
    right = [(of_level == trials.labels).sum(0) for of_level in answers]
    names = config.data.info.class_names
    images, kind = _images(config.data, len(trials.labels), notify)
    truths = [names[label] for label in trials.labels.tolist()]
    columns = [Column("image", kind), Column("truth", str), SEEDS]
    rows = zip(images, truths, tested.tolist(), *(of_level.tolist() for of_level in right), strict=True)
    return Table(columns_after(columns, levels, int), rows)


def _images(data: DataConfig, count: int, notify: NoteListener) -> tuple[Sequence[str | int], type]:
    """What the images are called."""
    if data.own and not at_hand(data):
        notify(Note(f"{data.root} is not there; the images are numbered"))
    elif data.own:
        try:
            paths = paths_of(data, all_tested(data, load_data(data, notify)))
            if len(paths) == count:
                return paths, str
            notify(Note(f"{data.root} holds other images now; they are numbered"))
        except DataError as error:
            notify(Note(f"{error}; the images are numbered"))
    return range(count), int


def _of_function(folder: Path) -> Table:
    study = load_function_study(folder)
    of_trials = rights(read_answers(folder, study)[1])
    levels = [level.name for level in study.levels]
    seeds = sorted({seed for _, seed in of_trials})
    shared = [seed for seed in seeds if all((level, seed) in of_trials for level in levels)]
    if not shared:
        told = "the table holds" if study.of_table else "the function returned"
        raise RunError(f"{folder}: {told} accuracies alone; which images were right is not known")
    right: list[NDArray[np.int64]] = [
        np.sum([of_trials[level, seed] for seed in shared], axis=0, dtype=np.int64) for level in levels
    ]
    counts = [of_level.tolist() for of_level in right]
    rows = ((i, len(shared), *of_image) for i, of_image in enumerate(zip(*counts, strict=True)))
    return Table(columns_after([Column("image", int), SEEDS], levels, int), rows)
