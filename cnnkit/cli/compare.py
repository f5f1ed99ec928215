"""`cnnkit compare` and `cnnkit compare-pooling`: which choice wins, by how much, and is it real."""

import time
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnkit.cli.config import CONFIG_OPTION, SetOption, print_json
from cnnkit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnnkit.comparison.runner import Executor
    from cnnkit.comparison.study import Study
    from cnnkit.config.schema import Config


class Where(str, Enum):
    stages = "stages"
    head = "head"


class Matched(str, Enum):
    none = "none"
    parameters = "parameters"
    macs = "macs"


class ExecutorName(str, Enum):
    local = "local"
    ray = "ray"


SEEDS, MARGIN = 10, 0.1
KEY_OF = {Where.stages: "model.pooling", Where.head: "model.head"}
ALL_OF = {Where.stages: "stride,max,avg,concat", Where.head: "avg,max,concat,flatten"}

ConfigOption = Annotated[str | None, CONFIG_OPTION]
SeedsOption = Annotated[
    int | None, typer.Option(help="Trainings of each, under seeds that follow on.", show_default=str(SEEDS))
]
MatchOption = Annotated[
    Matched | None,
    typer.Option(help="Scale the channels until all cost what the first does.", show_default="none"),
]
MarginOption = Annotated[
    float | None,
    typer.Option(
        help="Percentage points up to which a difference counts for nothing.", show_default=str(MARGIN)
    ),
]
WorkersOption = Annotated[
    str,
    typer.Option(metavar="N", help="Trials side by side; auto: one a core, or on CUDA the seeds as one."),
]
ExecutorOption = Annotated[ExecutorName, typer.Option(help="Where trials run.")]
RayAddressOption = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Of the Ray cluster; without it $RAY_ADDRESS, or a new one."),
]
OutOption = Annotated[
    Path | None,
    typer.Option(help="Folder of the study, without it runs/compare-<config>-<time>; what it holds is kept."),
]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on with the study in --out as planned.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print results.json, alone, on standard output.")]


@dataclass(frozen=True)
class Request:
    """What both commands take. Options that are None are the study's own, or the defaults."""

    config: str | None
    overrides: list[str]
    seeds: int | None
    match: Matched | None
    margin: float | None
    workers: str
    executor: ExecutorName
    ray_address: str | None
    out: Path | None
    resume: bool
    as_json: bool


def compare_command(
    config: ConfigOption = None,
    vary: Annotated[
        str | None,
        typer.Option(metavar="KEY=A,B,…", help="A key and its values, such as model.dropout=0,0.25,0.5."),
    ] = None,
    overrides: SetOption = [],  # noqa: B006
    seeds: SeedsOption = None,
    match: MatchOption = None,
    margin: MarginOption = None,
    workers: WorkersOption = "auto",
    executor: ExecutorOption = ExecutorName.local,
    ray_address: RayAddressOption = None,
    out: OutOption = None,
    resume: ResumeOption = False,
    verify: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Compute a study's results.json again, and compare.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare values of any key over several seeds: which wins, by how much, and is it real?"""
    if verify is not None:
        _verify(verify, as_json)
        return
    request = Request(
        config, overrides, seeds, match, margin, workers, executor, ray_address, out, resume, as_json
    )
    if not resume and vary is None:
        raise UsageError("name what to compare: --vary KEY=A,B,… such as model.dropout=0,0.25,0.5")
    _compare(request, vary)


def compare_pooling_command(
    config: ConfigOption = None,
    overrides: SetOption = [],  # noqa: B006
    strategies: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Which ones.", show_default="all four")
    ] = None,
    where: Annotated[Where, typer.Option(help="In each stage, or at the head.")] = Where.stages,
    seeds: SeedsOption = None,
    match: MatchOption = None,
    margin: MarginOption = None,
    workers: WorkersOption = "auto",
    executor: ExecutorOption = ExecutorName.local,
    ray_address: RayAddressOption = None,
    out: OutOption = None,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
) -> None:
    """Tell which pooling wins on your problem, by how much, and whether the difference is real."""
    request = Request(
        config, overrides, seeds, match, margin, workers, executor, ray_address, out, resume, as_json
    )
    values = strategies
    if values is None and not resume:
        values = ALL_OF[where]
    _compare(request, None if values is None else f"{KEY_OF[where]}={values}")


