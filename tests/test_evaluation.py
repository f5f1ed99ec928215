"""Metrics against scikit-learn, SciPy and written formulas."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics
from support import info
from torch import Tensor, nn

from cnnkit.calibration import BINS, calibration_error, confidence_bins, error_by_chance
from cnnkit.calibrator import AS_TRAINED, COLDEST, HOTTEST, Calibrator, calibrator_of
from cnnkit.config.model import ModelConfig
from cnnkit.data.dataset import ImageDataset
from cnnkit.nn.model import CNN, build_model
from cnnkit.stats import wilson_interval
from cnnkit.training.device import Placement
from cnnkit.training.evaluation import (
    BATCH_MEMORY,
    LARGEST_BATCH,
    Evaluation,
    evaluate,
    evaluation_batch,
    predict,
)
from cnnkit.training.fitting import PRIOR, fit_calibrator, fit_temperature

CPU = Placement(torch.device("cpu"), "float32", 2)
CLASSES = 10
INFO = info((1, 8, 8), CLASSES)
IMAGES = 2345  # two batches of evaluation and a part of one


class PixelsAsLogits(nn.Module):
    """(N, 1, 1, classes) -> (N, classes)"""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) / 10


@pytest.fixture(scope="module")
def dataset() -> ImageDataset:
    """Logits without ties, of every confidence; class 8 is never the truth, class 9 never predicted."""
    generator = torch.Generator().manual_seed(0)
    ranks = torch.rand(IMAGES, CLASSES - 1, generator=generator).argsort(1) + 1
    steepness = torch.randint(1, 26, (IMAGES, 1), generator=generator)
    pixels = torch.cat([ranks * steepness, torch.zeros(IMAGES, 1, dtype=torch.int64)], dim=1)
    anything = torch.randint(0, 8, (IMAGES,), generator=generator)
    right = torch.rand(IMAGES, generator=generator) < 0.7
    labels = torch.where(right & (pixels.argmax(1) != 8), pixels.argmax(1), anything)
    labels[::50] = 9
    return ImageDataset(pixels.to(torch.uint8)[:, None, None], labels, INFO)


@pytest.fixture(scope="module")
def measured(dataset: ImageDataset) -> Evaluation:
    return evaluate(PixelsAsLogits(), dataset, CPU)


@pytest.fixture(scope="module")
def probabilities(dataset: ImageDataset) -> Tensor:
    """(N, classes) float64"""
    return (dataset.images.flatten(1).double() / 10).softmax(1)


def small_network() -> CNN:
    return build_model(ModelConfig(channels=(4,), hidden=()), INFO, seed=0)


def random_images(n: int) -> ImageDataset:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (n, 1, 8, 8), generator=generator, dtype=torch.uint8)
    return ImageDataset(images, torch.randint(0, CLASSES, (n,), generator=generator), INFO)


def test_accuracy_and_confusion_are_those_of_scikit_learn(
    dataset: ImageDataset, measured: Evaluation, probabilities: Tensor
) -> None:
    truth, predictions = dataset.labels.numpy(), probabilities.argmax(1).numpy()
    expected = metrics.confusion_matrix(truth, predictions, labels=range(CLASSES))
    assert measured.confusion.tolist() == expected.tolist()
    assert measured.accuracy == metrics.accuracy_score(truth, predictions)
    assert measured.predictions.tolist() == predictions.tolist()
    assert measured.images == IMAGES


def test_loss_is_the_mean_cross_entropy_of_all_images(
    dataset: ImageDataset, measured: Evaluation, probabilities: Tensor
) -> None:
    expected = metrics.log_loss(dataset.labels.numpy(), probabilities.numpy(), labels=range(CLASSES))
    assert measured.loss == pytest.approx(expected, rel=1e-5)


def test_precision_recall_and_f1_are_those_of_scikit_learn(
    dataset: ImageDataset, measured: Evaluation, probabilities: Tensor
) -> None:
    columns = metrics.precision_recall_fscore_support(
        dataset.labels.numpy(), probabilities.argmax(1).numpy(), labels=range(CLASSES), zero_division=0
    )
    rows = measured.per_class()
    for name, column in zip(("precision", "recall", "f1", "images"), columns, strict=True):
        assert [row[name] for row in rows] == pytest.approx(column.tolist())


def test_calibration_error_is_the_weighted_gap_between_confidence_and_accuracy(
    dataset: ImageDataset, measured: Evaluation, probabilities: Tensor
) -> None:
    confidence, prediction = (part.numpy() for part in probabilities.max(1))
    right = prediction == dataset.labels.numpy()
    bins = np.ceil(confidence * BINS)  # the m-th bin is ((m - 1) / 15, m / 15]
    gaps = [
        (bins == m).mean() * abs(confidence[bins == m].mean() - right[bins == m].mean())
        for m in range(1, BINS + 1)
        if (bins == m).any()
    ]
    assert len(gaps) > 10
    assert measured.calibration_error == pytest.approx(sum(gaps), rel=1e-5)


def test_a_model_that_is_sure_and_right_is_calibrated() -> None:
    images = torch.zeros(3, 1, 1, CLASSES, dtype=torch.uint8)
    images[:, 0, 0, 4] = 255
    measured = evaluate(PixelsAsLogits(), ImageDataset(images, torch.full((3,), 4), INFO), CPU)
    assert measured.accuracy == 1
    assert measured.calibration_error == pytest.approx(1 - measured.confidences.mean().item())


def drawn_labels(logits: Tensor, seed: int = 0, uniform_share: float = 0.0) -> Tensor:
    """Labels as likely as softmax(logits) says: a perfectly calibrated network's. A share of them is any."""
    generator = torch.Generator().manual_seed(seed)
    labels = logits.softmax(1).multinomial(1, generator=generator)[:, 0]
    anything = torch.randint(CLASSES, labels.shape, generator=generator)
    return torch.where(torch.rand(labels.shape, generator=generator) < uniform_share, anything, labels)


