"""Photos of handwriting, made from images of digits: light, paper, pens, and what is no digit at all.

Which half of the kinds is kept out was decided before anything was tuned. The kept half was looked at once,
when everything had been chosen.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

HEIGHT, WIDTH = 300, 400  # pixels of a photo
Array = Any
Random = np.random.Generator


@dataclass(frozen=True)
class Scene:
    """What a photo is made of, each (HEIGHT, WIDTH), 0 … 1. pen: the share of the light that ink takes."""

    ink: Array
    pen: float
    light: Array
    lines: Array | None = None

    def photo(self) -> Array:
        paper = self.light if self.lines is None else self.light * (1 - self.lines)
        return paper * (1 - self.pen * self.ink)


def drawing(digit: Array, random: Random, angle: float = 0.0, grow: float = 0.0, share: float = 0.0) -> Array:
    """A digit (28, 28) uint8 as ink on a sheet. grow: pixels added to its strokes. share: of the height."""
    side = round(HEIGHT * (share or random.uniform(0.45, 0.8)) * 28 / 20)
    large = Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC)
    ink = np.asarray(large.rotate(angle, Image.Resampling.BICUBIC), dtype=np.float32) / 255
    ink = np.clip((ink - 0.5) * 3 + 0.5, 0, 1)  # the edges of a pen's stroke
    if grow:
        ink = (ndimage.grey_dilation if grow > 0 else ndimage.grey_erosion)(ink, size=round(abs(grow)))
    return placed(ink, random)


def placed(ink: Array, random: Random, centre: float | None = None) -> Array:
    """Ink on an empty sheet, with its own empty margin cut off. centre: its column's share of the width."""
    rows, columns = (np.flatnonzero((ink > 0.1).any(axis)) for axis in (1, 0))
    box = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1][: HEIGHT - 12, : WIDTH - 12]
    height, width = box.shape
    top = round(random.uniform(5, HEIGHT - height - 5))
    left = round(random.uniform(5, WIDTH - width - 5) if centre is None else centre * WIDTH - width / 2)
    left = min(max(left, 1), WIDTH - width - 1)
    sheet = np.zeros((HEIGHT, WIDTH), dtype=np.float32)
    sheet[top : top + height, left : left + width] = box
    return sheet


def even(brightness: float = 0.9) -> Array:
    return np.full((HEIGHT, WIDTH), brightness, dtype=np.float32)


def grid() -> tuple[Array, Array]:
    """Rows and columns of the pixels, -1 … 1."""
    rows, columns = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    return rows, columns


