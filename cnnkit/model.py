"""Blocks → `CNN`, and what it costs: parameters and multiply-accumulates."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cnnkit.config import ModelConfig, StageConfig
from cnnkit.config_checks import head_features
from cnnkit.pooling import HEADS, POOLING, Downsampling, SameConv2d
from cnnkit.streams import stream

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "hardswish": nn.Hardswish,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


class Dropout(nn.Module):
    """Zeroes a share p of its input while training and scales the rest by 1 / (1 - p).

    Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 2014.
    whole_maps: zero feature maps (N, C, H, W) whole instead of single values, as Tompson et al. do in
    "Efficient object localization using convolutional networks", CVPR 2015.
    p is met to within 1e-5. generator: where the masks come from; torch's global stream where None.
    Each 64-bit draw serves several values: `bernoulli_` took 15 % of a step on a CPU.
    """

    def __init__(self, p: float, whole_maps: bool = False) -> None:
        super().__init__()
        self.p = p
        self.whole_maps = whole_maps
        self.generator: torch.Generator | None = None
        self.bits = 8 if (p * 2**8).is_integer() else 16  # of a value's draw; 8 take half of the time

    def forward(self, values: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return values
        shape = (*values.shape[:2], 1, 1) if self.whole_maps else values.shape
        draws = torch.empty(self.draws_for(shape), dtype=torch.int64, device=values.device)
        self.draw(draws)
        return values * self.factors(draws, shape, values.dtype)

    def draws_for(self, shape: tuple[int, ...]) -> int:
        """How many draws of 64 bits."""
        return math.ceil(math.prod(shape) * self.bits / 64)

    def draw(self, draws: Tensor) -> None:
        """Fills (`draws_for` a shape,) int64 from this layer's stream."""
        draws.random_(-(2**63), None, generator=self.generator)

    def factors(self, draws: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """0 where a value is zeroed and 1 / (1 - p) where it is kept; draws: one row, or several."""
        rows = (*draws.shape[:-1], *shape)
        levels = 2**self.bits
        zeroed = min(round(self.p * levels), levels - 1) - levels // 2
        uniform = draws.view(torch.int8 if self.bits == 8 else torch.int16)[..., : math.prod(shape)]
        factors: Tensor = (uniform.view(rows) >= zeroed).to(dtype)
        return factors.div_(1 - self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}, whole_maps={self.whole_maps}"


class Normalize(nn.Module):
    """Pixels 0 … 255, as uint8 or float, -> float with mean 0 and standard deviation 1.

    The training images' own mean and deviation are buffers, so that they travel with the weights.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels, 1, 1))
        self.register_buffer("std", torch.ones(channels, 1, 1))
        self.mean: Tensor
        self.std: Tensor

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std


class Stage(nn.Sequential):
    """Convolution → downsampling → norm → activation: (N, C, H, W) -> (N, C', ⌊H/k⌋, ⌊W/k⌋)."""

    def __init__(self, in_channels: int, stage: StageConfig, model: ModelConfig) -> None:
        downsampling = POOLING[stage.pooling](
            in_channels,
            stage.channels,
            stage.kernel_size,
            stage.pool_size,
            bias=not model.batch_norm,  # the norm's own shift makes a bias before it idle
        )
        super().__init__()
        self.add_module("downsampling", downsampling)
        if model.batch_norm:
            self.add_module("norm", nn.BatchNorm2d(downsampling.out_channels))
        self.add_module("activation", ACTIVATIONS[model.activation]())
        if model.feature_dropout:
            self.add_module("dropout", Dropout(model.feature_dropout, whole_maps=True))


class CNN(nn.Module):
    """Images (N, C, H, W), pixels 0 … 255, -> logits (N, classes)."""

    def __init__(self, config: ModelConfig, input_shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        self.input_shape = input_shape
        self.normalize = Normalize(input_shape[0])
        self.stages = nn.Sequential()
        channels = input_shape[0]
        for stage in config.stages:
            self.stages.append(Stage(channels, stage, config))
            channels = stage.out_channels
        self.head = HEADS[config.head]()
        self.dense = nn.Sequential()
        units = head_features(config, input_shape)
        for number, outputs in enumerate((*config.hidden, classes), 1):
            if config.dropout:
                self.dense.add_module(f"dropout{number}", Dropout(config.dropout))
            self.dense.add_module(f"linear{number}", nn.Linear(units, outputs))
            if number <= len(config.hidden):
                self.dense.add_module(f"activation{number}", ACTIVATIONS[config.activation]())
            units = outputs

    def forward(self, images: Tensor) -> Tensor:
        maps = self.stages(self.normalize(images))
        return self.dense(self.head(maps))  # type: ignore[no-any-return]

    def draw_dropout_from(self, generator: torch.Generator) -> None:
        """From now on all dropout masks come from this stream."""
        for module in self.modules():
            if isinstance(module, Dropout):
                module.generator = generator


def build_model(
    config: ModelConfig,
    input_shape: tuple[int, int, int],
    classes: int,
    seed: int,
    pixel_mean: float = 0.0,
    pixel_std: float = 1.0,
) -> CNN:
    """A CNN with its initial weights.

    Each layer draws from a stream of its own, named by its place, so networks of one seed agree in
    every layer whose shape they share. pixel_mean, pixel_std: of the training images, 0 … 255.
    """
    # Channels last: a step of fast.yaml takes 4.9 ms on two cores, with weights as they come 7.3.
    model = CNN(config, input_shape, classes).to(memory_format=torch.channels_last)
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            _initialize(module, stream(seed, "weights", name))
    model.normalize.mean.fill_(pixel_mean)
    model.normalize.std.fill_(pixel_std)
    return model


def _initialize(layer: nn.Conv2d | nn.Linear, generator: torch.Generator) -> None:
    """Uniform within ± 1/√fan_in, torch's own default for both kinds of layer, from a named stream."""
    bound = 1 / math.sqrt(layer.weight[0].numel())
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        if layer.bias is not None:
            layer.bias.uniform_(-bound, bound, generator=generator)


@dataclass(frozen=True)
class LayerCost:
    """One row of a summary. output_shape: without the batch. macs: for one image."""

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    macs: int


def count_costs(model: nn.Module, input_shape: tuple[int, int, int]) -> list[LayerCost]:
    """A row a layer, in the order in which one image of shape (C, H, W) passes them.

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
        model.eval()(torch.zeros(1, *input_shape, device=next(model.parameters()).device))
    model.train(was_training)
    for hook in hooks:
        hook.remove()
    return rows


def summarize(config: ModelConfig, input_shape: tuple[int, int, int], classes: int) -> list[LayerCost]:
    """The costs of the network that a configuration describes."""
    return count_costs(CNN(config, input_shape, classes), input_shape)
