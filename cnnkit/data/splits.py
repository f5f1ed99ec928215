"""Which training images are held out for validation: stratified, fixed by the seed."""

import torch
from torch import Tensor

from cnnkit.config.schema import DataConfig
from cnnkit.random import generator_for


def held_out_and_rest(config: DataConfig, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """(validation, training): indices into the published training images that have these labels."""
    return split_stratified(labels, config.validation_images, generator_for(seed, "split"))


def split_stratified(labels: Tensor, held_out: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(held out, rest): sorted indices. Each class keeps its share of the images, to within one image."""
    classes = labels.bincount()
    exact = classes.double() * held_out / len(labels)
    quota = exact.floor().long()
    quota[(exact - quota).argsort(descending=True, stable=True)[: held_out - int(quota.sum())]] += 1
    mask = torch.zeros(len(labels), dtype=torch.bool)
    for label, count in enumerate(quota.tolist()):
        members = (labels == label).nonzero()[:, 0]
        mask[members[torch.randperm(len(members), generator=generator)[:count]]] = True
    return mask.nonzero()[:, 0], (~mask).nonzero()[:, 0]
