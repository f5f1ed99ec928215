"""`train()`: the loop, and everything it needs to stop anywhere and go on as if it had not."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cnnkit.config.schema import Config
from cnnkit.data.dataset import ImageDataset, Splits
from cnnkit.errors import TrainingError
from cnnkit.events import EpochRecord, Listener, StepDone, ignore
from cnnkit.nn.model import CNN
from cnnkit.random import stream
from cnnkit.training.batches import augment, orders
from cnnkit.training.device import Placement, out_of_memory_in_words
from cnnkit.training.evaluation import evaluate
from cnnkit.training.optimizers import learning_rate_at, make_optimizer

STREAMS = ("augmentation", "dropout")


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
    """A model, its optimizer, and how far they are. Two of equal config and seed stay bitwise equal."""

    config: Config
    model: CNN
    placement: Placement
    train_images: int
    history: list[EpochRecord] = field(default_factory=list)
    best_epoch: int = 0
    under_way: EpochUnderWay | None = None

    def __post_init__(self) -> None:
        device = self.placement.device
        self.model.to(device)
        self.optimizer = make_optimizer(self.model, self.config.training, device)
        decay = self.config.training.weight_averaging
        self.averaged = (
            AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
            if decay
            else None
        )
        self.augmentation_stream = torch.Generator(device)
        self.dropout_stream = torch.Generator(device)
        self.model.draw_dropout_from(self.dropout_stream)

    @property
    def steps_per_epoch(self) -> int:
        whole, rest = divmod(self.train_images, self.config.training.batch_size)
        return max(1, whole + (rest > 1))

    @property
    def finished(self) -> bool:
        patience = self.config.training.early_stopping
        stale = len(self.history) - self.best_epoch
        return len(self.history) >= self.config.training.epochs or bool(patience and stale >= patience)

    @property
    def kept_model(self) -> nn.Module:
        """The model that is measured and kept: the running mean of the weights where there is one."""
        return self.averaged.module if self.averaged else self.model

    def state(self) -> dict[str, Any]:
        """Everything `restore` needs, as tensors and plain values."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "averaged": self.averaged.state_dict() if self.averaged else {},
            "augmentation_stream": self.augmentation_stream.get_state(),
            "dropout_stream": self.dropout_stream.get_state(),
            "history": [asdict(record) for record in self.history],
            "best_epoch": self.best_epoch,
            "under_way": asdict(self.under_way) if self.under_way else {},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from what `state` gave, here or on another device."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.averaged:
            self.averaged.load_state_dict(state["averaged"])
        self.history = [EpochRecord(**record) for record in state["history"]]
        for use in STREAMS:
            self._restore_stream(use, state[f"{use}_stream"])
        self.best_epoch = state["best_epoch"]
        self.under_way = EpochUnderWay(**state["under_way"]) if state["under_way"] else None
        if self.under_way:
            self.under_way.losses = self.under_way.losses.to(self.placement.device)
            self.under_way.correct = self.under_way.correct.to(self.placement.device)

    def _restore_stream(self, use: str, state: Tensor) -> None:
        """A stream of another kind of device cannot be gone on with: it begins again."""
        generator: torch.Generator = getattr(self, f"{use}_stream")
        if len(state) == len(generator.get_state()):
            generator.set_state(state)
        else:
            self._begin_stream(use, len(self.history) + 1)

    def begin_streams(self, epoch: int) -> None:
        """Sets the streams of augmentation and dropout to where an epoch begins."""
        for use in STREAMS:
            self._begin_stream(use, epoch)

    def _begin_stream(self, use: str, epoch: int) -> None:
        generator: torch.Generator = getattr(self, f"{use}_stream")
        generator.manual_seed(stream(self.config.training.seed, use, epoch).initial_seed())


# (training, training images, on_event, stop_requested) -> False where it stops before the end
EpochRunner = Callable[[Training, ImageDataset, Listener, Callable[[], bool]], bool]


def train(
    training: Training,
    splits: Splits,
    *,
    on_event: Listener = ignore,
    on_epoch: Callable[[bool], None] = lambda best: None,
    stop_requested: Callable[[], bool] = lambda: False,
    run_epoch: EpochRunner | None = None,
) -> bool:
    """Trains until finished; returns False where it was asked to stop after a step.

    on_epoch(best): called after each epoch, to keep the weights; best: whether they are the best so
    far, by validation accuracy, then loss; each epoch is the best so far where nothing is held out.
    run_epoch: another way to pass over the training images than step by step from the host.
    Raises TrainingError where the loss stops being finite or memory runs out.
    """
    pass_over = run_epoch or _run_epoch
    with out_of_memory_in_words(training.config.training.batch_size):
        while not training.finished:
            if not pass_over(training, splits.train, on_event, stop_requested):
                return False
            on_epoch(close_epoch(training, splits))
            on_event(training.history[-1])
    return True


