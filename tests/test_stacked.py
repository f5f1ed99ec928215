"""Seeds that train together: each ends where it would have ended alone."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
import support
import torch
from PIL import Image
from support import Tiny, begun, bitwise_equal
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from cnnkit.config.load import parse_config
from cnnkit.config.schema import Config
from cnnkit.data.dataset import ImageDataset, Splits
from cnnkit.data.prepare import load_data
from cnnkit.data.splits import held_out_and_rest
from cnnkit.errors import TrainingError
from cnnkit.families.heads import HEADS
from cnnkit.families.optimizers import OPTIMIZERS
from cnnkit.families.poolings import POOLINGS
from cnnkit.random import generator_for
from cnnkit.tensor_files import load_state, save_state
from cnnkit.training import loop as training_module
from cnnkit.training.evaluation import evaluate
from cnnkit.training.loop import train, train_together
from cnnkit.training.stack import Stack
from cnnkit.training.stacked_model import SideBySide
from cnnkit.training.state import Training

EVERYTHING = (
    *support.EVERYTHING,
    "training.gradient_clip=0.5",
    "training.label_smoothing=0.1",
)
ROUNDING = 0.01  # of `distance`: all come to 1e-5 or so; a mistake to 0.1 and more


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def trained_alone(config: Config) -> tuple[Training, Splits]:
    training, splits = begun(config)
    assert train(training, splits)
    return training, splits


def stacked(configs: Sequence[Config], rate_on_device: bool | None = None) -> tuple[Stack, list[Splits]]:
    trainings, splits = zip(*map(begun, configs), strict=True)
    whole, _ = load_data(configs[0].data)
    shares = [held_out_and_rest(c.data, whole.labels, c.training.seed)[1] for c in configs]
    return Stack(trainings, whole.to(trainings[0].placement.device), shares, rate_on_device), list(splits)


def trained_together(configs: Sequence[Config], rate_on_device: bool | None = None) -> list[Training]:
    stack, splits = stacked(configs, rate_on_device)
    assert train_together(stack, splits.__getitem__) == [None] * len(configs)
    return list(stack.trainings)


def seeds(tiny: Tiny, *overrides: str, of: Iterable[int] = range(3)) -> list[Config]:
    return [tiny("runtime.threads=1", f"training.seed={seed}", *overrides) for seed in of]


def distance(first: Training, second: Training) -> float:
    """Of all that was learned: the norm of the difference by the norm.

    A single weight says less: where its gradient is all rounding, a first step of Adam is one of full size.
    """
    ours, theirs = (torch.cat([tensor.flatten() for tensor in learned(t)]) for t in (first, second))
    return ((ours - theirs).norm() / theirs.norm()).item()


def learned(training: Training) -> list[Tensor]:
    weights = training.kept_model.state_dict()
    return [weights[name] for name in sorted(weights) if "normalize" not in name and "tracked" not in name]


def assert_same(together: Training, alone: Training, splits: Splits) -> None:
    assert distance(together, alone) < ROUNDING
    weights, expected_weights = together.kept_model.state_dict(), alone.kept_model.state_dict()
    for name in weights:
        if "normalize" in name or "tracked" in name:
            torch.testing.assert_close(weights[name], expected_weights[name])
    mine, theirs = (evaluate(t.kept_model, splits.test, t.placement).predictions for t in (together, alone))
    assert (mine != theirs).sum() <= 1  # an image on the fence may fall to either side
    assert together.best_epoch == alone.best_epoch
    for record, expected in zip(together.history, alone.history, strict=True):
        assert (record.epoch, record.step) == (expected.epoch, expected.step)
        assert record.learning_rate == expected.learning_rate
        assert record.train_loss == pytest.approx(expected.train_loss, rel=1e-3)
        assert record.train_accuracy == pytest.approx(expected.train_accuracy, abs=2e-3)
        assert record.val_loss == pytest.approx(expected.val_loss, rel=1e-3)


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        *((f"model.pooling={name}", *EVERYTHING) for name, pooling in POOLINGS.items() if pooling.stacks),
        *((f"model.head={head}",) for head in HEADS),
        ("model.pooling=[{name: soft, beta: learned}, {name: lp, p: learned}]", *EVERYTHING),
        ("model.pooling=[conv, conv]", "model.batch_norm=false"),
        ("model.head={name: gem, p: learned}",),
        *(
            (f"training.optimizer={optimizer}", "training.weight_decay=0.01")
            for optimizer in OPTIMIZERS
            if optimizer != "rmsprop"
        ),
        ("training.optimizer=rmsprop",),  # with weight decay it divides rounding by rounding
        ("model.batch_norm=false", "model.activation=gelu"),
        ("model.kernel_sizes=[4, 1]", "model.hidden=[]", "model.pool_size=[3, 2]"),
        ("model.pooling=[concat, stride]", "model.channels=[3, 5]", "model.hidden=[7, 5]"),
        ("model.convolutions=[3, 2]", "model.pooling=[concat, stride]"),
        ("model.convolutions=2", "model.batch_norm=false", "model.order=pooling_first"),
        ("training.batch_size=359",),  # one image is left over and joins the last batch
        ("training.batch_size=2000",),  # no batch is full
        ("data.validation=0.5", "training.epochs=1"),
    ],
    ids=" ".join,
)
def test_each_seed_ends_where_it_ends_alone(tiny: Tiny, overrides: tuple[str, ...]) -> None:
    configs = seeds(tiny, *overrides, of=range(2))
    for config, together in zip(configs, trained_together(configs), strict=True):
        alone, splits = trained_alone(config)
        assert_same(together, alone, splits)


@pytest.mark.parametrize("augment", ["{}", "{flip: 0.5, translate: 2}", "{rotate: 5, saturation: 0.3}"])
def test_seeds_learn_from_colour_images_as_each_does_alone(tmp_path: Path, augment: str) -> None:
    colours = np.random.default_rng(0)
    for name in (f"{label}/{i}.png" for label in "ab" for i in range(20)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(colours.integers(0, 256, (12, 12, 3), np.uint8)).save(tmp_path / name)
    text = f"""
