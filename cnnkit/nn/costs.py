"""Blocks → `CNN`, and what it costs: parameters and multiply-accumulates."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cnnkit.config.schema import ModelConfig
from cnnkit.families.datasets import ImageInfo
from cnnkit.nn.model import CNN
from cnnkit.nn.pooling import Downsampling, SameConv2d


@dataclass(frozen=True)
class LayerCost:
    """One row of a summary. output_shape: without the batch. macs: for one image."""

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    macs: int


def count_costs(model: CNN) -> list[LayerCost]:
    """A row a layer, in the order in which one image passes them.

    A multiply-accumulate is one weight times one value, added; half of what torch's flop counter
    counts. Poolings, norms and activations have none. What a network computes by a short cut, such as an
    average pooling inside its convolution, counts as it is written.
    """
    rows: list[LayerCost] = []
    names = {module: name for name, module in model.named_modules()}

    def record(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        if isinstance(module, Downsampling):  # which may take a short cut around its convolution
            record(module.convolution, inputs, module.convolution(*inputs))
        macs = 0
        if isinstance(module, nn.Conv2d | nn.Linear):
            positions = output.numel() // module.weight.shape[0]
            macs = positions * module.weight.numel()
        parameters = sum(p.numel() for p in module.parameters(recurse=False))
        rows.append(
            LayerCost(names[module], type(module).__name__, tuple(output.shape[1:]), parameters, macs)
        )

    leaves = [m for m in model.modules() if not isinstance(m, SameConv2d) and not list(m.children())]
    layers = [*leaves, *(m for m in model.modules() if isinstance(m, Downsampling))]
    hooks = [layer.register_forward_hook(record) for layer in layers]
    was_training = model.training
    with torch.inference_mode():
        model.eval()(torch.zeros(1, *model.info.shape, device=next(model.parameters()).device))
    model.train(was_training)
    for hook in hooks:
        hook.remove()
    return rows


def summarize(config: ModelConfig, info: ImageInfo) -> list[LayerCost]:
    """The costs of the network that a configuration describes."""
    return count_costs(CNN(config, info))
