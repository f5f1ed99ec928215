"""`training.hardest`: the images that a linear classifier finds hardest, the same share of each class."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from support import Tiny, begun, info
from torch import Tensor, nn

from cnnkit.comparison.trial import Trial, shared_hashes
from cnnkit.config.schema import Config
from cnnkit.data.dataset import ImageDataset, Splits
from cnnkit.data.hardest import FITTED, PENALTY, SIDE, WHITE, hardest_first, margins
from cnnkit.errors import ConfigError
from cnnkit.experiment.train import describe, prepare
from cnnkit.tensor_files import fingerprint
from cnnkit.training.loop import train
from cnnkit.training.state import Training, orders


def pictures(count: int, shape: tuple[int, int, int] = (1, 6, 5), classes: int = 4) -> ImageDataset:
    """Of each class another brightness and noise; some classes have many images, others few."""
    draw = torch.Generator().manual_seed(3)
    labels = (torch.rand(count, generator=draw).square() * classes).long()
    noise = torch.rand((count, *shape), generator=draw) * 200
    return ImageDataset((noise + 13 * labels.view(-1, 1, 1, 1)).to(torch.uint8), labels, info(shape, classes))


def by_sklearn(images: ImageDataset, fitted: NDArray[np.int64]) -> NDArray[np.float64]:
    """The margins by scikit-learn's ridge regression, in float64."""
    pixels = images.images.flatten(1).double().numpy()
    pixels = np.hstack([pixels, np.full((len(pixels), 1), WHITE)])
    truth = np.eye(images.info.classes)[images.labels.numpy()]
    ridge = Ridge(PENALTY * WHITE**2 * len(fitted), fit_intercept=False).fit(pixels[fitted], truth[fitted])
    scores = ridge.predict(pixels)
    return scores[truth == 1] - np.where(truth == 1, -np.inf, scores).max(1)


@pytest.mark.parametrize("shape", [(1, 6, 5), (3, 4, 4)])
def test_margins_are_those_of_a_ridge_regression(shape: tuple[int, int, int]) -> None:
    images = pictures(700, shape)
    torch.testing.assert_close(
        margins(images).double().numpy(), by_sklearn(images, np.arange(700)), rtol=0, atol=1e-3
    )


def test_of_many_images_some_are_enough_to_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnnkit.data.hardest.FITTED", 100)
    images = pictures(991)
    assert FITTED > 991
    fitted = np.arange(100) * 10  # evenly spaced, the first and the last among them
    np.testing.assert_allclose(margins(images).numpy(), by_sklearn(images, fitted), atol=1e-3)


def test_of_larger_images_the_means_are_looked_at() -> None:
    small = pictures(300, (2, SIDE, SIDE))
    tall = small.images.repeat_interleave(3, 2).repeat_interleave(2, 3)
    large = ImageDataset(tall, small.labels, info((2, 3 * SIDE, 2 * SIDE), 4))
    torch.testing.assert_close(margins(large), margins(small), rtol=0, atol=1e-5)


@pytest.mark.parametrize("first", [1, 10, 77, 350, 699, 700])
def test_the_first_images_are_the_hardest_of_each_class_in_its_share(first: int) -> None:
    images = pictures(700)
    order, hard = hardest_first(images), margins(images)
    assert order.sort().values.equal(torch.arange(700))
    for label in range(4):
        own = (images.labels == label).nonzero().squeeze(1)
        chosen = [i for i in order[:first].tolist() if images.labels[i] == label]
        assert abs(len(chosen) - first * len(own) / 700) <= 1
        assert sorted(chosen) == sorted(own[hard[own].argsort(stable=True)][: len(chosen)].tolist())


def shown(training: Training, splits: Splits) -> list[Tensor]:
    """The batches that the network saw while it trained."""
    seen: list[Tensor] = []

    def look(module: nn.Module, inputs: tuple[Tensor]) -> None:
        if module.training:
            seen.append(inputs[0].clone())

    training.model.register_forward_pre_hook(look)
    assert train(training, splits)
    return seen


def pixels_of(images: Tensor) -> list[bytes]:
    return sorted(image.numpy().tobytes() for image in images)


def test_each_epoch_shows_these_images_and_no_others(tiny: Tiny) -> None:
    training, splits = begun(tiny("training.hardest=0.3"))
    count = round(0.3 * len(splits.train))
    chosen = splits.train[hardest_first(splits.train)[:count]]
    batches = shown(training, splits)
    for epoch in (batches[: len(batches) // 2], batches[len(batches) // 2 :]):
        assert pixels_of(torch.cat(epoch)) == pixels_of(chosen.images)
    assert [record.step for record in training.history] == [len(batches) // 2, len(batches)]


def test_they_are_harder_for_the_network_than_the_others(tiny: Tiny) -> None:
    training, splits = begun(tiny("training.epochs=1"))
    train(training, splits)
    order, training.model = hardest_first(splits.train), training.model.eval()
    half = len(order) // 2
    right = [
        (training.model(part.images).argmax(1) == part.labels).float().mean()
        for part in (splits.train[order[:half]], splits.train[order[half:]])
    ]
    assert right[0] < right[1] - 0.02


def test_the_time_to_choose_is_part_of_the_first_epoch_and_of_no_other(tiny: Tiny) -> None:
    training, splits = begun(tiny("training.hardest=0.3"))
    assert 0 < training.choosing < 60
    training.choosing = 1000.0
    train(training, splits)
    assert [record.seconds > 1000 for record in training.history] == [True, False]


@pytest.mark.parametrize("hardest", ["0", "1.01", "-0.5", "none"])
def test_a_share_is_above_0_and_at_most_1(tiny: Tiny, hardest: str) -> None:
    with pytest.raises(ConfigError, match=r"training\.hardest"):
        tiny(f"training.hardest={hardest}")


def test_too_small_a_share_is_refused_and_the_least_is_told(tiny: Tiny) -> None:
    with pytest.raises(ConfigError) as error:
        tiny("training.hardest=0.002")
    assert "shows 3 images of 1,293, and there are 10 classes" in str(error.value)
    assert "use at least 0.008" in str(error.value)
    assert tiny("training.hardest=0.008").training.shown_of(1293) == 10


def test_a_person_is_told(tiny: Tiny) -> None:
    config: Config = tiny("training.hardest=0.5")
    assert "on the hardest 646 images" in describe(begun(config)[0]).title
    assert "hardest" not in describe(begun(tiny())[0]).title


def test_the_hash_of_a_trial_s_order_is_that_of_the_images_shown(tiny: Tiny) -> None:
    config = tiny("training.hardest=0.5", "data.validation=93")
    order = (orders(672, 128, config.training.seed, epoch, "cpu") for epoch in (1, 2))
    hashes = shared_hashes(Trial("a", config, "data"), prepare(config))
    assert hashes["order"] == fingerprint(order)
