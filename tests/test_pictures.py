"""The picture of an evaluation: valid SVG, the same for the same numbers, whatever there is to show."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from cnnkit.families.datasets import DATASETS
from cnnkit.report.pictures import MISTAKES_SHOWN, Mistake, _draw, most_confident_mistakes

NAMES = DATASETS["mnist"].class_names


def mistakes(n: int) -> list[Mistake]:
    return [Mistake(torch.full((28, 28), i, dtype=torch.uint8), "4", "9", 0.9) for i in range(n)]


def svg(path: Path) -> str:
    """The text of an SVG file, found to be one."""
    text = path.read_text(encoding="utf-8")
    assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    return text


def texts_of(text: str) -> list[str]:
    """The texts of a picture; they are drawn as paths, each with its text as a comment."""
    return [line.strip()[5:-4] for line in text.splitlines() if line.strip().startswith("<!-- ")]


@pytest.mark.parametrize("name", DATASETS)
def test_a_confusion_matrix_of_every_data_set_is_a_picture(name: str, tmp_path: Path) -> None:
    names = DATASETS[name].class_names
    confusion = torch.arange(100).view(10, 10) * 1000
    _draw(confusion, names, mistakes(3), "97 % right", tmp_path / "confusion.svg")
    assert set(names) <= set(texts_of(svg(tmp_path / "confusion.svg")))


def test_a_confusion_matrix_shows_every_count_but_zeros(tmp_path: Path) -> None:
    confusion = torch.diag(torch.full((10,), 98765))
    confusion[4, 9] = 1234
    _draw(confusion, NAMES, [], "title", tmp_path / "confusion.svg")
    shown = texts_of(svg(tmp_path / "confusion.svg"))
    assert shown.count("98,765") == 10
    assert shown.count("1,234") == 1
    assert shown.count("0") == 2  # the class's name, on both sides


@pytest.mark.parametrize(
    "confusion",
    [torch.eye(10, dtype=torch.int64), torch.zeros(10, 10, dtype=torch.int64)],
    ids=["right", "none"],
)
def test_without_mistakes_there_is_still_a_picture(confusion: torch.Tensor, tmp_path: Path) -> None:
    _draw(confusion, NAMES, [], "100 % right", tmp_path / "confusion.svg")
    assert "the most confident mistakes" not in texts_of(svg(tmp_path / "confusion.svg"))


@pytest.mark.parametrize("n", [1, MISTAKES_SHOWN, MISTAKES_SHOWN + 10])
def test_a_picture_shows_some_mistakes_and_no_more(n: int, tmp_path: Path) -> None:
    _draw(torch.ones(10, 10), NAMES, mistakes(n), "title", tmp_path / "confusion.svg")
    shown = texts_of(svg(tmp_path / "confusion.svg"))
    assert shown.count("4, taken") == min(n, MISTAKES_SHOWN)


def test_the_same_numbers_give_the_same_bytes_and_others_do_not(tmp_path: Path) -> None:
    def draw(name: str, shift: int) -> bytes:
        path = tmp_path / f"{name}.svg"
        _draw(torch.ones(10, 10).roll(shift) + shift, NAMES, mistakes(2 + shift), "title", path)
        return path.read_bytes()

    first, again, other = draw("first", 0), draw("again", 0), draw("other", 1)
    assert first == again
    assert first != other


def test_the_most_confident_mistakes_come_first_and_right_answers_never() -> None:
    images = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1)
    labels, predictions = torch.tensor([1, 2, 3, 4, 5, 6]), torch.tensor([1, 7, 3, 7, 7, 7])
    confidences = torch.tensor([0.99, 0.5, 0.98, 0.8, 0.6, 0.8])
    found = most_confident_mistakes(images, labels, predictions, confidences, NAMES)
    assert [int(mistake.image) for mistake in found] == [3, 5, 4, 1]
    assert found[0].caption == "4, taken\nfor 7, 80%"


def test_where_nothing_is_missed_there_are_no_mistakes() -> None:
    labels = torch.arange(4)
    assert most_confident_mistakes(torch.zeros(4, 1, 2, 2), labels, labels, torch.ones(4), NAMES) == []
