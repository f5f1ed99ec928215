"""No option is dropped in silence: it acts, or it is refused with a reason."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from conftest import TINY as TINY_TEXT
from support import Here, call, commands, finished_run, own_pooling_file

from cnnkit.cli import consent
from cnnkit.cli.app import app
from cnnkit.cli.exclusions import NEEDS, exclusions_of
from cnnkit.comparison import forecasts, on_ray
from cnnkit.comparison.local import LocalExecutor
from cnnkit.comparison.runner import run_study
from cnnkit.comparison.study import plan_study
from cnnkit.config.load import parse_config
from cnnkit.data import sources
from cnnkit.errors import UsageError
from cnnkit.events import Forecast
from cnnkit.filenames import RESULT, TRIALS
from cnnkit.own import sources as own_sources
from cnnkit.tracking import delivery

Capture = pytest.CaptureFixture[str]
COMMANDS = {path: one for path, one in commands(typer.main.get_command(app)) if not hasattr(one, "commands")}
SAMPLES = {  # two values of each option that does not take any text
    "--device": ("cpu", "mps"),
    "--seeds": ("2", "3"),
    "--min-seeds": ("3", "4"),
    "--max-seeds": ("5", "6"),
    "--folds": ("4", "5"),
    "--margin": ("0.1", "0.5"),
    "--tune": ("2", "3"),
    "--top": ("1", "2"),
    "--split": ("test", "train"),
    "--format": ("onnx", "torch"),
    "--pixels": ("uint8", "float32"),
    "--check": ("1", "2"),
    "--match": ("none", "macs"),
    "--metric": ("accuracy", "macro_f1"),
    "--executor": ("local", "ray"),
    "--where": ("stages", "head"),
    "--images": ("10", "20"),
    "--track": ("tensorboard", "mlflow"),
}


def samples(parameter: Any) -> tuple[str, str]:
    return SAMPLES.get(parameter.opts[0], ("one", "two"))


def name_of(parameter: Any) -> str:
    return str(
        parameter.opts[0]
        if parameter.param_type_name == "option"
        else parameter.metavar or parameter.name.upper()
    )


def given(command: Any, words: str) -> list[str]:
    """How a command line gives `--option`, `--option value`, or the argument of this metavar."""
    name, _, value = words.partition(" ")
    (parameter,) = (p for p in command.params if name_of(p) == name)
    if parameter.param_type_name == "argument":
        return ["some"]
    return [name] if parameter.is_flag else [name, value or samples(parameter)[0]]


def needed(command: Any) -> list[str]:
    """Something for each argument that a command cannot do without."""
    return ["some" for p in command.params if p.param_type_name == "argument" and p.required]


def single_valued() -> Iterator[tuple[str, Any]]:
    for path, command in COMMANDS.items():
        for parameter in command.params:
            if parameter.param_type_name == "option" and not (parameter.multiple or parameter.is_flag):
                yield path, parameter


def test_an_option_of_one_value_is_not_given_twice(capsys: Capture) -> None:
    for path, parameter in single_valued():
        first, second = samples(parameter)
        for name in parameter.opts:
            words = [*path.split(), *needed(COMMANDS[path]), name, first, f"{parameter.opts[0]}={second}"]
            if not name.startswith("--"):
                words[-1:] = [name, second]
            outcome = call(capsys, *words)
            assert outcome.code == 2, words
            told = f"{parameter.opts[0]} is given as {first} and as {second}"
            assert told in outcome.err, words


def test_an_option_is_never_the_value_of_the_one_before_it(capsys: Capture) -> None:
    for path, parameter in single_valued():
        following = next(p.opts[0] for p in reversed(COMMANDS[path].params) if p.param_type_name == "option")
        outcome = call(capsys, *path.split(), *needed(COMMANDS[path]), parameter.opts[0], following)
        assert outcome.code == 2
        assert f"{parameter.opts[0]} needs a value, and {following} follows it" in outcome.err, path


def test_an_option_may_be_repeated_with_the_same_value(capsys: Capture) -> None:
    assert call(capsys, "summary", "--config", "digits", "--config", "digits", "--json", "--json").code == 0


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("training.epochs=3", "training.epochs=4"),
        ("model.dropout=0.5", "model={channels:[7]}"),
        ("data.augment.zoom=0.1", "data={dataset:digits}"),
    ],
)
def test_a_key_is_not_set_twice(first: str, second: str, capsys: Capture) -> None:
    outcome = call(
        capsys, "config", "show", "digits", "--set", first, "--set", "runtime.threads=1", "-s", second
    )
    assert outcome.code == 2
    assert f"--set {second} replaces --set {first}" in outcome.err


def test_the_same_override_twice_and_a_key_of_a_section_before_it_are_fine(capsys: Capture) -> None:
    overrides = (
        "-s",
        "data.augment={zoom: 0.1}",
        "-s",
        "data.augment.zoom=0.2",
        "-s",
        "data.augment.zoom=0.2",
    )
    outcome = call(capsys, "config", "show", "digits", *overrides)
    assert (outcome.code, "zoom: 0.2" in outcome.out) == (0, True)


def excluding() -> list[tuple[str, str, str]]:
    return [(path, one, other) for path, c in COMMANDS.items() for one, other, _ in exclusions_of(c)]


@pytest.mark.parametrize(("path", "one", "other"), excluding())
def test_options_that_exclude_each_other_are_refused_by_name(
    path: str, one: str, other: str, capsys: Capture, tmp_path: Path
) -> None:
    command = COMMANDS[path]
    outcome = call(capsys, *path.split(), *given(command, one), *given(command, other))
    assert outcome.code == 2
    assert f"{other} does not go with {one}: " in outcome.err
    assert f"leave out {other}" in outcome.err
    assert not list(tmp_path.iterdir())


def test_an_option_that_does_nothing_without_another_is_refused_without_it(capsys: Capture) -> None:
    for path, needs in NEEDS.items():
        for one, other, _ in needs:
            outcome = call(capsys, path, *given(COMMANDS[path], one))
            assert (outcome.code, f"{one} needs {other}: " in outcome.err) == (2, True)


TINY = "{tiny} --set training.epochs=1"
STUDY = "--out study"
TORCH = "--format torch --check 2"
VARY = f"compare {TINY} --vary model.dropout=0,0.5 --seeds 2"
POOLING = f"compare-pooling {TINY} --seeds 2"
# For each option a line that works, or says what is missing, and what is added to it.
ACTS: dict[str, dict[str, tuple[str, str]]] = {
    "train": {
        "CONFIG": ("train --set training.epochs=1", "{tiny}"),
        "--config": ("train --set training.epochs=1", "--config {tiny}"),
        "--set": (f"train {TINY} --out own", "--set model.pooling=avg"),
        "--out": (f"train {TINY}", "--out own"),
        "--resume": ("train", "--resume {run}"),
        "--root": (f"train {TINY} --out own", "--root {tmp}"),
        "--trust": ("train --resume {own}", "--trust"),
        "--device": (f"train {TINY} --out own", "--device cuda:99"),
        "--report": (f"train {TINY} --out own", "--report"),
        "--play": (f"train {TINY} --out own", "--play"),
        "--track": (f"train {TINY} --out own", "--track tensorboard"),
        "--json": (f"train {TINY} --out own", "--json"),
        "--yes": (f"train {TINY} --out own", "--yes"),
        "--quiet": (f"train {TINY} --out own", "--quiet"),
    },
    "eval": {
        "RUN": ("eval", "{run}"),
        "--split": ("eval {run}", "--split train"),
        "--data": ("eval {run}", "--data {tmp}"),
        "--root": ("eval {run}", "--root {tmp}"),
        "--trust": ("eval {own}", "--trust"),
        "--csv": ("eval {run}", "--csv {tmp}/a.csv"),
        "--device": ("eval {run}", "--device cuda:99"),
        "--json": ("eval {run}", "--json"),
    },
    "predict": {
        "[RUN] IMAGE": ("predict", "{run} {tmp}/none.png"),
        "--top": ("predict {run} {picture}", "--top 1"),
        "--save-seen": ("predict {run} {picture}", "--save-seen {tmp}/seen"),
        "--csv": ("predict {run} {picture}", "--csv {tmp}/a.csv"),
        "--trust": ("predict {own} {picture}", "--trust"),
        "--device": ("predict {run} {picture}", "--device cuda:99"),
        "--json": ("predict {run} {picture}", "--json"),
    },
    "export": {
        "RUN": (f"export {TORCH}", "{run}"),
        "--format": ("export {run}", "--format torch"),
        "--out": (f"export {{run}} {TORCH}", "--out own.pt2"),
        "--pixels": (f"export {{run}} --out own.pt2 {TORCH}", "--pixels float32"),
        "--check": ("export {run} --out own.pt2 --format torch", "--check 1"),
        "--int8": (f"export {{run}} --out own.pt2 {TORCH}", "--int8"),
        "--root": ("export {run} --out own.pt2 --format torch", "--root {tmp}/none"),
        "--trust": ("export {own} --out own.pt2 --format torch --check 2", "--trust"),
        "--json": (f"export {{run}} --out own.pt2 {TORCH}", "--json"),
    },
    "judge": {
        "TABLE": ("judge", "{picture}"),
        "--margin": ("judge {table} --out own", "--margin 0.5"),
        "--out": ("judge {table}", "--out own"),
        "--json": ("judge {table}", "--json"),
    },
    "runs delete": {
        "NAME...": ("runs delete", "{study}"),
        "--yes": ("runs delete {study}", "--yes"),
    },
    "runs list": {
        "[FOLDER | A B]": ("runs", "{run}"),
        "--filter": ("runs {run}", "--filter model.pooling=avg"),
        "--sort": ("runs {run}", "--sort nothing"),
        "--csv": ("runs {run}", "--csv {tmp}/a.csv"),
        "--json": ("runs {run}", "--json"),
    },
    "summary": {
        "CONFIG": ("summary", "{tiny}"),
        "--config": ("summary", "--config {tiny}"),
        "--set": ("summary {tiny}", "--set model.pooling=concat"),
        "--json": ("summary {tiny}", "--json"),
    },
    "compare": {
        "CONFIG": ("compare --vary model.dropout=0,0.5", "{tiny}"),
        "--config": ("compare --vary model.dropout=0,0.5", "--config {tiny}"),
        "--set": (f"{VARY} {STUDY}", "--set model.pooling=avg"),
        "--vary": (f"compare {TINY} {STUDY}", "--vary model.dropout=0,0.5"),
        "--verify": ("compare", "--verify {tmp}"),
        "--merge": ("compare --out study", "--merge {study}"),
        "--deep": ("compare --verify {study}", "--deep"),
        "--resume": (f"compare {STUDY}", "--resume"),
    },
    "compare-pooling": {
        "CONFIG": ("compare-pooling", "{tiny}"),
        "--config": ("compare-pooling", "--config {tiny}"),
        "--set": (f"{POOLING} {STUDY}", "--set model.pool_size=1"),
        "--strategies": (f"{POOLING} {STUDY}", "--strategies max,avg"),
        "--where": (f"{POOLING} {STUDY}", "--where head"),
        "--orders": (f"{POOLING} {STUDY}", "--orders"),
        "--resume": (f"compare-pooling {STUDY}", "--resume"),
    },
    "report": {
        "DIR": ("report", "{run}"),
        "--csv": ("report {study}", "--csv {tmp}/a.csv"),
        "--csv-images": ("report {study}", "--csv-images {tmp}/a.csv"),
        "--root": ("report {run}", "--root {tmp}/none"),
        "--trust": ("report {own}", "--trust"),
    },
    "probe": {
        "STUDY": ("probe", "{study}"),
        "--images": ("probe {study}", "--images 3"),
        "--device": ("probe {study} --images 3", "--device cuda:99"),
        "--root": ("probe {study} --images 3", "--root {tmp}/none"),
        "--trust": ("probe {own_study} --images 3", "--trust"),
        "--json": ("probe {study} --images 3", "--json"),
    },
    "play": {
        "[RUN|STUDY]...": ("play", "{run}"),
        "--out": ("play {run}", "--out own.html"),
        "--root": ("play {run} --out own.html", "--root {tmp}/none"),
        "--float32": ("play {run} --out own.html", "--float32"),
        "--open": ("play {run} --out own.html", "--open"),
    },
    "data": {
        "[NAME|PATH]": ("data", "digits"),
        "--root": ("data mnist", "--root {tmp}/none"),
        "--sheet": ("data digits", "--sheet sheet.png"),
        "--yaml": ("data digits", "--yaml own.yaml"),
        "--cache": ("data", "--cache"),
        "--clear": ("data --cache", "--clear"),
        "--json": ("data digits", "--json"),
    },
    "doctor": {"--json": ("doctor", "--json")},
    "pooling new": {"FILE.py": ("pooling new", "{tmp}/a.py")},
    "pooling list": {},
    "pooling show": {"NAME": ("pooling show", "max")},
    "config list": {},
    "config schema": {},
    "config keys": {},
    "config show": {
        "CONFIG": ("config show", "{tiny}"),
        "--config": ("config show", "--config {tiny}"),
        "--set": ("config show {tiny}", "--set model.pooling=avg"),
    },
    "config copy": {
        "NAME": ("config copy", "digits"),
        "PATH": ("config copy digits", "own.yaml"),
        "--config": ("config copy", "--config digits"),
    },
    "config check": {
        "CONFIG...": ("config check", "digits"),
        "--config": ("config check", "--config digits"),
    },
}
for path, line in (("compare", VARY), ("compare-pooling", POOLING)):
    ACTS[path] |= {
        "--seeds": (f"{line.replace('--seeds 2', '')} {STUDY}", "--seeds 3"),
        "--shard": (f"{line} {STUDY}", "--shard 1/2"),
        "--min-seeds": (f"{line.replace('--seeds 2', '')} {STUDY}", "--min-seeds 4"),
        "--max-seeds": (f"{line.replace('--seeds 2', '')} {STUDY}", "--max-seeds 5"),
        "--folds": (f"{line} {STUDY}", "--folds 5"),
        "--resample-test": (f"{line} {STUDY}", "--resample-test"),
        "--match": (f"{line} {STUDY}", "--match macs"),
        "--metric": (f"{line} {STUDY}", "--metric macro_f1"),
        "--margin": (f"{line} {STUDY}", "--margin 0.5"),
        "--tune": (f"{line} {STUDY}", "--tune 2"),
        "--tune-keys": (f"{line} {STUDY} --tune 2", "--tune-keys training.weight_decay"),
        "--workers": (f"{line} {STUDY}", "--workers 7"),
        "--executor": (f"{line} {STUDY}", "--executor ray"),
        "--ray-address": (f"{line} {STUDY} --executor ray", "--ray-address nowhere:1"),
        "--out": (line, STUDY),
        "--probe": (f"{line} {STUDY}", "--probe"),
        "--root": (f"{line} {STUDY}", "--root {tmp}"),
        "--yes": (f"{line} {STUDY}", "--yes"),
        "--trust": (f"{line} {STUDY}", "--trust"),
        "--play": (f"{line} {STUDY}", "--play"),
        "--track": (f"{line} {STUDY}", "--track tensorboard"),
        "--json": (f"{line} {STUDY}", "--json"),
    }


def test_every_option_of_every_command_is_shown_to_act() -> None:
    assert {path: {name_of(p) for p in one.params} for path, one in COMMANDS.items()} == {
        path: set(options) for path, options in ACTS.items()
    }


@pytest.fixture(scope="module")
def run(shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, for every test to read."""
    folder = finished_run(tmp_path_factory.mktemp("finished") / "run", shared_cache, "training.epochs=1")
    for name in ("best.onnx", "best.pt2"):
        (folder / name).touch()  # so that an export without --out is refused, and names it
    return folder


