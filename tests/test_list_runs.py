"""`cnnkit runs` lists what a folder holds, each run and study once, with its own numbers."""

import csv
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from support import Tiny, call, finished_run, own_pooling_file

import cnnkit
from cnnkit.comparison.kept_runs import kept_runs
from cnnkit.comparison.results import read_results
from cnnkit.comparison.runner import StudyInterrupted
from cnnkit.comparison.study import plan_study
from cnnkit.errors import UsageError
from cnnkit.experiment.run_dir import RunDir
from cnnkit.files import write_json
from cnnkit.kept import sealed
from cnnkit.own import sources

Capture = pytest.CaptureFixture[str]
STUDY = Path(__file__).parent / "kept" / "0.1.0" / "study"


@pytest.fixture(scope="module")
def home(shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished runs, one of which lies deeper, one that has not ended, a damaged one, and a study."""
    home = tmp_path_factory.mktemp("home")
    finished_run(home / "max", shared_cache, "training.epochs=1")
    finished_run(home / "deep" / "avg", shared_cache, "training.epochs=3", "model.pooling=avg")
    for name in ("begun", "damaged", "failed"):
        shutil.copytree(home / "max", home / name)
        (home / name / "result.json").unlink()
    (home / "failed" / "failure.txt").write_text("the loss is not finite\n")
    (home / "damaged" / "config.yaml").write_text("model: 7\n")
    shutil.copytree(STUDY, home / "study")
    (home / "latest").symlink_to("max")
    return home


def test_each_run_and_study_is_listed_once_with_its_own_numbers(home: Path) -> None:
    runs = {run.name: run for run in kept_runs(home)}
    assert set(runs) == {"max", "deep/avg", "begun", "damaged", "failed", "study"}
    for name, strategy in (("max", "max"), ("deep/avg", "avg")):
        result, run = RunDir(home / name).result, runs[name]
        assert (run.accuracy, run.seconds) == (result.test_accuracy, result.train_seconds)
        assert (run.strategy, run.state, run.kind) == (strategy, "finished", "run")
    states = {name: runs[name].state for name in ("begun", "damaged", "failed")}
    assert states == {"begun": "unfinished", "damaged": "damaged", "failed": "failed"}
    assert runs["failed"].reason == "the loss is not finite"
    assert runs["damaged"].reason.startswith("config.yaml:1:8: model: ")
    assert {run.reason for run in runs.values() if run.state in ("finished", "unfinished")} == {""}
    results = read_results(STUDY)
    best = max(level.accuracy.mean for level in results.levels)
    assert (runs["study"].accuracy, runs["study"].kind, runs["study"].strategy) == (
        best,
        "study",
        results.key,
    )


def test_filters_hold_all_together(home: Path) -> None:
    def names(*filters: str) -> set[str]:
        return {run.name for run in kept_runs(home, filters)} - {"study"}

    assert names("model.pooling=avg") == {"deep/avg"}
    assert names("training.epochs=1") == {"max", "begun", "failed"}
    assert names("training.epochs=1", "model.pooling=avg") == set()
    for wrong in ("model.poling=avg", "model.pooling"):
        with pytest.raises(UsageError, match="expected KEY=VALUE"):
            names(wrong)


def test_a_filter_reads_values_as_set_does_and_knows_what_key_is_meant(home: Path) -> None:
    def names(text: str) -> set[str]:
        return {run.name for run in kept_runs(home, [text])}

    rate = f"{RunDir(home / 'deep' / 'avg').config.training.learning_rate:g}".removeprefix("0")
    assert "deep/avg" in names(f"training.learning_rate={rate}")
    with pytest.raises(UsageError, match=r"did you mean model\.pooling\?"):
        names("model.poling=avg")
    with pytest.raises(UsageError, match=r"--filter model\.pooling=\[max: .*not YAML"):
        names("model.pooling=[max")


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["model.pooling=avg"], True),
        (["model.pooling={name: soft, beta: 2}"], True),
        (["model.pooling=avg", "model.hidden=[8]"], True),
        (["model.pooling=stride"], False),  # of the base: no network has it
        (["model.pooling=avg", "training.seed=9"], False),
        (["training.epochs=2"], True),
    ],
)
def test_a_filter_finds_a_study_by_the_networks_that_it_compares(
    filters: list[str], found: bool, tiny: Tiny
) -> None:
    values: dict[str, list[Any]] = {
        "model.pooling": ["max", "avg", {"name": "soft", "beta": 2}],
        "model.hidden": [[16], [8]],
    }
    (key, first), (other, second) = values.items()
    plan = plan_study(tiny("model.pooling=stride"), key, first, 2, beside={other: second})
    write_json(Path("all/study/study.json"), sealed(plan.to_file().to_dict()))
    assert [run.name for run in kept_runs(Path("all"), filters)] == ["study"] * found


def test_a_study_that_was_stopped_is_told_with_how_far_it_came(tmp_path: Path) -> None:
    def state() -> str:
        (run,) = kept_runs(tmp_path)
        return run.state

    def stopped(level: str, seed: int) -> float:
        if seed == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return known(level, seed)

    def known(level: str, seed: int) -> float:
        return {"low": 0.5, "near": 0.899, "high": 0.9}[level] + seed % 3 / 1e5

    known.__qualname__ = stopped.__qualname__
    levels = {"level": ["low", "near", "high"]}
    with pytest.raises(StudyInterrupted):
        cnnkit.compare(stopped, levels, max_seeds=9, margin=1e-4, out="study", progress=False)
    assert state() == "6 of at most 27 trials"
    (tmp_path / "study" / "results.json").unlink()
    assert state() == "6 of at most 27 trials"
    study = cnnkit.compare(known, levels, max_seeds=9, margin=1e-4, out="study", progress=False)
    beaten = next(level for level in study.results.levels if level.name == "low")
    assert len(beaten.seeds) < 9
    assert state() == "finished"


def test_the_last_is_the_largest_and_what_is_unknown_comes_after_it(home: Path) -> None:
    accuracies = [run.accuracy for run in kept_runs(home, by="accuracy")]
    known = [accuracy for accuracy in accuracies if accuracy is not None]
    assert accuracies == sorted(known) + [None] * 3
    with pytest.raises(UsageError, match="nothing called 'loss' to sort by"):
        kept_runs(home, by="loss")
    with pytest.raises(UsageError, match="no such folder"):
        kept_runs(home / "none")


def test_the_command_prints_the_list_in_three_forms(home: Path, capsys: Capture) -> None:
    wanted = [run.to_dict() for run in kept_runs(home, by="name")]
    told = call(capsys, "runs", home, "--sort", "name")
    assert told.code == 0
    lines = [line.split() for line in told.out.splitlines()[1:]]
    reasons = [run["name"] + ":" for run in wanted if run["reason"]]
    assert [line[0] for line in lines] == [run["name"] for run in wanted] + reasons
    assert json.loads(call(capsys, "runs", home, "--sort", "name", "--json").out)["runs"] == wanted
    assert call(capsys, "runs", home, "--sort", "name", "--csv", "a.csv").code == 0
    rows = list(csv.DictReader(Path("a.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["name"] for row in rows] == [run["name"] for run in wanted]
    assert float(rows[-1]["accuracy"]) == pytest.approx(wanted[-1]["accuracy"])
    Path("empty").mkdir()
    assert call(capsys, "runs", "empty").out == "no run or study in empty\n"
    none = call(capsys, "runs", home, "--filter", "training.epochs=7")
    assert (none.code, none.out) == (0, f"no run or study in {home} fits\n")


def test_a_damaged_result_is_told_with_its_reason(home: Path, tmp_path: Path) -> None:
    for name, content in (("cut", '{"run":'), ("changed", "")):
        shutil.copytree(home / "max", tmp_path / name)
        text = (tmp_path / name / "result.json").read_text()
        (tmp_path / name / "result.json").write_text(content or text.replace("0.", "1.", 1))
    shutil.copytree(STUDY, tmp_path / "study")
    (tmp_path / "study" / "study.json").write_text("{")
    runs = {run.name: run for run in kept_runs(tmp_path)}
    assert {run.state for run in runs.values()} == {"damaged"}
    reason = "result.json is damaged or was changed: it has another hash than in manifest.json"
    assert (runs["cut"].reason, runs["changed"].reason) == (reason, reason)
    assert runs["study"].reason.startswith("study.json is damaged or was changed: ")


def test_a_damaged_copy_of_own_code_is_told_apart_from_damaged_numbers(
    shared_cache: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own.py"
    run = finished_run(
        tmp_path / "run", shared_cache, "training.epochs=1", f"model.pooling={own_pooling_file(own)}"
    )
    accuracy = RunDir(run).result.test_accuracy
    assert [one.reason for one in kept_runs(tmp_path)] == [""]
    own.unlink()
    (run / "own" / "own.py").write_text("damaged")
    for name in ("numbers", "weights"):
        shutil.copytree(run, tmp_path / name)
    (tmp_path / "numbers" / "result.json").write_text("{}")
    (tmp_path / "weights" / "best.safetensors").write_text("")
    sources._known.clear()  # as in another process
    runs = {one.name: one for one in kept_runs(tmp_path, by="name")}
    assert (runs["run"].state, runs["run"].accuracy) == ("finished", accuracy)
    assert runs["run"].reason == f"no whole copy of {own}:Own in own/; the weights hold its text"
    assert "result.json is damaged" in runs["numbers"].reason
    sources._known.clear()
    shutil.rmtree(tmp_path / "run")
    shutil.rmtree(tmp_path / "numbers")
    (without,) = kept_runs(tmp_path)
    assert without.state == "damaged"
    assert "the kept copy of" in without.reason


def test_a_name_of_any_script_takes_one_line(home: Path, tmp_path: Path, capsys: Capture) -> None:
    names = ["学习 é", "שלום", "a\x1b[31m\nb"]
    for name in names:
        shutil.copytree(home / "max", tmp_path / name)
    lines = call(capsys, "runs", tmp_path).out.splitlines()
    assert len(lines) == 1 + len(names)
    assert all(any(name in line for line in lines) for name in (*names[:2], r"a\x1b[31m\nb"))
    told = json.loads(call(capsys, "runs", tmp_path, "--json").out)["runs"]
    assert sorted(run["name"] for run in told) == sorted(names)
