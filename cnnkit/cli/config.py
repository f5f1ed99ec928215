"""`cnnkit config`: see, check and copy configurations."""

from pathlib import Path
from typing import Annotated

import typer

from cnnkit.cli.command import App
from cnnkit.cli.completion import complete_config, complete_shipped
from cnnkit.cli.options import (
    ConfigArgument,
    ConfigOption,
    SetOption,
    chosen_config,
)
from cnnkit.errors import CnnkitError, UsageError

config_app = App(help="See, check and copy configurations.", no_args_is_help=True)


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
def show_command(
    named: ConfigArgument = None,
    config: ConfigOption = None,
    overrides: SetOption = [],  # noqa: B006
) -> None:
    """Print a configuration with every key resolved."""
    from cnnkit.cli.console import out
    from cnnkit.config.load import load_config, resolved_yaml

    resolved = load_config(chosen_config(named, config), overrides)
    typer.echo(resolved_yaml(resolved, min(out.width, 110)), nl=False)


@config_app.command("schema")
def schema_command() -> None:
    """Print the JSON Schema, for editors that check and complete."""
    from cnnkit.config.docs import json_schema

    typer.echo(json_schema(), nl=False)


@config_app.command("keys")
def keys_command() -> None:
    """Show every key with its values; in a pipe or a file as a table in Markdown."""
    from cnnkit.cli.console import out, print_keys
    from cnnkit.config.docs import key_rows, keys_table

    if out.is_terminal:
        print_keys(key_rows())
    else:
        typer.echo(keys_table(), nl=False)


@config_app.command("copy")
def copy_command(
    name: Annotated[
        str | None,
        typer.Argument(help="A shipped configuration.", autocompletion=complete_shipped, show_default=False),
    ] = None,
    path: Annotated[
        str | None, typer.Argument(help="Where to; without it ./NAME.yaml.", show_default=False)
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            "--config",
            "-c",
            metavar="NAME",
            help="The same as NAME; PATH is then the only argument.",
            autocompletion=complete_shipped,
        ),
    ] = None,
) -> None:
    """Copy a shipped configuration, to make it your own, and the schema that editors check it with."""
    from cnnkit.api.progress import err, say
    from cnnkit.cli.console import print_path
    from cnnkit.config.load import SCHEMA_FILE, copy_config

    if config is not None and path is None and name != config:
        name, path = None, name
    source = chosen_config(name, config)
    copy = copy_config(source, Path(path or f"{source}.yaml"))
    print_path(copy)
    say(err, f"{copy.parent / SCHEMA_FILE}: with it an editor completes and checks the keys")


@config_app.command("check")
def check_command(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="CONFIG...",
            help="YAML files or names.",
            autocompletion=complete_config,
            show_default=False,
        ),
    ] = [],  # noqa: B006
    configs: Annotated[
        list[str],
        typer.Option(
            "--config", "-c", metavar="CONFIG", help="The same; repeatable.", autocompletion=complete_config
        ),
    ] = [],  # noqa: B006
) -> None:
    """Check configurations without training."""
    if not [*files, *configs]:
        raise UsageError("name what to check, such as mnist or my.yaml")
    from cnnkit.api.progress import say
    from cnnkit.cli.console import out, print_error
    from cnnkit.config.load import load_config

    failed = False
    for file in dict.fromkeys([*files, *configs]):
        try:
            load_config(file)
            say(out, f"{file}: fine")
        except CnnkitError as error:
            failed = True
            print_error(error)
    raise typer.Exit(2 if failed else 0)
