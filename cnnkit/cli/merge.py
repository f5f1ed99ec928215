"""`cnnkit compare --merge`: the shards of a study become one."""

from pathlib import Path

import typer

from cnnkit.cli.options import print_json
from cnnkit.cli.study_options import Request
from cnnkit.errors import UsageError


def merge_shards(folders: list[Path], request: Request) -> None:
    """Joins them in `--out`, prints the verdict and draws the report."""
    if request.named:
        raise UsageError(f"{request.named} does not go with --merge: the shards hold their configuration")
    assert request.out is not None
    from cnnkit.api.functions import merge
    from cnnkit.api.progress import say
    from cnnkit.cli.console import out
    from cnnkit.cli.console_compare import print_comparison

    study = merge(folders, request.out)
    results = study.results
    if request.as_json:
        print_json(results.to_dict())
    else:
        print_comparison(results)
    report = study.report()
    if not request.as_json:
        say(out, f"to look at: {report}")
    if results.failed:
        raise typer.Exit(1)
