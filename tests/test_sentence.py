"""The sentence that a comparison ends with."""

from dataclasses import replace

import numpy as np
import pytest

from cnnkit.comparison.records import EQUIVALENT, UNDECIDED, WORSE, LevelResult, LevelTiming, StudyResults
from cnnkit.comparison.sentence import sentence
from cnnkit.comparison.verdicts import judge_pairs
from cnnkit.stats import mean_interval


def results_of(needed: dict[str, int | None], verdict: str = UNDECIDED, seeds: int = 4) -> StudyResults:
    """A study whose best level is stride; needed: per other level, how many seeds would decide it."""
    names = ["stride", *needed]
    rows = {name: np.arange(100) < 90 - 10 * i for i, name in enumerate(names)}
    right = {name: np.stack([row] * seeds) for name, row in rows.items()}
    pairs = [
        replace(pair, verdict=UNDECIDED, seeds_needed=needed[pair.b] if pair.a == "stride" else 999)
        for pair in judge_pairs(right, 0.001)
    ]
    levels = []
    for name in names:
        pair = next((pair for pair in pairs if (pair.a, pair.b) == ("stride", name)), None)
        accuracy = mean_interval(right[name].mean(1))
        levels.append(
            LevelResult(
                *(name, name, 1, 1, "", accuracy, right[name].mean(1).tolist(), 0.0, 0.0, []),
                to_best=replace(pair.seen_from(name), verdict=verdict) if pair else None,
                timing=LevelTiming(1.0, 1.0),
            )
        )
    return StudyResults(
        *(1, "model.pooling", 0.1, "none", [], 100, list(range(seeds)), levels, pairs, None), trials=[]
    )


@pytest.mark.parametrize(
    ("needed", "told"),
    [
        ({"max": 33}, "undecided, about 33 seeds would tell."),
        ({"max": 33, "avg": 33}, "undecided, about 33 seeds would tell."),
        ({"max": 33, "avg": 61}, "undecided, about 33 seeds would tell for max, 61 for avg."),
        ({"max": 61, "avg": 33}, "undecided, about 33 seeds would tell for avg, 61 for max."),
        ({"max": None, "avg": 33}, "about 33 seeds would tell for avg, no number soon for max."),
        ({"max": None, "avg": None}, "undecided, and no number of seeds would tell soon."),
    ],
)
def test_each_undecided_pair_is_told_its_own_number_of_seeds(
    needed: dict[str, int | None], told: str
) -> None:
    assert sentence(results_of(needed)).endswith(told)


def test_few_seeds_promise_no_number() -> None:
    assert "so few seeds do not say" in sentence(results_of({"max": 33}, seeds=2))


def test_the_winner_is_named_with_its_lead_over_the_next() -> None:
    told = sentence(results_of({"max": None, "avg": None}, WORSE))
    assert told == (
        "pooling stride wins with 90.00%: 10.00 points or more ahead of every other, and that is real."
    )


def test_equivalent_levels_are_as_good() -> None:
    assert "max and avg are as good, within ±0.1 points" in sentence(
        results_of({"max": None, "avg": None}, EQUIVALENT)
    )
