"""`cnnkit judge`: a verdict on accuracies that other programs have measured."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from cnnkit.cli.completion import complete_folder
from cnnkit.cli.options import JsonOption, print_json

FORMS = """
A row a training (seconds, of training, may be left out):

    level,seed,accuracy,seconds
    sgd,0,0.912,31.5
    adam,0,0.919,30.1

A row a test image, a column a training, named level/seed; 1 is right, 0 wrong:

    image,sgd/0,adam/0,sgd/1,adam/1
    cat-1.png,1,1,0,1

Only this one tells whether other test images would come out alike.

Accuracies may all be percentages. Semicolons, tabs and decimal commas are fine.
"""


def judge_command(
    table: Annotated[
        Path,
        typer.Argument(
            metavar="TABLE",
            help="CSV file: a row a training, or a row a test image; see below.",
            show_default=False,
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
    """Say which differences are real in what other programs measured."""
    from cnnkit.api.judge import judge
    from cnnkit.api.progress import say
    from cnnkit.cli import console
    from cnnkit.cli.console_compare import print_comparison

    results = judge(table, margin, out)
    for warning in results.warnings:
        console.print_warning(warning)
    if as_json:
        print_json(results.to_dict())
        return
    print_comparison(results)
    if out is not None:
        say(console.out, f"to look at: cnnkit report {shlex.quote(str(out))}")
