"""A table of images (CSV or TSV) → rows: one line an image, the columns found by their names."""

import csv
import io
import os
import posixpath
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from cnnkit.errors import SourceError
from cnnkit.families.table_columns import GROUP_COLUMNS, LABEL_COLUMNS, PATH_COLUMNS, SPLIT_COLUMNS
from cnnkit.listing.names import (
    IMAGE_ENDINGS,
    MOST_IMAGES,
    SPLIT_NAMES,
    TRAIN,
    ending,
    nfc,
    shown,
    some,
    split_of,
)
from cnnkit.listing.records import Rows, Tree, joined
from cnnkit.words import counted

DELIMITERS = ",\t;|"
MOST_COLUMNS = 1_000
LARGEST_TABLE = 1 << 29  # bytes
LARGEST_HEADER = 1 << 20  # characters
SHOWN_FAULTS = 10


class NoTable(SourceError):
    """A file is no table of images: not one line of it was taken."""


@dataclass(frozen=True)
class Columns:
    """Where the columns stand, counted from 0; None where a table has no such column."""

    path: int
    label: int
    split: int | None
    group: int | None
    delimiter: str
    number: int
    warnings: tuple[str, ...]


def text_of(tree: Tree, table: str, name: str) -> str:
    """Raises NoTable where a table is not UTF-8, holds no text, or is too large."""
    size = (tree.find(table) or (0, 0))[0]
    if size > LARGEST_TABLE:
        raise NoTable(f"{name} is {size:,} bytes large; a table has at most {LARGEST_TABLE:,}")
    data = tree.read(table)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise NoTable(f"{name} is in UTF-16; save it as UTF-8")
    if (zero := data.find(b"\0")) >= 0:
        raise NoTable(f"{name} is no text: a zero byte in line {_line(data, zero)}; save it as CSV in UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = _line(data, error.start)
        raise NoTable(f"{name} is not in UTF-8, see line {line}; save it as CSV in UTF-8") from error


def _line(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1


def columns_of(text: str, name: str) -> Columns:
    """The columns by the names in the first line. Raises NoTable where they are not found."""
    header = re.split("[\r\n]", text.lstrip("\r\n"), maxsplit=1)[0]
    if len(header) > LARGEST_HEADER:
        raise NoTable(f"{name}: line 1 has {len(header):,} characters; it must name the columns")
    cells: list[str] = []
    for delimiter in DELIMITERS:
        cells = _cells(header, delimiter)
        names = [cell.strip().casefold().replace(" ", "_").replace("-", "_") for cell in cells]
        if len(names) <= MOST_COLUMNS and any(n in PATH_COLUMNS for n in names) and len(names) > 1:
            break
    else:
        if header.count(",") >= MOST_COLUMNS:
            raise NoTable(f"{name} has {header.count(',') + 1:,} columns; {MOST_COLUMNS:,} are the most")
        raise NoTable(
            f"{name}: line 1 ({shown(header) or 'empty'}) names no column of paths; "
            f"call it {PATH_COLUMNS[0]} (or {some(PATH_COLUMNS[1:], 99)})"
        )
    warnings: list[str] = []
    label = _column(names, LABEL_COLUMNS, name, warnings)
    if label is None:
        raise NoTable(
            f"{name}: line 1 ({shown(header)}) names no column of labels; "
            f"call it {LABEL_COLUMNS[0]} (or {some(LABEL_COLUMNS[1:], 99)})"
        )
    path = _column(names, PATH_COLUMNS, name, warnings)
    split, group = (_column(names, known, name, warnings) for known in (SPLIT_COLUMNS, GROUP_COLUMNS))
    assert path is not None
    return Columns(path, label, split, group, delimiter, len(names), tuple(warnings))


def _cells(header: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([header], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:  # a cell that is too long
        return []


def _column(names: list[str], known: tuple[str, ...], name: str, warnings: list[str]) -> int | None:
    """The first of the known names that a column has."""
    found = [each for each in known if each in names]
    if not found:
        return None
    if names.count(found[0]) > 1:
        raise NoTable(f"{name} has {names.count(found[0])} columns {found[0]}; leave one")
    if len(found) > 1:
        warnings.append(f"{name}: the column {found[0]} is read; {some(found[1:])} is not.")
    return names.index(found[0])


class Faults:
    """What is wrong in a table, by line: all is counted, the first are told."""

    def __init__(self) -> None:
        self.number = 0
        self.first: list[str] = []

    def note(self, line: int, words: str) -> None:
        self.number += 1
        if len(self.first) < SHOWN_FAULTS:
            self.first.append(f"line {line} {words}")

    def told(self, name: str, what: str, remedy: str) -> None:
        if self.number:
            more = self.number - len(self.first)
            told = ", ".join(self.first) + (f" and {more:,} more" if more else "")
            raise SourceError(f"{name}: {what} ({self.number:,}): {told}; {remedy}")


def rows_of(tree: Tree, table: str, text: str, columns: Columns, name: str) -> Rows:
    """The images that a table names. table: its path in the tree. Paths are below the table's folder.

    Raises SourceError with the lines that are wrong, or whose files are missing.
    """
    folder = posixpath.dirname(table)
    rows = Rows("table", frozenset(), warnings=list(columns.warnings))
    rows.groups = None if columns.group is None else []
    wrong, missing, repeated = Faults(), Faults(), Faults()
    seen: dict[str, tuple[int, tuple[str, int, str]]] = {}
    for line, cells in _lines(text, columns, name, wrong):
        cell = cells[columns.path]
        label = cells[columns.label]
        split = TRAIN if columns.split is None else split_of(cells[columns.split])
        group = "" if columns.group is None else cells[columns.group]
        fault = _fault(cells, columns, split)
        if fault or split is None:
            wrong.note(line, fault)
            continue
        path, found = _file(tree, folder, cell)
        if found is None:
            missing.note(line, shown(cell))
            continue
        line_before, told_before = seen.setdefault(path, (line, (label, split, group)))
        if line_before != line:
            if told_before != (label, split, group):
                wrong.note(line, f"contradicts line {line_before} about {shown(cell)}")
            repeated.note(line, shown(cell))
            continue
        rows.paths.append(path)
        rows.sizes.append(found[0])
        rows.changed.append(found[1])
        rows.names.append(label)
        rows.splits.append(split)
        if rows.groups is not None:
            rows.groups.append(group)
    wrong.told(name, "lines are wrong", "correct them")
    missing.told(name, "files are missing", _remedy(tree, folder, missing))
    if repeated.number:
        number = counted(repeated.number, "line")
        rows.warnings.append(
            f"{number} of {name} told again of an image, {repeated.first[0]}, which counts once."
        )
    rows.own_splits = frozenset(rows.splits)
    return rows


def _lines(text: str, columns: Columns, name: str, wrong: Faults) -> Iterator[tuple[int, list[str]]]:
    """(number of the line, stripped cells) of each line after the header that is not blank."""
    file = io.StringIO(text, newline="")
    reader = csv.reader(file, delimiter=columns.delimiter, skipinitialspace=True, strict=True)
    needed = max(c for c in (columns.path, columns.label, columns.split, columns.group) if c is not None)
    line, header, number = 1, True, 0
    try:
        for cells in reader:
            first, line = line, reader.line_num + 1
            if not any(cells) or not any(cell.strip() for cell in cells):
                continue
            if header:
                header = False
                continue
            number += 1
            if number > MOST_IMAGES:
                raise SourceError(f"{name} has more than {MOST_IMAGES:,} lines; take fewer images")
            if len(cells) <= needed or any(cell.strip() for cell in cells[columns.number :]):
                wrong.note(first, f"has {counted(len(cells), 'cell')}, line 1 {columns.number:,}")
                continue
            yield first, [cell.strip() for cell in cells[: columns.number]]
    except csv.Error as error:
        raise SourceError(f"{name}: line {line} cannot be read: {error}; is a quote not closed?") from error


def _fault(cells: list[str], columns: Columns, split: int | None) -> str:
    """What is wrong with one line; empty where nothing is."""
    if not cells[columns.path]:
        return "names no file"
    if not cells[columns.label]:
        return f"gives {shown(cells[columns.path])} no label"
    if columns.group is not None and not cells[columns.group]:
        return f"gives {shown(cells[columns.path])} no group"
    if columns.split is not None and split is None:
        known = ", ".join(name for name in SPLIT_NAMES if not name.endswith("set"))
        return f"has the split {shown(cells[columns.split]) or '(empty)'} (known: {known})"
    kind = ending(posixpath.basename(cells[columns.path]))
    return f"names {shown(cells[columns.path])}, no image by its ending" if kind not in IMAGE_ENDINGS else ""


def _file(tree: Tree, folder: str, cell: str) -> tuple[str, tuple[int, int] | None]:
    """(path in the tree, (bytes, nanoseconds)), or None where it is missing. `\\` may stand for `/`.

    A letter with a mark has two Unicode forms: systems differ in which one a file's name has.
    """
    written = (cell, cell.replace("\\", "/"), nfc(cell), unicodedata.normalize("NFD", cell))
    for path in dict.fromkeys(written):
        place = posixpath.normpath(posixpath.join(folder, path))
        if place.startswith(("/", "../")) or os.path.isabs(path):  # noqa: PTH117
            if tree.container != "folder":
                continue  # an archive names nothing outside
            place = os.path.normpath(os.path.join(tree.base, path))  # noqa: PTH118
            place = place.removeprefix(tree.base.rstrip(os.sep) + os.sep)
        if (found := tree.find(place)) is not None:
            return place, found
    return cell, None


def _remedy(tree: Tree, folder: str, missing: Faults) -> str:
    """Where the first missing file lies, if it lies in a folder beside the table."""
    if missing.first:
        cell = missing.first[0].split(" ", 2)[2]
        for other in sorted(tree.folders or _folders_in(tree.base)):
            if other and tree.find(joined(other, cell)) is not None:
                path = posixpath.relpath(joined(other, cell), folder or ".")
                return f"paths begin at the table's folder: {shown(path)}"
    return "paths begin at the table's folder"


def _folders_in(base: str) -> list[str]:
    """The names of the folders beside a table that is the source itself."""
    with os.scandir(base) as entries:
        return [entry.name for entry in entries if entry.is_dir()]