def random_logits(n: int, scale: float = 3.0) -> Tensor:
    return scale * torch.randn(n, CLASSES, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("temperature", [0.2, 0.7, 1.0, 5.0])
def test_the_temperature_with_which_labels_were_drawn_is_found(temperature: float) -> None:
    logits = random_logits(20_000)
    fitted = fit_temperature(logits * temperature, drawn_labels(logits))
    assert fitted == pytest.approx(temperature, rel=0.03)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.2])
def test_the_calibrator_with_which_labels_were_drawn_is_found(temperature: float, share: float) -> None:
    logits = random_logits(20_000)
    labels = drawn_labels(logits, uniform_share=share)
    fitted = fit_calibrator(logits * temperature, labels)
    assert fitted.temperature == pytest.approx(temperature, rel=0.04)
    assert fitted.uniform_share == pytest.approx(share, abs=0.01)


def loss_with_priors(logits: Tensor, labels: Tensor, temperature: float, share: float) -> float:
    told = Calibrator(temperature, share).probabilities(logits.double()).gather(1, labels[:, None])
    prior = 1 / temperature + math.log(temperature) - math.log(1 - share)
    return PRIOR * prior - told.log().sum().item()


@pytest.mark.parametrize("images", [20, 200, 20_000])
def test_no_other_calibrator_is_likelier(images: int) -> None:
    logits = random_logits(images)
    labels = drawn_labels(logits / 2, uniform_share=0.1)
    fitted = fit_calibrator(logits, labels)
    assert fitted.temperature is not None
    best = loss_with_priors(logits, labels, fitted.temperature, fitted.uniform_share)
    for share in (0.0, 0.001, 0.01, 0.03, 0.1, 0.3, fitted.uniform_share):
        for factor in (0.5, 0.9, 0.99, 1.0, 1.01, 1.1, 2.0):
            assert best <= loss_with_priors(logits, labels, factor * fitted.temperature, share) + 1e-9


