"""A photo of handwriting is framed by the page as `predict` frames it: light and printed lines taken away."""

import base64
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnnkit.data.own_images import framed
from cnnkit.data.prepare import load_dataset
from cnnkit.errors import ImageError
from cnnkit.families.datasets import DATASETS
from cnnkit.play.page import frame_of
from made_photos import KEPT_OUT, TUNED_ON, drawing, rules, to_image

FRAMED = """([width, height, data, frame]) => {
  try {
    const {image, warning} = framed({width, height, data: bytesOf(data)}, frame);
    return [[...image.data], warning];
  } catch (error) {
    return [null, error.message];
  }
}"""
MNIST = DATASETS["mnist"]


def framed_as_predict_does(page: Any, photo: Image.Image) -> str:
    """What the page says of the photo; its pixels are those of `predict` within a level."""
    buffer = BytesIO()
    photo.save(buffer, "png")
    rgba = base64.b64encode(photo.convert("RGBA").tobytes()).decode()
    pixels, told = page.evaluate(FRAMED, [photo.width, photo.height, rgba, frame_of(MNIST)])
    if pixels is None:
        with pytest.raises(ImageError, match=re.escape(told.rstrip("."))):
            framed(buffer.getvalue(), "It", MNIST)
        return str(told)
    ours = framed(buffer.getvalue(), "It", MNIST)
    differences = np.abs(np.array(pixels) - ours.pixels.flatten().numpy())
    assert differences.max() <= 1
    assert told.lower() == " ".join(f"{warning}." for warning in ours.warnings)
    return str(told)


def digits() -> Any:
    return load_dataset("digits", Path()).test.images[:3, 0].numpy()


@pytest.mark.parametrize("kind", TUNED_ON | KEPT_OUT)
def test_every_kind_of_photo_is_framed_as_predict_frames_it(scripts: Any, kind: str) -> None:
    photo = (TUNED_ON | KEPT_OUT)[kind](digits(), np.random.default_rng(3))
    framed_as_predict_does(scripts, to_image(photo))


@pytest.mark.parametrize("turns", [(0,), (90,), (4, 94)], ids=str)
def test_lines_as_dark_as_the_ink_are_taken_away(scripts: Any, turns: tuple[int, ...]) -> None:
    ink = drawing(digits()[0], np.random.default_rng(3))
    lines = np.maximum.reduce([rules(45, turn, 3, 0.8) for turn in turns])
    framed_as_predict_does(scripts, to_image(1 - np.maximum(0.8 * ink, lines)))


@pytest.mark.parametrize("size", [(61, 78), (33, 200), (4, 50), (1, 40)], ids=str)
def test_a_slope_of_light_over_any_size_is_taken_away(scripts: Any, size: tuple[int, int]) -> None:
    slope = np.linspace(120, 220, size[1])[None].repeat(size[0], 0)
    middle = size[0] // 3
    slope[middle : middle + 6, 10:20] *= 0.2
    slope[middle : middle + 2, 20:27] *= 0.3
    framed_as_predict_does(scripts, Image.fromarray(slope.astype(np.uint8)))


def test_a_line_from_edge_to_edge_alone_stays_and_no_ink_is_told(scripts: Any) -> None:
    sheet = np.full((120, 160), 255, np.uint8)
    sheet[60:63] = 0
    assert framed_as_predict_does(scripts, Image.fromarray(sheet)) == ""
    slope = np.linspace(120, 220, 400)[None].repeat(300, 0).astype(np.uint8)
    assert "no ink stands out" in framed_as_predict_does(scripts, Image.fromarray(slope))
