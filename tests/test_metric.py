"""Comparisons that are decided by balanced accuracy or macro F1."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support import Here, call
from test_sentence import results_of

import cnnkit
from cnnkit.cli.study_options import Metric
from cnnkit.comparison.can_tell import few_of_a_class
from cnnkit.comparison.pair_records import BETTER, BETTER_HERE, WORSE, WORSE_HERE
from cnnkit.comparison.results import analyse, read_results
from cnnkit.comparison.runner import run_study
from cnnkit.comparison.sentence import sentence
from cnnkit.comparison.study import StudyPlan, plan_study
from cnnkit.comparison.tuning import PointResult, Tuning, best_point, changes
from cnnkit.comparison.verdicts import Observed, judge
from cnnkit.comparison.verification import verify
from cnnkit.config.schema import Config
from cnnkit.config.training import MONITORS
from cnnkit.errors import UsageError
from cnnkit.experiment.run_dir import RunDir
from cnnkit.filenames import TRIALS
from cnnkit.image_error import image_error
from cnnkit.report.page import write_report
from cnnkit.scores import METRICS, class_scores, confusion_of, image_scores, image_share
from cnnkit.stats import sampling_error

Tiny = Callable[..., Config]
OTHERS = ("balanced_accuracy", "macro_f1")
LEVELS = ["stride", "max"]


def test_every_metric_is_an_option_and_may_be_monitored() -> None:
    assert [*METRICS] == [metric.value for metric in Metric]
    assert {*METRICS} < {*MONITORS}


def answered(
    truth: NDArray[np.int64], chance: float, generator: np.random.Generator, classes: int
) -> NDArray[np.int64]:
    """Wrong with this chance, for a class beside the true one more often than for others."""
    aside = generator.integers(1, 3, len(truth))
    return np.where(generator.random(len(truth)) < chance, (truth + aside) % classes, truth)


@pytest.mark.parametrize("metric", METRICS)
def test_the_scores_of_images_have_the_metric_as_their_mean(metric: str) -> None:
    generator = np.random.default_rng(0)
    for classes in (2, 3, 7):
        truth = generator.choice(classes, 200, p=generator.dirichlet(np.ones(classes)))
        answers = answered(truth, 0.4, generator, classes + 1)  # also a class that has no images
        scores = image_scores(metric, truth, answers)
        of_classes = class_scores(confusion_of(truth, answers))
        expected = (truth == answers).mean() if metric == "accuracy" else getattr(of_classes, metric)
        assert scores.mean() == pytest.approx(expected, rel=1e-12)


def test_one_more_right_image_of_a_class_puts_its_share_into_the_metric() -> None:
    sizes = np.array([50, 10, 5])
    truth = np.repeat(np.arange(3), sizes)
    steps = []
    for image in range(len(truth)):
        answers = truth.copy()
        answers[image] = (truth[image] + 1) % 3
        steps.append(1 - class_scores(confusion_of(truth, answers)).balanced_accuracy)
    assert image_share("balanced_accuracy", sizes) == pytest.approx(math.sqrt(np.mean(np.square(steps))))
    assert image_share("accuracy", sizes) == pytest.approx(1 / 65)
    assert image_share("macro_f1", [7, 7, 7, 0]) == pytest.approx(1 / 21)
    assert image_share("balanced_accuracy", sizes, 13) == pytest.approx(
        image_share("balanced_accuracy", [10, 2, 1])
    )


def test_the_images_error_is_that_of_a_stratified_sample() -> None:
    """Of a balanced accuracy: the sum over classes of the variance of a recall, over the square of K."""
    generator, sizes = np.random.default_rng(1), np.array([400, 60, 25])
    truth = np.repeat(np.arange(3), sizes)
    a, b = (generator.random(len(truth)) < chance for chance in (0.8, 0.75))
    expected = sum((a[truth == k] - 1.0 * b[truth == k]).var(ddof=1) / sizes[k] for k in range(3)) / 9
    scores = [
        image_scores("balanced_accuracy", truth, np.where(right, truth, (truth + 1) % 3)) for right in (a, b)
    ]
    differences = np.tile(scores[0] - scores[1], (4, 1))  # four seeds that agree
    assert image_error(differences, truth).error == pytest.approx(math.sqrt(expected))
    assert sampling_error(scores[0][None], truth) == pytest.approx(
        math.sqrt(sum(a[truth == k].var(ddof=1) / sizes[k] for k in range(3)) / 9)
    )


def test_without_classes_the_images_error_is_as_before() -> None:
    differences = np.random.default_rng(2).choice([-1.0, 0.0, 1.0], size=(5, 300))
    centred = differences - differences.mean(1, keepdims=True)
    within = centred.var(0, ddof=1).mean()
    error = math.sqrt(max(0.0, centred.mean(0).var(ddof=1) - within / 5) / 300)
    assert image_error(differences).error == pytest.approx(error, rel=1e-12)


def test_of_a_class_of_one_image_nothing_is_known_of_others() -> None:
    truth = np.array([0] * 9 + [1])
    assert math.isinf(image_error(np.random.default_rng(3).normal(size=(3, 10)), truth).error)


def test_the_linear_macro_f1_varies_as_resampling_within_classes_does() -> None:
    generator, classes = np.random.default_rng(4), 4
    truth = np.repeat(np.arange(classes), [600, 200, 80, 40])
    answers = [answered(truth, chance, generator, classes) for chance in (0.3, 0.36)]
    of_images = [image_scores("macro_f1", truth, one) for one in answers]
    linear = image_error(np.tile(of_images[0] - of_images[1], (2, 1)), truth).error

    def macro_f1(chosen: NDArray[np.int64], which: int) -> float:
        return class_scores(confusion_of(truth[chosen], answers[which][chosen])).macro_f1

    drawn = []
    for _ in range(2000):
        chosen = np.concatenate(
            [generator.choice(np.flatnonzero(truth == k), (truth == k).sum()) for k in range(4)]
        )
        drawn.append(macro_f1(chosen, 0) - macro_f1(chosen, 1))
    assert linear == pytest.approx(np.std(drawn), rel=0.06)  # of 2,000 a deviation is known to 1.6 %


def planted(metric: str, sizes: NDArray[np.int64], seeds: int, generator: np.random.Generator) -> Observed:
    """Two levels that are equal over all images, and differ on these: an image's chances are its own."""
    truth = np.repeat(np.arange(len(sizes)), sizes)
    chances = generator.beta(0.5, 0.1, size=(2, 1, len(truth)))
    right = generator.random((2, seeds, len(truth))) < chances
    wrong = (truth + generator.integers(1, len(sizes), size=right.shape)) % len(sizes)
    answers = np.where(right, truth, wrong)
    scores = np.array([[image_scores(metric, truth, one) for one in of_level] for of_level in answers])
    failed = np.zeros((2, seeds), bool)
    share = image_share(metric, sizes)
    return Observed(["a", "b"], scores.mean(2), failed, scores, len(truth), share=share, classes=truth)


