"""A person's own image file → a tensor that looks like the training images.

`picture_files` reads the greys, `paper` takes away lighting and printed lines, `strokes` finds the drawing,
and this module places it as the data set's authors placed theirs.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from cnnkit.data.paper import without_lighting, without_lines
from cnnkit.data.picture_files import read_grey, resized
from cnnkit.data.pictures import Bytes, pixels_of, quiet, refuse_pipe
from cnnkit.data.strokes import CLEAR, FAINT, clear_strokes, main_drawing
from cnnkit.errors import ImageError
from cnnkit.families.datasets import DatasetInfo
from cnnkit.words import counted

FAINTEST_INK = 0.05  # of the paper's light: ink on uneven paper that takes less cannot be told from grain
STROKES = 0.995  # of a picture's pixels at most are fainter than the strokes of its drawing
FAINTEST = 0.02  # of black to white: less contrast is one colour
INK = 0.2  # of the strongest contrast: what counts as ink on even paper
EVEN = 0.1  # of the strongest contrast: paper whose edges vary less is evenly lit and has no lines
LONGEST_SIDE = 640  # pixels; larger photos are made smaller first: a digit fills 20 pixels in the end
MOSTLY = 0.5  # of all ink: a drawing with less of it does not stand out


Source = TypeVar("Source")


@dataclass(frozen=True)
class OwnImage:
    """pixels: (1, C, H, W) uint8, framed as in the data set. warnings: whole sentences."""

    pixels: Tensor
    warnings: tuple[str, ...] = ()


def load_images(sources: Sequence[Source], load: Callable[[Source], OwnImage]) -> list[OwnImage | ImageError]:
    """Each source loaded, in threads; in place of an image the error of one that cannot be used."""

    def tried(source: Source) -> OwnImage | ImageError:
        try:
            return load(source)
        except ImageError as error:
            return error

    if len(sources) == 1:
        return [tried(sources[0])]
    # Pillow decodes without Python's lock. Here, so that the threads' filters of warnings are taken back.
    with quiet(), ThreadPoolExecutor() as pool:
        return list(pool.map(tried, sources))


def load_image(path: Path, info: DatasetInfo) -> OwnImage:
    """Any file Pillow reads, of any size and mode, framed as in `info`; see `framed`."""
    if not info.photographs:
        return framed(path, path, info)
    refuse_pipe(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror}") from error
    return framed(raw, path, info)


def framed(source: Path | bytes | Bytes, name: object, info: DatasetInfo) -> OwnImage:
    """An image file, its bytes, or an array (H, W) or (H, W, C), framed as in `info`. name: for messages.

    A photograph is fitted to the size as the training images were. Of handwriting, an image that has the
    data set's size already, before its crop, is only inverted where it is dark on light. Raises ImageError
    where the file is no image, too large, or shows nothing.
    """
    if info.photographs:
        assert not isinstance(source, Path)
        return OwnImage(torch.from_numpy(_photograph(source, name, info))[None])
    grey = read_grey(source, name)
    ground = _ground(grey)
    if np.abs(grey - ground).max() < FAINTEST:
        raise ImageError(f"{name} shows nothing: it is one colour throughout")
    crop, (height, width) = info.crop, (side + 2 * info.crop for side in info.shape[1:])
    warnings: tuple[str, ...] = ()
    if grey.shape == (height, width):
        ink = 1 - grey if _is_darker(grey, ground) else grey
    else:
        ink, warnings = _drawing(_smaller(grey), name) if info.strokes else (_light_on_dark(grey, ground), ())
        ink = _frame(ink, info, (height, width))
    ink = ink[crop : height - crop, crop : width - crop]
    return OwnImage(torch.from_numpy(np.rint(ink * 255).astype(np.uint8))[None, None], warnings)


def _photograph(source: bytes | Bytes, name: object, info: DatasetInfo) -> Bytes:
    """(C, H, W) uint8."""
    crop, (channels, height, width) = info.crop, info.shape
    with quiet():
        whole = pixels_of(source, name, channels, (height + 2 * crop, width + 2 * crop), info.fit)
    part = whole[:, crop : crop + height, crop : crop + width]
    return part.copy()  # Pillow lends pixels that may only be read


def _smaller(grey: Any) -> Any:
    """A large photo with its longer side at `LONGEST_SIDE`, if its shorter side keeps 64 pixels."""
    factor = min(max(grey.shape) / LONGEST_SIDE, min(grey.shape) / 64)
    if factor <= 1:
        return grey
    height, width = (round(side / factor) for side in grey.shape)
    return resized(grey, (height, width), "box")


def _drawing(grey: Any, name: object) -> tuple[Any, tuple[str, ...]]:
    """(H, W) -> the ink of the largest drawing, up to 1 on a background of 0, and what is to be told.

    name: in the ImageError that is raised where no ink stands out from the paper.
    """
    ground = _ground(grey)
    edge = _edge(grey)
    if edge.max() - edge.min() <= EVEN * np.abs(grey - ground).max():
        ink = _light_on_dark(grey, ground)
        mask = ink > INK
    else:
        ink = without_lighting(grey)
        if (strongest := float(np.quantile(ink, STROKES))) < FAINTEST_INK:
            raise ImageError(f"{name} shows nothing: no ink stands out from the paper")
        ink = np.clip(ink / strongest, 0, 1)
        mask = clear_strokes(without_lines(ink > FAINT) * ink, FAINT, CLEAR)
        if not mask.any():  # a line from edge to edge, and nothing else
            mask = clear_strokes(ink, FAINT, CLEAR)
    found = main_drawing(mask)
    return ink * _with_soft_edge(found.mask, mask), tuple(_remarks(found.others, found.share))


def _with_soft_edge(chosen: Any, mask: Any) -> Any:
    """The chosen strokes and the fainter pixels around them."""
    from scipy import ndimage

    return ndimage.binary_dilation(chosen, iterations=3) & (chosen | ~mask)


def _remarks(others: int, share: float) -> list[str]:
    if share < MOSTLY and others > 3:
        return ["no drawing stands out: marks are all over the picture"]
    if others:
        return [f"{counted(others + 1, 'object')} in the picture: the largest was taken"]
    return []


def _edge(grey: Any) -> Any:
    return np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])


def _ground(grey: Any) -> float:
    """The brightness of the background: the median of the image's edge."""
    return float(np.median(_edge(grey)))


