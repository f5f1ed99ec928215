"""Examples of what is no digit, and of digits by other pens than MNIST's, framed as `cnnkit predict` does."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from cnnkit.data.own_images import OwnImage, framed
from cnnkit.families.datasets import DATASETS

MNIST = DATASETS["mnist"]
INK_SIDE, EDGE = 20, 4  # pixels: of the box that holds the ink and is kept, and of what is around it
SHEET, LETTER = 112, 80  # pixels: of a drawing, and the longer side of what is on it
PENS = (2.5, 18)  # pixels of a sheet: the width of a stroke
POINTS = 24  # of a stroke
STEP = np.linspace(0, 1, POINTS)[:, None]
Array = Any
Random = np.random.Generator


def glyphs(count: int, random: Random) -> Array:
    """(count, INK_SIDE, INK_SIDE) uint8, ink up to 255 on a background of 0: strokes in one piece."""
    return np.stack([*islice(_seen(_glyphs(random)), count)])


def by_another_pen(digit: Array, random: Random) -> Array | None:
    """One of MNIST's digits (28, 28) -> (INK_SIDE, INK_SIDE), uint8: thinner or thicker, and turned.

    None where it breaks.
    """
    return next(_seen(iter([_other_pen(digit, random)])), None)


def noise(count: int, random: Random) -> Array:
    """(count, INK_SIDE, INK_SIDE) uint8: even or normal greys, rough or smooth, or scattered points."""
    return np.stack([_noise(random) for _ in range(count)])


def _seen(sheets: Iterator[Array]) -> Iterator[Array]:
    """What the network sees of sheets that show one drawing."""
    for sheet in sheets:
        image: OwnImage = framed(sheet, "it", MNIST)
        if not image.warnings:
            yield image.pixels[0, 0, EDGE:-EDGE, EDGE:-EDGE].numpy()


def _glyphs(random: Random) -> Iterator[Array]:
    while True:
        width = _pen(random)
        points = _shaped(_strokes(random), random)
        low, high = points.min(0), points.max(0)
        placed = (points - (low + high) / 2) * (LETTER - width) / (high - low).max() + SHEET / 2
        sheet = Image.new("L", (SHEET, SHEET))
        draw = ImageDraw.Draw(sheet)
        for stroke in placed[:, ::-1].reshape(-1, POINTS, 2):
            draw.line([tuple(point) for point in stroke], 255, round(width), joint="curve")
            for x, y in (stroke[0], stroke[-1]):
                draw.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), 255)
        yield np.asarray(sheet)


def _other_pen(digit: Array, random: Random) -> Array:
    """(SHEET, SHEET) uint8: the middle line of the digit's strokes, drawn by a pen of PENS."""
    large = Image.fromarray(digit).resize((SHEET, SHEET), Image.Resampling.BICUBIC)
    turned = np.asarray(large.rotate(random.uniform(-12, 12), Image.Resampling.BICUBIC))
    inside = ndimage.distance_transform_edt(turned > 127)
    middle = (inside > 0) & (inside >= ndimage.maximum_filter(inside, 3) - 0.25)
    width = _pen(random)
    return np.rint(255 * np.clip(width / 2 + 0.5 - ndimage.distance_transform_edt(~middle), 0, 1)).astype(
        np.uint8
    )


def _pen(random: Random) -> float:
    return float(np.exp(random.uniform(*np.log(PENS))))


def _noise(random: Random) -> Array:
    shape, kind = (INK_SIDE, INK_SIDE), random.integers(4)
    grey: Array
    if kind == 0:
        grey = random.uniform(0, 255, shape)
    elif kind == 1:
        grey = 255.0 * (random.random(shape) < random.uniform(0.03, 0.6))
    else:
        grain = random.normal(0, 1, shape)
        rough = grain if kind == 2 else ndimage.gaussian_filter(grain, random.uniform(0.5, 2.5))
        grey = random.uniform(40, 200) + random.uniform(20, 70) * rough / rough.std()
    return np.clip(grey, 0, 255).astype(np.uint8)


def _strokes(random: Random) -> Array:
    """(P, 2), rows and columns: two to four lines, half ellipses and loops between points of a 3 × 3 lattice.

    Most begin at the end of an earlier one, or in its middle.
    """
    strokes: list[Array] = []
    known: list[Array] = []
    for _ in range(random.integers(2, 5)):
        start = known[random.integers(len(known))] if known and random.random() < 0.7 else _lattice(random)
        end = known[random.integers(len(known))] if known and random.random() < 0.4 else _lattice(random)
        while np.abs(end - start).max() < 0.3:
            end = _lattice(random)
        strokes.append(_stroke(start, end, random))
        known += [start, end, *([strokes[-1][POINTS // 2]] if random.random() < 0.5 else [])]
    return np.concatenate(strokes)


def _lattice(random: Random) -> Array:
    return random.integers(0, 3, 2) / 2


def _stroke(start: Array, end: Array, random: Random) -> Array:
    """(POINTS, 2)."""
    kind, along, middle = random.choice(3, p=[0.55, 0.35, 0.1]), end - start, (start + end) / 2
    if kind == 0:
        return start + STEP * along
    if kind == 1:
        across = np.array([-along[1], along[0]]) * random.choice([-0.5, -0.25, 0.25, 0.5])
        return middle - np.cos(np.pi * STEP) * along / 2 + np.sin(np.pi * STEP) * across
    turn = 2 * np.pi * STEP
    return middle + np.hstack([np.sin(turn), np.cos(turn)]) * np.maximum(np.abs(along) / 2, 0.15)


def _shaped(points: Array, random: Random) -> Array:
    """As narrow as digits are, slanted, and turned."""
    low, high = points.min(0), points.max(0)
    rows, columns = ((points - low) / np.maximum(high - low, 0.3)).T
    columns = columns * random.uniform(0.55, 1.1) + rows * random.uniform(-0.3, 0.3)
    turn = random.uniform(-0.25, 0.25)  # radians
    return np.stack(
        [np.cos(turn) * rows - np.sin(turn) * columns, np.sin(turn) * rows + np.cos(turn) * columns], 1
    )
