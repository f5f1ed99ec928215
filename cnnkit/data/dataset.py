"""Images with their labels, as tensors."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from cnnkit.families.datasets import ImageInfo

GATHERED = 2**22  # bytes of images at once: of larger pieces the memory stays with the process


@dataclass(frozen=True, repr=False)
class ImageDataset:
    """Some images of a tensor, in the order of `rows`; they are copied only where they are looked at.

    stored: (M, C, H, W) uint8, pixels 0 … 255, in memory or mapped from a file. labels: (N,) int64,
    0 … classes - 1. rows: (N,) int64, which of the stored images; None: all of them.

    The images may lie in the host's memory and the labels on a GPU that has no room for them; what is looked
    at is then copied there, through pinned memory.
    """

    stored: Tensor
    labels: Tensor
    info: ImageInfo
    rows: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        classes = len(self.info.class_names)
        return f"ImageDataset({len(self)} images, {tuple(self.stored.shape[1:])}, {classes} classes)"

    @property
    def images(self) -> Tensor:
        """(N, C, H, W) uint8, where the labels are: gathered anew at each call unless all are meant."""
        images = self.stored if self.rows is None else self.stored.index_select(0, self.rows)
        if self.resident:
            return images
        return images.pin_memory().to(self.labels.device, non_blocking=True)

    @property
    def resident(self) -> bool:
        """Whether the images lie where the labels are."""
        return self.stored.device == self.labels.device

    def __getitem__(self, index: Tensor | Sequence[int]) -> "ImageDataset":
        """The images at the (n,) indices."""
        index = torch.as_tensor(index, dtype=torch.int64)
        labels = self.labels.index_select(0, index.to(self.labels.device))
        here = index.to(self.stored.device)
        rows = here if self.rows is None else self.rows.index_select(0, here)
        return replace(self, labels=labels, rows=rows)

    def batches(self, size: int) -> Iterator["ImageDataset"]:
        """All images in order, at most so many at once."""
        for first in range(0, len(self), size):
            part = slice(first, first + size)
            rows = None if self.rows is None else self.rows[part]
            stored = self.stored[part] if rows is None else self.stored
            yield replace(self, stored=stored, labels=self.labels[part], rows=rows)

    def parts(self) -> Iterator["ImageDataset"]:
        """All images in order, in batches of about `GATHERED` bytes."""
        return self.batches(max(1, GATHERED // math.prod(self.stored.shape[1:])))

    def cropped(self, pixels: int) -> "ImageDataset":
        """The images without their outer pixels: (N, C, H - 2 · pixels, W - 2 · pixels)."""
        if not pixels:
            return self
        height, width = self.stored.shape[2:]
        inner = self.images[..., pixels : height - pixels, pixels : width - pixels].contiguous()
        channels, height, width = inner.shape[1:]
        return ImageDataset(inner, self.labels, replace(self.info, shape=(channels, height, width)))

    def to(self, device: torch.device) -> "ImageDataset":
        """The same on a device. The images are copied there, in their own order, if it has room for them."""
        if device == self.labels.device:
            return self
        labels = self.labels.to(device)
        if self.resident and not _has_room(device, len(self) * self.stored[:1].numel()):
            return replace(self, labels=labels)
        return ImageDataset(self.images.to(device), labels, self.info)


def _has_room(device: torch.device, size: int) -> bool:
    """Whether so many bytes take at most half of what is free there."""
    return device.type != "cuda" or size <= torch.cuda.mem_get_info(device)[0] / 2


@dataclass(frozen=True)
class Splits:
    """The images of one run. The validation images come out of those that are not tested on.

    tested: (test images,) int64, which of all published images are tested on, where the seed chooses them;
    None: the published test split.
    hashes: of a person's own images, by split, the SHA-256 of the pixels' own hashes, before any crop.
    """

    train: ImageDataset
    validation: ImageDataset
    test: ImageDataset
    tested: Tensor | None = field(default=None, repr=False)
    hashes: Mapping[str, str] = field(default_factory=dict)

    @property
    def info(self) -> ImageInfo:
        return self.train.info

    @cached_property
    def pixel_statistics(self) -> tuple[Tensor, Tensor]:
        """Of the training images: `pixel_statistics`. A forecast and its training share them."""
        return pixel_statistics(self.train)

    def to(self, device: torch.device) -> "Splits":
        return replace(
            self,
            train=self.train.to(device),
            validation=self.validation.to(device),
            test=self.test.to(device),
        )


@dataclass(frozen=True)
class Apart:
    """What a person's own images say of which of them belong together. T training, then S test images.

    validation: (V,) int64, the training images that the source itself holds out; None: the seed chooses.
    groups: (T + S,) int64: images of one group stay in one split; None: each image is a group.
    same: (T + S,) int64: images of equal pixels have the same number; None: not looked at.
    """

    validation: Tensor | None = None
    groups: Tensor | None = None
    same: Tensor | None = None


@dataclass(frozen=True)
class Published:
    """The splits of a data set as published. No validation images are held out yet."""

    train: ImageDataset
    test: ImageDataset
    apart: Apart = Apart()

    def __iter__(self) -> Iterator[ImageDataset]:
        return iter((self.train, self.test))

    @property
    def all(self) -> ImageDataset:
        """The training images, then the test images."""
        labels = torch.cat([split.labels for split in self])
        train, test = self
        if train.stored is test.stored and train.rows is not None and test.rows is not None:
            return replace(train, labels=labels, rows=torch.cat([train.rows, test.rows]))
        return ImageDataset(torch.cat([split.images for split in self]), labels, train.info)

    def cropped(self, pixels: int) -> "Published":
        return replace(self, train=self.train.cropped(pixels), test=self.test.cropped(pixels))

    def to(self, device: torch.device) -> "Published":
        return replace(self, train=self.train.to(device), test=self.test.to(device))


def pixel_statistics(dataset: ImageDataset) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel's pixels, 0 … 255: two (C,) float64 tensors.

    The sums are exact, so the order of the pixels does not matter.
    """
    channels, height, width = dataset.stored.shape[1:]
    total, square = [0.0] * channels, [0.0] * channels
    for part in dataset.parts():
        for channel, pixels in enumerate(part.images.transpose(0, 1).flatten(1)):
            # On a CPU the chunks fit into a core's cache, which is 7 times as fast.
            for chunk in pixels.split(2**24 if pixels.is_cuda else 2**16):
                values = chunk.double()
                total[channel] += values.sum().item()
                square[channel] += values.dot(values).item()
    count = len(dataset) * height * width
    mean = torch.tensor(total, dtype=torch.float64) / count
    variance = torch.tensor(square, dtype=torch.float64) / count - mean**2
    return mean, variance.clamp(min=1e-12).sqrt()
