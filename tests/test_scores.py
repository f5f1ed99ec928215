"""Balanced accuracy, macro F1 and class weights against scikit-learn; where they are told and used."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics
from sklearn.utils.class_weight import compute_class_weight
from support import Tiny, call, finished_run

from cnnkit.comparison.verification import _forged
from cnnkit.data.dataset import Splits
from cnnkit.events import EpochRecord
from cnnkit.experiment.run_dir import RunDir
from cnnkit.experiment.train import begin, describe, prepare
from cnnkit.scores import balanced_weights, class_scores, confusion_of
from cnnkit.training.loop import train
from cnnkit.training.state import Training

labels = st.integers(1, 60).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(0, 6), min_size=n, max_size=n)] * 2)
)


@settings(max_examples=200, deadline=None)
@given(pair=labels)
@pytest.mark.filterwarnings("ignore:y_pred contains classes", "ignore:A single label was found")
def test_the_scores_are_scikit_learn_s(pair: tuple[list[int], list[int]]) -> None:
    truth, answers = map(np.array, pair)
    confusion = confusion_of(truth, answers)
    scores, classes = class_scores(confusion), range(len(confusion))
    np.testing.assert_array_equal(confusion, metrics.confusion_matrix(truth, answers, labels=classes))
    expected = metrics.precision_recall_fscore_support(truth, answers, labels=classes, zero_division=0)
    of_classes = (scores.precision, scores.recall, scores.f1, scores.images)
    for ours, theirs in zip(of_classes, expected, strict=True):
        np.testing.assert_allclose(ours, theirs)
    assert scores.balanced_accuracy == pytest.approx(metrics.balanced_accuracy_score(truth, answers))
    macro = metrics.f1_score(truth, answers, average="macro", zero_division=0)
    assert scores.macro_f1 == pytest.approx(macro)


@settings(max_examples=100, deadline=None)
@given(drawn=st.lists(st.integers(0, 6), min_size=1, max_size=60))
def test_balanced_weights_are_scikit_learn_s(drawn: list[int]) -> None:
    present = np.unique(drawn)
    weights = balanced_weights(np.bincount(drawn, minlength=7))
    expected = compute_class_weight("balanced", classes=present, y=np.array(drawn))
    np.testing.assert_allclose(weights[present], expected)
    assert weights.sum() == pytest.approx(weights[present].sum())  # a class without images weighs 0


def uneven(tiny: Tiny, *overrides: str) -> tuple[Training, Splits]:
    """A training on 5 images of class 0, 10 of class 1, and so on."""
    config = tiny(*overrides)
    setting = prepare(config)
    of_train = setting.splits.train.labels
    kept = torch.cat([(of_train == label).nonzero()[: 5 * (label + 1), 0] for label in range(10)])
    splits = replace(setting.splits, train=setting.splits.train[kept])
    return begin(config, setting.placement, splits), splits


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_of_training_weighs_classes_and_no_other_loss_does(tiny: Tiny, smoothing: float) -> None:
    still = ("training.learning_rate=1e-30", "model.dropout=0", "model.batch_norm=false", "training.epochs=1")
    training, splits = uneven(
        tiny,
        "training.class_weights=balanced",
        f"training.label_smoothing={smoothing}",
        "training.batch_size=275",
        *still,
    )
    logits = training.model.eval()(splits.train.images).detach()
    truth = splits.train.labels
    weights = compute_class_weight("balanced", classes=np.arange(10), y=truth.numpy())
    each = torch.from_numpy(weights)[truth].float()
    log = F.log_softmax(logits, 1)
    of_truth = -log.gather(1, truth[:, None])[:, 0] * each
    of_all = -(log * torch.from_numpy(weights).float()).mean(1)
    expected = ((1 - smoothing) * of_truth + smoothing * of_all).sum() / each.sum()
    assert train(training, splits)
    record = training.history[0]
    assert record.train_loss == pytest.approx(expected.item(), rel=1e-4)
    assert record.clean_train_loss == pytest.approx(F.cross_entropy(logits, truth).item(), rel=1e-4)


def test_the_summary_tells_the_smallest_and_the_largest_weight(tiny: Tiny) -> None:
    training, _ = uneven(tiny, "training.class_weights=balanced")
    assert describe(training).title.endswith("max pooling, classes weighted 0.55 to 5.5")
    training, _ = uneven(tiny)
    assert training.class_weights is None
    assert describe(training).title.endswith("max pooling")


def test_balanced_weights_raise_the_recall_of_rare_classes(tiny: Tiny) -> None:
    def rare(weights: str) -> float:
        learning = ("training.epochs=8", "training.batch_size=32", "training.seed=1")
        training, splits = uneven(tiny, f"training.class_weights={weights}", *learning)
        images = splits.train.images[splits.train.labels <= 1]
        seen: list[Any] = []
        train(training, splits, on_epoch=lambda _: seen.append(training.model.eval()(images).softmax(1)))
        return float(seen[-1][:, :2].sum(1).mean().detach())

    assert rare("balanced") > rare("none")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    return finished_run(tmp_path_factory.mktemp("run") / "run", shared_cache, "training.monitor=macro_f1")


def test_both_scores_are_in_the_result_in_the_evaluation_and_in_the_report(
    finished: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = call(capsys, "eval", run, "--json")
    measured = json.loads(outcome.out)
    result = RunDir(run).result
    truth, answers = (
        np.repeat(np.arange(10), np.sum(measured["confusion"], axis=1)),
        np.concatenate([np.repeat(np.arange(10), row) for row in measured["confusion"]]),
    )
    balanced = metrics.balanced_accuracy_score(truth, answers)
    macro = metrics.f1_score(truth, answers, average="macro")
    assert measured["balanced_accuracy"] == result.test_balanced_accuracy == pytest.approx(balanced)
    assert measured["macro_f1"] == result.test_macro_f1 == pytest.approx(macro)
    told = f"{balanced:.2%}, the mean recall of the classes; macro F1 {macro:.2%}"
    assert f"balanced accuracy  {told}" in call(capsys, "eval", run).out
    call(capsys, "report", run)
    page = (run / "report.html").read_text(encoding="utf-8")
    assert f"<dt>macro F1</dt><dd>{macro:.2%}</dd>" in page


def record_of(epoch: int, **validation: float) -> EpochRecord:
    figures = {f"val_{name}": value for name, value in validation.items()}
    return EpochRecord(epoch, epoch, 0.1, 1.0, 0.5, seconds=1.0, images_per_second=1.0, **figures)  # type: ignore[arg-type]


EPOCHS = [
    record_of(1, accuracy=0.9, loss=0.5, balanced_accuracy=0.5, macro_f1=0.5),
    record_of(2, accuracy=0.8, loss=0.2, balanced_accuracy=0.5, macro_f1=0.6),
    record_of(3, accuracy=0.8, loss=0.4, balanced_accuracy=0.7, macro_f1=0.6),
    record_of(4, accuracy=0.9, loss=0.6, balanced_accuracy=0.6, macro_f1=0.7),
]
BEST = {"accuracy": 1, "loss": 2, "balanced_accuracy": 3, "macro_f1": 4}


@pytest.mark.parametrize("monitor", BEST)
def test_the_best_epoch_is_the_one_that_is_monitored_and_verified(monitor: str, tiny: Tiny) -> None:
    best = max(EPOCHS, key=lambda record: record.rank(monitor))
    assert best.epoch == BEST[monitor]
    config = tiny(f"training.monitor={monitor}")
    for epoch in range(1, 5):
        result = SimpleNamespace(**{**vars(best), "best_epoch": epoch, "precision": "float32"})
        names = "epochs train_seconds parameters macs seed dataset train_images val_images test_images"
        for name in names.split():
            setattr(result, name, None)
        run = SimpleNamespace(result=result, metrics=lambda: EPOCHS, config=config, path=Path("run"))
        complaints = [one for one in _forged(cast(RunDir, run)) if "best_epoch" in one]
        assert bool(complaints) == (epoch != BEST[monitor])
