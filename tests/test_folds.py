"""Comparisons whose seeds test on images of their own: folds, and test splits that are drawn anew."""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support import Here, call
from test_sentence import results_of

import cnnkit
from cnnkit.comparison.on_gpu import StackedExecutor
from cnnkit.comparison.pair_records import BETTER, BETTER_HERE, WORSE_HERE, PairResult
from cnnkit.comparison.results import analyse, images_tested
from cnnkit.comparison.runner import run_study
from cnnkit.comparison.sentence import sentence
from cnnkit.comparison.study import StudyPlan, plan_study
from cnnkit.comparison.verdicts import Observed, judge
from cnnkit.comparison.verification import verify
from cnnkit.config.load import with_own_test_images
from cnnkit.config.schema import Config
from cnnkit.errors import RunError, UsageError
from cnnkit.experiment.manifest import write_manifest
from cnnkit.experiment.run_dir import RunDir
from cnnkit.filenames import LABELS, PREDICTIONS, RESULT, TESTED, TRIALS
from cnnkit.report.page import write_report

Tiny = Callable[..., Config]
FOLDS, IMAGES, POOL = 4, 449, 1797
LEVELS = ["stride", "max"]


def study_of(tiny: Tiny, seeds: int, *overrides: str) -> StudyPlan:
    return plan_study(tiny("training.epochs=1", *overrides), "model.pooling", LEVELS, seeds)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("folds") / "study"


@pytest.fixture
def finished(tiny: Tiny, once: Path) -> Path:
    """A study of one round of folds, for all tests to read."""
    if not once.exists():
        run_study(study_of(tiny, FOLDS, f"data.folds={FOLDS}"), once, Here(once / TRIALS))
    return once


def images_in(folder: Path) -> NDArray[np.int64]:
    return np.frombuffer((folder / TESTED).read_bytes(), "<u4").astype(np.int64)


def numbers(count: int) -> bytes:
    return np.arange(count, dtype="<u4").tobytes()


def test_each_level_is_tested_on_each_image_once_and_on_the_same_as_the_others(finished: Path) -> None:
    results = analyse(finished)
    labels = np.frombuffer((finished / LABELS).read_bytes(), np.uint8)
    assert (len(labels), results.pool, results.test_images) == (POOL, POOL, IMAGES)
    by_seed: dict[int, list[bytes]] = {seed: [] for seed in range(FOLDS)}
    for trial in results.trials:
        folder = finished / TRIALS / trial.folder
        by_seed[trial.seed].append((folder / TESTED).read_bytes())
        predictions = np.frombuffer((folder / PREDICTIONS).read_bytes(), np.uint8)
        assert trial.test_accuracy == (predictions == labels[images_in(folder)]).mean()
    assert all(len({*of_seed}) == 1 for of_seed in by_seed.values())
    of_level = [
        images_in(finished / TRIALS / trial.folder) for trial in results.trials if trial.level == "max"
    ]
    assert len(np.unique(np.concatenate(of_level))) == FOLDS * IMAGES


def test_the_error_of_the_images_is_nadeau_and_bengios(finished: Path) -> None:
    results = analyse(finished)
    (pair,) = results.pairs
    one, other = (level.accuracies for level in results.levels)
    variance = np.var(np.subtract(one, other), ddof=1)
    assert pair.image_error == pytest.approx(math.sqrt(variance * IMAGES / (POOL - IMAGES)))


def test_the_error_of_a_level_counts_each_image_once(finished: Path) -> None:
    results = analyse(finished)
    labels = np.frombuffer((finished / LABELS).read_bytes(), np.uint8)
    for level in results.levels:
        right = []
        for trial in (trial for trial in results.trials if trial.level == level.name):
            folder = finished / TRIALS / trial.folder
            right.append(
                np.frombuffer((folder / PREDICTIONS).read_bytes(), np.uint8) == labels[images_in(folder)]
            )
        every = np.concatenate(right)
        assert level.sampling_error == pytest.approx(every.std(ddof=1) / math.sqrt(len(every)))


