"""Images made worse on purpose, after MNIST-C (Mu & Gilmer 2019) and ImageNet-C (Hendrycks, Dietterich 2019).

Each corruption has three strengths. Lengths are fractions of the image's shorter side, so that a strength
means the same at 28 and at 64 pixels; MNIST-C's own pixels were of 28. What comes in from outside repeats
the border. All draws of an image come from one stream, so that all networks are asked the same images.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnkit.random import generator_for

STRENGTHS = (1, 2, 3)
SEED = 0  # of all draws: the images are the same for each trial of each study
GAPS = 4  # of broken lines, along one side of the image
REACH = 3  # a Gaussian is cut after so many of its standard deviations


@dataclass(frozen=True)
class Corruption:
    """One way to make images worse.

    formula: for a person; s is the amount. amounts: of strengths 1, 2 and 3. draws: how many uniform numbers
    an image needs, 0 … 1. change: ((N, C, H, W) 0 … 1, amount, (draws, N)) -> the same shape, unclamped;
    noise gets as many draws as pixels instead: (N, C, H, W), standard normal.
    """

    name: str
    formula: str
    amounts: tuple[float, float, float]
    change: Callable[[Tensor, float, Tensor], Tensor]
    draws: int = 0

    def __call__(self, images: Tensor, strength: int) -> Tensor:
        """(N, C, H, W) uint8 -> the same, by the draws of image 0 … N - 1. strength: 1, 2 or 3."""
        generator = generator_for(SEED, "probe", self.name)
        shape = images.shape if self.name == "noise" else (self.draws, len(images))
        sample = torch.randn if self.name == "noise" else torch.rand
        draws = sample(shape, generator=generator).to(images.device)
        changed = self.change(images.float() / 255, self.amounts[strength - 1], draws)
        return (changed * 255).round_().clamp_(0, 255).to(torch.uint8)


def noise(images: Tensor, amount: float, normal: Tensor) -> Tensor:
    return images + amount * normal


def blur(images: Tensor, amount: float, _: Tensor) -> Tensor:
    """Along the columns, then along the rows. amount: standard deviation, of the shorter side."""
    sigma = amount * min(images.shape[2:])
    radius = min(math.ceil(REACH * sigma), min(images.shape[2:]) - 1)
    places = torch.arange(-radius, radius + 1, dtype=images.dtype, device=images.device)
    weights = (-0.5 * (places / sigma) ** 2).exp()
    weights /= weights.sum()
    channels = images.shape[1]
    for shape, padding in (((1, 1, -1, 1), (0, 0, radius, radius)), ((1, 1, 1, -1), (radius, radius, 0, 0))):
        kernel = weights.view(shape).expand(channels, 1, *weights.view(shape).shape[2:])
        images = F.conv2d(F.pad(images, padding, "replicate"), kernel, groups=channels)
    return images


def contrast(images: Tensor, amount: float, _: Tensor) -> Tensor:
    means = images.mean((2, 3), keepdim=True)
    return means + (images - means) * amount


def brightness(images: Tensor, amount: float, _: Tensor) -> Tensor:
    return images + amount


def rotation(images: Tensor, amount: float, uniform: Tensor) -> Tensor:
    """amount: degrees; which way is drawn."""
    angle = math.radians(amount) * torch.where(uniform[0] < 0.5, -1.0, 1.0)
    return _placed(images, angle.cos(), angle.sin())


def scale(images: Tensor, amount: float, _: Tensor) -> Tensor:
    """Made smaller, about the middle."""
    factor = torch.full((len(images),), 1 / amount, device=images.device)
    return _placed(images, factor, torch.zeros_like(factor))


def _placed(images: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Pixel (x, y), from the middle, comes from (x · cos - y · sin, x · sin + y · cos), interpolated."""
    height, width = images.shape[2:]
    zero = torch.zeros_like(cos)
    # affine_grid's unit is half a side, which is another length along x than along y.
    rows = [cos, -sin * height / width, zero, sin * width / height, cos, zero]
    grid = F.affine_grid(torch.stack(rows, 1).view(-1, 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def occlusion(images: Tensor, amount: float, uniform: Tensor) -> Tensor:
    """A square with the mean of the image. amount: its side; it lies inside the image."""
    height, width = images.shape[2:]
    side = max(1, round(amount * min(height, width)))
    top, left = ((uniform[i] * (whole - side + 1)).floor() for i, whole in enumerate((height, width)))
    rows = torch.arange(height, device=images.device) - top.view(-1, 1)
    columns = torch.arange(width, device=images.device) - left.view(-1, 1)
    inside = [(place >= 0) & (place < side) for place in (rows, columns)]
    patch = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return torch.where(patch, images.mean((2, 3), keepdim=True), images)


def broken_lines(images: Tensor, amount: float, uniform: Tensor) -> Tensor:
    """Parallel gaps in a drawn direction, filled with the median of the border.

    amount: the share of the image that they take. `GAPS` of them fit along the shorter side.
    """
    height, width = images.shape[2:]
    period = min(height, width) / GAPS
    angle, offset = uniform[0] * math.pi, uniform[1] * period
    y = torch.arange(height, device=images.device).view(1, -1, 1)
    x = torch.arange(width, device=images.device).view(1, 1, -1)
    along = x * angle.cos().view(-1, 1, 1) + y * angle.sin().view(-1, 1, 1) + offset.view(-1, 1, 1)
    gap = along.remainder(period) < amount * period
    edges = [images[:, :, 0], images[:, :, -1], images[:, :, 1:-1, 0], images[:, :, 1:-1, -1]]
    background = torch.cat(edges, 2).median(2).values
    return torch.where(gap[:, None], background[..., None, None], images)


CORRUPTIONS = {
    corruption.name: corruption
    for corruption in (
        Corruption("noise", "x + s · normal", (0.1, 0.2, 0.4), noise),
        Corruption("blur", "Gaussian of standard deviation s · side", (0.03, 0.05, 0.08), blur),
        Corruption("contrast", "mean + s · (x - mean)", (0.5, 0.3, 0.15), contrast),
        Corruption("brightness", "x + s", (0.15, 0.3, 0.5), brightness),
        Corruption("rotation", "turned by s degrees, either way", (15, 30, 45), rotation, 1),
        Corruption("scale", "made smaller, s times as wide", (0.85, 0.7, 0.55), scale),
        Corruption("occlusion", "a square hidden, s of the side wide", (0.2, 0.35, 0.5), occlusion, 2),
        Corruption("broken_lines", "gaps over s of the image", (0.15, 0.3, 0.45), broken_lines, 2),
    )
}
