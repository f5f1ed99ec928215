"""Pictures of images in colour, of filters on three channels, and of many classes."""

import base64
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from support import info

from cnnkit.config.load import parse_config
from cnnkit.data.dataset import ImageDataset
from cnnkit.experiment.checkpoints import Weights
from cnnkit.families.datasets import DATASETS, ImageInfo
from cnnkit.nn.model import build_model
from cnnkit.random import generator_for
from cnnkit.report.captions import confusion_caption
from cnnkit.report.confusion import Mistake, confusion_svg, most_confident_mistakes
from cnnkit.report.crops import crop_note, whole_image
from cnnkit.report.filters import COLOURS, draw_filters, first_filters
from cnnkit.report.heat import DOTS, MOST_CELLS, PAIRS_SHOWN, heat_map, mistakes_map, most_confused
from cnnkit.report.images import colours, data_uri, input_image, signed_image, stage_maps, weights_image


def pixels_of(uri: str) -> NDArray[np.uint8]:
    """(H, W, 4) RGBA of a PNG in a page."""
    return np.asarray(Image.open(BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGBA"))


def photo(channels: int = 3, side: int = 8) -> torch.Tensor:
    return torch.randint(256, (channels, side, side), dtype=torch.uint8, generator=generator_for(0, "photo"))


def test_a_photo_is_drawn_in_its_colours_and_a_grey_one_in_its_greys() -> None:
    for image in (photo(3), photo(1)):
        drawn = pixels_of(input_image(image, as_is=True))
        assert (drawn[..., 3] == 255).all()
        assert (drawn[..., :3] == image.expand(3, -1, -1).permute(1, 2, 0).numpy()).all()


def test_a_large_photo_takes_little_room_and_still_looks_like_itself() -> None:
    smooth = torch.nn.functional.interpolate(photo(side=5)[None].float(), size=224, mode="bilinear")[0]
    grain = torch.randn(3, 224, 224, generator=generator_for(0, "grain")) * 6
    image = (smooth + grain).clamp(0, 255).to(torch.uint8)
    address = input_image(image, as_is=True)
    assert len(address) < 60_000 < len(data_uri(colours(image)))
    apart = np.abs(pixels_of(address)[..., :3].astype(int) - image.permute(1, 2, 0).numpy())
    assert apart.mean() < 6


def test_of_a_photo_too_what_a_crop_cuts_off_is_pale() -> None:
    image = photo()
    drawn = pixels_of(whole_image(image, 2, as_is=True))
    assert (drawn[2:6, 2:6, 3] == 255).all()
    assert 0 < drawn[0, 4, 3] < 128
    assert (drawn[..., :3] == image.permute(1, 2, 0).numpy()).all()
    assert "ink" not in crop_note(image[None], 2, as_is=True)


def test_which_data_sets_are_drawn_as_they_are() -> None:
    assert {name for name, info in DATASETS.items() if info.shown_as_is} >= {"cifar10", "cifar100", "svhn"}
    assert not any(DATASETS[name].shown_as_is for name in ("mnist", "fashion-mnist", "small-object"))


def test_weights_in_colour_lie_symmetrically_around_grey() -> None:
    weights = torch.tensor([0.0, 2.0, -2.0, 1.0]).view(1, 2, 2).repeat(3, 1, 1)
    drawn = pixels_of(weights_image(weights, strongest=2.0))
    assert drawn[..., 0].tolist() == [[128, 255], [0, 191]]
    mirrored = pixels_of(weights_image(-weights, strongest=2.0))
    assert (np.abs(drawn[..., :3].astype(int) + mirrored[..., :3] - 255) <= 1).all()
    red = weights * torch.tensor([1.0, 0, 0])[:, None, None]
    assert pixels_of(weights_image(red, strongest=2.0))[0, 1].tolist() == [255, 128, 128, 255]


def colour_weights(head: str = "flatten") -> Weights:
    config = parse_config(f"model: {{channels: [4, 8], kernel_sizes: 3, hidden: [], head: {head}}}", "colour")
    info = ImageInfo((3, 8, 8), ("a", "b"))
    return Weights(build_model(config.model, info, 0), config, Path("none"))


def test_a_filter_on_three_channels_is_drawn_in_colour_and_each_channel_apart() -> None:
    weights = colour_weights()
    image = photo()
    filters = draw_filters({"max": weights}, {"max": 0}, {"max": stage_maps(weights.model, image)})
    of_layer = first_filters(weights.model)
    assert of_layer.shape == (4, 3, 3, 3)
    assert filters.in_colour
    strongest = float(of_layer.abs().max())
    for card in filters.open:
        (line,) = card.lines
        assert line.trained == weights_image(of_layer[card.number], strongest)
        apart = [signed_image(of_channel, strongest) for of_channel in of_layer[card.number]]
        assert line.channels == list(zip(COLOURS, apart, strict=True))


def test_missed_photos_are_tiles_in_colour() -> None:
    image = photo()
    (mistake,) = most_confident_mistakes(
        ImageDataset(image[None], torch.tensor([0]), info((3, 8, 8), 2)),
        torch.tensor([1]),
        torch.ones(1),
        as_is=True,
    )
    picture = confusion_svg(torch.ones(2, 2), ("a", "b"), [mistake], "title")
    assert mistake.image in picture
    assert 'class="photo"' in picture
    assert (pixels_of(mistake.image)[..., :3] == image.permute(1, 2, 0).numpy()).all()
    assert 'class="ink"' in confusion_svg(
        torch.ones(2, 2), ("a", "b"), [Mistake(image, "a", "b", 1.0)], "title"
    )


def test_long_names_below_a_missed_image_do_not_run_into_the_next() -> None:
    mistake = Mistake(photo(), "a very long name of a class", "airplane", 1.0, as_is=True)
    assert max(map(len, mistake.lines)) <= 17  # characters of 11 pixels' type on 98 pixels
    assert mistake.caption == "a very long name of a class, taken for airplane, 100%"


# --- many classes -----------------------------------------------------------------------------------


def counts_of(classes: int) -> NDArray[np.float64]:
    """Few mistakes, all of different numbers."""
    counts = np.diag(np.full(classes, 50.0))
    places = np.random.default_rng(0).permutation(classes * (classes - 1))[:40]
    rows, columns = places // (classes - 1), places % (classes - 1)
    counts[rows, columns + (columns >= rows)] = np.arange(1, 41)
    return counts


def names_of(classes: int) -> list[str]:
    return [f"class {number}" for number in range(classes)]


def test_up_to_thirty_classes_have_cells_and_more_are_points_of_one_image() -> None:
    few, many = (mistakes_map(counts_of(n), names_of(n)) for n in (MOST_CELLS, MOST_CELLS + 1))
    assert (len(few.cells), few.image) == (MOST_CELLS**2, "")
    assert many.cells == []
    assert pixels_of(many.image).shape == (31, 31, 4)
    assert most_confused([counts_of(MOST_CELLS)], names_of(MOST_CELLS)) == []


@pytest.mark.parametrize(("classes", "wide"), [(10, False), (15, False), (16, True), (30, True), (31, False)])
def test_a_matrix_with_many_counts_takes_the_whole_width(classes: int, wide: bool) -> None:
    assert mistakes_map(counts_of(classes), names_of(classes)).wide is wide


def test_each_mistake_of_many_classes_is_a_point_and_more_of_them_are_stronger() -> None:
    counts = counts_of(100)
    opacity = pixels_of(mistakes_map(counts, names_of(100)).image)[..., 3].astype(int)
    off_diagonal = ~np.eye(100, dtype=bool)
    assert ((opacity > 0) == (counts > 0))[off_diagonal].all()
    mistaken = off_diagonal & (counts > 0)
    assert (np.diff(opacity[mistaken][np.argsort(counts[mistaken])]) > 0).all()
    assert opacity[mistaken].max() == 255


def test_more_and_fewer_mistakes_have_the_two_colours_of_signs() -> None:
    difference = np.zeros((40, 40))
    difference[3, 7], difference[7, 3] = 2.0, -1.0
    drawn = pixels_of(heat_map(difference, names_of(40), "max", 2.0, signed=True).image)
    more, less = drawn[3, 7], drawn[7, 3]
    assert more[0] > more[2]
    assert less[2] > less[0]
    assert more[3] > less[3] > 0
    assert (drawn[..., 3] > 0).sum() == 2


@pytest.mark.parametrize("classes", [DOTS + 1, 1000])
def test_of_very_many_classes_no_mistake_is_lost(classes: int) -> None:
    counts = np.zeros((classes, classes))
    counts[classes - 1, 0] = 1.0
    drawn = pixels_of(mistakes_map(counts, names_of(classes)).image)
    assert len(drawn) <= DOTS
    assert drawn[-1, 0, 3] == 255


@pytest.mark.parametrize("classes", [31, 47, 100, 1000])
def test_the_names_at_the_sides_of_many_classes_do_not_touch(classes: int) -> None:
    heat = mistakes_map(counts_of(classes), names_of(classes))
    middles = [middle for middle, _ in heat.labels]
    assert min(np.diff(middles)) >= 10
    assert 15 <= len(middles) <= 25
    step = int(heat.labels[1][1].removeprefix("class "))
    assert heat.labels[2][1] == f"class {2 * step}"
    assert all(heat.left < middle < heat.width for middle in middles)


def test_the_pairs_most_confused_are_told_for_every_level() -> None:
    first = counts_of(100)
    second = first.T.copy()
    pairs = most_confused([first, second], names_of(100))
    assert [pair.counts[0] for pair in pairs] == list(range(40, 40 - PAIRS_SHOWN, -1))
    for pair in pairs:
        row, column = (int(name.removeprefix("class ")) for name in (pair.truth, pair.taken_for))
        assert pair.counts == [first[row, column], second[row, column]]
        assert row != column
    perfect: NDArray[Any] = np.diag(np.ones(100))
    assert most_confused([perfect], names_of(100)) == []


def test_a_name_from_right_to_left_does_not_turn_its_caption() -> None:
    pixels = torch.zeros(3, 4, 4, dtype=torch.uint8)
    told = Mistake(pixels, "قطة", "dog", 0.5).caption
    assert told == "\u2068قطة\u2069, taken for dog, 50%"
    mistakes = np.array([[3.0, 2.0], [0.0, 4.0]])
    assert "\u2068قطة\u2069 taken for dog" in confusion_caption(
        {"max": mistakes}, ("قطة", "dog"), ["max"], [0]
    )
