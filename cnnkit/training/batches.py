"""Batches straight from tensors that are resident on the device, and their augmentation there."""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnkit.config.augmentation import AugmentConfig
from cnnkit.data.dataset import ImageDataset


def orders(count: int, batch_size: int, generator: torch.Generator) -> list[Tensor]:
    """The order of one epoch of `count` images: every index once, in batches, on the generator's device.

    The last batch holds what is left. A single image left joins the batch before it, since batch
    normalisation has nothing to average over in one.
    """
    order = torch.randperm(count, generator=generator, device=generator.device)
    batches = list(order.split(batch_size))
    if batch_size > 1 and len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def in_order(dataset: ImageDataset, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Every image once, as stored: (B, C, H, W) uint8 and (B,) int64."""
    return zip(dataset.images.split(batch_size), dataset.labels.split(batch_size), strict=True)


def augment(images: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Turns, shifts and zooms each image by its own random amount: uint8 -> float, pixels 0 … 255.

    What comes in from outside is black. Amounts are uniform within ± the configured largest.
    """
    if not config.active:
        return images
    return moved(images, torch.rand(4, len(images), generator=generator, device=images.device), config)


def moved(images: Tensor, uniform: Tensor, config: AugmentConfig) -> Tensor:
    """Turned, shifted and zoomed by given amounts: (N, C, H, W) by (4, N), 0 … 1."""
    n, _, height, width = images.shape
    draw = uniform * 2 - 1
    angle = draw[0] * math.radians(config.rotate)
    scale = 1 / (1 + draw[1] * config.zoom)  # the grid says where each pixel comes from
    shift_x, shift_y = draw[2] * config.translate * 2 / width, draw[3] * config.translate * 2 / height
    cos, sin = angle.cos() * scale, angle.sin() * scale
    theta = torch.stack([cos, -sin, shift_x, sin, cos, shift_y], dim=1).view(n, 2, 3)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images.float(), grid, align_corners=False)
