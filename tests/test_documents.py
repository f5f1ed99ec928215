"""Each table in a document agrees with the program that it describes, and each link leads somewhere."""

import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from importlinter.cli import lint_imports
from sources import for_shipped
from support import call

from cnnkit.cli.app import app
from cnnkit.config.docs import keys_table
from cnnkit.config.load import headline, load_config, shipped_configs
from cnnkit.config.ranges import TUNABLE

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted(
    path for pattern in ("*.md", "[a-z]*/README.md", "cnnkit/*/README.md") for path in ROOT.glob(pattern)
)
POOLINGS = ROOT / "cnnkit" / "families" / "poolings.py"
README, CONFIGS, RUNS, STUDIES, CONTRIBUTING, SCRIPTS = (
    (ROOT / name).read_text(encoding="utf-8")
    for name in (
        "README.md",
        "configs/README.md",
        "cnnkit/experiment/README.md",
        "cnnkit/comparison/README.md",
        "CONTRIBUTING.md",
        "scripts/README.md",
    )
)


def first_cells(document: str, header: str) -> list[str]:
    """What stands in the first column of the table with this header row, from top to bottom."""
    (table,) = re.findall(rf"^{re.escape(header)}\n\|[-|]+\|\n((?:\|.*\n)+)", document, re.MULTILINE)
    return [row.split("|")[1].strip() for row in table.splitlines()]


def names(cells: list[str]) -> list[str]:
    """Every name in backticks."""
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def matches(patterns: list[str], files: list[str]) -> tuple[set[str], set[str]]:
    """Files that no pattern is for, and patterns that no file has. `<split>` stands for any word."""
    compiled = {pattern: re.compile(re.sub(r"<\w+>", r"\\w+", re.escape(pattern))) for pattern in patterns}
    untold = {file for file in files if not any(known.fullmatch(file) for known in compiled.values())}
    unseen = {name for name, known in compiled.items() if not any(known.fullmatch(file) for file in files)}
    return untold, unseen


def allowed_values(key: str) -> list[str]:
    (row,) = (row for row in keys_table().splitlines() if row.startswith(f"| `{key}` |"))
    return names([row.split("|")[2]])


