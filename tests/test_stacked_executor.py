"""Comparisons whose seeds train together: the same folders, the same verdicts."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from support import Here
from test_comparison import LEVELS, run, study_of, without_timing
from test_folder import COLOURS, own, taken

import cnnkit.training.loop
from cnnkit.api.study import _executor
from cnnkit.comparison import on_gpu as stacked_executor
from cnnkit.comparison.local import LocalExecutor
from cnnkit.comparison.on_gpu import StackedExecutor
from cnnkit.comparison.records import StudyResults
from cnnkit.comparison.results import analyse
from cnnkit.comparison.runner import run_study
from cnnkit.comparison.study import StudyPlan, plan_study
from cnnkit.comparison.verification import verify
from cnnkit.config.schema import Config
from cnnkit.data.prepare import load_splits
from cnnkit.errors import GpuFailed, Interrupted, OutOfMemory
from cnnkit.events import StudyEvent, TrialDone
from cnnkit.experiment.checkpoints import load_weights
from cnnkit.experiment.run_dir import RunDir
from cnnkit.experiment.train import prepare
from cnnkit.filenames import FAILURE, LAST, PREDICTIONS, RESULT, STATE, TRIALS
from cnnkit.training.device import device_errors_in_words
from cnnkit.training.evaluation import evaluate
from cnnkit.training.stack import Stack
from cnnkit.training.state import Training

Tiny = Callable[..., Config]


def together(
    study: StudyPlan, folder: Path, at_once: int = 32, notify: Callable[[StudyEvent], None] = print
) -> StudyResults:
    return run_study(study, folder, StackedExecutor(folder / TRIALS, at_once), notify)


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The seeds of each stack, as they are made."""
    made: list[tuple[int, ...]] = []

    class Watched(Stack):
        def __init__(self, trainings: Sequence[Training], *rest: Any) -> None:
            made.append(tuple(training.config.training.seed for training in trainings))
            super().__init__(trainings, *rest)

    monkeypatch.setattr(stacked_executor, "Stack", Watched)
    return made


def test_a_study_is_the_same_as_one_by_one(tiny: Tiny, tmp_path: Path) -> None:
    study = study_of(tiny, 3, ["max", "concat"], "data.crop=1")
    found, expected = together(study, tmp_path / "together"), run(study, tmp_path / "alone")
    assert verify(tmp_path / "together") == found
    for mine, theirs in zip(found.trials, expected.trials, strict=True):
        assert mine.error is None
        assert mine.hashes == theirs.hashes
        assert mine.best_epoch == theirs.best_epoch
        assert mine.test_accuracy == pytest.approx(theirs.test_accuracy, abs=1.5 / 360)
        ours, alone = (tmp_path / where / TRIALS / mine.folder for where in ("together", "alone"))
        assert {path.name for path in ours.iterdir()} == {path.name for path in alone.iterdir()}
        assert (ours / "config.yaml").read_bytes() == (alone / "config.yaml").read_bytes()
        assert (ours / "trial.json").read_bytes() == (alone / "trial.json").read_bytes()
        kept = [json.loads((folder / RESULT).read_text()) for folder in (ours, alone)]
        assert kept[0].keys() == kept[1].keys()
        for name in ("parameters", "macs", "seed", "train_images", "val_images", "epochs"):
            assert kept[0][name] == kept[1][name]
        assert len(RunDir(ours).metrics()) == len(RunDir(alone).metrics()) == 1
        weights, others = (load_weights(folder).model.state_dict() for folder in (ours, alone))
        for name in weights:
            torch.testing.assert_close(weights[name], others[name], rtol=1e-2, atol=1e-2)


def test_seeds_of_a_level_train_together_up_to_a_number(
    tiny: Tiny, tmp_path: Path, groups: list[tuple[int, ...]]
) -> None:
    done: list[tuple[str, int]] = []
    together(
        study_of(tiny, 5),
        tmp_path,
        2,
        lambda event: done.append((event.level, event.seed)) if isinstance(event, TrialDone) else None,
    )
    assert groups == [(0, 1), (2, 3), (4,)] * 2
    assert done == [(level, seed) for level in reversed(LEVELS) for seed in range(5)]  # max costs more


