"""A training step recorded once as a CUDA graph, and then replayed."""

from collections.abc import Callable, Sequence

import torch
from torch.optim import Optimizer

from cnnkit.events import Listener, Note, ignore

WARM_UP = 3  # steps before the recording: libraries choose kernels, the optimizer makes its states


class Replayed:
    """Calls a step on a GPU: the first WARM_UP calls run it, the others replay a recording of it.

    Each call is a real step on a CUDA stream of its own, so nothing has to be undone. The host then launches
    one graph a step instead of a hundred kernels. The step may read and write only tensors that keep their
    address, and may draw only from these generators; they may be seeded again between calls.
    Recording waits for the device once. If it fails, `notify` is told, and all steps are run.
    """

    def __init__(
        self, generators: Sequence[torch.Generator], device: torch.device, notify: Listener = ignore
    ) -> None:
        self.generators, self.notify = generators, notify
        self.stream = torch.cuda.Stream(device)
        self.graph: torch.cuda.CUDAGraph | None = None
        self.calls = 0

    def __call__(self, step: Callable[[], None]) -> None:
        if self.graph is None and self.calls == WARM_UP:
            self.graph = self._recorded_if_possible(step)
        if self.graph is not None:
            self.graph.replay()
        else:
            self._run_aside(step)
        self.calls += 1

    def _recorded_if_possible(self, step: Callable[[], None]) -> torch.cuda.CUDAGraph | None:
        """None where recording fails; all steps are then run as they are written."""
        try:
            return self._record(step)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # each operation that cannot be recorded fails in its own way
            if isinstance(error.__context__, torch.OutOfMemoryError):
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
                if isinstance(value, torch.Tensor):
                    state[name] = value.to(self.rate.device)
