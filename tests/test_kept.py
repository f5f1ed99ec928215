"""What version 0.1.0 kept: it still evaluates, resumes, reports and verifies."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support import call, kept_json

from cnnkit.calibrator import Calibrator
from cnnkit.comparison.records import StudyResults
from cnnkit.comparison.results import read_results
from cnnkit.comparison.trial import Trial, with_kept_folders
from cnnkit.comparison.trial_records import TrialResult
from cnnkit.comparison.verification import verify
from cnnkit.config.load import differing_keys, parse_config
from cnnkit.config.schema import Config
from cnnkit.errors import RunError
from cnnkit.experiment.checkpoints import load_weights
from cnnkit.experiment.measure import measure_split
from cnnkit.experiment.run_dir import RunDir
from cnnkit.filenames import REPORT, RESULT, RESULTS, STUDY, TRIALS
from cnnkit.report.curves import HOW_MEASURED

KEPT = Path(__file__).parent / "kept" / "0.1.0"
Tiny = Callable[..., Config]
Told = pytest.CaptureFixture[str]


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A copy, for tests to change."""
    return shutil.copytree(KEPT, tmp_path / "kept")


def results_of(study: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (study / TRIALS).glob(f"*/{RESULT}")}


def test_a_run_still_evaluates_to_its_result(kept: Path, capsys: Told) -> None:
    told = call(capsys, "eval", kept / "run", "--json")
    assert told.code == 0
    assert json.loads(told.out)["accuracy"] == RunDir(kept / "run").result.test_accuracy


def test_an_interrupted_run_ends_as_the_one_that_was_not_interrupted(kept: Path, capsys: Told) -> None:
    assert call(capsys, "train", "--resume", kept / "interrupted").code == 0
    weights, expected = (load_weights(kept / name).model.state_dict() for name in ("interrupted", "run"))
    assert weights.keys() == expected.keys()
    for name, tensor in expected.items():  # another kind of CPU than the one that kept them rounds otherwise
        torch.testing.assert_close(weights[name], tensor, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["run", "study"])
def test_a_report_is_still_drawn(kept: Path, capsys: Told, name: str) -> None:
    assert call(capsys, "report", kept / name).code == 0
    assert (kept / name / REPORT).stat().st_size > 1000


def test_a_study_still_verifies(kept: Path, capsys: Told) -> None:
    assert call(capsys, "compare", "--verify", kept / "study").code == 0


def test_a_whole_study_is_resumed_without_training(kept: Path, capsys: Told) -> None:
    before, results = results_of(kept / "study"), kept_json(kept / "study" / RESULTS)
    assert call(capsys, "compare", "--resume", "--out", kept / "study", "--json").code == 0
    assert results_of(kept / "study") == before
    again = StudyResults.from_dict(kept_json(kept / "study" / RESULTS))
    assert (results["version"], again.version) == (1, 2)
    levels = {level["name"]: level["accuracies"] for level in results["levels"]}
    assert {level.name: level.accuracies for level in again.levels} == levels
    assert again.trials == [TrialResult.from_dict(trial) for trial in results["trials"]]


def test_weights_without_a_temperature_are_measured_without_one(kept: Path) -> None:
    assert load_weights(kept / "run").calibrator == Calibrator()
    told = measure_split(load_weights(kept / "run"), "test").to_dict()["calibration"]
    assert (told["temperature"], told["uniform_share"]) == (None, 0)
    assert told["error"] == told["error_before"]
    assert (RunDir(kept / "run").result.calibration, RunDir(kept / "run").metrics()[0].temperature) == (
        None,
        None,
    )


def test_the_reports_of_runs_without_clean_figures_say_how_theirs_were_measured(
    kept: Path, capsys: Told
) -> None:
    for name in ("run", "study"):
        assert call(capsys, "report", kept / name).code == 0
        page = (kept / name / REPORT).read_text(encoding="utf-8")
        assert HOW_MEASURED["train"] in page
        assert HOW_MEASURED["clean_train"] not in page
        assert "in training</span>" not in page
    assert "no test result that tells how sure" in (kept / "run" / REPORT).read_text(encoding="utf-8")


@pytest.mark.usefixtures("undrawn")
def test_a_study_with_one_more_seed_trains_that_seed_alone(kept: Path, capsys: Told) -> None:
    before = results_of(kept / "study")
    options = ["--seeds", 4, "--workers", 1]
    assert call(capsys, "compare", "--resume", "--out", kept / "study", *options).code == 0
    after = results_of(kept / "study")
    assert {path: after[path] for path in before} == before
    assert len(after) == len(before) + 2
    assert call(capsys, "compare", "--verify", kept / "study").code == 0
    results = read_results(kept / "study")
    known = [trial.clean_train_accuracy is not None for trial in results.trials]
    assert sum(known) == 2  # the new seed's
    assert all(level.train_gap is None for level in results.levels)


def test_only_keys_that_are_not_at_their_defaults_make_a_trial(tiny: Tiny) -> None:
    default = differing_keys(parse_config("data: {dataset: digits, validation: 0.1}"))
    assert default == {"data.dataset": "digits", "data.validation": 0.1, "schema": 2}
    changed = differing_keys(parse_config("data: {dataset: digits, validation: 0.1, augment: {rotate: 7}}"))
    assert changed == default | {"data.augment.rotate": 7}


def test_a_trial_with_other_data_or_another_configuration_is_not_taken_for_the_kept_one(kept: Path) -> None:
    run = next((kept / "study" / TRIALS).iterdir())
    data = json.loads((run / "trial.json").read_text())["hashes"]["data"]
    config = RunDir(run).config
    other = config.model_copy(update={"training": config.training.model_copy(update={"epochs": 3})})
    trials = [Trial("a", config, data), Trial("a", config, "other"), Trial("a", other, data)]
    assert [trial.kept_in for trial in with_kept_folders(trials, run.parent)] == [run.name, "", ""]


def change(path: Path, **values: Any) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, **values}))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        (RESULT, {"parameters": 7}),
        (RESULT, {"train_seconds": 9.0}),
        (RESULT, {"val_accuracy": 0.5}),
        (STUDY, {"seeds": 2}),
        (STUDY, {"margin": 0.7}),
        (STUDY, {"object_sizes": [1, 2]}),
        (STUDY, {"levels": []}),  # here: the first level with other costs
    ],
)
def test_verify_names_the_file_that_was_changed(kept: Path, name: str, values: dict[str, Any]) -> None:
    study = kept / "study"
    path = study / STUDY if name == STUDY else next(iter(sorted((study / TRIALS).iterdir()))) / RESULT
    if "levels" in values:
        levels = json.loads(path.read_text())["levels"]
        values = {"levels": [{**levels[0], "parameters": 1}, *levels[1:]]}
    change(path, **values)
    with pytest.raises(RunError) as failure:
        verify(study)
    assert name in str(failure.value)


def test_verify_compares_the_first_seed_with_the_configuration(kept: Path) -> None:
    text = json.loads((kept / "study" / STUDY).read_text())["config"]
    change(kept / "study" / STUDY, config=text.replace("seed: 0", "seed: 5"))
    with pytest.raises(RunError, match=r"training\.seed is 5, first_seed 0"):
        verify(kept / "study")
