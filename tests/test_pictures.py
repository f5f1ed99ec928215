"""The picture of an evaluation: valid SVG, the same for the same numbers, whatever there is to show."""

import re
from xml.etree import ElementTree

import pytest
import torch

from cnnkit.families.datasets import DATASETS
from cnnkit.report.colours import DARK, LIGHT
from cnnkit.report.confusion import MISTAKES_SHOWN, Mistake, confusion_svg, most_confident_mistakes

NAMES = DATASETS["mnist"].class_names
SVG = "{http://www.w3.org/2000/svg}"


def mistakes(n: int) -> list[Mistake]:
    return [Mistake(torch.full((28, 28), i, dtype=torch.uint8), "4", "9", 0.9) for i in range(n)]


def texts_of(picture: str) -> list[str]:
    """The texts of an SVG file, found to be one."""
    root = ElementTree.fromstring(picture)
    assert root.tag == f"{SVG}svg"
    return [element.text or "" for element in root.iter(f"{SVG}text")]


@pytest.mark.parametrize("name", DATASETS)
def test_a_confusion_matrix_of_every_data_set_is_a_picture(name: str) -> None:
    names = DATASETS[name].class_names
    confusion = torch.arange(100).view(10, 10) * 1000
    assert set(names) <= set(texts_of(confusion_svg(confusion, names, mistakes(3), "97 % right")))


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
    assert texts_of(picture).count("4, taken") == min(n, MISTAKES_SHOWN)
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
    images = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1)
    labels, predictions = torch.tensor([1, 2, 3, 4, 5, 6]), torch.tensor([1, 7, 3, 7, 7, 7])
    confidences = torch.tensor([0.99, 0.5, 0.98, 0.8, 0.6, 0.8])
    found = most_confident_mistakes(images, labels, predictions, confidences, NAMES)
    assert [int(mistake.pixels) for mistake in found] == [3, 5, 4, 1]
    assert found[0].caption == "4, taken for 7, 80%"


def test_where_nothing_is_missed_there_are_no_mistakes() -> None:
    labels = torch.arange(4)
    assert most_confident_mistakes(torch.zeros(4, 1, 2, 2), labels, labels, torch.ones(4), NAMES) == []
