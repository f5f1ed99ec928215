"""Other people's numbers, in a table, get the verdict of a comparison."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from cnnkit.comparison.function_plan import plan_table
from cnnkit.comparison.function_study import Answer, FunctionStudy, packed
from cnnkit.comparison.going_on import refuse_something_else
from cnnkit.comparison.judged_table import Told, Trial, read_table
from cnnkit.comparison.records import StudyResults
from cnnkit.comparison.runner import keep_results
from cnnkit.comparison.study_file import trial_folder
from cnnkit.errors import DataError, UsageError
from cnnkit.filenames import RESULT, STUDY
from cnnkit.files import write_json
from cnnkit.kept import sealed
from cnnkit.locks import alone_at
from cnnkit.words import counted, listed

FEWEST = 2  # seeds that a level shares with another
NAMED = 5  # missing trainings that are named


def judge(table: Path, margin: float | None = None, out: Path | None = None) -> StudyResults:
    """The verdicts on what a CSV file tells of trainings, as `read_table` reads it.

    Levels are compared seed by seed: the same seed means the same data order and test images. Of accuracies
    alone nothing is known of single images, so other test images may come out otherwise; a table with a row
    an image is judged as a comparison is. margin: percentage points. out: the folder of the study that is
    kept; None: none is.
    Raises UsageError where there is no such file, or `out` holds something, DataError where it is no table
    that can be judged.
    """
    told = read_table(table)
    levels, seeds = list(dict.fromkeys(level for level, _ in told)), _in_order(told)
    if len(levels) < FEWEST or len(seeds) < FEWEST:
        there = f"{counted(len(levels), 'level')} and {counted(len(seeds), 'seed')}"
        raise DataError(f"{table} holds {there}; a verdict takes at least two of each")
    _refuse_alone(table, levels, told)
    numbers = _numbers(seeds)
    right = next(iter(told.values())).right
    warnings = [*_missing(levels, seeds, told), *_renumbered(seeds, numbers)]
    images = 0 if right is None else len(right)
    plan = plan_table(table.name, levels, [*numbers.values()], images, margin, warnings)
    with tempfile.TemporaryDirectory() as folder:
        return _kept(plan, told, numbers, out or Path(folder, "study"))


def _in_order(told: Mapping[Trial, Told]) -> list[str]:
    return sorted({seed for _, seed in told}, key=lambda seed: (len(seed), seed))


def _numbers(seeds: Sequence[str]) -> dict[str, int]:
    """Each seed's number: its own where they follow each other, else its place, from 0 on."""
    if all(seed.isascii() and seed.isdecimal() and str(int(seed)) == seed for seed in seeds):
        own = [int(seed) for seed in seeds]
        if own == [*range(own[0], own[0] + len(own))] and own[-1] < 2**62:
            return dict(zip(seeds, own, strict=True))
    return {seed: place for place, seed in enumerate(seeds)}


def _refuse_alone(table: Path, levels: Sequence[str], told: Mapping[Trial, Told]) -> None:
    """Raises DataError where a level can be compared with no other."""
    own = {level: {seed for other, seed in told if other == level} for level in levels}
    for level in levels:
        shared = max(len(own[level] & own[other]) for other in levels if other != level)
        if shared < FEWEST:
            raise DataError(
                f"{table}: {level} shares {counted(shared, 'seed')} with any other level; levels are "
                f"compared seed by seed, which takes {FEWEST}: give trainings that belong together one seed"
            )


def _missing(levels: Sequence[str], seeds: Sequence[str], told: Mapping[Trial, Told]) -> list[str]:
    absent = [f"{level} with seed {seed}" for level in levels for seed in seeds if (level, seed) not in told]
    if not absent:
        return []
    more = [f"{len(absent) - NAMED:,} more"] if len(absent) > NAMED else []
    return [
        f"the table has no {listed(absent[:NAMED] + more)}: a difference is over the seeds that both levels "
        "have. If trainings are missing because they failed, their levels look better than they are"
    ]


def _renumbered(seeds: Sequence[str], numbers: Mapping[str, int]) -> list[str]:
    if all(seed == str(number) for seed, number in numbers.items()):
        return []
    return [f"the seeds of the table, {seeds[0]} to {seeds[-1]}, are numbered from 0 on"]


def _kept(
    plan: FunctionStudy, told: Mapping[Trial, Told], numbers: Mapping[str, int], folder: Path
) -> StudyResults:
    """Writes the study. Raises UsageError where the folder holds something."""
    if (folder / STUDY).exists():
        raise UsageError(
            f"{folder} holds a study, and nothing is overwritten; name another folder with --out"
        )
    refuse_something_else(folder)
    by_number = {(level, numbers[seed]): one for (level, seed), one in told.items()}
    with alone_at(folder, "study"):
        write_json(folder / STUDY, sealed(plan.to_dict()))
        for trial in plan.trials():
            if one := by_number.get((trial.level, trial.seed)):
                right = "" if one.right is None else packed(one.right)
                images = 0 if one.right is None else len(one.right)
                answer = Answer(trial.level, trial.seed, one.accuracy, one.seconds, images, right)
                write_json(trial_folder(folder, trial.folder) / RESULT, sealed(answer.to_dict()))
        return keep_results(folder)
