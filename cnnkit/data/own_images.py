"""A person's own image file → a tensor that looks like the training images."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cnnkit.errors import ImageError
from cnnkit.families.datasets import DatasetInfo

LARGEST_IMAGE = 50_000_000  # pixels; a photo of a phone has 12 to 50 million
FAINTEST = 0.02  # of black to white: less contrast is one colour
INK = 0.2  # of the strongest contrast: what counts as ink when its box is looked for


def load_image(path: Path, info: DatasetInfo) -> Tensor:
    """Any file Pillow reads, of any size and mode -> (1, 1, H, W) uint8, light on dark, framed as in `info`.

    An image that has the data set's size already, before its crop, is only inverted where it is dark on
    light. Raises ImageError where the file is no image, too large, or shows nothing.
    """
    grey = _grey(path)
    ground = _ground(grey)
    if np.abs(grey - ground).max() < FAINTEST:
        raise ImageError(f"{path} shows nothing: it is one colour throughout")
    crop, (height, width) = info.crop, (side + 2 * info.crop for side in info.shape[1:])
    if grey.shape == (height, width):
        ink = 1 - grey if _is_darker(grey, ground) else grey
    else:
        ink = _frame(_light_on_dark(grey, ground), info, (height, width))
    ink = ink[crop : height - crop, crop : width - crop]
    return torch.from_numpy(np.rint(ink * 255).astype(np.uint8))[None, None]


def _grey(path: Path) -> Any:
    """(H, W) float32, 0 black … 1 white. Transparent pixels get the opposite brightness of the others."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    if path.exists() and not (path.is_file() or path.is_dir()):
        raise ImageError(f"{path} is no file: reading it might never end")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters is told as an error
            with Image.open(path) as image:
                if image.width * image.height > LARGEST_IMAGE:
                    raise ImageError(
                        f"{path} has {image.width:,} × {image.height:,} pixels; "
                        f"{LARGEST_IMAGE // 1_000_000} million are the most: make it smaller"
                    )
                image.load()
                upright = ImageOps.exif_transpose(image)
    except UnidentifiedImageError as error:
        empty = path.stat().st_size == 0
        raise ImageError(f"{path} is {'an empty file' if empty else 'no image that can be read'}") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path} is too large: {error}") from error
    except ImageError:
        raise
    except Exception as error:  # each of Pillow's formats fails in ways of its own
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ImageError(f"{path} cannot be read: {reason}") from error
    if upright.mode in ("I", "F", "I;16", "I;16B", "I;16L"):
        values = np.nan_to_num(np.asarray(upright, dtype=np.float64), posinf=1e38, neginf=-1e38)
        reach = values.max() - values.min()
        return ((values - values.min()) / (reach or 1)).astype(np.float32)
    layers = np.asarray(upright.convert("LA"), dtype=np.float32) / 255
    brightness, opacity = layers[..., 0], layers[..., 1]
    if opacity.min() == 1:
        return brightness
    visible = (brightness * opacity).sum() / max(float(opacity.sum()), 1e-6)
    paper = 1.0 if visible < 0.5 else 0.0
    return brightness * opacity + paper * (1 - opacity)


def _ground(grey: Any) -> float:
    """The brightness of the background: the median of the image's edge."""
    return float(np.median(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])))


def _light_on_dark(grey: Any, ground: float) -> Any:
    """Ink up to 1 on a background of 0. Ink is what contrasts more with the background, dark or light."""
    ink = np.clip(ground - grey if _is_darker(grey, ground) else grey - ground, 0, None)
    return ink / ink.max()


def _is_darker(grey: Any, ground: float) -> bool:
    """Whether the ink is darker than its background."""
    return bool(ground - grey.min() > grey.max() - ground)


def _frame(ink: Any, info: DatasetInfo, frame: tuple[int, int]) -> Any:
    """Cuts out the ink, scales it to the data set's share of the frame (H, W), and sets it in the middle."""
    from PIL import Image

    rows, columns = (np.flatnonzero((ink > INK).any(axis)) for axis in (1, 0))
    box = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = frame
    scale = info.ink_share * min(height / box.shape[0], width / box.shape[1])
    size = [max(1, round(side * scale)) for side in (box.shape[1], box.shape[0])]
    resampling = Image.Resampling[info.resampling.upper()]
    small = np.asarray(Image.fromarray(box.astype(np.float32)).resize(size, resampling))
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
