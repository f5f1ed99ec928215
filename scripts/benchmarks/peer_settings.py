"""What the peers take over from configs/fast.yaml, read from the file itself.

The network (cnnkit's own under Lightning and fastai, layer by layer under Keras), the crop and the number of
training images, batch size, epochs (rounded up), optimizer with its betas and weight decay, peak learning
rate, the one-cycle schedule with its warm-up, and label smoothing. Not: bf16, resident data, weight
averaging, gradient clipping, augmentation, and whatever else their documentation has no line for. They train
in their default float32 and load data as their own MNIST examples do.
"""

import math
import sys
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset, Subset

from benchmarks import reference
from cnnkit.config.load import load_config
from cnnkit.config.schema import Config
from cnnkit.families.schedules import SCHEDULES
from cnnkit.nn.model import build_model
from cnnkit.training.optimizers import LOWEST_RATE

OPTIMIZERS = ("adam", "adamw")


@dataclass(frozen=True)
class Peer:
    """One seed of the configuration, in the terms that the peers share."""

    config: Config
    seed: int

    @property
    def epochs(self) -> int:
        return math.ceil(self.config.training.epochs)

    @property
    def steps(self) -> int:
        return self.epochs * math.ceil(self.config.data.train_images / self.config.training.batch_size)

    @property
    def warmup(self) -> float:
        """Share of the steps."""
        share = self.config.training.warmup
        return SCHEDULES["one_cycle"].warmup if share is None else share

    @property
    def optimizer(self) -> str:
        """adam or adamw: those that all peers have and that mean the same in each."""
        name = self.config.training.optimizer
        if name not in OPTIMIZERS:
            sys.exit(f"training.optimizer is {name}; the peers follow {' and '.join(OPTIMIZERS)}")
        return name

    @property
    def first_rate(self) -> float:
        return self.config.training.learning_rate * LOWEST_RATE

    def network(self) -> nn.Module:
        """(N, 1, H, W), 0 … 1 -> (N, 10) logits; it normalises by itself."""
        return build_model(self.config.model, self.config.data.info, self.seed, reference.MEAN, reference.STD)

    def data_sets(self) -> tuple[Dataset[Any], Dataset[Any]]:
        """As many training images as cnnkit trains on, and 1,000 to validate on for who must have some."""
        from torchvision.transforms import CenterCrop, Compose, ToTensor

        crop = CenterCrop(self.config.data.info.shape[1:])
        train = reference.torchvision_mnist(True, Compose([crop, ToTensor()]))
        order = self.training_order()
        return Subset(train, order[: self.config.data.train_images]), Subset(train, order[-1000:])

    def training_order(self) -> list[int]:
        """The published training images, mixed by the seed; those held out come last."""
        generator = torch.Generator().manual_seed(self.seed)
        order: list[int] = torch.randperm(self.config.data.info.train_images, generator=generator).tolist()
        return order

    def test_accuracy(self, model: nn.Module) -> float:
        """Measured alike for all that are torch modules; 0 … 1."""
        from cnnkit.data.prepare import load_dataset
        from cnnkit.data.sources import data_root

        test = load_dataset("mnist", data_root(None)).test.cropped(self.config.data.crop)
        place = next(model.parameters()).device
        return reference.accuracy(model, (test.images.float() / 255).to(place), test.labels.to(place))


def peer_from_arguments() -> Peer:
    seed = reference.seed_from_arguments()
    torch.manual_seed(seed)
    return Peer(load_config("fast"), seed)
