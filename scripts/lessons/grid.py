"""Stride 2 leaves a quarter of the grid: counted, for every side of a square image from 4 to 64."""

import torch

import cnnkit
from cnnkit.stats import Interval
from lessons.judged import Case, Judged
from lessons.studies import Workshop

NAME = "quarter"
SIDES = range(4, 65)
EXACTLY = 1e-9  # percent


def share_left(side: int, pooling: str = "stride") -> float:
    """Cells of a feature map after one stage that halves the sides, in percent of those of the image."""
    model = {"model.channels": [1], "model.hidden": [], "model.pooling": pooling, "model.pool_size": 2}
    network = cnnkit.build_model(cnnkit.load_config("digits", model), shape=(1, side, side))
    with torch.inference_mode():
        maps = network.stages(torch.zeros(1, 1, side, side))
    return 100 * int(maps[0, 0].numel()) / side**2


def judge(shop: Workshop) -> Judged:
    """Two cases, even and odd sides. Nothing here is left to chance: an interval runs from least to most."""
    cases = []
    for name, rest in (("even sides", 0), ("odd sides", 1)):
        shares = [share_left(side) for side in SIDES if side % 2 == rest]
        spread = Interval(sum(shares) / len(shares), min(shares), max(shares))
        cases.append(Case(f"{name}, % of the cells", spread, "%", 25 - EXACTLY, 25 + EXACTLY))
    even, odd = (case.interval for case in cases)
    return Judged(
        NAME,
        "Stride 2 leaves a quarter of the grid",
        f"one stage with `stride`, square images with sides from {SIDES[0]} to {SIDES[-1]}",
        f"even sides: {even.low:g} % exactly; odd ones: {odd.low:.0f} to {odd.high:.0f} %",
        cases,
    )
