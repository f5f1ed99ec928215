"""Which images a network is told to be unlike those that it was trained with."""

from pathlib import Path

import pytest
import torch
from support import Tiny, finished_run

import cnnkit
from cnnkit.errors import RunError
from cnnkit.experiment.checkpoints import FEATURES, load_weights
from cnnkit.experiment.new_run import create_run
from cnnkit.experiment.train import run_experiment
from cnnkit.filenames import BEST
from cnnkit.tensor_files import load_tensors, save_tensors
from cnnkit.training.device import choose_device
from cnnkit.training.familiarity import CHUNK, Familiarity, familiarity_of

KEPT = Path(__file__).parent / "kept" / "0.1.0"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> cnnkit.Run:
    folder = finished_run(tmp_path_factory.mktemp("familiar") / "run", shared_cache, "training.epochs=6")
    return cnnkit.open_run(folder)


def warned(run: cnnkit.Run, images: torch.Tensor) -> float:
    """The share of images that are told to be unlike the training images."""
    predictions = run.predict(images)
    return sum(bool(prediction.warnings) for prediction in predictions) / len(predictions)


def test_one_validation_image_in_a_hundred_is_warned_about(run: cnnkit.Run) -> None:
    validation = cnnkit.load_images(run.config).validation.images
    assert 0 < warned(run, validation) <= 0.01 + 1 / len(validation)


def test_few_test_images_are_warned_about(run: cnnkit.Run) -> None:
    assert warned(run, cnnkit.load_images(run.config).test.images) < 0.06


def test_images_with_shuffled_pixels_are_warned_about_ten_times_as_often(run: cnnkit.Run) -> None:
    images = cnnkit.load_images(run.config).test.images
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    shuffled = images.flatten(1)[:, order].view(images.shape)
    assert warned(run, shuffled) > 10 * warned(run, images) > 0


def test_the_model_s_weights_are_those_of_a_run_that_remembers_nothing(
    run: cnnkit.Run, tmp_path: Path
) -> None:
    other = create_run(run.config, "tiny", tmp_path / "other")
    run_experiment(run.config, other, remember=False)
    remembered, plain = (load_tensors(folder / BEST)[0] for folder in (run.path, other.path))
    assert set(remembered) - set(plain) == {name for name in remembered if name.startswith(FEATURES)} != set()
    assert all(torch.equal(plain[name], remembered[name]) for name in plain)


def test_training_twice_remembers_the_same(run: cnnkit.Run, tmp_path: Path) -> None:
    again = create_run(run.config, "tiny", tmp_path / "again")
    run_experiment(run.config, again)
    first, second = (load_tensors(folder / BEST)[0] for folder in (run.path, again.path))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_weights_of_an_older_version_warn_of_nothing() -> None:
    assert load_weights(KEPT / "run").familiarity is None
    noise = torch.randint(256, (20, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    assert warned(cnnkit.open_run(KEPT / "run" / BEST), noise) == 0


def test_without_validation_images_nothing_is_remembered(tiny: Tiny, tmp_path: Path) -> None:
    run = create_run(tiny("data.validation=0", "training.epochs=1"), "tiny", tmp_path / "run")
    run_experiment(run.config, run)
    assert load_weights(run.path).familiarity is None


def test_an_image_is_as_far_as_the_nearest_point_of_the_class_that_it_was_given() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2 * CHUNK + 1, 3, generator=generator)
    predicted = torch.randint(0, 3, (len(features),), generator=generator)  # class 2 has no point
    points = torch.randn(40, 3, generator=generator).half()
    classes = torch.arange(40).remainder(2).to(torch.uint8)
    known = Familiarity(torch.zeros(3), torch.eye(3), points, classes, torch.ones(()))
    to_all = (features[:, None] - points.float()).square().sum(2).sqrt()
    expected = to_all.where(classes == predicted[:, None], torch.inf).amin(1)
    torch.testing.assert_close(known._distances(features, predicted), expected, rtol=1e-4, atol=1e-4)


def test_a_class_that_was_never_trained_on_is_strange(run: cnnkit.Run) -> None:
    splits, weights = cnnkit.load_images(run.config), load_weights(run.path)
    placement = choose_device(run.config.runtime)
    without = splits.train[(splits.train.labels != 3).nonzero()[:, 0]]
    known = familiarity_of(weights.model, without, splits.validation, placement, torch.Generator())
    threes = splits.test.images[splits.test.labels == 3]
    assert known is not None
    distances = known.strangeness(weights.model, threes, placement)
    assert distances.isinf().float().mean() > 0.8


@pytest.mark.parametrize("change", ["missing", "unknown"])
def test_a_file_with_other_features_is_refused_in_words(run: cnnkit.Run, change: str, tmp_path: Path) -> None:
    tensors, metadata = load_tensors(run.path / BEST)
    if change == "missing":
        del tensors[f"{FEATURES}mean"]
    else:
        tensors[f"{FEATURES}more"] = torch.zeros(1)
    save_tensors(tmp_path / "other.safetensors", tensors, metadata)
    with pytest.raises(RunError, match="damaged"):
        load_weights(tmp_path / "other.safetensors")
