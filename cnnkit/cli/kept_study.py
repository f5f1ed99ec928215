"""`cnnkit compare --verify` and `--merge`: what needs no training, only what studies have kept."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cnnkit.cli.options import print_json
from cnnkit.cli.study_options import Request
from cnnkit.errors import UsageError
from cnnkit.words import counted

if TYPE_CHECKING:
    from cnnkit.api.study import Study
    from cnnkit.comparison.records import StudyResults


def merge_shards(folders: list[Path], request: Request) -> None:
    """Joins them in `--out`, prints the verdict and draws the report."""
    if request.named:
        raise UsageError(f"{request.named} does not go with --merge: the shards hold their configuration")
    assert request.out is not None
    from cnnkit.api.functions import merge

    study = merge(folders, request.out)
    results = study.results
    show_results(results, request.as_json)
    draw_report(study, request.as_json)
    if results.failed:
        raise typer.Exit(1)


def show_results(results: "StudyResults", as_json: bool) -> None:
    from cnnkit.cli.console_compare import print_comparison

    if as_json:
        print_json(results.to_dict())
    else:
        print_comparison(results)


def draw_report(study: "Study", as_json: bool) -> Path:
    """Call it after the table, which a drawing error must not hide."""
    from cnnkit.api.progress import say
    from cnnkit.cli.console import out

    report = study.report()
    if not as_json:
        say(out, f"to look at: {report}")
    return report


def verify_study(folder: Path, deep: bool, request: Request) -> None:
    """Computes a study's numbers again, and tells what was checked."""
    if request.root is not None and not deep:
        raise UsageError("--root needs --deep: nothing else of --verify looks at images")
    if request.trust:
        if not deep:
            raise UsageError("--trust needs --deep: nothing else of --verify runs code of a study")
        from cnnkit.api.progress import print_note
        from cnnkit.comparison.trusted import trust_kept

        trust_kept(folder, print_note)
    from cnnkit.api.progress import say
    from cnnkit.cli.console import out
    from cnnkit.comparison.verification import verify
    from cnnkit.filenames import RESULTS

    checked: list[str] = []
    results = verify(folder, deep, checked.append, request.root)
    if request.as_json:
        print_json(results.to_dict())
    else:
        finished = len(results.trials) - len(results.failed)
        files = counted(finished, "trial")
        say(out, f"{folder / RESULTS}: all of it comes out again from the files of {files}")
        for sentence in checked:
            say(out, sentence)
