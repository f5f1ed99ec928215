"""Augmentation: by known amounts, and in the frequencies that the configuration says."""

import math
from collections import Counter
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare, kstest
from torch import Tensor
from torchvision.transforms import functional as vision

from cnnkit.config.augmentation import AugmentConfig
from cnnkit.training.augmentation import augment, erased_places, moved, recoloured

SIDE = 32


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


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
        augment(images, AugmentConfig(**config), generator()).float(), images.float(), atol=0.01, rtol=0
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
    torch.testing.assert_close([image.float() for image in got], expected, atol=0, rtol=0)


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
    x, y = places(augment(blobs(2000), AugmentConfig(translate=5.5), generator()))
    assert_uniform(x, -5.5, 5.5)
    assert_uniform(y, -5.5, 5.5)
    assert abs(torch.corrcoef(torch.stack([x, y]))[0, 1]) < 0.1


def test_images_that_are_only_shifted_and_mirrored_keep_their_very_pixels() -> None:
    images = torch.arange(1, 1 + 3 * 5 * 7, dtype=torch.uint8).view(1, 3, 5, 7).expand(4000, -1, -1, -1)
    shown = augment(images, AugmentConfig(translate=2.0, flip=0.5), generator())
    seen = Counter(tuple(image.flatten().tolist()) for image in shown)
    padded, expected = F.pad(images[0], [2] * 4), set()
    for top in range(5):
        for left in range(5):
            window = padded[:, top : top + 5, left : left + 7]
            expected |= {tuple(each.flatten().tolist()) for each in (window, window.flip(2))}
    assert shown.dtype == torch.uint8
    assert set(seen) == expected  # all 50, and nothing else
    assert chisquare(list(seen.values())).pvalue > 1e-4


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


EVERY: dict[str, float] = {
    **{"rotate": 15.0, "translate": 2.5, "zoom": 0.1},
    **{"flip": 0.5, "brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "erase": 0.5},
}


def test_images_that_are_only_moved_draw_what_they_always_drew() -> None:
    images, config = pictures(channels=3), AugmentConfig(rotate=10.0, zoom=0.2)
    expected = moved(images, torch.rand(4, len(images), generator=generator(5)), config)
    assert torch.equal(augment(images, config, generator(5)), expected)


@pytest.mark.parametrize("key", EVERY)
def test_a_change_alone_draws_what_it_draws_beside_the_others(key: str) -> None:
    """The others are so weak here that they do nothing."""
    weak = dict.fromkeys(EVERY, 1e-12) | {key: EVERY[key]}
    images = pictures(20, channels=3)
    alone = augment(images, AugmentConfig(**{key: EVERY[key]}), generator(3)).float()
    together = augment(images, AugmentConfig(**weak), generator(3))
    assert not torch.equal(alone, images.float())
    torch.testing.assert_close(together, alone, atol=0.05, rtol=0)


def test_images_are_mirrored_whole_as_often_as_the_probability_says() -> None:
    images = pictures(1000)
    flipped = augment(images, AugmentConfig(flip=0.3), generator())
    as_they_were = (flipped == images).flatten(1).all(1)
    mirrored = (flipped == images.flip(3)).flatten(1).all(1)
    assert (as_they_were ^ mirrored).all()
    assert 250 < mirrored.sum() < 350
    assert torch.equal(augment(images, AugmentConfig(flip=1.0), generator()), images.flip(3))


@pytest.mark.parametrize("kind", ["brightness", "contrast", "saturation"])
@pytest.mark.parametrize("amount", [-1.0, -0.6, 0.0, 0.7, 1.0])
def test_colours_change_as_torchvision_changes_them(kind: str, amount: float) -> None:
    images, spread = pictures(channels=3).float(), 0.8
    row = ["brightness", "contrast", "saturation"].index(kind)
    amounts = torch.full((3, len(images)), 0.9)
    amounts[row] = amount
    expected = getattr(vision, f"adjust_{kind}")(images / 255, 1 + spread * amount)
    got = recoloured(images, amounts, AugmentConfig(**{kind: spread}))
    torch.testing.assert_close(got / 255, expected, atol=1e-5, rtol=0)


def test_colours_change_one_after_the_other() -> None:
    images = pictures(channels=3).float()
    amounts = torch.tensor([0.5, -0.4, 0.9])[:, None].expand(3, len(images))
    expected = images / 255
    for kind, amount in zip(("brightness", "contrast", "saturation"), amounts[:, 0].tolist(), strict=True):
        expected = getattr(vision, f"adjust_{kind}")(expected, 1 + 0.5 * amount)
    config = AugmentConfig(brightness=0.5, contrast=0.5, saturation=0.5)
    torch.testing.assert_close(recoloured(images, amounts, config) / 255, expected, atol=1e-5, rtol=0)


def test_contrast_of_grey_images_is_torchvision_s_too() -> None:
    images = pictures().float()
    got = recoloured(images, torch.ones(3, len(images)), AugmentConfig(contrast=0.5))
    torch.testing.assert_close(got / 255, vision.adjust_contrast(images / 255, 1.5), atol=1e-5, rtol=0)


def test_grey_images_have_no_saturation() -> None:
    images = pictures()
    assert torch.equal(augment(images, AugmentConfig(saturation=0.9), generator()), images.float())


@pytest.mark.parametrize("kind", ["brightness", "contrast", "saturation"])
def test_factors_are_uniform_within_the_configured_spread_around_1(kind: str) -> None:
    """The first pixel, red, is so near to the grey that no factor lets it reach an end of the range."""
    images = torch.full((2000, 3, 2, 2), 100.0)
    images[:, 0, :, 0] = 130
    grey = 100 + 0.2989 * 30
    other = {"brightness": 0, "contrast": (grey + 100) / 2, "saturation": grey}[kind]
    changed = augment(images, AugmentConfig(**{kind: 0.3}), generator())
    assert_uniform((changed[:, 0, 0, 0] - other) / (130 - other), 0.7, 1.3)


def test_as_many_images_are_erased_as_the_probability_says_with_their_mean_colour() -> None:
    images = pictures(1000, channels=3)
    changed = augment(images, AugmentConfig(erase=0.4), generator())
    different = changed != images
    assert 350 < different.flatten(1).any(1).sum() < 450
    means = images.float().mean((2, 3), keepdim=True).expand(images.shape)
    assert torch.equal(changed[different], means[different])
    everywhere = augment(images, AugmentConfig(erase=1.0), generator())
    assert (everywhere != images).flatten(1).any(1).all()


def extent(places: Tensor) -> tuple[Tensor, Tensor]:
    """(first, count) of the rows that hold a place; all between hold one. places: (N, 1, H, W) bool."""
    rows = places.any(3)[:, 0].int()
    first, count = rows.argmax(1), rows.sum(1)
    last = rows.shape[1] - 1 - rows.flip(1).argmax(1)
    assert torch.equal(last - first + 1, count)
    return first, count


def rectangles(height: int, width: int, n: int = 4000) -> Tensor:
    draws = torch.rand(4, n, generator=generator())
    return erased_places(torch.Size((n, 3, height, width)), *draws)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (32, 32), (5, 40), (40, 5), (1, 60), (1, 1)])
