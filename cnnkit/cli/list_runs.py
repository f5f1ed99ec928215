"""`cnnkit runs`: the runs and studies of a folder, two of them side by side, and what is to be deleted."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from cnnkit.cli.command import App
from cnnkit.cli.completion import complete_column, complete_run_or_study, complete_set
from cnnkit.cli.options import JsonOption, csv_option, print_json
from cnnkit.errors import UsageError
from cnnkit.filenames import RUNS

if TYPE_CHECKING:
    from cnnkit.comparison.kept_runs import KeptRun
    from cnnkit.comparison.two_runs import SideBySide


class ListsByDefault(TyperGroup):
    """`cnnkit runs …` is `cnnkit runs list …` where the first word is no command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        named = args[:1] and args[0] in (*self.commands, "--help")
        completing = ctx.resilient_parsing and not args
        return super().parse_args(ctx, args if named or completing else ["list", *args])

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """The commands, and the runs and studies that the first word may name."""
        listing = self.commands["list"]
        folders = listing.params[0].shell_complete(ctx, incomplete)
        return [*super().shell_complete(ctx, incomplete), *folders]


runs_app = App(
    cls=ListsByDefault,
    help="Runs and studies: `cnnkit runs [FOLDER]` lists them, `cnnkit runs A B` compares two.",
)


@runs_app.command("list")
def list_command(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FOLDER | A B]",
            help="Where they lie, however deep; or two runs, or two studies, to see side by side.",
            autocompletion=complete_run_or_study,
            show_default="runs",
        ),
    ] = None,
    filters: Annotated[
        list[str],
        typer.Option(
            "--filter",
            metavar="KEY=VALUE",
            help="Only those that train with this value; repeatable.",
            autocompletion=complete_set,
        ),
    ] = [],  # noqa: B006
    by: Annotated[
        str | None,
        typer.Option(
            "--sort",
            metavar="NAME",
            help="Sort by this column, such as accuracy.",
            autocompletion=complete_column,
            show_default="date",
        ),
    ] = None,
    table: Annotated[Path | None, csv_option("List what is shown")] = None,
    as_json: JsonOption = False,
) -> None:
    """List runs and studies, and what they came to; of two show what differs."""
    from cnnkit.tables import refuse_taken_table

    named = folders or [RUNS]
    if len(named) > 2:
        raise UsageError(f"{len(named)} are named: name one folder to list it, or two runs to compare them")
    if len(named) == 2 and (filters or by is not None):
        option = "--filter" if filters else "--sort"
        raise UsageError(f"{option} does not go with two runs: both are shown; leave out {option}")
    if table is not None:
        refuse_taken_table(table)
    if len(named) == 2:
        _compare(named[0], named[1], table, as_json)
    else:
        _list(named[0], filters, by or "date", table, as_json)


@runs_app.command("delete")
def delete_command(
    names: Annotated[
        list[Path],
        typer.Argument(
            metavar="NAME...",
            help="Runs and studies: their paths, or their names in runs/.",
            autocompletion=complete_run_or_study,
            show_default=False,
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")] = False,
) -> None:
    """Delete runs and studies for good; asks first. What cnnkit did not write into them stays."""
    from cnnkit.api.progress import err, print_note, say
    from cnnkit.cli.console import out
    from cnnkit.comparison.deleting import delete_kept, refuse_undeletable
    from cnnkit.events import Note
    from cnnkit.experiment.latest import latest_mended
    from cnnkit.words import listed

    chosen = list({path.resolve(): path for path in map(refuse_undeletable, names)}.values())
    if not yes:
        _show_what_goes(chosen)
        if not (sys.stdin.isatty() and err.is_terminal):
            raise UsageError("nobody can answer here, and nothing is deleted; --yes deletes without asking")
        typer.confirm("delete for good?", abort=True, err=True)
    with latest_mended():
        for path in chosen:
            left = delete_kept(path)
            say(out, f"deleted: {path}")
            if left:
                print_note(Note(f"{path} stays, with what cnnkit did not write: {listed(left)}"))


def _show_what_goes(chosen: Sequence[Path]) -> None:
    from cnnkit.api.progress import err, say
    from cnnkit.comparison.deleting import size_of
    from cnnkit.comparison.kept_runs import kept_run

    for path in chosen:
        run = kept_run(path, str(path))
        accuracy = "" if run.accuracy is None else f", {run.accuracy:.2%}"
        what = f"{run.kind}, {run.state}{accuracy}, {run.date}, {size_of(path) / 1e6:,.1f} MB"
        say(err, f"{run.name}: {what}", hang=4)


def _list(folder: Path, filters: Sequence[str], by: str, table: Path | None, as_json: bool) -> None:
    from cnnkit.comparison.kept_runs import kept_runs, table_of

    runs = kept_runs(folder, filters, by)
    if table is not None:
        table_of(runs).write(table)
    if as_json:
        print_json({"runs": [run.to_dict() for run in runs], **({"csv": str(table)} if table else {})})
    else:
        _show(runs, f"no run or study in {folder}{' fits' if filters else ''}", table)


def _compare(first: Path, second: Path, table: Path | None, as_json: bool) -> None:
    from cnnkit.cli.console_runs import print_side_by_side
    from cnnkit.comparison.kept_runs import named_run
    from cnnkit.comparison.two_runs import side_by_side

    found: SideBySide = side_by_side(named_run(first), named_run(second))
    if table is not None:
        found.table().write(table)
    if as_json:
        print_json({**found.to_dict(), **({"csv": str(table)} if table else {})})
    else:
        print_side_by_side(found)
        _told_of(table)


def _show(runs: "list[KeptRun]", none: str, table: Path | None) -> None:
    """none: what is said where there is no run."""
    from cnnkit.api.progress import say
    from cnnkit.cli.console import make_table, out, print_table
    from cnnkit.words import in_one_line

    if not runs:
        say(out, none)
    else:
        shown = make_table("name", "state", "accuracy", "seconds", "date", "data", "strategy")
        for run in runs:
            accuracy = "·" if run.accuracy is None else f"{run.accuracy:.2%}"
            seconds = "·" if run.seconds is None else f"{run.seconds:,.1f}"
            name, *texts = (in_one_line(text) for text in (run.name, run.data, run.strategy))
            shown.add_row(name, run.state, accuracy, seconds, run.date, *texts)
        print_table(shown)
    for run in runs:
        if run.reason:
            say(out, f"{in_one_line(run.name)}: {run.reason}", "yellow", hang=4)
    _told_of(table)


def _told_of(table: Path | None) -> None:
    from cnnkit.api.progress import say
    from cnnkit.cli.console import out

    if table is not None:
        say(out, f"as a table: {table}")
