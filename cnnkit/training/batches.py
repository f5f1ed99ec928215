"""Batches straight from tensors that are resident on the device."""

from collections.abc import Iterator

import torch
from torch import Tensor

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
    return ((batch.images, batch.labels) for batch in dataset.batches(batch_size))
