"""`torch.export`: a network traced into one program, and kept as a `.pt2` file."""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from cnnkit.errors import RunError
from cnnkit.nn.exported import Exported

EXAMPLES = 2  # images; a batch of one would be taken for the only one


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """What libraries log and warn of their own workings is not shown: the file is checked in the end."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def traced(model: Exported, pixels: Tensor) -> torch.export.ExportedProgram:
    """The program of a network, for any number of images. pixels: (N, C, H, W), an example.

    Raises RunError, which names the layer, where one of its operations cannot be traced.
    """
    try:
        return _traced(model, pixels, {0: torch.export.Dim("N")})
    except Exception as error:
        layer = _layer_at_fault(model, pixels)
        raise RunError(f"{layer} cannot be exported: {_first_line(error)}") from error


def _traced(model: nn.Module, example: Tensor, dynamic: Any) -> torch.export.ExportedProgram:
    with quiet():
        return torch.export.export(model.eval(), (example,), dynamic_shapes=(dynamic,))


def _first_line(error: Exception) -> str:
    if "data-dependent" in str(error):
        return "it decides by the values that it is given, and a file has no such choice; use torch.where"
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _layer_at_fault(model: Exported, pixels: Tensor) -> str:
    """The innermost layer of one input that cannot be traced alone; the network where there is none."""
    at_fault, inputs = "the network", dict[str, Tensor]()

    def keep(name: str) -> Any:
        return lambda _, given: inputs.update({name: given[0]}) if len(given) == 1 else None

    layers = dict(model.network.named_modules())
    hooks = [layer.register_forward_pre_hook(keep(name)) for name, layer in layers.items() if name]
    with torch.no_grad():
        model(pixels)
    for handle in hooks:
        handle.remove()
    for name, given in inputs.items():
        try:
            _traced(layers[name], given, {0: torch.export.Dim("N")})
        except Exception:
            at_fault = f"the layer {name} ({type(layers[name]).__name__})"
    return at_fault


@dataclass(frozen=True)
class TorchDraft:
    """A `.pt2` file that is not written yet. `torch.export.load` opens it."""

    content: bytes
    opset: int | None = None
    suffix = ".pt2"

    @classmethod
    def of(cls, program: torch.export.ExportedProgram, metadata: Mapping[str, str]) -> "TorchDraft":
        """program: of an `Exported`. metadata: become `extra_files`."""
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)  # lines of code, with their paths
        file = io.BytesIO()
        with quiet():
            torch.export.save(program, file, extra_files=dict(metadata))
        return cls(file.getvalue())

    @staticmethod
    def refuse_missing() -> None:
        """Nothing that torch lacks is needed."""

    def answers(self) -> Callable[[Tensor], Tensor]:
        """What gives the logits of images."""
        module = self._module()
        return lambda pixels: module(pixels)[0]

    def layers(self, pixels: Tensor) -> Iterator[tuple[str, Tensor]]:
        """What the operations make of images, in their order: (layer as torch names it, values)."""
        steps = _Steps(self._module())
        with torch.inference_mode():
            steps.run(pixels)
        yield from steps.found

    def _module(self) -> fx.GraphModule:
        module = torch.export.load(io.BytesIO(self.content)).module()
        assert isinstance(module, fx.GraphModule)
        return module


class _Steps(fx.Interpreter):
    """Runs a program and keeps what each operation gives."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.found: list[tuple[str, Tensor]] = []

    def run_node(self, node: fx.Node) -> Any:
        value = super().run_node(node)
        places = [place for place, _ in node.meta.get("nn_module_stack", {}).values()]
        if isinstance(value, Tensor) and places:
            self.found.append((places[-1], value))
        return value