@pytest.mark.parametrize("images", [1, 3, CLASSES])
def test_the_prior_of_the_share_counts_as_so_many_images_that_did_not_come_from_it(images: int) -> None:
    surely_wrong = HARD_TO_FIT["no image is right"][:images]
    fitted = fit_calibrator(surely_wrong, torch.arange(images))
    assert fitted.uniform_share == pytest.approx(images / (images + PRIOR), rel=1e-6)


def test_labels_that_tell_of_no_share_leave_it_at_0_and_the_temperature_as_it_is_alone() -> None:
    logits = random_logits(2000)
    labels = logits.argmax(1)
    assert fit_calibrator(logits, labels) == Calibrator(fit_temperature(logits, labels), 0.0)


def test_no_other_temperature_has_a_smaller_loss() -> None:
    logits = random_logits(20_000)
    labels = drawn_labels(logits / 2)
    fitted = fit_temperature(logits, labels)
    losses = [
        nn.functional.cross_entropy(logits.double() / (fitted * factor), labels).item()
        for factor in (0.99, 1.0, 1.01)
    ]
    assert min(losses) == losses[1]


def test_probabilities_are_those_of_the_formula() -> None:
    logits, (temperature, e) = random_logits(50).double(), (0.7, 0.15)
    powers = np.exp(logits.numpy() / temperature)
    expected = (1 - e) * powers / powers.sum(1, keepdims=True) + e / CLASSES
    np.testing.assert_allclose(Calibrator(temperature, e).probabilities(logits).numpy(), expected, rtol=1e-12)


@settings(max_examples=50, deadline=None)
@given(
    rows=st.lists(st.lists(st.floats(-1e6, 1e6, width=32), min_size=3, max_size=3), min_size=1, max_size=8),
    temperature=st.floats(COLDEST, HOTTEST),
    share=st.floats(0, 1, exclude_max=True),
)
def test_a_calibrator_changes_no_answer_and_its_probabilities_sum_to_1(
    rows: list[list[float]], temperature: float, share: float
) -> None:
    logits = torch.tensor(rows)
    # Rounding may make two classes equally likely, but none that was less likely the likeliest.
    answers = logits.argmax(1, keepdim=True)
    for calibrator in (AS_TRAINED, Calibrator(temperature, share)):
        told = calibrator.probabilities(logits)
        assert torch.equal(told.gather(1, answers)[:, 0], told.amax(1))
        torch.testing.assert_close(told.sum(1), torch.ones(len(rows)))
        assert told.min() >= 0


def test_a_calibrator_is_read_from_the_texts_of_a_file_as_it_was() -> None:
    for calibrator in (AS_TRAINED, Calibrator(0.1 + 0.2), Calibrator(1 / 3, 0.1 / 3)):
        assert Calibrator.from_dict({"cnnkit": "0.4.0", **calibrator.texts()}) == calibrator
    assert Calibrator.from_dict({"temperature": "0.5"}) == Calibrator(0.5, 0.0)  # cnnkit 0.3


def test_the_accuracy_and_the_loss_that_are_told_are_those_without_a_calibrator(
    dataset: ImageDataset, measured: Evaluation
) -> None:
    scaled = evaluate(PixelsAsLogits(), dataset, CPU, Calibrator(2.5, 0.1))
    assert torch.equal(scaled.predictions, measured.predictions)
    assert (scaled.accuracy, scaled.loss) == (measured.accuracy, measured.loss)
    expected = 0.9 * (dataset.images.flatten(1).double() / 25).softmax(1).amax(1) + 0.1 / CLASSES
    torch.testing.assert_close(scaled.confidences.double(), expected, rtol=1e-5, atol=1e-6)


def test_both_calibration_errors_are_told(dataset: ImageDataset, measured: Evaluation) -> None:
    scaled = evaluate(PixelsAsLogits(), dataset, CPU, Calibrator(2.5, 0.1)).calibration()
    assert calibrator_of(scaled) == Calibrator(2.5, 0.1)
    assert scaled.error_before == measured.calibration_error == measured.calibration().error_before
    assert scaled.error != scaled.error_before
    assert sum(row.images for row in scaled.bins) == sum(row.images for row in scaled.bins_before) == IMAGES


