"""Letters are told from digits by a network that comes with cnnkit."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from browsers import chromium
from support import Tiny
from torch import Tensor

import cnnkit
from cnnkit.config.load import parse_config
from cnnkit.data.own_images import framed
from cnnkit.data.prepare import load_dataset
from cnnkit.errors import RunError
from cnnkit.experiment import digit_check
from cnnkit.experiment.checkpoints import Weights, load_weights
from cnnkit.experiment.measure import NO_DIGIT, predict_images
from cnnkit.experiment.new_run import create_run
from cnnkit.experiment.train import run_experiment
from cnnkit.families.datasets import DATASETS
from cnnkit.filenames import PLAY
from cnnkit.play.chosen import Chosen
from cnnkit.play.page import page_of
from glyphs import INK_SIDE, glyphs
from made_photos import letters, to_image

MNIST = DATASETS["mnist"]
DRAWN = {  # strokes on the pad, in its pixels
    "A": [[(80, 250), (140, 40), (200, 250)], [(105, 170), (175, 170)]],
    "K": [[(90, 40), (90, 240)], [(190, 40), (90, 150), (200, 240)]],
    "7": [[(80, 60), (200, 60), (130, 230)]],
    "1": [[(150, 40), (140, 240)]],
}
TOLD = """images => images.map(data =>
  looksLikeNoDigit(page.digitCheck, tensor([1, 24, 24], Float32Array.from(data))))"""


@pytest.fixture(scope="module")
def drawn_letters() -> Tensor:
    """(100, 1, 28, 28): letters as `predict` sees them on photos; the network has never seen a letter."""
    random = np.random.default_rng(20261127)
    seen = []
    for _ in range(100):
        file = io.BytesIO()
        to_image(letters(None, random)).save(file, "PNG")
        seen.append(framed(file.getvalue(), "It", MNIST).pixels)
    return torch.cat(seen)


def framed_glyphs(count: int) -> Tensor:
    """(count, 1, 28, 28)."""
    return F.pad(torch.from_numpy(glyphs(count, np.random.default_rng(1)))[:, None], (4, 4, 4, 4))


def told(images: Tensor) -> float:
    return float(digit_check.no_digit(images).float().mean())


def test_four_letters_in_five_are_told_to_be_no_digit(drawn_letters: Tensor) -> None:
    assert told(drawn_letters) >= 0.8


def test_of_mnist_s_test_digits_one_in_two_hundred_is(mnist_root: Path) -> None:
    images = load_dataset("mnist", mnist_root).test.images
    assert 0.002 < told(images) < 0.008  # 50 of 10,000 are expected; six times the deviation by chance


def test_most_glyphs_are_and_a_crop_changes_nothing(drawn_letters: Tensor) -> None:
    drawn = framed_glyphs(300)
    assert told(drawn) > 0.75  # some of them are digits
    cropped = drawn_letters[:, :, 4:24, 4:24]
    assert torch.equal(digit_check.no_digit(cropped), digit_check.no_digit(drawn_letters))


def test_glyphs_fill_the_box_of_a_digit() -> None:
    drawn = glyphs(200, np.random.default_rng(2))
    assert drawn.shape == (200, INK_SIDE, INK_SIDE)
    lengths = [max(np.ptp(np.flatnonzero(ink.any(axis))) + 1 for axis in (0, 1)) for ink in drawn > 0]
    assert min(lengths) >= INK_SIDE - 4  # of a centre of mass far from the middle, an end is cut off
    assert np.array_equal(drawn, glyphs(200, np.random.default_rng(2)))


def test_it_acts_on_digits_that_are_framed_as_mnist_s_and_on_no_others() -> None:
    acts = {name for name, info in DATASETS.items() if digit_check.acts_on(info)}
    assert acts == {"mnist", "qmnist"}
    assert [digit_check.acts_on(MNIST.cropped(pixels)) for pixels in (0, 4, 5)] == [True, True, False]


def test_a_missing_file_of_the_package_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="comes with cnnkit, cannot be used; install cnnkit again"):
        digit_check.no_digit(torch.zeros(1, 1, 20, 20), tmp_path / "none.safetensors")


def test_distance_warns_of_half_as_many_where_the_check_acts(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thresholds = []
    for acts in (False, True):
        monkeypatch.setattr(digit_check, "acts_on", lambda _, acts=acts: acts)
        run = create_run(tiny(), "tiny", tmp_path / str(acts))
        run_experiment(run.config, run)
        known = load_weights(run.path).familiarity
        assert known is not None
        thresholds.append(float(known.threshold))
    assert thresholds[0] < thresholds[1]


def untrained(crop: int) -> Weights:
    config = parse_config(f"data: {{dataset: mnist, crop: {crop}}}\nmodel: {{channels: [2, 2]}}")
    return Weights(cnnkit.build_model(config), config, Path("none"))


@pytest.mark.parametrize("crop", [0, 3])
def test_predict_warns_of_a_letter_and_not_of_a_digit(
    crop: int, drawn_letters: Tensor, mnist_root: Path
) -> None:
    digits = load_dataset("mnist", mnist_root).test.images[:100]
    images = torch.cat([drawn_letters, digits])[:, :, crop : 28 - crop, crop : 28 - crop]
    warnings = [prediction.warnings for prediction in predict_images(untrained(crop), images)]
    assert {*warnings} == {(), (NO_DIGIT,)}
    assert warnings[:100].count((NO_DIGIT,)) == sum(digit_check.no_digit(drawn_letters))
    assert warnings[100:].count((NO_DIGIT,)) <= 3


def test_the_page_to_draw_on_tells_the_same(drawn_letters: Tensor, tmp_path: Path) -> None:
    file = tmp_path / PLAY
    file.write_text(page_of(Chosen("MNIST", {"one": untrained(2)}, {"one": 0})), encoding="utf-8")
    images = torch.cat([drawn_letters, framed_glyphs(50)])[:, :, 2:26, 2:26]
    with chromium() as browser:
        page = browser.new_page()
        page.goto(file.as_uri())
        found = page.evaluate(TOLD, images.flatten(1).tolist())
        said = {name: said_of(page, strokes) for name, strokes in DRAWN.items()}
    assert found == digit_check.no_digit(images).tolist()
    assert {name for name, text in said.items() if text.endswith(" It looks like no digit.")} == {"A", "K"}


def said_of(page: Any, strokes: list[list[tuple[int, int]]]) -> str:
    page.evaluate("strokes => page.draw(strokes)", strokes)
    return str(page.locator("#verdict").inner_text())
