"""Comparisons: run, interrupted, resumed, verified."""

import contextlib
import json
import multiprocessing
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TINY
from support import SIGKILL, Here, call, command, exit_code, keep_json, kept_json, posix_signals, start

from cnnkit.comparison import local, runner
from cnnkit.comparison.local import LocalExecutor
from cnnkit.comparison.records import StudyResults
from cnnkit.comparison.results import analyse
from cnnkit.comparison.runner import run_study
from cnnkit.comparison.study import StudyPlan, plan_study
from cnnkit.comparison.trial import Trial
from cnnkit.comparison.verification import verify
from cnnkit.config.load import parse_config
from cnnkit.config.schema import Config
from cnnkit.errors import GpuFailed, Interrupted, RunError, UsageError
from cnnkit.events import StudyBegun, StudyEvent, TrialDone
from cnnkit.experiment.checkpoints import load_weights
from cnnkit.experiment.run_dir import RunDir
from cnnkit.filenames import FAILURE, LABELS, LAST, PREDICTIONS, REPORT, RESULT, RESULTS, STATE, STUDY, TRIALS
from cnnkit.files import write_json
from cnnkit.locks import alone_at
from cnnkit.report.figures import points
from cnnkit.report.page import write_report

Tiny = Callable[..., Config]
LEVELS = ["stride", "max"]


def study_of(tiny: Tiny, seeds: int = 2, levels: list[str] = LEVELS, *overrides: str) -> StudyPlan:
    return plan_study(tiny("training.epochs=1", *overrides), "model.pooling", levels, seeds)


def run(
    study: StudyPlan, folder: Path, workers: int = 2, notify: Callable[[StudyEvent], None] = print
) -> StudyResults:
    return run_study(study, folder, LocalExecutor(folder / TRIALS, workers), notify)


def without_timing(node: Any) -> Any:
    """All that a second run of the same study repeats."""
    if isinstance(node, StudyResults):
        node = node.to_dict()
    if isinstance(node, dict):
        return {key: without_timing(value) for key, value in node.items() if key != "timing"}
    return [without_timing(value) for value in node] if isinstance(node, list) else node


def configured(*overrides: str) -> Config:
    return parse_config(TINY, "tiny", overrides)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    """A study of two levels and three seeds. No test may change it: copy it."""
    folder = tmp_path_factory.mktemp("comparison") / "study"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared_cache))
        run(study_of(configured, 3), folder)
    return folder


@pytest.fixture
def finished(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "study"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Any]:
    """`undisturbed(epochs)`: what four seeds of the two levels come to where nobody disturbs them."""

    @cache
    def results(epochs: int) -> Any:
        study = study_of(configured, 4, LEVELS, f"training.epochs={epochs}")
        return without_timing(run(study, tmp_path_factory.mktemp("undisturbed") / "study"))

    return results


def test_each_level_tells_its_gap_from_training_to_test_images(finished: Path) -> None:
    results = verify(finished)
    for level in results.levels:
        of_level = [trial for trial in results.trials if trial.level == level.name]
        gaps = [(trial.clean_train_accuracy or 0) - (trial.test_accuracy or 0) for trial in of_level]
        assert len(gaps) == 3
        assert level.train_gap is not None
        assert level.train_gap.mean == pytest.approx(np.mean(gaps))
    page = write_report(finished).read_text(encoding="utf-8")
    for level in results.levels:
        assert level.train_gap is not None
        assert points(level.train_gap.mean) in page


def test_a_changed_training_accuracy_does_not_verify(finished: Path) -> None:
    result = next((finished / TRIALS).glob(f"*/{RESULT}"))
    content = json.loads(result.read_text())
    write_json(result, {**content, "clean_train_accuracy": 1.0})
    with pytest.raises(RunError, match=re.escape(f"{result.parent.name}/{RESULT}")):
        verify(finished)