@pytest.mark.parametrize("metric", OTHERS)
def test_equal_levels_are_seldom_called_better_though_classes_are_of_unequal_size(metric: str) -> None:
    """They differ on these images, so "better on these images" is often true."""
    sizes, generator = np.array([300, 100, 40, 20]), np.random.default_rng(5)
    verdicts = [judge(planted(metric, sizes, 12, generator), 1e-6)[2][0].verdict for _ in range(150)]
    assert np.isin(verdicts, [BETTER, WORSE]).mean() < 0.08
    assert np.isin(verdicts, [BETTER_HERE, WORSE_HERE]).mean() > 0.2


@pytest.mark.parametrize("metric", OTHERS)
def test_the_images_error_is_the_spread_of_the_difference_over_draws_of_images(metric: str) -> None:
    """A large class that one level gets right more often does not make it vary more."""
    sizes, generator = np.array([300, 100, 40, 20]), np.random.default_rng(6)
    studies = [planted(metric, sizes, 8, generator) for _ in range(200)]
    means = [float((one.accuracies[0] - one.accuracies[1]).mean()) for one in studies]
    seeds = np.mean([(one.accuracies[0] - one.accuracies[1]).var(ddof=1) / 8 for one in studies])
    errors = [
        image_error(one.scores[0] - one.scores[1], one.classes).error
        for one in studies
        if one.scores is not None
    ]
    assert np.mean(np.square(errors)) == pytest.approx(np.var(means) - seeds, rel=0.25)


