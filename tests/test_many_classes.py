"""More classes than a byte counts, in colour: trained, compared, verified and reported on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support import Here, Tiny
from torch import Tensor

from cnnkit.class_numbers import kept_bytes, kept_type, numbers_in
from cnnkit.cli.console import print_evaluation
from cnnkit.comparison.results import analyse
from cnnkit.comparison.runner import run_study
from cnnkit.comparison.study import plan_study
from cnnkit.comparison.verification import verify
from cnnkit.errors import RunError
from cnnkit.experiment.checkpoints import load_weights
from cnnkit.experiment.measure import measure_split
from cnnkit.experiment.new_run import create_run
from cnnkit.experiment.run_dir import RunDir
from cnnkit.experiment.train import run_experiment
from cnnkit.families.datasets import DATASETS, DatasetInfo
from cnnkit.filenames import LABELS, PREDICTIONS, TRIALS
from cnnkit.random import generator_for
from cnnkit.report.page import write_report

CLASSES = 300
NAME = "tints"


def tints(info: DatasetInfo, paths: object) -> dict[str, Tensor]:
    """Each class is one colour, and each image that colour with a little noise."""
    colours = torch.randint(40, 216, (info.classes, 3, 1, 1), generator=generator_for(0, "tints"))
    tensors = {}
    for split, count in (("train", info.train_images), ("test", info.test_images)):
        labels = torch.arange(count) % info.classes
        noise = torch.randint(-4, 5, (count, *info.shape), generator=generator_for(0, split))
        tensors[f"{split}_images"] = (colours[labels] + noise).to(torch.uint8)
        tensors[f"{split}_labels"] = labels
    return tensors


@pytest.fixture(autouse=True)
def many_classes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    info = replace(
        DATASETS["digits"],
        name=NAME,
        title="tints",
        shape=(3, 8, 8),
        class_names=tuple(f"tint {number}" for number in range(CLASSES)),
        train_images=4 * CLASSES,
        test_images=CLASSES,
        loader=f"{__name__}:{tints.__name__}",
        photographs=True,
    )
    monkeypatch.setitem(DATASETS._entries, NAME, info)


LEARNS = (
    f"data.dataset={NAME}",
    "data.validation=0.25",
    "model.hidden=[]",
    "training.epochs=8",
    "training.learning_rate=0.05",
)


@pytest.mark.parametrize("redrawn", [False, True])
def test_a_study_of_300_classes_is_kept_verified_and_reported(
    tiny: Tiny, tmp_path: Path, redrawn: bool
) -> None:
    config = tiny(*LEARNS, "training.learning_rate=0.05", f"data.resample_test={redrawn}")
    folder = tmp_path / "study"
    plan = plan_study(config, "model.pooling", ["max", "avg"], 2 if redrawn else 1)
    found = run_study(plan, folder, Here(folder / TRIALS), print)
    labels = np.frombuffer((folder / LABELS).read_bytes(), "<u2")
    expected = np.arange((5 if redrawn else 1) * CLASSES) % CLASSES
    assert labels.tolist() == expected.tolist()
    high = 0
    for trial in found.trials:
        run = RunDir(folder / TRIALS / trial.folder)
        taken = np.frombuffer((run.path / PREDICTIONS).read_bytes(), "<u2")
        truth = labels[np.frombuffer(run.tested(), "<u4")] if redrawn else labels
        assert trial.test_accuracy == (taken == truth).mean()
        high += int(((taken == truth) & (truth > 255)).sum())
    assert high > 0
    assert analyse(folder).to_dict() == verify(folder, deep=True).to_dict()
    page = write_report(folder).read_text(encoding="utf-8")
    assert '<body class="as-is">' in page
    assert "of which one in 12 is named" in page
    assert page.count(">tint 24</text>") == 4  # at two sides of two maps


def test_a_run_of_300_classes_knows_what_it_was_trained_on(
    tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny(*LEARNS, "training.learning_rate=0.05")
    run = create_run(config, NAME, tmp_path / "run")
    result = run_experiment(config, run)
    taken = run.predicted(CLASSES)
    assert (taken == np.arange(CLASSES)).mean() == result.test_accuracy
    known = load_weights(run.path).familiarity
    assert known is not None
    assert int(known.classes.max()) > 255
    page = write_report(run.path).read_text(encoding="utf-8")
    assert "on green" in page  # a filter, channel by channel
    assert "laid over the image in grey" in page
    print_evaluation(measure_split(load_weights(run.path), "test").to_dict(), "a run")
    told = capsys.readouterr().out.splitlines()
    assert len(told) < 50
    confused = np.bincount(np.arange(CLASSES) * CLASSES + taken, minlength=CLASSES**2).reshape(CLASSES, -1)
    most = (confused * (1 - np.eye(CLASSES))).max()
    assert (
        told[told.index(next(line for line in told if "taken for" in line)) + 1].split()[-1] == f"{most:.0f}"
    )


@given(st.integers(1, 70_000), st.data())
def test_class_numbers_are_read_as_they_were_kept(classes: int, data: Any) -> None:
    numbers = data.draw(st.lists(st.integers(0, classes - 1), max_size=20))
    raw = kept_bytes(torch.tensor(numbers, dtype=torch.int64), classes)
    assert numbers_in(raw, classes, Path()).tolist() == numbers
    assert len(raw) == len(numbers) * (1 if classes <= 255 else 2 if classes <= 65_535 else 4)


def test_few_classes_take_a_byte_each_as_they_always_did() -> None:
    assert kept_bytes(np.arange(10), 10) == bytes(range(10))
    assert [kept_type(classes).itemsize for classes in (2, 255, 256, 1000)] == [1, 1, 2, 2]


def test_half_a_class_number_is_damage() -> None:
    with pytest.raises(RunError, match=r"predictions\.bin is damaged"):
        numbers_in(kept_bytes([1, 2], 300)[:-1], 300, Path(PREDICTIONS))