def test_results_follow_from_the_predictions(finished: Path) -> None:
    results = kept_json(finished / RESULTS)
    labels = np.frombuffer((finished / LABELS).read_bytes(), np.uint8)
    assert len(results["trials"]) == 6
    for trial in results["trials"]:
        predictions = np.frombuffer(
            (finished / TRIALS / trial["folder"] / PREDICTIONS).read_bytes(), np.uint8
        )
        assert trial["test_accuracy"] == pytest.approx((predictions == labels).mean())
    for level in results["levels"]:
        accuracies = [t["test_accuracy"] for t in results["trials"] if t["level"] == level["name"]]
        assert level["accuracies"] == accuracies
        assert level["accuracy"]["mean"] == pytest.approx(np.mean(accuracies))
        assert level["seed_deviation"] == pytest.approx(np.std(accuracies, ddof=1))
        assert 0 <= level["accuracy"]["low"] <= level["accuracy"]["mean"] <= level["accuracy"]["high"] <= 1
    best, other = results["levels"]
    assert best["accuracy"]["mean"] >= other["accuracy"]["mean"]
    assert best["to_best"] is None
    assert other["to_best"]["difference"]["mean"] == pytest.approx(
        other["accuracy"]["mean"] - best["accuracy"]["mean"]
    )


def test_every_trial_keeps_what_is_needed_and_no_more(finished: Path) -> None:
    for folder in (finished / TRIALS).iterdir():
        kept = {path.name for path in folder.iterdir()}
        needed = {"config.yaml", "metrics.jsonl", RESULT, "best.safetensors", PREDICTIONS, "trial.json"}
        assert needed <= kept
        assert not kept & {STATE, LAST, FAILURE}
        assert load_weights(folder).config == RunDir(folder).config
        assert (folder / PREDICTIONS).stat().st_size == 360


def test_any_number_of_workers_gives_the_same_results(tiny: Tiny, tmp_path: Path) -> None:
    alone, together = (run(study_of(tiny), tmp_path / str(workers), workers) for workers in (1, 2))
    assert without_timing(alone) == without_timing(together)


def test_verify_finds_nothing_to_complain_of_in_an_untouched_study(finished: Path) -> None:
    assert verify(finished).to_dict() == kept_json(finished / RESULTS)


def change_a_number(folder: Path) -> None:
    results = kept_json(folder / RESULTS)
    results["pairs"][0]["different"] *= 1 + 1e-5
    keep_json(folder / RESULTS, results)


def change_a_prediction(folder: Path) -> None:
    path = next((folder / TRIALS).iterdir()) / PREDICTIONS
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])


def swap_two_trials_predictions(folder: Path) -> None:
    """Which leaves the mean over all trials as it was."""
    first, second = sorted((folder / TRIALS).glob("max-*"))[:2]
    for name in (PREDICTIONS, RESULT):
        a, b = (first / name).read_bytes(), (second / name).read_bytes()
        (first / name).write_bytes(b)
        (second / name).write_bytes(a)


def cut_predictions(folder: Path) -> None:
    path = next((folder / TRIALS).iterdir()) / PREDICTIONS
    path.write_bytes(path.read_bytes()[:-1])


def change_the_costs(folder: Path) -> None:
    for name in (RESULTS, STUDY):
        content = kept_json(folder / name)
        for level in content["levels"]:
            level["macs"] += 1
        keep_json(folder / name, content)


def change_an_accuracy(folder: Path) -> None:
    """By less than what `verify` allows in a statistic."""
    results = kept_json(folder / RESULTS)
    results["trials"][0]["test_accuracy"] += 1e-12
    keep_json(folder / RESULTS, results)


def remove_the_labels(folder: Path) -> None:
    (folder / LABELS).unlink()


@pytest.mark.parametrize(
    "damage",
    [
        change_a_number,
        change_an_accuracy,
        change_a_prediction,
        change_the_costs,
        swap_two_trials_predictions,
        cut_predictions,
        remove_the_labels,
    ],
)
def test_verify_fails_loudly(finished: Path, damage: Callable[[Path], None]) -> None:
    damage(finished)
    with pytest.raises(RunError):
        verify(finished)


def test_running_again_with_more_seeds_and_levels_runs_only_what_is_missing(
    tiny: Tiny, finished: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in (finished / TRIALS).glob(f"*/{RESULT}")}
    done: list[TrialDone] = []
    results = run(
        study_of(tiny, 4, ["stride", "max", "avg"]),
        finished,
        notify=lambda event: done.append(event) if isinstance(event, TrialDone) else None,
    )
    ran = {(event.level, event.seed) for event in done}
    assert ran == {("stride", 3), ("max", 3), *(("avg", seed) for seed in range(4))}
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert results.seeds == [0, 1, 2, 3]


