"""Verdicts on studies of several factors, against least squares, brute force and planted studies."""

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

import planted_factors
from cnnkit.additive import fit_contrasts
from cnnkit.factorial import Dependence, Design, FactorialWatch, Interactions
from cnnkit.sequential import ENOUGH, e_values

Floats = NDArray[np.float64]
ORDERS = Design(np.array([[0, 0], [1, 2], [3, 4]]))  # the first value is one network at both


def noise(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(size=shape)


def apart(*shape: int) -> Design:
    """A network for each combination."""
    return Design(np.arange(np.prod(shape)).reshape(shape))


SHAPE = (2, 3, 4)
WHOLE = apart(*SHAPE)


def differences(values: Floats) -> Floats:
    """Of all pairs along the first axis."""
    return np.array([a - b for a, b in itertools.combinations(values, 2)])


def watched(values: Floats, margin: float = 0.5) -> FactorialWatch:
    watch = FactorialWatch(apart(*values.shape[:-1]), margin)
    watch.look(values)
    return watch


def test_a_main_effect_is_the_difference_of_means_over_the_other_factors() -> None:
    values = noise(*SHAPE)
    for factor, others in enumerate([(1, 2), (0, 2), (0, 1)]):
        assert WHOLE.main(factor) @ values.ravel() == pytest.approx(differences(values.mean(others)))


def test_an_interaction_is_a_difference_of_differences_over_the_rest() -> None:
    values = noise(*SHAPE)
    for factor, other, rest in [(0, 1, 2), (1, 2, 0), (2, 1, 0)]:
        means = values.mean(rest) if factor < other else values.mean(rest).T
        simple = WHOLE.simple(factor, other) @ values.ravel()
        assert simple == pytest.approx(differences(means))
        expected = [differences(of_pair) for of_pair in differences(means)]
        assert WHOLE.interaction(factor, other) @ values.ravel() == pytest.approx(np.ravel(expected))


def test_the_example_of_four_combinations_comes_out_as_its_docstring_says() -> None:
    means = np.array([90, 94, 91, 91])
    design = apart(2, 2)
    assert (design.means(0) @ means).tolist() == [92, 91]
    assert (design.main(0) @ means).tolist() == [1]
    assert (design.simple(0, 1) @ means).tolist() == [[-1, 3]]
    assert (design.interaction(0, 1) @ means).tolist() == [-4]


def test_every_contrast_has_the_sum_0_so_that_what_a_seed_shares_drops_out() -> None:
    weights = [WHOLE.main(1), WHOLE.simple(0, 2).reshape(-1, 24), WHOLE.interaction(1, 2), ORDERS.main(0)]
    assert np.concatenate([w.sum(1) for w in weights]) == pytest.approx(0)


@pytest.mark.parametrize("design", [apart(3, 2), ORDERS], ids=["whole", "same"])
def test_estimates_and_errors_are_those_of_least_squares_over_the_trainings(design: Design) -> None:
    networks, seeds = design.networks.max() + 1, 7
    values = noise(networks, seeds) + noise(seeds, seed=1)
    network, seed = (index.ravel() for index in np.indices(values.shape))
    model = np.column_stack([np.eye(networks)[network], np.eye(seeds)[seed]])
    solution = np.linalg.lstsq(model, values.ravel(), rcond=None)[0][:networks]
    left = values.ravel() - model @ np.linalg.lstsq(model, values.ravel(), rcond=None)[0]
    df = (networks - 1) * (seeds - 1)
    covariance = np.linalg.pinv(model.T @ model)[:networks, :networks] * (left @ left) / df
    for weights in (design.main(0), design.main(1), design.interaction(0, 1)):
        fit = fit_contrasts(values, weights)
        assert fit.difference == pytest.approx(weights @ solution)
        own = (weights @ values).var(1, ddof=1) / seeds  # the guard for a noisy combination
        expected = np.maximum(np.einsum("kc,cd,kd->k", weights, covariance, weights), own)
        assert fit.variance / fit.seeds == pytest.approx(expected)
        assert set(fit.df) <= {df, seeds - 1}


def test_one_network_in_two_combinations_is_one_training_and_differs_by_0() -> None:
    accuracies = noise(5, 9)[ORDERS.networks]
    values = ORDERS.of_networks(accuracies)
    assert values == pytest.approx(noise(5, 9))
    simple = fit_contrasts(values, ORDERS._pairs(ORDERS.means(1, 0)).reshape(-1, 5))
    assert (simple.difference[0], simple.variance[0]) == (0, 0)
    order = fit_contrasts(values, ORDERS.main(1))
    assert order.difference == pytest.approx((accuracies[:, 0] - accuracies[:, 1]).mean())
    weights = ORDERS.interaction(0, 1)
    assert fit_contrasts(values, weights).df.max() == 4 * 8  # not 5 * 8, as of six trainings a seed


def test_a_combination_that_is_missing_leaves_out_its_seed_where_it_counts() -> None:
    values = noise(2, 2, 6)
    values[1, 1, 2] = np.nan
    fit = fit_contrasts(values.reshape(4, 6), apart(2, 2).simple(0, 1).reshape(-1, 4))
    assert fit.seeds.tolist() == [6, 5]
    rest = np.delete(values, 2, axis=2)
    assert fit.difference[1] == pytest.approx((rest[0, 1] - rest[1, 1]).mean())


def test_interactions_of_two_by_two_are_a_t_test_of_the_double_differences() -> None:
    signs = np.array([[1, -1], [-1, 1]])[..., None]
    values = 0.1 * noise(2, 2, 8) + signs * noise(8, seed=1)  # its own variance is beyond the common one
    double = (signs * values).sum((0, 1))
    seen = Interactions(1, 0.5).look(fit_contrasts(values.reshape(4, 8), apart(2, 2).interaction(0, 1)))
    t = stats.ttest_1samp(double, 0)
    own = e_values(t.statistic / np.sqrt(8), 8, np.array(1.0), t.df)
    assert seen.different == pytest.approx(own[None])


def test_the_leader_of_a_factor_is_the_best_of_its_means() -> None:
    values = 0.1 * noise(3, 2, 10) + np.array([[0, 5], [3, 3], [1, 1]])[..., None]
    watch = watched(values)
    assert [watch.leader(0), watch.leader(1)] == [1, 1]
    assert watch.main[0].different.all()


def brute_evidence(values: Floats, margin: float) -> tuple[float, Floats]:
    """(that no value is best everywhere, per value that it is nowhere worse by the margin); not closed."""
    levels, places, seeds = values.shape
    weights = apart(levels, places).simple(0, 1)
    fit = fit_contrasts(values.reshape(-1, seeds), weights.reshape(-1, levels * places))
    pairs = list(itertools.combinations(range(levels), 2))

    def evidence(level: int, other: int, place: int, bound: float) -> float:
        """Bound 0: that the other one is ahead; else that it is ahead by less than the bound."""
        at = pairs.index((min(level, other), max(level, other))) * places + place
        ahead = fit.difference[at] * (1 if other < level else -1)
        room = ahead if bound == 0 else bound - ahead
        return float(e_values(room, fit.seeds[at], fit.variance[at], fit.df[at])) if room > 0 else 0.0

    places_of = [
        [(other, place) for other in range(levels) if other != level for place in range(places)]
        for level in range(levels)
    ]
    yes = min(np.mean([evidence(i, *at, 0) for at in of]) for i, of in enumerate(places_of))
    no = np.array([min(evidence(i, *at, margin) for at in of) for i, of in enumerate(places_of)])
    return float(yes), no


def test_evidence_on_the_winner_is_as_it_is_defined() -> None:
    values = 0.4 * noise(3, 2, 6, seed=2) + np.array([[1, 0], [0, 1], [0, 0]])[..., None]
    question = Dependence(3, 2, 1.3)
    question.look(fit_contrasts(values.reshape(6, 6), apart(3, 2).simple(0, 1).reshape(-1, 6)))
    yes, no = brute_evidence(values, 1.3)
    assert question.beaten_somewhere.min() == pytest.approx(yes)
    assert (no > 0).sum() > 1
    sets = [s for size in (1, 2, 3) for s in itertools.combinations(range(3), size)]
    assert question.best_anywhere == pytest.approx(
        [min(np.mean(no[list(s)]) for s in sets if level in s) for level in range(3)]
    )


CROSSING = np.array([[1, 0], [0, 1], [0, 0]])
SAME_WINNER = np.array([[2, 1], [0, 0.5], [0, 0]])


@pytest.mark.parametrize(
    ("truth", "yes", "no"),
    [(CROSSING, True, False), (SAME_WINNER, False, True), (0.05 * CROSSING, True, True)],
    ids=["another winner", "the same winner", "another, by less than the margin"],
)
def test_whether_the_winner_depends_can_be_decided_both_ways(truth: Floats, yes: bool, no: bool) -> None:
    watch = watched(0.01 * noise(3, 2, 15) + truth[..., None], margin=0.2)
    assert (watch.dependence[1].yes, watch.dependence[1].no) == (yes, no)
    assert watch.decided


def test_with_much_noise_it_stays_undecided() -> None:
    watch = watched(noise(3, 2, 6) + CROSSING[..., None], margin=0.2)
    assert not watch.dependence[1].decided
    assert not watch.decided


def test_a_study_is_not_decided_while_a_factor_has_no_leader() -> None:
    truth = np.array([[9, 0.2], [0, 9.2], [0, 0]])  # the second factor's values are the margin apart
    watch = watched(0.3 * noise(3, 2, 9, seed=4) + truth[..., None], margin=0.133)
    assert watch.dependence[1].yes
    assert not watch.decided


def test_a_value_with_a_combination_that_fails_does_not_lead_and_the_study_may_end_all_the_same() -> None:
    values = 0.01 * noise(3, 2, 15) + np.array([[5, 5.15], [3, 3], [0, 0]])[..., None]
    failed = np.zeros((3, 2), bool)
    failed[0, 1] = True
    watch = FactorialWatch(apart(3, 2), 0.2)
    watch.look(values, failed)
    assert watch.failing(0).tolist() == [True, False, False]
    assert watch.failing(1).tolist() == [False, True]
    assert [watch.leader(0), watch.leader(1)] == [1, 0]
    watch.dependence[1] = Dependence(3, 2, 0.2)  # of which nothing is known
    assert watch.decided
    watch.failed = np.zeros((3, 2), bool)
    assert not watch.decided


def test_losers_that_change_places_do_not_change_the_winner() -> None:
    truth = np.array([[5, 5], [1, 0], [0, 1]])
    watch = watched(0.01 * noise(3, 2, 15) + truth[..., None], margin=0.2)
    assert watch.interactions[0, 1].different.any()
    assert not watch.dependence[1].yes
    assert watch.dependence[1].anywhere.tolist() == [True, False, False]


def test_what_was_decided_stays_decided() -> None:
    early = 0.01 * noise(2, 2, 12) + np.array([[1, 0], [0, 1]])[..., None]
    watch = FactorialWatch(apart(2, 2), 0.2)
    watch.look(early)
    assert watch.dependence[1].yes
    assert watch.interactions[0, 1].different.all()
    watch.look(np.concatenate([early, 50 * noise(2, 2, 12, seed=3)], 2))
    assert watch.dependence[1].yes
    assert watch.interactions[0, 1].different.all()


def test_additive_effects_end_as_no_interaction() -> None:
    watch = watched(0.1 * noise(3, 2, 30) + np.array([[2, 1], [1, 0], [1, 0]])[..., None])
    assert watch.interactions[0, 1].equivalent.all()
    assert not watch.interactions[0, 1].different.any()
    assert watch.main[1].different.all()
    assert watch.dependence[1].no


def test_an_interval_leaves_out_0_exactly_where_an_interaction_is_different() -> None:
    decided = 0
    for seed in range(30):
        values = noise(3, 3, 8, seed=seed) + 2 * noise(3, 3, 1, seed=100 + seed)
        seen = Interactions(9, 0.5).look(fit_contrasts(values.reshape(9, 8), apart(3, 3).interaction(0, 1)))
        different = seen.different >= ENOUGH
        assert np.array_equal(np.abs(seen.fit.difference) > seen.half_width, different)
        decided += int(different.sum())
    assert 20 < decided < 250


def test_three_factors_have_three_interactions_of_two_and_two_questions_on_the_winner() -> None:
    watch = watched(noise(2, 2, 2, 10))
    assert [*watch.interactions] == [(0, 1), (0, 2), (1, 2)]
    assert [*watch.dependence] == [1, 2]


CELLS = {cell.name: cell for cell in planted_factors.CELLS}


@pytest.mark.parametrize("name", ["factors-equal-same", "factors-additive", "factors-margin"])
def test_watched_after_every_seed_hardly_any_study_tells_what_is_not_so(name: str) -> None:
    studies, cell = 25, CELLS[name]
    outcomes = [planted_factors.watched(cell, np.random.default_rng([5, i]), 12) for i in range(studies)]
    most = stats.binom.ppf(0.999, studies, 0.05)
    row = planted_factors.summary(cell, outcomes)
    assert {kind for kind in planted_factors.FALSE if row[kind][0] * studies > most} == set()


def test_another_winner_is_found() -> None:
    cell = CELLS["factors-crossing-3"]
    outcomes = [planted_factors.watched(cell, np.random.default_rng([6, i]), 12) for i in range(12)]
    assert sum(outcome.stop_yes for outcome in outcomes) >= 11
    assert np.mean([outcome.stop_trainings for outcome in outcomes]) < 8 * 9


def test_two_seeds_decide_nothing_however_alike_they_are() -> None:
    """Else 8 % of studies with one combination of wild noise told an effect that is not there."""
    watch = FactorialWatch(Design(np.arange(8).reshape(4, 2)), margin=0.5)
    values = np.random.default_rng(2).normal(size=(4, 2, 3)) * 0.01
    values[3, 1] += 9
    watch.look(values[..., :2])
    families = [*watch.main, watch.interactions[0, 1]]
    assert not any(family.different.any() or family.equivalent.any() for family in families)
    watch.look(values)
    assert watch.main[0].different.any()
