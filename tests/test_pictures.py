"""Pictures: valid SVG, the same for the same numbers; crops told; filters as training began and left them."""

import base64
import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from support import Tiny, begun, finished_run, info

from cnnkit.config.schema import Config
from cnnkit.data.dataset import ImageDataset
from cnnkit.experiment.checkpoints import Weights, load_weights
from cnnkit.experiment.measure import SPLITS, measure_split
from cnnkit.families.datasets import DATASETS, FOLDER
from cnnkit.report.colours import DARK, LIGHT
from cnnkit.report.confusion import (
    MISTAKES_SHOWN,
    Mistake,
    confusion_svg,
    draw_confusion,
    most_confident_mistakes,
    uncropped,
)
from cnnkit.report.crops import crop_note, whole_image
from cnnkit.report.filters import OPEN_LINES, draw_filters, first_filters, untrained_filters
from cnnkit.report.images import draw_stages, signed_image, stage_maps

NAMES = DATASETS["mnist"].class_names
SVG = "{http://www.w3.org/2000/svg}"


def mistakes(n: int) -> list[Mistake]:
    return [Mistake(torch.full((1, 28, 28), i, dtype=torch.uint8), "4", "9", 0.9) for i in range(n)]


def texts_of(picture: str) -> list[str]:
    """The texts of an SVG file, found to be one."""
    root = ElementTree.fromstring(picture)
    assert root.tag == f"{SVG}svg"
    return [element.text or "" for element in root.iter(f"{SVG}text")]


@pytest.mark.parametrize("name", [name for name in DATASETS if name != FOLDER])
def test_a_confusion_matrix_of_every_data_set_is_a_picture(name: str) -> None:
    names = DATASETS[name].class_names
    confusion = torch.arange(len(names) ** 2).view(len(names), -1) * 1000
    shown = set(names) & set(texts_of(confusion_svg(confusion, names, mistakes(3), "97 % right")))
    assert len(shown) >= min(len(names), 20)


def test_a_confusion_matrix_shows_every_count_but_zeros() -> None:
    confusion = torch.diag(torch.full((10,), 98765))
    confusion[4, 9] = 1234
    shown = texts_of(confusion_svg(confusion, NAMES, [], "title"))
    assert shown.count("98,765") == 10
    assert shown.count("1,234") == 1
    assert shown.count("0") == 2  # the class's name, on both sides


@pytest.mark.parametrize(
    "confusion",
    [torch.eye(10, dtype=torch.int64), torch.zeros(10, 10, dtype=torch.int64)],
    ids=["right", "none"],
)
def test_without_mistakes_there_is_still_a_picture(confusion: torch.Tensor) -> None:
    shown = texts_of(confusion_svg(confusion, NAMES, [], "100 % right"))
    assert "100 % right" in shown
    assert "the most confident mistakes" not in shown


@pytest.mark.parametrize("n", [1, MISTAKES_SHOWN, MISTAKES_SHOWN + 10])
def test_a_picture_shows_some_mistakes_and_no_more(n: int) -> None:
    picture = confusion_svg(torch.ones(10, 10), NAMES, mistakes(n), "title")
    assert texts_of(picture).count("9, 90%") == min(n, MISTAKES_SHOWN)
    images = list(ElementTree.fromstring(picture).iter(f"{SVG}image"))
    assert len(images) == min(n, MISTAKES_SHOWN)


def test_the_same_numbers_give_the_same_bytes_and_others_do_not() -> None:
    def draw(shift: int) -> str:
        return confusion_svg(torch.ones(10, 10).roll(shift) + shift, NAMES, mistakes(2 + shift), "title")

    first, again, other = draw(0), draw(0), draw(1)
    assert first == again
    assert first != other


def test_everything_of_a_confusion_matrix_lies_within_the_picture_and_needs_nothing_else() -> None:
    for names in (NAMES, DATASETS["fashion-mnist"].class_names):
        picture = confusion_svg(torch.ones(10, 10), names, mistakes(15), "title")
        root = ElementTree.fromstring(picture)
        width, height = float(root.attrib["width"]), float(root.attrib["height"])
        matrix = next(group for group in root.iter(f"{SVG}g") if group.attrib.get("class") == "heat")
        left, top, scale = map(float, re.findall(r"[\d.]+", matrix.attrib["transform"]))
        for cell in matrix.iter(f"{SVG}rect"):
            x, y, cell_width, cell_height = (float(cell.attrib[key]) for key in ("x", "y", "width", "height"))
            assert left + scale * (x + cell_width) <= width
            assert top + scale * (y + cell_height) <= height
        assert not re.search(
            r"<script|@import|url\(|var\(|\bnan\b|\binf\b", re.sub(r'href="[^"]*"', "", picture)
        )
        style = "".join(re.findall(r"<style>.*?</style>", picture, re.DOTALL))
        classes = {name for found in re.findall(r'class="([^"]+)"', picture) for name in found.split()}
        assert [name for name in classes if not re.search(rf"\.{name}\b", style)] == []