def test_fewer_seeds_and_levels_drop_nothing(tiny: Tiny, finished: Path) -> None:
    before = kept_json(finished / RESULTS)
    assert without_timing(run(study_of(tiny, 1, ["max", "stride"]), finished)) == without_timing(before)


@pytest.mark.parametrize("name", [PREDICTIONS, RESULT, "trial.json"])
@pytest.mark.parametrize("content", [None, b"", b"{}"])
def test_a_trial_that_is_no_longer_whole_is_run_again(
    tiny: Tiny, finished: Path, name: str, content: bytes | None
) -> None:
    before = kept_json(finished / RESULTS)
    path = sorted((finished / TRIALS).iterdir())[0] / name
    path.unlink() if content is None else path.write_bytes(content)
    assert without_timing(run(study_of(tiny, 3), finished)) == without_timing(before)
    assert verify(finished)


@pytest.mark.parametrize(("relative", "fine"), [(1e-7, True), (-1e-7, True), (1e-5, False)])
def test_verify_allows_a_statistic_the_rounding_of_another_scipy_and_no_more(
    finished: Path, relative: float, fine: bool
) -> None:
    results = kept_json(finished / RESULTS)
    assert results["levels"][0]["sampling_error"] > 0.001
    results["levels"][0]["sampling_error"] *= 1 + relative
    keep_json(finished / RESULTS, results)
    with contextlib.nullcontext() if fine else pytest.raises(RunError, match="sampling_error"):
        verify(finished)


def change_a_hash(folder: Path) -> str:
    path = sorted((folder / TRIALS).iterdir())[0] / "trial.json"
    content = json.loads(path.read_text())
    content["hashes"]["split"] = "0" * 64
    write_json(path, content)
    return f"{path.parent.name}/trial.json"


def change_one_wrong_prediction_to_another(folder: Path) -> str:
    """The accuracy stays; the hash of the predictions does not."""
    path = sorted((folder / TRIALS).iterdir())[0] / PREDICTIONS
    labels = np.frombuffer((folder / LABELS).read_bytes(), np.uint8)
    kept = np.frombuffer(path.read_bytes(), np.uint8).copy()
    wrong = int((kept != labels).argmax())
    kept[wrong] = next(c for c in range(10) if c not in (kept[wrong], labels[wrong]))
    path.write_bytes(kept.tobytes())
    return f"{path.parent.name}/{PREDICTIONS}"


def change_the_warnings(folder: Path) -> str:
    content = kept_json(folder / STUDY)
    keep_json(folder / STUDY, {**content, "warnings": ["all is well"]})
    return STUDY


def change_the_labels(folder: Path) -> str:
    """Of an image that the first trial gets right."""
    labels = np.frombuffer((folder / LABELS).read_bytes(), np.uint8).copy()
    kept = np.frombuffer((sorted((folder / TRIALS).iterdir())[0] / PREDICTIONS).read_bytes(), np.uint8)
    labels[int((kept == labels).argmax())] ^= 1
    (folder / LABELS).write_bytes(labels.tobytes())
    return LABELS


def change_the_seconds(folder: Path) -> str:
    path = sorted((folder / TRIALS).iterdir())[0] / RESULT
    write_json(path, json.loads(path.read_text()) | {"train_seconds": 0.001})
    return f"{path.parent.name}/{RESULT}"


@pytest.mark.parametrize(
    "change",
    [
        change_a_hash,
        change_one_wrong_prediction_to_another,
        change_the_warnings,
        change_the_labels,
        change_the_seconds,
    ],
)
def test_verify_names_the_file_that_was_changed(finished: Path, change: Callable[[Path], str]) -> None:
    name = change(finished)
    with pytest.raises(RunError, match=re.escape(name)):
        verify(finished)


