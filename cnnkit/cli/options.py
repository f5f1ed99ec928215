"""What several commands share: options, and JSON on standard output."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnkit.cli.completion import (
    complete_config,
    complete_device,
    complete_folder,
    complete_run,
    complete_set,
    complete_tracker,
    complete_vary,
)
from cnnkit.errors import UsageError
from cnnkit.files import json_text

if TYPE_CHECKING:
    from cnnkit.config.schema import Config

# One wording and one completion for every command that takes a configuration, in either way.
CONFIG_HELP = "YAML file, or a shipped name such as mnist."
ConfigArgument = Annotated[
    str | None,
    typer.Argument(metavar="CONFIG", help=CONFIG_HELP, autocompletion=complete_config, show_default=False),
]
ConfigOption = Annotated[
    str | None,
    typer.Option(
        "--config", "-c", metavar="CONFIG", help="The same, as an option.", autocompletion=complete_config
    ),
]


def chosen_config(named: str | None, option: str | None) -> str:
    """The configuration that is given as an argument, or with --config. Raises UsageError if not one."""
    given = [name for name in dict.fromkeys((named, option)) if name is not None]
    if len(given) == 1:
        return given[0]
    if given:
        raise UsageError(f"two configurations are given, {named} and --config {option}; leave one out")
    raise UsageError(
        "name a configuration, such as mnist or my.yaml; `cnnkit config list` shows the shipped ones"
    )


def _each_once(overrides: list[str]) -> list[str]:
    """Refuses a key that is set twice: the first value would be lost. The same words may be repeated."""
    once = list(dict.fromkeys(overrides))
    keys = [override.partition("=")[0].strip() for override in once]
    for later, key in enumerate(keys):
        for earlier in range(later):
            if f"{keys[earlier]}.".startswith(f"{key}."):
                raise UsageError(f"--set {once[later]} replaces --set {once[earlier]}; leave one of them out")
    return once


SetOption = Annotated[
    list[str],
    typer.Option(
        "--set",
        "-s",
        metavar="KEY=VALUE",
        help="Override a key, such as model.pooling=avg; repeatable.",
        callback=lambda given: _each_once(given),  # typer takes no callback with list[str] on Python 3.10
        autocompletion=complete_set,
    ),
]
VaryOption = Annotated[
    list[str] | None,
    typer.Option(
        "--vary",
        metavar="KEY=A,B,…",
        help="A key and its values, such as model.dropout=0,0.5; repeatable.",
        autocompletion=complete_vary,
    ),
]


RootOption = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="Where the images of the run lie now.",
        autocompletion=complete_folder,
        show_default="where they were",
    ),
]


TrustOption = Annotated[bool, typer.Option("--trust", help="Let code of its own run, which you have read.")]


def refuse_setting(overrides: list[str], key: str, why: str) -> None:
    """Raises UsageError where `--set` gives a key whose value comes from elsewhere."""
    for override in overrides:
        if override.partition("=")[0].strip() == key:
            raise UsageError(f"--set {override} cannot act: {why}; leave it out")


def refuse_unused(overrides: list[str], configs: Sequence["Config"]) -> None:
    """Raises UsageError where `--set` gives a key that none of the configurations uses."""
    from cnnkit.config.uses import unused_in_all

    for override in overrides:
        key = override.partition("=")[0].strip()
        if reason := unused_in_all(configs, key):
            refuse_setting([override], key, reason)


def print_json(content: Any) -> None:
    """For `--json`: one object, alone on standard output."""
    typer.echo(json_text(content))


def _known_device(name: str | None) -> str | None:
    """Refuses what no configuration would take."""
    if name is not None:
        from cnnkit.config.validation import refusal_of

        if refusal := refusal_of(("runtime", "device"), name):
            raise UsageError(f"--device {name}: {refusal}")
    return name


def _known_trackers(names: list[str]) -> list[str]:
    from cnnkit.config.validation import known_trackers

    return known_trackers(names, "--track ")


TrackOption = Annotated[
    list[str],
    typer.Option(
        "--track",
        metavar="NAME",
        help="Also tell tensorboard or mlflow of it; repeatable.",
        callback=_known_trackers,
        autocompletion=complete_tracker,
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON, alone, on standard output.")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Begin without asking, however long it takes.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the result.")]
DeviceOption = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="DEVICE",
        callback=_known_device,
        autocompletion=complete_device,
        help="Use this device instead of the configured one: auto, cpu, cuda, mps.",
    ),
]


def run_argument(what: str) -> Any:
    """The run that is meant, by default the latest. what: may be named."""
    text = f"{what}; without it the latest run."
    return typer.Argument(help=text, autocompletion=complete_run, show_default=False)


def csv_option(what: str, name: str = "--csv") -> Any:
    """`--csv FILE`. what: each row lists."""
    return typer.Option(name, metavar="FILE", help=f"{what}: CSV, or Parquet where FILE ends in .parquet.")
