"""What the report of a comparison shows, gathered from the study's folder."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cnnkit.comparison.can_tell import in_sentences
from cnnkit.comparison.function_study import AnyStudy
from cnnkit.comparison.intervals import informative
from cnnkit.comparison.pair_records import ToBest
from cnnkit.comparison.probe_file import probe_left
from cnnkit.comparison.records import LevelResult, StudyResults
from cnnkit.comparison.sentence import changes_of_the_margin, how_tuned, verdict_alone
from cnnkit.comparison.study_file import load_study
from cnnkit.report.activations import activation_plots
from cnnkit.report.axes import Panel, short
from cnnkit.report.captions import cost_caption, dots_caption, matrix_caption, sizes_caption
from cnnkit.report.damage import results_left
from cnnkit.report.effects import effects_view
from cnnkit.report.figures import seeds_needed
from cnnkit.report.growth import growth_view
from cnnkit.report.images import moved_to
from cnnkit.report.labels import find_room
from cnnkit.report.networks import images_view
from cnnkit.report.parts import Parts
from cnnkit.report.plots import CostPoint, cost_panel, dot_rows, size_panel
from cnnkit.report.pooled import pooled_maps
from cnnkit.report.probed import why
from cnnkit.report.trained import fate, seeds_of_levels, trainings
from cnnkit.report.trials import (
    confusion_view,
    curves_view,
    missing_predictions,
    open_trials,
    provenance_view,
)
from cnnkit.report.tuning import tuning_table

NO_IMAGES: dict[str, object] = {"gallery": None, "networks": None, "evidence": None, "images_missing": ""}
NO_PLOTS: dict[str, object] = dict.fromkeys(("dots", "sizes", "matrix", "costs"))
COSTS = (("MACs", "multiply-accumulates"), ("parameters", "parameters"), ("time", "seconds of training"))


@dataclass(frozen=True)
class PlottedPanels:
    """Plots with one caption."""

    panels: list[Panel]
    caption: str


def study_view(folder: Path, root: Path | None = None) -> dict[str, Any]:
    """Everything that the template of a comparison names. root: where its images lie now."""
    study, (kept, damage) = load_study(folder), results_left(folder)
    results = shown_results(study, kept)
    config = study.base()
    trials, parts = open_trials(folder, study, moved_to(config, root), results), Parts()
    probe, of_probe = probe_left(folder, study)
    view = {
        "study": study,
        "results": results,
        "info": config.data.info,
        "config": config,
        "as_is": config.data.info.shown_as_is,
        "sentence": " ".join([verdict_alone(kept), *how_tuned(kept)]),
        "changes_of_the_margin": changes_of_the_margin(results),
        "trainings": trainings(study, results),
        "damage": [*damage, *trials.damage, *of_probe],
        "series": [(trials.series[name], name) for name in trials.order],
        "series_of": trials.series,
        "short_names": find_room(trials.order),
        "activations": parts.draw(
            "activations", lambda: activation_plots(study.key, trials.order, trials.series), []
        ),
        "poolings": parts.draw("poolings", lambda: pooled_maps(study), None),
        "curves": parts.draw("curves", lambda: curves_view(trials), None),
        "tuning": tuning_table(study),
        "why": parts.draw("why", lambda: why(probe, results, trials.series), None),
        "predictions_missing": missing_predictions(trials),
        **parts.draw("gallery filters maps evidence", lambda: images_view(trials), NO_IMAGES),
        **provenance_view(trials),
        "failures": parts.failures,
        "effects": None,
    }
    if results.levels:
        view |= plots_of_levels(study, results, trials.series, parts)
        view["confusion"] = parts.draw("confusions", lambda: confusion_view(trials), None)
    return view


def shown_results(study: AnyStudy, kept: StudyResults) -> StudyResults:
    """Of several keys every combination is trained to the end, so that none is called beaten."""
    results = informative(kept)
    if not study.factors:
        return results
    return replace(results, levels=[replace(level, beaten_after=None) for level in results.levels])


def plots_of_levels(
    study: AnyStudy, results: StudyResults, series: Mapping[str, int], parts: Parts
) -> dict[str, object]:
    """What is drawn and told of levels that have finished. series: each level's colour and marker."""
    return {
        **parts.draw("seeds sizes pairs costs", lambda: _statistics(results, series), NO_PLOTS),
        "seeds_of_levels": seeds_of_levels(study, results),
        "can_tell": list(in_sentences(results.can_tell, results.test_images)),
        "fates": {level.name: fate(level) for level in results.levels},
        "growth": parts.draw("growth", lambda: growth_view(results, series), None),
        "effects": parts.draw("effects", lambda: effects_view(study, results), None),
    }


def _statistics(results: StudyResults, series: Mapping[str, int]) -> dict[str, object]:
    rows, ticks = dot_rows(results.levels, series)
    sizes = None
    if results.best.by_object_size:
        sizes = PlottedPanels([size_panel(results.levels, series)], sizes_caption(results.levels))
    return {
        "dots": {"rows": rows, "ticks": ticks, "caption": dots_caption(results)},
        "sizes": sizes,
        "matrix": {"rows": matrix_rows(results), "caption": matrix_caption(results)},
        "costs": _costs(results, series),
    }


@dataclass(frozen=True)
class MatrixCell:
    """row: how its level stands to the column's, over `seeds`. needed: how many would decide, in words."""

    row: ToBest
    seeds: int
    needed: str


def matrix_rows(results: StudyResults) -> list[tuple[str, list[MatrixCell | None]]]:
    """Per level but the last its cells, a column for each level but the first; the lower triangle is None.

    Rows and columns are in the order of the ranks, so that rows are ahead.
    """
    names = [level.name for level in results.levels]
    rows = []
    for i, row in enumerate(names[:-1]):
        cells: list[MatrixCell | None] = [None] * i
        for column in names[i + 1 :]:
            pair = results.pair(row, column)
            cells.append(MatrixCell(pair.seen_from(row), pair.seeds, seeds_needed(pair, pair.seeds)))
        rows.append((row, cells))
    return rows


def _costs(results: StudyResults, series: Mapping[str, int]) -> PlottedPanels | None:
    """A panel for each cost in which the levels differ; None where no cost is known."""
    panels, drawn, same, levels = [], {}, [], results.levels
    for kind, unit in COSTS:
        costs = [cost for level in levels if (cost := _cost(level, kind)) is not None]
        if len(costs) < len(levels):
            continue
        of_kind = [_cost_point(level, cost, series) for level, cost in zip(levels, costs, strict=True)]
        if len({point.cost for point in of_kind}) > 1:
            drawn[kind] = of_kind
            panels.append(cost_panel(f"{results.measure}, %, against {kind}", unit, of_kind))
        else:
            same.append(f"{kind} ({short(of_kind[0].cost)})")
    return PlottedPanels(panels, cost_caption(drawn, same)) if panels or same else None


def _cost(level: LevelResult, kind: str) -> float | None:
    return {"MACs": level.macs, "parameters": level.parameters, "time": level.timing.train_seconds}[kind]


def _cost_point(level: LevelResult, cost: float, series: Mapping[str, int]) -> CostPoint:
    mean = level.compared
    low, high = (None if end is None else end * 100 for end in (mean.low, mean.high))
    return CostPoint(series[level.name], level.name, cost, mean.mean * 100, low, high)