def entries(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_the_table_of_keys_is_the_schema_s() -> None:
    assert f"<!-- keys -->\n{keys_table()}<!-- /keys -->" in CONFIGS


def test_every_shipped_configuration_and_no_other_is_told_with_its_own_headline_and_order(
    tmp_path: Path,
) -> None:
    header = "| name | what it is for | `model.order` |"
    assert names(first_cells(CONFIGS, header)) == list(shipped_configs())
    for name, path in shipped_configs().items():
        order = load_config(path, for_shipped(name, tmp_path)).model.order
        assert f"| `{name}` | {headline(path)} | `{order}` |" in CONFIGS


@pytest.mark.parametrize(
    ("key", "header"),
    [
        ("model.pooling", "| strategy | what becomes of k × k cells | channels |"),
        ("model.head", "| head | what is left of a feature map of H × W cells | values per map |"),
        ("data.dataset", "| name | images | where they come from |"),
    ],
)
def test_the_values_of_a_key_are_told_one_by_one(key: str, header: str) -> None:
    assert names(first_cells(CONFIGS, header)) == allowed_values(key)


def test_the_table_of_commands_holds_every_command_and_no_other() -> None:
    group: Any = typer.main.get_command(app)
    told = [row.split("`")[1].split()[1] for row in first_cells(README, "| command | what it does |")]
    assert set(told) == set(group.commands)
    (config_row,) = (row for row in README.splitlines() if row.startswith("| `cnnkit config"))
    told = [name.split()[-1] for name in names([config_row.split("|")[1]])]
    assert sorted(told) == sorted(group.commands["config"].commands)


def test_a_run_directory_holds_the_files_in_its_table_and_the_result_its_keys(
    capsys: pytest.CaptureFixture[str], tiny_file: Path
) -> None:
    for words in (
        [
            "train",
            "--config",
            tiny_file,
            "--out",
            "run",
            "--set",
            "data.folds=4",
        ],  # which keeps one file more
        ["eval", "run"],
        ["eval", "run/last.safetensors"],
        ["report", "run"],
    ):
        assert call(capsys, *words).code == 0
    files, keys = (first_cells(RUNS, f"| {word} | what it holds |") for word in ("file", "key"))
    not_here = {"images.json", "tb/", "tracked-<tracker>.json"}  # of own images, and of runs that are tracked
    assert matches(names(files), entries(Path("run"))) == (set(), not_here)
    result = json.loads(Path("run/result.json").read_text(encoding="utf-8"))
    assert sorted(names(keys)) == sorted(result)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("studies")


@pytest.fixture
def study(
    once: Path, capsys: pytest.CaptureFixture[str], tiny_file: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A study of two levels, for all tests to read.

    Beside it, in `failed`, is one with a level whose loss becomes infinite.
    """
    monkeypatch.chdir(once)
    if Path("study").exists():
        return Path("study")
    compare = ["compare", "--config", tiny_file, "--set", "training.epochs=1"]
    studies = (("model.pooling=max,avg", "2", "study"), ("training.learning_rate=0.01,1e30", "1", "failed"))
    codes = [
        call(capsys, *compare, "--vary", vary, "--seeds", seeds, "--out", out).code
        for vary, seeds, out in studies
    ]
    assert codes == [0, 1]
    return Path("study")


def test_a_study_s_folder_and_its_trials_hold_the_files_in_their_tables(study: Path) -> None:
    of_studies = names(first_cells(STUDIES, "| file | what it holds |"))
    files = [path.name for path in study.iterdir() if path.is_file()]
    told = [name for name in of_studies if not name.endswith("/")]
    assert matches(told, files) == (set(), {"groups.bin", "probe.json"})  # no groups, and not probed
    of_trials, of_tuning = sorted(name for name in of_studies if name.endswith("/"))
    assert of_tuning == of_trials.replace("trials/", "tuning/")
    folders = [f"trials/{path.name}/" for path in (study / "trials").iterdir()]
    assert len(folders) == 4
    assert matches([of_trials], folders) == (set(), set())


def test_a_trial_s_folder_holds_files_of_a_run_directory_and_those_in_its_own_table(study: Path) -> None:
    own = names(first_cells(STUDIES, "| file of a trial | what it holds |"))
    of_runs = names(first_cells(RUNS, "| file | what it holds |"))
    files = [path.name for folder in ("study", "failed") for path in Path(folder).glob("trials/*/*")]
    untold, unseen = matches([*own, *of_runs], files)
    assert untold == set()
    assert set(own) & unseen == set()


def test_the_table_of_keys_to_tune_holds_each_of_them() -> None:
    assert names(first_cells(STUDIES, "| key to tune | values that are tried |")) == list(TUNABLE)


def test_results_json_holds_the_keys_in_its_tables(study: Path) -> None:
    results = json.loads((study / "results.json").read_text(encoding="utf-8"))
    parts = {
        "| key | what it holds |": results,
        "| key of a level | what it holds |": results["levels"][0],
        "| key of a pair | what it holds |": results["pairs"][0],
        "| key of a trial | what it holds |": results["trials"][0],
    }
    for header, part in parts.items():
        told = [name.removesuffix("[]") for name in names(first_cells(STUDIES, header))]
        assert sorted(told) == sorted(part)


def test_the_table_of_scripts_holds_every_script_and_no_other() -> None:
    told = set(names(first_cells(SCRIPTS, "| script | what it does |")))
    assert told == {f"scripts/{path.name}" for path in (ROOT / "scripts").iterdir() if path.is_file()} - {
        "scripts/README.md"
    }


def test_ruff_and_mypy_check_every_python_script() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    styled, typed = re.findall(r"^(?:extend-include|files) = \[(.*)\]$", project, re.MULTILINE)
    files = [path for path in (ROOT / "scripts").iterdir() if path.is_file() and path.suffix in ("", ".py")]
    python = {path for path in files if path.suffix or b"python" in path.read_bytes().splitlines()[0]}
    folders = {path.parent for path in (ROOT / "scripts").glob("*/*.py")}
    shown = {path: f'"scripts/{path.name}"' for path in python | folders}
    assert [name for path, name in shown.items() if name not in typed] == []
    assert [
        name for path, name in shown.items() if path.is_file() and not path.suffix and name not in styled
    ] == []


def test_the_house_is_drawn_with_the_layers_that_the_import_rules_have() -> None:
    (picture,) = re.findall(r"^```text\n(9 .*?)^```", CONTRIBUTING, re.MULTILINE | re.DOTALL)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (layers,) = re.findall(r"^layers = \[\n(.*?)^\]", project, re.MULTILINE | re.DOTALL)
    *packages, ground = re.findall(r'"(.+)"', layers)
    drawn = re.findall(r"^\d+ +(\w+(?: [|:] \w+)*)  ", picture, re.MULTILINE)
    assert drawn == [*packages, "families"]
    (others,) = re.findall(r"beside families: (.*)\n", picture)
    assert others.split(", ") == ground.split(" : ")[1:]


def test_not_even_a_type_is_taken_from_a_higher_layer_or_in_a_circle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    option = "exclude_type_checking_imports = "
    rules = (ROOT / "pyproject.toml").read_text(encoding="utf-8").replace(f"{option}true", f"{option}false")
    assert f"{option}false" in rules
    path = tmp_path / "pyproject.toml"
    path.write_text(rules, encoding="utf-8")
    code = lint_imports(config_filename=str(path), limit_to_contracts=("layers", "circles"), no_cache=True)
    told = capsys.readouterr().out
    assert code == 0, told
    assert "2 kept, 0 broken" in told


def test_every_module_that_contributing_names_is_there() -> None:
    named = set(names(CONTRIBUTING.splitlines()))
    modules = {name.removeprefix("cnnkit/") for name in named if re.fullmatch(r"[a-z_/]+/[a-z_]+\.py", name)}
    modules = {name for name in modules if not name.startswith("tests/")}
    assert len(modules) > 20
    assert [name for name in sorted(modules) if not (ROOT / "cnnkit" / name).is_file()] == []


def test_the_new_pooling_that_contributing_shows_computes_what_it_says() -> None:
    code, row = re.findall(r"^```python\n(.*?)^```", CONTRIBUTING, re.MULTILINE | re.DOTALL)
    scope: dict[str, Any] = dict(vars(importlib.import_module("cnnkit.nn.pools")))
    exec(code, scope)
    entry = eval(row, dict(vars(importlib.import_module("cnnkit.families.poolings"))))
    assert entry.path == "cnnkit.nn.pools:Min"
    pooled = scope["Min"](2, 1)(torch.arange(16.0).reshape(1, 1, 4, 4))
    assert pooled.tolist() == [[[[0.0, 2.0], [8.0, 10.0]]]]


def test_every_link_leads_somewhere() -> None:
    assert len(DOCUMENTS) >= 7
    for document in DOCUMENTS:
        links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8"))
        local = [link for link in links if "://" not in link]
        assert [link for link in local if not (document.parent / link).exists()] == []
    assert "](configs/README.md)" in README


def test_every_anchor_is_a_heading_of_the_page_it_leads_to() -> None:
    for document in DOCUMENTS:
        for link, anchor in re.findall(r"\]\(([^)#]+)#([^)]+)\)", document.read_text(encoding="utf-8")):
            page = (document.parent / link).read_text(encoding="utf-8")
            headings = [heading.lower() for heading in re.findall(r"^#+ (.*)$", page, re.MULTILINE)]
            assert anchor in [re.sub(r"[^\w -]", "", heading).replace(" ", "-") for heading in headings]


def test_the_error_rates_that_a_report_tells_are_those_that_were_measured_last() -> None:
    """`scripts/planted` is run by hand: a new table in its document calls for a new text in the report."""
    method = (ROOT / "cnnkit/report/templates/verdicts.html.j2").read_text(encoding="utf-8")
    ((told),) = re.findall(r"of four equal levels, each looked at after every seed(.*?)\{% endif %\}", method)
    (measured,) = re.findall(r"## Planted studies\n(.*?)\n## ", SCRIPTS, re.DOTALL)
    rates = re.findall(r"\d+\.\d %", told)
    assert len(rates) == 5
    assert [rate for rate in rates if rate not in measured] == []
