"""`CNN`, the network that a configuration describes, and its initial weights."""

import math
from collections import OrderedDict

import torch
from torch import Tensor, nn

from cnnkit.config.model import ModelConfig, StageConfig
from cnnkit.families.activations import ACTIVATIONS
from cnnkit.families.datasets import ImageInfo
from cnnkit.families.heads import HEADS
from cnnkit.families.poolings import POOLINGS
from cnnkit.nn.layers import Downsampling, Dropout, HeadLayer, Normalize, SameConv2d
from cnnkit.random import generator_for


class Stage(nn.Sequential):
    """Convolutions, norms, activations and downsampling: (N, C, H, W) -> (N, C', ⌊H/k⌋, ⌊W/k⌋).

    layers: by name. `before`, where a stage has more than one convolution: those before the last, each with
    its norm and activation. `downsampling`: the last convolution and what makes the maps smaller.
    pools_first: whether that is all done before norm and activation; otherwise only the convolution is. The
    weights have the same names in both orders.
    """

    def __init__(self, layers: "OrderedDict[str, nn.Module]", pools_first: bool) -> None:
        super().__init__(layers)
        self.pools_first = pools_first

    def forward(self, images: Tensor) -> Tensor:
        maps, downsampling = self.before_last(images), self.get_submodule("downsampling")
        if self.pools_first:
            return self._after("dropout", self.activated(downsampling(maps)))
        return self._after("dropout", downsampling(maps, self.activated))

    def before_last(self, images: Tensor) -> Tensor:
        """What the last convolution is given: (N, C, H, W) -> (N, C or C', H, W)."""
        return self._after("before", images)

    @property
    def first_convolution(self) -> SameConv2d:
        return next(layer for layer in self.modules() if isinstance(layer, SameConv2d))

    def activated(self, maps: Tensor) -> Tensor:
        """Maps after norm and activation, of the same shape."""
        return self._after("activation", self._after("norm", maps))

    def _after(self, name: str, maps: Tensor) -> Tensor:
        """What a layer makes of maps, if the stage has it."""
        return self.get_submodule(name)(maps) if name in self._modules else maps


def build_stage(in_channels: int, stage: StageConfig, model: ModelConfig) -> Stage:
    """A stage with weights of its own."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if stage.convolutions > 1:
        inputs = [in_channels, *[stage.channels] * (stage.convolutions - 1)]
        in_channels = inputs.pop()
        layers["before"] = nn.Sequential(*(_same_grid(channels, stage, model) for channels in inputs))
    downsampling = Downsampling(
        POOLINGS[stage.pooling],
        in_channels,
        stage.channels,
        stage.kernel_size,
        stage.pool_size,
        bias=not model.batch_norm,  # BatchNorm has a bias of its own
        choice=stage.choice,
    )
    layers["downsampling"] = downsampling
    layers |= _norm_and_activation(downsampling.out_channels if stage.pools_first else stage.channels, model)
    if model.feature_dropout:
        layers["dropout"] = Dropout(model.feature_dropout, whole_maps=True)
    return Stage(layers, stage.pools_first)


def _same_grid(in_channels: int, stage: StageConfig, model: ModelConfig) -> nn.Sequential:
    """A convolution before the last, with norm and activation: (N, C, H, W) -> (N, C', H, W)."""
    convolution = SameConv2d(in_channels, stage.channels, stage.kernel_size, bias=not model.batch_norm)
    layers: OrderedDict[str, nn.Module] = OrderedDict(convolution=convolution)
    return nn.Sequential(layers | _norm_and_activation(stage.channels, model))


def _norm_and_activation(channels: int, model: ModelConfig) -> "OrderedDict[str, nn.Module]":
    norm = [("norm", nn.BatchNorm2d(channels))] if model.batch_norm else []
    return OrderedDict([*norm, ("activation", ACTIVATIONS[model.activation].build())])


class CNN(nn.Module):
    """Images (N, C, H, W), pixels 0 … 255, -> logits (N, classes)."""

    def __init__(self, config: ModelConfig, info: ImageInfo) -> None:
        super().__init__()
        self.config = config
        self.info = info
        self.normalize = Normalize(info.shape[0])
        self.stages = nn.Sequential()
        channels = info.shape[0]
        for stage in config.stages:
            self.stages.append(build_stage(channels, stage, config))
            channels = stage.out_channels
        self.head = HeadLayer(HEADS[config.head_choice.name], channels, config.head_choice)
        self.dense = nn.Sequential()
        units = config.head_features(info.shape)
        for number, outputs in enumerate((*config.hidden, info.classes), 1):
            if config.dropout:
                self.dense.add_module(f"dropout{number}", Dropout(config.dropout))
            self.dense.add_module(f"linear{number}", nn.Linear(units, outputs))
            if number <= len(config.hidden):
                self.dense.add_module(f"activation{number}", ACTIVATIONS[config.activation].build())
            units = outputs

    def forward(self, images: Tensor) -> Tensor:
        maps = self.stages(self.normalize(images))
        return self.dense(self.head(maps))  # type: ignore[no-any-return]

    def features(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W), pixels 0 … 255, -> (N, D): what the last dense layer makes its logits of."""
        return self.dense[:-1](self.head(self.stages(self.normalize(images))))  # type: ignore[no-any-return]

    def draw_dropout_from(self, generator: torch.Generator) -> None:
        """From now on this generator draws all dropout masks."""
        for module in self.modules():
            if isinstance(module, Dropout):
                module.generator = generator

    def draw_poolings_from(self, generator: torch.Generator) -> None:
        """From now on this generator draws all that poolings draw."""
        for module in self.modules():
            if isinstance(module, Downsampling) and module.entry.draws:
                module.pooling.generator = generator  # type: ignore[assignment]


def build_model(
    config: ModelConfig,
    info: ImageInfo,
    seed: int,
    pixel_mean: Tensor | float = 0.0,
    pixel_std: Tensor | float = 1.0,
) -> CNN:
    """A CNN with its initial weights.

    Each layer has a random generator of its own, named after the layer, so networks of one seed agree in
    every layer whose shape they share. pixel_mean, pixel_std: of the training images, 0 … 255; one for all
    channels, or (C,), one each.
    """
    # Channels last: a step of fast.yaml takes 4.9 ms on two cores, with weights as they come 7.3.
    model = CNN(config, info).to(memory_format=torch.channels_last)
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            _initialize(module, generator_for(seed, "weights", name))
    model.normalize.mean.copy_(torch.as_tensor(pixel_mean).view(-1, 1, 1))
    model.normalize.std.copy_(torch.as_tensor(pixel_std).view(-1, 1, 1))
    return model


def _initialize(layer: nn.Conv2d | nn.Linear, generator: torch.Generator) -> None:
    """Uniform within ± 1/√fan_in, torch's own default for both kinds of layer."""
    bound = 1 / math.sqrt(layer.weight[0].numel())
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        if layer.bias is not None:
            layer.bias.uniform_(-bound, bound, generator=generator)