def test_a_picture_has_the_reports_colours_on_a_light_page_and_on_a_dark_one() -> None:
    picture = confusion_svg(torch.ones(10, 10), NAMES, mistakes(3), "title")
    (style,) = re.findall(r"<style>(.*?)</style>", picture, re.DOTALL)
    for_light, for_dark = style.split("@media (prefers-color-scheme: dark)")
    for part, palette in ((for_light, LIGHT), (for_dark, DARK)):
        used = set(re.findall(r"#[0-9a-f]{3,6}\b", part))
        assert used <= set(palette.values())
        assert {palette[name] for name in ("page", "ink", "more", "less", "c0", "c7")} <= used
    assert LIGHT.keys() == DARK.keys()
    assert "#" not in re.sub(r"<style>.*?</style>", "", picture, flags=re.DOTALL)
    for svg in ElementTree.fromstring(picture).iter(f"{SVG}image"):
        assert svg.attrib["class"] == "ink"  # is inverted on a dark page


def test_the_most_confident_mistakes_come_first_and_right_answers_never() -> None:
    pixels = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1)
    images = ImageDataset(pixels, torch.tensor([1, 2, 3, 4, 5, 6]), info((1, 1, 1)))
    predictions = torch.tensor([1, 7, 3, 7, 7, 7])
    confidences = torch.tensor([0.99, 0.5, 0.98, 0.8, 0.6, 0.8])
    found = most_confident_mistakes(images, predictions, confidences)
    assert [int(mistake.pixels) for mistake in found] == [3, 5, 4, 1]
    assert found[0].caption == "4, taken for 7, 80%"


def test_where_nothing_is_missed_there_are_no_mistakes() -> None:
    labels = torch.arange(4)
    images = ImageDataset(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), labels, info((1, 2, 2)))
    assert most_confident_mistakes(images, labels, torch.ones(4)) == []


