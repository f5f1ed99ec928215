"""The optimizers, and the learning rate of each of their steps. torch's compiler stays unloaded."""

import functools
import inspect
import sys
import weakref

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from cnnkit.config.training import TrainingConfig
from cnnkit.families.optimizers import OPTIMIZERS
from cnnkit.families.registry import load_class
from cnnkit.families.schedules import SCHEDULES
from cnnkit.training.stacked_model import WideLinear

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


def make_optimizer(
    model: nn.Module, config: TrainingConfig, device: torch.device, networks: int = 1
) -> Optimizer:
    """The configured one, over a model's weights that lie on the device.

    networks: how many lie side by side in the model.
    """
    leave_compiler_unloaded()
    entry = OPTIMIZERS[config.optimizer]
    arguments = {name: getattr(config, name) for name in entry.settings}
    if entry.fused:  # one pass over the weights instead of several, 4 % of a step of fast.yaml
        arguments["fused"] = device.type in ("cpu", "cuda")
    if entry.by_matrix:
        arguments |= {"matrices": hidden_matrices(model), "networks": networks}
    optimizer: Optimizer = load_class(entry.path)(model.parameters(), lr=config.learning_rate, **arguments)
    step_without_compiler(optimizer)
    return optimizer


def hidden_matrices(model: nn.Module) -> list[Tensor]:
    """The weights of convolutions and dense layers, but for the last, which makes the logits."""
    kinds = (nn.Conv2d, nn.Linear, WideLinear)
    return [layer.weight for layer in model.modules() if isinstance(layer, kinds)][:-1]


def leave_compiler_unloaded() -> None:
    """Keeps torch's optimizers from importing torch's compiler, which takes 4 s and is not used here.

    Four methods of every optimizer ask `torch._dynamo` for an uncompiled version of themselves, and keep it
    in an attribute. Nothing is compiled here, so each method is its own uncompiled version.
    """
    for name in ("add_param_group", "zero_grad", "state_dict", "load_state_dict"):
        original = getattr(getattr(Optimizer, name), "__wrapped__", None)
        if original is not None and "torch._dynamo" not in sys.modules:
            original.__dynamo_disable = original


def step_without_compiler(optimizer: Optimizer) -> None:
    """Gives an optimizer a `step` that does the same without importing the compiler (see above).

    torch wraps `step` to break the compiler's graph around it. The function inside, under `no_grad` and with
    torch's own hooks around it, is the same step.
    """
    plain_step = torch.no_grad()(inspect.unwrap(type(optimizer).step))
    itself = weakref.proxy(optimizer)  # a strong reference would keep the optimizer and its states for ever
    optimizer.step = functools.partial(Optimizer.profile_hook_step(plain_step), itself)  # type: ignore[method-assign]
