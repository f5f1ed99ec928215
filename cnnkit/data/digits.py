"""The data set `digits`: scikit-learn's handwritten digits, which need no network."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from cnnkit.data.splits import split_stratified
from cnnkit.families.datasets import DatasetInfo
from cnnkit.random import generator_for

SPLIT_SEED = 0  # scikit-learn publishes no test split; everyone gets the same test images


def load(info: DatasetInfo, paths: Mapping[str, Path]) -> dict[str, Tensor]:
    """The 8 × 8 images, their 17 greys (0 … 16) stretched to 0 … 255, split 80 to 20. paths: not used."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = (torch.from_numpy(bunch.images) * 255 / 16).round().to(torch.uint8)[:, None]
    labels = torch.from_numpy(bunch.target).long()
    test, train = split_stratified(labels, info.test_images, generator_for(SPLIT_SEED, "digits test split"))
    return {
        "train_images": images[train],
        "train_labels": labels[train],
        "test_images": images[test],
        "test_labels": labels[test],
    }
