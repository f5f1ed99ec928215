"""Intervals and tests against scipy's, against formulas, and against simulation."""

import itertools
import math
from dataclasses import astuple

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cnnkit.stats import (
    LEVEL,
    MOST_SEEDS,
    Interval,
    McNemar,
    bootstrap_interval,
    equivalence_test,
    friedman_test,
    holm,
    mcnemar_test,
    mean_interval,
    sampling_error,
    seeds_to_decide,
    sign_flip_test,
    smallest_sign_flip_p,
)

STUDIES = 1000  # simulated; two standard errors of a share of 95 % are then 1.4 points


def normal(seed: int, *shape: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=shape)


def test_the_interval_of_a_mean_is_scipys() -> None:
    values = normal(0, 12)
    expected = scipy.stats.ttest_1samp(values, 0).confidence_interval()
    assert astuple(mean_interval(values)) == pytest.approx((values.mean(), expected.low, expected.high))


def test_one_value_has_no_interval() -> None:
    assert mean_interval([0.5]) == Interval(0.5, None, None)


@pytest.mark.parametrize("seeds", [5, 10, 20])
@pytest.mark.parametrize("interval", [mean_interval, bootstrap_interval])
def test_intervals_cover_the_truth_at_their_nominal_rate(interval: object, seeds: int) -> None:
    assert callable(interval)
    found = map(interval, 0.3 + normal(seeds, STUDIES, seeds))
    covered = [low <= 0.3 <= high for _, low, high in map(astuple, found)]
    assert 0.93 <= np.mean(covered) <= 0.975


def test_the_bootstrap_interval_covers_skewed_differences_too() -> None:
    draws = np.random.default_rng(1).exponential(size=(STUDIES, 10))
    covered = [low <= 1 <= high for _, low, high in map(astuple, map(bootstrap_interval, draws))]
    students = [low <= 1 <= high for _, low, high in map(astuple, map(mean_interval, draws))]
    assert np.mean(covered) >= 0.925
    assert np.mean(covered) > np.mean(students)


def test_the_bootstrap_interval_moves_and_scales_with_its_values() -> None:
    values = normal(2, 10)
    mean, low, high = astuple(bootstrap_interval(values))
    assert astuple(bootstrap_interval(3 * values + 1)) == pytest.approx(
        (3 * mean + 1, 3 * low + 1, 3 * high + 1)
    )


def test_equal_differences_leave_a_bootstrap_interval_of_no_width() -> None:
    assert bootstrap_interval([0.25] * 10) == Interval(0.25, 0.25, 0.25)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-5, 5), min_size=1, max_size=8))
def test_the_sign_flip_test_counts_all_signs(differences: list[int]) -> None:
    flips = itertools.product((1, -1), repeat=len(differences))
    sums = [abs(sum(s * d for s, d in zip(signs, differences, strict=True))) for signs in flips]
    expected = sum(total >= abs(sum(differences)) for total in sums) / len(sums)
    assert sign_flip_test(differences) == pytest.approx(expected)


def test_the_sign_flip_test_is_scipys_permutation_test() -> None:
    values = normal(3, 9) + 0.5
    expected = scipy.stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip_test(values) == pytest.approx(expected.pvalue)


def test_beyond_16_seeds_a_sample_of_signs_comes_near_the_exact_answer() -> None:
    values = normal(4, 18) + 0.4
    signs = 1 - 2 * ((np.arange(2**18)[:, None] >> np.arange(18)) & 1)
    exact = (np.abs(signs @ values) >= abs(values.sum()) - 1e-12).mean()
    assert sign_flip_test(values) == pytest.approx(exact, rel=0.1)


@pytest.mark.parametrize("seeds", [1, 2, 8, 10, 16, 20])
def test_no_sign_flip_test_goes_below_the_smallest_p(seeds: int) -> None:
    assert sign_flip_test([1.0] * seeds) == pytest.approx(smallest_sign_flip_p(seeds), rel=0.5)
    assert sign_flip_test([1.0] * seeds) >= smallest_sign_flip_p(seeds)


def test_holm_is_the_step_down_of_bonferroni() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_never_lowers_a_p_nor_changes_their_order(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, corrected, strict=True))
    assert corrected[int(np.argmin(p_values))] == min(corrected)


def test_equivalence_is_the_larger_of_two_one_sided_t_tests() -> None:
    values = normal(5, 12) * 0.1 + 0.02
    below = scipy.stats.ttest_1samp(values, -0.1, alternative="greater").pvalue
    above = scipy.stats.ttest_1samp(values, 0.1, alternative="less").pvalue
    assert equivalence_test(values, 0.1) == pytest.approx(max(below, above))