def test_it_verifies_and_its_page_shows_images_with_the_seeds_that_tested_them(finished: Path) -> None:
    told: list[str] = []
    assert verify(finished, deep=True, told=told.append) == analyse(finished)
    assert any(TESTED in sentence and LABELS in sentence for sentence in told)
    page = write_report(finished).read_text(encoding="utf-8")
    assert "could not be drawn" not in page
    assert f"{IMAGES} test images of {POOL:,}, others with each seed" in page
    assert f"training and test split together are {POOL:,}. They are dealt into {FOLDS} equally" in page
    assert "validation images, held out of those that a seed does not test on" in page
    assert f"e² = V · {IMAGES} / {POOL - IMAGES:,}" in page
    assert "these test images" not in page
    gallery = re.search(r'<section id="gallery">.*?</section>', page, re.DOTALL)
    assert gallery
    assert {*re.findall(r"</svg>(\d+/\d+)</td>", gallery.group())} == {"0/1", "1/1"}


def test_images_that_a_seed_does_not_choose_do_not_verify(tiny: Tiny, tmp_path: Path) -> None:
    run_study(study_of(tiny, 2, f"data.folds={FOLDS}"), tmp_path, Here(tmp_path / TRIALS))
    labels = np.frombuffer((tmp_path / LABELS).read_bytes(), np.uint8)
    folder = next((tmp_path / TRIALS).iterdir())
    kept = images_in(folder)
    place, other = next(  # an image of the same class, beside one that was tested, gives the same accuracy
        (place, other)
        for place, number in enumerate(kept.tolist())
        for other in (number - 1, number + 1)
        if 0 <= other < POOL and other not in kept and labels[other] == labels[number]
    )
    kept[place] = other
    (folder / TESTED).write_bytes(kept.astype("<u4").tobytes())
    write_manifest(folder, (folder / RESULT).read_bytes())
    analyse(tmp_path)
    with pytest.raises(RunError, match=f"{folder.name}/{TESTED} does not name the images that seed"):
        verify(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"123", numbers(IMAGES + 1), numbers(IMAGES)[::-1], numbers(POOL + 1)[-4 * IMAGES :]],
    ids=["empty", "odd", "too many", "falling", "beyond"],
)
def test_a_damaged_list_of_images_is_refused_in_words(content: bytes, tmp_path: Path) -> None:
    (tmp_path / TESTED).write_bytes(content)
    with pytest.raises(RunError, match=f"{TESTED} is damaged: it does not name 449 of 1,797 images"):
        images_tested(RunDir(tmp_path), IMAGES, POOL)


def test_it_goes_on_from_its_folder_and_trains_what_has_lost_its_list(tiny: Tiny, tmp_path: Path) -> None:
    executor, overrides = Here(tmp_path / TRIALS), ["data.resample_test=true"]
    first = run_study(study_of(tiny, 2, *overrides), tmp_path, executor)
    lost = tmp_path / TRIALS / first.trials[0].folder / TESTED
    kept = lost.read_bytes()
    lost.unlink()
    trained: list[str] = []
    executor.fails = lambda trial: trained.append(trial.folder) or ""  # type: ignore[func-returns-value]
    again = run_study(study_of(tiny, 3, *overrides), tmp_path, executor)
    before = {trial.folder for trial in first.trials}
    assert {*trained} & before == {first.trials[0].folder}
    assert lost.read_bytes() == kept
    assert len(again.seeds) == 3
    with pytest.raises(UsageError, match=r"data\.resample_test is True there and False here"):
        run_study(study_of(tiny, 3), tmp_path, executor)


def test_seeds_that_train_together_test_on_their_own_images_too(
    tiny: Tiny, finished: Path, tmp_path: Path
) -> None:
    together = run_study(
        study_of(tiny, FOLDS, f"data.folds={FOLDS}"), tmp_path, StackedExecutor(tmp_path / TRIALS)
    )
    for mine, theirs in zip(together.trials, analyse(finished).trials, strict=True):
        assert mine.hashes
        assert theirs.hashes
        assert mine.hashes["split"] == theirs.hashes["split"]
        ours, alone = tmp_path / TRIALS / mine.folder, finished / TRIALS / theirs.folder
        assert (ours / TESTED).read_bytes() == (alone / TESTED).read_bytes()
        assert mine.test_accuracy == pytest.approx(theirs.test_accuracy, abs=3 / IMAGES)
    verify(tmp_path, deep=True)


