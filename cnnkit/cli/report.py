"""`cnnkit report`: the page that shows a comparison, or a run, drawn again from its files."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cnnkit.cli.completion import complete_run_or_study
from cnnkit.cli.runs import latest_named

if TYPE_CHECKING:
    from cnnkit.api.run import Run


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
) -> None:
    """Draw report.html from what a comparison or a run has kept; exit code 1 where some of it is damaged."""
    from cnnkit.api.progress import print_note
    from cnnkit.cli.console import print_error, print_path
    from cnnkit.errors import DamagedFile
    from cnnkit.events import NotDrawn, Note
    from cnnkit.experiment.latest import followed
    from cnnkit.report.page import write_report

    notes: list[Note] = []
    print_path(write_report(latest_named(print_note) if folder is None else followed(folder), notes.append))
    damaged = [note for note in notes if not isinstance(note, NotDrawn)]
    for note in notes:
        if note in damaged:
            print_error(DamagedFile(f"{note.text}; the page says so"))
        else:
            print_note(note)
    raise typer.Exit(1 if damaged else 0)


def show_report(run: "Run", wanted: bool, silent: bool) -> None:
    """Writes the report of a run, or says how to see it."""
    from cnnkit.api.progress import err, say
    from cnnkit.cli.console import out

    if wanted:
        say(err if silent else out, f"to look at: {run.report()}")
    elif not silent:
        say(out, f"to look at: cnnkit report {shlex.quote(str(run.path))}")
