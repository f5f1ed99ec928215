"""Other people's accuracies, in a table, get the verdict of a comparison."""

import csv
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path

from cnnkit.api.study import run_function_plan
from cnnkit.comparison.function_plan import plan_function
from cnnkit.comparison.records import StudyResults
from cnnkit.errors import DataError, UsageError
from cnnkit.words import counted, listed

COLUMNS = ("level", "seed", "accuracy")


def judge(table: Path, margin: float | None = None, out: Path | None = None) -> StudyResults:
    """The verdicts on a CSV file's accuracies: a row a training, columns `level`, `seed` and `accuracy`.

    Accuracies are fractions, or percentages where one is above 1. Levels are compared seed by seed: the same
    seed means the same data order and test images, and each level has all seeds. margin: percentage points.
    out: the folder of the study that is kept; None: none is. As nothing is known of single images, other
    test images may come out otherwise.
    Raises UsageError where there is no such file, DataError where it is no such table.
    """
    found = read(table)
    levels = list(dict.fromkeys(level for level, _ in found))
    seeds = sorted({seed for _, seed in found}, key=lambda seed: (len(seed), seed))
    missing = [
        f"{level} with seed {seed}" for level in levels for seed in seeds if (level, seed) not in found
    ]
    if missing:
        more = [f"{len(missing) - 5:,} more"] if len(missing) > 5 else []
        raise DataError(f"{table}: each level needs the same seeds; there is no {listed(missing[:5] + more)}")
    if len(levels) < 2 or len(seeds) < 2:
        there = f"{counted(len(levels), 'level')} and {counted(len(seeds), 'seed')}"
        raise DataError(f"{table} holds {there}; a verdict takes at least two of each")

    def accuracy(level: str, seed: int) -> float:
        return found[level, seeds[seed]]

    accuracy.__qualname__ = "accuracy"  # a report names it
    plan = plan_function(accuracy, "level", levels, len(seeds), margin)
    with tempfile.TemporaryDirectory() as folder:
        return run_function_plan(accuracy, plan, out or Path(folder, "study")).results


def read(table: Path) -> Mapping[tuple[str, str], float]:
    """(level, seed) -> accuracy, a fraction."""
    try:
        lines = table.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise UsageError(f"{table}: no such file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{table} cannot be read as text: {error}") from error
    names = [name.strip().lower() for name in next(csv.reader(lines[:1]), [])]
    if lacking := [name for name in COLUMNS if name not in names]:
        raise DataError(f"{table}: expected the columns {listed(COLUMNS)}; there is no {listed(lacking)}")
    found: dict[tuple[str, str], float] = {}
    for number, row in enumerate(csv.DictReader(lines[1:], names), 2):
        level, seed, text = ((row[name] or "").strip() for name in COLUMNS)
        if (level, seed) in found:
            raise DataError(f"{table}:{number}: {level} with seed {seed} is there twice")
        try:
            found[level, seed] = float(text)
        except ValueError as error:
            raise DataError(f"{table}:{number}: {text!r} is no accuracy") from error
    scale = 100 if any(value > 1 for value in found.values()) else 1
    if scale == 100 and (small := [value for value in found.values() if 0 < value <= 1]):
        raise DataError(
            f"{table}: some accuracies are fractions and others are percentages, such as {small[0]:g}"
        )
    if wrong := [value for value in found.values() if not (math.isfinite(value) and 0 <= value <= scale)]:
        raise DataError(f"{table}: an accuracy is 0 to 1, or 0 to 100 %, and {wrong[0]:g} is not")
    return {key: value / scale for key, value in found.items()}