@pytest.fixture(scope="module")
def own_run(shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose pooling is a person's own; only its test is missing."""
    folder = tmp_path_factory.mktemp("own")
    pooling = own_pooling_file(folder / "own.py")
    run = finished_run(folder / "run", shared_cache, "training.epochs=1", f"model.pooling={pooling}")
    (run / RESULT).unlink()
    own_sources._trusted.clear()
    return run


@pytest.fixture(scope="module")
def own_study(shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of a person's own pooling and max, one seed each."""
    folder = tmp_path_factory.mktemp("own-study")
    pooling = own_pooling_file(folder / "own.py")
    plan = plan_study(
        parse_config(TINY_TEXT, "tiny", ["training.epochs=1"]), "model.pooling", [pooling, "max"], 1
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared_cache))
        run_study(plan, folder / "study", Here(folder / "study" / TRIALS))
    own_sources._trusted.clear()
    return folder / "study"


OWN = {"own": "own_run", "own_study": "own_study"}


@pytest.fixture
def dry(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network; a comparison plans its trials and says how many run side by side, but trains none.

    However short a training is, it is warned of.
    """
    begin = LocalExecutor.__init__

    def told(self: LocalExecutor, home: Path, workers: int | None) -> None:
        typer.echo(f"side by side: {workers}")
        begin(self, home, workers)

    def refuse(address: str | None) -> None:
        raise UsageError(f"no cluster at {address}")

    def fail(*_: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(consent, "LONG", 0.0)
    monkeypatch.setattr(forecasts, "forecast_of", lambda *_: Forecast(50.0))
    monkeypatch.setattr("webbrowser.open", lambda address: typer.echo(f"shown: {address}") is None)
    monkeypatch.setattr(LocalExecutor, "__init__", told)
    monkeypatch.setattr(LocalExecutor, "run", lambda *_: (none for none in ()))
    monkeypatch.setattr(on_ray, "ray_cluster", refuse)
    monkeypatch.setattr(delivery, "is_installed", lambda _: False)
    monkeypatch.setattr(sources, "_fetch_once", fail)


def seen(capsys: Capture, folder: Path, line: str, **places: Path) -> Any:
    """What a person sees of a command: its exit code, what it prints and which files it leaves.

    Figures, which times change, are left out, except in the plan of a study.
    """
    before = set(folder.rglob("*"))
    outcome = call(capsys, *line.format(tmp=folder, **places).split())
    files = set(folder.rglob("*")) - before
    plans = [path.read_text() for path in sorted(files) if path.name == "study.json"]
    names = {path.relative_to(folder).parts[0] for path in files}, {path.suffix for path in files}
    for path in sorted(files, reverse=True):
        path.unlink() if path.is_symlink() or path.is_file() else path.rmdir()
    texts = [re.sub(r"[\d.,:\s]+", " ", text) for text in (outcome.out, outcome.err)]
    return outcome.code, *texts, names, plans


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("place")


@pytest.fixture
def tmp_path(place: Path) -> Iterator[Path]:
    """The same empty folder for each test: what is seen in one can be compared with what another saw."""
    yield place
    for path in place.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


ALONE: dict[str, Any] = {}  # what was seen of a line without the option, twice the same


@pytest.mark.parametrize(
    ("line", "option"), [lines for options in ACTS.values() for lines in options.values()]
)
@pytest.mark.usefixtures("dry")
def test_an_option_acts(
    line: str,
    option: str,
    run: Path,
    picture: Path,
    tiny_file: Path,
    tmp_path: Path,
    capsys: Capture,
    request: pytest.FixtureRequest,
) -> None:
    kept = Path(__file__).parent / "kept" / "0.1.0" / "study"
    study = shutil.copytree(kept, tmp_path / "kept") if "{study}" in line + option else kept
    table = tmp_path / "table.csv"
    table.write_text("level,seed,accuracy\na,0,0.5\nb,0,0.6\na,1,0.51\nb,1,0.602\n")
    places = {"run": run, "picture": picture, "tiny": tiny_file, "study": study, "table": table}
    places |= {name: request.getfixturevalue(f) for name, f in OWN.items() if f"{{{name}}}" in line}
    if line not in ALONE:
        ALONE[line] = seen(capsys, tmp_path, line, **places)
        assert seen(capsys, tmp_path, line, **places) == ALONE[line]  # or else any option would seem to act
    assert seen(capsys, tmp_path, f"{line} {option}", **places) != ALONE[line]
