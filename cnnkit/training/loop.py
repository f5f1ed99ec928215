"""`train()`: the loop over epochs and steps, and `EagerSteps`, which takes them on a CPU."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import nn

from cnnkit.calibrator import AS_TRAINED
from cnnkit.data.dataset import ImageDataset, Splits
from cnnkit.errors import TrainingError
from cnnkit.events import EpochRecord, Listener, StepDone, ignore
from cnnkit.random import generator_for
from cnnkit.training.augmentation import augment
from cnnkit.training.device import device_errors_in_words
from cnnkit.training.evaluation import evaluate
from cnnkit.training.fitting import fit_calibrator
from cnnkit.training.optimizers import learning_rate_at
from cnnkit.training.stack import Stack
from cnnkit.training.state import EpochUnderWay, Steps, Training, orders

SAMPLED = 2000  # training images


def train(
    training: Training,
    splits: Splits,
    *,
    on_event: Listener = ignore,
    on_epoch: Callable[[bool], None] = lambda best: None,
    stop_requested: Callable[[], bool] = lambda: False,
    steps: Steps | None = None,
) -> bool:
    """Trains until finished; returns False where it was asked to stop after a step.

    on_epoch(best): called after each epoch, to keep the weights. best: whether they are the best so far, by
    `training.monitor`, then by validation loss. Where nothing is held out, each epoch is the best so far.
    steps: by default those that suit the device. Raises TrainingError where the loss stops being finite or
    memory runs out, and GpuFailed.
    """
    with device_errors_in_words(training.config.training.batch_size):
        steps = steps or steps_for(training, splits, on_event)
        while not training.finished:
            if not run_epoch(steps, len(training.history) + 1, on_event, stop_requested):
                return False
            on_epoch(close_epoch(training, splits))
            on_event(training.history[-1])
    return True


def steps_for(training: Training, splits: Splits, notify: Listener = ignore) -> Steps:
    """On CUDA steps that are recorded, unless `runtime.record_steps` is off; else from the host."""
    if training.placement.device.type == "cuda" and training.config.runtime.record_steps:
        return Stack.alone(training, splits.train, notify=notify)
    return EagerSteps(training, splits.train)


def train_together(
    stack: Stack,
    splits_of: Callable[[int], Splits],
    on_epoch: Callable[[int, bool], None] = lambda row, best: None,
) -> list[TrainingError | None]:
    """Trains each until it is finished; returns for each why it failed, or None.

    splits_of(row): the images that a training is measured on. on_epoch(row, best): as in `train`. A training
    that has ended, in whichever way, is still computed beside the others, but no longer measured or kept.
    Raises TrainingError, for all of them, where memory runs out, and GpuFailed.
    """
    failures: list[TrainingError | None] = [None] * len(stack.trainings)
    with device_errors_in_words(stack.config.training.batch_size):
        while going := [
            row for row, t in enumerate(stack.trainings) if not (t.finished or failures[row] is not None)
        ]:
            run_epoch(stack, len(stack.trainings[going[0]].history) + 1)
            for row in going:
                try:
                    on_epoch(row, close_epoch(stack.trainings[row], splits_of(row)))
                except TrainingError as error:
                    failures[row] = error.with_traceback(None)  # a traceback would hold the stack's memory
    return failures


def run_epoch(
    steps: Steps,
    epoch: int,
    on_event: Listener = ignore,
    stop_requested: Callable[[], bool] = lambda: False,
) -> bool:
    """One pass over the training images, or the rest of one; False where it stops before the end."""
    now = steps.begin(epoch)
    if epoch == 1 and now.step == 0:
        now.seconds += math.fsum(t.choosing for t in steps.trainings) / len(steps.trainings)
    begun, started, going_on = now.seconds, time.perf_counter(), True
    with steps.context:
        while now.step < steps.count and going_on:
            steps.take(epoch, now.step)
            now.step += 1
            now.images = steps.trainings[0].images_until(now.step)
            now.seconds = begun + time.perf_counter() - started
            if steps.watched and not math.isfinite(now.losses[now.step - 1]):
                break  # `close_epoch` raises
            on_event(_step_done(steps, now, epoch))
            going_on = now.step == steps.count or not stop_requested()
    steps.keep(now, lambda: begun + (time.perf_counter() - started) / len(steps.trainings))
    return going_on


class EagerSteps:
    """The steps of one training on these images, taken from the host, one operation after the other.

    The loss is looked at after each step, where that is free.
    """

    def __init__(self, training: Training, images: ImageDataset) -> None:
        self.training = training
        self.images = images if training.shown is None else images[training.shown]
        self.trainings: Sequence[Training] = [training]
        self.count = training.steps_per_epoch
        self.device = training.placement.device
        self.context: AbstractContextManager[object] = nullcontext()
        self.watched = self.device.type == "cpu"  # on a GPU, reading a loss would wait for the device

    def begin(self, epoch: int) -> EpochUnderWay:
        config = self.training.config.training
        self.batches = orders(len(self.images), config.batch_size, config.seed, epoch, self.device)
        if self.training.under_way is None:
            self.training.under_way = EpochUnderWay(
                torch.zeros(self.count, device=self.device),
                torch.zeros((), dtype=torch.int64, device=self.device),
            )
            self.training.seed_generators(epoch)
        self.training.model.train()
        return self.training.under_way

    def take(self, epoch: int, step: int) -> None:
        training, config, now = self.training, self.training.config.training, self.training.under_way
        assert now is not None
        batch = self.images[self.batches[step]]
        for group in training.optimizer.param_groups:
            group["lr"] = learning_rate_at(config, (epoch - 1) * self.count + step, self.count)
        images = augment(batch.images, training.config.data.augment, training.augmentation_generator)
        with training.placement.autocast():
            logits = training.model(images).float()
        loss = F.cross_entropy(
            logits, batch.labels, weight=training.class_weights, label_smoothing=config.label_smoothing
        )
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


def _step_done(steps: Steps, now: EpochUnderWay, epoch: int) -> StepDone:
    epochs, speed = steps.trainings[0].config.training.epochs, now.images / now.seconds
    loss, accuracy = (now.mean_loss, now.accuracy) if steps.watched else (None, None)
    return StepDone(epoch, epochs, now.step, steps.count, speed, loss, accuracy)


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
    held_out = None
    sample = training_sample(splits.train, training.config.training.seed)
    clean = evaluate(training.kept_model, sample, training.placement)
    if len(splits.validation):
        held_out = evaluate(training.kept_model, splits.validation, training.placement)
    if not all(math.isfinite(measured.loss) for measured in (clean, held_out) if measured):
        raise TrainingError(f"the loss after epoch {epoch} is not finite; lower training.learning_rate")
    calibrator = fit_calibrator(held_out.logits, held_out.labels) if held_out else AS_TRAINED
    return EpochRecord(
        epoch=epoch,
        step=epoch * steps,
        learning_rate=learning_rate_at(training.config.training, epoch * steps - 1, steps),
        train_loss=now.mean_loss,
        train_accuracy=now.accuracy,
        val_loss=held_out.loss if held_out else None,
        val_accuracy=held_out.accuracy if held_out else None,
        seconds=now.seconds,
        images_per_second=now.images / now.seconds,
        clean_train_loss=clean.loss,
        clean_train_accuracy=clean.accuracy,
        temperature=calibrator.temperature,
        val_balanced_accuracy=held_out.scores.balanced_accuracy if held_out else None,
        val_macro_f1=held_out.scores.macro_f1 if held_out else None,
        uniform_share=calibrator.uniform_share,
    )


def training_sample(images: ImageDataset, seed: int) -> ImageDataset:
    """The training images that are measured after each epoch, as validation images are.

    All, or a random `SAMPLED` of them.
    """
    if len(images) <= SAMPLED:
        return images
    order = torch.randperm(len(images), generator=generator_for(seed, "training sample"))
    return images[order[:SAMPLED].sort().values]


def _is_best(record: EpochRecord, training: Training) -> bool:
    if not training.best_epoch or record.val_accuracy is None:
        return True
    monitor = training.config.training.monitor
    return record.rank(monitor) > training.history[training.best_epoch - 1].rank(monitor)
