"""No word, number or cell is split, however narrow the terminal is; and one of a thing is not many."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from conftest import TINY
from PIL import Image, ImageDraw
from rich.console import Console
from support import call, finished_run

from cnnkit.api.progress import TrainingProgress, err
from cnnkit.api.study_progress import _standings
from cnnkit.cli.app import app
from cnnkit.cli.console import out, print_confusion
from cnnkit.events import Begun, SeedDone, Standing, StepDone
from cnnkit.report.page import write_report

NARROW, WIDE = (60, 80, 100, 120), 200
SMALL = ("--set", "training.epochs=1", "--set", "runtime.threads=1")
TRAIN = ("train", "--config", "tiny.yaml", *SMALL, "--out")
COMPARE = ("compare", "--config", "tiny.yaml", *SMALL, "--out")
STUDIES = {
    "four": ("--vary", "model.pooling=stride,max,avg,concat", "--seeds", "3"),
    "one": ("--vary", "model.dropout=0,0.5", "--seeds", "1"),
    "two": ("--vary", "model.head=avg,max", "--match", "macs", "--seeds", "2"),
    "keys": ("--vary", "model.pooling=max,concat", "--vary", "model.dropout=0,0.5", "--seeds", "2"),
}
MADE = ("sheet.png", "pooling-avg.png", "net.pt2", "net.pt2.json")  # removed before a command runs again
MANY = 21  # images: more than `predict` gives a line each
SLOW = {"again", "photos", "export"}  # a training, many pictures, a trace: a second or more
TABLE = "level,seed,accuracy\n" + "".join(
    f"{level},{seed},{0.9 + shift + 0.001 * (seed * shift > 0)}\n"
    for level, shift in (("adam_with_a_long_name", 0.01), ("sgd", 0.0))
    for seed in range(4)
)
# What a learner types, also wrongly; each with its exit code.
COMMANDS = (
    (0, *TRAIN, "again"),
    (0, *TRAIN, "again", "--report"),
    (0, "train", "--resume", "run"),
    (0, "eval", "run"),
    (0, "eval", "run/last.safetensors", "--split", "validation"),
    (1, "predict", "run", "seven.png", "no-such-picture.png"),
    (0, "summary", "--config", "fast"),
    (0, "data", "digits"),
    (0, "data", "photos", "--sheet", "sheet.png"),
    (0, "report", "run"),
    (0, "predict", "run", "photos"),
    (0, "probe", "four", "--images", "20"),
    (0, "play", "run"),
    (0, "judge", "table.csv"),
    (0, "pooling", "list"),
    (0, "pooling", "show", "avg"),
    (0, "data", "--cache"),
    (0, "doctor"),
    (0, "export", "run", "--format", "torch", "--check", "8", "--out", "net.pt2"),
    (0, "runs"),
    (0, "runs", "four"),
    *((0, "compare", "--resume", "--out", study) for study in STUDIES),
    (1, *COMPARE, "again", "--vary", "training.learning_rate=0.01,1e30", "--seeds", "1"),
    (0, "compare", "--verify", "one"),
    (0, "config", "list"),
    (0, "config", "keys"),
    (0, "config", "show", "--config", "fast"),
    (0, "config", "check", "tiny.yaml"),
    (2, "config", "check", "tiny.yaml", "wrong.yaml"),
    (2, "train", "--config", "wrong.yaml"),
    (2, "train", "--config", "tiny.yaml", "--set", "model.poolling=avg"),
    (2, *TRAIN, "run"),
    (2, *TRAIN, "run", "--set", "data.validation=1"),
    (2, *TRAIN, "run", "--set", "model.pooling=[max]"),
    (2, *TRAIN, "run", "--set", "model.channels=[4]", "--set", "model.pool_size=[2,2]"),
    (2, "train"),
    (2, "trian"),
    (2, "eval", "nowhere"),
    (2, "compare", "--config", "tiny.yaml"),
    (2, "data", "imagenet"),
)
WRONG = """
model: {channels: [4, 8], kernel_sizes: 3, pooling: mx, hidden: [-16]}
training: {epochs: many, batch_size: 0, learning_rat: 0.01, optimizer: adamw}
runtime: {device: gpu}
"""
# Of an epoch or a trial: what no second training repeats. Of a machine: what is free now.
TIMES = re.compile(r"([\d,]+ +)?[\d.]+ s\b( +[\d,]+)?|[\d.]+ (?=GB free|idle)")
NO_PLURAL = "was|is|has|does|this|times|means"
SINGULAR = re.compile(rf"(?<![\d.,/×-])\b(?:1|one) (?!{NO_PLURAL})\w+s\b(?! of)")


def terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """Standard output and error become a terminal of this width."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(Console, "is_terminal", True)
    for console in (out, err):
        monkeypatch.setattr(console, "width", columns)


