"""Networks for the scripts and tests of `cnnkit play`, and the JavaScript that computes them in a browser."""

from collections.abc import Iterator

import torch

from cnnkit.config.schema import Config
from cnnkit.families.activations import ACTIVATIONS
from cnnkit.families.heads import HEADS
from cnnkit.families.poolings import ORDERS, POOLINGS
from cnnkit.nn.model import CNN, build_model

COMPUTE = """cases => cases.map(({network, shape, images, cells}) => {
  const built = unpacked(network);
  return images.map(pixels => {
    const result = computed(built, tensor(shape, Float32Array.from(pixels)));
    const told = cells ? evidence(built, result.maps) : null;
    return {logits: [...result.logits], evidence: told, missing: notComputable(built)};
  });
})"""


def every_pooling() -> Iterator[tuple[str, ...]]:
    """Settings of each pooling in each order, where it takes what that order gives it."""
    for pooling, entry in POOLINGS.items():
        activation = ("model.activation=relu",) if entry.no_negatives else ()
        for order in [entry.only_order] if entry.only_order else list(ORDERS):
            if not (entry.no_negatives and order == "pooling_first"):
                yield (f"model.pooling={pooling}", f"model.order={order}", *activation)


def every_head() -> Iterator[tuple[str, ...]]:
    for head, entry in HEADS.items():
        yield (f"model.head={head}", *(("model.activation=relu",) if entry.no_negatives else ()))


def every_activation() -> Iterator[tuple[str, ...]]:
    yield from ((f"model.activation={activation}",) for activation in ACTIVATIONS)


def perturbed(config: Config, size: float = 0.3) -> CNN:
    """A network away from its start, in every weight and buffer; its filters fit into float16.

    size: of the change of each weight, in units of its layer's largest weight.
    """
    model = build_model(config.model, config.data.info, 3, 100.0, 70.0).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            unit = parameter.abs().max().clamp(min=0.1)
            parameter.add_(size * unit * torch.randn(parameter.shape, generator=generator))
            parameter.copy_(parameter.half() if parameter.ndim > 1 else parameter)
        for name, buffer in model.named_buffers():
            if "running_mean" in name:
                buffer.uniform_(-1, 1, generator=generator)
            elif "running_var" in name:
                buffer.uniform_(0.5, 2, generator=generator)
    return model