def of_small_difference(pool: int) -> PairResult:
    """Two levels whose seeds agree on 2 points."""
    accuracies = np.array([[0.95, 0.951, 0.949, 0.9505] * 3, [0.93, 0.93, 0.93, 0.93] * 3])
    right = np.zeros((2, 12, 1000), bool)
    observed = Observed(["a", "b"], accuracies, np.zeros((2, 12), bool), right, 1000, pool)
    return judge(observed, 0.001)[2][0]


def test_a_lead_that_other_images_could_turn_is_one_on_these_images() -> None:
    assert of_small_difference(5000).verdict == BETTER
    assert of_small_difference(1001).verdict == BETTER_HERE  # hardly any image is left to learn from


def test_the_sentence_of_a_lead_on_these_images_names_no_test_images() -> None:
    told = sentence(replace(results_of({"max": WORSE_HERE}), pool=POOL))
    assert "on these images" in told
    assert "more images would tell whether on others too" in told


@pytest.mark.parametrize(
    ("folds", "max_seeds", "fewest"), [(5, 40, 5), (2, 40, 3), (60, 40, 40), (60, 80, 60)]
)
def test_a_study_until_decided_takes_one_round_of_folds_at_least(
    tiny: Tiny, folds: int, max_seeds: int, fewest: int
) -> None:
    study = plan_study(tiny(f"data.folds={folds}"), "model.pooling", LEVELS, max_seeds=max_seeds)
    assert study.min_seeds == fewest


def test_a_broken_round_of_folds_is_told(tiny: Tiny) -> None:
    def told(seeds: int, *overrides: str) -> bool:
        warnings = study_of(tiny, seeds, f"data.folds={FOLDS}", *overrides).warnings()
        return any("do not test each image equally often" in warning for warning in warnings)

    assert told(6)
    assert told(8, "training.seed=2")
    assert not told(8)
    assert not told(8, "training.seed=4")


def test_writers_who_come_into_both_splits_are_told(tiny: Tiny) -> None:
    def told(*overrides: str) -> bool:
        return any("writers" in warning for warning in study_of(tiny, 10, *overrides).warnings())

    assert told("data.dataset=mnist", "data.resample_test=true")
    assert not told("data.dataset=mnist")
    assert not told("data.dataset=fashion-mnist", "data.folds=5")


def test_what_is_asked_for_is_what_the_seeds_do(tiny: Tiny) -> None:
    assert with_own_test_images(tiny(), 5, False) == tiny("data.folds=5")
    assert with_own_test_images(tiny(), None, True) == tiny("data.resample_test=true")
    assert with_own_test_images(tiny(), None, False) == tiny()
    with pytest.raises(UsageError, match="exclude each other"):
        with_own_test_images(tiny(), 5, True)
    with pytest.raises(cnnkit.ConfigError, match=r"--folds data\.folds=400: .* use at most 179"):
        with_own_test_images(tiny(), 400, False)


def test_the_function_and_the_command_compare_over_folds(
    tiny: Tiny, tiny_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["compare", tiny_file, "--set", "training.epochs=1", "--vary", "model.pooling=stride,max"]
    outcome = call(capsys, *line, "--folds", 2, "--seeds", 2, "--out", tmp_path / "one", "--workers", 1)
    assert outcome.code == 0, outcome.err
    study = cnnkit.compare(
        tiny("training.epochs=1"),
        {"model.pooling": ["stride", "max"]},
        2,
        tmp_path / "two",
        folds=2,
        workers=1,
        progress=False,
    )
    for mine, theirs in zip(
        study.results.trials, cnnkit.open_study(tmp_path / "one").results.trials, strict=True
    ):
        assert (mine.test_accuracy, mine.hashes) == (theirs.test_accuracy, theirs.hashes)


def test_a_run_s_page_shows_the_images_that_it_was_tested_on(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny("training.epochs=1", f"data.folds={FOLDS}", "training.seed=3")
    run = cnnkit.train(config, tmp_path / "run", progress=False)
    page = write_report(run.path).read_text(encoding="utf-8")
    assert "could not be drawn" not in page
    missed = run.result.test_images - run.result.test_correct
    assert missed > 0
    assert f"of {missed:,} missed test images" in page
