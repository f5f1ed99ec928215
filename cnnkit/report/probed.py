"""The section "Why" of a comparison's report: what `cnnkit probe` found in its networks."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from cnnkit.comparison.pair_records import ToBest
from cnnkit.comparison.probe_file import Probe
from cnnkit.comparison.records import StudyResults
from cnnkit.probe.corruptions import CORRUPTIONS, STRENGTHS
from cnnkit.probe.shift import DISTANCES
from cnnkit.probe.study import WHOLE, Judged, judged, reasons
from cnnkit.report.axes import Panel, accuracy_axis, axis_over
from cnnkit.report.effects import lines_over
from cnnkit.report.evidence import Square
from cnnkit.report.images import signed_image
from cnnkit.report.places import Places, places_of
from cnnkit.stats import Interval

STAGES = {
    "reached": "Cells that get any gradient, %",
    "energy": "Energy that survives, %",
    "winner": "How evenly places win, %",
    "linear_probe": "Linear probe, accuracy in %",
}
EXPLAINED = {
    "reached": "The share of cells before the pooling that the loss depends on; the others teach nothing.",
    "energy": "The mean square after the pooling, divided by that of each cell's strongest value.",
    "winner": "Whether all places of a cell count as often (100) or always the same one (0).",
    "linear_probe": "How many test images a linear classifier tells right from the stage's maps alone.",
}
MOVED = (
    "How often the answer stays the same when the image moves by whole pixels, and how many answers are "
    "then right: a level line means that it does not matter where the image lies. And what is left in the"
    " strongest cell of each map of stage 1 when the image moves below it: a level line means that the "
    "pooling forgives the shift."
)
WORN = (
    "How many answers are right when images are made worse in eight ways, each at three strengths s. What"
    " is done to a pixel x stands below each plot. A steep line means that the network needs what was "
    "taken away."
)
FLOW = "What each stage lets through to the next, which shows where one level loses what another keeps."
SEES = (
    "Which pixels a cell in the middle of the last maps depends on, in the frame of the image: the "
    "stronger the colour, the more (its square root, so that weak pixels show). The dashed square is all "
    "that the cell could see. Colour in the middle alone means that the cell answers to less than its "
    "geometry allows."
)
OBJECTS = (
    "How many objects are told right, in %, by their size and by where in the scene they lie: a square "
    "for each size, in it a cell for each place. A level line means that size does not matter, even "
    "squares that the place does not."
)


@dataclass(frozen=True)
class Cell:
    """A mean with its interval. to_best: against the leader's. real: whether other seeds would tell, too."""

    mean: Interval
    to_best: ToBest | None
    real: bool


@dataclass(frozen=True)
class Table:
    """heads: of the columns. rows: by level; None where a level has no such figure."""

    title: str
    heads: list[str]
    rows: list[tuple[str, list[Cell | None]]]
    caption: str


@dataclass(frozen=True)
class Seen:
    """A level's receptive field in the image: (height, width). square: what a cell could see. side, of: what
    it does see, and could, pixels."""

    level: str
    picture: str
    size: tuple[int, int]
    square: Square
    side: float
    of: float


@dataclass(frozen=True)
class Chapter:
    """says: what its figures mean, a sentence or two."""

    title: str
    says: str
    panels: list[Panel] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    places: list[Places] = field(default_factory=list)


@dataclass(frozen=True)
class Why:
    """What the template draws. reasons: sentences. asked: how many networks were asked how many images."""

    reasons: list[str]
    asked: str
    whole: Table
    chapters: list[Chapter]


def why(probe: Probe | None, results: StudyResults, series: Mapping[str, int]) -> Why | None:
    """None where the study was not probed, or nothing was compared."""
    if probe is None or not results.levels:
        return None
    levels = [level.name for level in results.levels]
    figures, ordered = judged(probe, levels), {name: series[name] for name in levels}
    tables = [*_stages(figures, levels), *_without(figures, levels)]
    moved = [*_shifts(figures, ordered), *_cells(figures, ordered)]
    chapters = [
        Chapter("When the image moves", MOVED, panels=moved),
        Chapter("Worn images", WORN, panels=_worn(figures, ordered)),
        Chapter("Where information goes", FLOW, tables=tables),
        Chapter("What a cell sees", SEES, seen=[s for name in levels if (s := _seen(probe, figures, name))]),
    ]
    if by_size := _by_size(figures, ordered):
        places = places_of({name: figure.means for name, figure in figures.items()}, levels)
        chapters.insert(0, Chapter("Size and place of the object", OBJECTS, panels=by_size, places=places))
    return Why(
        reasons(figures, levels), probe.told, _table("All networks", WHOLE, figures, levels, ""), chapters
    )