def _compare(request: Request, vary: str | None) -> None:
    """vary: `key=a,b,…`; None: what the study in `--out` compares."""
    if request.resume and request.out is None:
        raise UsageError("--resume goes on with the study in a folder: name it with --out")
    if not request.resume and request.config is None:
        raise UsageError("name the configuration to vary with --config FILE, or --resume --out DIR")
    workers = _workers(request.workers)
    from cnnkit.config.load import load_config

    base = None if request.config is None else load_config(request.config, request.overrides)
    if request.executor is ExecutorName.local:
        from cnnkit.comparison.processes import import_ahead

        import_ahead()
    study = _plan(request, base, vary)
    name = Path(str(request.config)).stem
    folder = request.out or Path("runs") / f"compare-{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    from cnnkit.cli.console_compare import StudyProgress, print_comparison
    from cnnkit.comparison.runner import run_study
    from cnnkit.report.page import write_report

    with _executor(request, study, folder, workers) as executor, StudyProgress() as progress:
        results = run_study(study, folder, executor, progress)
    report = write_report(folder)
    if request.as_json:
        print_json(results)
    else:
        print_comparison(results, str(report))
    if any(trial["error"] for trial in results["trials"]):
        raise typer.Exit(1)


@contextmanager
def _executor(request: Request, study: "Study", folder: Path, workers: int | None) -> "Iterator[Executor]":
    from cnnkit.filenames import TRIALS

    if request.executor is ExecutorName.ray:
        from cnnkit.comparison.on_ray import RayExecutor, ray_cluster

        with ray_cluster(request.ray_address):
            yield RayExecutor(folder / TRIALS)
    elif workers is None and study.base.runtime.device.startswith("cuda"):
        from cnnkit.comparison.on_gpu import StackedExecutor

        yield StackedExecutor(folder / TRIALS)
    else:
        from cnnkit.comparison.local import LocalExecutor

        yield LocalExecutor(folder / TRIALS, workers)


def _plan(request: Request, base: "Config | None", vary: str | None) -> "Study":
    """The study that is asked for; what is not said is as it was planned, or the default."""
    from cnnkit.comparison.study import plan_study, saved_plan

    if request.resume:
        assert request.out is not None
        plan = saved_plan(request.out)
    else:
        plan = {"seeds": SEEDS, "margin": MARGIN, "match": "none"}
    if base is not None:
        plan["base"] = base
    if vary is not None:
        plan["key"], plan["values"] = _factor(vary)
    for name in ("seeds", "margin", "match"):
        if (given := getattr(request, name)) is not None:
            plan[name] = given.value if isinstance(given, Enum) else given
    return plan_study(**plan)


def _factor(vary: str) -> tuple[str, list[Any]]:
    """`model.dropout=0,0.25` -> its key, and the values that YAML reads there."""
    from cnnkit.config.yaml_tree import read_flow_list

    key, equals, values = vary.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--vary {vary}: expected KEY=A,B,… such as model.dropout=0,0.25,0.5")
    return key.strip(), read_flow_list(values, f"--vary {vary}")


def _workers(text: str) -> int | None:
    """None: as many as the machine has cores for."""
    if text == "auto":
        return None
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise UsageError(f"--workers {text}: expected auto, or a number of 1 or more")
    return int(text)


def _verify(folder: Path, as_json: bool) -> None:
    from cnnkit.comparison.results import verify
    from cnnkit.filenames import RESULTS

    results = verify(folder)
    if as_json:
        print_json(results)
    else:
        finished = sum(trial["error"] is None for trial in results["trials"])
        typer.echo(f"{folder / RESULTS}: all of it comes out again from the files of {finished} trials")