def rules(distance: float, angle: float, thickness: float, strength: float) -> Array:
    """Parallel lines across the whole sheet. angle: degrees, 0 for level."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    turn = np.deg2rad(angle)
    across = rows * np.cos(turn) + columns * np.sin(turn)
    off = np.abs((across + distance / 2) % distance - distance / 2)
    return (strength * np.clip(thickness / 2 + 0.5 - off, 0, 1)).astype(np.float32)


def pen(random: Random) -> float:
    return float(random.uniform(0.65, 0.9))


def gradient(digits: Array, random: Random) -> Array:
    rows, columns = grid()
    turn = random.uniform(0, 2 * np.pi)
    ramp = (rows * np.sin(turn) + columns * np.cos(turn)) / 1.42
    return Scene(drawing(digits[0], random), pen(random), 0.6 + random.uniform(0.2, 0.35) * ramp).photo()


def vignette(digits: Array, random: Random) -> Array:
    rows, columns = grid()
    light = 0.95 - random.uniform(0.25, 0.4) * (rows**2 + columns**2)
    return Scene(drawing(digits[0], random), pen(random), np.clip(light, 0.1, 1)).photo()


def ruled(digits: Array, random: Random) -> Array:
    lines = rules(
        random.uniform(25, 60), random.uniform(-5, 5), random.uniform(1, 3), random.uniform(0.2, 0.6)
    )
    return Scene(drawing(digits[0], random), pen(random), even(), lines).photo()


def squared(digits: Array, random: Random) -> Array:
    side, angle = random.uniform(20, 50), random.uniform(-5, 5)
    thickness, strength = random.uniform(1, 2.5), random.uniform(0.2, 0.5)
    lines = np.maximum(*(rules(side, angle + turn, thickness, strength) for turn in (0, 90)))
    return Scene(drawing(digits[0], random), pen(random), even(), lines).photo()


def shadow(digits: Array, random: Random) -> Array:
    rows, columns = grid()
    turn = random.uniform(0, 2 * np.pi)
    side = rows * np.sin(turn) + columns * np.cos(turn) + random.uniform(-0.5, 0.5)
    edge = ndimage.gaussian_filter((side > 0).astype(np.float32), random.uniform(3, 12))
    return Scene(drawing(digits[0], random), pen(random), 0.92 - random.uniform(0.3, 0.5) * edge).photo()


def pens(digits: Array, random: Random) -> Array:
    ink = drawing(digits[0], random, grow=random.choice([-5, -3, 3, 7, 11]))
    return Scene(ink, random.uniform(0.25, 0.95), even(random.uniform(0.7, 1))).photo()


def crumpled(digits: Array, random: Random) -> Array:
    """Facets that are lit differently, creases between them, and the grain of the paper."""
    light = even(0.85)
    rows, columns = grid()
    for _ in range(6):
        turn, offset = random.uniform(0, 2 * np.pi), random.uniform(-0.8, 0.8)
        side = rows * np.sin(turn) + columns * np.cos(turn) - offset
        light = light + random.uniform(-0.06, 0.06) * np.tanh(side * 40) - 0.06 * np.exp(-((side * 60) ** 2))
    grain = random.normal(0, 1, light.shape)
    light = light + 0.02 * grain + 0.03 * ndimage.gaussian_filter(grain, 4) * 14
    return Scene(drawing(digits[0], random), pen(random), np.clip(light, 0, 1)).photo()


def turned(digits: Array, random: Random) -> Array:
    return Scene(drawing(digits[0], random, angle=random.uniform(-15, 15)), pen(random), even()).photo()


def light_on_dark(digits: Array, random: Random) -> Array:
    """Chalk on a board that is lit from one side."""
    rows, columns = grid()
    board = 0.2 + random.uniform(0.05, 0.15) * (columns * random.choice([-1, 1]) + rows) / 2
    return board + (0.9 - board) * random.uniform(0.6, 0.95) * drawing(digits[0], random)


def blurred(digits: Array, random: Random) -> Array:
    """Out of focus, then saved as a JPEG of low quality."""
    photo = Scene(drawing(digits[0], random), pen(random), even()).photo()
    soft = ndimage.gaussian_filter(photo, random.uniform(1, 4))
    file = io.BytesIO()
    to_image(soft).save(file, "JPEG", quality=int(random.integers(8, 30)))
    return np.asarray(Image.open(file), dtype=np.float32) / 255


LETTERS = "ABCDEFGHJKLMNPQRTUVWXY"  # I, O, S and Z are drawn like 1, 0, 5 and 2


def letters(_: Array, random: Random) -> Array:
    sheet = Image.new("L", (300, 300))
    font = ImageFont.load_default(200)
    letter, weight = random.choice(list(LETTERS)), int(random.integers(0, 8))
    ImageDraw.Draw(sheet).text((150, 150), letter, 255, font, anchor="mm", stroke_width=weight)
    return leaning(sheet, random, 0.25, 15)


def leaning(sheet: Image.Image, random: Random, skew: float, angle: float) -> Array:
    """A photo of white ink on a black sheet of 300 × 300. angle: degrees; both at most, to either side."""
    slant = random.uniform(-skew, skew)
    slanted = sheet.transform((300, 300), Image.Transform.AFFINE, (1, slant, -150 * slant, 0, 1, 0))
    ink = np.asarray(slanted.rotate(random.uniform(-angle, angle)), dtype=np.float32) / 255
    return Scene(placed(ink, random), pen(random), even()).photo()


# Capitals of straight strokes, on a grid of 4 × 4: columns and rows of their corners.
STRAIGHT = {
    "A": ["04 20 44", "13 33"],
    "E": ["40 00 04 44", "02 32"],
    "F": ["40 00 04", "02 32"],
    "H": ["00 04", "40 44", "02 42"],
    "K": ["00 04", "40 02 44"],
    "L": ["00 04 44"],
    "M": ["04 00 22 40 44"],
    "N": ["04 00 44 40"],
    "T": ["00 40", "20 24"],
    "V": ["00 24 40"],
    "W": ["00 14 22 34 40"],
    "X": ["00 44", "40 04"],
    "Y": ["00 22 40", "22 24"],
}


def straight_letters(_: Array, random: Random) -> Array:
    """By pens from 1/25 to 1/6 of their height."""
    sheet = Image.new("L", (300, 300))
    draw, width = ImageDraw.Draw(sheet), round(float(np.exp(random.uniform(*np.log((8, 33))))))
    for stroke in STRAIGHT[random.choice(list(STRAIGHT))]:
        corners = [(50 + 35 * int(at[0]), 50 + 50 * int(at[1])) for at in stroke.split()]
        draw.line(corners, 255, width, joint="curve")
        for x, y in corners:
            draw.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), 255)
    return leaning(sheet, random, 0.2, 10)


def noise(_: Array, random: Random) -> Array:
    grain = ndimage.gaussian_filter(random.normal(0, 1, (HEIGHT, WIDTH)), random.choice([0, 1, 3, 8]))
    return np.clip(0.5 + 0.2 * grain / grain.std(), 0, 1)


def several(digits: Array, random: Random) -> Array:
    """Two or three digits beside each other."""
    count = int(random.integers(2, 4))
    sheets = []
    for place in range(count):
        ink = drawing(digits[place], random, random.uniform(-8, 8), share=random.uniform(0.3, 0.4))
        sheets.append(placed(ink, random, (place + 0.5) / count))
    return Scene(np.maximum.reduce(sheets), pen(random), even()).photo()


def blank(_: Array, random: Random) -> Array:
    rows, _ = grid()
    return 0.8 + random.uniform(-0.15, 0.15) * rows + random.normal(0, 0.01, rows.shape)


Kind = Callable[[Array, Random], Array]  # digits (3, 28, 28) uint8 -> a photo (H, W), 0 … 1
TUNED_ON: dict[str, Kind] = {
    "lighting gradient": gradient,
    "ruled paper": ruled,
    "pens": pens,
    "angles to 15°": turned,
    "light on dark": light_on_dark,
    "letters": letters,
    "letters of straight strokes": straight_letters,
    "several digits": several,
}
KEPT_OUT: dict[str, Kind] = {
    "vignette": vignette,
    "squared paper": squared,
    "shadow": shadow,
    "crumpled paper": crumpled,
    "blur and JPEG": blurred,
    "noise": noise,
    "blank": blank,
}
TO_WARN_ABOUT = ("letters", "letters of straight strokes", "several digits", "noise", "blank")


def to_image(photo: Array) -> Image.Image:
    """(H, W), 0 … 1 -> a grey image."""
    return Image.fromarray(np.rint(np.clip(photo, 0, 1) * 255).astype(np.uint8))


def clean(digits: Array, random: Random) -> Array:
    """The drawing that a photo is compared with: black on white."""
    return 1 - drawing(digits[0], random)