def _light_on_dark(grey: Any, ground: float) -> Any:
    """Ink up to 1 on a background of 0. Ink is what contrasts more with the background, dark or light."""
    ink = np.clip(ground - grey if _is_darker(grey, ground) else grey - ground, 0, None)
    return ink / ink.max()


def _is_darker(grey: Any, ground: float) -> bool:
    """Whether the ink is darker than its background."""
    return bool(ground - grey.min() > grey.max() - ground)


def _frame(ink: Any, info: DatasetInfo, frame: tuple[int, int]) -> Any:
    """Cuts out the ink, scales it to the data set's share of the frame (H, W), and sets it in the middle."""
    rows, columns = (np.flatnonzero((ink > INK).any(axis)) for axis in (1, 0))
    box = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = frame
    scale = info.ink_share * min(height / box.shape[0], width / box.shape[1])
    rows_left, columns_left = (max(1, round(side * scale)) for side in box.shape)
    small = resized(box, (rows_left, columns_left), info.resampling)
    strongest = max(float(small.max()), 1e-6)
    small = np.clip(small / strongest, 0, 1)
    middle_y, middle_x = (small.shape[0] - 1) / 2, (small.shape[1] - 1) / 2
    if by_mass := info.centred_by == "mass":
        weights = small / small.sum()
        middle_y = float((weights.sum(1) * np.arange(small.shape[0])).sum())
        middle_x = float((weights.sum(0) * np.arange(small.shape[1])).sum())
    # MNIST's centres of mass lie at pixel 14.0 of 0 … 27, a box's middle at 13.5.
    centre_y, centre_x = (height / 2, width / 2) if by_mass else ((height - 1) / 2, (width - 1) / 2)
    top = min(max(round(centre_y - middle_y), 0), height - small.shape[0])
    left = min(max(round(centre_x - middle_x), 0), width - small.shape[1])
    framed = np.zeros((height, width), dtype=np.float32)
    framed[top : top + small.shape[0], left : left + small.shape[1]] = small
    return framed
