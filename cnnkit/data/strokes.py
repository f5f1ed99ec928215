"""Finds the strokes of one drawing among all ink of a picture, and counts what lies beside it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

FAINT, CLEAR = 0.35, 0.6  # of the strongest ink: a stroke is clear somewhere, and nowhere fainter
GAP = 0.15  # of the largest stroke's extent: two strokes nearer than this may be one drawing
DUST = 0.12  # of the largest stroke's pixels: less is no object of its own
SPECK = 0.02  # of the largest stroke's pixels: less belongs to no drawing


@dataclass(frozen=True)
class Drawing:
    """mask: (H, W) bool, the pixels of the drawing. others: how many more objects there are.

    share: of all ink pixels, those of the drawing.
    """

    mask: Any
    others: int
    share: float


def clear_strokes(ink: Any, faint: float, clear: float) -> Any:
    """(H, W) bool: connected pixels above `faint` of which one is above `clear`."""
    from scipy import ndimage

    labels, count = ndimage.label(ink > faint, np.ones((3, 3)))
    keep = np.zeros(count + 1, dtype=bool)
    keep[np.unique(labels[ink > clear])] = True
    keep[0] = False
    return keep[labels]


def main_drawing(mask: Any) -> Drawing:
    """The largest stroke, with the strokes that belong to it. mask: (H, W) bool, at least one pixel."""
    from scipy import ndimage

    labels, count = ndimage.label(mask, np.ones((3, 3)))
    boxes = ndimage.find_objects(labels)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    main = int(np.argmax(_weights(sizes, boxes, mask.shape)))
    extent = max(axis.stop - axis.start for axis in boxes[main])
    members = {main}
    others = 0
    if count > 1:
        distances = ndimage.distance_transform_edt(labels != main + 1)
        nearest = ndimage.minimum(distances, labels, np.arange(1, count + 1))
        for part in np.argsort(nearest)[1:]:
            near = nearest[part] <= GAP * extent
            if near and _belongs(boxes[part], boxes[main], sizes[part] / sizes[main]):
                members.add(int(part))
            elif sizes[part] >= DUST * sizes[main]:
                others += 1
    chosen = np.isin(labels, [part + 1 for part in members])
    return Drawing(chosen, others, float(chosen.sum() / mask.sum()))


def _weights(sizes: Any, boxes: Any, shape: tuple[int, int]) -> Any:
    """Pixels of each stroke. What reaches the picture's edge is rather a shadow: it counts a fifth."""
    at_edge = [
        any(axis.start == 0 or axis.stop == side for axis, side in zip(box, shape, strict=True))
        for box in boxes
    ]
    return np.where(at_edge, 0.2, 1.0) * sizes


def _belongs(box: Any, main: Any, size: float) -> bool:
    """A bar of a 5 lies above its body; the other half of a 4 beside it, within its height and width."""
    width = box[1].stop - box[1].start
    shared = min(box[1].stop, main[1].stop) - max(box[1].start, main[1].start)
    return bool(SPECK <= size < DUST or (size >= DUST and shared >= 0.3 * width))