def test_seeds_with_equally_many_images_train_together(tmp_path: Path, groups: list[tuple[int, ...]]) -> None:
    photos = taken(tmp_path / "photos")
    rows = ["path,label,group"]  # groups of different sizes, so that a seed cannot hold out just its share
    for name in COLOURS:
        rows += [f"{name}/{number:02}.png,{name},{name}{int(number**0.6)}" for number in range(20)]
    (photos / "all.csv").write_text("\n".join(rows))
    config = own(photos, "data.validation=0.25")
    study = plan_study(config, "model.pooling", LEVELS, 6)
    images = [len(load_splits(config.data, seed).train) for seed in range(6)]
    alike = [tuple(np.flatnonzero(np.equal(images, one)).tolist()) for one in dict.fromkeys(images)]
    assert 1 < len(alike) < 6
    found = together(study, tmp_path / "together")
    assert sorted(groups) == sorted(alike * 2)
    expected = run_study(study, tmp_path / "alone", Here(tmp_path / "alone" / TRIALS), print)
    assert [trial.hashes for trial in found.trials] == [trial.hashes for trial in expected.trials]
    assert verify(tmp_path / "together") == found


def test_only_what_is_missing_is_trained(tiny: Tiny, tmp_path: Path, groups: list[tuple[int, ...]]) -> None:
    together(study_of(tiny, 2), tmp_path)
    groups.clear()
    together(study_of(tiny, 4), tmp_path)
    assert groups == [(2, 3)] * 2


def test_a_folder_holds_the_weights_of_its_best_epoch(tiny: Tiny, tmp_path: Path) -> None:
    study = plan_study(
        tiny("training.epochs=6", "training.learning_rate=0.1", "training.schedule=constant"),
        "model.pooling",
        LEVELS,
        3,
    )
    results = together(study, tmp_path)
    assert any((trial.best_epoch or 6) < 6 for trial in results.trials)
    for trial in results.trials:
        weights = load_weights(tmp_path / TRIALS / trial.folder)
        history = RunDir(weights.source.parent).metrics()
        best = max(history, key=lambda record: (record.val_accuracy, -(record.val_loss or 0)))
        assert best.epoch == trial.best_epoch
        setting = prepare(weights.config)
        measured = evaluate(weights.model, setting.splits.validation, setting.placement)
        assert measured.loss == pytest.approx(best.val_loss)


