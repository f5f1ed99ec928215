"""The activation functions of a comparison that varies them: each with its slope."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from cnnkit.families.activations import ACTIVATIONS, Activation
from cnnkit.report.axes import Axis, Line, Panel, axis_over

REACH, POINTS = 4.0, 81  # from −4 to 4, every tenth
KEY = "model.activation"


@dataclass(frozen=True)
class Plotted:
    """panel: the function as a line in its level's colour, and its slope dashed and grey."""

    series: int
    name: str
    panel: Panel
    summary: str


def activation_plots(key: str, levels: Sequence[str], series: Mapping[str, int]) -> list[Plotted]:
    """A plot for each level that is an activation, all in one scale; none where another key is varied."""
    known = [ACTIVATIONS[name] for name in levels if key == KEY and name in ACTIVATIONS]
    curves = [values_and_slopes(activation) for activation in known]
    y_axis = axis_over([value for curve in curves for value in (*curve.values, *curve.slopes)] or [0.0])
    plots = []
    for activation, curve in zip(known, curves, strict=True):
        number = series[activation.name]
        panel = Panel(activation.name, "x", Axis(-REACH, REACH), y_axis)
        panel.lines.append(Line(number, panel.points(curve.xs, curve.values), "none"))
        panel.front = panel.points(curve.xs, curve.slopes)
        plots.append(Plotted(number, activation.name, panel, activation.summary))
    return plots


class Curve(NamedTuple):
    """A function's inputs, values and slopes."""

    xs: list[float]
    values: list[float]
    slopes: list[float]


def values_and_slopes(activation: Activation) -> Curve:
    xs = torch.linspace(-REACH, REACH, POINTS, dtype=torch.float64).requires_grad_()
    values = activation.build()(xs)
    (slopes,) = torch.autograd.grad(values.sum(), xs)
    return Curve(xs.tolist(), values.tolist(), slopes.tolist())
