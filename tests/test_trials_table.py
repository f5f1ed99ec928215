"""`trials.csv` has a row for each trial, with the figures that the trial itself has kept."""

import csv
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from conftest import TINY
from support import Here, call, kept_json

import cnnkit
from cnnkit.comparison.runner import run_study
from cnnkit.comparison.study import plan_study
from cnnkit.comparison.study_file import load_study, trial_folder
from cnnkit.comparison.trial import Trial
from cnnkit.config.load import parse_config
from cnnkit.errors import UsageError
from cnnkit.experiment.run_dir import RunDir
from cnnkit.filenames import TRIALS

KEPT = Path(__file__).parent / "kept" / "0.1.0" / "study"


def read(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "trials.csv").read_text(encoding="utf-8").splitlines()))


def fails(trial: Trial) -> str:
    return "no memory" if (trial.level, trial.seed) == ("avg", 1) else ""


@pytest.fixture(scope="module")
def study(shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two poolings, two seeds each; one training failed."""
    folder = tmp_path_factory.mktemp("study") / "study"
    config = parse_config(TINY, "tiny", ["training.epochs=1"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared_cache))
        run_study(
            plan_study(config, "model.pooling", ["max", "avg"], 2), folder, Here(folder / TRIALS, fails)
        )
    return folder


def test_every_trial_has_a_row_with_its_own_figures(study: Path) -> None:
    rows = read(study)
    assert [(row["level"], row["seed"]) for row in rows] == [
        ("max", "0"),
        ("max", "1"),
        ("avg", "0"),
        ("avg", "1"),
    ]
    assert [row["state"] for row in rows] == ["finished", "finished", "finished", "failed"]
    assert (rows[3]["reason"], rows[3]["accuracy"], rows[3]["macs"]) == ("no memory", "", "")
    for row in rows[:3]:
        result = RunDir(trial_folder(study, row["folder"])).result
        figures: dict[str, Any] = {
            "accuracy": result.test_accuracy,
            "balanced_accuracy": result.test_balanced_accuracy,
            "macro_f1": result.test_macro_f1,
            "loss": result.test_loss,
            "val_accuracy": result.val_accuracy,
            "train_accuracy": result.clean_train_accuracy,
            "best_epoch": result.best_epoch,
            "epochs": result.epochs,
            "train_seconds": result.train_seconds,
            "eval_seconds": result.eval_seconds,
            "parameters": result.parameters,
            "macs": result.macs,
        }
        assert {name: float(row[name]) for name in figures} == pytest.approx(figures, rel=1e-6)


def test_the_means_of_the_table_are_those_of_the_results(study: Path) -> None:
    for level in cnnkit.open_study(study).results.levels:
        own = [
            float(row["accuracy"]) for row in read(study) if row["level"] == level.name and row["accuracy"]
        ]
        assert sum(own) / len(own) == pytest.approx(level.accuracy.mean, rel=1e-6)


def test_a_trial_that_was_begun_and_stopped_is_unfinished(study: Path, tmp_path: Path) -> None:
    entry = load_study(study).trials[0]
    copy = shutil.copytree(study, tmp_path / "copy")
    (trial_folder(copy, entry.folder) / "result.json").unlink()
    (copy / "results.json").unlink()
    states = {(row[0], row[1]): row[2] for row in cnnkit.open_study(copy).trials().rows}
    assert states[entry.level, entry.seed] == "unfinished"
    assert sorted(states.values()) == ["failed", "finished", "finished", "unfinished"]


def test_of_several_keys_each_has_a_column_and_no_figure_loses_its_name() -> None:
    def train(chosen: dict[str, Any], seed: int) -> float:
        return 0.5 + 0.01 * chosen["size"] + 0.001 * seed

    keys = {"size": [1, 2], "accuracy": ["a", "b"]}
    study = cnnkit.compare(train, keys, seeds=2, out="own", progress=False)
    rows = read(study.path)
    assert len(rows) == 8
    for row in rows:
        assert row["level"] == f"{row['size']}, {row['accuracy (2)']}"
        wanted = train({"size": int(row["size"])}, int(row["seed"]))
        assert float(row["accuracy"]) == pytest.approx(wanted)
        assert (row["parameters"], row["macs"], row["val_accuracy"]) == ("", "", "")
        assert float(row["train_seconds"]) >= 0


def test_it_is_written_anew_with_the_results_and_is_in_no_checksum(tmp_path: Path) -> None:
    def compare(seeds: int) -> cnnkit.Study:
        return cnnkit.compare(
            lambda value, seed: value + seed / 100, {"a": [0.1, 0.2]}, seeds=seeds, out="own", progress=False
        )

    study = compare(2)
    Path("own/trials.csv").write_text("mine")
    study.verify()
    compare(3)
    assert len(read(study.path)) == 6
    assert "trials.csv" not in str(kept_json(Path("own/results.json"))) + str(
        kept_json(Path("own/study.json"))
    )


def test_a_study_of_an_older_version_has_the_table_too() -> None:
    trials = cnnkit.open_study(KEPT).trials()
    rows = [dict(zip((column.name for column in trials.columns), row, strict=True)) for row in trials.rows]
    assert {row["state"] for row in rows} == {"finished"}
    assert all(0 < row["accuracy"] <= 1 and row["macro_f1"] is None for row in rows)


def test_table_is_a_pandas_frame_of_the_same_rows(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    pandas = ModuleType("pandas")
    pandas.DataFrame = lambda rows, columns: made.append((rows, columns)) or "frame"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pandas", pandas)
    kept = cnnkit.open_study(study)
    assert kept.table() == "frame"
    rows, columns = made[0]
    assert (rows, columns) == ([*kept.trials().rows], [column.name for column in kept.trials().columns])
    assert columns == list(read(study)[0])


def test_without_pandas_it_says_what_is_missing(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match="pip install pandas"):
        cnnkit.open_study(study).table()


def test_real_pandas_takes_it(study: Path) -> None:
    pytest.importorskip("pandas")
    frame = cnnkit.open_study(study).table()
    assert frame.groupby("level").accuracy.count().to_dict() == {"avg": 1, "max": 2}


def test_the_command_writes_the_same_rows_and_the_images_beside_them(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = shutil.copytree(study, tmp_path / "copy")
    assert call(capsys, "report", study, "--csv", "a.csv", "--csv-images", "b.csv").code == 0
    assert Path("a.csv").read_bytes() == (study / "trials.csv").read_bytes()
    assert Path("b.csv").read_text(encoding="utf-8").startswith('"image","truth","seeds","max","avg"')
    twice = call(capsys, "report", study, "--csv", "c.csv", "--csv-images", "c.csv")
    assert (twice.code, "name two files" in twice.err) == (2, True)
