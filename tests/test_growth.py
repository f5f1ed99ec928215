"""How the evidence grew: what is drawn is what the looks of the study tell, in plots or in words."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from cnnkit.comparison.records import LevelResult, LevelTiming, StudyResults
from cnnkit.comparison.study_records import FactorPlan, LevelPlan, StudyFile
from cnnkit.comparison.trial_records import TrialResult
from cnnkit.comparison.verdicts import Observed, judge
from cnnkit.report.axes import BOTTOM, HEIGHT, WIDTH, Mark, Panel
from cnnkit.report.captions import matrix_caption
from cnnkit.report.figures import evidence, told_seeds
from cnnkit.report.growth import DASHED, LEAST, MOST, Growth, _strongest, growth_view
from cnnkit.report.labels import LETTER, LINE, labels_at_ends
from cnnkit.report.trained import fate, seeds_of_levels, trainings
from cnnkit.sequential import ENOUGH
from cnnkit.stats import mean_interval

NAMES = ["a", "a second one", "c", "d"]
SERIES = {name: number for number, name in enumerate(NAMES)}
MARGIN = 0.001  # a fraction
NAN = math.nan


def studied(accuracies: np.ndarray, failed: np.ndarray | None = None) -> StudyResults:
    """What a study with these accuracies, (levels, seeds) with NaN, comes to."""
    failed = np.zeros(accuracies.shape, bool) if failed is None else failed
    judged, looks, pairs = judge(Observed(NAMES, accuracies, failed, None, 10_000), MARGIN)
    levels = []
    for i in judged.ranked():
        has = np.isfinite(accuracies[i])
        level = LevelResult(
            name=NAMES[i],
            value=NAMES[i],
            parameters=1,
            macs=1,
            changed="",
            accuracy=mean_interval(accuracies[i][has]),
            accuracies=accuracies[i][has].tolist(),
            seeds=np.flatnonzero(has).tolist(),
            failures=int(failed[i].sum()),
            beaten_after=judged.beaten_after.get(NAMES[i]),
            seed_deviation=None,
            sampling_error=0.0,
            by_object_size=[],
            to_best=None,
            timing=LevelTiming(1.0, 1.0),
        )
        levels.append(level)
    seeds = list(range(accuracies.shape[1]))
    return StudyResults(2, "k", MARGIN * 100, "none", [], 10_000, seeds, levels, pairs, looks, [])


def with_a_beaten_level(seeds: int = 12, last: int = 5) -> StudyResults:
    """The second is ahead, the first and the fourth are equivalent to nobody, the third is given up."""
    random = np.random.default_rng(1)
    means = np.array([0.9895, 0.99, 0.96, 0.988])
    accuracies = means[:, None] + 0.001 * random.normal(size=(4, seeds)) + 0.002 * random.normal(size=seeds)
    accuracies[2, last:] = NAN
    return studied(accuracies)


@pytest.fixture(scope="module")
def results() -> StudyResults:
    return with_a_beaten_level()


@pytest.fixture(scope="module")
def growth(results: StudyResults) -> Growth:
    return growth_view(results, SERIES)


def values(panel: Panel, points: str) -> list[tuple[float, float]]:
    """(x, y) in the units of the axes, from what is drawn."""
    found = []
    for pair in points.split():
        x, y = map(float, pair.split(","))
        left, right, bottom, top = (
            panel.x(0.0),
            panel.x(1.0),
            panel.y(panel.y_axis.low),
            panel.y(panel.y_axis.high),
        )
        share = (y - bottom) / (top - bottom)
        low, high = panel.y_axis.low, panel.y_axis.high
        value = low * (high / low) ** share if panel.y_axis.log else low + share * (high - low)
        found.append(((x - left) / (right - left), value))
    return found


def lines(panel: Panel, dashes: str) -> dict[str, list[tuple[float, float]]]:
    return {NAMES[line.series]: values(panel, line.points) for line in panel.lines if line.dashes == dashes}


def pair_number(results: StudyResults, name: str) -> int:
    (number,) = [i for i, p in enumerate(results.pairs) if {p.a, p.b} == {name, results.best.name}]
    return number


@pytest.mark.parametrize(("dashes", "kind"), [("none", "different"), (DASHED, "equivalent")])
def test_the_lines_are_the_evidence_of_each_look(
    dashes: str, kind: str, results: StudyResults, growth: Growth
) -> None:
    panel, _ = growth.panels
    drawn = lines(panel, dashes)
    told = {}
    for level in results.levels[1:]:
        number = pair_number(results, level.name)
        of_level = [(look.seeds, getattr(look, kind)[number]) for look in results.looks]
        if kind == "different" or of_level[-1][1] >= LEAST:
            told[level.name] = of_level
    assert drawn.keys() == told.keys() != set()
    for name, of_level in told.items():
        for (x, y), (seeds, e_value) in zip(drawn[name], of_level, strict=True):
            assert x == pytest.approx(seeds, abs=0.05)
            assert math.log(y) == pytest.approx(
                math.log(min(max(e_value, LEAST), panel.y_axis.high)), abs=0.08
            )
        heights = [y for _, y in drawn[name]]
        assert heights == sorted(heights)


def test_the_line_of_enough_lies_at_20_and_has_its_tick(growth: Growth) -> None:
    panel, _ = growth.panels
    assert {round(y, 0) for _, y in values(panel, panel.front)} == {ENOUGH}
    assert (panel.y(ENOUGH), "20") in panel.y_ticks
    places = sorted(tick.place for tick in panel.y_ticks)
    assert all(after - before > 12 for before, after in pairwise(places))


def test_the_means_are_those_so_far_and_end_with_the_last_seed(results: StudyResults, growth: Growth) -> None:
    _, panel = growth.panels
    for name, drawn in lines(panel, "none").items():
        level = next(level for level in results.levels if level.name == name)
        assert drawn[-1][0] == pytest.approx(len(level.seeds), abs=0.05)
        for seeds, mean in drawn:
            so_far = np.mean(level.accuracies[: round(seeds)])
            assert mean == pytest.approx(100 * so_far, abs=0.02)
    assert len(panel.lines) == len(NAMES)


def test_a_mark_stands_where_a_level_was_beaten(results: StudyResults, growth: Growth) -> None:
    beaten = {level.name: level.beaten_after for level in results.levels if level.beaten_after}
    assert "c" in beaten
    assert results.best.name not in beaten
    for panel in growth.panels:
        hollow = [mark for mark in panel.marks if mark.hollow]
        marked = {NAMES[m.series]: values(panel, f"{m.x},{m.y}")[0][0] for m in hollow}
        assert marked == pytest.approx(beaten, abs=0.05)
    for name, after in beaten.items():
        assert f"{name} after {after} seeds" in growth.caption


def test_every_line_has_its_name_at_its_end_within_the_plot(growth: Growth) -> None:
    assert not growth.legend
    for panel in growth.panels:
        assert len(panel.labels) == len(panel.lines)
        ends = {tuple(map(float, line.points.split()[-1].split(","))) for line in panel.lines}
        assert {(label.x, label.y) for label in panel.labels} == ends
        for label in panel.labels:
            assert label.anchor == "start"
            assert label.text_x > label.x
            assert label.text_x + LETTER * len(label.text) <= WIDTH
            assert 0 <= label.text_y <= HEIGHT
        heights = sorted(label.text_y for label in panel.labels)
        assert all(below - above >= LINE for above, below in pairwise(heights))
        assert [label.y for label in sorted(panel.labels, key=lambda label: label.text_y)] == sorted(
            label.y for label in panel.labels
        )


def test_long_names_stand_in_a_legend_and_every_line_ends_in_the_mark_of_its_level() -> None:
    results = with_a_beaten_level()
    long = "a second one, much longer than the others"
    text = json.dumps(results.to_dict()).replace('"a second one"', json.dumps(long))
    growth = growth_view(StudyResults.from_dict(json.loads(text)), {**SERIES, long: 1})
    assert growth.legend
    for panel in growth.panels:
        assert panel.labels == []
        ends = {tuple(map(float, line.points.split()[-1].split(","))) for line in panel.lines}
        assert {(mark.x, mark.y) for mark in panel.marks if not mark.hollow} == ends
        assert max(x for x, _ in ends) > WIDTH - 30  # no room is kept for names


@pytest.mark.parametrize("near", [0.0, 5.0])
def test_dashed_lines_are_told_where_they_are_drawn(near: float, results: StudyResults) -> None:
    looks = [replace(look, equivalent=[near] * len(results.pairs)) for look in results.looks]
    growth = growth_view(replace(results, looks=looks), SERIES)
    drawn = [line for line in growth.panels[0].lines if line.dashes == DASHED]
    assert ("Dashed" in growth.caption) == ("solid lines" in growth.caption) == bool(drawn) == (near > 0)


def test_names_of_equal_ends_stand_one_below_another_within_the_plot() -> None:
    lowest = HEIGHT - BOTTOM
    labels = labels_at_ends([Mark(i, 100.0, lowest, False, "") for i in range(8)], list("abcdefgh"))
    assert [label.text for label in labels] == list("abcdefgh")
    assert all(below.text_y - above.text_y == LINE for above, below in pairwise(labels))
    assert max(label.text_y for label in labels) <= lowest


def test_the_caption_tells_the_last_evidence_and_when_it_was_enough(
    results: StudyResults, growth: Growth
) -> None:
    for level in results.levels[1:]:
        number = pair_number(results, level.name)
        of_level = [(look.seeds, look.different[number]) for look in results.looks]
        enough = next((seeds for seeds, e_value in of_level if e_value >= ENOUGH), None)
        told = f"{evidence(of_level[-1][1])} for {level.name}"
        assert told + (f" (enough after {enough} seeds)" if enough else "") in growth.caption
    assert f"by 0.1 points or more is {evidence(results.looks[-1].within)}" in growth.caption


def test_endless_evidence_stays_in_the_plot() -> None:
    accuracies = np.array([[0.9], [0.8], [0.7], [0.6]]) + np.zeros(12)
    panel, _ = growth_view(studied(accuracies), SERIES).panels
    assert panel.y_axis.high <= 2 * MOST
    assert {y >= panel.y(panel.y_axis.high) for _, y in points_of(panel)} == {True}


def points_of(panel: Panel) -> Iterator[tuple[float, float]]:
    for line in panel.lines:
        for pair in line.points.split():
            x, y = map(float, pair.split(","))
            yield x, y


@pytest.mark.parametrize("looks", [0, 1, 2])
def test_one_or_two_looks_are_told_in_words(looks: int) -> None:
    results = with_a_beaten_level(looks + 1)
    growth = growth_view(results, SERIES)
    assert growth.panels == []
    assert len(results.looks) == looks
    for look in results.looks:
        _, sentence = growth.caption.split(f"After {look.seeds} seeds the evidence of a difference")
        for level in results.levels[1:]:
            number = pair_number(results, level.name)
            different, near, *_ = sentence.split("that of less than 0.1 points")
            assert f"{evidence(look.different[number])} for {level.name}" in different
            assert f"{evidence(look.equivalent[number])} for {level.name}" in near
    assert ("One seed says nothing of chance" in growth.caption) == (looks == 0)


# --- how much was trained ---------------------------------------------------------------------------


def plan(seeds: int, min_seeds: int | None) -> StudyFile:
    levels = [LevelPlan(name, name, 1, 1, "") for name in NAMES]
    return StudyFile(1, "k", seeds, 0, 0.1, "none", levels, [], [], "", min_seeds=min_seeds)


def tried(results: StudyResults, ended: int, failed: int = 0) -> StudyResults:
    rows = [TrialResult("a", i, "f", "broke" if i < failed else None) for i in range(ended)]
    return replace(results, trials=rows)


def test_the_facts_tell_what_was_trained_of_what_was_planned(results: StudyResults) -> None:
    undecided = replace(results, looks=[replace(look, decided=False) for look in results.looks])
    decided = replace(results, looks=[replace(look, decided=True) for look in results.looks])
    assert trainings(plan(40, 3), tried(decided, 41)) == "41 trainings, 12 seeds; at most 160 were planned."
    stopped = trainings(plan(40, 3), tried(undecided, 41, 2))
    assert stopped.startswith("41 trainings, of which 2 failed, 12 seeds; at most 160 were planned.")
    assert "stopped before the best was known" in stopped
    assert "After the most seeds planned the best was not known" in trainings(
        plan(12, 3), tried(undecided, 41)
    )
    assert trainings(plan(12, None), tried(undecided, 48)) == "4 levels × 12 seeds: 48 trainings."
    assert "41 of 48 trainings. The others are missing" in trainings(plan(12, None), tried(undecided, 41))


def test_a_study_of_several_keys_is_told_to_look_for_effects_not_for_one_level(results: StudyResults) -> None:
    undecided = replace(results, looks=[replace(look, decided=False) for look in results.looks])
    factors = [FactorPlan("k", ["x", "y"]), FactorPlan("l", ["x", "y"])]
    told = trainings(replace(plan(12, 3), factors=factors), tried(undecided, 41))
    assert told.endswith("After the most seeds planned the effects were not all known.")
    stopped = trainings(replace(plan(40, 3), factors=factors), tried(undecided, 41))
    assert stopped.endswith("The study was stopped before the effects were known.")
    fixed = trainings(replace(plan(12, None), factors=factors), tried(undecided, 48))
    assert fixed == "4 networks × 12 seeds: 48 trainings."


def test_levels_with_seeds_of_their_own_are_told_apart(results: StudyResults) -> None:
    beaten = next(level for level in results.levels if level.name == "c")
    assert re.fullmatch(r"beaten after \d seeds", fate(beaten))
    assert fate(replace(beaten, failures=2)).endswith("seeds, 2 failed")
    assert fate(results.best) == ""
    assert "Levels have 5 to 12 seeds" in seeds_of_levels(plan(40, 3), results)
    alike = replace(results, levels=[level for level in results.levels if len(level.seeds) == 12])
    told = seeds_of_levels(plan(40, 3), alike)
    assert told == "c finished no training, so it is not here. Every level here has 12 seeds."


def test_the_matrix_says_that_a_level_that_fails_is_never_called_better(results: StudyResults) -> None:
    assert "failed" not in matrix_caption(results)
    failing = [replace(results.best, failures=1), *results.levels[1:]]
    told = matrix_caption(replace(results, levels=failing))
    assert f"Trainings of {results.best.name} failed, so it is never called better" in told


@pytest.mark.parametrize(
    ("seeds", "told"),
    [
        ([3], "seed 3"),
        ([0, 1], "seeds 0 and 1"),
        ([4, 5, 6], "seeds 4 to 6"),
        ([0, 2, 4], "seeds 0, 2 and 4"),
        ([0, *range(2, 30)], "29 seeds from 0 to 29"),
    ],
)
def test_seeds_are_told_in_short(seeds: list[int], told: str) -> None:
    assert told_seeds(seeds) == told


def test_of_many_levels_the_strongest_evidence_is_told_and_the_most_of_the_others() -> None:
    values = {"a": 1.0, "b": 30.0, "c": 0.5, "d": 7.0}
    assert _strongest(values) == "30 for b, 7.0 for d, 1.0 for a and 0.5 for c"
    assert (
        _strongest(values | {"e": 0.7}) == "30 for b, 7.0 for d, 1.0 for a and at most 0.7 for the 2 others"
    )
