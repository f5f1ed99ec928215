"""A person's image file → an array of greys, and back."""

import contextlib
import itertools
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from cnnkit.data.pictures import opened, quiet


def read_grey(path: Path) -> Any:
    """(H, W) float32, 0 black … 1 white. Transparent pixels get the opposite brightness of the others.

    Raises ImageError where the file is no image that can be read, or too large.
    """
    from PIL import ImageOps

    with quiet(), opened(path, path) as image:
        image.load()
        return _greys(ImageOps.exif_transpose(image))


def _greys(image: Any) -> Any:
    """An image of any mode -> (H, W) float32, 0 … 1."""
    if image.mode in ("I", "F", "I;16", "I;16B", "I;16L"):
        values = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=1e38, neginf=-1e38)
        reach = values.max() - values.min()
        return ((values - values.min()) / (reach or 1)).astype(np.float32)
    if image.mode == "LAB":  # Pillow converts it with a colour profile only; L is its first band
        image = image.getchannel("L")
    layers = np.asarray(image.convert("LA"), dtype=np.float32) / 255
    brightness, opacity = layers[..., 0], layers[..., 1]
    if opacity.min() == 1:
        return brightness
    visible = (brightness * opacity).sum() / max(float(opacity.sum()), 1e-6)
    paper = 1.0 if visible < 0.5 else 0.0
    return brightness * opacity + paper * (1 - opacity)


def resized(values: Any, size: tuple[int, int], resampling: str) -> Any:
    """(H, W) float32 -> (height, width) float32. resampling: "box" or "bilinear"."""
    from PIL import Image

    image = Image.fromarray(values.astype(np.float32))
    return np.asarray(image.resize(size[::-1], Image.Resampling[resampling.upper()]))


def write_beside(folder: Path, stem: str, pixels: Tensor) -> Path:
    """Writes (1, H, W) uint8 as `<stem>.png`, or as `<stem>-2.png` and so on: no file is overwritten."""
    from PIL import Image

    short = stem.encode(errors="surrogateescape")[:200].decode(errors="ignore")  # of at most 255 bytes
    for number in itertools.count(1):
        path = folder / (f"{short}.png" if number == 1 else f"{short}-{number}.png")
        with contextlib.suppress(FileExistsError), path.open("xb") as file:
            Image.fromarray(pixels[0].cpu().numpy()).save(file, "PNG")
            return path
    raise AssertionError("an endless count ended")
