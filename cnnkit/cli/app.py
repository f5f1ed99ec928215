"""The commands: parse, call one function, render, exit code.

Nothing heavy is imported before a command needs it: `cnnkit --help` never loads torch.
"""

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cnnkit.cli.command import App
from cnnkit.cli.compare import compare_command, compare_pooling_command
from cnnkit.cli.completion import (
    complete_folder,
    complete_run_directory,
    in_words_of,
)
from cnnkit.cli.config import config_app
from cnnkit.cli.data import COLUMNS, data_command
from cnnkit.cli.doctor import doctor_command
from cnnkit.cli.evaluate import eval_command
from cnnkit.cli.export import export_command
from cnnkit.cli.judge import FORMS, judge_command
from cnnkit.cli.list_runs import runs_app
from cnnkit.cli.options import (
    ConfigArgument,
    ConfigOption,
    DeviceOption,
    JsonOption,
    QuietOption,
    RootOption,
    SetOption,
    TrackOption,
    TrustOption,
    YesOption,
    chosen_config,
    print_json,
    refuse_setting,
    refuse_unused,
)
from cnnkit.cli.play import play_command, show_play
from cnnkit.cli.pooling import pooling_app
from cnnkit.cli.predict import predict_command
from cnnkit.cli.probe import probe_command
from cnnkit.cli.report import report_command, show_report
from cnnkit.cli.runs import folder_of_latest, refuse_finished
from cnnkit.errors import CnnkitError
from cnnkit.events import Note
from cnnkit.filenames import CURVES
from cnnkit.own.code import own_trace
from cnnkit.version import __version__
from cnnkit.words import visible

if TYPE_CHECKING:
    from cnnkit.config.schema import Config

app = App(
    name="cnnkit",
    help="Build, train and measure small convolutional networks from a YAML file.",
    epilog="Begin with: cnnkit train fast",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(config_app, name="config")
app.add_typer(pooling_app, name="pooling")
app.add_typer(runs_app, name="runs")


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
    named: ConfigArgument = None,
    config: ConfigOption = None,
    overrides: SetOption = [],  # noqa: B006
    out: Annotated[
        Path | None,
        typer.Option(help="Run directory; without it a new one below runs/.", autocompletion=complete_folder),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN", help="Continue an interrupted run.", autocompletion=complete_run_directory
        ),
    ] = None,
    root: RootOption = None,
    trust: TrustOption = False,
    device: DeviceOption = None,
    with_report: Annotated[
        bool, typer.Option("--report", help="Write report.html into the run directory as well.")
    ] = False,
    track: TrackOption = [],  # noqa: B006
    with_play: Annotated[
        bool, typer.Option("--play", help="Write play.html as well: the network, to draw for.")
    ] = False,
    as_json: JsonOption = False,
    yes: YesOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a network, keep what it learned, and test it once."""
    source = None if resume else chosen_config(named, config)
    read = None if source is None else _configured(source, overrides, device)  # before torch is loaded
    from cnnkit.api.functions import open_run, train
    from cnnkit.api.progress import TrainingProgress, print_note
    from cnnkit.cli.consent import asking
    from cnnkit.cli.console import print_result

    drawn = False
    with folder_of_latest():
        if read is not None:
            with TrainingProgress(quiet) as progress:
                read = read.model_copy(update={"tracking": (*read.tracking, *track)})
                run = train(read, out, name=Path(str(source)).stem, progress=asking(progress, yes))
        else:
            run = open_run(Path(str(resume)), trust=trust)
            refuse_finished(run, device, root, track)
            drawn = run.folder.finished and (run.path / CURVES).is_file()
            run.resume(device, progress=not quiet, root=root, track=track)
    if as_json:
        print_json(run.result.to_dict())
    else:
        print_result(run.result)
    if not drawn:
        run.draw_curves(print_note)  # last: a drawing error must not hide the result
    if with_play:
        show_play(run.path, silent=quiet or as_json)
    show_report(run, with_report, silent=quiet or as_json)


def _configured(source: str | Path, overrides: list[str], device: str | None) -> "Config":
    """The configuration to train with, on this device. Raises UsageError where `--set` cannot act."""
    from cnnkit.config.load import load_config

    placed = []
    if device is not None:
        refuse_setting(overrides, "runtime.device", f"--device {device} says where it runs")
        placed = [f"runtime.device={device}"]
    config = load_config(source, [*overrides, *placed])
    refuse_unused(overrides, [config])
    return config


app.command("eval")(eval_command)
app.command("compare-pooling")(compare_pooling_command)
app.command("compare")(compare_command)
app.command("report")(report_command)
app.command("probe")(probe_command)
app.command("play")(play_command)
app.command("predict")(predict_command)
app.command("export")(export_command)
app.command("judge", epilog=FORMS)(judge_command)


@app.command("summary")
def summary_command(
    named: ConfigArgument = None,
    config: ConfigOption = None,
    overrides: SetOption = [],  # noqa: B006
    as_json: JsonOption = False,
) -> None:
    """Show a network's layers: shapes, parameters, multiply-accumulates."""
    from cnnkit.config.load import load_config

    source = chosen_config(named, config)
    resolved = load_config(source, overrides)
    from dataclasses import asdict

    from cnnkit.api.progress import print_note
    from cnnkit.cli.console import print_summary
    from cnnkit.config.costs import layer_costs, not_counted

    info = resolved.data.info
    rows = layer_costs(resolved.model, info)
    if as_json:
        totals = {"parameters": sum(r.parameters for r in rows), "macs": sum(r.macs for r in rows)}
        print_json({"layers": [asdict(row) for row in rows], **totals})
    else:
        shape = " × ".join(map(str, info.shape))
        print_summary(rows, f"{source}: {info.title}, from an image of {shape} to {info.classes} logits")
        for name in not_counted(resolved.model):
            print_note(Note(f"the multiply-accumulates of {name} itself are not known: none are counted"))


app.command("data", epilog=COLUMNS)(data_command)
app.command("doctor")(doctor_command)


def main() -> int:
    """Runs the command line; returns, or exits with, the exit code. `cnnkit.errors` lists the codes."""
    for output in (sys.stdout, sys.stderr):
        if isinstance(output, io.TextIOWrapper):
            output.reconfigure(errors="replace")  # some terminals have no letter for an arrow
    if "--help" in sys.argv or len(sys.argv) == 1:
        from cnnkit.cli.help import import_help

        import_help()
    try:
        with in_words_of(os.environ.get("_CNNKIT_COMPLETE", "")):
            app(prog_name="cnnkit")
    except CnnkitError as error:
        from cnnkit.cli.console import print_error

        print_error(error)
        return error.exit_code
    except Exception as error:
        if not (trace := own_trace(error)):
            return _told_of_the_machine(error)
        typer.echo(f"error: an exception in own code\n{visible(trace)}", err=True)
        return 1
    return 0


def _told_of_the_machine(error: Exception) -> int:
    """The exit code, after a word on an error that comes from outside; raises it where it does not."""
    if isinstance(error, ImportError):  # for want of memory, too
        typer.echo(f"error: {error}", err=True)
        return 1
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        typer.echo(f"error: {visible(where)}{error.strerror or error}", err=True)
        return 1
    raise error
