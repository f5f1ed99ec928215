"""Trainings whose steps are taken as one, on the device alone: the seeds of a comparison, or a single run."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from cnnkit.data.dataset import ImageDataset
from cnnkit.events import Listener, ignore
from cnnkit.training.augmentation import changed, draws_for
from cnnkit.training.cuda_graph import WARM_UP, PutBack, RateOnDevice, Replayed, can_be_recorded
from cnnkit.training.optimizers import learning_rate_at, make_optimizer
from cnnkit.training.stacked_model import Alone, SideBySide, side_by_side
from cnnkit.training.state import DRAWING_USES, EpochUnderWay, Training, orders


class Stack:
    """S trainings whose steps are taken together. They differ only in their seeds.

    Everything a step needs lies on the device: the images, once for all trainings; the indices and the order
    of each training's own images; the epoch's learning rates; the number of the step; losses and counts of
    right predictions. So each step is the same work. It can be recorded, and the host never waits for one.
    The trainings share no numbers. A training beside others differs from one alone only by rounding, because
    wide layers may sum in another order.

    shares: for each training the indices (n,) of its images, of which it may show a part.
    rate_on_device: whether the optimizer reads its learning rate there; None: on CUDA, where its step can be
    recorded.
    """

    def __init__(
        self,
        trainings: Sequence[Training],
        images: ImageDataset,
        shares: Sequence[Tensor],
        rate_on_device: bool | None = None,
        notify: Listener = ignore,
    ) -> None:
        first = trainings[0]
        self.trainings, self.images = trainings, images
        self.config, self.placement, self.device = first.config, first.placement, first.placement.device
        models = [training.model for training in trainings]
        self.network = Alone(models[0]) if len(models) == 1 else SideBySide(models)
        self.optimizer = first.optimizer
        if len(models) > 1:
            self.optimizer = make_optimizer(self.network, self.config.training, self.device, len(models))
        averages = (
            side_by_side([t.averaged.module for t in trainings if t.averaged]) if first.averaged else {}
        )
        self.averages = [(mean, self.network.tensors[name]) for name, mean in averages.items()]
        self.averaging = bool(first.averaged and first.averaged.n_averaged)
        if rate_on_device is None:
            rate_on_device = self.device.type == "cuda" and can_be_recorded(self.optimizer)
        self.rate = RateOnDevice(self.optimizer, self.device) if rate_on_device else None
        self.generators = [t.generator(use) for t in trainings for use in DRAWING_USES]
        self.context: AbstractContextManager[object] = self.rate or nullcontext()
        on_gpu = self.rate and images.resident and self.device.type == "cuda"
        recorded = on_gpu and self.config.runtime.record_steps
        self.recording = Replayed(self.generators, self.device, notify) if recorded else None
        shown = (
            share if training.shown is None else share[training.shown.to(share.device)]
            for training, share in zip(trainings, shares, strict=True)
        )
        self._lay_out(torch.stack(list(shown)).to(self.device))

    @classmethod
    def alone(cls, training: Training, images: ImageDataset, notify: Listener = ignore) -> "Stack":
        """One training on all of these images."""
        return cls([training], images, [torch.arange(len(images))], notify=notify)

    watched = False  # reading a loss would make the host wait for the device

    def _lay_out(self, shares: Tensor) -> None:
        """Allocates the tensors that each epoch fills; they keep their address."""
        count, size = len(self.trainings), self.config.training.batch_size
        self.shares, images = shares, shares.shape[1]
        self.count = self.trainings[0].steps_per_epoch
        self.full = self.count - bool(images % size)  # full batches; the last may be shorter or longer
        self.order = torch.zeros(count, self.full, size, dtype=torch.int64, device=self.device)
        self.rest = torch.zeros(count, images - self.full * size, dtype=torch.int64, device=self.device)
        self.rates = torch.zeros(self.count, device=self.device)
        self.at = torch.zeros(1, dtype=torch.int64, device=self.device)
        self.losses = torch.zeros(count, self.count, device=self.device)
        self.correct = torch.zeros(count, dtype=torch.int64, device=self.device)

    def keep(self, now: EpochUnderWay, seconds: Callable[[], float]) -> None:
        losses = self.losses.cpu()  # waits for the device
        share = seconds()
        for row, training in enumerate(self.trainings):
            sums = (losses[row].clone(), self.correct[row].clone())
            training.under_way = EpochUnderWay(*sums, now.step, now.images, share)
            if training.averaged:
                training.averaged.n_averaged += now.step - self.begun_at

    def begin(self, epoch: int) -> EpochUnderWay:
        """Fills the tensors of an epoch. An interrupted run begins where it stopped."""
        config, size = self.config.training, self.config.training.batch_size
        single = self.trainings[0].under_way if len(self.trainings) == 1 else None
        begun = single or EpochUnderWay(torch.zeros_like(self.losses[0]), torch.zeros_like(self.correct[0]))
        self.begun_at = begun.step
        for row, training in enumerate(self.trainings):
            seed = training.config.training.seed
            drawn = orders(self.shares.shape[1], size, seed, epoch, self.device)
            order = self.shares[row][torch.cat(drawn)]
            self.order[row] = order[: self.full * size].view(self.full, size)
            self.rest[row] = order[self.full * size :]
            if single is None:
                training.seed_generators(epoch)
        first = (epoch - 1) * self.count
        rates = [learning_rate_at(config, first + step, self.count) for step in range(self.count)]
        self.rates.copy_(torch.tensor(rates))
        self.at.fill_(begun.step)
        self.losses.copy_(begun.losses.expand_as(self.losses))
        self.correct.copy_(begun.correct.expand_as(self.correct))
        self.network.train()
        if self.recording and not self.recording.recorded and self.full > WARM_UP:
            with self.placement.fastest_kernels():
                self.rehearse(self.recording.record)
        return begun

    def rehearse(self, record: Callable[[Callable[[], None]], None]) -> None:
        """Takes some steps, or records one, before an epoch is timed; then restores every state."""
        averaging, means = self.averaging, [mean for mean, _ in self.averages]
        own = (*self.network.tensors.values(), *means, self.losses, self.correct, self.at)
        with PutBack(own, self.generators, self.optimizer), self.context:
            self.at.zero_()
            record(self._learn_next)
        self.averaging = averaging

    def take(self, epoch: int, step: int) -> None:
        if self.rate is None:
            rate = learning_rate_at(self.config.training, (epoch - 1) * self.count + step, self.count)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
        if step >= self.full:
            self._learn(self.rest)
        elif self.recording and (self.averaging or not self.averages):  # the first average is a copy
            self.recording(self._learn_next)
        else:
            self._learn_next()

    def _learn_next(self) -> None:
        self._learn(self.order.index_select(1, self.at).squeeze(1))

    def _learn(self, indices: Tensor) -> None:
        """One optimizer step of each training on its images (S, B), without waiting for the device."""
        config = self.config.training
        if self.rate:
            self.rate.rate.copy_(self.rates.index_select(0, self.at).squeeze(0))
        images, labels = self._shown(indices), self.images.labels[indices]
        with self.placement.autocast():
            logits = self.network(images).float()
        losses = self._losses(logits, labels)
        self.optimizer.zero_grad(set_to_none=True)
        losses.sum().backward()  # each network gets the gradient of its own loss
        if config.gradient_clip:
            self._clip_gradients(config.gradient_clip)
        self.optimizer.step()
        self._average()
        self.losses.index_copy_(1, self.at, losses.detach()[:, None] * labels.shape[1])
        self.correct += (logits.detach().argmax(2) == labels).sum(1)
        self.at += 1

    def _losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The mean loss of each training: (S, B, classes), (S, B) -> (S,)"""
        smoothing = self.config.training.label_smoothing
        weights = [training.class_weights for training in self.trainings]
        if weights[0] is None:
            each = F.cross_entropy(
                logits.flatten(0, 1), labels.flatten(), reduction="none", label_smoothing=smoothing
            )
            return each.view_as(labels).mean(1)
        rows = zip(logits, labels, weights, strict=True)  # each has images, and so weights, of its own
        return torch.stack([F.cross_entropy(*row, label_smoothing=smoothing) for row in rows])

    def _shown(self, indices: Tensor) -> Tensor:
        """What the network sees: (S, B) indices -> (B, S·C, H, W), each augmented by its own generator."""
        size = indices.shape[1]
        images = self.images[indices.t().flatten()].images
        augment = self.config.data.augment
        if augment.active:
            generators = [training.augmentation_generator for training in self.trainings]
            draws = [draws_for(size, augment, generator, self.device) for generator in generators]
            images = changed(images, torch.stack(draws, 2).flatten(1), augment)
        return images.reshape(size, -1, *images.shape[2:])

    def _clip_gradients(self, largest: float) -> None:
        """As `clip_grad_norm_`, with the norm of each training's own gradient."""
        count = len(self.trainings)
        gradients = [
            p.grad.unflatten(0, (count, -1)) for p in self.network.parameters() if p.grad is not None
        ]
        norms = [torch.linalg.vector_norm(g, dim=tuple(range(1, g.dim()))) for g in gradients]
        factors = (largest / (torch.linalg.vector_norm(torch.stack(norms), dim=0) + 1e-6)).clamp(max=1)
        for gradient in gradients:
            gradient.mul_(factors.view(-1, *[1] * (gradient.dim() - 1)))

    @torch.no_grad()
    def _average(self) -> None:
        """As `AveragedModel.update_parameters`, without its counter, which lies on the host."""
        average = get_ema_multi_avg_fn(self.config.training.weight_averaging)
        for real in (True, False):
            pairs = [pair for pair in self.averages if pair[0].is_floating_point() == real]
            means, now = [mean for mean, _ in pairs], [tensor for _, tensor in pairs]
            if self.averaging and pairs:
                average(means, now, None)
            elif pairs:
                torch._foreach_copy_(means, now)
        self.averaging = True