def screen(text: str, columns: int) -> list[str]:
    """The lines that a terminal shows, which breaks a longer one where its width ends."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)  # what moves the cursor of a live bar
    return [line[i : i + columns] for line in text.splitlines() for i in range(0, len(line), columns)]


def words(lines: list[str]) -> set[str]:
    """What stands between spaces, frames and bars."""
    return {word for line in lines for word in re.split(r"[\s│╭╮╰╯─━╸╺]+", TIMES.sub("", line)) if word}


def split_words(shown: dict[int, list[str]]) -> dict[int, list[str]]:
    """Per width the words of the widest screen that are not whole in this one, but for long paths."""
    whole = words(shown[WIDE])
    assert whole
    return {
        columns: lost
        for columns in shown
        if (lost := sorted(word for word in whole - words(shown[columns]) if not is_long(word, columns)))
    }


def is_long(word: str, columns: int) -> bool:
    """Of a path with more characters than there is room for beside its name."""
    return word.startswith("/") and len(word) > columns - 20


def named_commands(command: Any, names: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words that lead to each command and group."""
    yield names
    for name, inner in getattr(command, "commands", {}).items():
        yield from named_commands(inner, (*names, name))


@pytest.mark.parametrize("names", list(named_commands(typer.main.get_command(app))), ids=" ".join)
def test_help_splits_no_word(
    names: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = {}
    for columns in (*NARROW, WIDE):
        terminal(monkeypatch, columns)
        shown[columns] = screen(call(capsys, *names, "--help").out, columns)
    assert split_words(shown) == {}


@pytest.mark.parametrize("columns", NARROW)
def test_the_live_bar_is_as_wide_as_there_is_room(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal(monkeypatch, columns)
    monkeypatch.setattr(err, "is_interactive", True)
    with TrainingProgress() as progress:
        progress(Begun("digits", "cpu", 1, 1, epochs=20))
        progress(StepDone(20, 20, 135, 235, 49809.0, 0.1234, 0.95))
        assert progress.bar
        progress.bar.refresh()
    line = next(line for line in screen(capsys.readouterr().err, columns) if "step" in line)
    assert "epoch 20/20, step 135/235 ━━━━━" in line
    assert "loss 0.1234" in line
    assert line.rstrip().endswith(" left")


def test_where_each_level_stands_is_told_at_any_width(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        Standing("concat, activation_first", 0.99213, 7, 0, "the best"),
        Standing("avg, pooling_first", 0.98, 7, 2, "undecided"),
        Standing("stride, activation_first/pooling_first", 0.9, 3, 0, "beaten"),
    ]
    shown = {}
    for columns in (*NARROW, WIDE):
        terminal(monkeypatch, columns)
        err.print(_standings(SeedDone(7, rows, decided=False), "accuracy"))
        shown[columns] = screen(capsys.readouterr().err, columns)
    assert split_words(shown) == {}


@pytest.mark.parametrize(("columns", "named"), [(120, "airplane"), (50, "airpla")])
def test_a_confusion_names_its_classes_whole_where_there_is_room(
    columns: int, named: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal(monkeypatch, columns)
    print_confusion([[3, 0, 0], [1, 5, 0], [0, 0, 7]], ["airplane", "automobile", "weathervane"])
    head = capsys.readouterr().out.splitlines()[1].split()
    assert named in head


def test_a_report_of_one_of_each_thing_calls_nothing_many(tmp_path: Path) -> None:
    small = ("model.channels=[1]", "training.epochs=1", "training.batch_size=512")
    run = finished_run(tmp_path / "run", tmp_path, *small)
    shown = re.sub(r"<[^>]+>", " ", write_report(run).read_text(encoding="utf-8"))
    assert "1 filter" in shown
    assert [SINGULAR.search(line) for line in shown.splitlines() if SINGULAR.search(line)] == []


@pytest.fixture(scope="module")
def empty_pages() -> Iterator[None]:
    """Reports without content, which take no time to draw."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("study_view", "run_view"):
            patch.setattr(f"cnnkit.report.page.{name}", lambda *_: {"damage": [], "failures": {}})
        patch.setattr("cnnkit.report.page.render", lambda *_: "")
        yield


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path, empty_pages: None) -> Path:
    """A folder with the files that `COMMANDS` name."""
    folder = tmp_path_factory.mktemp("kept")
    (folder / "tiny.yaml").write_text(TINY)
    (folder / "wrong.yaml").write_text(WRONG)
    seven = Image.new("L", (60, 60), 255)
    ImageDraw.Draw(seven).line([(15, 12), (45, 12), (25, 48)], fill=0, width=6)
    seven.save(folder / "seven.png")
    (folder / "table.csv").write_text(TABLE)
    for number in range(MANY):
        photo = folder / "photos" / f"{number % 2}" / f"{number}.png"
        photo.parent.mkdir(parents=True, exist_ok=True)
        seven.rotate(number).save(photo)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared_cache))
        patch.chdir(folder)
        for arguments in ((*TRAIN, "run"), *((*COMPARE, name, *study) for name, study in STUDIES.items())):
            patch.setattr("sys.argv", ["cnnkit", *arguments])
            app(standalone_mode=False)
    return folder


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(map(str, command[1:])))
def test_no_output_splits_a_word(
    command: tuple[Any, ...],
    kept: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(kept)
    code, *arguments = command
    shown = {}
    for columns in (80, WIDE) if SLOW & {*arguments} else (*NARROW, WIDE):
        terminal(monkeypatch, columns)
        shutil.rmtree("again", ignore_errors=True)
        for made in MADE:
            Path(made).unlink(missing_ok=True)
        outcome = call(capsys, *arguments)
        assert outcome.code == code, outcome.err
        shown[columns] = screen(outcome.out + outcome.err, columns)
    assert split_words(shown) == {}
    assert SINGULAR.findall("\n".join(shown[WIDE])) == []
