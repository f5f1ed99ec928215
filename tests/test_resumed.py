"""A study that goes on: every option acts as it says, or is refused; a margin that changes leaves a trace."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY
from support import Here, Outcome, call

from cnnkit.comparison.results import read_results
from cnnkit.comparison.runner import run_study
from cnnkit.comparison.sentence import sentence
from cnnkit.comparison.study import StudyPlan, plan_study
from cnnkit.comparison.verification import verify
from cnnkit.config.load import parse_config
from cnnkit.config.schema import Config
from cnnkit.filenames import RESULTS, STUDY, TRIALS
from cnnkit.report.page import write_report

Tiny = Callable[..., Config]
Capture = pytest.CaptureFixture[str]
VALUES = ["stride", "max"]
pytestmark = pytest.mark.usefixtures("trials_here", "undrawn")


def planned(tiny: Tiny, key: str = "model.pooling", values: list[str] = VALUES, **options: Any) -> StudyPlan:
    return plan_study(tiny("training.epochs=1"), key, values, **{"seeds": 3, "margin": 0.1, **options})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    """A finished study of two poolings and three seeds. No test may change it: copy it."""
    folder = tmp_path_factory.mktemp("resumed") / "study"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared_cache))
        plan = planned(lambda *overrides: parse_config(TINY, "tiny", overrides))
        run_study(plan, folder, Here(folder / TRIALS))
    return folder


@pytest.fixture
def study(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "study"))


def resumed(capsys: Capture, study: Path, *options: object, command: str = "compare-pooling") -> Outcome:
    return call(capsys, command, "--resume", "--out", study, "--workers", 1, *options)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--seeds", 2], "--seeds 2: the study in {study} has 3, and none is dropped"),
        (["--strategies", "max,avg"], "{study} compares stride too, and no value is dropped"),
        (["--strategies", "max"], "two values or more"),
    ],
)
def test_a_study_is_never_made_smaller(
    study: Path, options: list[object], told: str, capsys: Capture
) -> None:
    before = {path: path.read_bytes() for path in study.rglob("*") if path.is_file()}
    outcome = resumed(capsys, study, *options)
    assert outcome.code == 2
    assert told.format(study=study) in outcome.err
    assert {path: path.read_bytes() for path in study.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("options", [("--seeds", 2), ("--vary", "model.pooling=max,avg")])
def test_a_study_that_is_asked_for_anew_is_not_made_smaller_either(
    study: Path, options: tuple[object, ...], tiny_file: Path, capsys: Capture
) -> None:
    line = ("compare", tiny_file, "--set", "training.epochs=1", "--out", study)
    vary = () if "--vary" in options else ("--vary", "model.pooling=stride,max")
    outcome = call(capsys, *line, *vary, *options)
    assert outcome.code == 2
    assert str(study) in outcome.err


def test_more_seeds_and_values_are_added(study: Path, capsys: Capture) -> None:
    assert resumed(capsys, study, "--seeds", 4, "--strategies", "stride,max,avg").code == 0
    results = read_results(study)
    assert results.seeds == [0, 1, 2, 3]
    assert {level.name for level in results.levels} == {"stride", "max", "avg"}


def test_what_is_not_said_again_is_the_study_s_own(study: Path, tiny_file: Path, capsys: Capture) -> None:
    """With its configuration instead of --resume, too: the default margin does not replace the study's."""
    assert resumed(capsys, study, "--margin", 0.5).code == 0
    line = ("compare-pooling", tiny_file, "--set", "training.epochs=1", "--strategies", "stride,max")
    assert call(capsys, *line, "--out", study, "--workers", 1).code == 0
    kept = json.loads((study / STUDY).read_text())
    assert (kept["margin"], kept["seeds"]) == (0.5, 3)


