"""A training step recorded once as a CUDA graph, and then replayed."""

from collections.abc import Callable, Sequence

import torch
from torch.optim import Optimizer

from cnnkit.events import Listener, Note, ignore

WARM_UP = 3  # steps before one is recorded: libraries, optimizer states and averages come into being


class Replayed:
    """Calls of a step on a GPU: the first WARM_UP run as they are written, the rest replay a recording.

    All are real steps, on a stream of their own, so nothing has to be undone. The host hands over one
    graph a step instead of a hundred kernels. The step may read and write only tensors that stay where
    they are, and draw only from these generators; seeding them anew between calls is heard.
    Recording waits for the device once; nothing else does.
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
        except RuntimeError as error:
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
    """Whether its step keeps all it counts on the device: sgd counts nothing, adagrad counts on the host."""
    return isinstance(optimizer, torch.optim.SGD) or "capturable" in optimizer.defaults


class RateOnDevice:
    """While entered, an optimizer reads its learning rate from a tensor on the device, and can be recorded.

    Outside it is as ever, so that a state that is saved can be restored on another device.
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
                group["foreach"] = not group.get("fused")  # one by one they would look at the rate
        if "capturable" in self.optimizer.defaults:
            self._bring_state()
        # Steps before the recording and after it are meant; torch would warn of each optimizer once.
        self.optimizer.__dict__["_warned_capturable_if_run_uncaptured"] = True

    def __exit__(self, *_: object) -> None:
        for group, before in zip(self.optimizer.param_groups, self.before, strict=True):
            group.update(before)

    def _bring_state(self) -> None:
        """Of a run that began elsewhere, where steps were counted on the host."""
        for state in self.optimizer.state.values():
            for name, value in state.items():
                if isinstance(value, torch.Tensor):
                    state[name] = value.to(self.rate.device)