def test_only_the_images_that_are_drawn_are_copied(
    tmp_path: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = measure_split(load_weights(finished_run(tmp_path / "run", shared_cache)), "train")
    copied: list[int] = []

    def images(self: ImageDataset) -> torch.Tensor:
        assert self.rows is not None
        copied.append(len(self))
        return self.stored[self.rows]

    monkeypatch.setattr(ImageDataset, "images", property(images))
    assert (measured.evaluation.predictions != measured.images.labels).sum() > MISTAKES_SHOWN
    draw_confusion(measured)
    assert copied == [MISTAKES_SHOWN]


# --- what a crop cuts off ----------------------------------------------------------------------------


def touching(side: int = 8) -> torch.Tensor:
    """(3, 1, 8, 8): ink in the middle alone, ink at the very border too, and a stain too weak for ink."""
    images = torch.zeros(3, 1, side, side, dtype=torch.uint8)
    images[:, :, 3:5, 3:5] = 255
    images[1, :, 7, 4] = 200
    images[2, :, 0, 0] = 40
    return images


def opacity_of(address: str) -> np.ndarray[Any, Any]:
    png = base64.b64decode(address.partition(",")[2])
    return np.asarray(Image.open(BytesIO(png)).convert("RGBA"))[..., 3]


def test_what_a_crop_cuts_off_is_drawn_pale_and_the_rest_as_it_is() -> None:
    image = touching()[1]
    drawn = opacity_of(whole_image(image, 2))
    assert (drawn[2:6, 2:6] == image[0, 2:6, 2:6].numpy()).all()
    assert 0 < drawn[0, 0] < drawn[7, 4] < 200
    assert (opacity_of(whole_image(image, 0)) == image[0].numpy()).all()


def test_the_images_that_lose_ink_by_a_crop_are_counted() -> None:
    assert "cuts 2 pixels off each side" in crop_note(touching(), 2)
    assert "1 of the 3 shown loses ink" in crop_note(touching(), 2)
    assert "3 of the 3 shown lose ink" in crop_note(touching(), 4)
    assert crop_note(touching(), 0) == ""


def test_a_confusion_picture_tells_how_many_of_its_images_a_crop_has_cut_into() -> None:
    cut = [replace(mistake, pixels=touching()[1], crop=2) for mistake in mistakes(4)]
    shown = " ".join(texts_of(confusion_svg(torch.ones(10, 10), NAMES, cut, "title")))
    assert "4 of the 4 shown lose ink" in shown
    assert "lose" not in " ".join(texts_of(confusion_svg(torch.ones(10, 10), NAMES, mistakes(4), "title")))


def test_an_evaluations_images_are_shown_as_they_were_before_the_crop(
    tmp_path: Path, shared_cache: Path
) -> None:
    run = finished_run(
        tmp_path / "run", shared_cache, "data.crop=1", "training.epochs=1", "model.channels=[4]"
    )
    for split in SPLITS:
        measured = measure_split(load_weights(run), split)
        whole = uncropped(measured).images
        assert whole.shape[-2:] == (8, 8)
        assert torch.equal(whole[..., 1:-1, 1:-1], measured.images.images)
    assert "cuts 1 pixel off" in draw_confusion(measured).read_text(encoding="utf-8")


# --- filters ----------------------------------------------------------------------------------------


def level_weights(config: Config) -> Weights:
    """Weights that have left their initial values."""
    weights = Weights(begun(config)[0].model, config, Path("none"))
    with torch.no_grad():
        for parameter in weights.model.parameters():
            parameter += 1
    return weights


@pytest.mark.parametrize(
    ("change", "layer"),
    [
        ("training.seed=7", "downsampling"),
        ("model.pooling=stride", "downsampling"),
        ("training.weight_averaging=0.9", "downsampling"),
        ("model.convolutions=[3, 1]", "before.0"),
    ],
)
def test_an_untrained_filter_is_bitwise_what_training_began_with(change: str, layer: str, tiny: Tiny) -> None:
    config = tiny(change)
    initial = begun(config)[0].model.state_dict()[f"stages.0.{layer}.convolution.weight"]
    weights = level_weights(config)
    assert torch.equal(untrained_filters(weights), initial)
    assert not torch.equal(first_filters(weights.model), initial)


@pytest.mark.parametrize(("convolutions", "layer"), [(1, "downsampling"), (2, "before.0")])
def test_every_filter_has_a_card_with_the_map_that_it_makes(
    convolutions: int, layer: str, tiny: Tiny
) -> None:
    config = tiny("model.channels=[20, 8]", f"model.convolutions={convolutions}", "model.pooling=stride")
    weights, image = {"max": level_weights(config)}, torch.randint(0, 256, (1, 8, 8), dtype=torch.uint8)
    maps = {"max": stage_maps(weights["max"].model, image)}
    filters = draw_filters(weights, {"max": 0}, maps)
    assert [card.number for card in (*filters.open, *filters.folded)] == list(range(20))
    assert len(filters.open) == OPEN_LINES
    model = weights["max"].model
    for card in filters.open:
        (line,) = card.lines
        one = F.conv2d(
            model.normalize(image[None]),
            model.get_parameter(f"stages.0.{layer}.convolution.weight")[[card.number]],
            padding=1,
        )[0, 0].detach()
        assert line.map == signed_image(one, float(one.abs().max()))


def test_levels_of_different_widths_share_the_cards_that_they_have(tiny: Tiny) -> None:
    widths = {"narrow": 4, "wide": 9}
    weights = {name: level_weights(tiny(f"model.channels=[{n}, 8]")) for name, n in widths.items()}
    filters = draw_filters(weights, {"narrow": 0, "wide": 1}, {})
    cards = [*filters.open, *filters.folded]
    assert [len(card.lines) for card in cards] == [2] * 4 + [1] * 5
    assert all(line.map is None for card in cards for line in card.lines)


def test_of_very_many_maps_a_few_are_left_out_and_counted(tiny: Tiny) -> None:
    weights = {"max": level_weights(tiny("model.channels=[100, 8]"))}
    maps = {"max": stage_maps(weights["max"].model, torch.zeros(1, 8, 8, dtype=torch.uint8))}
    filters = draw_filters(weights, {"max": 0}, maps)
    assert len(filters.open) + len(filters.folded) + filters.left_out == 100
    ((wide,), (narrow,)) = draw_stages(weights, {"max": 0}, maps)
    assert (len(wide.channels) + len(wide.others) + wide.left_out, narrow.left_out) == (100, 0)
    assert sorted(c.number for c in (*narrow.channels, *narrow.others)) == list(range(8))