def study_of(tiny: Tiny, metric: str, *overrides: str, seeds: int = 3) -> StudyPlan:
    base = tiny("training.epochs=1", *overrides)
    return plan_study(base, "model.pooling", LEVELS, seeds, metric=metric)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("metric") / "study"


@pytest.fixture
def finished(tiny: Tiny, once: Path) -> Path:
    """A study by balanced accuracy, for all tests to read."""
    if not once.exists():
        run_study(study_of(tiny, "balanced_accuracy"), once, Here(once / TRIALS))
    return once


def test_the_metric_decides_and_accuracy_stands_beside_it(finished: Path) -> None:
    results = analyse(finished)
    for trial in results.trials:
        kept = RunDir(finished / TRIALS / trial.folder).result
        assert (trial.score, trial.test_accuracy) == (kept.test_balanced_accuracy, kept.test_accuracy)
    for level in results.levels:
        own = [trial for trial in results.trials if trial.level == level.name]
        assert level.values == level.scores == [trial.score for trial in own]
        assert level.accuracies == [trial.test_accuracy for trial in own]
        assert level.scores != level.accuracies
        assert level.compared.mean == pytest.approx(np.mean(level.scores))
    best, other = results.levels
    gap = np.mean(best.scores) - np.mean(other.scores)
    assert results.pair(best.name, other.name).seen_from(best.name).difference.mean == pytest.approx(gap)
    assert results.metric == "balanced_accuracy"
    assert f"{best.compared.mean:.2%} balanced accuracy" in sentence(results)


