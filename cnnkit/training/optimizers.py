"""The optimizers, and the learning rate of each of their steps."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from cnnkit.config.schema import TrainingConfig
from cnnkit.training.startup import step_without_compiler

ONE_CYCLE_WARMUP = 0.25
LOWEST_RATE = 0.04  # of the peak: where a warm-up begins

SCHEDULES: dict[str, Callable[[float], float]] = {
    # share of the steps after the warm-up, 0 … 1 -> share of the peak learning rate
    "one_cycle": lambda share: (1 + math.cos(math.pi * share)) / 2,  # a cosine after a warm-up
    "cosine": lambda share: (1 + math.cos(math.pi * share)) / 2,
    "linear": lambda share: 1 - share,
    "constant": lambda share: 1.0,
}


def learning_rate_at(config: TrainingConfig, step: int, steps_per_epoch: int) -> float:
    """The learning rate of one optimizer step, counted from 0 over the whole training."""
    total = config.epochs * steps_per_epoch
    share = config.warmup
    if share is None:
        share = ONE_CYCLE_WARMUP if config.schedule == "one_cycle" else 0.0
    warmup = share * total
    if step < warmup:
        return config.learning_rate * (LOWEST_RATE + (1 - LOWEST_RATE) * step / warmup)
    if config.schedule == "step":
        return config.learning_rate * config.gamma ** (step // steps_per_epoch)
    # The last step ends a little above 0, so that it still teaches something.
    return config.learning_rate * SCHEDULES[config.schedule]((step - warmup) / (total - warmup))


def make_optimizer(model: nn.Module, config: TrainingConfig, device: torch.device) -> torch.optim.Optimizer:
    """The configured one, over a model's weights that lie on the device."""
    # fused: one pass over the weights instead of several, 4 % of a step of fast.yaml
    rate, decay, fused = config.learning_rate, config.weight_decay, device.type in ("cpu", "cuda")
    adam: dict[str, Any] = {"betas": config.betas, "weight_decay": decay}
    factories: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "sgd": lambda p: torch.optim.SGD(p, rate, config.momentum, weight_decay=decay, fused=fused),
        "adam": lambda p: torch.optim.Adam(p, rate, **adam, fused=fused),
        "adamw": lambda p: torch.optim.AdamW(p, rate, **adam, fused=fused),
        "nadam": lambda p: torch.optim.NAdam(p, rate, **adam),
        "rmsprop": lambda p: torch.optim.RMSprop(p, rate, weight_decay=decay, momentum=config.momentum),
        "adagrad": lambda p: torch.optim.Adagrad(p, rate, weight_decay=decay),
        "adadelta": lambda p: torch.optim.Adadelta(p, rate, weight_decay=decay),
    }
    optimizer = factories[config.optimizer](model.parameters())
    step_without_compiler(optimizer)
    return optimizer
