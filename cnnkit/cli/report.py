"""`cnnkit report`: the page that shows a comparison, or a run, drawn again from its files."""

from pathlib import Path
from typing import Annotated

import typer

from cnnkit.cli.completion import complete_run_or_study


def report_command(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Folder of a comparison, or a run directory.",
            autocompletion=complete_run_or_study,
        ),
    ],
) -> None:
    """Draw report.html from what a comparison or a run has kept."""
    from cnnkit.experiment.run_dir import followed
    from cnnkit.report.page import write_report

    typer.echo(write_report(followed(folder)))
