"""The README tells the truth."""

import re
from pathlib import Path

import pytest
import typer

from cnnkit.cli import app
from cnnkit.config_docs import keys_table
from cnnkit.config_file import headline, shipped_configs

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted(
    set(re.findall(r"(?:`|\$ |^(?=cnnkit \w+ [-<r]))(cnnkit [a-z][^`\n#]*)", README, re.MULTILINE))
)


def test_the_table_of_keys_is_the_schema_s() -> None:
    assert keys_table() in README


def test_every_shipped_configuration_is_told_with_its_own_headline() -> None:
    for name, path in shipped_configs().items():
        assert f"| `{name}` | {headline(path)} |" in README


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_in_the_readme_exists_with_its_options(command: str) -> None:
    group = typer.main.get_command(app)
    words = command.split()[1:]
    found = group.commands[words[0]]  # type: ignore[attr-defined]
    if hasattr(found, "commands") and len(words) > 1:
        found = found.commands[words[1].rstrip(",")]
    known = {option for parameter in found.params for option in parameter.opts} | {"--help"}
    assert {word.split("=")[0] for word in words if word.startswith("--")} <= known


def test_the_readme_names_the_two_commands_that_a_newcomer_runs() -> None:
    assert len(COMMANDS) > 8
    for script in ("scripts/quickstart", "scripts/test"):
        assert script in README
        assert (ROOT / script).stat().st_mode & 0o111


def test_every_link_of_the_readme_leads_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