data: {{dataset: folder, root: '{tmp_path}', size: 12, test: 0.2, validation: 4, augment: {augment}}}
model: {{channels: [4], hidden: [8]}}
training: {{epochs: 2, batch_size: 8}}
runtime: {{device: cpu, precision: float32, threads: 1}}
"""
    configs = [parse_config(text, "own", [f"training.seed={seed}"]) for seed in (0, 1)]
    for config, together in zip(configs, trained_together(configs), strict=True):
        assert_same(together, *trained_alone(config))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_seeds_whose_classes_weigh_differently_end_where_each_ends_alone(
    tiny: Tiny, smoothing: float
) -> None:
    configs = seeds(tiny, f"training.label_smoothing={smoothing}", "training.class_weights=balanced")
    weights = [torch.linspace(0.2, 3, 10).roll(row) for row in range(len(configs))]
    stack, splits = stacked(configs)
    for together, weighted in zip(stack.trainings, weights, strict=True):
        together.class_weights = weighted
    train_together(stack, splits.__getitem__)
    for config, together, weighted in zip(configs, stack.trainings, weights, strict=True):
        alone, own = begun(config)
        alone.class_weights = weighted
        assert train(alone, own)
        assert_same(together, alone, own)


def test_in_bf16_each_seed_ends_nearly_where_it_ends_alone(tiny: Tiny) -> None:
    configs = seeds(tiny, "runtime.precision=bf16", *EVERYTHING)
    for config, together in zip(configs, trained_together(configs), strict=True):
        alone, _ = trained_alone(config)
        assert distance(together, alone) < 0.02  # bf16 keeps 8 bits
        assert together.history[-1].train_loss == pytest.approx(alone.history[-1].train_loss, rel=0.02)


@pytest.mark.parametrize(
    ("optimizer", "count"), [*((name, 2) for name in OPTIMIZERS), ("sgd", 1), ("adam", 1)]
)
def test_a_learning_rate_that_lies_on_the_device_is_the_same(tiny: Tiny, optimizer: str, count: int) -> None:
    rates = ("training.learning_rate=0.002", "training.warmup=0.5")
    configs = seeds(tiny, f"training.optimizer={optimizer}", *rates, of=range(count))
    for config, together in zip(configs, trained_together(configs, rate_on_device=True), strict=True):
        alone, splits = trained_alone(config)
        assert_same(together, alone, splits)


def test_a_seed_does_not_notice_its_neighbours(tiny: Tiny) -> None:
    first = trained_together(seeds(tiny, *EVERYTHING, of=[4, 5, 6]))[0]
    last = trained_together(seeds(tiny, *EVERYTHING, of=[7, 4]))[1]
    assert distance(first, last) < ROUNDING


@pytest.mark.parametrize("extras", [(), ("model.batch_norm=false",), EVERYTHING])
def test_a_seed_that_diverges_fails_alone(tiny: Tiny, extras: tuple[str, ...]) -> None:
    configs = seeds(tiny, *extras)
    stack, splits = stacked(configs)
    with torch.no_grad():
        stack.trainings[1].model.dense[-1].weight.fill_(torch.nan)
    kept: list[int] = []
    failures = train_together(stack, splits.__getitem__, lambda row, _: kept.append(row))
    assert [type(failure) for failure in failures] == [type(None), TrainingError, type(None)]
    assert "the loss stopped being finite at step 1 of epoch 1" in str(failures[1])
    assert kept == [0, 2, 0, 2]
    for row in (0, 2):
        alone, own = trained_alone(configs[row])
        assert_same(stack.trainings[row], alone, own)


def test_a_seed_that_stops_early_keeps_its_record_while_the_others_go_on(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which epoch is a seed's best is laid down here: measured, it would hang on rounding."""
    monkeypatch.setattr(
        training_module, "_is_best", lambda record, of: record.epoch <= of.config.training.seed + 1
    )
    configs = seeds(tiny, "training.epochs=9", "training.early_stopping=1")
    stack, splits = stacked(configs)
    kept: list[tuple[int, dict[str, Tensor]]] = []

    def keep(row: int, best: bool) -> None:
        if best:
            weights = stack.trainings[row].kept_model.state_dict()
            kept.append((row, {name: tensor.clone() for name, tensor in weights.items()}))

    train_together(stack, splits.__getitem__, keep)
    lengths = [len(training.history) for training in stack.trainings]
    assert lengths == [2, 3, 4]
    for row, config in enumerate(configs):
        alone, own = begun(config)
        weights: list[dict[str, Tensor]] = []
        train(alone, own, on_epoch=lambda best, to=weights, of=alone: best and to.append(copied(of)))  # type: ignore[misc]
        assert len(alone.history) == lengths[row]
        assert alone.best_epoch == stack.trainings[row].best_epoch
        mine = [state for at, state in kept if at == row]
        for name, tensor in weights[-1].items():
            torch.testing.assert_close(mine[-1][name], tensor, rtol=0, atol=10 * ROUNDING)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
