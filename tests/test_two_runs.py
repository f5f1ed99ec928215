"""`cnnkit runs A B` shows what differs between two runs or two studies, and nothing that does not."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from support import call, finished_run, keep_json, kept_json
from test_widths import screen, terminal

from cnnkit.comparison.results import read_results
from cnnkit.comparison.two_runs import side_by_side
from cnnkit.experiment.manifest import write_manifest
from cnnkit.experiment.run_dir import RunDir

Capture = pytest.CaptureFixture[str]
STUDY = Path(__file__).parent / "kept" / "0.1.0" / "study"
SHARD = {"number": 1, "of": 2}


@pytest.fixture(scope="module")
def home(shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs that differ in pooling and seed, one of another seed alone, one that has not ended."""
    home = tmp_path_factory.mktemp("home")
    small = ("training.epochs=1",)
    finished_run(home / "runs" / "max", shared_cache, *small)
    finished_run(home / "runs" / "avg", shared_cache, *small, "model.pooling=avg")
    finished_run(home / "runs" / "seed", shared_cache, *small, "training.seed=7")
    shutil.copytree(home / "runs" / "avg", home / "runs" / "begun")
    (home / "runs" / "begun" / "result.json").unlink()
    shutil.copytree(STUDY, home / "runs" / "study")
    (home / "runs" / "latest").symlink_to("avg")
    return home


@pytest.fixture(autouse=True)
def there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)


def test_only_the_keys_that_differ_are_told_and_every_figure_is_that_of_its_run(capsys: Capture) -> None:
    told = json.loads(call(capsys, "runs", "max", "runs/avg", "--json").out)
    assert told["configuration"] == {"model.pooling": ["max", "avg"]}
    assert (told["environment"], told["kind"]) == ({}, "run")
    results = [RunDir(Path("runs", name)).result for name in ("max", "avg")]
    for key in ("test_accuracy", "test_macro_f1", "parameters", "train_seconds"):
        assert told["result"][key] == [getattr(result, key) for result in results]
    (low, high), accuracy = told["result"]["test_interval"][0], results[0].test_accuracy
    assert low < accuracy < high


@pytest.mark.parametrize(
    ("other", "said"),
    [("avg", "several seeds tell"), ("seed", "only the seed differs: "), ("begun", "")],
)
def test_what_is_said_of_a_difference_depends_on_what_made_it(other: str, said: str, capsys: Capture) -> None:
    out = call(capsys, "runs", "max", other).out
    assert said in out
    assert ("cnnkit compare runs/max/config.yaml --vary model.pooling=max,avg" in out) == (other == "avg")
    assert ("points" in out) == (other != "begun")


def test_what_trackers_are_told_is_no_choice_that_several_seeds_could_judge(tmp_path: Path) -> None:
    shutil.copytree("runs/max", tmp_path / "other")
    config = tmp_path / "other" / "config.yaml"
    config.write_text(config.read_text().replace("tracking: []", "tracking: [mlflow]"))
    write_manifest(config.parent, (config.parent / "result.json").read_bytes())
    found = side_by_side(Path("runs/max"), tmp_path / "other")
    assert found.configuration == {"tracking": [[], ["mlflow"]]}
    assert found.said == ["nothing differs that affects the training: 0.00 points is what chance can make"]


def test_surroundings_are_told_where_they_differ(tmp_path: Path) -> None:
    shutil.copytree("runs/max", tmp_path / "other")
    (tmp_path / "other" / "environment.json").write_text('{"torch": "1.0", "command": ["x"]}')
    write_manifest(tmp_path / "other", (tmp_path / "other" / "result.json").read_bytes())
    found = side_by_side(Path("runs/max"), tmp_path / "other")
    assert found.environment["torch"][1] == "1.0"
    assert not {"command", "started"} & set(found.environment)


def test_two_studies_are_compared_and_a_study_with_a_run_is_not(tmp_path: Path, capsys: Capture) -> None:
    shutil.copytree("runs/study", tmp_path / "other")
    (tmp_path / "other" / "results.json").unlink()
    told = json.loads(call(capsys, "runs", "study", tmp_path / "other", "--json").out)
    results = read_results(STUDY)
    assert told["result"]["state"] == ["finished", "unfinished"]
    assert told["result"]["best"] == [results.best.name, None]
    assert told["result"][f"accuracy of {results.best.name}"] == [results.best.accuracy.mean, None]
    keep_json(tmp_path / "other" / "study.json", kept_json(STUDY / "study.json") | {"shard": SHARD})
    assert side_by_side(STUDY, tmp_path / "other").configuration["shard"] == [None, "1/2"]
    assert "1/2" in call(capsys, "runs", "study", tmp_path / "other").out
    outcome = call(capsys, "runs", "max", "study")
    assert (outcome.code, outcome.err) == (
        2,
        "error: runs/study is a study and runs/max a run: name two of a kind\n",
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("max", "runs/max"), "both names mean runs/max; name two"),
        (("max", "mux"), "mux does not exist, nor does runs/mux; did you mean runs/max?"),
        (("max", "avg", "seed"), "3 are named"),
        (("max", "avg", "--sort", "name"), "--sort does not go with two runs"),
        (("max", "avg", "--filter", "model.pooling=avg"), "--filter does not go with two runs"),
    ],
)
def test_what_cannot_be_compared_is_told(words: tuple[str, ...], told: str, capsys: Capture) -> None:
    outcome = call(capsys, "runs", *words)
    assert (outcome.code, told in outcome.err) == (2, True)


def test_the_table_names_both_and_holds_what_is_shown(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "a.csv"
    assert call(capsys, "runs", "max", "latest", "--csv", file).code == 0
    rows = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
    assert [rows[0]["a"], rows[0]["b"]] == ["runs/max", "runs/avg"]
    assert rows[1] == {"part": "configuration", "key": "model.pooling", "a": "max", "b": "avg"}
    accuracy = next(row for row in rows if row["key"] == "test_accuracy")
    assert float(accuracy["a"]) == RunDir(Path("runs/max")).result.test_accuracy


def test_at_60_columns_both_stand_side_by_side(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal(monkeypatch, 60)
    lines = screen(call(capsys, "runs", "max", "latest").out, 60)
    assert lines[:2] == ["A: runs/max", "B: runs/avg"]
    figures = [line.split() for line in lines if line.startswith(" test accuracy")]
    accuracies = [RunDir(Path("runs", name)).result.test_accuracy for name in ("max", "avg")]
    assert figures == [["test", "accuracy", *(f"{accuracy:.2%}" for accuracy in accuracies)]]