@pytest.mark.usefixtures("undrawn")
def test_table_page_and_progress_name_the_metric(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = call(capsys, "compare", "--resume", "--out", finished)
    assert "balanced accuracy, %" in outcome.out
    assert " accuracy, %  " in outcome.out.replace("balanced accuracy, %", "")
    assert ", balanced accuracy: " in outcome.err
    page = write_report(finished).read_text()
    level = read_results(finished).best
    assert "<th>balanced accuracy and 95 % interval</th>" in page
    assert f"accuracy {level.accuracy.mean:.3%}" in page
    assert f"<b>{level.compared.mean:.3%}</b>" in page
    assert "test balanced accuracy, %" in page
    assert "stratified sampling" in page


def test_a_study_is_computed_again_by_its_metric(finished: Path) -> None:
    assert verify(finished, deep=True) == read_results(finished)


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_a_study_keeps_its_metric(
    finished: Path, tiny: Tiny, metric: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = f"metric is balanced_accuracy there and {metric} here"
    with pytest.raises(UsageError, match=told):
        run_study(study_of(tiny, metric), finished, Here(finished / TRIALS))
    refused = call(capsys, "compare", "--resume", "--out", finished, "--metric", metric)
    assert (refused.code, "goes on with the metric that it was planned with" in refused.err) == (2, True)


def test_an_unknown_metric_is_refused(tiny: Tiny) -> None:
    with pytest.raises(UsageError, match="expected accuracy, balanced_accuracy or macro_f1"):
        study_of(tiny, "recall")


def test_of_an_accuracy_no_other_metric_is_kept(tiny: Tiny, tmp_path: Path) -> None:
    results = run_study(study_of(tiny, "accuracy", seeds=2), tmp_path, Here(tmp_path / TRIALS))
    assert all(trial.score is None for trial in results.trials)
    assert all((level.score, level.scores) == (None, []) for level in results.levels)
    path = tmp_path / "study.json"
    assert json.loads(path.read_text())["metric"] == "accuracy"


def test_a_function_has_no_other_metric_and_is_told_a_way(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"metric: for a configuration.*return the score itself"):
        cnnkit.compare(lambda value, seed: 0.5, {"a": [1, 2]}, out=tmp_path / "own", metric="macro_f1")


def test_a_better_macro_f1_wins_though_its_accuracy_is_lower() -> None:
    results = results_of({"avg": WORSE}, seeds=8)
    levels = [
        replace(level, accuracy=replace(level.accuracy, mean=mean)).with_scores(np.full(8, score), 0.0)
        for level, mean, score in zip(results.levels, (0.8, 0.9), (0.7, 0.6), strict=True)
    ]
    told = sentence(replace(results, levels=levels, metric="macro_f1"))
    assert told.startswith("pooling stride wins with 70.00% macro F1: ")


@pytest.mark.parametrize("overrides", [("data.folds=4",), ("data.resample_test=true",)])
def test_seeds_with_test_images_of_their_own_have_the_metric_of_those(
    tiny: Tiny, tmp_path: Path, overrides: tuple[str, ...]
) -> None:
    plan = study_of(tiny, "macro_f1", *overrides, seeds=4)
    results = run_study(plan, tmp_path, Here(tmp_path / TRIALS))
    for trial in results.trials:
        assert trial.score == RunDir(tmp_path / TRIALS / trial.folder).result.test_macro_f1
    assert results.pairs[0].image_error is not None
    assert all(level.sampling_error for level in results.levels)
    assert verify(tmp_path) == results


def test_main_effects_are_of_the_metric(tiny: Tiny, tmp_path: Path) -> None:
    plan = plan_study(
        tiny("training.epochs=1"),
        "model.pooling",
        LEVELS,
        2,
        beside={"model.dropout": [0, 0.3]},
        metric="macro_f1",
    )
    results = run_study(plan, tmp_path, Here(tmp_path / TRIALS))
    of_networks = {level.name: level for level in results.levels}
    for marginal in results.factors[0].levels:
        own = [level for name, level in of_networks.items() if name.startswith(marginal.name)]
        assert marginal.values == pytest.approx(np.mean([level.scores for level in own], 0))
        assert marginal.accuracies == pytest.approx(np.mean([level.accuracies for level in own], 0))
    assert verify(tmp_path) == results
    assert "macro F1 and 95 % interval" in write_report(tmp_path).read_text()


RATE = "training.learning_rate"
POINTS = (  # accuracy, loss, balanced accuracy, macro F1
    (0.9, 0.4, 0.5, 0.6),
    (0.8, 0.5, 0.7, 0.6),
    (0.8, 0.3, 0.6, 0.7),
)


@pytest.mark.parametrize(
    ("monitor", "point", "told"),
    [
        ("accuracy", 0, "90.00% on"),
        ("loss", 2, "a loss of 0.3000 on validation images, 0.4000 before"),
        ("balanced_accuracy", 1, "70.00% balanced accuracy on validation images, 50.00% before"),
        ("macro_f1", 2, "70.00% macro F1 on"),
    ],
)
def test_tuning_chooses_by_what_is_monitored(monitor: str, point: int, told: str) -> None:
    results = [
        PointResult("id", accuracy, loss, 1, 1.0, balanced, macro)
        for accuracy, loss, balanced, macro in POINTS
    ]
    tuning = Tuning([RATE], 1000, [{RATE: rate} for rate in (0.2, 0.1, 0.3)], monitor)
    tuned = best_point(tuning, results, ["a", "b", "c"])
    assert tuned.point == point
    assert told in changes(tuning, tuned)
    assert tuned.deciding[point] == results[point].monitored(monitor)


@pytest.mark.parametrize(
    ("metric", "overrides", "monitor"),
    [
        ("accuracy", (), "accuracy"),
        ("accuracy", ("training.monitor=loss",), "loss"),
        ("macro_f1", ("training.monitor=loss",), "macro_f1"),
    ],
)
def test_the_study_s_metric_tunes_and_without_one_what_training_monitors(
    tiny: Tiny, metric: str, overrides: tuple[str, ...], monitor: str
) -> None:
    pytest.importorskip("optuna")
    from cnnkit.comparison.plan_options import with_tuning

    tuning = with_tuning(study_of(tiny, metric, *overrides), 2).tuning
    assert tuning is not None
    assert tuning.monitor == monitor


def test_a_small_class_is_told_where_classes_count_alike() -> None:
    labels = np.repeat(np.arange(3), [100, 30, 10])
    told = list(few_of_a_class("macro_f1", labels, 140, ["a", "b", "c"]))
    assert len(told) == 1
    assert "of c: one image may change it by 3.3 points" in told[0]
    assert "of b and c" in next(few_of_a_class("macro_f1", labels, 70, ["a", "b", "c"]))
    assert not list(few_of_a_class("accuracy", labels, 140, ["a", "b", "c"]))
