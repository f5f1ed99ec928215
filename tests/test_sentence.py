"""The sentence that a comparison ends with, and the intervals beside it."""

from dataclasses import replace

import numpy as np
import pytest

from cnnkit.cli.console_compare import print_comparison
from cnnkit.comparison.intervals import informative
from cnnkit.comparison.records import EQUIVALENT, UNDECIDED, WORSE, LevelResult, LevelTiming, StudyResults
from cnnkit.comparison.sentence import sentence
from cnnkit.comparison.verdicts import judge_pairs
from cnnkit.report.captions import percent_range, points_range
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
    assert sentence(results_of({"max": 33}, seeds=2)).endswith("undecided, and 2 seeds are too few to tell.")
    assert sentence(results_of({"max": 33}, seeds=1)).endswith("undecided, and 1 seed is too few to tell.")


def test_the_winner_is_named_with_its_lead_over_the_next() -> None:
    told = sentence(results_of({"max": None, "avg": None}, WORSE))
    assert told == (
        "pooling stride wins with 90.00%: 10.00 points or more ahead of every other, and that is real."
    )


def test_equivalent_levels_are_as_good() -> None:
    assert "max and avg are as good, within ±0.1 points" in sentence(
        results_of({"max": None, "avg": None}, EQUIVALENT)
    )


def table_of(capsys: pytest.CaptureFixture[str], right: dict[str, list[list[bool]]]) -> str:
    """What the terminal shows. right: per level (seeds, images)."""
    arrays = {name: np.array(rows) for name, rows in right.items()}
    few = results_of({"max": None}, seeds=len(arrays["stride"]))
    pairs = judge_pairs(arrays, 0.001)
    levels = [
        replace(level, accuracy=mean_interval(arrays[level.name].mean(1)).clipped()) for level in few.levels
    ]
    levels[1] = replace(levels[1], to_best=pairs[0].seen_from("max"))
    print_comparison(replace(few, levels=levels, pairs=pairs))
    return capsys.readouterr().out


def test_two_seeds_have_no_interval_but_are_told_what_one_needs(capsys: pytest.CaptureFixture[str]) -> None:
    table = table_of(capsys, {"stride": [[1, 1, 1], [1, 1, 0]], "max": [[1, 0, 0], [0, 0, 0]]})
    assert "[" not in table
    assert "±" not in table
    assert "-66.667" in table
    assert "a 95 % interval needs 3" in table


def test_equal_differences_are_told_as_equal_and_not_as_an_interval(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = table_of(capsys, {"stride": [[1, 1], [1, 1], [1, 1]], "max": [[1, 0], [0, 1], [1, 0]]})
    assert "-50.000 each" in table
    assert "50.000 each" in table
    assert "[" not in table.replace("[ ]", "")


def test_an_interval_that_ends_at_0_is_not_written_as_its_half_width(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = table_of(capsys, {"stride": [[1, 1], [1, 1], [1, 1]], "max": [[0, 0], [1, 1], [0, 1]]})
    assert "50.000 [0.000, 100.000]" in table


@pytest.mark.parametrize(
    ("seeds", "told"),
    [(1, "too few seeds"), (2, "too few seeds"), (4, "all seeds equal")],
)
def test_the_report_says_why_there_is_no_interval(seeds: int, told: str) -> None:
    results = informative(results_of({"max": None}, seeds=seeds))
    shown = [*(level.accuracy for level in results.levels), *(pair.difference for pair in results.pairs)]
    assert {interval.low for interval in shown} == {None}
    assert {percent_range(interval, seeds) for interval in shown} == {told}
    assert {points_range(interval, seeds) for interval in shown} == {told}


def test_three_seeds_that_differ_keep_their_intervals() -> None:
    results = results_of({"max": None}, seeds=3)
    wide = replace(results.levels[0], accuracy=mean_interval([0.5, 0.6, 0.7]))
    kept = informative(replace(results, levels=[wide, *results.levels[1:]])).levels[0].accuracy
    assert kept == wide.accuracy
    assert percent_range(kept, 3) == "35.159 to 84.841"
