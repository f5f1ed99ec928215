"""How the learning rate changes after its warm-up."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from cnnkit.families.registry import Registry


@dataclass(frozen=True)
class Schedule:
    """name: the word in a configuration.

    factor: (progress, `training.gamma`) -> share of the peak learning rate. progress: the share of the steps
    after the warm-up that are done, 0 … 1; or, if per_epoch, the number of epochs that are done.
    summary: how the rate goes on, in a few words. warmup: share of all steps in which the rate rises, if the
    configuration names none. takes_gamma: whether the factor depends on `training.gamma`.
    """

    name: str
    factor: Callable[[float, float], float]
    summary: str
    warmup: float = 0.0
    per_epoch: bool = False
    takes_gamma: bool = False


def _cosine(share: float, gamma: float) -> float:
    return (1 + math.cos(math.pi * share)) / 2


SCHEDULES: Registry[Schedule] = Registry(
    "schedule",
    Schedule("one_cycle", _cosine, "along a cosine to 0", warmup=0.25),
    Schedule("cosine", _cosine, "along a cosine to 0"),
    Schedule("linear", lambda share, gamma: 1 - share, "along a line to 0"),
    Schedule(
        "step",
        lambda epochs, gamma: gamma**epochs,
        "times `gamma` after each epoch",
        per_epoch=True,
        takes_gamma=True,
    ),
    Schedule("constant", lambda share, gamma: 1.0, "no change"),
)
