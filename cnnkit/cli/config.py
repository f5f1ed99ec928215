"""`cnnkit config`: see, check and copy configurations."""

from pathlib import Path
from typing import Annotated

import typer

from cnnkit.cli.options import ConfigOption, SetOption, complete_shipped
from cnnkit.errors import CnnkitError

config_app = typer.Typer(help="See, check and copy configurations.", no_args_is_help=True)


@config_app.command("list")
def list_command() -> None:
    """List the configurations that travel with cnnkit."""
    from cnnkit.api.progress import say
    from cnnkit.cli.console import out
    from cnnkit.config.load import headline, shipped_configs

    configs = shipped_configs()
    widest = max(map(len, configs))
    for name, path in configs.items():
        say(out, f"{name:<{widest}}  {headline(path)}", hang=widest + 2)


@config_app.command("show")
def show_command(config: ConfigOption, overrides: SetOption = []) -> None:  # noqa: B006
    """Print a configuration with every key resolved."""
    from cnnkit.cli.console import out
    from cnnkit.config.load import load_config, resolved_yaml

    typer.echo(resolved_yaml(load_config(config, overrides), min(out.width, 110)), nl=False)


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
    from cnnkit.api.progress import say
    from cnnkit.cli.console import out, print_error
    from cnnkit.config.load import load_config

    failed = False
    for file in files:
        try:
            load_config(file)
            say(out, f"{file}: fine")
        except CnnkitError as error:
            failed = True
            print_error(error)
    raise typer.Exit(2 if failed else 0)
