"""Random changes of training images, on the device, each image by draws of its own."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnkit.config.augmentation import AugmentConfig

MOVING, ALTERING = 4, 9  # random numbers that an image needs to be moved, and to be altered
ERASED_AREA = (0.02, 0.33)  # share of an image; as torchvision's RandomErasing
TALLEST = 1 / 0.3  # an erased rectangle's height by its width; at least 0.3
LUMA = (0.2989, 0.587, 0.114)  # of red, green and blue; ITU-R BT.601


def augment(images: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Changes each image (C, H, W) by its own random amounts: uint8 -> float, pixels 0 … 255.

    Images that are only shifted and mirrored stay uint8.
    """
    if not config.active:
        return images
    return changed(images, draws_for(len(images), config, generator, images.device), config)


def draws_for(count: int, config: AugmentConfig, generator: torch.Generator, device: torch.device) -> Tensor:
    """The random numbers of `count` images, 0 … 1: (4 or 13, count).

    A change that is switched on or off leaves the draws of the others in a batch as they were.
    """
    kinds = [MOVING, ALTERING] if config.alters else [MOVING]
    return torch.cat([torch.rand(rows, count, generator=generator, device=device) for rows in kinds])


def changed(images: Tensor, draws: Tensor, config: AugmentConfig) -> Tensor:
    """Moved, mirrored, recoloured and erased, in this order: (N, C, H, W) by what `draws_for` gave."""
    if config.shifts_alone:
        images = shifted(images, draws[2:MOVING], int(config.translate))
    elif config.moves:
        images = moved(images, draws[:MOVING], config)
    if not config.alters:
        return images
    flip, *factors, erase, area, tall, top, left = draws[MOVING:]
    if config.flip:
        images = torch.where((flip < config.flip).view(-1, 1, 1, 1), images.flip(3), images)
    if config.recolours:
        images = recoloured(images.float(), 2 * torch.stack(factors) - 1, config)
    if config.erase:
        images = images.float()
        rectangles = erased_places(images.shape, area, tall, top, left)
        erased = rectangles & (erase < config.erase).view(-1, 1, 1, 1)
        images = torch.where(erased, images.mean((2, 3), keepdim=True), images)
    return images


def moved(images: Tensor, uniform: Tensor, config: AugmentConfig) -> Tensor:
    """Turned, shifted and zoomed: (N, C, H, W) by (4, N), 0 … 1.

    What comes in from outside is black. Amounts are uniform within ± the configured largest.
    """
    n, _, height, width = images.shape
    draw = uniform * 2 - 1
    angle = draw[0] * math.radians(config.rotate)
    scale = 1 / (1 + draw[1] * config.zoom)  # the grid says where each pixel comes from
    shift_x, shift_y = draw[2] * config.translate * 2 / width, draw[3] * config.translate * 2 / height
    cos, sin = angle.cos() * scale, angle.sin() * scale
    theta = torch.stack([cos, -sin, shift_x, sin, cos, shift_y], dim=1).view(n, 2, 3)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images.float(), grid, align_corners=False)


def shifted(images: Tensor, uniform: Tensor, largest: int) -> Tensor:
    """Shifted by whole pixels, so that they stay sharp: (N, C, H, W) by (2, N), 0 … 1.

    As random crops of an image with black edges. -largest … largest are equally likely.
    """
    count, _, height, width = images.shape
    left, top = (uniform * (2 * largest + 1)).long().clamp(max=2 * largest)
    rows = top[:, None] + torch.arange(height, device=images.device)
    columns = left[:, None] + torch.arange(width, device=images.device)
    each = torch.arange(count, device=images.device).view(-1, 1, 1)
    padded = F.pad(images, [largest] * 4)
    return padded[each, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def recoloured(images: Tensor, amounts: Tensor, config: AugmentConfig) -> Tensor:
    """Brightness, contrast and saturation, in this order: float (N, C, H, W) by (3, N), -1 … 1.

    Each mixes an image with black, its mean grey, or its grey copy, as torchvision's `adjust_brightness`,
    `adjust_contrast` and `adjust_saturation` do, by a factor of 1 + amount · the configured spread.
    """
    spreads = (config.brightness, config.contrast, config.saturation)
    brightness, contrast, saturation = (
        1 + amount.view(-1, 1, 1, 1) * spread for amount, spread in zip(amounts, spreads, strict=True)
    )
    if config.brightness:
        images = (images * brightness).clamp_(0, 255)
    if config.contrast:
        images = _mixed(images, grey(images).mean((1, 2, 3), keepdim=True), contrast)
    if config.saturation and images.shape[1] == len(LUMA):
        images = _mixed(images, grey(images), saturation)
    return images


def grey(images: Tensor) -> Tensor:
    """Float (N, C, H, W) -> (N, 1, H, W): the luma of three channels, else the channels' mean."""
    if images.shape[1] != len(LUMA):
        return images.mean(1, keepdim=True)
    red, green, blue = (images[:, [channel]] * weight for channel, weight in enumerate(LUMA))
    return red + green + blue


def _mixed(images: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    return torch.lerp(other, images, factor).clamp_(0, 255)


def erased_places(shape: torch.Size, area: Tensor, tall: Tensor, top: Tensor, left: Tensor) -> Tensor:
    """(N, 1, H, W) bool: a rectangle in each image, from four draws (N,), 0 … 1, for its size and place.

    After Zhong et al., "Random erasing data augmentation", AAAI 2020. The logarithm of height by width is
    uniform, within the shapes that fit into the image, so no image has to draw twice.
    """
    height, width = shape[-2:]
    low, high = ERASED_AREA
    pixels = (low + area * (high - low)) * height * width
    least = (pixels / width**2).clamp(min=1 / TALLEST)  # height by width of what just fits, or the smallest
    most = (height**2 / pixels).clamp(max=TALLEST)
    ratio = least * (most / least) ** tall
    rows = (pixels * ratio).sqrt().round().clamp(1, height)
    columns = (pixels / ratio).sqrt().round().clamp(1, width)
    return (
        _within(height, (top * (height - rows + 1)).floor(), rows)[:, None, :, None]
        & _within(width, (left * (width - columns + 1)).floor(), columns)[:, None, None, :]
    )


def _within(side: int, first: Tensor, count: Tensor) -> Tensor:
    """(N,), (N,) -> (N, side) bool: the places first … first + count - 1."""
    place = torch.arange(side, device=first.device)
    return (place >= first[:, None]) & (place < (first + count)[:, None])
