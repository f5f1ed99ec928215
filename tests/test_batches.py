"""Batches: every image once an epoch, in an order by seed; augmentation: by known amounts."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest
from support import info
from torch import Tensor

from cnnkit.config.augmentation import AugmentConfig
from cnnkit.data.dataset import ImageDataset
from cnnkit.training.batches import augment, in_order, orders

SIDE = 32


def numbered(n: int) -> ImageDataset:
    """Images that hold their own number."""
    return ImageDataset(torch.arange(n).view(n, 1, 1, 1), torch.arange(n) % 10, info((1, 1, 1)))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(max_examples=80, deadline=None)
@given(n=st.integers(1, 60), batch_size=st.integers(1, 30), seed=st.integers(0, 99))
def test_an_epoch_holds_each_image_once(n: int, batch_size: int, seed: int) -> None:
    batches = orders(n, batch_size, generator(seed))
    assert torch.cat(batches).sort().values.tolist() == list(range(n))


@settings(max_examples=80, deadline=None)
@given(n=st.integers(2, 60), batch_size=st.integers(2, 30))
def test_batches_are_full_but_the_last_which_takes_in_a_single_image_left(n: int, batch_size: int) -> None:
    *full, last = (len(batch) for batch in orders(n, batch_size, generator()))
    assert all(size == batch_size for size in full)
    assert 2 <= last <= batch_size + 1


def test_batches_of_one_image_stay_batches_of_one_image() -> None:
    assert [len(batch) for batch in orders(5, 1, generator())] == [1] * 5


def test_a_seed_gives_its_order_again_and_another_seed_another() -> None:
    first, again, other = (torch.cat(orders(100, 32, generator(seed))) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, torch.arange(100))


@pytest.mark.parametrize("n", [1, 7, 8, 9])
def test_in_order_gives_every_image_with_its_label_as_stored(n: int) -> None:
    dataset = numbered(n)
    images, labels = (torch.cat(part) for part in zip(*in_order(dataset, 4), strict=True))
    assert torch.equal(images, dataset.images)
    assert torch.equal(labels, dataset.labels)


def pictures(n: int = 4, channels: int = 1) -> Tensor:
    return torch.randint(0, 256, (n, channels, SIDE, SIDE), generator=generator(), dtype=torch.uint8)


def blobs(n: int, x: float = 0, y: float = 0) -> Tensor:
    """n smooth spots, each x to the right of its image's middle and y below it, pixels."""
    across = torch.arange(SIDE) - (SIDE - 1) / 2
    spot = torch.outer(torch.exp(-((across - y) ** 2) / 8), torch.exp(-((across - x) ** 2) / 8))
    return (255 * spot).round().to(torch.uint8).expand(n, 1, SIDE, SIDE)


def places(images: Tensor) -> tuple[Tensor, Tensor]:
    """(x, y) of each image's centre of mass from its middle, pixels."""
    across = torch.arange(SIDE) - (SIDE - 1) / 2
    mass = images[:, 0].double()
    total = mass.sum((1, 2))
    return (mass.sum(1) * across).sum(1) / total, (mass.sum(2) * across).sum(1) / total


def assert_uniform(amounts: Tensor, low: float, high: float) -> None:
    assert kstest(amounts.numpy(), "uniform", args=(low, high - low)).pvalue > 0.001


