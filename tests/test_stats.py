"""Intervals against scipy's, against formulas, and against simulation."""

import math
from dataclasses import astuple

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray

from cnnkit.stats import Interval, mean_interval, sampling_error

STUDIES = 1000  # simulated; two standard errors of a share of 95 % are then 1.4 points


def normal(seed: int, *shape: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=shape)


def test_the_interval_of_a_mean_is_scipys() -> None:
    values = normal(0, 12)
    expected = scipy.stats.ttest_1samp(values, 0).confidence_interval()
    assert astuple(mean_interval(values)) == pytest.approx((values.mean(), expected.low, expected.high))


def test_intervals_that_shall_hold_together_are_those_of_a_smaller_error_each() -> None:
    values = normal(0, 12)
    each = scipy.stats.ttest_1samp(values, 0).confidence_interval(1 - 0.05 / 6)
    assert astuple(mean_interval(values, together=6))[1:] == pytest.approx((each.low, each.high))


def test_one_value_has_no_interval() -> None:
    assert mean_interval([0.5]) == Interval(0.5, None, None)


@pytest.mark.parametrize("seeds", [5, 10, 20])
def test_intervals_cover_the_truth_at_their_nominal_rate(seeds: int) -> None:
    found = map(mean_interval, 0.3 + normal(seeds, STUDIES, seeds))
    covered = [low <= 0.3 <= high for _, low, high in map(astuple, found)]
    assert 0.93 <= np.mean(covered) <= 0.975


def test_the_sampling_error_of_one_seed_is_that_of_a_proportion() -> None:
    right = np.random.default_rng(8).random((1, 10_000)) < 0.9
    share = right.mean()
    assert sampling_error(right) == pytest.approx(math.sqrt(share * (1 - share) / 10_000), rel=1e-3)


def test_more_seeds_do_not_shrink_the_error_of_having_few_images() -> None:
    right = np.random.default_rng(9).random((1, 2000)) < 0.9
    assert sampling_error(np.repeat(right, 20, 0)) == pytest.approx(sampling_error(right))


def test_equal_values_are_known_no_better_than_by_one_step() -> None:
    step = 1 / 360
    low, high = astuple(mean_interval([0.9] * 4, step))[1:]
    reach = scipy.stats.t.ppf(0.975, 3) * step / 2
    assert (low, high) == pytest.approx((0.9 - reach, 0.9 + reach))
    values = normal(3, 6)
    assert mean_interval(values, step) == mean_interval(values)