@pytest.mark.parametrize("name", ["trial.json", RESULT])
def test_verify_of_a_damaged_trial_is_told_in_words(finished: Path, name: str) -> None:
    (sorted((finished / TRIALS).iterdir())[0] / name).write_text("{}")
    with pytest.raises(RunError):
        verify(finished)


def test_accuracy_by_object_size_is_that_of_every_image_of_that_size(tiny: Tiny, tmp_path: Path) -> None:
    sizes = "size: 16, object_sizes: [6, 9, 12], clutter: 1"
    scene = f"data.scene={{source: digits, {sizes}, train_images: 300, test_images: 200}}"
    study = study_of(tiny, 2, LEVELS, "data.dataset=small-object", scene)
    results = run(study, tmp_path / "study")
    labels = np.frombuffer((tmp_path / "study" / LABELS).read_bytes(), np.uint8)
    for level in results.levels:
        folders = [trial.folder for trial in results.trials if trial.level == level.name]
        right = [
            np.frombuffer((tmp_path / "study" / TRIALS / folder / PREDICTIONS).read_bytes(), np.uint8)
            == labels
            for folder in folders
        ]
        means = {6: np.mean([r[0::3] for r in right]), 9: np.mean([r[1::3] for r in right])}
        found = {row.size: row.mean for row in level.by_object_size}
        assert list(found) == [6, 9, 12]
        assert {size: found[size] for size in means} == pytest.approx(means)


def test_two_processes_are_not_at_one_study_at_once(tiny: Tiny, finished: Path) -> None:
    with alone_at(finished, "study"), pytest.raises(UsageError, match="is at the study in"):
        run(study_of(tiny, 4), finished)


def test_a_failed_trial_is_told_with_its_reason_and_the_others_go_on(tiny: Tiny, tmp_path: Path) -> None:
    study = plan_study(tiny("training.epochs=1"), "training.learning_rate", [0.01, 1e30], 2)
    results = run(study, tmp_path / "study")
    errors = {(trial.level, trial.seed): trial.error or "" for trial in results.trials}
    assert errors["0.01", 0] == errors["0.01", 1] == ""
    assert all("the loss stopped being finite" in errors["1e+30", seed] for seed in (0, 1))
    assert results.levels == []
    assert verify(tmp_path / "study") == analyse(tmp_path / "study")


def test_a_pair_is_judged_over_the_seeds_that_both_have(finished: Path) -> None:
    (sorted((finished / TRIALS).glob("max-seed1-*"))[0] / RESULT).unlink()
    results = analyse(finished)
    seeds = {level.name: level.seeds for level in results.levels}
    assert seeds == {"max": [0, 2], "stride": [0, 1, 2]}
    assert results.seeds == [0, 1, 2]
    accuracies = {
        level.name: dict(zip(level.seeds, level.accuracies, strict=True)) for level in results.levels
    }
    (pair,) = results.pairs
    assert pair.seeds == 2
    sign = 1 if pair.a == "max" else -1
    expected = np.mean([accuracies["max"][seed] - accuracies["stride"][seed] for seed in (0, 2)])
    assert pair.difference.mean == pytest.approx(sign * expected)
    assert results.failed == []  # it has not failed: it is not there


@posix_signals
@pytest.mark.parametrize("number", [SIGKILL, signal.SIGTERM])
def test_a_killed_worker_costs_no_trial(
    tiny: Tiny, tmp_path: Path, undisturbed: Callable[[int], Any], number: signal.Signals
) -> None:
    killed = []

    def kill_one(event: StudyEvent) -> None:
        if isinstance(event, TrialDone) and not killed:
            victim = multiprocessing.active_children()[0]
            killed.append(victim.pid)
            os.kill(victim.pid or 0, number)

    results = run(study_of(tiny, 4), tmp_path / "study", notify=kill_one)
    assert killed
    assert [trial.error for trial in results.trials] == [None] * 8
    assert without_timing(results) == undisturbed(1)


