"""`cnnkit report`: the page that shows a comparison, or a run, drawn again from its files."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cnnkit.cli.completion import complete_run_or_study
from cnnkit.cli.options import RootOption, TrustOption, csv_option
from cnnkit.cli.runs import latest_named
from cnnkit.errors import UsageError
from cnnkit.filenames import CONFIG, OWN

if TYPE_CHECKING:
    from cnnkit.api.run import Run
    from cnnkit.events import NoteListener
    from cnnkit.tables import Table


def report_command(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR",
            help="Folder of a comparison, or a run directory; without it the latest run.",
            autocompletion=complete_run_or_study,
            show_default=False,
        ),
    ] = None,
    table: Annotated[Path | None, csv_option("Of a comparison, list each training")] = None,
    images: Annotated[
        Path | None,
        csv_option(
            "Of a comparison, list each test image and in how many seeds each value is right", "--csv-images"
        ),
    ] = None,
    root: RootOption = None,
    trust: TrustOption = False,
) -> None:
    """Draw report.html from what a comparison or a run has kept; exit code 1 where some of it is damaged."""
    from cnnkit.api.progress import print_note
    from cnnkit.cli.console import print_error, print_path
    from cnnkit.errors import DamagedFile
    from cnnkit.events import NotDrawn, Note
    from cnnkit.experiment.latest import followed
    from cnnkit.report.page import write_report

    notes: list[Note] = []
    chosen = latest_named(print_note) if folder is None else followed(folder)
    _refuse_tables(chosen, table, images)
    if trust:
        _trust(chosen, print_note)
    tables = _tables(chosen, table, images, root)  # first: nothing is drawn where one cannot be had
    print_path(write_report(chosen, notes.append, root))
    for path, rows in tables.items():
        rows.write(path)
        print_path(path)
    damaged = [note for note in notes if not isinstance(note, NotDrawn)]
    for note in notes:
        if note in damaged:
            print_error(DamagedFile(f"{note.text}; the page says so"))
        else:
            print_note(note)
    raise typer.Exit(1 if damaged else 0)


def _trust(folder: Path, notify: "NoteListener") -> None:
    from cnnkit.api.functions import open_run
    from cnnkit.comparison.trusted import trust_kept
    from cnnkit.config.own_code import tell_of_changes

    if (folder / CONFIG).is_file():
        tell_of_changes([open_run(folder, trust=True).config], notify)
    else:
        trust_kept(folder, notify)


def _refuse_tables(folder: Path, table: Path | None, images: Path | None) -> None:
    from cnnkit.tables import refuse_taken_table

    named = [path for path in (table, images) if path is not None]
    for path in named:
        refuse_taken_table(path)
        if (folder / CONFIG).is_file():
            again = f"cnnkit eval {shlex.quote(str(folder))} --csv {shlex.quote(str(path))}"
            raise UsageError(f"{folder} is a run, and these tables are of a comparison; use {again}")
    if len(named) == 2 and named[0].absolute() == named[1].absolute():
        raise UsageError(f"{table} is named twice, as --csv and as --csv-images; name two files")


def _tables(folder: Path, table: Path | None, images: Path | None, root: Path | None) -> "dict[Path, Table]":
    """Those that are asked for, by their files."""
    from cnnkit.api.progress import print_note
    from cnnkit.api.study import Study
    from cnnkit.report.right import right_table

    found = {} if table is None else {table: Study(folder).trials()}
    return found if images is None else {**found, images: right_table(folder, print_note, root)}


def show_report(run: "Run", wanted: bool, silent: bool) -> None:
    """Writes the report of a run, or says how to see it."""
    from cnnkit.api.progress import err, say
    from cnnkit.cli.console import out

    if wanted:
        say(err if silent else out, f"to look at: {run.report()}")
    elif not silent:
        own = (run.path / OWN).is_dir()
        say(out, f"to look at: cnnkit report {shlex.quote(str(run.path))}" + " --trust" * own)
