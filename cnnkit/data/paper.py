"""Takes away what is no ink in a photo of handwriting: how the paper is lit, and the lines printed on it."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

WINDOW = 0.3  # of the shorter side: a pen's stroke is narrower than this, a shadow wider
GRAIN = 0.004  # of the longer side: the blur that removes the grain of paper and camera
TILTS = np.deg2rad(np.arange(-20, 20.25, 0.5))  # of printed lines, from level and from upright
THICKEST_LINE = 0.02  # of the shorter side
SHORTEST_LINE = 0.35  # of the shorter side: a shorter one, across a corner, may be a stroke
SPANNED = 0.85  # of its way across the picture: how much of a printed line must be there


def is_darker(grey: Any) -> bool:
    """Whether the strokes are darker than their paper, however that is lit."""
    from scipy import ndimage

    step = max(1, round(max(grey.shape) / 80))  # a median over large windows is slow
    coarse = ndimage.uniform_filter(grey, step)[step // 2 :: step, step // 2 :: step]
    paper = ndimage.median_filter(coarse, round(0.5 * min(coarse.shape)) | 1, mode="nearest")
    # Paper varies to both sides alike; strokes are few, and far from it on one side.
    return bool(((coarse - paper) ** 3).sum() <= 0)


def without_lighting(grey: Any) -> Any:
    """(H, W), 0 … 1 -> the share of light that ink takes from its paper, 0 … 1, dark or light ink alike."""
    from scipy import ndimage

    bright = np.maximum(grey if is_darker(grey) else 1 - grey, 0.02)
    smooth = ndimage.gaussian_filter(bright, GRAIN * max(grey.shape))
    window = round(WINDOW * min(grey.shape)) | 1
    # A slope goes on behind the edge, so closing leaves it as it is; strokes get no bright mirror image.
    falling = np.pad(smooth, window, mode="reflect", reflect_type="odd")
    wide = np.minimum(falling, np.pad(smooth, window, mode="edge"))
    paper = ndimage.grey_closing(wide, (window, window))[window:-window, window:-window]
    ink = 1 - smooth / np.maximum(paper, 0.02)
    return np.clip(ink - np.median(ink), 0, 1).astype(np.float32)


class Line(NamedTuple):
    """The pixels (row, column) with row · cos(tilt) + column · sin(tilt) = offset. half: its thickness."""

    tilt: float
    offset: float
    half: float


def without_lines(mask: Any) -> Any:
    """(H, W) bool -> the same without lines from edge to edge; where a stroke crosses, its pixels stay."""
    for turn in (0, np.pi / 2):  # one after the other: else the crossings of squared paper would stay
        mask = _without_bundle(mask, TILTS + turn)
    return mask


def _without_bundle(mask: Any, tilts: Any) -> Any:
    cleaned = mask.copy()
    rows, columns = np.nonzero(mask)
    for line in _lines(mask, rows, columns, tilts):
        across = rows * np.cos(line.tilt) + columns * np.sin(line.tilt) - line.offset
        on = np.abs(across) <= line.half
        thin = np.ones(on.sum(), dtype=bool)
        for side in (-1, 1):
            reach = side * (line.half + 2) - across[on]
            thin &= ~_at(mask, rows[on] + reach * np.cos(line.tilt), columns[on] + reach * np.sin(line.tilt))
        cleaned[rows[on][thin], columns[on][thin]] = False
    return cleaned


def _at(mask: Any, rows: Any, columns: Any) -> Any:
    """mask at points that may lie outside, where it is False."""
    rows, columns = np.rint(rows).astype(int), np.rint(columns).astype(int)
    inside = (rows >= 0) & (rows < mask.shape[0]) & (columns >= 0) & (columns < mask.shape[1])
    found = np.zeros(len(rows), dtype=bool)
    found[inside] = mask[rows[inside], columns[inside]]
    return found


def _lines(mask: Any, rows: Any, columns: Any, tilts: Any) -> Iterator[Line]:
    """Lines that cross the whole picture; of several that lie on each other the fullest."""
    thickest = max(3.0, THICKEST_LINE * min(mask.shape))
    candidates = [
        (count, tilt, offset)
        for tilt in tilts
        for offset, count in _peaks(rows * np.cos(tilt) + columns * np.sin(tilt), mask.shape)
    ]
    taken: list[float] = []
    for _, tilt, offset in sorted(candidates, reverse=True):
        middle = offset - (mask.shape[0] * np.cos(tilt) + mask.shape[1] * np.sin(tilt)) / 2
        if any(abs(middle - other) < 2 * thickest for other in taken):
            continue
        if half := _half_thickness(mask, tilt, offset, thickest):
            taken.append(middle)
            yield Line(tilt, offset, half)


def _peaks(across: Any, shape: tuple[int, int]) -> list[tuple[float, int]]:
    """(offset, pixels) of the strips, 2 pixels wide, that hold as many pixels as a line has."""
    first = int(np.floor(across.min(initial=0) / 2))
    counts = np.bincount((across // 2).astype(int) - first)
    return [(2.0 * (first + i) + 1, int(counts[i])) for i in np.flatnonzero(counts > 0.5 * min(shape))]


def _half_thickness(mask: Any, tilt: float, offset: float, thickest: float) -> float:
    """Half of a line's thickness; 0 where it is none: broken, too thick, or ending inside the picture."""
    height, width = mask.shape
    along = np.arange(-height - width, height + width + 1.0)
    rows = offset * np.cos(tilt) - along * np.sin(tilt)
    columns = offset * np.sin(tilt) + along * np.cos(tilt)
    inside = (rows >= 0) & (rows <= height - 1) & (columns >= 0) & (columns <= width - 1)
    rows, columns = rows[inside], columns[inside]
    if len(rows) < SHORTEST_LINE * min(mask.shape):
        return 0.0

    def hits(step: float) -> Any:
        return _at(mask, rows + step * np.cos(tilt), columns + step * np.sin(tilt))

    near = np.logical_or.reduce([hits(step) for step in (-1, 0, 1)])
    end = max(2, len(rows) // 16)
    if near.mean() < SPANNED or not (near[:end].any() and near[-end:].any()):
        return 0.0
    steps = np.arange(-np.ceil(thickest), np.ceil(thickest) + 1)
    full = [step for step in steps if hits(step).mean() > 0.5 * near.mean()]
    return float(np.abs(full).max(initial=1) + 1) if len(full) <= thickest else 0.0