def test_the_report_names_the_value_to_which_the_others_are_matched(tiny: Tiny, tmp_path: Path) -> None:
    base = tiny("training.epochs=1", "model.channels=[12,24]")
    study = plan_study(base, "model.pooling", ["max", "concat"], 1, match="macs")
    heard: list[StudyEvent] = []
    run_study(study, tmp_path, Here(tmp_path / TRIALS), heard.append)
    (begun,) = (event for event in heard if isinstance(event, StudyBegun))
    assert "max, concat, all with the macs of max, 1 seed each" in begun.title
    write_report(tmp_path)
    assert "the same macs as <code>max</code>" in (tmp_path / REPORT).read_text("utf-8")


def test_a_worker_whose_gpu_is_lost_ends_so_that_a_new_one_takes_the_trial(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object) -> None:
        raise GpuFailed("the GPU failed")

    monkeypatch.setattr(local, "run_trial", lost)
    with pytest.raises(SystemExit):
        local._work(tmp_path, Trial("max", tiny(), ""))
    assert not list(tmp_path.rglob(FAILURE))


@posix_signals
@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, 130),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow),
        (SIGKILL, -9),
    ],
)
def test_an_interrupted_study_goes_on_to_the_same_results(
    tiny_file: Path,
    tmp_path: Path,
    undisturbed: Callable[[int], Any],
    number: signal.Signals,
    code: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = [
        "--config",
        tiny_file,
        "--strategies",
        "stride,max",
        "--seeds",
        4,
        "--set",
        "training.epochs=3",
    ]
    process = start(command, tmp_path / "log", "compare-pooling", *options, "--out", tmp_path / "study")
    while process.is_alive() and not list(tmp_path.glob(f"study/{TRIALS}/*/{RESULT}")):
        process.join(0.01)
    assert process.pid
    os.kill(process.pid, number)
    assert exit_code(process) == code
    kept = len(list(tmp_path.glob(f"study/{TRIALS}/*/{RESULT}")))
    assert kept >= 1
    if number != signal.SIGKILL:
        assert f"cnnkit compare --resume --out {tmp_path / 'study'}" in (tmp_path / "log").read_text()
    assert call(capsys, "compare", "--resume", "--out", tmp_path / "study").code == 0
    resumed = kept_json(tmp_path / "study" / RESULTS)
    assert without_timing(resumed) == undisturbed(3)


def interrupted_import(log: Path, *arguments: object) -> None:
    """A target of `start`: Ctrl-C arrives inside an import that is made while the last trial runs."""
    library = Path.cwd() / "library.py"
    library.write_text("import os, signal, time; time.sleep(0.5); os.kill(os.getpid(), signal.SIGINT); 1")
    sys.path.insert(0, str(library.parent))
    done = runner._done
    runner._done = lambda *told: (__import__("library"), done(*told))[1]
    command(log, *arguments)


def test_ctrl_c_inside_an_import_lets_the_running_trial_save(tiny_file: Path, tmp_path: Path) -> None:
    options = ["--config", tiny_file, "--vary", "training.epochs=1,500", "--seeds", 1, "--workers", 2]
    log, folder = tmp_path / "log", tmp_path / "study"
    assert exit_code(start(interrupted_import, log, "compare", *options, "--out", folder)) == 130
    assert f"cnnkit compare --resume --out {folder}" in log.read_text()
    assert len(list(folder.glob(f"{TRIALS}/*/{RESULT}"))) == 1
    assert len(list(folder.glob(f"{TRIALS}/*/{STATE}"))) == 1


def test_the_command_prints_the_answer_and_the_ranked_table(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = call(capsys, "compare", "--resume", "--out", finished)
    results = kept_json(finished / RESULTS)
    assert told.code == 0
    lines = [line.split() for line in told.out.splitlines() if line.strip()]
    for level in results["levels"]:
        (row,) = [line for line in lines if line[0] == level["name"]]
        assert row[1:3] == ["3", f"{level['accuracy']['mean'] * 100:.3f}"]
        assert f"{level['parameters']:,}" in row
    assert "6 of 6 trials are there already" in told.err


def test_json_is_alone_on_standard_output(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = call(capsys, "compare", "--resume", "--out", finished, "--json")
    assert json.loads(told.out) == kept_json(finished / RESULTS)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["compare-pooling"], "name a configuration"),
        (["compare", "--config", "digits"], "--vary KEY"),
        (["compare", "--config", "digits", "--vary", "model.dropout"], "expected KEY=A,B"),
        (["compare", "--config", "digits", "--vary", "model.dropout=0,[", "--seeds", "2"], "not YAML"),
        (["compare", "--config", "digits", "--vary", "model.dropout=0,!!python/name:os 1"], "not allowed"),
        (["compare", "--config", "digits", "--vary", "nothing.here=0,1"], "unknown key 'nothing'"),
        (["compare-pooling", "--config", "digits", "--strategies", "max,mx"], "did you mean 'max'"),
        (["compare-pooling", "--config", "digits", "--strategies", ""], "two values or more"),
        (["compare-pooling", "--config", "digits", "--strategies", "max,max"], "there twice"),
        (
            ["compare-pooling", "--config", "digits", "--where", "head", "--strategies", "stride,max"],
            "unknown value 'stride'",
        ),
        (["compare-pooling", "--config", "digits", "--seeds", "0"], "at least one"),
        (["compare-pooling", "--config", "digits", "--workers", "0"], "expected auto, or a number"),
        (["compare-pooling", "--config", "digits", "--workers", "two"], "expected auto, or a number"),
        (["compare-pooling", "--resume"], "name it with --out"),
        (["compare", "--resume", "--out", "nowhere"], "holds no study"),
        (["compare", "--resume", "--out", "a", "--set", "a=b"], "--set does not go with --resume"),
        (["compare-pooling", "--resume", "--out", "a", "digits"], "CONFIG does not go with --resume"),
        (["compare", "digits", "--vary", "model.dropout=0,0.5", "--vary", "a=1,2"], "unknown key 'a'"),
        (
            ["compare", "digits", "--vary", "model.dropout=0,0.5", "--vary", "model.dropout=0.1"],
            "model.dropout is varied already",
        ),
        (
            ["compare", "digits", "--vary", "model.dropout=0,0.5", "--vary", "model.pooling=max"],
            "error: model.pooling: a comparison needs two values",
        ),
        (
            ["compare", "digits", "--vary", "data.augment={}", "--vary", "data.augment.rotate=0,1"],
            "they set the same",
        ),
        (
            ["compare", "digits", "--vary", "model.dropout=0,0.5", "--vary", "model.pooling=max,[max, max]"],
            "model.pooling: ",
        ),
        (
            ["compare", "digits", "--vary", "model.dropout=0,0.5", "--set", "model.dropout=0.1"],
            "--set model.dropout=0.1 cannot act: model.dropout is what is compared",
        ),
        (["compare-pooling", "digits", "--set", "model.pooling=avg"], "model.pooling is what is compared"),
        (["compare", "--verify", "nowhere"], "is missing"),
    ],
)
def test_bad_usage_is_told_before_any_training(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    outcome = call(capsys, *arguments)
    assert told in outcome.err
    assert outcome.code == (1 if "--verify" in arguments else 2)
    assert not list(tmp_path.iterdir())
    assert outcome.out == ""


def test_a_report_that_cannot_be_drawn_does_not_hide_the_table(
    tiny_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Path, **__: object) -> Path:
        raise RunError("the report cannot be drawn")

    monkeypatch.setattr("cnnkit.report.page.write_report", fail)
    options = ["--strategies", "max,avg", "--seeds", 2, "--workers", 1, "--set", "training.epochs=1"]
    outcome = call(capsys, "compare-pooling", "--config", tiny_file, *options, "--out", tmp_path / "study")
    assert outcome.code == 1
    assert "verdict" in outcome.out
    assert re.search(r"^ max ", outcome.out, re.MULTILINE)
    assert "the report cannot be drawn" in outcome.err


@posix_signals
def test_ctrl_c_that_a_destructor_swallows_stops_the_study_all_the_same(tiny: Tiny, tmp_path: Path) -> None:
    told: list[StudyEvent] = []

    def swallow(event: StudyEvent) -> None:
        told.append(event)
        if isinstance(event, TrialDone):
            with contextlib.suppress(KeyboardInterrupt):  # as Python does with what `__del__` raises
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted, match="cnnkit compare --resume"):
        run(study_of(tiny, 3), tmp_path / "study", 1, swallow)
    assert sum(isinstance(event, TrialDone) for event in told) == 1
