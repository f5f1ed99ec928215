"""Glyphs drawn by chance, framed as MNIST frames its digits: examples of what is no digit."""

from typing import Any

import numpy as np

SIDE, INK_SIDE = 28, 20  # pixels: of an image, and of the box that its ink fits into, and that is kept
POINTS = 48  # of a stroke; with half as many, thin loops are dotted
STEP = np.linspace(0, 1, POINTS)[:, None]
Array = Any
Random = np.random.Generator


def glyphs(count: int, random: Random) -> Array:
    """(count, INK_SIDE, INK_SIDE) uint8, ink up to 255 on a background of 0."""
    return np.stack([_glyph(random) for _ in range(count)])


def _glyph(random: Random) -> Array:
    return _pixels(_shaped(_strokes(random), random), width=random.uniform(1.6, 4.2))


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


def _pixels(points: Array, width: float) -> Array:
    """(P, 2) -> (INK_SIDE, INK_SIDE): the ink as large as that, its centre of mass in the middle."""
    low, high = points.min(0), points.max(0)
    placed = (points - (low + high) / 2) * ((INK_SIDE - width) / (high - low).max())
    grid = np.arange(SIDE) - SIDE / 2
    squares = (grid[:, None, None] - placed[:, 0]) ** 2 + (grid[None, :, None] - placed[:, 1]) ** 2
    ink = np.clip(width / 2 + 0.5 - np.sqrt(squares.min(2)), 0, 1)
    mass = ink.sum()
    down, right = (round(SIDE / 2 - (ink.sum(1 - axis) * np.arange(SIDE)).sum() / mass) for axis in (0, 1))
    edge = (SIDE - INK_SIDE) // 2
    return np.rint(np.roll(ink, (down, right), (0, 1))[edge:-edge, edge:-edge] * 255).astype(np.uint8)
