"""The options that `cnnkit compare` and `cnnkit compare-pooling` share."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from cnnkit.cli.completion import complete_study_or_folder, complete_tuned_keys
from cnnkit.cli.options import (
    ConfigArgument,
    ConfigOption,
    RootOption,
    SetOption,
    TrackOption,
    TrustOption,
    YesOption,
)


class Matched(str, Enum):
    none = "none"
    parameters = "parameters"
    macs = "macs"


class Metric(str, Enum):
    accuracy = "accuracy"
    balanced_accuracy = "balanced_accuracy"
    macro_f1 = "macro_f1"


class ExecutorName(str, Enum):
    local = "local"
    ray = "ray"


@dataclass(frozen=True)
class Request:
    """The options of both comparisons. One that is None is the study's own, or the default."""

    named: ConfigArgument = None
    config: ConfigOption = None
    overrides: SetOption = field(default_factory=list)
    seeds: Annotated[
        int | None,
        typer.Option(
            help="Exactly so many trainings of each value.", show_default="as many as it takes to decide"
        ),
    ] = None
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="K/N",
            help="Train only the K-th of N shares of the trials; compare --merge joins them.",
            show_default="all",
        ),
    ] = None
    min_seeds: Annotated[
        int | None,
        typer.Option(metavar="N", help="Decide nothing before so many seeds.", show_default="3, or K"),
    ] = None
    max_seeds: Annotated[
        int | None,
        typer.Option(metavar="N", help="End after so many, decided or not.", show_default="40"),
    ] = None
    match: Annotated[
        Matched | None,
        typer.Option(
            metavar="WHAT",
            help="Scale the channels until all have as many as the first: parameters or macs (or none).",
            show_default="none",
        ),
    ] = None
    metric: Annotated[
        Metric | None,
        typer.Option(
            metavar="NAME",
            help="What decides: accuracy, balanced_accuracy or macro_f1.",
            show_default="accuracy",
        ),
    ] = None
    margin: Annotated[
        float | None,
        typer.Option(
            help="Differences of up to so many percentage points count as none.",
            show_default="0.1, or two test images",
        ),
    ] = None
    tune: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="First choose each value's settings: the best of N, on validation images.",
            show_default="no tuning",
        ),
    ] = None
    tune_keys: Annotated[
        str | None,
        typer.Option(
            metavar="KEY,KEY,…",
            help="What to tune.",
            autocompletion=complete_tuned_keys,
            show_default="the learning rate",
        ),
    ] = None
    folds: Annotated[
        int | None,
        typer.Option(
            metavar="K", help="Test each seed on another fold of all images.", show_default="the test split"
        ),
    ] = None
    resample_test: Annotated[
        bool, typer.Option("--resample-test", help="Test each seed on images that it draws from all.")
    ] = False
    workers: Annotated[
        str,
        typer.Option(
            metavar="N",
            help="Trials at the same time; auto: one per core, or on CUDA all seeds as one.",
        ),
    ] = "auto"
    executor: Annotated[
        ExecutorName, typer.Option(metavar="PLACE", help="Where trials run: local or ray.")
    ] = ExecutorName.local
    ray_address: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="The Ray cluster; without it $RAY_ADDRESS, or a new one."),
    ] = None
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the study; without it a new one below runs/. What it holds is kept.",
            autocompletion=complete_study_or_folder,
        ),
    ] = None
    resume: Annotated[bool, typer.Option("--resume", help="Continue the study in --out as planned.")] = False
    probe: Annotated[
        bool, typer.Option("--probe", help="At the end ask the networks why one wins, as cnnkit probe.")
    ] = False
    root: RootOption = None
    yes: YesOption = False
    trust: TrustOption = False
    track: TrackOption = field(default_factory=list)
    play: Annotated[
        bool, typer.Option("--play", help="Write play.html as well: the networks, to draw for.")
    ] = False
    as_json: Annotated[
        bool, typer.Option("--json", help="Print results.json, alone, on standard output.")
    ] = False


LISTS = ("overrides", "track")  # options that may be given several times


def with_request(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the options of `Request`, which it gets as its first argument."""
    names = {option.name for option in fields(Request)}

    @functools.wraps(command)
    def with_options(**options: Any) -> None:
        request = Request(**{name: options.pop(name) for name in names})
        command(request, **options)

    (named, config, *shared), (_, *own) = (
        inspect.signature(function, eval_str=True).parameters.values() for function in (Request, command)
    )
    parameters = [
        p.replace(kind=p.KEYWORD_ONLY, default=[] if p.name in LISTS else p.default)
        for p in (named, config, *own, *shared)
    ]
    with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = {p.name: p.annotation for p in parameters}
    return with_options
