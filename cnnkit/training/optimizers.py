"""The optimizers, and the learning rate of each of their steps."""

import torch
from torch import nn

from cnnkit.config.training import TrainingConfig
from cnnkit.families.optimizers import OPTIMIZERS
from cnnkit.families.registry import load_class
from cnnkit.families.schedules import SCHEDULES
from cnnkit.training.startup import leave_compiler_unloaded, step_without_compiler

LOWEST_RATE = 0.04  # of the peak: where a warm-up begins


def learning_rate_at(config: TrainingConfig, step: int, steps_per_epoch: int) -> float:
    """The learning rate of one optimizer step, counted from 0 over the whole training."""
    schedule = SCHEDULES[config.schedule]
    total = config.epochs * steps_per_epoch
    warmup = (schedule.warmup if config.warmup is None else config.warmup) * total
    if step < warmup:
        return config.learning_rate * (LOWEST_RATE + (1 - LOWEST_RATE) * step / warmup)
    # The last step ends a little above 0, so that it still teaches something.
    progress = step // steps_per_epoch if schedule.per_epoch else (step - warmup) / (total - warmup)
    return config.learning_rate * schedule.factor(progress, config.gamma)


def make_optimizer(model: nn.Module, config: TrainingConfig, device: torch.device) -> torch.optim.Optimizer:
    """The configured one, over a model's weights that lie on the device."""
    leave_compiler_unloaded()
    entry = OPTIMIZERS[config.optimizer]
    arguments = {name: getattr(config, name) for name in entry.settings}
    if entry.fused:  # one pass over the weights instead of several, 4 % of a step of fast.yaml
        arguments["fused"] = device.type in ("cpu", "cuda")
    optimizer: torch.optim.Optimizer = load_class(entry.path)(
        model.parameters(), lr=config.learning_rate, **arguments
    )
    step_without_compiler(optimizer)
    return optimizer
