"""The commands: parse, call one function, render, exit code.

Nothing heavy is imported before a command needs it: `cnnkit --help` never loads torch.
"""

import io
import json
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnkit import __version__
from cnnkit.cli.compare import compare_command, compare_pooling_command
from cnnkit.cli.config import (
    CONFIG_OPTION,
    ConfigOption,
    SetOption,
    complete_data_set,
    config_app,
    print_json,
)
from cnnkit.cli.report import report_command
from cnnkit.errors import CnnkitError, ConfigError, ImageError, UsageError
from cnnkit.events import Note

if TYPE_CHECKING:
    from cnnkit.experiment.run_dir import Run
    from cnnkit.experiment.weights import Weights
    from cnnkit.training.device import Placement

app = typer.Typer(
    name="cnnkit",
    help="Build, train and measure small convolutional networks from a YAML file.",
    epilog="Begin with: cnnkit train --config fast",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(config_app, name="config")


class Split(str, Enum):
    test = "test"
    validation = "validation"
    train = "train"


def _known_device(name: str | None) -> str | None:
    """Refuses what no configuration would take."""
    if name is not None:
        from cnnkit.config.load import parse_config

        try:
            parse_config("runtime: {}", "--device", [f"runtime.device={json.dumps(name)}"])
        except ConfigError as error:
            problem = error.problems[0]
            raise UsageError(f"--device {name}: {problem.message}, {problem.remedy}") from error
    return name


JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON, alone, on standard output.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the result.")]
DeviceOption = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="DEVICE",
        callback=_known_device,
        help="Run here, whatever the configuration says: auto, cpu, cuda, mps.",
    ),
]


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cnnkit {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command("train")
def train_command(
    config: Annotated[str | None, CONFIG_OPTION] = None,
    overrides: SetOption = [],  # noqa: B006
    out: Annotated[
        Path | None, typer.Option(help="Run directory; without it runs/<config>-<strategy>-<time>.")
    ] = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="Go on with an interrupted run.")] = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a network, keep what it learned, and test it once."""
    if (config is None) == (resume is None):
        raise UsageError("name what to train with --config FILE, or a run to go on with --resume RUN")
    if resume is not None and (overrides or out):
        raise UsageError("--resume goes on with a run as it was: --set and --out do not go with it")
    from cnnkit.config.load import load_config

    here = [] if device is None else [f"runtime.device={device}"]
    resolved = None if config is None else load_config(config, [*overrides, *here])
    from cnnkit.cli.console import TrainingProgress, print_result
    from cnnkit.experiment.run_dir import create_run, open_run, refuse_used
    from cnnkit.experiment.train import prepare, run_experiment
    from cnnkit.filenames import CURVES
    from cnnkit.stats import wilson_interval

    with TrainingProgress(quiet) as progress:
        if resume is not None:
            run = open_run(resume)
            setting = None if run.finished else prepare(run.config, progress, device)
        else:
            assert resolved is not None
            if out is not None:
                refuse_used(out)
            setting = prepare(resolved, progress)  # first: a run that cannot begin leaves no folder
            run = create_run(resolved, Path(str(config)).stem, out)
        result = run_experiment(resolved or run.config, run, progress, setting) if setting else run.result
    if as_json:
        print_json(result)
    else:
        correct = round(result["test_accuracy"] * result["test_images"])
        print_result(result, wilson_interval(correct, result["test_images"]))
    if setting or not (run.path / CURVES).is_file():  # last: no picture is worth a result untold
        _draw_curves(run)


@app.command("eval")
def eval_command(
    run: Annotated[
        Path | None, typer.Argument(help="Run directory or weights file; without it the latest run.")
    ] = None,
    split: Annotated[Split, typer.Option(help="Which images.")] = Split.test,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a trained network again: accuracy, calibration, confusion."""
    weights, placement = _load(run, device)
    from cnnkit.cli.console import print_evaluation
    from cnnkit.experiment.measure import evaluate_and_keep

    measured = evaluate_and_keep(weights, split.value, placement, _note)
    if as_json:
        print_json(measured)
    else:
        print_evaluation(measured, f"{weights.source} on the {split.value} split")


