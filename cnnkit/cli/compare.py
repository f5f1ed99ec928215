"""`cnnkit compare` and `cnnkit compare-pooling`: which choice wins, by how much, and is it real."""

import shlex
from contextlib import nullcontext
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnkit.cli.completion import complete_strategies, complete_study
from cnnkit.cli.kept_study import draw_report, merge_shards, show_results, verify_study
from cnnkit.cli.options import (
    VaryOption,
    chosen_config,
    refuse_setting,
    refuse_unused,
)
from cnnkit.cli.planned_study import factors_of, planned
from cnnkit.cli.play import show_play
from cnnkit.cli.study_options import ExecutorName, Request, with_request
from cnnkit.errors import UsageError
from cnnkit.families import heads, poolings
from cnnkit.families.heads import HEADS
from cnnkit.families.poolings import ORDERS, POOLINGS

if TYPE_CHECKING:
    from cnnkit.api.study import Study
    from cnnkit.comparison.study import StudyPlan
    from cnnkit.config.schema import Config


class Where(str, Enum):
    stages = "stages"
    head = "head"


KEY_OF = {Where.stages: "model.pooling", Where.head: "model.head"}
ORDER = "model.order"


ALL = "all"
COMPARED = {"model.pooling": poolings.COMPARED, "model.head": heads.COMPARED}  # where none are named


def all_of(key: str) -> list[str]:
    """Every pooling or head. Heads that pool come first: `--match` takes its budget from the first."""
    if key == KEY_OF[Where.stages]:
        return list(POOLINGS)
    return sorted(HEADS, key=lambda name: HEADS[name].keeps_cells)


@with_request
def compare_command(
    request: Request,
    vary: VaryOption = None,
    verify: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Compute a study's numbers again, and compare.",
            autocompletion=complete_study,
        ),
    ] = None,
    merge: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR…",
            help="Join shards into one study, in --out; trains nothing.",
            autocompletion=complete_study,
        ),
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="With --verify: also evaluate the kept weights again.")
    ] = False,
) -> None:
    """Compare values of any key over several seeds: which wins, by how much, and is it real?

    With several keys every combination is trained, and it is told whether the winner depends on a key.
    """
    if merge:
        merge_shards(merge, request)
        return
    if verify is not None:
        verify_study(verify, deep, request)
        return
    if not request.resume and not vary:
        raise UsageError("name what to compare: --vary KEY=A,B,… such as model.dropout=0,0.25,0.5")
    _compare(request, factors_of(vary or []))


@with_request
def compare_pooling_command(
    request: Request,
    strategies: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,…",
            help="Which poolings or heads; all: all that fit.",
            autocompletion=complete_strategies,
            show_default="four",
        ),
    ] = None,
    where: Annotated[
        Where, typer.Option(metavar="PLACE", help="stages: in each of them; head: at the head.")
    ] = Where.stages,
    orders: Annotated[
        bool, typer.Option("--orders", help="Also vary what comes first, activation or downsampling.")
    ] = False,
) -> None:
    """Tell which pooling wins on your problem, by how much, and whether the difference is real."""
    key = _key_of_kept(request) if request.resume else KEY_OF[where]
    varied: dict[str, list[Any]] = {}
    every = strategies is not None and strategies.strip() == ALL
    if every:
        varied[key] = all_of(key)
    elif strategies is not None:
        from cnnkit.config.yaml_tree import read_flow_list

        varied[key] = read_flow_list(strategies, f"--strategies {strategies}")
        if ALL in varied[key]:
            raise UsageError(
                f"--strategies {strategies}: {ALL} stands alone, for every one; leave out the others"
            )
    elif not request.resume:
        varied[key] = list(COMPARED[key])
    if orders:
        varied[ORDER] = list(ORDERS)
    _compare(request, varied, optional=key if every else "")


def _key_of_kept(request: Request) -> str:
    """Of the study to go on with. Raises UsageError where it compares no poolings."""
    from cnnkit.comparison.study_file import load_study

    assert request.out is not None
    key = next(iter(load_study(request.out).varied))
    if key not in KEY_OF.values():
        again = f"cnnkit compare --resume --out {shlex.quote(str(request.out))}"
        raise UsageError(
            f"the study in {request.out} compares {key}, not poolings; go on with it by: {again}"
        )
    return key


