"""The maximum finds the tiny bear and the average misses it; concat takes both."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import cnnkit
from cnnkit.comparison.study_file import load_study, read_labels
from cnnkit.families.poolings import ORDERS
from cnnkit.words import counted
from lessons.judged import Case, Judged, figures
from lessons.studies import Trained, Workshop, contrast, interval, test_accuracy

BEAR, CONCAT = "tiny-bear", "concat"
HEADS = ("max", "avg", "concat")
QUICK: Mapping[str, Any] = {
    "data.scene.source": "digits",
    "data.scene.size": 24,
    "data.scene.object_sizes": [6, 9, 12],
    "data.scene.clutter_size": 4,
    "data.scene.train_images": 2500,
    "data.scene.test_images": 1200,
    "data.validation": 300,
    "model.channels": [8, 16, 16],
    "model.kernel_sizes": 3,
    "training.epochs": 5,
    "training.batch_size": 64,
}
FULL: Mapping[str, Any] = {"data.scene.train_images": 12_000, "data.scene.test_images": 5000}


def size_accuracy(labels: NDArray[np.int64], size: int) -> Callable[[cnnkit.Run], float]:
    """Measures in a run: percent right of the test scenes whose object has this size."""

    def measure(run: cnnkit.Run) -> float:
        sizes = run.config.data.object_sizes
        right = run.folder.predicted(run.config.data.info.classes) == labels
        return 100 * float(right[sizes.index(size) :: len(sizes)].mean())

    return measure


def max_minus_avg(runs: Trained, levels: Sequence[Any], name: str, together: int) -> list[Case]:
    """For each size, smallest first: accuracy of the first level minus that of the second."""
    labels = read_labels(runs.path, load_study(runs.path))
    sizes = sorted(next(iter(runs.runs.values())).config.data.object_sizes)
    cases = []
    for size in sizes:
        highest, mean = (runs.of(level, size_accuracy(labels, size)) for level in levels)
        gain = interval(contrast((1, highest), (-1, mean)), together, runs.step * len(sizes))
        cases.append(Case(f"{name}, {size} pixels", gain, "points", above=0))
    return cases


def scenes(shop: Workshop) -> tuple[Mapping[str, Any], tuple[int, int], int]:
    """What differs from `small-object`, the pieces of clutter, and the seeds."""
    return shop.pick((QUICK, (0, 4), 3), (FULL, (0, 8), 5))  # type: ignore[no-any-return]


def heads_at(shop: Workshop, clutter: int) -> Trained:
    overrides, _, seeds = scenes(shop)
    changed = {**overrides, "data.scene.clutter": clutter}
    return shop.compare(
        f"heads-clutter-{clutter}", "small-object", changed, {"model.head": list(HEADS)}, seeds
    )


def stages_at(shop: Workshop, clutter: int, order: str) -> tuple[Trained, list[list[str]]]:
    """max and avg in the stages, as `small-object` has them, under a head that keeps both."""
    overrides, _, seeds = scenes(shop)
    levels = [["stride", pooling, pooling] for pooling in ("max", "avg")]
    changed = {**overrides, "data.scene.clutter": clutter, "model.order": order, "model.head": "concat"}
    name = f"stages-clutter-{clutter}-{order}"
    return shop.compare(name, "small-object", changed, {"model.pooling": levels}, seeds), levels


def judge_bear(shop: Workshop) -> Judged:
    """Six cases, the smallest object each: head, and stages in both orders, with and without clutter."""
    _, clutters, seeds = scenes(shop)
    by_size = []
    for clutter in clutters:
        around = f"{clutter} pieces of clutter"
        by_size.append(max_minus_avg(heads_at(shop, clutter), HEADS[:2], f"head, {around}", 6))
        for order in ORDERS:
            runs, levels = stages_at(shop, clutter, order)
            by_size.append(max_minus_avg(runs, levels, f"stages, {order}, {around}", 6))
    first = [row[0] for row in by_size]
    smallest = first[0].name.rpartition(", ")[2]
    return Judged(
        BEAR,
        "The maximum finds the tiny bear, the average misses it",
        f"small-object, max − avg of objects of {smallest}; {counted(seeds, 'seed')}",
        f"max minus avg at {smallest}, without and with clutter: head {figures(first[::3])}; stages, "
        + "; ".join(f"{order} {figures(first[i::3])}" for i, order in enumerate(ORDERS, 1))
        + " points",
        first,
        [case for row in by_size for case in row],
    )


def judge_concat(shop: Workshop) -> Judged:
    """Six cases: concat against max and avg, in the stages, there at equal cost, and at the head."""
    base, seeds, margin = shop.pick(("digits", 3, 2.0), ("fast", 8, 0.1))
    more = shop.pick({"training.epochs": 10}, {})
    vary, cases = {"model.pooling": list(HEADS)}, []
    studies = {
        "stages": shop.compare("concat", base, more, vary, seeds),
        "stages at equal cost": shop.compare("concat-macs", base, more, vary, seeds, match="macs"),
        "heads": heads_at(shop, scenes(shop)[1][1]),
    }
    for where, runs in studies.items():
        values = {level: runs.of(level, test_accuracy) for level in HEADS}
        least = -margin if where != "heads" else -max(margin, 0.5)
        for other in HEADS[:2]:
            gain = interval(contrast((1, values["concat"]), (-1, values[other])), 6, runs.step)
            cases.append(Case(f"{where}, concat − {other}", gain, "points", above=least))
    told = [figures(cases[i : i + 2]) for i in (0, 2, 4)]
    return Judged(
        CONCAT,
        "Concat takes both",
        f"{base}, {counted(seeds, 'seed')}, and heads of small-object, {counted(scenes(shop)[2], 'seed')}, "
        f"there with a margin of {max(margin, 0.5):g} points",
        f"concat minus max, avg: stages {told[0]}; at equal cost {told[1]}; head {told[2]} points",
        cases,
    )