app.command("compare-pooling")(compare_pooling_command)
app.command("compare")(compare_command)
app.command("report")(report_command)


@app.command("predict")
def predict_command(
    run: Annotated[Path, typer.Argument(help="Run directory or weights file.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files, of any size.")],
    top: Annotated[int, typer.Option(min=1, help="How many classes to show.")] = 3,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what your own image files show."""
    weights, placement = _load(run, device)
    from cnnkit.cli.console import print_error, print_prediction
    from cnnkit.experiment.measure import predict_file

    answers: list[dict[str, Any]] = []
    for image in images:
        try:
            likeliest = predict_file(weights, image, top, placement)
            answers.append({"image": str(image), "top": likeliest})
            if not as_json:
                print_prediction(str(image), likeliest)
        except ImageError as error:
            answers.append({"image": str(image), "error": str(error)})
            print_error(error)
    if as_json:
        print_json({"predictions": answers})
    raise typer.Exit(int(any("error" in answer for answer in answers)))


@app.command("summary")
def summary_command(config: ConfigOption, overrides: SetOption = [], as_json: JsonOption = False) -> None:  # noqa: B006
    """Show a network's layers: shapes, parameters, multiply-accumulates."""
    from cnnkit.config.load import load_config

    resolved = load_config(config, overrides)
    from dataclasses import asdict

    from cnnkit.cli.console import print_summary
    from cnnkit.nn.costs import summarize

    info = resolved.data.info
    rows = summarize(resolved.model, info)
    if as_json:
        totals = {"parameters": sum(r.parameters for r in rows), "macs": sum(r.macs for r in rows)}
        print_json({"layers": [asdict(row) for row in rows], **totals})
    else:
        shape = " × ".join(map(str, info.shape))
        print_summary(rows, f"{config}: one {info.title} image, {shape}, to {info.classes} logits")


@app.command("data")
def data_command(
    name: Annotated[
        str,
        typer.Argument(
            help="mnist, fashion-mnist, kmnist, qmnist or digits.", autocompletion=complete_data_set
        ),
    ],
    root: Annotated[Path | None, typer.Option(help="Folder of the data sets.")] = None,
) -> None:
    """Fetch a data set, or find the one that is there, check and prepare it."""
    from cnnkit.families.datasets import DATASETS

    if name not in DATASETS:
        raise UsageError(f"unknown data set {name!r}; there are {', '.join(DATASETS)}")
    from cnnkit.data.prepare import load_dataset
    from cnnkit.data.sources import data_root

    folder = data_root(str(root) if root else None)
    train, test = load_dataset(name, folder, _note)
    where = folder if DATASETS[name].torchvision_class else "scikit-learn"
    typer.echo(f"{DATASETS[name].title}: {len(train):,} training and {len(test):,} test images from {where}")


def _load(run: Path | None, device: str | None) -> "tuple[Weights, Placement]":
    from cnnkit.experiment.run_dir import latest_run
    from cnnkit.experiment.weights import load_weights

    weights = load_weights(run if run is not None else latest_run())
    from cnnkit.training.device import place

    return weights, place(weights.config.runtime, device)


def _note(note: Note) -> None:
    from cnnkit.cli.console import print_note

    print_note(note)


def _draw_curves(run: "Run") -> None:
    from cnnkit.report.curves import draw_curves

    try:
        draw_curves(run)
    except OSError as error:
        _note(Note(f"the curves could not be kept in {run.path}: {error.strerror}"))


def main() -> int:
    """Runs the command line; returns, or exits with, the code that the errors' page promises."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # an arrow that the terminal has no letter for
    if "--help" in sys.argv or len(sys.argv) == 1:
        from cnnkit.cli.help import import_help

        import_help()
    try:
        app()
    except CnnkitError as error:
        from cnnkit.cli.console import print_error

        print_error(error)
        return error.exit_code
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        typer.echo(f"error: {where}{error.strerror or error}", err=True)
        return 1
    return 0
