"""A trained network as plain values that travel in a page: what the scripts in `assets` compute with."""

import base64
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cnnkit.calibrator import AS_TRAINED, Calibrator
from cnnkit.config.model import ModelConfig
from cnnkit.errors import UsageError
from cnnkit.families.activations import ACTIVATIONS
from cnnkit.families.heads import HEADS
from cnnkit.families.poolings import POOLINGS
from cnnkit.families.settings import Choice
from cnnkit.nn import heads, pools
from cnnkit.nn.layers import Downsampling, SameConv2d
from cnnkit.nn.means import Power
from cnnkit.nn.model import CNN, Stage
from cnnkit.own.names import shown

HOMES = ("cnnkit.nn.pools", "cnnkit.nn.heads", "torch.nn")  # of the classes that the scripts know


def refuse_own_code(model: ModelConfig) -> None:
    """Raises UsageError where a network has a part that is a person's own Python code; runs none of it."""
    head, activation = HEADS[model.head_choice.name], ACTIVATIONS[model.activation]
    poolings = [POOLINGS[stage.pooling] for stage in model.stages]
    paths = [(entry.name, entry.path) for entry in poolings]
    for name, path in (*paths, (head.name, head.path), (activation.name, activation.path)):
        if path.partition(":")[0] not in HOMES:
            raise UsageError(f"{shown(name)} is Python code of your own, which a page cannot run")


def network_view(model: CNN, calibrator: Calibrator = AS_TRAINED, float32: bool = False) -> dict[str, object]:
    """Everything that the page needs to compute a network. float32: all weights; else filters in float16.

    What is one number for each map, as biases and norms are, stays float32 in any case.
    """

    def packed(values: Tensor) -> dict[str, object]:
        return packed_tensor(values, float32 or values.ndim < 2)

    linear = [layer for layer in model.dense if isinstance(layer, nn.Linear)]
    return {
        "mean": packed(model.normalize.mean.flatten()),
        "std": packed(model.normalize.std.flatten()),
        "activation": model.config.activation,
        "stages": [_stage(stage, packed) for stage in model.stages if isinstance(stage, Stage)],
        "head": _head(model, packed),
        "dense": [{"weight": packed(layer.weight), "bias": packed(layer.bias)} for layer in linear],
        "dropout": model.config.dropout,
        "temperature": calibrator.temperature or 1.0,
        "uniform_share": calibrator.uniform_share,
    }


def packed_tensor(values: Tensor, float32: bool) -> dict[str, object]:
    """Little-endian base64 with shape and type; float32 also where a value is too large for float16."""
    kept = values.detach().float().cpu().contiguous()
    wide = float32 or bool(kept.abs().max() > torch.finfo(torch.float16).max)
    kind = "float32" if wide else "float16"
    raw = kept.numpy().astype(np.dtype(kind).newbyteorder("<")).tobytes()
    return {"shape": list(kept.shape), "type": kind, "data": base64.b64encode(raw).decode()}


def _stage(stage: Stage, packed: Any) -> dict[str, object]:
    downsampling = stage.get_submodule("downsampling")
    assert isinstance(downsampling, Downsampling)
    before: Any = dict(stage.named_children()).get("before", [])
    return {
        "before": [
            {"convolution": _convolution(layers[0], packed), "norm": _norm(layers, packed)}
            for layers in before
        ],
        "convolution": _convolution(downsampling.convolution, packed),
        "norm": _norm(stage, packed),
        "pooling": _pooling(downsampling, packed),
        "pools_first": stage.pools_first,
    }


def _convolution(layer: SameConv2d, packed: Any) -> dict[str, object]:
    return {"weight": packed(layer.weight), "bias": None if layer.bias is None else packed(layer.bias)}


def _norm(layers: nn.Sequential, packed: Any) -> dict[str, object] | None:
    """What batch norm does outside training, as a factor and a shift for each map."""
    norm = dict(layers.named_children()).get("norm")
    if not isinstance(norm, nn.BatchNorm2d):
        return None
    assert norm.running_var is not None
    assert norm.running_mean is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return {"scale": packed(scale), "shift": packed(norm.bias - norm.running_mean * scale)}


def _settings(module: nn.Module, choice: Choice, entry: Any, packed: Any) -> dict[str, object]:
    """Each setting: a number, or one for each map where it was learned."""
    settings = {setting.name: setting.default for setting in entry.settings} | dict(choice.settings)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, Power):
                power = part()
                settings["p"] = packed(power) if isinstance(power, Tensor) else power
            elif isinstance(part, pools.Soft) and hasattr(part, "log_beta"):
                settings["beta"] = packed(part.log_beta.exp())
    return settings


def _pooling(downsampling: Downsampling, packed: Any) -> dict[str, object]:
    module, entry = downsampling.pooling, downsampling.entry
    view = {
        "name": entry.name,
        "k": downsampling.factor,
        **_settings(module, downsampling.choice, entry, packed),
    }
    if isinstance(module, pools.Conv):
        view |= {"weight": packed(module.convolution.weight), "bias": packed(module.convolution.bias)}
    elif isinstance(module, pools.Mixed):
        view["share"] = packed(module.logit.sigmoid().flatten())
    elif isinstance(module, pools.Gated):
        view["weight"] = packed(module.weight)
    return view


def _head(model: CNN, packed: Any) -> dict[str, object]:
    module, entry = model.head.pooling, model.head.entry
    view = {"name": entry.name, **_settings(module, model.config.head_choice, entry, packed)}
    if isinstance(module, heads.Attention):
        view["query"] = packed(module.query)
    return view
