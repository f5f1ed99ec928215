"""The sentence that a comparison ends with, and the intervals beside it."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from cnnkit.cli.console_compare import print_comparison
from cnnkit.comparison.intervals import informative
from cnnkit.comparison.pair_records import (
    BETTER,
    BETTER_HERE,
    EQUIVALENT,
    OPPOSITE,
    UNDECIDED,
    WORSE,
    WORSE_HERE,
    PairResult,
    SeedRange,
)
from cnnkit.comparison.records import LevelResult, LevelTiming, LookResult, StudyResults
from cnnkit.comparison.sentence import sentence
from cnnkit.comparison.trial_records import TrialResult
from cnnkit.report.figures import percent_range, points_range
from cnnkit.stats import Interval, mean_interval

Needed = SeedRange | None


def results_of(
    verdicts: Mapping[str, str],
    needed: Mapping[str, Needed] | None = None,
    seeds: int = 4,
    within: float = 1.0,
    lead: float = 0.1,
    image_error: float = 0.02,
) -> StudyResults:
    """A study whose best level is stride. verdicts: of each other level against it; each a `lead` behind."""
    names = ["stride", *verdicts]
    accuracies = {name: [0.9 - lead * i] * seeds for i, name in enumerate(names)}
    pairs, levels = [], []
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            gap = lead * (names.index(b) - i)
            verdict = OPPOSITE[verdicts[b]] if a == "stride" else UNDECIDED
            told = (needed or {}).get(b) if a == "stride" else None
            interval = Interval(gap, gap - 0.01, gap + 0.01)
            pairs.append(PairResult(a, b, seeds, interval, verdict, 1.0, 1.0, image_error, told))
    for name in names:
        pair = next((pair for pair in pairs if (pair.a, pair.b) == ("stride", name)), None)
        levels.append(
            LevelResult(
                *(name, name, 1, 1, "", mean_interval(accuracies[name]), accuracies[name]),
                *(list(range(seeds)), 0, None, 0.0, 0.0, []),
                to_best=pair.seen_from(name) if pair else None,
                timing=LevelTiming(1.0, 1.0),
            )
        )
    look = LookResult(seeds, 8, "stride", [], [], [1.0] * len(pairs), [1.0] * len(pairs), within, within > 20)
    return StudyResults(
        *(2, "model.pooling", 0.1, "none", [], 100, list(range(seeds)), levels, pairs, [look]), trials=[]
    )


def undecided(needed: Mapping[str, Needed], seeds: int = 8) -> StudyResults:
    return results_of(dict.fromkeys(needed, UNDECIDED), needed, seeds)


@pytest.mark.parametrize(
    ("needed", "told"),
    [
        ({"max": SeedRange(33, 50)}, "undecided, about 33 to 50 seeds would tell."),
        ({"max": SeedRange(8, 8)}, "undecided, about 8 seeds would tell."),
        ({"max": SeedRange(33, None)}, "undecided, 33 seeds or more would tell."),
        ({"max": SeedRange(33, 50), "avg": SeedRange(20, 61)}, "about 20 to 61 seeds would tell."),
        ({"max": SeedRange(33, 50), "avg": None}, "undecided, 33 seeds or more would tell."),
        ({"max": None, "avg": None}, "undecided, and no number of seeds would tell soon."),
    ],
)
def test_undecided_levels_are_told_one_range_of_seeds_together(needed: dict[str, Needed], told: str) -> None:
    said = sentence(undecided(needed))
    assert said.endswith(told)
    assert said.count("undecided") == 1


@pytest.mark.parametrize(("seeds", "told"), [(7, "7 seeds are too few"), (1, "1 seed is too few")])
def test_few_seeds_promise_no_number(seeds: int, told: str) -> None:
    assert told in sentence(undecided({"max": SeedRange(33, 50)}, seeds))


def test_the_winner_is_named_with_the_least_of_its_leads() -> None:
    """The end of the interval, not the point estimate of 10 points."""
    told = sentence(results_of({"max": WORSE, "avg": WORSE}))
    assert told == "pooling stride wins with 90.00%: it is better than every other by 9.00 points or more."


def test_each_kind_of_verdict_has_its_words() -> None:
    told = sentence(
        results_of({"max": WORSE, "avg": WORSE_HERE, "concat": EQUIVALENT, "mixed": UNDECIDED}, lead=0.02)
    )
    assert "it is better than max by 1.00 points or more" in told
    assert "better than avg on these test images, by 3.00 points or more: more test images" in told
    assert "concat is as good, within ±0.1 points on these test images" in told
    assert "whether it is better than mixed is undecided" in told


def test_far_behind_on_these_images_more_seeds_would_tell_too() -> None:
    one = results_of({"max": WORSE_HERE, "avg": WORSE_HERE}, lead=0.02, image_error=0.009)
    assert "better than max on these test images, by 1.00 points or more: more test images" in sentence(one)
    assert "better than avg on these test images, by 3.00 points or more: more seeds or more" in sentence(one)
    unknown = replace(one.levels[2].to_best, difference=Interval(-0.04, None, None))
    levels = [*one.levels[:2], replace(one.levels[2], to_best=unknown)]
    told = sentence(replace(one, levels=levels))
    assert "better than avg on these test images: more seeds or more test images would tell" in told


def test_a_leader_that_none_is_much_better_than_is_told_so() -> None:
    told = sentence(results_of({"max": UNDECIDED}, {"max": SeedRange(9, 20)}, within=25.0))
    assert "no other is better by 0.1 points or more; whether it is better than max is undecided" in told


@pytest.mark.parametrize("lead", [0.0102, 0.01002])
def test_a_small_lead_is_not_rounded_to_nothing(lead: float) -> None:
    told = sentence(results_of({"max": WORSE}, lead=lead))
    assert ("by 0.02 points or more" if lead == 0.0102 else "by 0.002 points or more") in told


def test_failures_stand_in_the_sentence() -> None:
    trials = [TrialResult("max", seed, "x", "why" if seed < 2 else None) for seed in range(5)]
    told = sentence(replace(results_of({"max": BETTER}), trials=trials))
    assert "max is more accurate where it does not fail" in told
    assert told.endswith("max failed in 2 of 5 trainings.")
    assert {BETTER, BETTER_HERE} <= {*OPPOSITE}


def test_a_level_that_is_ahead_but_fails_is_told_so_and_no_seeds_are_promised() -> None:
    results = results_of({"max": UNDECIDED}, {"max": SeedRange(9, 20)})
    ahead = replace(results.levels[1].to_best, difference=Interval(0.1, 0.05, 0.15))  # type: ignore[type-var]
    levels = [results.levels[0], replace(results.levels[1], failures=1, to_best=ahead)]
    told = sentence(replace(results, levels=levels))
    assert "max is more accurate where it does not fail" in told
    assert "undecided" not in told


def test_a_level_that_another_than_the_leader_beat_is_no_open_question() -> None:
    results = results_of({"max": UNDECIDED, "avg": UNDECIDED}, {"max": SeedRange(9, 20)})
    levels = [replace(level, beaten_after=4 if level.name == "avg" else None) for level in results.levels]
    told = sentence(replace(results, levels=levels))
    assert "whether it is better than max is undecided" in told
    assert told.endswith("avg is worse than another.")


def test_nothing_to_compare_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    nothing = replace(results_of({"max": WORSE}), levels=[], pairs=[], looks=[])
    print_comparison(nothing)
    assert capsys.readouterr().out.strip() == sentence(nothing)


def test_two_seeds_have_no_interval_but_are_told_what_one_needs(capsys: pytest.CaptureFixture[str]) -> None:
    print_comparison(undecided({"max": None}, seeds=2))
    table = capsys.readouterr().out
    assert "[" not in table
    assert "±" not in table
    assert "-10.000" in table
    assert "a 95 % interval needs 3" in table


def test_equal_accuracies_are_told_as_equal_and_not_as_an_interval(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_comparison(undecided({"max": None}))
    assert "90.000 each" in capsys.readouterr().out


def test_an_interval_that_ends_at_0_is_not_written_as_its_half_width(
    capsys: pytest.CaptureFixture[str],
) -> None:
    results = undecided({"max": None})
    wide = replace(results.levels[1], accuracy=Interval(0.5, 0.0, 1.0))
    print_comparison(replace(results, levels=[results.levels[0], wide]))
    assert "50.000 [0.000, 100.000]" in capsys.readouterr().out


@pytest.mark.parametrize(("seeds", "told"), [(1, "too few seeds"), (2, "too few seeds")])
def test_the_report_says_why_there_is_no_interval(seeds: int, told: str) -> None:
    results = informative(undecided({"max": None}, seeds=seeds))
    shown = [*(level.accuracy for level in results.levels), *(pair.difference for pair in results.pairs)]
    assert {interval.low for interval in shown} == {None}
    assert {percent_range(interval) for interval in shown} == {told}
    assert {points_range(interval) for interval in shown} == {told}


def test_the_report_does_not_call_seeds_that_are_equal_too_few() -> None:
    results = undecided({"max": None, "avg": None}, seeds=10)
    same = Interval(0.5, 0.5, 0.5)
    levels = [replace(level, accuracy=same) for level in results.levels]
    pairs = [replace(pair, difference=Interval(0.1, 0.1, 0.1)) for pair in results.pairs]
    shown = informative(replace(results, levels=levels, pairs=pairs))
    assert {percent_range(level.accuracy) for level in shown.levels} == {"equal with every seed"}
    seen = [pair.seen_from(name).difference for pair in shown.pairs for name in (pair.a, pair.b)]
    assert {points_range(difference) for difference in seen} == {"equal with every seed"}
    assert {difference.low for difference in seen} == {None}
    assert {round(difference.mean, 6) for difference in seen} == {0.1, -0.1}


def test_three_seeds_that_differ_keep_their_intervals() -> None:
    results = undecided({"max": None}, seeds=3)
    wide = replace(results.levels[0], accuracy=mean_interval(np.array([0.5, 0.6, 0.7])))
    kept = informative(replace(results, levels=[wide, *results.levels[1:]])).levels[0].accuracy
    assert kept == wide.accuracy
    assert percent_range(kept) == "35.159 to 84.841"
