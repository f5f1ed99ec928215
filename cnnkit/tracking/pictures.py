"""Confusion matrices and filters as PNG files, for trackers, which take no SVG. Needs no torch."""

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

POSITIVE, NEGATIVE, RIGHT = (213, 94, 0), (0, 114, 178), (222, 226, 230)  # Okabe and Ito's; grey
CELL, FONT, LETTER, MARGIN = 52, 18, 11, 14  # pixels; of a letter the width, about
CAPTION = "rows: the truth; columns: what it was taken for"
MOST_CELLS, SMALL = 30, 600  # classes whose counts can be read; pixels a side of more
MOST_FILTERS, COLUMNS, FILTER, GAP = 64, 8, 56, 6
LONGEST_NAME = 14  # characters


class Picture(NamedTuple):
    """size: width and height, pixels."""

    png: bytes
    size: tuple[int, int]


def confusion_picture(counts: NDArray[np.float64], class_names: Sequence[str]) -> Picture:
    """counts: (classes, classes), rows are the truth. The more mistakes, the stronger."""
    from PIL import Image, ImageDraw, ImageFont

    classes = len(counts)
    mistakes = counts * (1 - np.eye(classes))
    colours = _signed(mistakes, float(mistakes.max()) or 1.0)
    colours[np.diag_indices(classes)] = RIGHT
    if classes > MOST_CELLS:
        side = -(-SMALL // classes)
        return _png(Image.fromarray(colours.repeat(side, 0).repeat(side, 1)))
    names = [name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…" for name in class_names]
    left = 2 * MARGIN + LETTER * max(map(len, names))
    top = CELL if max(map(len, names)) <= CELL // LETTER else left
    right, bottom = left + classes * CELL, top + classes * CELL
    size = max(right, len(CAPTION) * LETTER) + MARGIN, bottom + CELL
    image, font = Image.new("RGB", size, "white"), ImageFont.load_default(FONT)
    image.paste(Image.fromarray(colours.repeat(CELL, 0).repeat(CELL, 1)), (left, top))
    draw = ImageDraw.Draw(image)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            middle = left + CELL * (column + 0.5), top + CELL * (row + 0.5)
            dark = row != column and count > 0.6 * mistakes.max()
            draw.text(middle, f"{count:.0f}", "white" if dark else "black", font, "mm")
    for number, name in enumerate(names):
        at = CELL * (number + 0.5)
        draw.text((left - MARGIN, top + at), name, "black", font, "rm")
        _write_above(image, name, (left + at, top), slanted=top == left)
    draw.text((MARGIN, bottom + CELL / 2), CAPTION, "black", font, "lm")
    return _png(image)


def _write_above(image: "Image", name: str, place: tuple[float, float], slanted: bool) -> None:
    """The name of a column, from its foot up where it is too long for the column."""
    from PIL import Image, ImageDraw, ImageFont

    (x, bottom), font = place, ImageFont.load_default(FONT)
    if not slanted:
        ImageDraw.Draw(image).text((x, bottom - MARGIN), name, "black", font, "ms")
        return
    strip = Image.new("RGB", (int(bottom) - MARGIN, CELL), "white")
    ImageDraw.Draw(strip).text((0, CELL / 2), name, "black", font, "lm")
    image.paste(strip.rotate(90, expand=True), (int(x - CELL / 2), 0))


def filters_picture(weights: NDArray[np.float32]) -> Picture:
    """(filters, C, K, K): of one channel vermillion above 0, blue below; of three in colour, grey is 0."""
    from PIL import Image

    shown = weights[:MOST_FILTERS]
    strongest = float(np.abs(shown).max()) or 1.0
    side = max(1, FILTER // shown.shape[-1])
    step, columns = side * shown.shape[-1] + GAP, min(COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    image = Image.new("RGB", (GAP + columns * step, GAP + rows * step), RIGHT)
    for number, of_filter in enumerate(shown):
        row, column = divmod(number, columns)
        drawn = _signed(of_filter[0], strongest) if len(of_filter) == 1 else _coloured(of_filter, strongest)
        tile = Image.fromarray(drawn.repeat(side, 0).repeat(side, 1))
        image.paste(tile, (GAP + column * step, GAP + row * step))
    return _png(image)


def _signed(values: NDArray[np.floating], strongest: float) -> NDArray[np.uint8]:
    """(H, W) -> (H, W, 3): white is 0, `strongest` the full colour of its sign."""
    share = (np.abs(values) / strongest).clip(0, 1)[..., None]
    full = np.where((values >= 0)[..., None], POSITIVE, NEGATIVE)
    return np.asarray((255 + share * (full - 255)).round(), np.uint8)


def _coloured(weights: NDArray[np.floating], strongest: float) -> NDArray[np.uint8]:
    """(3, H, W) -> (H, W, 3): red, green and blue, grey is 0."""
    return np.asarray(((weights / strongest + 1) * 127.5).round().transpose(1, 2, 0), np.uint8)


def _png(image: "Image") -> Picture:
    buffer = BytesIO()
    image.save(buffer, "png")
    return Picture(buffer.getvalue(), image.size)
