"""Reads a table of what other programs measured: accuracies, or which test images were right."""

import csv
import io
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnnkit.errors import DataError, UsageError
from cnnkit.words import counted, listed

COLUMNS = ("level", "seed", "accuracy")
SECONDS = "seconds"  # of training; a column that may be missing
OF_IMAGES = ("image", "truth", "")  # columns beside those of trials; "": an index that pandas writes
RIGHT = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}
DELIMITERS = ",;\t"
UTF16 = (b"\xff\xfe", b"\xfe\xff")
SPREADSHEETS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # .xlsx and .ods; .xls
NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")
SHOWN = 60  # letters of a header that cannot be used
Trial = tuple[str, str]  # level, seed


@dataclass(frozen=True)
class Told:
    """What a table tells of a training. accuracy: a fraction. seconds: of training, None where unknown.

    right: (images,), which test images were right; None where only accuracies are told.
    """

    accuracy: float
    seconds: float | None = None
    right: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Row:
    """A line of a table. cells: without spaces around them. number: of the line, from 1 on."""

    number: int
    cells: Sequence[str]


@dataclass(frozen=True)
class Percentage:
    """An accuracy as it is written. line: its number."""

    line: int
    text: str
    value: float

    @property
    def percent(self) -> bool:
        return self.text.endswith("%")


def read_table(path: Path) -> dict[Trial, Told]:
    """What each training came to, in the order of the table.

    One of two tables: a row a training, with the columns level, seed, accuracy, and seconds where they are
    known; or a row a test image, with a column a training that is named level/seed, of 0 and 1. Columns are
    parted by commas, semicolons or tabs, decimals by points or commas.
    Raises UsageError where there is no such file, DataError where it is no such table, with the line.
    """
    first, *rows = _rows(_text(path), path) or [Row(1, [])]
    names = [name.casefold() for name in first.cells]
    if all(name in names for name in COLUMNS):
        return _of_trainings(path, names, rows)
    if any(_trial(cell) for cell in first.cells):
        return _of_images(path, first, rows)
    there = "; ".join(first.cells)
    there = f"{there[:SHOWN]}…" if len(there) > SHOWN else there
    lacking = listed([name for name in COLUMNS if name not in names])
    raise DataError(
        f"{path}:{first.number}: expected a line that names the columns {listed(COLUMNS)}; there is no "
        f"{lacking} in {there!r} (or, with a row a test image: columns that are named level/seed)"
    )