@pytest.mark.parametrize("overrides", [(), EVERYTHING], ids=["plain", "everything"])
def test_on_a_gpu_recorded_seeds_end_where_each_ends_alone(tiny: Tiny, overrides: tuple[str, ...]) -> None:
    configs = seeds(tiny, *overrides, "runtime.device=cuda")
    for config, together in zip(configs, trained_together(configs), strict=True):
        alone, splits = begun(config)
        assert on_device(alone, splits)
        for record, expected in zip(together.history, alone.history, strict=True):
            assert record.train_loss == pytest.approx(expected.train_loss, rel=0.02)
            assert record.val_loss == pytest.approx(expected.val_loss, rel=0.05)


def copied(training: Training) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in training.kept_model.state_dict().items()}


def on_device(training: Training, splits: Splits, steps: int | None = None) -> bool:
    left = iter(range(steps or 10**9))
    whole = Stack.alone(training, splits.train)
    return train(training, splits, stop_requested=lambda: next(left) + 1 == steps, steps=whole)


def in_the_loop(training: Training, splits: Splits, steps: int | None = None) -> bool:
    left = iter(range(steps or 10**9))
    return train(training, splits, stop_requested=lambda: next(left) + 1 == steps)


@pytest.mark.parametrize("extras", [(), EVERYTHING])
def test_a_run_alone_takes_the_steps_of_the_plain_loop(tiny: Tiny, extras: tuple[str, ...]) -> None:
    training, splits = begun(tiny(*extras))
    assert on_device(training, splits)
    alone, _ = trained_alone(tiny(*extras))
    assert_same(training, alone, splits)
    assert training.state()["averaged"].get("n_averaged") == alone.state()["averaged"].get("n_averaged")


