"""`results.json`: every number of a comparison, computed from what its trials left behind."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnkit.comparison.study import load_study
from cnnkit.comparison.verdicts import OPPOSITE, Pair, judge_pairs
from cnnkit.errors import RunError
from cnnkit.experiment.run_dir import Run
from cnnkit.filenames import FAILURE, LABELS, PREDICTIONS, RESULT, RESULTS, TRIAL, TRIALS
from cnnkit.stats import Interval, deviation, friedman_test, mean_interval, sampling_error

VERSION = 1
TIMING = "timing"  # the one key whose numbers differ when the same study is run again


@dataclass(frozen=True)
class FinishedTrial:
    """What one trial left behind. right: (images,) bool, over the test images."""

    result: dict[str, Any]
    right: NDArray[np.bool_]


def analyse(folder: Path) -> dict[str, Any]:
    """What `results.json` holds, from `study.json`, the labels and the trials' predictions alone.

    Levels are ranked by mean accuracy. Accuracies and differences are fractions, the margin percentage
    points. Only seeds with which every level has finished are counted. Times, which no second run
    repeats, are under `timing`. Raises RunError where a file is damaged.
    """
    try:
        return _results(folder, load_study(folder))
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"a file of {folder} is damaged, or of another version: {error!r}") from error


def _results(folder: Path, study: Mapping[str, Any]) -> dict[str, Any]:
    labels = np.frombuffer(_read(folder / LABELS), np.uint8)
    finished, rows = {}, []
    for entry in study["trials"]:
        trial, row = _trial(folder / TRIALS / entry["folder"], entry, labels)
        rows.append(row)
        if trial:
            finished[entry["level"], entry["seed"]] = trial
    names = [level["name"] for level in study["levels"]]
    first = study["first_seed"]
    seeds = [
        seed
        for seed in range(first, first + study["seeds"])
        if all((name, seed) in finished for name in names)
    ]
    counted = {name: [finished[name, seed] for seed in seeds] for name in names}
    return {
        "version": VERSION,
        "key": study["key"],
        "margin": study["margin"],
        "match": study["match"],
        "warnings": study["warnings"],
        "test_images": len(labels),
        "seeds": seeds,
        **(_statistics(study, counted) if seeds else {"levels": [], "pairs": [], "friedman_p": None}),
        "trials": rows,
    }


def _statistics(study: Mapping[str, Any], counted: Mapping[str, list[FinishedTrial]]) -> dict[str, Any]:
    right = {name: np.stack([trial.right for trial in trials]) for name, trials in counted.items()}
    pairs = judge_pairs(right, study["margin"] / 100)
    accuracies = {name: rows.mean(1) for name, rows in right.items()}
    best = max(accuracies, key=lambda name: accuracies[name].mean())
    levels = [
        {
            **level,
            **{cost: counted[level["name"]][0].result[cost] for cost in ("parameters", "macs")},
            "accuracy": _interval(_of_a_share(mean_interval(accuracies[level["name"]]))),
            "accuracies": accuracies[level["name"]].tolist(),
            "seed_deviation": _finite(deviation(accuracies[level["name"]])),
            "sampling_error": sampling_error(right[level["name"]]),
            "by_object_size": _by_object_size(right[level["name"]], study["object_sizes"]),
            "to_best": None if level["name"] == best else _against(level["name"], best, pairs),
            TIMING: _timing(counted[level["name"]]),
        }
        for level in study["levels"]
    ]
    return {
        "levels": sorted(levels, key=lambda level: -level["accuracy"]["mean"]),
        "pairs": [_pair(pair) for pair in pairs],
        "friedman_p": friedman_test(np.stack(list(accuracies.values()), axis=1)),
    }


def _by_object_size(right: NDArray[np.bool_], sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Accuracy on the test images of each object size, pixels, over the seeds. right: (seeds, images)."""
    return [
        {"size": size, **_interval(_of_a_share(mean_interval(right[:, k :: len(sizes)].mean(1))))}
        for k, size in enumerate(sizes)
    ]