def test_what_is_erased_is_one_rectangle_within_the_image(height: int, width: int) -> None:
    places = rectangles(height, width, 500)
    (top, rows), (left, columns) = extent(places), extent(places.mT)
    assert torch.equal(places.flatten(1).sum(1), rows * columns)
    assert (rows * columns >= 1).all()
    assert ((top + rows <= height) & (left + columns <= width)).all()


def test_an_erased_area_is_uniform_from_2_to_33_percent() -> None:
    """Of 200 × 200 pixels, where rounding to whole pixels hardly shows."""
    places = rectangles(200, 200)
    assert_uniform(places.flatten(1).float().mean(1), 0.02, 0.33)


def test_erased_rectangles_are_as_often_tall_as_wide_and_at_most_0_3_to_1() -> None:
    places = rectangles(200, 200)
    tall = extent(places)[1].double().div(extent(places.mT)[1]).log()
    assert tall.abs().max() <= math.log(1 / 0.3) + 0.05
    assert abs(tall.mean()) < 0.05


def test_an_erased_rectangle_lies_anywhere_in_its_image() -> None:
    places = rectangles(200, 200)
    for along in (places, places.mT):
        first, count = extent(along)
        free = count <= 100
        assert_uniform(((first + 0.5) / (201 - count))[free], 0, 1)
    small = rectangles(8, 8)
    for along in (small, small.mT):
        first, count = extent(along)
        assert {int(start) for start in first[count == 3]} == set(range(6))


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 20), st.integers(1, 20)),
    amounts=st.fixed_dictionaries({key: st.floats(0, 0.95) for key in EVERY}),
)
def test_pixels_keep_their_shape_and_range_whatever_is_done(shape: Any, amounts: dict[str, float]) -> None:
    images = torch.randint(0, 256, shape, generator=generator(), dtype=torch.uint8)
    changed = augment(images, AugmentConfig(**amounts), generator())
    assert changed.shape == images.shape
    assert 0 <= changed.min() <= changed.max() <= 255 + 1e-3