def draw_always(value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every random amount at the same place of its range: 0 the lowest, 0.5 none, 1 the highest."""
    monkeypatch.setattr(torch, "rand", lambda *shape, **_: torch.full(shape, value))


def test_no_augmentation_returns_the_images_untouched() -> None:
    images, stream = pictures(), generator()
    before = stream.get_state()
    assert augment(images, AugmentConfig(), stream) is images
    assert torch.equal(stream.get_state(), before)


@pytest.mark.parametrize("config", [{"rotate": 90.0}, {"translate": 5.0}, {"zoom": 0.5}], ids=str)
def test_an_amount_of_nothing_changes_nothing(
    config: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_always(0.5, monkeypatch)
    images = pictures(channels=3)
    torch.testing.assert_close(
        augment(images, AugmentConfig(**config), generator()), images.float(), atol=0.01, rtol=0
    )


@pytest.mark.parametrize("pixels", [1, 3, 10])
def test_a_shift_by_whole_pixels_moves_pixels_whole_and_lets_black_in(
    pixels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = pictures()
    moved = []
    for extreme in (0.0, 1.0):
        draw_always(extreme, monkeypatch)
        moved.append(augment(images, AugmentConfig(translate=float(pixels)), generator()))
    up_left, down_right = torch.zeros(2, *images.shape)
    up_left[..., :-pixels, :-pixels] = images[..., pixels:, pixels:]
    down_right[..., pixels:, pixels:] = images[..., :-pixels, :-pixels]
    expected = sorted([up_left, down_right], key=lambda image: image[0, 0, 0, 0].item())
    got = sorted(moved, key=lambda image: image[0, 0, 0, 0].item())
    torch.testing.assert_close(got, expected, atol=0.01, rtol=0)


def test_a_quarter_turn_moves_pixels_as_rot90_does(monkeypatch: pytest.MonkeyPatch) -> None:
    images = pictures()
    turned = []
    for extreme in (0.0, 1.0):
        draw_always(extreme, monkeypatch)
        turned.append(augment(images, AugmentConfig(rotate=90.0), generator()))
    expected = [torch.rot90(images.float(), turns, (2, 3)) for turns in (1, 3)]
    if (turned[0] - expected[0]).abs().max() > 1:
        expected.reverse()
    torch.testing.assert_close(turned, expected, atol=0.05, rtol=0)


def test_a_zoom_by_half_halves_a_picture_within_black(monkeypatch: pytest.MonkeyPatch) -> None:
    draw_always(0.0, monkeypatch)
    shrunk = augment(torch.full((1, 1, SIDE, SIDE), 200), AugmentConfig(zoom=0.5), generator())
    expected = torch.zeros(1, 1, SIDE, SIDE)
    expected[..., SIDE // 4 : -SIDE // 4, SIDE // 4 : -SIDE // 4] = 200
    torch.testing.assert_close(shrunk, expected, atol=0.05, rtol=0)


def test_shifts_are_uniform_within_the_configured_pixels_either_way() -> None:
    x, y = places(augment(blobs(2000), AugmentConfig(translate=6.0), generator()))
    assert_uniform(x, -6, 6)
    assert_uniform(y, -6, 6)
    assert abs(torch.corrcoef(torch.stack([x, y]))[0, 1]) < 0.1


def test_turns_are_uniform_within_the_configured_degrees_either_way() -> None:
    x, y = places(augment(blobs(2000, x=8), AugmentConfig(rotate=40.0), generator()))
    torch.testing.assert_close(x.hypot(y), torch.full_like(x, 8), atol=0.1, rtol=0)
    assert_uniform(torch.atan2(y, x) * 180 / math.pi, -40, 40)


def test_zooms_are_uniform_within_the_configured_fraction_either_way() -> None:
    x, y = places(augment(blobs(2000, x=5, y=5), AugmentConfig(zoom=0.3), generator()))
    torch.testing.assert_close(x, y, atol=0.05, rtol=0)
    assert_uniform(x / 5, 0.7, 1.3)


@settings(max_examples=40, deadline=None)
@given(
    rotate=st.floats(0, 180),
    translate=st.floats(0, 50),
    zoom=st.floats(0, 0.95),
    seed=st.integers(0, 99),
)
def test_augmented_pixels_keep_their_shape_and_range(
    rotate: float, translate: float, zoom: float, seed: int
) -> None:
    config = AugmentConfig(rotate=rotate, translate=translate, zoom=zoom)
    images = pictures()
    augmented = augment(images, config, generator(seed))
    assert augmented.shape == images.shape
    assert augmented.isfinite().all()
    assert 0 <= augmented.min() <= augmented.max() <= 255 + 1e-3


def test_augmentation_comes_from_its_generator_alone_and_differs_from_image_to_image() -> None:
    config = AugmentConfig(rotate=15.0, translate=2.0, zoom=0.1)
    images = pictures(1).expand(3, -1, -1, -1)
    before = torch.get_rng_state()
    first, again, other = (augment(images, config, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first[0], first[1])
    assert torch.equal(torch.get_rng_state(), before)
