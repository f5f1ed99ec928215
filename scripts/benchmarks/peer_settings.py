"""What the peers take over from configs/fast.yaml, or cifar10.yaml with a folder, read from the file itself.

The network (cnnkit's own under Lightning and fastai, layer by layer under Keras), the crop, the number of
training images and which of them are shown (chosen before the clock starts), batch size, epochs, optimizer
with its betas and weight decay, peak learning rate, the one-cycle schedule with its warm-up, and label
smoothing; of image files also the mirroring and the shift.
Not: bf16, resident data, weight averaging, gradient clipping, and whatever else their documentation has no
line for. They train in their default float32 and load MNIST as their own examples do, and image files with
the loader that their documentation names for a folder of classes.
"""

import math
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, Subset

from benchmarks import images, reference
from cnnkit.config.load import load_config
from cnnkit.config.schema import Config
from cnnkit.data.dataset import Published, pixel_statistics
from cnnkit.data.hardest import hardest_first
from cnnkit.data.prepare import load_data
from cnnkit.families.schedules import SCHEDULES
from cnnkit.nn.model import build_model
from cnnkit.training.optimizers import LOWEST_RATE

OPTIMIZERS = ("adam", "adamw")


@dataclass(frozen=True)
class Peer:
    """One seed of the configuration, in the terms that the peers share. shortened: epochs instead of all."""

    config: Config
    seed: int
    shortened: int | None = None

    @property
    def epochs(self) -> int:
        return self.shortened or self.config.training.epochs

    @property
    def steps(self) -> int:
        training = self.config.training
        return self.epochs * math.ceil(training.shown_of(self.config.data.train_images) / training.batch_size)

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

    @property
    def shift(self) -> int:
        """Pixels by which training images are moved at most; half of them are mirrored."""
        augment = self.config.data.augment
        others = augment.model_copy(update={"flip": 0.0, "translate": 0.0})
        if others.active or augment.flip != 0.5 or augment.translate % 1:
            sys.exit("data.augment: the peers follow flip of 0.5 and translate by whole pixels, nothing else")
        return int(augment.translate)

    @property
    def folder(self) -> Path:
        """Of the training images, a folder for each class; the test images are in `test` beside it."""
        return Path(self.config.data.root or "") / "train"

    @cached_property
    def published(self) -> Published:
        """The images as cnnkit reads them: to test on, and for their mean."""
        return load_data(self.config.data).cropped(self.config.data.crop)

    @cached_property
    def pixels(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the training pixels, 0 … 1, of all channels or of each."""
        if not self.config.data.own:
            return torch.tensor(reference.MEAN), torch.tensor(reference.STD)
        mean, std = pixel_statistics(self.published.train)
        return mean / 255, std / 255

    def network(self) -> nn.Module:
        """(N, C, H, W), 0 … 1 -> (N, classes) logits; it normalises by itself."""
        return build_model(self.config.model, self.config.data.info, self.seed, *self.pixels)

    def data_sets(self) -> tuple[Dataset[Any], Dataset[Any]]:
        """The training images that are shown, and 1,000 to validate on for who must have some."""
        train = self._image_folder() if self.config.data.own else self._mnist()
        return Subset(train, self.shown), Subset(train, self.training_order()[-1000:])

    @cached_property
    def shown(self) -> list[int]:
        """As many of the published training images as cnnkit shows; chosen as it chooses them."""
        kept = self.training_order()[: self.config.data.train_images]
        if self.config.training.hardest == 1:
            return kept
        order = hardest_first(self.published.train[kept])[: self.config.training.shown_of(len(kept))]
        return [kept[index] for index in order.tolist()]

    def _mnist(self) -> Any:
        from torchvision.transforms import CenterCrop, Compose, ToTensor

        crop = CenterCrop(self.config.data.info.shape[1:])
        return reference.torchvision_mnist(True, Compose([crop, ToTensor()]))

    def _image_folder(self) -> Any:
        from torchvision import transforms as t
        from torchvision.datasets import ImageFolder

        data, size = self.config.data, self.config.data.info.shape[1:]
        changed = [t.RandomCrop(size, padding=self.shift), t.RandomHorizontalFlip()]
        found = ImageFolder(str(self.folder), t.Compose([t.Resize(size), *changed, t.ToTensor()]))
        if tuple(found.classes) != data.classes:
            sys.exit(f"{self.folder}: torchvision numbers the classes in another order than cnnkit")
        return found

    def training_order(self) -> list[int]:
        """The published training images, mixed by the seed; those held out come last."""
        generator = torch.Generator().manual_seed(self.seed)
        order: list[int] = torch.randperm(self.config.data.info.train_images, generator=generator).tolist()
        return order

    def test_accuracy(self, model: nn.Module) -> float:
        """Measured alike for all that are torch modules; 0 … 1."""
        test, place = self.published.test, next(model.parameters()).device
        return reference.accuracy(model, (test.images.float() / 255).to(place), test.labels.to(place))

    def print_result(self, seconds: float, test_accuracy: float, version: str) -> None:
        rest = {"precision": "float32", "epochs": self.epochs, "version": version}
        reference.print_result(seconds, test_accuracy, of_epochs=self.config.training.epochs, **rest)


def peer_from_arguments() -> Peer:
    parser = reference.folder_parser()
    parser.add_argument("--epochs", type=int)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    folder: Path | None = arguments.folder
    config = load_config(images.CONFIG, images.overrides(folder)) if folder else load_config("fast")
    return Peer(config, arguments.seed, arguments.epochs)
