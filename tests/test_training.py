"""Training: it learns, it can be repeated bit by bit, and each setting does what its formula says."""

import copy
import math
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from support import EVERYTHING, Tiny, begun, bitwise_equal
from torch import Tensor, nn

from cnnkit.calibrator import Calibrator, calibrator_of
from cnnkit.config.runtime import RuntimeConfig
from cnnkit.config.schema import Config
from cnnkit.config.training import TrainingConfig
from cnnkit.data.dataset import ImageDataset, Splits
from cnnkit.errors import OutOfMemory, TrainingError, UsageError
from cnnkit.events import EpochRecord, Event, StepDone
from cnnkit.families.poolings import POOLINGS
from cnnkit.processes import available_cpus
from cnnkit.random import generator_for
from cnnkit.tensor_files import load_state, save_state
from cnnkit.training.device import Placement, choose_device, device_errors_in_words
from cnnkit.training.evaluation import Evaluation, evaluate
from cnnkit.training.fitting import fit_calibrator
from cnnkit.training.loop import train, training_sample
from cnnkit.training.optimizers import learning_rate_at, make_optimizer
from cnnkit.training.state import Training, orders

FROZEN = ("training.learning_rate=1e-30", "model.dropout=0", "model.batch_norm=false")  # nothing ever changes
ONE_STEP = (
    "training.epochs=1",
    "training.batch_size=1437",
    "training.schedule=constant",
    "training.optimizer=sgd",
    "training.momentum=0",
    "model.dropout=0",
    "model.batch_norm=false",
)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """For so small a network the second thread only waits, on a busy machine long; conftest resets it."""
    torch.set_num_threads(1)


def trained(config: Config) -> Training:
    training, splits = begun(config)
    assert train(training, splits)
    return training


def seen_images(config: Config) -> list[Tensor]:
    """What the network was shown while it trained, batch by batch."""
    training, splits = begun(config)
    seen: list[Tensor] = []

    def look(module: nn.Module, inputs: tuple[Tensor]) -> None:
        if module.training:
            seen.append(inputs[0].clone())

    training.model.register_forward_pre_hook(look)
    train(training, splits)
    return seen


