"""A sheet of a person's own images as the network will see them: a row for each class."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnkit.data.inspection import Inspection
from cnnkit.files import written_aside
from cnnkit.words import visible

COLUMNS = 12  # images of a class
ROWS = 100  # classes at most
PAIRS = 10  # nearly equal images that are shown side by side
TILE = 64  # pixels: the shorter side of an image on the sheet, at least; small images are enlarged
GAP = 4
TEXT = 18  # pixels: the height of a line of text
FONTS = (  # looked for where systems keep theirs: Pillow's own has no letters but the English ones
    *("DejaVuSans.ttf", "NotoSans-Regular.ttf", "NotoSansCJK-Regular.ttc", "Arial Unicode.ttf"),
    *("arial.ttf", "msyh.ttc", "malgun.ttf", "Nirmala.ttf"),
)


def draw_sheet(found: Inspection, path: Path | None = None) -> Path:
    """Writes a PNG and returns its path.

    path: None: beside the prepared images, in place of the sheet that was drawn there before.
    Raises FileExistsError where the file of `path` is there already.
    """
    from PIL import Image, ImageDraw

    rows = _class_rows(found)
    pairs = [(f"{pair.train} | {pair.judged}", list(pair.rows)) for pair in found.near[:PAIRS]]
    if pairs:
        rows = [*rows, ("nearly equal: a training image, and one of another split", []), *pairs]
    _, _, height, width = found.prepared.pixels.shape
    factor = max(1, -(-TILE // min(height, width)))
    tile_height, tile_width = height * factor + GAP, width * factor + GAP
    tall = sum(TEXT + (tile_height if images else 0) for _, images in rows) + GAP
    sheet = Image.new("RGB", (GAP + tile_width * COLUMNS, tall), "white")
    pen, top = ImageDraw.Draw(sheet), GAP
    for title, images in rows:
        text, font = _drawable(visible(title))
        pen.text((GAP, top), text, fill="black", font=font)
        top += TEXT
        for column, i in enumerate(images):
            tile = Image.fromarray(_tile(found.prepared.pixels[found.prepared.places[i]], factor))
            sheet.paste(tile, (GAP + column * tile_width, top))
        top += tile_height if images else 0
    with written_aside(found.prepared.sheet) if path is None else path.open("xb") as file:
        sheet.save(file, "PNG", compress_level=1)  # 6 would take seconds for many large images
    return path or found.prepared.sheet


def _drawable(text: str) -> tuple[str, Any]:
    """The text and a font that has all its letters; without such a font, other letters by their numbers."""
    from PIL import ImageFont

    own = ImageFont.load_default(TEXT - 5)
    if _has_all(own, text):
        return text, own
    for name in FONTS:
        with contextlib.suppress(OSError):
            if _has_all(font := ImageFont.truetype(name, TEXT - 5), text):
                return text, font
    return text.encode("ascii", "backslashreplace").decode(), own


def _has_all(font: Any, text: str) -> bool:
    box = bytes(font.getmask("\uffff"))  # what is drawn in place of a letter that is missing
    return text.isascii() or all(letter == " " or bytes(font.getmask(letter)) != box for letter in set(text))


def _class_rows(found: Inspection) -> list[tuple[str, list[int]]]:
    """Images of each class, evenly spread, so that all splits are seen."""
    rows = []
    for label, name in enumerate(found.listing.classes[:ROWS]):
        members = np.flatnonzero((found.listing.labels == label) & (found.splits >= 0))
        chosen = np.linspace(0, len(members) - 1, min(COLUMNS, len(members))).round().astype(int)
        rows.append((name, members[chosen].tolist()))
    return rows


def _tile(pixels: NDArray[np.uint8], factor: int) -> Any:
    """(C, H, W) -> (H · factor, W · factor, 3)."""
    colours = np.broadcast_to(pixels, (3, *pixels.shape[1:])).transpose(1, 2, 0)
    return np.ascontiguousarray(colours.repeat(factor, 0).repeat(factor, 1))