def _trial(
    folder: Path, entry: Mapping[str, Any], labels: NDArray[np.uint8]
) -> tuple[FinishedTrial | None, dict[str, Any]]:
    """A trial where it has finished, and its row in `results.json`."""
    run = Run(folder)
    if not run.finished:
        failure = folder / FAILURE
        told = failure.read_text(encoding="utf-8").splitlines() if failure.exists() else []
        reason = told[0] if told else "not run yet"
        return None, {**entry, "error": reason}
    kept = _read(folder / PREDICTIONS)
    predictions = np.frombuffer(kept, np.uint8)
    if len(predictions) != len(labels):
        raise RunError(f"{folder / PREDICTIONS} holds {len(predictions):,} predictions, not {len(labels):,}")
    result, right = run.result, predictions == labels
    if round(result["test_accuracy"] * len(labels)) != right.sum():
        raise RunError(f"{folder}: {PREDICTIONS} and {RESULT} tell of different accuracies")
    hashes = {**json.loads(_read(folder / TRIAL))["hashes"], "predictions": hashlib.sha256(kept).hexdigest()}
    row = {
        **entry,
        "error": None,
        "test_accuracy": float(right.mean()),
        "val_accuracy": result["val_accuracy"],
        "best_epoch": result["best_epoch"],
        "hashes": hashes,
        TIMING: {key: result[key] for key in ("train_seconds", "eval_seconds")},
    }
    return FinishedTrial(result, right), row


def _pair(pair: Pair) -> dict[str, Any]:
    return {
        "a": pair.a,
        "b": pair.b,
        "difference": _interval(pair.difference),
        "verdict": pair.decision.verdict,
        "p_different": pair.decision.p_different,
        "p_equivalent": pair.decision.p_equivalent,
        "seeds_needed": pair.seeds_needed,
        "images": pair.images._asdict(),
    }


def _against(name: str, best: str, pairs: Sequence[Pair]) -> dict[str, Any]:
    """How a level stands to the best: its difference, at most 0, and its verdict."""
    pair = next(pair for pair in pairs if {pair.a, pair.b} == {name, best})
    mean, low, high = pair.difference
    if pair.a == name:
        return {"difference": _interval(pair.difference), "verdict": pair.decision.verdict}
    turned = Interval(-mean, -high, -low)
    return {"difference": _interval(turned), "verdict": OPPOSITE[pair.decision.verdict]}


def _timing(trials: Sequence[FinishedTrial]) -> dict[str, float]:
    """Medians: seconds of training, test images a second."""
    results = [trial.result for trial in trials]
    return {
        "train_seconds": float(np.median([result["train_seconds"] for result in results])),
        "images_per_second": float(np.median([r["test_images"] / r["eval_seconds"] for r in results])),
    }


def _interval(interval: Interval) -> dict[str, float | None]:
    return {name: _finite(value) for name, value in interval._asdict().items()}


def _of_a_share(interval: Interval) -> Interval:
    """No accuracy is below 0 or above 1."""
    mean, low, high = interval
    return Interval(
        mean, max(low, 0.0) if math.isfinite(low) else low, min(high, 1.0) if math.isfinite(high) else high
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing") from error


def verify(folder: Path) -> dict[str, Any]:
    """Computes `results.json` again. Raises RunError where anything in it is not what comes out."""
    try:
        kept = json.loads(_read(folder / RESULTS))
    except ValueError as error:
        raise RunError(f"{folder / RESULTS} is damaged: {error}") from error
    again = analyse(folder)
    if differing := list(_differing(kept, json.loads(json.dumps(again)), "")):
        shown = "\n".join(f"  {line}" for line in differing[:10])
        more = f"\n  and {len(differing) - 10} more" if len(differing) > 10 else ""
        raise RunError(f"{folder / RESULTS} is not what the predictions give:\n{shown}{more}")
    return again


def _differing(kept: Any, again: Any, place: str) -> Iterator[str]:
    if isinstance(kept, dict) and isinstance(again, dict):
        for key in {**kept, **again}:
            yield from _differing(kept.get(key), again.get(key), f"{place}.{key}" if place else key)
    elif isinstance(kept, list) and isinstance(again, list) and len(kept) == len(again):
        for i, (left, right) in enumerate(zip(kept, again, strict=True)):
            yield from _differing(left, right, f"{place}[{i}]")
    elif kept != again:
        yield f"{place}: {kept} is kept, {again} comes out"