def same(first: Iterable[Tensor], second: Iterable[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def timeless(history: list[EpochRecord]) -> list[tuple[object, ...]]:
    return [(r.epoch, r.step, r.learning_rate, r.train_loss, r.train_accuracy, r.val_loss) for r in history]


USUAL = ("stride", "max", "avg", "concat")


@pytest.mark.parametrize(
    "strategy",
    [each if each in USUAL else pytest.param(each, marks=pytest.mark.slow) for each in POOLINGS],
)
def test_nineteen_digits_of_twenty_are_learned_in_eight_epochs(tiny: Tiny, strategy: str) -> None:
    config = tiny(
        f"model.pooling={strategy}",
        "model.channels=[16, 32]",
        "model.hidden=[32]",
        "training.epochs=8",
        "training.batch_size=64",
    )
    training, splits = begun(config)
    train(training, splits)
    assert evaluate(training.kept_model, splits.test, training.placement).accuracy >= 0.95


@pytest.mark.parametrize("extras", [(), EVERYTHING, ("runtime.precision=bf16",)])
def test_the_same_configuration_and_seed_give_bitwise_equal_weights(
    tiny: Tiny, extras: tuple[str, ...]
) -> None:
    first, again = (trained(tiny(*extras)) for _ in range(2))
    assert bitwise_equal(first.kept_model.state_dict(), again.kept_model.state_dict())
    assert timeless(first.history) == timeless(again.history)


def test_another_seed_gives_other_weights(tiny: Tiny) -> None:
    first, other = (trained(tiny(f"training.seed={seed}")) for seed in (0, 1))
    assert not bitwise_equal(first.model.state_dict(), other.model.state_dict())


def test_dropout_changes_neither_the_order_of_the_images_nor_their_augmentation(tiny: Tiny) -> None:
    turned = "data.augment={rotate: 20}"
    without, with_dropout = (seen_images(tiny(turned, f"model.dropout={p}")) for p in (0, 0.5))
    assert same(without, with_dropout)


def test_augmentation_leaves_the_masks_of_dropout_as_they_were(tiny: Tiny) -> None:
    def masks(*overrides: str) -> list[Tensor]:
        training, splits = begun(tiny("model.dropout=0.5", *overrides))
        dropped: list[Tensor] = []
        first = training.model.dense[0]
        first.register_forward_pre_hook(lambda _, inputs: torch.ones_like(inputs[0]))
        first.register_forward_hook(lambda _, inputs, output: dropped.append(output == 0))
        train(training, splits, stop_requested=lambda: len(dropped) == 3)
        return dropped

    assert same(masks(), masks("data.augment={translate: 1}"))


def test_no_two_uses_of_chance_and_no_two_epochs_share_their_numbers(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []

    def remember(*names: Any, **device: Any) -> torch.Generator:
        generator = generator_for(*names, **device)
        seeds.append(generator.initial_seed())
        return generator

    monkeypatch.setattr("cnnkit.training.state.generator_for", remember)
    trained(tiny(*EVERYTHING))
    assert len(set(seeds)) == len(seeds) == 2 * 4  # epochs; order, augmentation, dropout, pooling


def test_every_epoch_shows_each_training_image_once_in_an_order_of_its_own(tiny: Tiny) -> None:
    config = tiny("model.dropout=0")
    _, splits = begun(config)
    seen = torch.cat(seen_images(config)).flatten(1)
    first, second = seen.tolist()[: len(splits.train)], seen.tolist()[len(splits.train) :]
    assert sorted(first) == sorted(second) == sorted(splits.train.images.flatten(1).tolist())
    assert first != second


@pytest.mark.parametrize(
    ("images", "batch_size"), [(10, 3), (10, 5), (9, 4), (1, 4), (4, 4), (5, 4), (7, 2), (5, 1)]
)
def test_an_epoch_takes_as_many_steps_as_it_announces(tiny: Tiny, images: int, batch_size: int) -> None:
    training, _ = begun(tiny(f"training.batch_size={batch_size}"))
    training.train_images = images
    batches = orders(images, batch_size, 0, 1, "cpu")
    assert len(batches) == training.steps_per_epoch
    assert sorted(torch.cat(batches).tolist()) == list(range(images))


def settings(**values: Any) -> TrainingConfig:
    return TrainingConfig(**values)


def falling(schedule: str, share: float) -> float:
    if schedule in ("one_cycle", "cosine"):
        return 0.5 * (1 + math.cos(math.pi * share))
    return 1 - share if schedule == "linear" else 1.0


@pytest.mark.parametrize("warmup", [None, 0.0, 0.1, 0.5])
@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "linear", "constant"])
def test_the_learning_rate_rises_along_a_line_and_falls_along_its_schedule(
    schedule: str, warmup: float | None
) -> None:
    config = settings(epochs=4, learning_rate=0.3, schedule=schedule, warmup=warmup)
    share = warmup if warmup is not None else 0.25 if schedule == "one_cycle" else 0.0
    total, rising = 40, share * 40
    for step in range(total):
        if step < rising:
            expected = 0.3 * (0.04 + 0.96 * step / rising)
        else:
            expected = 0.3 * falling(schedule, (step - rising) / (total - rising))
        assert learning_rate_at(config, step, 10) == pytest.approx(expected)


def test_the_step_schedule_multiplies_by_gamma_after_each_epoch() -> None:
    config = settings(epochs=3, learning_rate=0.5, schedule="step", gamma=0.1)
    rates = [learning_rate_at(config, step, 4) for step in range(12)]
    assert rates == pytest.approx([0.5] * 4 + [0.05] * 4 + [0.005] * 4)


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "linear", "step", "constant"])
def test_the_learning_rate_peaks_at_the_configured_one_and_never_reaches_zero(schedule: str) -> None:
    config = settings(epochs=5, learning_rate=0.7, schedule=schedule)
    rates = [learning_rate_at(config, step, 8) for step in range(40)]
    assert max(rates) == 0.7
    assert min(rates) > 0


