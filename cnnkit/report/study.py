"""What the report of a comparison shows, gathered from the study's folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnkit.comparison.records import BETTER, EQUIVALENT, OPPOSITE, UNDECIDED, WORSE
from cnnkit.comparison.results import read_results
from cnnkit.comparison.sentence import sentence
from cnnkit.comparison.study_file import load_study
from cnnkit.config.load import parse_config
from cnnkit.filenames import STUDY
from cnnkit.report.axes import short
from cnnkit.report.captions import (
    cost_caption,
    dots_caption,
    matrix_caption,
    p_value,
    percent_range,
    points,
    points_range,
    sizes_caption,
)
from cnnkit.report.networks import images_view
from cnnkit.report.plots import CostPoint, cost_panel, dot_rows, size_panel
from cnnkit.report.trials import (
    Trials,
    confusion_view,
    curves_view,
    missing_predictions,
    open_trials,
    provenance_view,
)

SIGNS = {BETTER: "▲", WORSE: "▼", EQUIVALENT: "=", UNDECIDED: "?"}
COSTS = (("MACs", "multiply-accumulates"), ("parameters", "parameters"), ("time", "seconds of training"))


def study_view(folder: Path) -> dict[str, Any]:
    """Everything that the template of a comparison names."""
    study, read = load_study(folder).to_dict(), read_results(folder)
    results = read.to_dict()
    config = parse_config(study["config"], str(folder / STUDY), kept=True)
    trials = open_trials(folder, config, results, [level["name"] for level in study["levels"]])
    failed = [trial for trial in results["trials"] if trial["error"]]
    view = {
        "study": study,
        "results": results,
        "info": config.data.info,
        "config": config,
        "answer": sentence(read),
        "series": [(trials.series[name], name) for name in trials.order],
        "failed": failed,
        "trials": [_trial_row(trial) for trial in results["trials"]],
        "curves": curves_view(trials),
        "predictions_missing": missing_predictions(trials),
        **images_view(trials),
        **provenance_view(trials),
    }
    return view | (_statistics(results, trials) if results["levels"] else {})


def _statistics(results: Mapping[str, Any], trials: Trials) -> dict[str, Any]:
    rows, ticks = dot_rows(results["levels"], results["seeds"], trials.series)
    return {
        "ranked": [_ranked_row(place, level, trials) for place, level in enumerate(results["levels"], 1)],
        "dots": {"rows": rows, "ticks": ticks, "caption": dots_caption(results)},
        "sizes": _sizes(results, trials),
        "matrix": _matrix(results, trials),
        "pairs": [_pair_row(pair) for pair in results["pairs"]],
        "costs": _costs(results, trials),
        "confusion": confusion_view(trials),
    }


def _ranked_row(place: int, level: Mapping[str, Any], trials: Trials) -> dict[str, Any]:
    to_best, timing = level["to_best"], level["timing"]
    return {
        "place": place,
        "series": trials.series[level["name"]],
        "name": level["name"],
        "changed": level["changed"],
        "accuracy": f"{level['accuracy']['mean']:.3%}",
        "interval": percent_range(level["accuracy"]),
        "difference": points(to_best["difference"]["mean"]) if to_best else "",
        "difference_interval": points_range(to_best["difference"]) if to_best else "",
        "verdict": to_best["verdict"] if to_best else "the best",
        "sign": SIGNS[to_best["verdict"]] if to_best else "★",
        "parameters": f"{level['parameters']:,}",
        "macs": f"{level['macs'] / 1e6:,.1f} M",
        "seconds": f"{timing['train_seconds']:.1f} s",
        "images_per_second": f"{timing['images_per_second']:,.0f}",
    }


def _sizes(results: Mapping[str, Any], trials: Trials) -> dict[str, Any] | None:
    """Accuracy against object size; None for data sets whose objects have no sizes."""
    if not results["levels"][0].get("by_object_size"):
        return None
    panel = size_panel(results["levels"], trials.series)
    return {"panel": panel, "caption": sizes_caption(results["levels"])}


def _matrix(results: Mapping[str, Any], trials: Trials) -> dict[str, Any]:
    """The upper triangle: rows and columns by rank, so that rows are ahead."""
    names = trials.order
    pairs = {(pair["a"], pair["b"]): pair for pair in results["pairs"]}
    rows = []
    for i, row in enumerate(names[:-1]):
        cells: list[dict[str, str] | None] = [None] * i
        for column in names[i + 1 :]:
            cells.append(_cell(pairs.get((row, column)), pairs.get((column, row))))
        rows.append({"series": trials.series[row], "name": row, "cells": cells})
    columns = [(trials.series[name], name) for name in names[1:]]
    return {"columns": columns, "rows": rows, "caption": matrix_caption(results)}


def _cell(pair: Mapping[str, Any] | None, turned: Mapping[str, Any] | None) -> dict[str, str]:
    """Row minus column. Exactly one of both is there: the pair, or the same the other way round."""
    given = pair or turned
    assert given is not None
    interval, verdict = given["difference"], given["verdict"]
    if pair is None:
        low, high = (None if interval[end] is None else -interval[end] for end in ("high", "low"))
        interval, verdict = {"mean": -interval["mean"], "low": low, "high": high}, OPPOSITE[verdict]
    return {
        "difference": points(interval["mean"]),
        "interval": points_range(interval),
        "verdict": verdict,
        "sign": SIGNS[verdict],
        "needed": seeds_needed(given),
    }


def seeds_needed(pair: Mapping[str, Any]) -> str:
    if pair["verdict"] != UNDECIDED:
        return ""
    return f"about {pair['seeds_needed']:,} seeds" if pair["seeds_needed"] else "too many seeds"


def _pair_row(pair: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **pair,
        "shown": points(pair["difference"]["mean"]),
        "interval": points_range(pair["difference"]),
        "different": p_value(pair["p_different"]),
        "equivalent": p_value(pair["p_equivalent"]),
        "images_p": p_value(pair["images"]["p"]),
        "needed": seeds_needed(pair),
    }


def _costs(results: Mapping[str, Any], trials: Trials) -> dict[str, Any]:
    """A panel for each cost in which the levels differ."""
    panels, drawn, same = [], {}, []
    for kind, unit in COSTS:
        of_kind = [_cost_point(level, kind, trials) for level in results["levels"]]
        if len({point.cost for point in of_kind}) > 1:
            drawn[kind] = of_kind
            panels.append(cost_panel(f"accuracy, %, against {kind}", unit, of_kind))
        else:
            same.append(f"{kind} ({short(of_kind[0].cost)})")
    return {"panels": panels, "caption": cost_caption(drawn, same)}


def _cost_point(level: Mapping[str, Any], kind: str, trials: Trials) -> CostPoint:
    cost = {
        "MACs": level["macs"],
        "parameters": level["parameters"],
        "time": level["timing"]["train_seconds"],
    }[kind]
    mean, low, high = (level["accuracy"][key] for key in ("mean", "low", "high"))
    bounds = [None if bound is None else bound * 100 for bound in (low, high)]
    return CostPoint(trials.series[level["name"]], level["name"], cost, mean * 100, *bounds)


def _trial_row(trial: Mapping[str, Any]) -> dict[str, Any]:
    row = {"level": trial["level"], "seed": trial["seed"], "id": trial["folder"].rpartition("-")[2]}
    if trial["error"]:
        return {**row, "error": trial["error"]}
    return {
        **row,
        "error": "",
        "accuracy": f"{trial['test_accuracy']:.2%}",
        "epoch": trial["best_epoch"],
        "seconds": f"{trial['timing']['train_seconds']:.1f} s",
    }
