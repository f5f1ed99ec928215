"""Dropout as training applies it: some values of one image, their random numbers, the mask, the product."""

from dataclasses import dataclass

import torch
from torch import Tensor

from cnnkit.experiment.checkpoints import Weights
from cnnkit.nn.layers import Dropout
from cnnkit.nn.model import CNN
from cnnkit.random import generator_for
from cnnkit.report.images import signed_image

SHOWN = 12  # values, or maps, of a layer


@dataclass(frozen=True)
class Row:
    """One value, or one map: number is random, 0 … 1. before, after: as text, or a PNG of a map."""

    place: int
    before: str
    number: float
    kept: bool
    after: str


@dataclass(frozen=True)
class Mask:
    """What a dropout layer with probability p does. maps: whether it keeps or zeroes maps whole."""

    what: str
    p: float
    maps: bool
    rows: list[Row]
    caption: str


def dropout_masks(weights: Weights, image: Tensor) -> list[Mask]:
    """A mask for one image, from the generator that draws the masks of epoch 1 for this seed.

    image: (C, H, W) uint8. One mask of values and one of maps, where the configuration has them.
    """
    masks = []
    for layer, what, values in _dropped(weights.model.eval(), image):
        generator = generator_for(weights.config.training.seed, "dropout", 1)
        masks.append(_mask(layer, what, values[0], *apply(layer, values, generator)))
    return masks


@torch.inference_mode()
def _dropped(model: CNN, image: Tensor) -> list[tuple[Dropout, str, Tensor]]:
    """A layer of each kind with what comes into it, (1, N) or (1, C, H, W), while no other drops anything."""
    normalized = model.normalize(image[None])
    of_stage = dict(model.stages[0].named_children())
    of_dense = dict(model.dense.named_children())
    found: list[tuple[Dropout, str, Tensor]] = []
    if isinstance(layer := of_stage.get("dropout"), Dropout):
        found.append((layer, "maps of stage 1", model.stages[0](normalized)))
    values, what = model.head(model.stages(normalized)), "features of the head"
    if model.config.hidden:
        values, what = of_dense["activation1"](of_dense["linear1"](values)), "values of the first dense layer"
    if isinstance(layer := of_dense.get("dropout2" if model.config.hidden else "dropout1"), Dropout):
        found.append((layer, what, values))
    return found


def apply(layer: Dropout, values: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Of one image's values (1, N), or maps (1, N, H, W), what the layer does in training, step by step.

    Returns the random numbers (N,), the mask (N,) bool, and the product, (N,) or (N, H, W).
    """
    layer.generator = generator
    shape = (*values.shape[:2], 1, 1) if layer.whole_maps else values.shape
    draws = torch.empty(layer.draws_for(shape), dtype=torch.int64)
    layer.draw(draws)
    factors = layer.factors(draws, shape, values.dtype)
    return layer.numbers(draws, shape).flatten(), factors.flatten() > 0, (values * factors)[0]


def _mask(layer: Dropout, what: str, before: Tensor, numbers: Tensor, kept: Tensor, after: Tensor) -> Mask:
    """before, after: (N,) or (N, H, W). The strongest are shown, in their order."""
    strengths = before.abs().flatten(1).mean(1) if layer.whole_maps else before.abs()
    shown = sorted(strengths.argsort(descending=True, stable=True)[:SHOWN].tolist())
    strongest = max(float(before.abs().max()), float(after.abs().max()))

    def drawn(value: Tensor) -> str:
        return signed_image(value, strongest) if layer.whole_maps else f"{float(value):.3f}"

    rows = [Row(i, drawn(before[i]), float(numbers[i]), bool(kept[i]), drawn(after[i])) for i in shown]
    one = "map" if layer.whole_maps else "value"
    caption = (
        f"The {len(shown)} strongest of the {len(before)} {what} for this image. Training draws a random "
        f"number from 0 to 1 for each {one}; the mask is 1 where it is at least the rate, {layer.p:g}. "
        f"This mask keeps {int(kept.sum())} of {len(before)}. What is kept is divided by "
        f"1 − {layer.p:g}, so that the sum stays the same on average. Each image of each step gets "
        "another mask; outside training nothing is dropped."
    )
    return Mask(what, layer.p, layer.whole_maps, rows, caption)
