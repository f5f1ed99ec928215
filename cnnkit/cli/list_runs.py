"""`cnnkit runs`: the runs and studies of a folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cnnkit.cli.completion import complete_column, complete_folder, complete_set
from cnnkit.cli.options import JsonOption, csv_option, print_json
from cnnkit.filenames import RUNS

if TYPE_CHECKING:
    from cnnkit.comparison.kept_runs import KeptRun


def runs_command(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="Where they lie, however deep.", autocompletion=complete_folder
        ),
    ] = RUNS,
    filters: Annotated[
        list[str],
        typer.Option(
            "--filter",
            metavar="KEY=VALUE",
            help="Only those with this value in their configuration; repeatable.",
            autocompletion=complete_set,
        ),
    ] = [],  # noqa: B006
    by: Annotated[
        str,
        typer.Option(
            "--sort",
            metavar="NAME",
            help="Sort by this column, such as accuracy.",
            autocompletion=complete_column,
        ),
    ] = "date",
    table: Annotated[Path | None, csv_option("List them")] = None,
    as_json: JsonOption = False,
) -> None:
    """List runs and studies: what they were trained on, and what they came to."""
    from cnnkit.comparison.kept_runs import kept_runs, table_of
    from cnnkit.tables import refuse_taken_table

    if table is not None:
        refuse_taken_table(table)
    runs = kept_runs(folder, filters, by)
    if table is not None:
        table_of(runs).write(table)
    if as_json:
        print_json({"runs": [run.to_dict() for run in runs], **({"csv": str(table)} if table else {})})
    else:
        _show(runs, folder, table)


def _show(runs: "list[KeptRun]", folder: Path, table: Path | None) -> None:
    from cnnkit.api.progress import say
    from cnnkit.cli.console import make_table, out, print_table
    from cnnkit.words import visible

    if not runs:
        say(out, f"no run or study in {folder}")
    else:
        shown = make_table("name", "state", "accuracy", "seconds", "date", "data", "strategy")
        for run in runs:
            accuracy = "·" if run.accuracy is None else f"{run.accuracy:.2%}"
            seconds = "·" if run.seconds is None else f"{run.seconds:,.1f}"
            texts = [visible(text) for text in (run.data, run.strategy)]
            shown.add_row(visible(run.name), run.state, accuracy, seconds, run.date, *texts)
        print_table(shown)
    if table is not None:
        say(out, f"as a table: {table}")
