"""Every command that the documents show runs as it is written, and so does the quickstart."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import typer
from conftest import TINY
from PIL import Image, ImageDraw
from support import bash_scripts, call

from cnnkit.cli.app import app
from cnnkit.cli.list_runs import ListsByDefault
from cnnkit.config.load import copy_config, load_config

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [
    (ROOT / name).read_text(encoding="utf-8")
    for name in (
        "README.md",
        "configs/README.md",
        "cnnkit/comparison/README.md",
        "cnnkit/experiment/README.md",
        "scripts/README.md",
        "CONTRIBUTING.md",
    )
]
README, CONFIGS, STUDIES = DOCUMENTS[:3]
COMMANDS = sorted(
    set(
        re.findall(
            r"(?:`|\$ |^(?=cnnkit \w+ [-<r]))(cnnkit [a-z][^`\n#]*)", "\n".join(DOCUMENTS), re.MULTILINE
        )
    )
)
SESSION = README[README.index("## A session") : README.index("## Your images")]
OWN_IMAGES = README[README.index("## Your images") : README.index("## Which pooling wins")]
COMPARISONS = README[README.index("## Which pooling wins") : README.index("## From Python")] + STUDIES
SMALL = (
    "data={dataset: digits, validation: 0.1}",
    "training.epochs=1",
    "training.batch_size=128",
    "runtime.threads=1",
)
CALLED = """#!/bin/sh
echo "$@" >> "$0-calls"
[ "$3" != "--yaml" ] || echo "data:" > "$4"
[ "$*" != "data mnist" ] || {data}
"""


def draw_my_seven() -> None:
    drawing = Image.new("L", (90, 120), 255)
    ImageDraw.Draw(drawing).line([(15, 15), (75, 15), (30, 105)], fill=0, width=9)
    drawing.save("my-seven.png")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_in_the_documents_exists_with_its_options(command: str) -> None:
    group = typer.main.get_command(app)
    words = command.split()[1:]
    found = group.commands[words[0]]  # type: ignore[attr-defined]
    if hasattr(found, "commands") and len(words) > 1:
        named = words[1].rstrip(",")
        by_default = isinstance(found, ListsByDefault) and named not in found.commands
        found = found.commands["list" if by_default else named]
    known = {option for parameter in found.params for option in parameter.opts} | {"--help"}
    assert {word.split("=")[0] for word in words if word.startswith("--")} <= known


def test_every_configuration_and_override_in_the_documents_is_taken() -> None:
    named = [command for command in COMMANDS if re.search("--config [a-z]", command)]
    assert len(named) > 1
    copy_config("fast", Path("my.yaml"))  # as configs/README.md does
    for words in map(shlex.split, named):
        overrides = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
        assert load_config(words[words.index("--config") + 1], overrides)


def test_the_session_runs_as_it_is_written_and_prints_what_it_shows(
    capsys: pytest.CaptureFixture[str],
) -> None:
    draw_my_seven()
    steps = re.findall(r"^(?:\$ )?(cnnkit [^\n#]*)\n((?:(?!cnnkit|\$|`)[^\n]*\n)*)", SESSION, re.MULTILINE)
    assert [command.split()[1] for command, _ in steps] == ["train", "eval", "train", "predict"]
    for command, shown in steps:
        words = shlex.split(command)[1:]
        small = [word for override in SMALL for word in ("--set", override)] if "--config" in words else []
        outcome = call(capsys, *words, *small)
        assert outcome.code == 0, outcome.err
        names = re.findall(r"^ ?([a-z][a-z ↓→]*?)  ", shown, re.MULTILINE)
        assert len(names) > 5 or not shown
        assert [name for name in names if name not in outcome.out + outcome.err] == []


def draw_photos() -> None:
    """A folder for each class, and some new ones."""
    colours = np.random.default_rng(0)
    names = [f"photos/{label}/{i}.png" for label in ("airplane", "cat", "ship") for i in range(20)]
    for name in (*names, "new-photos/a.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(colours.integers(0, 256, (16, 16, 3), np.uint8)).save(name)


def test_the_commands_for_own_images_run_as_they_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    draw_photos()
    commands = [shlex.split(line) for line in re.findall(r"^\$ cnnkit ([^\n#]*)", OWN_IMAGES, re.MULTILINE)]
    assert [words[0] for words in commands] == ["data", "train", "predict"]
    small = ("--set", "training.epochs=1", "--set", "runtime.threads=1")
    for words in commands:
        outcome = call(capsys, *words, *(small if words[0] == "train" else ()))
        assert outcome.code == 0, outcome.err
    assert {"photos.png", "photos.yaml", "answers.csv"} <= {path.name for path in Path.cwd().iterdir()}


def test_the_comparisons_run_as_they_are_written(
    trials_here: None, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = re.findall(r"^(?:\$ )?cnnkit ([^\n#]*)", COMPARISONS, re.MULTILINE)
    assert len(commands) == 16
    alike = {re.sub(r"--out (?!fast-study)\S+| *$", "", command).strip(): command for command in commands}
    for number, command in enumerate(alike.values()):  # the others differ in their folder alone
        words = command.replace("--tune 8", "--tune 2").split()
        if "--config" in words:
            words += [word for override in SMALL for word in ("--set", override)]
        if "--min-seeds" in words:  # a fixed number is quicker
            words[words.index("--min-seeds")] = "--seeds"
        if "--seeds" in words:
            words[words.index("--seeds") + 1] = "3"
        elif words[0] == "probe":
            words += ["--images", "40"]
        elif words[0] != "report" and "--verify" not in words:
            words += ["--seeds", "2" if "fast-study" in words else "1"]
        if not {"fast-study", "--out"} & {*words}:
            words += ["--out", f"study-{number}"]
        outcome = call(capsys, *words)
        assert outcome.code == 0, outcome.err
    assert Path("fast-study/report.html").is_file()


def test_the_commands_about_configurations_run_as_they_are_written(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (block,) = re.findall(r"^```sh\n(.*?)^```", CONFIGS, re.MULTILINE | re.DOTALL)
    commands = re.findall(r"^cnnkit ([^\n#]*)", block, re.MULTILINE)
    assert len(commands) == 5
    for command in commands:
        words = [word for word in command.split() if word not in ("--set", "training.epochs=2")]
        small = [word for override in SMALL for word in ("--set", override)] if "train" in words else []
        outcome = call(capsys, *words, *small)
        assert outcome.code == 0, outcome.err


def test_the_lines_of_python_run_as_they_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    code = "".join(re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL))
    Path("tiny.yaml").write_text(TINY, encoding="utf-8")
    draw_my_seven()
    names: dict[str, object] = {}
    exec(code.replace('"fast"', '"tiny.yaml"').replace("seeds=10", "seeds=2"), names)
    assert Path("runs/avg/result.json").is_file()
    assert Path("studies/a/results.json").is_file()
    told = re.sub(r"[\d.]+", "N", capsys.readouterr().out.splitlines()[-1])
    assert f"# {told}\n" in re.sub(r"[\d.]+", "N", README)
    assert names["images"].images.shape[1:] == (1, 8, 8)  # type: ignore[attr-defined]


def test_the_front_page_is_read_in_five_minutes() -> None:
    prose = re.sub(r"^```.*?^```", "", README, flags=re.MULTILINE | re.DOTALL)
    assert 600 < len(prose.split()) < 1200  # an adult reads about 240 words a minute


def quickstart(folder: Path, data: str, *own: str) -> tuple[list[str], list[str]]:
    """What scripts/quickstart prints, and what it asks of a cnnkit that `data mnist` goes so with."""
    (folder / "scripts").mkdir(exist_ok=True)
    shutil.copy(ROOT / "scripts" / "quickstart", folder / "scripts")
    stubs = {"scripts/setup": "#!/bin/sh\n", ".venv/bin/cnnkit": CALLED.format(data=data)}
    for name, text in stubs.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    command = [folder / "scripts/quickstart", *own]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder)
    return done.stdout.splitlines(), (folder / ".venv/bin/cnnkit-calls").read_text().splitlines()


@bash_scripts
def test_the_quickstart_trains_on_mnist_and_evaluates_where_mnist_is_to_be_had(tmp_path: Path) -> None:
    _, calls = quickstart(tmp_path, "echo 60,000 training images")
    assert calls == ["data mnist", "train --config fast", "eval", "play"]


@bash_scripts
def test_the_quickstart_without_network_says_so_in_a_line_and_takes_the_digits(tmp_path: Path) -> None:
    told, calls = quickstart(tmp_path, "{ printf 'fetching\\nerror: no network\\nbring it\\n' >&2; exit 1; }")
    assert calls == ["data mnist", "train --config digits", "eval", "play"]
    (line,) = (line for line in told if "digits" in line)
    assert "no network" in line
    (way_out,) = (line for line in told if "train --config fast" in line)
    assert "CNNKIT_DATA" in way_out


@bash_scripts
def test_the_quickstart_on_own_images_writes_their_configuration_once(tmp_path: Path) -> None:
    (tmp_path / "my photos").mkdir()
    trained = ["train --config runs/my photos.yaml", "eval", "play"]
    _, calls = quickstart(tmp_path, "exit 1", "my photos")
    assert calls == [f"data {tmp_path}/my photos --yaml runs/my photos.yaml", *trained]
    (tmp_path / ".venv/bin/cnnkit-calls").unlink()
    _, calls = quickstart(tmp_path, "exit 1", "my photos/")
    assert calls == trained


@bash_scripts
def test_the_quickstart_without_the_images_that_it_is_to_train_on_says_so(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as failed:
        quickstart(tmp_path, "exit 1", "absent")
    assert failed.value.returncode == 2
    assert "absent: no such folder or file" in failed.value.stderr


def test_the_readme_names_the_two_commands_that_a_newcomer_runs() -> None:
    assert len(COMMANDS) > 8
    for script in ("scripts/quickstart", "scripts/test"):
        assert script in README
        assert (ROOT / script).stat().st_mode & 0o111
