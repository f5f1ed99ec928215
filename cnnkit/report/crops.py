"""What `data.crop` cuts off: drawn around the images shown, and told where ink is lost."""

import numpy as np
import torch
from torch import Tensor

from cnnkit.report.evidence import INK
from cnnkit.report.images import colours, data_uri, input_image
from cnnkit.words import counted

BORDER, PALE = 26, 0.35  # opacity of the border, 0 … 255, and of ink in it


def outside(shape: torch.Size, crop: int) -> Tensor:
    """(H, W) bool: the pixels that a crop cuts off each side of (…, H, W)."""
    cut = torch.ones(shape[-2:], dtype=torch.bool)
    cut[crop : shape[-2] - crop, crop : shape[-1] - crop] = False
    return cut


def whole_image(image: Tensor, crop: int, as_is: bool = False) -> str:
    """A PNG of (C, H, W) uint8 before its crop, in its colours or as black ink; what is cut off is pale."""
    if not crop:
        return input_image(image, as_is)
    if as_is:
        opacity = torch.where(outside(image.shape, crop), round(255 * PALE), 255).to(torch.uint8).numpy()
        return data_uri(np.dstack([colours(image), opacity]))
    ink = image[0].numpy()
    pixels = np.zeros((*ink.shape, 4), np.uint8)
    faded = BORDER + ink * (PALE * (255 - BORDER) / 255)
    pixels[..., 3] = np.where(outside(image.shape, crop).numpy(), faded.round(), ink)
    return data_uri(pixels)


def losing_ink(images: Tensor, crop: int) -> int:
    """How many of (N, C, H, W) uint8 have ink among the pixels that are cut off."""
    return int((images[:, 0] >= INK)[:, outside(images.shape, crop)].any(1).sum())


def crop_note(images: Tensor, crop: int, as_is: bool = False) -> str:
    """What a crop does to the images shown, (N, C, H, W), in words; empty where there is no crop."""
    if not crop:
        return ""
    cuts = f"data.crop cuts {counted(crop, 'pixel')} off each side before the network sees an image"
    if as_is:
        return f"{cuts}; that is pale here."
    lost = losing_ink(images, crop)
    return f"{cuts}; {lost} of the {len(images)} shown {'loses' if lost == 1 else 'lose'} ink by it."