RATE, DECAY, BETA1, BETA2, MOMENTUM = 0.1, 0.5, 0.8, 0.95, 0.6
FIRST_STEPS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    # weights, gradient -> weights after one step from rest; h = g + decay · w is torch's L2 penalty
    "sgd": lambda w, h: w - RATE * h,
    "adam": lambda w, h: w - RATE * h / (h.abs() + 1e-8),
    "adamw": lambda w, g: w * (1 - RATE * DECAY) - RATE * g / (g.abs() + 1e-8),
    "nadam": lambda w, h: w - RATE * _nadam(h),
    "rmsprop": lambda w, h: w - RATE * h / ((0.01 * h**2).sqrt() + 1e-8),
    "adagrad": lambda w, h: w - RATE * h / (h.abs() + 1e-10),
    "adadelta": lambda w, h: w - RATE * h * math.sqrt(1e-6) / (0.1 * h**2 + 1e-6).sqrt(),
}


def _nadam(h: Tensor) -> Tensor:
    """Dozat, "Incorporating Nesterov momentum into Adam", 2016: the first step."""
    now, following = (BETA1 * (1 - 0.5 * math.pow(0.96, 0.004 * t)) for t in (1, 2))
    return h / (h.abs() + 1e-8) * (1 + following * (1 - BETA1) / (1 - now * following))


@pytest.mark.parametrize("name", FIRST_STEPS)
def test_the_first_step_of_each_optimizer_is_its_written_formula(name: str) -> None:
    layer = nn.Linear(6, 1, bias=False)
    config = settings(
        optimizer=name,
        learning_rate=RATE,
        weight_decay=DECAY,
        betas=(BETA1, BETA2),
        momentum=MOMENTUM,
    )
    optimizer = make_optimizer(layer, config, torch.device("cpu"))
    before, gradient = layer.weight.detach().clone(), torch.linspace(-1, 2, 6)[None]
    layer.weight.grad = gradient.clone()
    optimizer.step()
    direction = gradient if name == "adamw" else gradient + DECAY * before
    torch.testing.assert_close(layer.weight.detach(), FIRST_STEPS[name](before, direction))


@pytest.mark.parametrize("name", ["sgd", "rmsprop"])
def test_the_second_step_carries_the_configured_momentum(name: str) -> None:
    layer = nn.Linear(4, 1, bias=False)
    config = settings(optimizer=name, learning_rate=RATE, momentum=MOMENTUM)
    optimizer = make_optimizer(layer, config, torch.device("cpu"))
    expected, velocity, square = layer.weight.detach().clone(), torch.zeros(1, 4), torch.zeros(1, 4)
    for gradient in (torch.ones(1, 4), torch.tensor([[1.0, -2.0, 3.0, 0.0]])):
        layer.weight.grad = gradient.clone()
        optimizer.step()
        square = 0.99 * square + 0.01 * gradient**2
        velocity = MOMENTUM * velocity + gradient / (square.sqrt() + 1e-8 if name == "rmsprop" else 1)
        expected -= RATE * velocity
    torch.testing.assert_close(layer.weight.detach(), expected)


@pytest.mark.parametrize("name", FIRST_STEPS)
def test_every_optimizer_trains_a_network(tiny: Tiny, name: str) -> None:
    training, splits = begun(tiny(f"training.optimizer={name}", "training.epochs=1"))
    before = [weights.clone() for weights in training.model.parameters()]
    train(training, splits)
    for old, new in zip(before, training.model.parameters(), strict=True):
        assert new.isfinite().all()
        assert not torch.equal(old, new)