@pytest.mark.parametrize(("true_temperature", "share"), [(0.3, 0.0), (4.0, 0.0), (2.0, 0.1)])
def test_a_calibrator_makes_a_network_say_how_often_it_is_right(
    true_temperature: float, share: float
) -> None:
    fitting, testing = random_logits(40_000).chunk(2)
    calibrator = fit_calibrator(fitting * true_temperature, drawn_labels(fitting, uniform_share=share))
    right = testing.argmax(1) == drawn_labels(testing, 1, share)

    def error(given: Calibrator) -> float:
        told = given.probabilities(testing * true_temperature).amax(1)
        return calibration_error(confidence_bins(told.numpy(), right.numpy()))

    assert error(calibrator) < 0.02 < 0.05 < error(AS_TRAINED)
    if share:
        alone = fit_temperature(fitting * true_temperature, drawn_labels(fitting, uniform_share=share))
        assert 2 * error(calibrator) < error(Calibrator(alone))


HARD_TO_FIT = {
    "every image is right": torch.eye(CLASSES) * 5,
    "every image is right and sure": torch.eye(CLASSES) * 1e4,
    "no image is right": -torch.eye(CLASSES) * 1e4,
    "all classes are equally likely": torch.zeros(CLASSES, CLASSES),
    "logits are as large as they get": torch.eye(CLASSES) * torch.finfo(torch.float32).max,
    "no image is right, logits are as large as they get": -torch.eye(CLASSES)
    * torch.finfo(torch.float32).max,
}


@pytest.mark.parametrize("images", [1, CLASSES])
@pytest.mark.parametrize("name", HARD_TO_FIT)
def test_whatever_the_logits_are_the_calibrator_stays_within_its_bounds(name: str, images: int) -> None:
    fitted = fit_calibrator(HARD_TO_FIT[name][:images], torch.arange(images))
    assert Calibrator.from_dict(fitted.texts()) == fitted
    assert torch.isfinite(fitted.probabilities(HARD_TO_FIT[name])).all()


def test_images_that_tell_nothing_leave_the_temperature_at_1() -> None:
    for name in ("all classes are equally likely", "every image is right and sure"):
        fitted = fit_calibrator(HARD_TO_FIT[name], torch.arange(CLASSES))
        assert fitted == Calibrator(pytest.approx(1, rel=1e-6), 0.0)


@pytest.mark.parametrize("images", [300, 10_000])
def test_the_error_by_chance_is_that_of_calibrated_networks(images: int) -> None:
    logits = random_logits(images)
    told, answers = (part.numpy() for part in logits.softmax(1).max(1))
    seeds = range(1, 61)
    errors = [
        calibration_error(confidence_bins(told, answers == drawn_labels(logits, seed).numpy()))
        for seed in seeds
    ]
    assert error_by_chance(told) == pytest.approx(np.mean(errors), rel=0.1)


@settings(max_examples=80, deadline=None)
@given(trials=st.integers(1, 100_000), share=st.floats(0, 1))
def test_the_wilson_interval_is_that_of_scipy(trials: int, share: float) -> None:
    successes = round(share * trials)
    expected = binomtest(successes, trials).proportion_ci(0.95, "wilson")
    assert wilson_interval(successes, trials) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (-1, 5), (6, 5)])
def test_what_is_no_proportion_has_no_interval(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="no proportion"):
        wilson_interval(successes, trials)


def test_what_is_kept_of_an_evaluation_is_json_and_consistent(measured: Evaluation) -> None:
    names = [f"class {i}" for i in range(CLASSES)]
    kept = json.loads(json.dumps(measured.as_dict(names)))
    assert kept["correct"] / kept["images"] == kept["accuracy"] == measured.accuracy
    low, high = kept["accuracy_interval"]
    assert low < kept["accuracy"] < high
    assert np.trace(kept["confusion"]) == kept["correct"]
    assert list(kept["classes"]) == names


