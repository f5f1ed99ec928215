"""The activation hardly matters: nine of them, with and without batch norm, tuned and not."""

import math
from typing import Any

from cnnkit.stats import Interval
from cnnkit.words import counted
from lessons.judged import Case, Judged, figure
from lessons.studies import Workshop, test_accuracy, to_reference

NAME = "activation"
ACTIVATIONS = ("relu", "leaky_relu", "elu", "gelu", "silu", "mish", "hardswish", "tanh", "sigmoid")
HARDLY = 0.5  # points to relu, either way


def reach_of(interval: Interval) -> float:
    """How far from 0 the interval reaches; infinite where that is not known."""
    if interval.low is None or interval.high is None:
        return math.inf
    return max(abs(interval.low), abs(interval.high))


def judge(shop: Workshop) -> Judged:
    """Four cases. In each the activation whose difference to relu reaches furthest stands for all eight."""
    base, seeds, points, hardly, more = shop.pick(
        ("digits", 3, 3, 4 * HARDLY, {"training.epochs": 3}), ("fast", 5, 6, HARDLY, {})
    )
    cases, details = [], []
    for norm in (True, False):
        for tune in (None, points):
            case = f"{'with' if norm else 'without'} norm, {'tuned' if tune else 'untuned'}"
            options: dict[str, Any] = {"tune": tune} if tune else {}
            overrides = {"model.batch_norm": norm} | more
            name = f"activation{'' if norm else '-no-norm'}{'-tuned' if tune else ''}"
            vary = {"model.activation": list(ACTIVATIONS)}
            runs = shop.compare(name, base, overrides, vary, seeds, **options)
            levels = [runs.of(activation, test_accuracy) for activation in ACTIVATIONS]
            differences = to_reference(levels, 4 * (len(ACTIVATIONS) - 1), runs.step)
            named = dict(zip(ACTIVATIONS[1:], differences, strict=True))
            furthest = max(named, key=lambda activation: reach_of(named[activation]))
            bounds = {"above": -hardly, "below": hardly}
            cases.append(Case(f"{furthest} − relu, {case}", named[furthest], "points", **bounds))
            details += [Case(f"{other} − relu, {case}", d, "points", **bounds) for other, d in named.items()]
    return Judged(
        NAME,
        f"The activation hardly matters (± {hardly:g} points)",
        f"{base}, {counted(seeds, 'seed')}; tuned: each at its best of {points} learning rates",
        "furthest from relu: "
        + "; ".join(f"{case.name.replace(' − relu', '')} {figure(case.interval)}" for case in cases)
        + " points",
        cases,
        details,
    )