def test_averaged_weights_are_the_exponential_mean_over_the_steps(tiny: Tiny) -> None:
    decay = 0.75
    training, splits = begun(tiny(f"training.weight_averaging={decay}"))
    means: dict[str, Tensor] = {}

    def follow(event: Event) -> None:
        if isinstance(event, StepDone):
            for name, value in training.model.state_dict().items():
                before = means.get(name, value)
                means[name] = decay * before.double() + (1 - decay) * value.double()

    train(training, splits, on_event=follow)
    for name, value in training.kept_model.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value.double(), means[name], rtol=1e-5, atol=1e-6)


def test_the_averaged_weights_are_those_that_are_measured(tiny: Tiny) -> None:
    training, splits = begun(tiny("training.weight_averaging=0.9"))
    train(training, splits)
    averaged, plain = (
        evaluate(model, splits.validation, training.placement).loss
        for model in (training.kept_model, training.model)
    )
    assert training.history[-1].val_loss == averaged != plain


def flat_weights(training: Training) -> Tensor:
    return torch.cat([weights.detach().flatten() for weights in training.model.parameters()])


@pytest.mark.parametrize("largest", [0.01, 0.1])
def test_a_clipped_gradient_moves_the_weights_by_the_clip_times_the_learning_rate(
    tiny: Tiny, largest: float
) -> None:
    training, splits = begun(
        tiny(*ONE_STEP, "training.learning_rate=1.0", f"training.gradient_clip={largest}")
    )
    before = flat_weights(training)
    train(training, splits)
    assert (flat_weights(training) - before).norm().item() == pytest.approx(largest, rel=1e-3)


def test_a_clip_larger_than_the_gradient_changes_nothing(tiny: Tiny) -> None:
    free, loose = (trained(tiny(*ONE_STEP, f"training.gradient_clip={clip}")) for clip in ("null", 1e6))
    assert bitwise_equal(free.model.state_dict(), loose.model.state_dict())


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_smoothed_labels_spread_their_share_over_all_classes(tiny: Tiny, smoothing: float) -> None:
    training, splits = begun(tiny(*ONE_STEP, f"training.label_smoothing={smoothing}"))
    with torch.no_grad():
        logs = training.model(splits.train.images).log_softmax(1)
    target = F.one_hot(splits.train.labels, 10) * (1 - smoothing) + smoothing / 10
    expected = -(target * logs).sum(1).mean().item()
    train(training, splits)
    assert training.history[0].train_loss == pytest.approx(expected, rel=1e-5)


def test_training_stops_when_no_epoch_was_better_for_as_long_as_the_patience(tiny: Tiny) -> None:
    training = trained(tiny(*FROZEN, "training.epochs=50", "training.early_stopping=3"))
    assert (training.best_epoch, len(training.history)) == (1, 1 + 3)


