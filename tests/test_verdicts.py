"""Verdicts of a study: each has the interval that makes it, and says of the images what they can tell."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from cnnkit.comparison.pair_records import (
    BETTER,
    BETTER_HERE,
    EQUIVALENT,
    UNDECIDED,
    WORSE,
    WORSE_HERE,
    PairResult,
)
from cnnkit.comparison.verdicts import FEWEST_TOLD, Observed, fewest_seeds, judge
from cnnkit.image_error import image_error
from cnnkit.sequential import ENOUGH, e_values

IMAGES = 2000
Right = NDArray[np.bool_]


def observed(*right: Right, failed: dict[tuple[int, int], bool] | None = None) -> Observed:
    """A study from who was right: (seeds, images) for each level, which is called a, b, …"""
    stacked = np.stack(right)
    failures = np.zeros(stacked.shape[:2], bool)
    for place in failed or {}:
        failures[place] = True
    accuracies = np.where(failures, np.nan, stacked.mean(2))
    names = "abcdefghij"[: len(right)]
    return Observed(list(names), accuracies, failures, stacked & ~failures[..., None], stacked.shape[2])


def answers(share: float, seeds: int, seed: int, images: int = IMAGES) -> Right:
    """Each image has a chance of its own, the same with every seed; the mean is near `share`."""
    random = np.random.default_rng(seed)
    hard = np.random.default_rng(0).random(images)  # the same images are hard for all
    return np.asarray(hard + 0.02 * random.normal(size=(seeds, images)) < share)


def only(study: Observed, margin: float = 0.001) -> PairResult:
    (pair,) = judge(study, margin)[2]
    return pair


def test_a_clear_difference_is_better_with_an_interval_beyond_0() -> None:
    pair = only(observed(answers(0.95, 8, 1), answers(0.85, 8, 2)))
    assert (pair.a, pair.b, pair.verdict, pair.seeds_needed) == ("a", "b", BETTER, None)
    assert pair.difference.low is not None
    assert 0 < pair.difference.low < pair.difference.mean
    turned = only(observed(answers(0.85, 8, 2), answers(0.95, 8, 1)))
    assert turned.verdict == WORSE
    assert turned.difference == pair.difference.negated()
    assert pair.seen_from("b").verdict == WORSE
    assert pair.seen_from("b").difference == turned.difference


def test_seeds_that_agree_on_few_images_speak_of_these_images_alone() -> None:
    """a is right on 60 images where b is not, b on 40 where a is not, with every seed: it is no noise."""
    a, b = np.ones((12, IMAGES), bool), np.ones((12, IMAGES), bool)
    a[:, :40] = b[:, 40:100] = False
    a[:, 200:206] = np.random.default_rng(3).random((12, 6)) < 0.5
    pair = only(observed(a, b))
    error = image_error(a.astype(int) - b).error
    assert pair.image_error == error
    assert 1.5 * error < pair.difference.mean < 2.5 * error  # as other draws of images could give too
    assert pair.verdict == BETTER_HERE
    assert pair.difference.low is not None
    assert pair.difference.low >= 0
    assert pair.seen_from("b").verdict == WORSE_HERE


def test_accuracies_alone_say_nothing_of_other_images() -> None:
    study = observed(answers(0.95, 8, 1), answers(0.85, 8, 2))
    pair = only(replace(study, scores=None))
    assert (pair.verdict, pair.image_error) == (BETTER_HERE, None)


def test_levels_that_are_alike_are_equivalent_within_the_margin() -> None:
    pair = only(observed(answers(0.9, 12, 1), answers(0.9, 12, 2)), margin=0.01)
    assert pair.verdict == EQUIVALENT
    assert pair.difference.low is not None
    assert pair.difference.high is not None
    assert -0.01 <= pair.difference.low < pair.difference.high <= 0.01


def test_one_seed_decides_nothing_and_promises_nothing() -> None:
    judged, looks, (pair,) = judge(observed(answers(0.9, 1, 0), answers(0.5, 1, 1)), 0.001)
    assert looks == []
    assert (pair.verdict, pair.seeds_needed, pair.difference.low) == (UNDECIDED, None, None)
    assert judged.names[judged.leader] == "a"


@pytest.mark.parametrize("seed", range(12))
def test_each_interval_is_the_one_that_makes_its_verdict(seed: int) -> None:
    random = np.random.default_rng(seed)
    shares = 0.9 + 0.004 * random.normal(size=4)
    margin, seeds = 0.003, int(random.integers(2, 15))
    study = observed(*(answers(share, seeds, 10 * seed + i) for i, share in enumerate(shares)))
    for pair in judge(study, margin)[2]:
        mean, low, high = pair.difference.mean, pair.difference.low, pair.difference.high
        if low is None or high is None:
            assert pair.verdict == UNDECIDED
        elif pair.verdict not in (UNDECIDED, EQUIVALENT):
            assert low >= 0 if mean > 0 else high <= 0
        elif pair.verdict == EQUIVALENT:
            assert -margin <= low <= high <= margin
        else:
            assert low <= 0 <= high or max(pair.different, pair.equivalent) >= ENOUGH


def test_what_was_known_after_each_seed_follows_from_the_seeds_before() -> None:
    study = observed(*(answers(share, 9, i) for i, share in enumerate((0.9, 0.901, 0.88))))
    whole = judge(study, 0.001)[1]
    assert [look.seeds for look in whole] == list(range(2, 10))
    for n in (3, 6):
        assert judge(study.first(n), 0.001)[1] == whole[: n - 1]
    for before, after in itertools.pairwise(whole):
        assert np.all(np.array(after.different) >= before.different)
        assert np.all(np.array(after.equivalent) >= before.equivalent)
        assert {*before.beaten} <= {*after.beaten}
    assert whole[-1].means == pytest.approx(list(study.accuracies.mean(1)))


def test_two_levels_have_the_evidence_of_the_mixture_t() -> None:
    """With two levels nothing has to be closed: the evidence is that of one paired difference."""
    study = observed(answers(0.91, 6, 1), answers(0.9, 6, 2))
    largest = 1.0
    for n in range(2, 7):
        differences = study.accuracies[0, :n] - study.accuracies[1, :n]
        variance = max(differences.var(ddof=1), 1 / IMAGES**2)
        largest = max(largest, float(e_values(differences.mean(), n, np.array(variance), n - 1)))
    assert only(study).different == pytest.approx(min(largest, 1e12))


def test_a_level_that_is_beaten_needs_no_more_seeds() -> None:
    a, b, c = answers(0.95, 8, 1), answers(0.949, 8, 2), answers(0.8, 8, 3)
    study = observed(a, b, c)
    missing = replace(study, accuracies=study.accuracies.copy())
    missing.accuracies[2, 4:] = np.nan
    judged, looks, pairs = judge(missing, 0.001)
    assert judged.beaten_after["c"] <= 4
    assert looks[-1].beaten == ["c"]
    assert [pair.seeds for pair in pairs] == [8, 4, 4]
    assert [judged.names[i] for i in judged.ranked()][-1] == "c"


@pytest.mark.parametrize("margin", [0.001, 0.2])
def test_a_level_whose_trainings_fail_is_never_called_better_or_equivalent(margin: float) -> None:
    study = observed(answers(0.95, 9, 1), answers(0.85, 9, 2), failed={(0, 3): True})
    judged, _, (pair,) = judge(study, margin)
    assert judged.names[judged.leader] == "b"
    assert (pair.verdict, pair.seeds_needed, pair.seeds) == (UNDECIDED, None, 8)
    worse = observed(answers(0.95, 9, 1), answers(0.85, 9, 2), failed={(1, 3): True})
    assert only(worse, 0.001).verdict == BETTER


def test_a_level_without_any_accuracy_is_left_out() -> None:
    every = {(2, seed): True for seed in range(5)}
    study = observed(*(answers(0.9, 5, i) for i in range(3)), failed=every)
    judged, looks, pairs = judge(study, 0.001)
    assert judged.names == ["a", "b"]
    assert len(pairs) == len(looks[-1].different) == 1


def test_levels_without_a_seed_in_common_are_not_compared() -> None:
    apart = {(0, 0): True, (0, 1): True, (1, 2): True, (1, 3): True}
    study = observed(answers(0.9, 4, 0), answers(0.8, 4, 1), failed=apart)
    assert study.known.names == []
    third = observed(answers(0.9, 4, 0), answers(0.8, 4, 1), answers(0.7, 4, 2), failed=apart)
    assert third.known.names == ["a", "b", "c"]
    assert [pair.seeds for pair in judge(third, 0.001)[2]] == [0, 2, 2]


def test_the_smaller_the_difference_the_more_seeds_it_needs() -> None:
    noise = 0.001 * np.random.default_rng(5).normal(size=(2, 5))
    noise -= noise.mean(1, keepdims=True)
    needed = []
    for gap in (0.0009, 0.0006, 0.0003):
        accuracies = 0.9 + noise + np.array([[gap], [0.0]])
        pair = only(Observed(["a", "b"], accuracies, np.zeros((2, 5), bool), None, 100_000), 1e-5)
        assert pair.verdict == UNDECIDED
        assert pair.seeds_needed
        needed.append(pair.seeds_needed)
    assert FEWEST_TOLD <= needed[0].low <= needed[1].low < needed[2].low
    assert (needed[0].high or 0) > needed[0].low
    assert needed[2].high is None  # one standard error below there is no difference


@pytest.mark.parametrize(("levels", "seeds"), [(2, 4), (3, 3), (4, 3)])
def test_below_the_fewest_seeds_nothing_that_can_come_out_is_different(levels: int, seeds: int) -> None:
    assert fewest_seeds(levels) == seeds
    accuracies = 0.1 + 0.1 * np.arange(levels)[:, None] + np.zeros(seeds - 1)
    none = np.zeros(accuracies.shape, bool)
    verdicts = [
        pair.verdict for pair in judge(Observed("abcd"[:levels], accuracies, none, None, 10**9), 1e-9)[2]
    ]
    assert {*verdicts} == {UNDECIDED}
