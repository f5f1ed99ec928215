"""`cnnkit config`: see, check and copy configurations."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from cnnkit.errors import CnnkitError

config_app = typer.Typer(help="See, check and copy configurations.", no_args_is_help=True)


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
    from cnnkit.families.datasets import DATASETS

    return [name for name in DATASETS if name.startswith(incomplete)]


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


@config_app.command("list")
def list_command() -> None:
    """List the configurations that travel with cnnkit."""
    from cnnkit.config.load import headline, shipped_configs

    configs = shipped_configs()
    widest = max(map(len, configs))
    for name, path in configs.items():
        typer.echo(f"{name:<{widest}}  {headline(path)}")


@config_app.command("show")
def show_command(config: ConfigOption, overrides: SetOption = []) -> None:  # noqa: B006
    """Print a configuration with every key resolved."""
    from cnnkit.config.load import config_text, load_config

    typer.echo(config_text(load_config(config, overrides)), nl=False)


@config_app.command("schema")
def schema_command() -> None:
    """Print the JSON Schema, for editors that check and complete."""
    from cnnkit.config.docs import json_schema

    typer.echo(json_schema(), nl=False)


@config_app.command("keys")
def keys_command() -> None:
    """Print the table of all keys, in Markdown."""
    from cnnkit.config.docs import keys_table

    typer.echo(keys_table(), nl=False)


@config_app.command("copy")
def copy_command(
    name: Annotated[str, typer.Argument(help="A shipped configuration.", autocompletion=complete_shipped)],
    path: Annotated[Path | None, typer.Argument(help="Where to; without it ./NAME.yaml.")] = None,
) -> None:
    """Copy a shipped configuration, to make it your own."""
    from cnnkit.config.load import copy_config

    typer.echo(copy_config(name, path or Path(f"{name}.yaml")))


@config_app.command("check")
def check_command(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="YAML files or names.")],
) -> None:
    """Check configurations without training."""
    from cnnkit.cli.console import print_error
    from cnnkit.config.load import load_config

    failed = False
    for file in files:
        try:
            load_config(file)
            typer.echo(f"{file}: fine")
        except CnnkitError as error:
            failed = True
            print_error(error)
    raise typer.Exit(2 if failed else 0)