def _run_epoch(
    training: Training, images: ImageDataset, on_event: Listener, stop_requested: Callable[[], bool]
) -> bool:
    """One pass over the training images, or the rest of one; False where it stops before the end."""
    config, device = training.config, training.placement.device
    epoch = len(training.history) + 1
    order = stream(config.training.seed, "order", epoch, device=device)
    batches = orders(len(images), config.training.batch_size, order)
    if training.under_way is None:
        training.under_way = EpochUnderWay(
            torch.zeros(len(batches), device=device), torch.zeros((), dtype=torch.int64, device=device)
        )
        training.begin_streams(epoch)
    now = training.under_way
    training.model.train()
    started, seconds_before = time.perf_counter(), now.seconds
    while now.step < len(batches):
        batch = images[batches[now.step]]
        _take_step(training, batch, now, (epoch - 1) * len(batches))
        now.step += 1
        now.images += len(batch)
        now.seconds = seconds_before + time.perf_counter() - started
        if device.type == "cpu" and not math.isfinite(now.losses[now.step - 1]):
            break  # elsewhere looking would make the host wait; there the epoch's end finds it
        on_event(_step_done(now, epoch, config.training.epochs, len(batches)))
        if now.step < len(batches) and stop_requested():
            return False
    now.losses = now.losses.cpu()  # the one place where the host waits for the device
    now.seconds = seconds_before + time.perf_counter() - started
    return True


def _take_step(training: Training, batch: ImageDataset, now: EpochUnderWay, steps_before: int) -> None:
    config = training.config.training
    for group in training.optimizer.param_groups:
        group["lr"] = learning_rate_at(config, steps_before + now.step, training.steps_per_epoch)
    images = augment(batch.images, training.config.data.augment, training.augmentation_stream)
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
    now.losses[now.step] = loss.detach() * len(batch)
    now.correct += (logits.detach().argmax(1) == batch.labels).sum()


def _step_done(now: EpochUnderWay, epoch: int, epochs: int, steps: int) -> StepDone:
    on_cpu = now.losses.device.type == "cpu"  # elsewhere looking would make the host wait
    loss = now.mean_loss if on_cpu else None
    accuracy = now.accuracy if on_cpu else None
    return StepDone(epoch, epochs, now.step, steps, now.images / now.seconds, loss, accuracy)


def _stop_unless_finite(now: EpochUnderWay, epoch: int) -> None:
    bad = (~now.losses[: now.step].isfinite()).nonzero()
    if len(bad):
        step = int(bad[0]) + 1
        kept = f"; the weights of epoch {epoch - 1} are kept" if epoch > 1 else ""
        raise TrainingError(
            f"the loss stopped being finite at step {step} of epoch {epoch}: {_cause(step, epoch)}{kept}"
        )


def _cause(step: int, epoch: int) -> str:
    if step == epoch == 1:
        return (
            "no weight had moved yet, so the network overflows by itself; use fewer stages or smaller kernels"
        )
    return (
        "most likely training.learning_rate is too high: try a tenth of it, or set training.gradient_clip, "
        "and keep training.weight_decay small"
    )


def close_epoch(training: Training, splits: Splits) -> bool:
    """Measures after the epoch under way and writes its record; whether it is the best so far.

    Raises TrainingError where a loss is not finite.
    """
    record = _measured(training, splits)
    best = _is_best(record, training)
    training.history.append(record)
    training.best_epoch = record.epoch if best else training.best_epoch
    return best


def _measured(training: Training, splits: Splits) -> EpochRecord:
    now, epoch, steps = training.under_way, len(training.history) + 1, training.steps_per_epoch
    assert now is not None
    _stop_unless_finite(now, epoch)
    training.under_way = None
    held_out = bool(len(splits.validation))
    witness = splits.validation if held_out else splits.train[torch.arange(min(100, len(splits.train)))]
    measured = evaluate(training.kept_model, witness, training.placement)
    if not math.isfinite(measured.loss):
        raise TrainingError(f"the loss after epoch {epoch} is not finite; lower training.learning_rate")
    return EpochRecord(
        epoch=epoch,
        step=epoch * steps,
        learning_rate=learning_rate_at(training.config.training, epoch * steps - 1, steps),
        train_loss=now.mean_loss,
        train_accuracy=now.accuracy,
        val_loss=measured.loss if held_out else None,
        val_accuracy=measured.accuracy if held_out else None,
        seconds=now.seconds,
        images_per_second=now.images / now.seconds,
    )


def _is_best(record: EpochRecord, training: Training) -> bool:
    if not training.best_epoch or record.val_accuracy is None or record.val_loss is None:
        return True
    best = training.history[training.best_epoch - 1]
    assert best.val_accuracy is not None
    assert best.val_loss is not None
    return (record.val_accuracy, -record.val_loss) > (best.val_accuracy, -best.val_loss)
