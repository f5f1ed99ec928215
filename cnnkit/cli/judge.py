"""`cnnkit judge`: a verdict on accuracies that other programs have measured."""

from pathlib import Path
from typing import Annotated

import typer

from cnnkit.cli.completion import complete_folder
from cnnkit.cli.options import JsonOption, print_json


def judge_command(
    table: Annotated[
        Path,
        typer.Argument(
            metavar="TABLE", help="CSV file, a row a training: the columns level, seed and accuracy."
        ),
    ],
    margin: Annotated[
        float | None,
        typer.Option(min=0, help="Points up to which a difference counts for nothing.", show_default="0.1"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Keep it there as a study.", autocompletion=complete_folder, show_default="nowhere"
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say which differences are real in accuracies that other programs measured."""
    from cnnkit.api.judge import judge
    from cnnkit.cli.console_compare import print_comparison

    results = judge(table, margin, out)
    if as_json:
        print_json(results.to_dict())
    else:
        print_comparison(results)
