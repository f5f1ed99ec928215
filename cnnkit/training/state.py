"""`Training`: a model, its optimizer, and all that is needed to stop at any step and to resume exactly."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cnnkit.config.schema import Config
from cnnkit.events import EpochRecord
from cnnkit.nn.model import CNN
from cnnkit.random import generator_for
from cnnkit.training.device import Placement
from cnnkit.training.optimizers import make_optimizer

DRAWING_USES = ("augmentation", "dropout", "pooling")


@dataclass
class EpochUnderWay:
    """The sums of an epoch that may have been interrupted. losses: one a step, filled from the left."""

    losses: Tensor
    correct: Tensor
    step: int = 0
    images: int = 0
    seconds: float = 0.0

    @property
    def mean_loss(self) -> float:
        """So far, in nats; summed in float64, which no finite losses overflow."""
        return self.losses.sum(dtype=torch.float64).item() / self.images

    @property
    def accuracy(self) -> float:
        return self.correct.item() / self.images


@dataclass
class Training:
    """A model, its optimizer, and how far they are. Two of equal config and seed stay bitwise equal.

    train_images: how many an epoch shows. shown: (train_images,) int64, which of the training images these
    are; None: all. choosing: seconds that it took to choose them, part of the first epoch.
    """

    config: Config
    model: CNN
    placement: Placement
    train_images: int
    history: list[EpochRecord] = field(default_factory=list)
    best_epoch: int = 0
    under_way: EpochUnderWay | None = None
    class_weights: Tensor | None = None  # (classes,) of the loss; None: all count 1
    shown: Tensor | None = None
    choosing: float = 0.0

    def __post_init__(self) -> None:
        device = self.placement.device
        self.model.to(device)
        if self.class_weights is not None:
            self.class_weights = self.class_weights.to(device)
        self.optimizer = make_optimizer(self.model, self.config.training, device)
        decay = self.config.training.weight_averaging
        self.averaged = (
            AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
            if decay
            else None
        )
        self.augmentation_generator = torch.Generator(device)
        self.dropout_generator = torch.Generator(device)
        self.pooling_generator = torch.Generator(device)
        self.model.draw_dropout_from(self.dropout_generator)
        self.model.draw_poolings_from(self.pooling_generator)

    @property
    def steps_per_epoch(self) -> int:
        whole, rest = divmod(self.train_images, self.config.training.batch_size)
        return max(1, whole + (rest > 1))

    def images_until(self, step: int) -> int:
        """How many images the first `step` steps of an epoch show."""
        every = step == self.steps_per_epoch
        return self.train_images if every else step * self.config.training.batch_size

    @property
    def finished(self) -> bool:
        patience = self.config.training.early_stopping
        stale = len(self.history) - self.best_epoch
        return len(self.history) >= self.config.training.epochs or bool(patience and stale >= patience)

    @property
    def kept_model(self) -> nn.Module:
        """The model that is measured and kept: the running mean of the weights where there is one."""
        return self.averaged.module if self.averaged else self.model

    def state(self) -> dict[str, object]:
        """Everything `restore` needs, as tensors and plain values."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "averaged": self.averaged.state_dict() if self.averaged else {},
            **{f"{use}_stream": self.generator(use).get_state() for use in DRAWING_USES},
            "history": [asdict(record) for record in self.history],
            "best_epoch": self.best_epoch,
            "under_way": asdict(self.under_way) if self.under_way else {},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` gave, here or on another device. Raises ValueError where it cannot be."""
        epochs = [record["epoch"] for record in state["history"]]
        best = state["best_epoch"]
        if type(best) is not int or epochs != [*range(1, len(epochs) + 1)]:
            raise ValueError("its epochs are not numbered from 1 on")
        if not bool(epochs) <= best <= len(epochs):
            raise ValueError(f"the best epoch is {best}, of {len(epochs)}")
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.averaged:
            self.averaged.load_state_dict(state["averaged"])
        self.history = [EpochRecord(**record) for record in state["history"]]
        for use in DRAWING_USES:
            self._restore_generator(use, state.get(f"{use}_stream"))
        self.best_epoch = state["best_epoch"]
        self.under_way = EpochUnderWay(**state["under_way"]) if state["under_way"] else None
        if self.under_way:
            self.under_way.losses = self.under_way.losses.to(self.placement.device)
            self.under_way.correct = self.under_way.correct.to(self.placement.device)

    def _restore_generator(self, use: str, state: Tensor | None) -> None:
        """The state of another kind of device does not fit: the generator is seeded again for the epoch.

        None: of a use that the cnnkit which kept it did not know.
        """
        generator = self.generator(use)
        if state is not None and len(state) == len(generator.get_state()):
            generator.set_state(state)
        else:
            self._seed_generator(use, len(self.history) + 1)

    def seed_generators(self, epoch: int) -> None:
        """Seeds the generators of augmentation, dropout and poolings for an epoch."""
        for use in DRAWING_USES:
            self._seed_generator(use, epoch)

    def generator(self, use: str) -> torch.Generator:
        generator: torch.Generator = getattr(self, f"{use}_generator")
        return generator

    def _seed_generator(self, use: str, epoch: int) -> None:
        self.generator(use).manual_seed(generator_for(self.config.training.seed, use, epoch).initial_seed())


def orders(count: int, batch_size: int, seed: int, epoch: int, device: torch.device | str) -> list[Tensor]:
    """The order of one epoch of `count` images: every index once, in batches, on the device.

    The last batch holds what is left. A single image left joins the batch before it, since batch
    normalisation has nothing to average over in one.
    """
    generator = generator_for(seed, "order", epoch, device=device)
    order = torch.randperm(count, generator=generator, device=device)
    batches = list(order.split(batch_size))
    if batch_size > 1 and len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


class Steps(Protocol):
    """A way to take the optimizer steps of an epoch: of one training, or of several side by side.

    count: steps in an epoch. watched: whether the host may look at the sums after each step without waiting
    for the device; they are then those that `begin` returned. context: to be entered while steps are taken.
    """

    count: int
    watched: bool
    trainings: Sequence[Training]
    context: AbstractContextManager[object]

    def begin(self, epoch: int) -> EpochUnderWay:
        """Readies an epoch, or the rest of one that was interrupted; returns its sums so far."""

    def take(self, epoch: int, step: int) -> None:
        """Takes one step, counted from 0."""

    def keep(self, now: EpochUnderWay, seconds: Callable[[], float]) -> None:
        """Waits for the device, and leaves each training with its sums. seconds: its share of the time."""
