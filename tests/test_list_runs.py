"""`cnnkit runs` lists what a folder holds, each run and study once, with its own numbers."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from support import call, finished_run

from cnnkit.comparison.kept_runs import kept_runs
from cnnkit.comparison.results import read_results
from cnnkit.errors import UsageError
from cnnkit.experiment.run_dir import RunDir

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
    assert [line.split()[0] for line in told.out.splitlines()[1:]] == [run["name"] for run in wanted]
    assert json.loads(call(capsys, "runs", home, "--sort", "name", "--json").out)["runs"] == wanted
    assert call(capsys, "runs", home, "--sort", "name", "--csv", "a.csv").code == 0
    rows = list(csv.DictReader(Path("a.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["name"] for row in rows] == [run["name"] for run in wanted]
    assert float(rows[-1]["accuracy"]) == pytest.approx(wanted[-1]["accuracy"])
    Path("empty").mkdir()
    assert call(capsys, "runs", "empty").out == "no run or study in empty\n"