def test_a_study_that_was_to_end_by_itself_may_get_a_fixed_number_of_seeds(
    tiny_file: Path, tmp_path: Path, capsys: Capture
) -> None:
    folder = tmp_path / "study"
    line = ("compare-pooling", tiny_file, "--set", "training.epochs=1", "--strategies", "stride,max")
    assert call(capsys, *line, "--max-seeds", 6, "--margin", 99, "--out", folder, "--workers", 1).code == 0
    assert read_results(folder).seeds == [0, 1, 2, 3]
    for entry in json.loads((folder / STUDY).read_text())["trials"]:
        (folder / TRIALS / entry["folder"]).mkdir(exist_ok=True)  # as a training leaves that was begun ahead
    assert resumed(capsys, folder, "--seeds", 4).code == 0
    assert resumed(capsys, folder, "--seeds", 2).code == 2
    outcome = resumed(capsys, folder, "--seeds", 5)
    assert outcome.code == 0
    results = read_results(folder)
    assert {level.name: level.seeds for level in results.levels} == {name: [0, 1, 2, 3, 4] for name in VALUES}
    assert json.loads((folder / STUDY).read_text())["min_seeds"] is None


def test_poolings_at_the_head_go_on_at_the_head(tiny: Tiny, tmp_path: Path, capsys: Capture) -> None:
    folder = tmp_path / "study"
    run_study(planned(tiny, "model.head", ["max", "avg"]), folder, Here(folder / TRIALS))
    assert resumed(capsys, folder, "--strategies", "max,avg,concat").code == 0
    assert {level.name for level in read_results(folder).levels} == {"max", "avg", "concat"}


def test_a_study_of_another_key_is_no_comparison_of_poolings(
    tiny: Tiny, tmp_path: Path, capsys: Capture
) -> None:
    folder = tmp_path / "study"
    run_study(planned(tiny, "model.dropout", [0, 0.5]), folder, Here(folder / TRIALS))
    outcome = resumed(capsys, folder)
    assert outcome.code == 2
    assert f"cnnkit compare --resume --out {folder}" in outcome.err
    assert resumed(capsys, folder, command="compare").code == 0


def test_a_margin_that_is_changed_after_the_fact_leaves_a_trace(study: Path, capsys: Capture) -> None:
    before = read_results(study)
    said = sentence(before)
    for margin in (40, 0.2):
        outcome = resumed(capsys, study, "--margin", margin)
        assert outcome.code == 0
        assert "The margin was changed after the results were known." in outcome.out
        assert f"With ±0.1 points and 3 seeds: “{said}”" in outcome.out
    results = read_results(study)
    assert [(one.margin, one.seeds) for one in results.history] == [(0.1, [0, 1, 2]), (40, [0, 1, 2])]
    assert results.history[0].sentence == said
    page = write_report(study).read_text(encoding="utf-8")
    heading = page.partition("<h1>")[2].partition("</h1>")[0]
    disclosed = page.partition('<p id="margin-changed">')[2].partition("</p>")[0]
    assert "margin was changed" not in heading
    assert disclosed.startswith("The margin was changed after the results were known.")
    assert said in disclosed
    assert verify(study) == results


def test_the_trace_is_verified(study: Path, capsys: Capture) -> None:
    resumed(capsys, study, "--margin", 40)
    results = read_results(study)
    content = replace(results, history=[]).to_dict()
    (study / RESULTS).write_text(json.dumps(content))
    outcome = call(capsys, "compare", "--verify", study)
    assert outcome.code == 1
    assert "history" in outcome.err


def test_the_same_margin_and_one_given_before_there_are_results_leave_none(
    tiny: Tiny, tmp_path: Path, capsys: Capture, study: Path
) -> None:
    resumed(capsys, study, "--margin", 0.1)
    assert read_results(study).history == []
    shutil.rmtree(study / TRIALS)
    (study / RESULTS).unlink()
    resumed(capsys, study, "--margin", 0.3)
    assert read_results(study).history == []


def test_a_margin_leaves_its_trace_also_where_the_results_were_deleted(study: Path, capsys: Capture) -> None:
    said = sentence(read_results(study))
    (study / RESULTS).unlink()
    resumed(capsys, study, "--margin", 40)
    assert [one.sentence for one in read_results(study).history] == [said]


def test_from_python_what_cannot_act_is_refused_as_well(tiny: Tiny, tmp_path: Path) -> None:
    import cnnkit

    vary = {"model.pooling": ["max", "avg"]}
    with pytest.raises(cnnkit.UsageError, match="workers"):
        cnnkit.compare(tiny(), vary, out=tmp_path / "study", executor="ray", workers=2)
    with pytest.raises(cnnkit.UsageError, match="ray_address"):
        cnnkit.compare(tiny(), vary, out=tmp_path / "study", ray_address="nowhere:1")
    assert not list(tmp_path.iterdir())
