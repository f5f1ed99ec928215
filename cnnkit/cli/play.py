"""`cnnkit play`: a page on which trained networks compute in the browser."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from cnnkit.cli.completion import complete_folder, complete_run_or_study
from cnnkit.cli.options import RootOption
from cnnkit.errors import CnnkitError
from cnnkit.filenames import REPORT


def play_command(
    named: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RUN|STUDY]...",
            help="Run directories or weights files, or one comparison; without any the latest of both.",
            autocompletion=complete_run_or_study,
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The page; without it play.html in the folder of the run or comparison.",
            autocompletion=complete_folder,
        ),
    ] = None,
    root: RootOption = None,
    float32: Annotated[
        bool, typer.Option("--float32", help="Keep weights whole: a page twice as large.")
    ] = False,
    open_it: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
) -> None:
    """Write a page to draw on: your networks answer in the browser, and the lesson is there to touch."""
    from cnnkit.api.progress import print_note
    from cnnkit.cli.console import print_path
    from cnnkit.events import Note
    from cnnkit.play.chosen import latest
    from cnnkit.play.page import write_play
    from cnnkit.report.page import write_report

    paths = list(named or [])
    if not paths:
        paths = [latest()]
        print_note(Note(f"the latest: {paths[0]}"))
    page = write_play(paths, out, float32=float32, notify=print_note, root=root)
    kind, size = "full" if float32 else "half", page.stat().st_size / 1e6
    print_note(Note(f"a page of {size:.1f} MB, weights in {kind} precision; open it in a browser:"))
    print_path(page)
    if out is None and (page.parent / REPORT).is_file():
        write_report(page.parent, root=root)  # which then links to the page
    if open_it and not webbrowser.open(page.resolve().as_uri()):
        print_note(Note(f"no browser could be started; open {page} in one"))


def show_play(folder: Path, silent: bool) -> None:
    """Writes the page of a run or a comparison into its folder, and says where it is, or why it is not."""
    from cnnkit.api.progress import err, print_note, say
    from cnnkit.cli.console import out
    from cnnkit.events import Note
    from cnnkit.play.page import write_play

    try:
        say(err if silent else out, f"to draw on: {write_play([folder], notify=print_note)}")
    except CnnkitError as error:  # the numbers are what counts
        print_note(Note(f"there is no page to draw on: {error}"))