def test_the_time_of_a_seed_is_its_share(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(10**6))
    monkeypatch.setattr(cnnkit.training.loop.time, "perf_counter", lambda: float(next(ticks)))
    results = together(study_of(tiny, 4), tmp_path)
    seconds = [RunDir(tmp_path / TRIALS / trial.folder).result.train_seconds for trial in results.trials]
    steps = -(-1293 // 128)
    assert seconds == [(steps + 1) / 4] * 8  # the clock is read once a step and at the end


def test_a_level_that_fails_is_told_with_its_reason_and_the_others_go_on(tiny: Tiny, tmp_path: Path) -> None:
    study = plan_study(tiny("training.epochs=1"), "training.learning_rate", [0.01, 1e30], 2)
    results = together(study, tmp_path)
    errors = {(trial.level, trial.seed): trial.error or "" for trial in results.trials}
    assert errors["0.01", 0] == errors["0.01", 1] == ""
    for seed in (0, 1):
        assert "the loss stopped being finite" in errors["1e+30", seed]
    assert len(list(tmp_path.glob(f"{TRIALS}/*/{FAILURE}"))) == 2
    assert verify(tmp_path) == analyse(tmp_path)


def test_what_nobody_foresaw_fails_the_group_and_leaves_a_traceback(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("no such thing")

    monkeypatch.setattr(stacked_executor, "train_together", broken)
    results = together(study_of(tiny, 2), tmp_path)
    assert all("ValueError: no such thing" in (trial.error or "") for trial in results.trials)
    kept = [path.read_text() for path in tmp_path.glob(f"{TRIALS}/*/{FAILURE}")]
    assert len(kept) == 4
    assert all("Traceback" in text for text in kept)


def test_where_memory_does_not_hold_them_all_they_train_in_halves(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_together, tried = stacked_executor.train_together, []

    def narrow(stack: Stack, *rest: Any) -> Any:
        tried.append(len(stack.trainings))
        if len(stack.trainings) > 2:
            raise OutOfMemory("out of memory with batches of 128 images")
        return train_together(stack, *rest)

    monkeypatch.setattr(stacked_executor, "train_together", narrow)
    results = together(study_of(tiny, 5, ["max", "avg"]), tmp_path)
    assert tried == [5, 2, 3, 1, 2] * 2
    assert [trial.error for trial in results.trials] == [None] * 10
    monkeypatch.setattr(stacked_executor, "train_together", train_together)
    whole = together(study_of(tiny, 5, ["max", "avg"]), tmp_path / "whole")
    assert [t.hashes for t in results.trials] == [t.hashes for t in whole.trials]


@pytest.mark.parametrize("place", ["run_epoch", "close_epoch"])
def test_a_gpu_that_is_lost_ends_the_study_which_goes_on_later(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Every later trial of the process would fail, too: none is to be kept as a failure of its own."""
    works, levels = getattr(cnnkit.training.loop, place), set()

    def lost(of: Any, *rest: Any) -> Any:
        levels.add(of.config.model.pooling)
        if len(levels) == 2:
            with device_errors_in_words():
                raise torch.AcceleratorError("CUDA error: unspecified launch failure\nSearch for it")
        return works(of, *rest)

    study = study_of(tiny, 2, ["max", "avg", "stride"])
    monkeypatch.setattr(cnnkit.training.loop, place, lost)
    with pytest.raises(GpuFailed, match=r"launch failure\).*--resume"):
        together(study, tmp_path)
    assert len(levels) == 2
    assert not list(tmp_path.rglob(FAILURE))
    monkeypatch.setattr(cnnkit.training.loop, place, works)
    results = together(study, tmp_path)
    assert [trial.error for trial in results.trials] == [None] * 6


def test_an_interrupted_group_is_trained_anew(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close_epoch, closed = cnnkit.training.loop.close_epoch, []

    def interrupted(*arguments: Any) -> bool:
        closed.append(arguments)
        if len(closed) == 3:  # the second group has begun
            raise KeyboardInterrupt
        return close_epoch(*arguments)

    monkeypatch.setattr(cnnkit.training.loop, "close_epoch", interrupted)
    with pytest.raises(Interrupted, match=re.escape(f"cnnkit compare --resume --out {tmp_path / 'study'}")):
        together(study_of(tiny), tmp_path / "study")
    assert len(list(tmp_path.glob(f"study/{TRIALS}/*/{RESULT}"))) == 2
    monkeypatch.undo()
    resumed = together(study_of(tiny), tmp_path / "study")
    assert len(closed) == 3
    assert without_timing(resumed) == without_timing(together(study_of(tiny), tmp_path / "whole"))


def test_what_a_trial_alone_had_begun_is_trained_anew(tiny: Tiny, tmp_path: Path) -> None:
    before = together(study_of(tiny), tmp_path)
    folder = sorted((tmp_path / TRIALS).iterdir())[0]
    (folder / RESULT).unlink()
    for name in (STATE, LAST, FAILURE):
        (folder / name).write_text("of before")
    assert without_timing(together(study_of(tiny), tmp_path)) == without_timing(before)
    assert not {STATE, LAST, FAILURE} & {path.name for path in folder.iterdir()}
    assert (folder / PREDICTIONS).stat().st_size == 360
    assert json.loads((folder / "environment.json").read_text())["device"] == "cpu"


@pytest.mark.parametrize(
    ("device", "workers", "kind"),
    [
        ("cuda", None, StackedExecutor),
        ("cuda:1", None, StackedExecutor),
        ("cuda", 2, LocalExecutor),
        ("cpu", None, LocalExecutor),
        ("mps", None, LocalExecutor),
    ],
)
def test_on_cuda_a_comparison_trains_its_seeds_together(
    device: str, workers: int | None, kind: type, tmp_path: Path
) -> None:
    study: Any = SimpleNamespace(base=SimpleNamespace(runtime=SimpleNamespace(device=device)))
    with _executor(study, tmp_path, workers, "local", None) as executor:
        assert type(executor) is kind
