"""Tables with a row for each image, run or trial: CSV files, Parquet files, pandas frames."""

import csv
import importlib.util
import io
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from cnnkit.errors import UsageError
from cnnkit.files import UNKNOWN_BYTES, written_aside

PARQUET = ".parquet"
DIGITS = 7  # significant digits of a probability in a CSV: as many as float32 has
ROWS_AT_ONCE = 10_000  # that a Parquet file keeps together


@dataclass(frozen=True)
class Column:
    """kind: str, int or float. A cell may also be None: unknown."""

    name: str
    kind: type


@dataclass(frozen=True)
class Table:
    """rows: a value for each column; they are computed while the table is written."""

    columns: Sequence[Column]
    rows: Iterable[Sequence[Any]]

    def write(self, path: str | Path, anew: bool = False) -> None:
        """Writes Parquet where the name ends so, else CSV: UTF-8, with every text in quotes.

        anew: it takes the place of a file. The file is whole or not there. Raises UsageError as
        `refuse_taken_table` does.
        """
        path = Path(path)
        if not anew:
            refuse_taken_table(path)
        with written_aside(path) as file:
            (_write_parquet if is_parquet(path) else _write_csv)(self, file)

    def frame(self) -> Any:
        """The same as a pandas DataFrame; an unknown cell is missing. Raises UsageError without pandas."""
        try:
            import pandas
        except ImportError as error:
            raise UsageError(
                "a frame needs pandas: pip install pandas; a CSV file can be written without"
            ) from error
        return pandas.DataFrame(list(self.rows), columns=[column.name for column in self.columns])


def is_parquet(path: Path) -> bool:
    return path.suffix.lower() == PARQUET


def refuse_taken_table(path: Path) -> None:
    """Raises UsageError where a file would be overwritten, or Parquet cannot be written."""
    if path.is_symlink() or path.exists():
        raise UsageError(f"{path} is there already; name another file, or remove it")
    if is_parquet(path) and importlib.util.find_spec("pyarrow") is None:
        raise UsageError(
            f"{path}: Parquet needs pyarrow: pip install pyarrow, or name a file that ends in .csv"
        )


def columns_after(first: Sequence[Column], names: Iterable[str], kind: type) -> list[Column]:
    """The first columns, then one for each name; `answer (2)` where another column is called `answer`."""
    columns = list(first)
    for name in names:
        taken = {column.name for column in columns}
        others = (f"{name} ({number})" for number in itertools.count(2))
        free = name if name not in taken else next(other for other in others if other not in taken)
        columns.append(Column(free, kind))
    return columns


def _write_csv(table: Table, file: BinaryIO) -> None:
    text = io.TextIOWrapper(file, "utf-8", UNKNOWN_BYTES, newline="", write_through=True)
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(column.name for column in table.columns)
    for row in table.rows:
        writer.writerow(_short(cell) for cell in row)
    text.detach()


def _short(cell: Any) -> Any:
    if cell is None:
        return ""
    return float(f"{cell:.{DIGITS}g}") if isinstance(cell, float) else cell


def _write_parquet(table: Table, file: BinaryIO) -> None:
    import pyarrow
    import pyarrow.parquet

    kinds = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64()}
    schema = pyarrow.schema([(column.name, kinds[column.kind]) for column in table.columns])
    with pyarrow.parquet.ParquetWriter(file, schema) as writer:
        for rows in _parts(table.rows):
            cells = [[_in_unicode(cell) for cell in column] for column in zip(*rows, strict=True)]
            arrays = [pyarrow.array(column, field.type) for column, field in zip(cells, schema, strict=True)]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))


def _parts(rows: Iterable[Sequence[Any]]) -> Iterator[list[Sequence[Any]]]:
    rows = iter(rows)
    while part := list(itertools.islice(rows, ROWS_AT_ONCE)):
        yield part


def _in_unicode(cell: Any) -> Any:
    """A name that is not UTF-8 is written as in a CSV."""
    return cell.encode("utf-8", UNKNOWN_BYTES).decode() if isinstance(cell, str) else cell
