"""An error while something is drawn: the page says so, and all else stands."""

import shutil
from pathlib import Path

import pytest
from support import Here, Tiny, call, finished_run

import cnnkit
from cnnkit.comparison.runner import run_study
from cnnkit.comparison.study import plan_study
from cnnkit.filenames import REPORT, TRIALS

Told = pytest.CaptureFixture[str]
OF_A_RUN = {
    "_curves": ["curves"],
    "reliability_view": ["reliability"],
    "_mistakes": ["confusions", "mistakes"],
    "networks_view": ["filters", "maps"],
    "cropped_evidence": ["evidence"],
    "_masks": ["dropout"],
}
OF_A_STUDY = {
    "activation_plots": ["activations"],
    "curves_view": ["curves"],
    "images_view": ["gallery", "filters", "maps", "evidence"],
    "_statistics": ["seeds", "pairs", "costs"],
    "confusion_view": ["confusions"],
}


def fail(*_: object, **__: object) -> None:
    raise MemoryError("no <room> left\nat all")


def test_a_study_whose_every_trial_failed_has_a_page(tiny: Tiny, tmp_path: Path, capsys: Told) -> None:
    plan = plan_study(tiny("training.epochs=1"), "model.pooling", ["max", "avg"], 2)
    run_study(plan, tmp_path / "study", Here(tmp_path / "study" / TRIALS, lambda _: "out of memory"))
    assert call(capsys, "report", tmp_path / "study").code == 0
    assert "out of memory" in (tmp_path / "study" / REPORT).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    return finished_run(
        tmp_path_factory.mktemp("undrawn") / "run", shared_cache, "training.epochs=1", "model.dropout=0.5"
    )


def assert_told(page: str, sections: list[str]) -> None:
    parts = {text.split('"', 1)[0]: text for text in page.split('<section id="')[1:]}
    told = [
        name for name, text in parts.items() if "could not be drawn: MemoryError: no &lt;room&gt;" in text
    ]
    assert told == sections


@pytest.mark.parametrize("function", OF_A_RUN)
def test_a_part_of_a_runs_page_that_fails_is_told_in_its_place(
    function: str, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: Told
) -> None:
    monkeypatch.setattr(f"cnnkit.report.run.{function}", fail)
    outcome = call(capsys, "report", run)
    assert outcome.code == 0
    for section in OF_A_RUN[function]:
        assert f"{section} could not be drawn: MemoryError" in " ".join(outcome.err.split())
    assert_told((run / "report.html").read_text(encoding="utf-8"), OF_A_RUN[function])


@pytest.mark.parametrize("function", OF_A_STUDY)
def test_a_part_of_a_studys_page_that_fails_is_told_in_its_place(
    function: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Told
) -> None:
    folder = shutil.copytree(Path(__file__).parent / "kept" / "0.1.0" / "study", tmp_path / "study")
    monkeypatch.setattr(f"cnnkit.report.study.{function}", fail)
    assert call(capsys, "report", folder).code == 0
    assert_told((folder / "report.html").read_text(encoding="utf-8"), OF_A_STUDY[function])


def test_a_picture_that_fails_fails_no_training_and_no_evaluation(
    tiny_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: Told
) -> None:
    monkeypatch.setattr("cnnkit.report.curves.draw_curves", fail)
    monkeypatch.setattr("cnnkit.report.confusion.draw_confusion", fail)
    for command in (["train", tiny_file, "--set", "training.epochs=1", "--out", "run"], ["eval", "run"]):
        outcome = call(capsys, *command)
        assert outcome.code == 0
        assert "could not be drawn: MemoryError: no <room> left" in " ".join(outcome.err.split())
    assert cnnkit.open_run("run").result.epochs == 1