@pytest.mark.parametrize("n", [1, 999, 1000, 1001])
def test_every_image_counts_in_batches_whole_or_part(n: int) -> None:
    model, images = small_network().eval(), random_images(n)
    measured = evaluate(model, images, CPU)
    with torch.no_grad():
        expected = nn.functional.cross_entropy(model(images.images).double(), images.labels)
    assert measured.images == len(measured.predictions) == len(measured.confidences) == n
    assert measured.loss == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_evaluating_leaves_the_model_and_its_mode_as_they_were(training: bool) -> None:
    model = small_network().train(training)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    evaluate(model, random_images(50), CPU)
    assert all(module.training is training for module in model.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_evaluating_switches_dropout_off() -> None:
    model = build_model(ModelConfig(channels=(4,), dropout=0.9), INFO, seed=0)
    first, again = (evaluate(model, random_images(50), CPU) for _ in range(2))
    assert torch.equal(first.confidences, again.confidences)


def test_a_model_that_answers_nan_has_a_loss_of_nan() -> None:
    model = small_network()
    nn.init.constant_(next(model.parameters()), math.nan)
    assert math.isnan(evaluate(model, random_images(5), CPU).loss)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_predicted_probabilities_are_float32_and_sum_to_1(precision: str) -> None:
    images = random_images(20).images
    probabilities = predict(small_network(), images, Placement(torch.device("cpu"), precision, 2))
    assert probabilities.shape == (20, CLASSES)
    assert probabilities.dtype == torch.float32
    assert (probabilities >= 0).all()
    torch.testing.assert_close(probabilities.sum(1), torch.ones(20))


@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bf16", torch.bfloat16)])
def test_precision_is_that_of_the_dense_layers(precision: str, dtype: torch.dtype) -> None:
    seen = []
    model = nn.Sequential(nn.Flatten(), nn.Linear(CLASSES, CLASSES))
    model.register_forward_hook(lambda _, __, logits: seen.append(logits.dtype))
    with Placement(torch.device("cpu"), precision, 2).autocast():
        model(torch.zeros(1, 1, 1, CLASSES))
    assert seen == [dtype]


def test_predicting_gives_the_probabilities_that_were_evaluated() -> None:
    model, images = small_network(), random_images(30)
    measured = evaluate(model, images, CPU)
    confidence, prediction = predict(model, images.images, CPU).max(1)
    assert torch.equal(prediction, measured.predictions)
    torch.testing.assert_close(confidence, measured.confidences)


def test_a_batch_of_large_images_fits_into_the_budget_and_small_ones_come_by_the_thousand() -> None:
    large = CNN(ModelConfig(channels=(64, 8), hidden=()), info((3, 512, 512)))
    batch = evaluation_batch(large)
    maps = 2 * 64 * 512 * 512 * 4  # bytes: the first convolution's maps, and what the norm makes of them
    assert batch * maps <= BATCH_MEMORY < (batch + 1) * maps
    huge = CNN(ModelConfig(channels=(64, 8), hidden=()), info((3, 2048, 2048)))
    assert evaluation_batch(huge) == 1
    assert evaluation_batch(small_network()) == LARGEST_BATCH == 1000


def test_an_evaluation_looks_at_as_many_images_at_once_as_its_batch_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[int] = []
    model, images = small_network(), random_images(25)
    whole = evaluate(model, images, CPU)
    monkeypatch.setattr("cnnkit.training.evaluation.BATCH_MEMORY", 10 * 4 * 2 * 4 * 8 * 8)
    model.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    in_parts = evaluate(model, images, CPU)
    assert seen == [10, 10, 5]
    assert in_parts.predictions.tolist() == whole.predictions.tolist()
    assert in_parts.loss == pytest.approx(whole.loss, rel=1e-6)