def _text(path: Path) -> str:
    """Raises UsageError where there is no file, DataError where it is no text."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a CSV file")
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    if raw.startswith(SPREADSHEETS):
        raise DataError(f"{path} is a spreadsheet: save it as CSV, and name that file")
    if not raw.strip():
        raise DataError(f"{path} is empty")
    try:
        text = raw.decode("utf-16" if raw.startswith(UTF16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        kind = "a binary file" if b"\0" in raw else "not UTF-8"
        raise DataError(f"{path} is {kind}; name a CSV file, saved as UTF-8") from error
    if "\0" in text:
        raise DataError(f"{path} is a binary file; name a CSV file, saved as UTF-8")
    return text


def _rows(text: str, path: Path) -> list[Row]:
    """The lines that hold something. A first line `sep=;`, as Excel writes it, names the delimiter."""
    head = text.split("\n", 1)[0].strip()
    said = re.fullmatch(rf"sep=([{DELIMITERS}])", head, re.IGNORECASE)
    mark = said[1] if said else max(DELIMITERS, key=lambda one: len(next(csv.reader([head], delimiter=one))))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, skipinitialspace=True)
    found = []
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped) and not (said and reader.line_num == 1):
                found.append(Row(reader.line_num, stripped))
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: this is no CSV: {error}") from error
    return found


def _of_trainings(path: Path, names: Sequence[str], rows: Sequence[Row]) -> dict[Trial, Told]:
    wanted = [*COLUMNS, *([SECONDS] if SECONDS in names else [])]
    if twice := [name for name in wanted if names.count(name) > 1]:
        raise DataError(f"{path}: the column {twice[0]} is there twice")
    places = [names.index(name) for name in wanted]
    found: dict[Trial, tuple[Percentage, float | None]] = {}
    for row in rows:
        if len(row.cells) <= max(places):
            told = f"{len(row.cells)} of {len(names)} columns"
            raise DataError(f"{path}:{row.number}: the line has {told}; expected {listed(wanted)}")
        if any(row.cells[len(names) :]):
            raise DataError(
                f"{path}:{row.number}: the line has {len(row.cells)} cells, and the first line names "
                f"{counted(len(names), 'column')}; decimal commas go with semicolons, or in quotes"
            )
        level, seed, accuracy, *seconds = (row.cells[place] for place in places)
        if not level or not seed:
            raise DataError(f"{path}:{row.number}: the {'seed' if level else 'level'} is empty")
        if (level, seed) in found:
            raise DataError(f"{path}:{row.number}: {level} with seed {seed} is there twice")
        time = _number(seconds[0]) if seconds and seconds[0] else None
        if time is not None and not 0 <= time < math.inf:
            raise DataError(f"{path}:{row.number}: {seconds[0]!r} is no number of seconds")
        found[level, seed] = Percentage(row.number, accuracy, _number(accuracy.rstrip("%"))), time
    scale = _scale(path, [accuracy for accuracy, _ in found.values()])
    return {key: Told(accuracy.value / scale, time) for key, (accuracy, time) in found.items()}


def _number(text: str) -> float:
    """NaN where it is none. A comma parts decimals: spreadsheets of many countries write 0,5."""
    bare = text.strip()
    return float(bare.replace(",", ".")) if NUMBER.fullmatch(bare) else math.nan


def _scale(path: Path, accuracies: Sequence[Percentage]) -> int:
    """100 where accuracies are percentages, else 1. Raises DataError where they are no accuracies."""

    def refuse(wrong: Callable[[Percentage], bool], why: str) -> None:
        for one in accuracies:
            if wrong(one):
                raise DataError(f"{path}:{one.line}: " + why.format(repr(one.text)))

    refuse(lambda one: math.isnan(one.value), "{} is no accuracy; measure it, or leave the line out")
    signed = any(one.percent for one in accuracies)
    if signed:
        refuse(lambda one: not one.percent, "{} has no %, and other accuracies have one")
    scale = 100 if signed or any(one.value > 1 for one in accuracies) else 1
    refuse(lambda one: not 0 <= one.value <= scale, "an accuracy is 0 to 1, or 0 to 100 %, and {} is not")
    if scale == 100 and not signed:
        refuse(lambda one: 0 < one.value <= 1, "{} is a fraction, and other accuracies are percentages")
    return scale


def _of_images(path: Path, first: Row, rows: Sequence[Row]) -> dict[Trial, Told]:
    columns = dict(_trial_columns(path, first))
    if not rows:
        raise DataError(f"{path} names trainings, and holds no image")
    right = np.zeros((len(columns), len(rows)), bool)
    for image, row in enumerate(rows):
        if len(row.cells) != len(first.cells):
            told = f"{len(row.cells)} columns, and the first line {len(first.cells)}"
            raise DataError(f"{path}:{row.number}: the line has {told}")
        for training, place in enumerate(columns.values()):
            cell = RIGHT.get(row.cells[place].casefold())
            if cell is None:
                wrong = f"{row.cells[place]!r} in the column {first.cells[place]}"
                raise DataError(f"{path}:{row.number}: {wrong} is neither 1, right, nor 0, wrong")
            right[training, image] = cell
    return {
        trial: Told(float(of_trial.mean()), right=of_trial)
        for trial, of_trial in zip(columns, right, strict=True)
    }


def _trial_columns(path: Path, first: Row) -> Iterator[tuple[Trial, int]]:
    """The place of each training's column."""
    seen = set()
    for place, cell in enumerate(first.cells):
        if trial := _trial(cell):
            if trial in seen:
                raise DataError(f"{path}: the column {cell} is there twice")
            seen.add(trial)
            yield trial, place
        elif cell.casefold() not in OF_IMAGES:
            raise DataError(
                f"{path}: the column {cell!r} is named neither level/seed, as others are, nor image or truth"
            )


def _trial(name: str) -> Trial | None:
    """The level and the seed that a column is named by; a level may hold a `/` itself."""
    level, _, seed = (part.strip() for part in name.rpartition("/"))
    return (level, seed) if level and seed else None
