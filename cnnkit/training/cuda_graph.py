"""A training step recorded once as a CUDA graph, and then replayed."""

import contextlib
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer

from cnnkit.errors import lost_gpu
from cnnkit.events import Listener, Note, ignore

WARM_UP = 3  # steps before the recording: libraries choose kernels, the optimizer makes its states
NOT_ZERO = {"mu_product": 1.0}  # of NAdam; all other states of optimizers are 0 before the first step


class Replayed:
    """A step on a GPU: `record` runs it WARM_UP times and records it, calls replay the recording.

    The host then launches one graph a step instead of a hundred kernels. The step may read and write only
    tensors that keep their address, and may draw only from these generators; they may be seeded again between
    calls. All of it happens on a CUDA stream of its own. If recording fails, `notify` is told, and calls run
    the step as it is written.
    """

    def __init__(
        self, generators: Sequence[torch.Generator], device: torch.device, notify: Listener = ignore
    ) -> None:
        self.generators, self.notify = generators, notify
        self.stream = torch.cuda.Stream(device)
        self.graph: torch.cuda.CUDAGraph | None = None
        self.recorded = False  # or tried in vain

    def record(self, step: Callable[[], None]) -> None:
        """Once, before the first call; waits for the device. The steps it runs change what a step changes."""
        self.recorded = True
        for _ in range(WARM_UP):
            self._run_aside(step)
        self.graph = self._recorded_if_possible(step)

    def __call__(self, step: Callable[[], None]) -> None:
        if self.graph is not None:
            self.graph.replay()
        else:
            self._run_aside(step)

    def _recorded_if_possible(self, step: Callable[[], None]) -> torch.cuda.CUDAGraph | None:
        """None where recording fails; all steps are then run as they are written."""
        try:
            return self._record(step)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # each operation that cannot be recorded fails in its own way
            if lost_gpu(error) or isinstance(error.__context__, torch.OutOfMemoryError):
                raise
            first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            self.notify(Note(f"a training step could not be recorded ({first}); steps are run one by one"))
            return None

    def _run_aside(self, step: Callable[[], None]) -> None:
        self.stream.wait_stream(torch.cuda.current_stream(self.stream.device))
        with torch.cuda.stream(self.stream):
            step()
        torch.cuda.current_stream(self.stream.device).wait_stream(self.stream)

    def _record(self, step: Callable[[], None]) -> torch.cuda.CUDAGraph:
        """Records without running."""
        with torch.cuda.device(self.stream.device):
            graph = torch.cuda.CUDAGraph()
            if torch.__version__ < "2.14":  # since then it finds them by itself, and warns of this
                for generator in self.generators:
                    graph.register_generator_state(generator)
            with torch.cuda.graph(graph, stream=self.stream):
                step()
        return graph


def can_be_recorded(optimizer: Optimizer) -> bool:
    """Whether a step keeps its counters on the device. SGD has none; Adagrad counts on the host."""
    return isinstance(optimizer, torch.optim.SGD) or "capturable" in optimizer.defaults


class RateOnDevice:
    """A context in which an optimizer reads its learning rate from a tensor on the device.

    Only then can its step be recorded. Outside the context the optimizer is as before, so a saved state can
    be restored on another device.
    """

    def __init__(self, optimizer: Optimizer, device: torch.device) -> None:
        self.optimizer = optimizer
        self.rate = torch.zeros((), device=device)

    def __enter__(self) -> None:
        self.before = [dict(group) for group in self.optimizer.param_groups]
        on_gpu = self.rate.device.type == "cuda"
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate
            if on_gpu and "capturable" in group:
                group["capturable"] = True
                group["foreach"] = not group.get("fused")  # the plain loop would read the rate on the host
        if "capturable" in self.optimizer.defaults:
            self._bring_state()
        # Steps outside the recording are intended; torch would warn about them.
        self.optimizer.__dict__["_warned_capturable_if_run_uncaptured"] = True

    def __exit__(self, *_: object) -> None:
        for group, before in zip(self.optimizer.param_groups, self.before, strict=True):
            group.update(before)

    def _bring_state(self) -> None:
        """Moves the step counters of a run that began on the CPU."""
        for state in self.optimizer.state.values():
            for name, value in state.items():
                if isinstance(value, Tensor):
                    state[name] = value.to(self.rate.device)


class PutBack(contextlib.AbstractContextManager["PutBack"]):
    """A context at whose end tensors, generators and an optimizer's states are as they were.

    Tensors keep their address. States that the optimizer makes meanwhile stay, as if before its first step.
    """

    def __init__(
        self, tensors: Iterable[Tensor], generators: Sequence[torch.Generator], optimizer: Optimizer
    ) -> None:
        self.optimizer = optimizer
        self.tensors = [(tensor, tensor.clone()) for tensor in (*tensors, *self._states().values())]
        self.states = set(self._states())
        self.generators = [(generator, generator.get_state()) for generator in generators]

    def __exit__(self, *_: object) -> None:
        for tensor, before in self.tensors:
            tensor.copy_(before)
        for place, state in self._states().items():
            if place not in self.states:
                state.fill_(NOT_ZERO.get(place[1], 0.0))
        for generator, before in self.generators:
            generator.set_state(before)

    def _states(self) -> dict[tuple[int, str], Tensor]:
        """By the address of a parameter and the name of its state."""
        return {
            (id(parameter), name): value
            for parameter, states in self.optimizer.state.items()
            for name, value in states.items()
            if isinstance(value, Tensor)
        }
