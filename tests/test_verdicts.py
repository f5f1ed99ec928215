"""Verdicts: right as often as they promise, in simulated studies whose truth is known."""

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from cnnkit.comparison.records import BETTER, EQUIVALENT, UNDECIDED, WORSE
from cnnkit.comparison.verdicts import decide, fewest_seeds, judge_pairs
from cnnkit.stats import LEVEL, holm, mcnemar_test, smallest_sign_flip_p

STUDIES = 600
NOISE = 0.0007  # of an accuracy between seeds, as configs/fast.yaml has it
LEVELS = 4
PAIRS = list(itertools.combinations(range(LEVELS), 2))


def verdicts(
    truth: list[float], margin: float, seed: int, seeds: int = 10
) -> list[dict[tuple[int, int], str]]:
    """The verdicts of simulated studies whose levels have these true accuracies."""
    random = np.random.default_rng(seed)
    studies = []
    for _ in range(STUDIES):
        accuracies = truth + NOISE * random.normal(size=(seeds, len(truth)))
        decisions = decide([accuracies[:, a] - accuracies[:, b] for a, b in PAIRS], margin)
        studies.append(dict(zip(PAIRS, (decision.verdict for decision in decisions), strict=True)))
    return studies


@pytest.mark.parametrize("margin", [1e-6, 0.001])
def test_strategies_that_are_the_same_are_called_different_in_at_most_5_percent_of_studies(
    margin: float,
) -> None:
    studies = verdicts([0.99] * LEVELS, margin, seed=0)
    wrong = np.mean([any(v in (BETTER, WORSE) for v in study.values()) for study in studies])
    assert wrong <= 0.05 + 0.015  # two standard errors of 600 studies


def test_a_difference_of_twice_the_noise_is_found_in_at_least_80_percent_of_studies() -> None:
    studies = verdicts([0.99 + 2 * NOISE, 0.99, 0.99, 0.99], margin=1e-6, seed=1)
    for b in (1, 2, 3):
        assert np.mean([study[0, b] == BETTER for study in studies]) >= 0.8
    wrong = np.mean(
        [any(study[pair] in (BETTER, WORSE) for pair in PAIRS if 0 not in pair) for study in studies]
    )
    assert wrong <= 0.05 + 0.015


def test_a_true_difference_of_the_margin_is_called_equivalent_in_at_most_5_percent_of_studies() -> None:
    studies = verdicts([0.99, 0.99 + 0.001, 0.99 + 0.002, 0.99 + 0.003], margin=0.001, seed=2)
    neighbours = [(0, 1), (1, 2), (2, 3)]
    wrong = np.mean([any(study[pair] == EQUIVALENT for pair in neighbours) for study in studies])
    assert wrong <= 0.05 + 0.015


@pytest.mark.parametrize("seeds", [2, 3, 10])
@pytest.mark.parametrize("discordant", [0.2, 1.0])
def test_on_a_small_test_set_too_a_difference_of_the_margin_is_rarely_called_equivalent(
    seeds: int, discordant: float
) -> None:
    """Differences of a few of 360 images: many seeds tie, which must not pass for certainty."""
    random, margin = np.random.default_rng(seeds), 0.001
    won = random.poisson(discordant + margin * 360, (STUDIES, seeds))
    lost = random.poisson(discordant, (STUDIES, seeds))
    verdicts = [decide([values], margin, 1 / 360)[0].verdict for values in (won - lost) / 360]
    assert np.mean([verdict == EQUIVALENT for verdict in verdicts]) <= 0.05


def test_equal_strategies_are_called_equivalent_where_the_noise_is_small_against_the_margin() -> None:
    studies = verdicts([0.99] * LEVELS, margin=0.003, seed=3)
    assert np.mean([all(v == EQUIVALENT for v in study.values()) for study in studies]) >= 0.8


def test_a_verdict_turns_with_its_pair() -> None:
    better = decide([np.linspace(0.01, 0.02, 10)], margin=0.001)[0]
    worse = decide([-np.linspace(0.01, 0.02, 10)], margin=0.001)[0]
    assert (better.verdict, worse.verdict) == (BETTER, WORSE)
    assert (better.p_different, better.p_equivalent) == (worse.p_different, worse.p_equivalent)


def test_a_real_difference_within_the_margin_is_equivalent() -> None:
    assert decide([np.linspace(0.0002, 0.0004, 10)], margin=0.001)[0].verdict == EQUIVALENT


@pytest.mark.parametrize("levels", [2, 3, 4, 6])
def test_below_the_fewest_seeds_nothing_that_can_come_out_is_decided(levels: int) -> None:
    pairs = levels * (levels - 1) // 2
    seeds = fewest_seeds(levels)
    assert min(holm([smallest_sign_flip_p(seeds)] * pairs)) <= LEVEL
    below = [np.full(seeds - 1, 0.5) + 0.01 * np.arange(seeds - 1)] * pairs
    assert {decision.verdict for decision in decide(below, margin=0.001)} == {UNDECIDED}


def answers(share: float, seeds: int, images: int, seed: int) -> NDArray[np.bool_]:
    return np.random.default_rng(seed).random((seeds, images)) < share


def test_pairs_are_judged_from_who_was_right_on_what() -> None:
    right = {
        "max": answers(0.95, 10, 2000, 0),
        "avg": answers(0.85, 10, 2000, 1),
        "mean": answers(0.85, 10, 2000, 2),
    }
    pairs = {(pair.a, pair.b): pair for pair in judge_pairs(right, margin=0.001)}
    assert list(pairs) == [("max", "avg"), ("max", "mean"), ("avg", "mean")]
    clear = pairs["max", "avg"]
    assert clear.verdict == BETTER
    assert clear.seeds_needed is None
    assert clear.difference.mean == pytest.approx(right["max"].mean() - right["avg"].mean())
    assert clear.difference.low is not None
    assert clear.difference.high is not None
    assert clear.difference.low < clear.difference.mean < clear.difference.high
    assert clear.images.p < 0.05
    unclear = pairs["avg", "mean"]
    assert unclear.verdict == UNDECIDED
    assert unclear.seeds_needed is None or unclear.seeds_needed > 10


def test_the_p_values_over_images_are_corrected_for_their_number_too() -> None:
    right = {name: answers(0.9, 3, 500, seed) for seed, name in enumerate("abcd")}
    alone = [mcnemar_test(right[a], right[b]).p for a, b in itertools.combinations(right, 2)]
    assert [pair.images.p for pair in judge_pairs(right, margin=0.001)] == pytest.approx(holm(alone))


def test_one_seed_decides_nothing_and_promises_nothing() -> None:
    (pair,) = judge_pairs({"a": answers(0.9, 1, 100, 0), "b": answers(0.5, 1, 100, 1)}, margin=0.001)
    assert pair.verdict == UNDECIDED
    assert pair.seeds_needed is None