@pytest.mark.parametrize("ways", [(on_device, on_device), (on_device, in_the_loop), (in_the_loop, on_device)])
@pytest.mark.parametrize("steps", [1, 7, 15])
def test_a_run_that_was_interrupted_goes_on_either_way(
    tiny: Tiny, tmp_path: Path, steps: int, ways: Sequence[Callable[..., bool]]
) -> None:
    config = tiny(*EVERYTHING, "training.optimizer=nadam")
    training, splits = begun(config)
    assert not ways[0](training, splits, steps)
    save_state(tmp_path / "state", training.state())
    resumed, _ = begun(config)
    resumed.restore(load_state(tmp_path / "state"))
    assert ways[1](resumed, splits)
    alone, _ = trained_alone(config)
    assert_same(resumed, alone, splits)


class NothingIsAsked(TorchDispatchMode):
    """Fails where a number is fetched from a tensor, for which a GPU's host would have to wait."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        assert func.overloadpacket not in (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("count", [1, 2])
def test_no_step_asks_the_device_for_anything(tiny: Tiny, count: int) -> None:
    stack, _ = stacked(seeds(tiny, *EVERYTHING, of=range(count)), rate_on_device=True)
    stack.begin(1)
    assert stack.rate
    with stack.rate, NothingIsAsked():
        for step in range(stack.count):
            stack.take(1, step)


def test_images_are_not_copied_for_each_seed(tiny: Tiny) -> None:
    configs = seeds(tiny)
    stack, _ = stacked(configs)
    whole, _ = load_data(configs[0].data)
    assert stack.images.images.shape == whole.images.shape
    held = [value for value in vars(stack).values() if isinstance(value, Tensor)]
    assert all(value.dtype != torch.uint8 for value in held)


def test_each_model_is_a_view_of_its_part_of_the_stack(tiny: Tiny) -> None:
    stack, _ = stacked(seeds(tiny, "training.weight_averaging=0.9"))
    assert isinstance(stack.network, SideBySide)
    before = [copied(training) for training in stack.trainings]
    with torch.no_grad():
        for tensor in [*stack.network.tensors.values(), *(mean for mean, _ in stack.averages)]:
            tensor.add_(1)
    for training, old in zip(stack.trainings, before, strict=True):
        assert bitwise_equal(copied(training), {name: tensor + 1 for name, tensor in old.items()})
        for name, tensor in training.model.named_parameters():
            assert bitwise_equal({name: tensor}, {name: old[name] + 1})


def test_logits_of_networks_side_by_side_are_their_own(tiny: Tiny) -> None:
    trainings = [begun(config)[0] for config in seeds(tiny, "model.pooling=concat")]
    images = torch.randint(0, 256, (3, 5, 1, 8, 8), generator=generator_for(0, "test"))
    for training in trainings:
        training.model.eval()
    alone = torch.stack([t.model(own) for t, own in zip(trainings, images, strict=True)]).detach()
    together = SideBySide([training.model for training in trainings]).eval()
    torch.testing.assert_close(together(images.transpose(0, 1).flatten(1, 2)).detach(), alone)


def test_trainings_that_do_not_have_equally_many_images_are_refused(tiny: Tiny) -> None:
    trainings = [begun(config)[0] for config in seeds(tiny, of=range(2))]
    whole: ImageDataset = load_data(trainings[0].config.data).train
    with pytest.raises(RuntimeError, match="size"):
        Stack(trainings, whole, [torch.arange(10), torch.arange(11)])
