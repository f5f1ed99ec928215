"""Recorded steps: told apart from others, taken as often as they are asked for."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
import torch
from support import begun

from cnnkit.config.schema import Config
from cnnkit.config.training import TrainingConfig
from cnnkit.families.optimizers import OPTIMIZERS
from cnnkit.training.cuda_graph import WARM_UP, RateOnDevice, Replayed, can_be_recorded
from cnnkit.training.loop import EagerSteps, steps_for, train
from cnnkit.training.optimizers import make_optimizer
from cnnkit.training.stack import Stack

Tiny = Callable[..., Config]
CPU = torch.device("cpu")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")


def optimizer_of(name: str) -> torch.optim.Optimizer:
    config = TrainingConfig(optimizer=name, learning_rate=0.25)
    return make_optimizer(torch.nn.Linear(2, 2), config, CPU)


def test_all_optimizers_but_adagrad_can_be_recorded() -> None:
    able = {name for name in OPTIMIZERS if can_be_recorded(optimizer_of(name))}
    assert able == set(OPTIMIZERS) - {"adagrad"}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_is_afterwards_as_it_was(name: str) -> None:
    optimizer = optimizer_of(name)
    before = repr(optimizer.state_dict())
    with RateOnDevice(optimizer, CPU):
        assert isinstance(optimizer.param_groups[0]["lr"], torch.Tensor)
    assert repr(optimizer.state_dict()) == before


class Gpu:
    """What stands in for CUDA where there is none: it notes what is asked of it."""

    def __init__(self) -> None:
        self.recording = False
        self.replays = 0
        self.registered: list[object] = []

    def install(self, patch: pytest.MonkeyPatch, version: str) -> None:
        gpu = self

        class Stream:
            device = CPU

            def __init__(self, *_: object) -> None: ...

            def wait_stream(self, _: object) -> None: ...

        class Graph:
            def replay(self) -> None:
                gpu.replays += 1

            def register_generator_state(self, generator: object) -> None:
                gpu.registered.append(generator)

        @contextmanager
        def graph(_: Graph, stream: Stream) -> Iterator[None]:
            gpu.recording = True
            try:
                yield
            finally:
                gpu.recording = False

        @contextmanager
        def anywhere(_: object) -> Iterator[None]:
            yield

        replaced = {
            "Stream": Stream,
            "CUDAGraph": Graph,
            "graph": graph,
            "stream": anywhere,
            "device": anywhere,
        }
        for name, substitute in replaced.items():
            patch.setattr(torch.cuda, name, substitute)
        patch.setattr(torch.cuda, "current_stream", lambda _: Stream())
        patch.setattr(torch, "__version__", version)


@pytest.mark.parametrize(("version", "registers"), [("2.8.0", True), ("2.15.0+cu132", False)])
def test_a_step_is_run_and_recorded_once_and_each_call_replays_it(
    monkeypatch: pytest.MonkeyPatch, version: str, registers: bool
) -> None:
    gpu, eager, recorded = Gpu(), [], []
    gpu.install(monkeypatch, torch.torch_version.TorchVersion(version))
    replayed = Replayed([torch.Generator()], CPU)

    def step() -> None:
        (recorded if gpu.recording else eager).append(1)

    replayed.record(step)
    assert (len(eager), len(recorded), len(gpu.registered)) == (WARM_UP, 1, registers)
    for _ in range(10):
        replayed(step)
    assert (len(eager), len(recorded), gpu.replays) == (WARM_UP, 1, 10)


def test_where_a_step_cannot_be_recorded_all_are_run_and_a_note_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gpu, run, notes = Gpu(), [], []
    gpu.install(monkeypatch, torch.torch_version.TorchVersion("2.15.0"))

    def step() -> None:
        if gpu.recording:
            raise RuntimeError("operation not permitted when stream is capturing\nmore words")
        run.append(1)

    replayed = Replayed([torch.Generator()], CPU, notes.append)
    replayed.record(step)
    for _ in range(10):
        replayed(step)
    assert len(run) == WARM_UP + 10
    assert gpu.replays == 0
    (note,) = notes
    assert "operation not permitted when stream is capturing" in note.text
    assert "more words" not in note.text


def test_want_of_memory_while_a_step_is_recorded_is_no_reason_to_run_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gpu = Gpu()
    gpu.install(monkeypatch, torch.torch_version.TorchVersion("2.15.0"))

    def step() -> None:
        if gpu.recording:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        Replayed([torch.Generator()], CPU).record(step)


@pytest.mark.parametrize(("recorded", "kind"), [("true", Stack), ("false", EagerSteps)])
def test_an_option_switches_recording_off(tiny: Tiny, recorded: str, kind: type) -> None:
    training, splits = begun(tiny(f"runtime.record_steps={recorded}"))
    training.placement = SimpleNamespace(device=torch.device("cuda"))
    with mock.patch.object(Stack, "__init__", return_value=None):
        assert type(steps_for(training, splits)) is kind


@pytest.mark.parametrize("together", [1, 2])
@pytest.mark.parametrize("name", sorted(set(OPTIMIZERS) - {"adagrad"}))
def test_steps_that_are_rehearsed_leave_no_trace(tiny: Tiny, name: str, together: int) -> None:
    extras = ["model.dropout=0.5", "training.weight_averaging=0.9", "data.augment={rotate: 10}"]

    def weights(rehearsed: bool) -> list[torch.Tensor]:
        both = [
            begun(tiny(f"training.optimizer={name}", f"training.seed={n}", *extras)) for n in range(together)
        ]
        trainings, splits = [t for t, _ in both], both[0][1]
        stack = Stack(
            trainings, splits.train, [torch.arange(len(splits.train))] * together, rate_on_device=True
        )
        for epoch in (1, 2):
            stack.begin(epoch)
            if rehearsed:
                stack.rehearse(lambda step: [step() for _ in range(WARM_UP)])
            with stack.context:
                for step in range(stack.count):
                    stack.take(epoch, step)
        return [tensor for t in trainings for tensor in (*t.kept_model.state_dict().values(), stack.losses)]

    for tensor, expected in zip(weights(True), weights(False), strict=True):
        assert torch.equal(tensor, expected)


@needs_cuda
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_recorded_run_ends_where_an_eager_one_ends(tiny: Tiny, name: str) -> None:
    extras = ["model.dropout=0.5", "training.weight_averaging=0.9", "data.augment={rotate: 10}"]
    results: list[Any] = []
    for recorded in ("false", "true"):
        cuda = ("runtime.device=cuda", f"runtime.record_steps={recorded}")
        training, splits = begun(tiny(*cuda, f"training.optimizer={name}", *extras))
        assert train(training, splits)
        results.append(training)
    plain, recorded = results
    for record, expected in zip(recorded.history, plain.history, strict=True):
        assert record.train_loss == pytest.approx(expected.train_loss, rel=0.02)
        assert record.val_loss == pytest.approx(expected.val_loss, rel=0.05)