def _cell(figure: Judged | None, level: str, best: str) -> Cell | None:
    mean = figure and figure.means.get(level)
    if not figure or not mean:
        return None
    return Cell(mean, None if level == best else figure.against(level, best), figure.differs(level, best))


def _table(
    title: str, heads: Mapping[str, str], figures: Mapping[str, Judged], levels: Sequence[str], caption: str
) -> Table:
    """heads: by figure."""
    rows = [(level, [_cell(figures.get(name), level, levels[0]) for name in heads]) for level in levels]
    return Table(title, list(heads.values()), rows, caption)


def _stages(figures: Mapping[str, Judged], levels: Sequence[str]) -> list[Table]:
    """A table for each kind of figure that each stage has."""
    tables = []
    for kind, title in STAGES.items():
        heads = {
            name: name.split(".")[1].replace("stage", "stage ")
            for name in figures
            if name.startswith(f"{kind}.")
        }
        tables.append(_table(title, heads, figures, levels, EXPLAINED[kind]))
    return tables


def _without(figures: Mapping[str, Judged], levels: Sequence[str]) -> list[Table]:
    """Accuracy of networks of which a part was silenced; none where no pooling has parts."""
    heads = {}
    for name in figures:
        kind, *rest = name.split(".")
        if kind == "without":
            heads[name] = f"{rest[0]} of {rest[1].replace('stage', 'stage ')}"
    if not heads:
        return []
    has = [level for level in levels if any(figures[name].means.get(level) for name in heads)]
    told = "Each map of that part became its own mean, so that its information is gone and its level stays."
    return [_table("Accuracy without one half, %", heads, figures, has, told)]


def _shifts(figures: Mapping[str, Judged], series: Mapping[str, int]) -> list[Panel]:
    names = {
        "answers that stay, %": [f"shift.{d}.same_answer" for d in DISTANCES],
        "accuracy, %": ["accuracy", *(f"shift.{d}.accuracy" for d in DISTANCES)],
    }
    return [
        _panel(
            title,
            "moved by, pixels",
            [name.split(".")[1] if "." in name else "0" for name in row],
            row,
            figures,
            series,
        )
        for title, row in names.items()
    ]


def _worn(figures: Mapping[str, Judged], series: Mapping[str, int]) -> list[Panel]:
    return [
        _panel(
            f"{name.replace('_', ' ')}: accuracy, %",
            CORRUPTIONS[name].formula,
            ["none", *(f"{amount:g}" for amount in CORRUPTIONS[name].amounts)],
            ["accuracy", *(f"corruption.{name}.{strength}" for strength in STRENGTHS)],
            figures,
            series,
        )
        for name in CORRUPTIONS
    ]


def _panel(
    title: str,
    on: str,
    ticks: Sequence[str],
    names: Sequence[str],
    figures: Mapping[str, Judged],
    series: Mapping[str, int],
) -> Panel:
    means = [[figures[name].means.get(level) for name in names] for level in series]
    every = [interval for row in means for interval in row if interval]
    ends = [max(end, 0.0) for i in every for end in (i.low, i.high) if end is not None]
    axis = accuracy_axis([i.mean for i in every], ends)
    axis = replace(axis, low=max(axis.low, 0.0))
    return lines_over(title, on, series, ticks, means, axis)


def _cells(figures: Mapping[str, Judged], series: Mapping[str, int]) -> list[Panel]:
    names = [name for name in figures if name.startswith("cell.")]
    means = [[figures[name].means.get(level) for name in names] for level in series]
    axis = axis_over([100 * i.mean for row in means for i in row if i])
    ticks = [name.split(".")[1] for name in names]
    return [lines_over("left in the strongest cell, %", "moved by, pixels", series, ticks, means, axis)]


def _by_size(figures: Mapping[str, Judged], series: Mapping[str, int]) -> list[Panel]:
    """Empty where the images are no scenes."""
    names = [name for name in figures if name.startswith("object_size.")]
    sides = [name.split(".")[1] for name in names]
    return [_panel("objects told right, %", "side, pixels", sides, names, figures, series)] if names else []


def _seen(probe: Probe, figures: Mapping[str, Judged], level: str) -> Seen | None:
    """The mean over the seeds; None where a level was not probed, or its seeds have other images."""
    fields = [trial.field for trial in probe.trials if trial.level == level]
    share = figures["receptive_field"].means.get(level)
    if not fields or not share or len({np.shape(one.strengths) for one in fields}) > 1:
        return None
    mean = torch.tensor([one.strengths for one in fields]).double().mean(0) / 255
    square = Square(fields[0].left, fields[0].top, mean.shape[1], mean.shape[0])
    of = math.sqrt(mean.numel())
    return Seen(level, signed_image(mean.sqrt(), 1.0), fields[0].image, square, share.mean * of, of)
