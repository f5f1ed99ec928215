"""The section "Why" of a comparison's report: what `cnnkit probe` found in its networks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cnnkit.comparison.probe_file import read_probe
from cnnkit.comparison.records import StudyResults, ToBest
from cnnkit.probe.corruptions import CORRUPTIONS, STRENGTHS
from cnnkit.probe.shift import DISTANCES
from cnnkit.probe.study import WHOLE, Judged, judged, reasons
from cnnkit.report.axes import Panel, accuracy_axis
from cnnkit.report.effects import lines_over
from cnnkit.stats import Interval

STAGES = {
    "reached": "cells that get any gradient",
    "energy": "energy that survives",
    "winner": "evenness of the winning place",
    "linear_probe": "linear probe",
}
EXPLAINED = {
    "reached": "share of the cells before the pooling that the loss depends on",
    "energy": "mean square after the pooling, divided by that of each cell's strongest value",
    "winner": "whether all places of a cell win as often (100 %) or always the same one (0 %)",
    "linear_probe": "accuracy of a linear classifier that is given the maps after the stage",
}


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
class Why:
    """What the template draws. reasons: sentences. asked: how many networks were asked how many images."""

    reasons: list[str]
    asked: str
    tables: list[Table]
    shifts: list[Panel]
    worn: list[Panel]
    objects: list[Table]


def why(folder: Path, results: StudyResults, series: Mapping[str, int]) -> Why | None:
    """None where the study was not probed, or nothing was compared. Raises DamagedFile."""
    probe = read_probe(folder)
    if probe is None or not results.levels:
        return None
    levels = [level.name for level in results.levels]
    figures, ordered = judged(probe, levels), {name: series[name] for name in levels}
    return Why(
        reasons=reasons(figures, levels),
        asked=probe.told,
        tables=[
            _table("All networks", WHOLE, figures, levels, ""),
            *_stages(figures, levels),
            *_without(figures, levels),
        ],
        shifts=_shifts(figures, ordered),
        worn=_worn(figures, ordered),
        objects=_objects(figures, levels),
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
        tables.append(_table(f"{title}, %", heads, figures, levels, f"{EXPLAINED[kind].capitalize()}."))
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
    axis = accuracy_axis([i.mean for i in every], [end for i in every for end in (i.low, i.high)])
    return lines_over(title, on, series, ticks, means, axis)


def _objects(figures: Mapping[str, Judged], levels: Sequence[str]) -> list[Table]:
    """Accuracy by size, each over all places, and by place, each over all sizes."""
    heads = {name: name for name in figures if name.startswith("objects.")}
    return [_table("Objects by size and place", heads, figures, levels, "")] if heads else []
