"""`cnnkit report`: the page that shows a comparison, or a run, drawn again from its files."""

from pathlib import Path
from typing import Annotated

import typer


def report_command(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of a comparison, or a run directory.")
    ],
) -> None:
    """Draw report.html from what a comparison or a run has kept; exit code 1 where some of it is damaged."""
    from cnnkit.cli.console import print_error
    from cnnkit.errors import DamagedFile
    from cnnkit.report.page import write_report

    damaged: list[str] = []
    typer.echo(write_report(folder, lambda note: damaged.append(note.text)))
    for sentence in damaged:
        print_error(DamagedFile(f"{sentence}; the page says so"))
    raise typer.Exit(1 if damaged else 0)