def test_patience_begins_anew_with_each_better_epoch(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = [0.5, 0.4, 0.6, 0.5, 0.5, 0.9]
    training = scripted(tiny("training.early_stopping=2"), [(s, 1.0) for s in scores], monkeypatch)[0]
    assert (training.best_epoch, len(training.history)) == (3, 5)


def scripted(
    config: Config, scores: list[tuple[float, float]], monkeypatch: pytest.MonkeyPatch
) -> tuple[Training, list[bool]]:
    """Trains with validation accuracies and losses from a list; the training, and which epochs were best."""
    training, splits = begun(config.model_copy(update={"training": _epochs(config, len(scores))}))
    measured = iter(scores)

    def score(_: object, images: object, *__: object) -> SimpleNamespace:
        accuracy, loss = next(measured) if images is splits.validation else (0.5, 0.5)
        answers = {"logits": torch.zeros(1, 2), "labels": torch.zeros(1, dtype=torch.int64)}
        scores = SimpleNamespace(balanced_accuracy=0.5, macro_f1=0.5)
        return SimpleNamespace(accuracy=accuracy, loss=loss, scores=scores, **answers)

    monkeypatch.setattr("cnnkit.training.loop.evaluate", score)
    best: list[bool] = []
    train(training, splits, on_epoch=best.append)
    return training, best


def _epochs(config: Config, count: int) -> TrainingConfig:
    return config.training.model_copy(update={"epochs": count})


def test_the_best_epoch_has_the_highest_accuracy_and_among_equals_the_lowest_loss(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = [(0.5, 1.0), (0.6, 2.0), (0.6, 1.5), (0.6, 1.5), (0.6, 1.7), (0.55, 0.1)]
    training, best = scripted(tiny(), scores, monkeypatch)
    assert best == [True, True, True, False, False, False]
    assert training.best_epoch == 3


def test_the_best_epoch_is_the_one_with_the_lowest_loss_where_that_is_monitored(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = [(0.5, 1.0), (0.6, 2.0), (0.4, 0.9), (0.7, 0.9)]
    training, best = scripted(tiny("training.monitor=loss"), scores, monkeypatch)
    assert best == [True, False, True, False]
    assert training.best_epoch == 3


def test_where_nothing_is_held_out_the_last_epoch_is_kept(tiny: Tiny) -> None:
    training = trained(tiny("data.validation=0", "training.epochs=3"))
    assert training.best_epoch == 3
    assert {record.val_accuracy for record in training.history} == {None}


def test_a_loss_that_is_not_finite_stops_training_and_names_the_step(tiny: Tiny) -> None:
    training, splits = begun(tiny())
    kept: list[bool] = []

    def spoil(event: Event) -> None:
        if isinstance(event, StepDone) and (event.epoch, event.step) == (2, 3):
            next(training.model.parameters()).data.fill_(math.nan)

    with pytest.raises(TrainingError, match=r"step 4 of epoch 2.*learning_rate"):
        train(training, splits, on_event=spoil, on_epoch=kept.append)
    assert kept == [True]


@pytest.mark.parametrize("validation", [0.1, 0])
def test_weights_that_explode_in_the_last_step_are_never_kept(tiny: Tiny, validation: float) -> None:
    training, splits = begun(tiny(*ONE_STEP, f"data.validation={validation}", "training.learning_rate=1e38"))
    kept: list[bool] = []
    with pytest.raises(TrainingError, match="learning_rate"):
        train(training, splits, on_epoch=kept.append)
    assert kept == []


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 80 bytes"),
        MemoryError(),
    ],
)
def test_running_out_of_memory_says_what_to_lower(tiny: Tiny, error: Exception) -> None:
    training, splits = begun(tiny())

    def exhaust(*_: object) -> None:
        raise error

    training.model.register_forward_pre_hook(exhaust)
    with pytest.raises(TrainingError, match=r"out of memory.* 128 images.*training\.batch_size"):
        train(training, splits)


def test_what_torch_raises_for_want_of_memory_is_recognised() -> None:
    with pytest.raises(TrainingError, match="out of memory"), device_errors_in_words(1):
        torch.empty(1 << 50)


def test_errors_that_have_nothing_to_do_with_memory_pass_as_they_are() -> None:
    with pytest.raises(RuntimeError, match="shapes"), device_errors_in_words(1):
        torch.zeros(2, 3) @ torch.zeros(2, 3)
    for error in (torch.AcceleratorError("operation not permitted"), NotImplementedError("for mps")):
        with pytest.raises(type(error)), device_errors_in_words(1):
            raise error


def test_a_recording_that_fails_for_want_of_memory_is_recognised() -> None:
    def record() -> None:
        try:
            raise torch.OutOfMemoryError
        finally:
            raise torch.AcceleratorError("capture was invalidated")

    with pytest.raises(OutOfMemory), device_errors_in_words(1):
        record()


def test_an_epoch_whose_weights_stand_still_records_what_evaluation_finds(tiny: Tiny) -> None:
    training, splits = begun(tiny(*FROZEN))
    train(training, splits)
    on_train = evaluate(training.model, splits.train, training.placement)
    on_validation = evaluate(training.model, splits.validation, training.placement)
    for record in training.history:
        assert record.train_accuracy == pytest.approx(on_train.accuracy)
        assert record.train_loss == pytest.approx(on_train.loss, rel=1e-5)
        assert (record.val_accuracy, record.val_loss) == (on_validation.accuracy, on_validation.loss)
        assert (record.clean_train_accuracy, record.clean_train_loss) == (on_train.accuracy, on_train.loss)
        assert calibrator_of(record) == fit_calibrator(on_validation.logits, on_validation.labels)


def test_clean_training_figures_are_measured_without_dropout_and_with_the_weights_that_are_kept(
    tiny: Tiny,
) -> None:
    training, splits = begun(tiny(*EVERYTHING))
    train(training, splits)
    last = training.history[-1]
    on_train = evaluate(training.kept_model, splits.train, training.placement)
    assert (last.clean_train_accuracy, last.clean_train_loss) == (on_train.accuracy, on_train.loss)
    moving = evaluate(training.model, splits.train, training.placement)
    assert last.clean_train_loss not in (last.train_loss, moving.loss)


def test_clean_training_figures_rest_on_a_random_sample_that_only_the_seed_chooses(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cnnkit.training.loop.SAMPLED", 100)
    images = begun(tiny())[1].train
    numbered = replace(images, labels=torch.arange(len(images)))
    drawn, again, other = (training_sample(numbered, seed).labels.tolist() for seed in (0, 0, 1))
    assert drawn == again != other
    assert len(set(drawn)) == 100
    assert sum(number < len(images) / 2 for number in drawn) == pytest.approx(50, abs=20)
    assert images.labels[drawn].tolist() == training_sample(images, 0).labels.tolist()


@pytest.mark.parametrize("validation", [0, 0.1])
def test_measuring_training_images_changes_no_weight(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, validation: float
) -> None:
    config = tiny(*EVERYTHING, f"data.validation={validation}")
    measured = trained(config).model.state_dict()
    monkeypatch.setattr("cnnkit.training.loop.SAMPLED", 1)
    assert bitwise_equal(measured, trained(config).model.state_dict())


def test_without_validation_images_no_calibrator_is_fitted(tiny: Tiny) -> None:
    (record,) = trained(tiny("data.validation=0", "training.epochs=1")).history
    assert record.val_loss is None
    assert calibrator_of(record) == Calibrator()
    assert record.clean_train_loss is not None


def test_an_epoch_looks_once_at_a_sample_and_once_at_the_validation_images(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[int] = []

    def counting(model: nn.Module, images: ImageDataset, placement: Placement) -> Evaluation:
        looked_at.append(len(images))
        return evaluate(model, images, placement)

    monkeypatch.setattr("cnnkit.training.loop.SAMPLED", 200)
    monkeypatch.setattr("cnnkit.training.loop.evaluate", counting)
    assert len(trained(tiny()).history) == 2
    assert looked_at == [200, 144] * 2


def test_records_count_steps_and_images_over_the_whole_training(tiny: Tiny) -> None:
    config = tiny("training.epochs=3")
    training, splits = begun(config)
    events: list[Event] = []
    train(training, splits, on_event=events.append)
    steps = math.ceil(len(splits.train) / 128)
    assert [record.epoch for record in training.history] == [1, 2, 3]
    assert [record.step for record in training.history] == [steps, 2 * steps, 3 * steps]
    assert [e.step for e in events if isinstance(e, StepDone)] == [*range(1, steps + 1)] * 3
    for record in training.history:
        last = learning_rate_at(config.training, record.step - 1, steps)
        assert record.learning_rate == pytest.approx(last)
        assert record.images_per_second * record.seconds == pytest.approx(len(splits.train))


def test_the_seconds_of_an_epoch_are_those_of_training_alone(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 1
        return now

    def slow(*arguments: Any) -> object:
        nonlocal now
        now += 1_000_000
        return evaluate(*arguments)

    monkeypatch.setattr(time, "perf_counter", clock)
    monkeypatch.setattr("cnnkit.training.loop.evaluate", slow)
    for record in trained(tiny()).history:
        assert 0 < record.seconds < 1_000_000


def stopped_after(steps: int, config: Config) -> tuple[Training, Splits]:
    training, splits = begun(config)
    done: list[Event] = []
    whole = train(
        training,
        splits,
        on_event=lambda event: done.append(event) if isinstance(event, StepDone) else None,
        stop_requested=lambda: len(done) >= steps,
    )
    assert not whole
    return training, splits


@pytest.mark.parametrize("steps", [1, 7, 14])
@pytest.mark.parametrize(
    "extras", [(), EVERYTHING, ("training.optimizer=sgd", "model.dropout=0.5"), ("model.pooling=stochastic",)]
)
def test_a_training_stopped_anywhere_goes_on_as_if_it_had_not(
    tiny: Tiny, tmp_path: Path, extras: tuple[str, ...], steps: int
) -> None:
    config = tiny(*extras)
    stopped, splits = stopped_after(steps, config)
    save_state(tmp_path / "state.pt", stopped.state())
    resumed, _ = begun(config)
    resumed.restore(load_state(tmp_path / "state.pt"))
    assert train(resumed, splits)
    whole = trained(config)
    assert bitwise_equal(whole.model.state_dict(), resumed.model.state_dict())
    assert bitwise_equal(whole.kept_model.state_dict(), resumed.kept_model.state_dict())
    assert timeless(whole.history) == timeless(resumed.history)
    assert whole.best_epoch == resumed.best_epoch


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device here")
def test_a_training_stopped_on_a_gpu_goes_on_there(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny(*EVERYTHING, "runtime.device=cuda")
    stopped, splits = stopped_after(7, config)
    save_state(tmp_path / "state.pt", stopped.state())
    resumed, _ = begun(config)
    resumed.restore(load_state(tmp_path / "state.pt"))
    assert train(resumed, splits)


def test_stopping_again_and_again_still_ends_in_the_same_weights(tiny: Tiny) -> None:
    config = tiny(*EVERYTHING)
    training, splits = begun(config)
    while not train(training, splits, stop_requested=lambda: True):
        state = copy.deepcopy(training.state())
        training, splits = begun(config)
        training.restore(state)
    assert bitwise_equal(trained(config).kept_model.state_dict(), training.kept_model.state_dict())


def test_a_restored_training_keeps_its_history_and_its_patience(tiny: Tiny) -> None:
    config = tiny(*FROZEN, "training.epochs=50", "training.early_stopping=3")
    stopped, splits = stopped_after(25, config)
    resumed, _ = begun(config)
    resumed.restore(stopped.state())
    train(resumed, splits)
    assert len(resumed.history) == 4


@pytest.mark.parametrize(
    ("cpu", "precision"),
    [
        ("flags: avx2 amx_bf16 avx512_bf16", "bf16"),
        ("vendor_id: AuthenticAMD\nflags: avx512_bf16", "bf16"),
        ("vendor_id: GenuineIntel\nflags: avx512_bf16", "float32"),
        ("vendor_id: AuthenticAMD\nflags: avx2", "float32"),
    ],
)
def test_bf16_is_chosen_where_the_processor_multiplies_it_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cpu: str, precision: str
) -> None:
    (tmp_path / "cpuinfo").write_text(cpu)
    monkeypatch.setattr("cnnkit.training.device.CPU_INFO", tmp_path / "cpuinfo")
    assert choose_device(RuntimeConfig(device="cpu")).precision == precision


@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bf16", torch.bfloat16)])
def test_convolutions_and_dense_layers_train_and_are_measured_at_the_configured_precision(
    tiny: Tiny, precision: str, dtype: torch.dtype
) -> None:
    training, splits = begun(tiny(f"runtime.precision={precision}", "training.epochs=1"))
    seen: set[tuple[bool, torch.dtype]] = set()

    def look(module: nn.Module, _: object, output: Tensor) -> None:
        seen.add((module.training, output.dtype))

    for module in training.model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(look)
    train(training, splits)
    assert seen == {(True, dtype), (False, dtype)}
    assert {weights.dtype for weights in training.model.parameters()} == {torch.float32}


def test_bf16_learns_about_as_well_as_float32(tiny: Tiny) -> None:
    coarse, fine = (trained(tiny(f"runtime.precision={p}", "training.epochs=4")) for p in ("bf16", "float32"))
    assert coarse.history[-1].train_loss == pytest.approx(fine.history[-1].train_loss, rel=0.1)
    assert not bitwise_equal(coarse.model.state_dict(), fine.model.state_dict())


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("wanted", [False, True])
def test_varying_operations_are_refused_exactly_where_the_configuration_says_so(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, before: bool, wanted: bool
) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    torch.use_deterministic_algorithms(before)
    with choose_device(tiny(f"runtime.deterministic={str(wanted).lower()}").runtime).in_force():
        assert torch.are_deterministic_algorithms_enabled() == wanted
        if wanted and not before:
            assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"  # or else CUDA's products vary
    assert torch.are_deterministic_algorithms_enabled() == before
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")]
)
def test_auto_takes_cuda_then_mps_then_the_cpu(
    monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: int(cuda))
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert choose_device(RuntimeConfig(precision="float32")).device.type == expected


@pytest.mark.parametrize("device", ["cuda:1", "mps"])
def test_a_device_that_is_not_there_is_refused_with_a_way_out(
    monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UsageError, match=f"{device}.*--device cpu"):
        choose_device(RuntimeConfig(device=device))


@pytest.mark.parametrize(("kind", "threads"), [("cpu", 16), ("cuda", 4), ("mps", 4)])
def test_beside_a_gpu_a_run_takes_few_threads(
    monkeypatch: pytest.MonkeyPatch, kind: str, threads: int
) -> None:
    for name in ("torch.get_num_threads", "cnnkit.training.device.available_cpus"):
        monkeypatch.setattr(name, lambda: 16)
    monkeypatch.setattr("cnnkit.training.device._choose", lambda name: torch.device(kind))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    assert choose_device(RuntimeConfig(precision="float32")).threads == threads
    assert choose_device(RuntimeConfig(precision="float32", threads=9)).threads == 9


def test_the_configured_threads_are_used(tiny: Tiny) -> None:
    placement = choose_device(tiny("runtime.threads=2").runtime)
    torch.set_num_threads(1)
    with placement.in_force():
        assert placement.threads == torch.get_num_threads() == 2
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, 64),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 64),
        ({"cpu.max": "nonsense"}, 64),
        ({}, 64),
    ],
)
def test_the_quota_of_a_container_limits_the_cpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], expected: int
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.setattr("cnnkit.processes.CGROUPS", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert available_cpus() == expected


def test_streams_of_another_kind_of_device_begin_their_epoch_again(tiny: Callable[..., Config]) -> None:
    training, _ = begun(tiny("training.seed=5"))
    state = training.state()
    state["dropout_stream"] = torch.zeros(16, dtype=torch.uint8)  # as CUDA's are
    drawn = torch.rand(3, generator=training.augmentation_generator)
    other, _ = begun(tiny("training.seed=5"))
    other.restore(state)
    expected = torch.rand(3, generator=generator_for(5, "dropout", 1))
    assert torch.equal(torch.rand(3, generator=other.dropout_generator), expected)
    assert torch.equal(torch.rand(3, generator=other.augmentation_generator), drawn)