def _without_unfit(request: Request, base: "Config | None", varied: dict[str, list[Any]], key: str) -> None:
    """Takes the values of a key out of `varied` that do not go with the rest, and says so."""
    from cnnkit.api.progress import err, say
    from cnnkit.comparison.levels import refusals
    from cnnkit.comparison.study_file import load_study

    if base is None:
        assert request.out is not None
        base = load_study(request.out).base()
    for value, why in refusals(base, varied, key).items():
        varied[key].remove(value)
        say(err, f"without {value}: {why}")


def _trust(request: Request, varied: dict[str, list[Any]]) -> None:
    """Lets a person's own code run: what the values name, and with `--trust` what the study has kept."""
    from cnnkit.comparison.trusted import trust_kept
    from cnnkit.config.own_code import trust_values

    trust_values(varied)
    if request.trust:
        if request.out is None or not request.resume:
            raise UsageError(
                "--trust needs --resume or --verify: the code that you name yourself runs without it"
            )
        trust_kept(request.out)


def _base(request: Request, source: str | Path) -> "Config":
    """The configuration that all values share."""
    from cnnkit.config.load import load_config, with_own_test_images

    base = load_config(source, request.overrides)
    return with_own_test_images(base, request.folds, request.resample_test)


def _compare(request: Request, varied: dict[str, list[Any]], optional: str = "") -> None:
    """varied: the values of each key; empty: what the study in `--out` compares.

    optional: a key whose values are left out where they do not go with the rest.
    """
    workers = _workers(request.workers)
    config = None if request.resume else chosen_config(request.named, request.config)
    for key in varied:
        refuse_setting(request.overrides, key, f"{key} is what is compared")
    if request.folds is not None:
        refuse_setting(request.overrides, "data.folds", "--folds gives it")
    _trust(request, varied)
    base = None if config is None else _base(request, config)
    if optional:
        _without_unfit(request, base, varied, optional)
    if request.executor is ExecutorName.local:
        from cnnkit.comparison.processes import import_ahead

        import_ahead()
    plan = planned(request, base, varied)
    refuse_unused(request.overrides, [level.config for level in plan.levels])
    _run(request, plan, Path(str(config)).stem, workers, [*(base.tracking if base else ()), *request.track])


def _run(request: Request, plan: "StudyPlan", name: str, workers: int | None, trackers: list[str]) -> None:
    """Trains what is missing and shows the verdict; where it is interrupted, the verdict so far."""
    from cnnkit.api.progress import print_note
    from cnnkit.api.refusals import anew
    from cnnkit.api.study import run_plan
    from cnnkit.api.study_progress import StudyProgress
    from cnnkit.cli.consent import asking
    from cnnkit.comparison.runner import StudyInterrupted
    from cnnkit.tracking.study import tracked_study

    with tracked_study(trackers, request.out, print_note) as tracked:
        try:
            with StudyProgress() as progress, nullcontext() if request.resume else anew():
                study = run_plan(
                    plan,
                    request.out,
                    name=name,
                    workers=workers,
                    executor=request.executor.value,
                    ray_address=request.ray_address,
                    notify=asking(progress, request.yes),
                    tracked=tracked,
                )
        except StudyInterrupted as stopped:
            show_results(stopped.results, request.as_json)
            raise
        report = _shown(study, request)
        if tracked and report:
            tracked.files.append(report)
    if study.results.failed:
        raise typer.Exit(1)


def _shown(study: "Study", request: Request) -> Path | None:
    """Prints the verdict, and makes what is asked for besides; returns the path of the report, if any."""
    from cnnkit.api.progress import say
    from cnnkit.cli.console import out

    results = study.results
    show_results(results, request.as_json)
    if request.play:
        show_play(study.path, silent=request.as_json)  # before the report, which then links to it
    if request.probe and results.levels:
        _probe(study.path, request.as_json)
    elif request.probe and not request.as_json:
        say(out, "--probe: no training has ended, so there is no network to probe")
    return None if results.shard else draw_report(study, request.as_json)


def _probe(folder: Path, as_json: bool) -> None:
    from cnnkit.cli.probe import probed, show_probe

    probe = probed(folder)
    if not as_json:
        show_probe(folder, probe)


def _workers(text: str) -> int | None:
    """None: as many as the machine has cores for."""
    if text == "auto":
        return None
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise UsageError(f"--workers {text}: expected auto, or a number of 1 or more")
    return int(text)
