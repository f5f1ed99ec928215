"""What several commands share: options, their completion, and JSON on standard output."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from cnnkit.errors import UsageError


def complete_config(incomplete: str) -> list[str]:
    """Shell completion: the shipped names, and YAML files."""
    folder, _, start = incomplete.rpartition("/")
    files = Path(folder or ".").glob(f"{start}*")
    return complete_shipped(incomplete) + [
        str(path) for path in files if path.suffix in (".yaml", ".yml") or path.is_dir()
    ]


def complete_shipped(incomplete: str) -> list[str]:
    from cnnkit.config.load import shipped_configs

    return [name for name in shipped_configs() if name.startswith(incomplete)]


def complete_data_set(incomplete: str) -> list[str]:
    from cnnkit.families.datasets import published_names

    return [name for name in published_names() if name.startswith(incomplete)]


# One wording and one completion for every command that takes a configuration.
CONFIG_OPTION = typer.Option(
    "--config",
    "-c",
    metavar="FILE",
    help="YAML file, or a shipped name such as mnist.",
    autocompletion=complete_config,
)
ConfigOption = Annotated[str, CONFIG_OPTION]
SetOption = Annotated[
    list[str],
    typer.Option(
        "--set", "-s", metavar="KEY=VALUE", help="Override a key, such as model.pooling=avg; repeatable."
    ),
]


def print_json(content: Any) -> None:
    """For `--json`: one object, alone on standard output."""
    typer.echo(json.dumps(content, indent=2, ensure_ascii=False))


def _known_device(name: str | None) -> str | None:
    """Refuses what no configuration would take."""
    if name is not None:
        from cnnkit.config.validation import refusal_of

        if refusal := refusal_of(("runtime", "device"), name):
            raise UsageError(f"--device {name}: {refusal}")
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
        help="Use this device instead of the configured one: auto, cpu, cuda, mps.",
    ),
]