def test_seeds_that_differ_by_the_same_few_images_do_not_prove_equivalence() -> None:
    assert equivalence_test([0.0, 0.0], 0.001, resolution=1 / 360) > 0.05
    assert equivalence_test([0.0] * 10, 0.001, resolution=1 / 360) > 0.05
    assert equivalence_test([0.0] * 10, 0.001, resolution=1 / 10_000) < 0.05


@pytest.mark.parametrize("discordant", [0.2, 0.5, 1.0, 3.0])
def test_intervals_cover_at_their_nominal_rate_on_a_test_set_of_360_images_too(discordant: float) -> None:
    random = np.random.default_rng(12)
    won, lost = (random.poisson(discordant, (STUDIES, 10)) for _ in range(2))
    covered = [
        low <= 1e-12 and high >= -1e-12
        for _, low, high in map(astuple, map(bootstrap_interval, (won - lost) / 360))
    ]
    assert np.mean(covered) >= 0.93


def test_equivalence_of_equal_differences_is_certain_on_either_side_of_the_margin() -> None:
    assert equivalence_test([0.05] * 4, 0.1) == 0
    assert equivalence_test([0.15] * 4, 0.1) == 1
    assert equivalence_test([0.0], 0.1) == 1


def test_mcnemar_gives_each_image_one_vote_however_many_seeds_there_are() -> None:
    a = np.array([[1, 1, 1, 0, 0, 1], [1, 1, 0, 0, 1, 1]], bool)
    b = np.array([[0, 1, 0, 1, 1, 0], [0, 1, 1, 0, 1, 1]], bool)
    once = mcnemar_test(a, b)
    assert (once.only_a, once.only_b) == (2, 2)
    assert mcnemar_test(np.repeat(a, 10, 0), np.repeat(b, 10, 0)) == once


def test_mcnemar_is_the_exact_binomial_test_of_the_discordant_images() -> None:
    right = np.random.default_rng(6).random((2, 1, 500)) < [[[0.9]], [[0.8]]]
    only_a, only_b = (right[0] & ~right[1]).sum(), (right[1] & ~right[0]).sum()
    expected = scipy.stats.binomtest(int(only_a), int(only_a + only_b)).pvalue
    assert mcnemar_test(*right) == McNemar(only_a, only_b, pytest.approx(expected))


def test_mcnemar_of_the_same_answers_finds_nothing() -> None:
    right = np.ones((3, 10), bool)
    assert mcnemar_test(right, right) == McNemar(0, 0, 1.0)


def test_friedman_is_scipys_and_knows_when_there_is_nothing_to_rank() -> None:
    values = normal(7, 10, 4)
    assert friedman_test(values) == pytest.approx(scipy.stats.friedmanchisquare(*values.T).pvalue)
    assert friedman_test(np.ones((5, 3))) == 1
    assert friedman_test(values[:, :2]) is None
    assert friedman_test(values[:1]) is None


def test_the_sampling_error_of_one_seed_is_that_of_a_proportion() -> None:
    right = np.random.default_rng(8).random((1, 10_000)) < 0.9
    share = right.mean()
    assert sampling_error(right) == pytest.approx(math.sqrt(share * (1 - share) / 10_000), rel=1e-3)


def test_more_seeds_do_not_shrink_the_error_of_having_few_images() -> None:
    right = np.random.default_rng(9).random((1, 2000)) < 0.9
    assert sampling_error(np.repeat(right, 20, 0)) == pytest.approx(sampling_error(right))


def test_with_the_seeds_it_asks_for_a_study_decides_about_four_times_in_five() -> None:
    seeds = seeds_to_decide(mean=0.001, deviation=0.001, margin=0.0005, pairs=6, seeds=5)
    assert seeds is not None
    draws = 0.001 + 0.001 * normal(10, 500, seeds)
    found = np.mean([sign_flip_test(values) <= LEVEL / 6 for values in draws])
    assert 0.72 <= found <= 0.9


def test_seeds_to_decide_an_equivalence() -> None:
    seeds = seeds_to_decide(mean=0.0, deviation=0.001, margin=0.001, pairs=1, seeds=3)
    assert seeds is not None
    found = np.mean([equivalence_test(v, 0.001) <= LEVEL for v in 0.001 * normal(11, 500, seeds)])
    assert 0.72 <= found <= 0.9


def test_seeds_to_decide_where_there_is_no_noise_or_no_hope() -> None:
    assert seeds_to_decide(mean=0.0, deviation=1.0, margin=1e-6, pairs=6, seeds=10) is None
    assert seeds_to_decide(mean=0.0, deviation=0.0, margin=0.1, pairs=6, seeds=10) == 11
    assert seeds_to_decide(mean=0.2, deviation=0.0, margin=0.1, pairs=6, seeds=3) == 8
    assert seeds_to_decide(mean=0.2, deviation=0.1, margin=0.1, pairs=6, seeds=MOST_SEEDS) is None
