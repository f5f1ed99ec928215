"""Steps from the host, one operation after the other: how a single training learns on a CPU."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import nn

from cnnkit.data.dataset import ImageDataset
from cnnkit.random import generator_for
from cnnkit.training.augmentation import augment
from cnnkit.training.batches import orders
from cnnkit.training.optimizers import learning_rate_at
from cnnkit.training.state import EpochUnderWay, Training


class EagerSteps:
    """The steps of one training on these images; the loss is looked at after each, where that is free."""

    def __init__(self, training: Training, images: ImageDataset) -> None:
        self.training, self.images = training, images
        self.trainings: Sequence[Training] = [training]
        self.count = training.steps_per_epoch
        self.device = training.placement.device
        self.context: AbstractContextManager[object] = nullcontext()
        self.watched = self.device.type == "cpu"  # on a GPU, reading a loss would wait for the device

    def begin(self, epoch: int) -> EpochUnderWay:
        config = self.training.config.training
        order = generator_for(config.seed, "order", epoch, device=self.device)
        self.batches = orders(len(self.images), config.batch_size, order)
        if self.training.under_way is None:
            self.training.under_way = EpochUnderWay(
                torch.zeros(self.count, device=self.device),
                torch.zeros((), dtype=torch.int64, device=self.device),
            )
            self.training.seed_generators(epoch)
        self.training.model.train()
        return self.training.under_way

    def images_until(self, step: int) -> int:
        return len(self.images) if step == self.count else step * self.training.config.training.batch_size

    def take(self, epoch: int, step: int) -> None:
        training, config, now = self.training, self.training.config.training, self.training.under_way
        assert now is not None
        batch = self.images[self.batches[step]]
        for group in training.optimizer.param_groups:
            group["lr"] = learning_rate_at(config, (epoch - 1) * self.count + step, self.count)
        images = augment(batch.images, training.config.data.augment, training.augmentation_generator)
        with training.placement.autocast():
            logits = training.model(images).float()
        loss = F.cross_entropy(logits, batch.labels, label_smoothing=config.label_smoothing)
        training.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if config.gradient_clip:
            nn.utils.clip_grad_norm_(training.model.parameters(), config.gradient_clip)
        training.optimizer.step()
        if training.averaged:
            training.averaged.update_parameters(training.model)
        now.losses[step] = loss.detach() * len(batch)
        now.correct += (logits.detach().argmax(1) == batch.labels).sum()

    def keep(self, now: EpochUnderWay, seconds: Callable[[], float]) -> None:
        now.losses = now.losses.cpu()  # waits for the device
        now.seconds = seconds()
