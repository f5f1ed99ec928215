"""Verdicts that may be looked at after every seed, against integrals, brute force and planted studies."""

import itertools
import math

import numpy as np
import pytest
from scipy import integrate, stats

from cnnkit.additive import _additive_fit, _noise_ratio, _without_wild, fit_pairs
from cnnkit.closed_testing import closed_over_partitions, closed_over_subsets, pair_indices, partitions
from cnnkit.image_error import default_margin, image_error, image_error_of_redrawn
from cnnkit.sequential import ENOUGH, PRIOR, Watch, e_values, look, reach

ONE = np.array(1.0)  # a variance
BELL = {1: 1, 2: 2, 3: 5, 4: 15, 5: 52, 8: 4140}


@pytest.mark.parametrize(("seeds", "df", "t"), [(3, 6, 2.5), (10, 9, 0.4), (20, 57, -3.1)])
def test_evidence_is_a_ratio_of_densities_of_t(seeds: int, df: int, t: float) -> None:
    def there(effect: float) -> float:  # noncentral t, an effect in deviations, and its prior N(0, 1 / g)
        return float(
            stats.nct.pdf(t, df, effect * math.sqrt(seeds)) * stats.norm.pdf(effect, 0, 1 / math.sqrt(PRIOR))
        )

    expected = integrate.quad(there, -12, 12, limit=400)[0] / stats.t.pdf(t, df)
    assert e_values(t / math.sqrt(seeds), seeds, ONE, df) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("seeds", "df"), [(2, 1), (3, 6), (40, 117)])
def test_the_mean_evidence_is_1_where_there_is_no_difference(seeds: int, df: int) -> None:
    mean = integrate.quad(
        lambda t: float(e_values(t / math.sqrt(seeds), seeds, ONE, df)) * stats.t.pdf(t, df),
        -np.inf,
        np.inf,
        limit=500,
    )[0]
    assert mean == pytest.approx(1, rel=1e-3)


def test_nothing_known_is_no_evidence() -> None:
    assert e_values(0.5, 1, ONE, 0) == 1
    assert e_values(math.nan, 0, ONE, 3) == 1
    assert math.isinf(reach(1, ONE, 0))


def test_a_difference_without_any_noise_is_as_much_evidence_as_can_be() -> None:
    q = PRIOR / (PRIOR + 5)
    assert e_values(0.1, 5, np.array(0.0), 4) == pytest.approx(math.sqrt(q) * q**-2.5)
    assert e_values(0.0, 5, np.array(0.0), 4) <= 1


@pytest.mark.parametrize("enough", [20.0, 75.0])
def test_the_reach_is_where_evidence_is_enough(enough: float) -> None:
    distance = reach(12, np.array(0.3), 11, enough)
    assert e_values(distance, 12, np.array(0.3), 11) == pytest.approx(enough)


def test_the_example_of_a_pair_comes_out_as_its_docstring_says() -> None:
    variance = np.array(0.25)
    assert [float(e_values(1, n, variance, n - 1)) for n in (5, 8)] == pytest.approx([10.4, 90], rel=0.005)
    assert [float(reach(n, variance, n - 1)) for n in (5, 8)] == pytest.approx([1.30, 0.73], abs=0.005)


def test_the_example_of_three_levels_comes_out_as_its_docstring_says() -> None:
    values = np.array([[90, 93], [88, 89], [86, 85.0]])
    fit, additive = fit_pairs(values), _additive_fit(values)
    assert fit.effect == pytest.approx([3, 0, -3])
    assert additive.residuals == pytest.approx(np.array([[-1, 1], [0, 0], [1, -1]]))
    assert (additive.squares, additive.df, additive.variance) == pytest.approx((4, 2, 2))
    assert fit.variance == pytest.approx([4, 8, 4])


def test_with_too_few_seeds_no_difference_is_large_enough() -> None:
    assert math.isinf(reach(2, ONE, 1))
    assert e_values(1e9, 2, ONE, 1) < ENOUGH


@pytest.mark.parametrize("levels", BELL)
def test_there_are_as_many_partitions_as_bell_counted(levels: int) -> None:
    found = {tuple(groups) for groups in partitions(levels)}
    assert len(found) == BELL[levels]


def subsets(pairs: int) -> list[tuple[int, ...]]:
    return [chosen for size in range(1, pairs + 1) for chosen in itertools.combinations(range(pairs), size)]


def test_the_least_mean_of_all_sets_is_found_without_trying_them() -> None:
    generator = np.random.default_rng(1)
    for _ in range(30):
        evidence = generator.lognormal(0, 2, size=6).round(generator.integers(0, 4))
        for largest in (None, 3):
            sets = [s for s in subsets(6) if largest is None or len(s) <= largest]
            expected = [min(evidence[list(s)].mean() for s in sets if own in s) for own in range(6)]
            assert closed_over_subsets(evidence, largest) == pytest.approx(expected)


def test_a_pair_is_left_with_the_least_mean_of_the_partitions_that_join_it() -> None:
    pairs = list(itertools.combinations(range(4), 2))
    joined = [
        [k for k, (a, b) in enumerate(pairs) if (a in group) == (b in group)]
        for group in [{0, 1}, {0, 2}, {0, 3}]  # two groups of two
    ]
    joined += [[k] for k in range(6)]  # one pair, two alone
    joined += [[k for k, pair in enumerate(pairs) if alone not in pair] for alone in range(4)]
    joined += [list(range(6))]
    evidence = np.random.default_rng(2).lognormal(0, 3, size=6)
    means, closed = closed_over_partitions(evidence, 4)
    assert sorted(means) == pytest.approx(sorted(evidence[j].mean() for j in joined))
    assert closed == pytest.approx([min(evidence[j].mean() for j in joined if k in j) for k in range(6)])


def test_with_many_levels_less_is_called_different_never_more() -> None:
    evidence = np.random.default_rng(3).lognormal(2, 3, size=15)
    exact = closed_over_partitions(evidence, 6)[1]
    assert (closed_over_subsets(evidence) <= exact + 1e-9).all()
    assert len(look(np.random.default_rng(3).normal(size=(10, 5)), 0.1).different) == 45


def test_the_variance_is_that_of_a_two_way_analysis() -> None:
    values = np.random.default_rng(4).normal(size=(4, 7)) + np.arange(7)
    residual = values - values.mean(0, keepdims=True) - values.mean(1, keepdims=True) + values.mean()
    fit = fit_pairs(values)
    assert set(fit.df) <= {6, 3 * 6}
    assert fit.variance.min() == pytest.approx(2 * (residual**2).sum() / 18)


def test_levels_may_have_different_numbers_of_seeds() -> None:
    values = np.random.default_rng(5).normal(size=(3, 6))
    values[2, 3:] = np.nan
    fit = fit_pairs(values)
    assert fit.seeds.tolist() == [6, 3, 3]
    df = 15 - 3 - 6 + 1
    assert set(fit.df) <= {df, 2}
    assert fit.difference == pytest.approx(
        [(values[0] - values[1]).mean(), *((values[:2, :3] - values[2, :3]).mean(1))]
    )
    level, seed = np.nonzero(np.isfinite(values))
    observed = values[level, seed]
    design = np.column_stack([np.eye(3)[level], np.eye(6)[seed]])
    left = observed - design @ np.linalg.pinv(design) @ observed
    shared = ((0, 1, 6), (0, 2, 3), (1, 2, 3))
    own = [(values[a] - values[b])[:seeds].var(ddof=1) for a, b, seeds in shared]
    assert fit.variance == pytest.approx(np.maximum(2 * (left**2).sum() / df, own))


def test_a_seed_of_one_level_alone_changes_nothing() -> None:
    values = np.random.default_rng(6).normal(size=(3, 5))
    more = np.column_stack([values, [9.0, np.nan, np.nan]])
    for name in ("difference", "seeds", "variance", "df"):
        assert getattr(fit_pairs(more), name) == pytest.approx(getattr(fit_pairs(values), name)), name


def test_a_level_of_twice_the_noise_counts_with_its_own() -> None:
    values = np.random.default_rng(7).normal(size=(4, 8)) * [[1], [1], [1], [2]]
    fit = fit_pairs(values)
    own = np.array([(values[i] - values[j]).var(ddof=1) for i, j in itertools.combinations(range(4), 2)])
    common = 2 * _additive_fit(values).variance
    assert fit.variance == pytest.approx(np.maximum(own, common))
    assert fit.df.tolist() == np.where(own > 1.1 * common, 7, 21).tolist()


@pytest.mark.parametrize("missing", [0, 5])
def test_a_wild_level_changes_nothing_between_the_others(missing: int) -> None:
    values = np.random.default_rng(7).normal(size=(4, 30)) * [[1], [1], [1], [9]]
    values[2, :missing] = np.nan
    fit, without = fit_pairs(values), fit_pairs(values[:3])
    wild = np.array([3 in pair for pair in itertools.combinations(range(4), 2)])
    assert fit.variance[~wild] == pytest.approx(without.variance)
    assert fit.df[~wild].tolist() == without.df.tolist()
    assert fit.variance[2] == pytest.approx((values[0] - values[3]).var(ddof=1))
    assert fit.df[wild].tolist() == [29, 29, 29 - missing]


@pytest.mark.parametrize("levels", [3, 6])
def test_the_noise_of_a_level_against_the_others_is_f_where_all_are_alike(levels: int) -> None:
    generator = np.random.default_rng(8)
    studies = generator.normal(size=(600, levels, 5)) + generator.normal(size=(600, 1, 5))
    fits = [_additive_fit(values) for values in studies]
    ratios = [_noise_ratio(fit, _additive_fit(values[1:])) for values, fit in zip(studies, fits, strict=True)]
    assert {ratio[1:] for ratio in ratios} == {(4, (levels - 2) * 4)}
    assert stats.kstest([ratio[0] for ratio in ratios], stats.f(4, (levels - 2) * 4).cdf).pvalue > 0.001
    tame = [_without_wild(values, fit) for values, fit in zip(studies, fits, strict=True)]
    assert sum(len(fit.effect) < levels for fit in tame) <= 4  # 0.6 are expected


def test_the_noise_of_a_level_is_that_of_nested_models_also_where_seeds_are_missing() -> None:
    values = np.random.default_rng(9).normal(size=(4, 7))
    values[1, 3:], values[2, 5:], values[0, 1] = np.nan, np.nan, np.nan

    def left(rows: list[int]) -> tuple[float, int]:
        """(sum of squares, degrees of freedom) of the residuals of level + seed."""
        level, seed = np.nonzero(np.isfinite(values[rows]))
        design = np.column_stack([np.eye(len(rows))[level], np.eye(7)[seed]])
        observed = values[rows][level, seed]
        rest = observed - design @ np.linalg.pinv(design) @ observed
        return float(rest @ rest), len(rest) - int(np.linalg.matrix_rank(design))

    (of_all, df_of_all), (of_others, df) = left([0, 1, 2, 3]), left([1, 2, 3])
    ratio, *told = _noise_ratio(_additive_fit(values), _additive_fit(values[1:]))
    assert told == [df_of_all - df, df]
    assert ratio == pytest.approx((of_all - of_others) / (df_of_all - df) / (of_others / df))


def test_differences_are_never_known_better_than_by_one_image() -> None:
    assert (fit_pairs(np.ones((2, 5)), 0.01).variance == 0.01**2).all()


def test_an_interval_leaves_out_0_exactly_where_the_pair_is_different() -> None:
    generator = np.random.default_rng(8)
    decided = 0
    for _ in range(40):
        seen = look(generator.normal(size=(4, 6)) + 2.5 * generator.normal(size=(4, 1)), 0.1)
        different = seen.different >= ENOUGH
        assert np.array_equal(np.abs(seen.fit.difference) > seen.half_width, different)
        decided += int(different.sum())
    assert 20 < decided < 220


def test_what_was_decided_stays_decided() -> None:
    generator = np.random.default_rng(9)
    early = generator.normal(size=(3, 4)) * 0.1 + np.array([[5], [0], [0]])
    late = np.concatenate([early, generator.normal(size=(3, 10)) * 30], 1)
    watch = Watch(3, 0.5)
    watch.look(early)
    before = watch.different.copy()
    assert before.tolist() == [True, True, False]
    seen = watch.look(late)
    assert (seen.different < ENOUGH).any()
    assert (watch.different >= before).all()
    assert watch.beaten(seen).sum() >= 2


def test_a_leader_that_is_ahead_of_all_settles_a_study() -> None:
    values = np.random.default_rng(10).normal(size=(3, 12)) + np.array([[9], [0], [0]])
    watch = Watch(3, 0.01)
    seen = watch.look(values)
    assert watch.settled(0, seen)
    assert watch.decided(0, seen)
    assert not watch.different[2]  # whether the last two differ stays open
    assert watch.beaten(seen).tolist() == [False, True, True]


def test_a_leader_that_none_is_much_better_than_decides_a_study_that_is_not_settled() -> None:
    values = np.random.default_rng(11).normal(size=(3, 10)) + np.array([[1.2], [0], [0]])
    watch = Watch(3, 1.5)
    seen = watch.look(values)
    assert watch.within[0]
    assert not watch.settled(0, seen)
    assert watch.decided(0, seen)


def test_equal_levels_end_as_equivalent() -> None:
    values = np.random.default_rng(12).normal(size=(3, 60))
    watch = Watch(3, 1.5)
    watch.look(values)
    assert watch.equivalent.all()
    assert not watch.different.any()
    wide = Watch(3, 0.05)
    wide.look(values)
    assert not wide.equivalent.any()


def test_watched_after_every_seed_equal_levels_are_hardly_ever_called_different() -> None:
    generator, false, studies = np.random.default_rng(13), 0, 150
    for _ in range(studies):
        values, watch = generator.normal(size=(3, 20)), Watch(3, 0.1)
        for seeds in range(2, 21):
            watch.look(values[:, :seeds])
        false += bool(watch.different.any())
    assert false <= stats.binom.ppf(0.999, studies, 0.05)


def test_real_differences_are_found() -> None:
    generator, found = np.random.default_rng(14), 0
    for _ in range(40):
        watch = Watch(3, 0.1)
        watch.look(generator.normal(size=(3, 15)) + np.array([[3], [0], [0]]))
        found += watch.different.tolist() == [True, True, False]
    assert found >= 36


def test_the_error_of_the_images_is_the_spread_of_differences_over_draws_of_images() -> None:
    generator, errors, means = np.random.default_rng(15), [], []
    for _ in range(300):
        own = generator.uniform(0, 0.5, size=(2, 1, 500))  # how often a level is wrong on an image
        wrong = generator.random(size=(2, 20, 500)) < own
        difference = wrong[1].astype(float) - wrong[0]
        of_images = image_error(difference)
        errors.append(of_images.error)
        means.append((own[1] - own[0]).mean())  # without what the seeds add
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(means), rel=0.15)


def test_where_few_images_differ_their_error_is_known_badly() -> None:
    few, many = np.zeros((5, 1000)), np.zeros((5, 1000))
    few[:, :8] = [1, 1, 1, 1, 1, 1, -1, -1]
    many[:, :600] = np.tile([1, -1], 300)
    assert image_error(few).df < 30 < 500 < image_error(many).df
    assert image_error(few).half_width(0, 1) > 1.96 * image_error(few).error


def test_seeds_and_images_add_like_the_sides_of_a_triangle() -> None:
    of_images = image_error(np.random.default_rng(16).choice([-1, 0, 1], size=(6, 400)) * np.ones((6, 1)))
    alone = of_images.half_width(0.0, 1)
    assert of_images.half_width(0.3, 1) == pytest.approx(math.hypot(0.3, alone))
    assert of_images.half_width(0.0, 6) > alone


def test_one_seed_says_nothing_of_images() -> None:
    assert math.isinf(image_error(np.zeros((1, 50))).half_width(0.0, 1))
    assert image_error(np.zeros((3, 50))).half_width(0.1, 3) == 0.1


@pytest.mark.parametrize(("images", "tested"), [(60, 12), (60, 30)])
def test_the_error_of_redrawn_images_is_that_of_the_images_at_hand(images: int, tested: int) -> None:
    generator, squared = np.random.default_rng(19), []
    for _ in range(400):
        difference = generator.normal(size=images)  # on each image at hand; over all that there are it is 0
        seeds = [generator.choice(difference, tested, replace=False).mean() for _ in range(20)]
        variance = float(np.var(seeds, ddof=1))
        squared.append(image_error_of_redrawn(variance, 19, tested, images - tested).error ** 2)
    assert np.mean(squared) == pytest.approx(1 / images, rel=0.06)


@pytest.mark.parametrize(
    ("images", "margin"),
    [(0, 0.1), (10_000, 0.1), (1800, 0.12), (360, 0.56), (1000, 0.2), (1, 99.99)],
)
def test_the_margin_is_not_finer_than_the_images(images: int, margin: float) -> None:
    """1800: two images are 0.111 points."""
    assert default_margin(images) == margin
    assert images < 2 or margin / 100 >= 2 / images


def test_pairs_stand_in_the_order_of_combinations() -> None:
    assert list(zip(*pair_indices(5), strict=True)) == list(itertools.combinations(range(5), 2))


def test_a_level_is_within_the_margin_of_the_best_if_it_is_of_every_other() -> None:
    values = np.random.default_rng(17).normal(size=(4, 9)) * 0.2 + np.array([[0.5], [0.3], [0], [-0.2]])
    fit, margin, pairs = fit_pairs(values), 0.6, list(itertools.combinations(range(4), 2))

    def evidence(level: int, other: int) -> float:
        pair = pairs.index((min(level, other), max(level, other)))
        ahead = fit.difference[pair] * (1 if level < other else -1)
        if ahead <= -margin:
            return 0.0
        return float(e_values(ahead + margin, fit.seeds[pair], fit.variance[pair], fit.df[pair]))

    least = np.array([min(evidence(a, b) for b in range(4) if a != b) for a in range(4)])
    sets = [s for s in subsets(4) if len(s) <= 3]  # one of the four is the best
    expected = [min(least[list(s)].mean() for s in sets if own in s) for own in range(4)]
    assert look(values, margin).within(np.zeros(4, bool)) == pytest.approx(expected)
    assert expected[0] > ENOUGH > expected[3]


def test_a_beaten_level_of_few_seeds_does_not_keep_the_leader_from_being_within_the_margin() -> None:
    """Images of 10,000 that concat, max, avg and stride of `fast` have right, by seed; stride ends at 4."""
    right = (
        "9931 9929 9920 9928 9922 9909 9916 9916 9929 9925",
        "9923 9920 9913 9922 9916 9914 9913 9915 9924 9930",
        "9916 9909 9923 9924 9919 9917 9916 9918 9919 9916",
        "9902 9890 9901 9900 nan nan nan nan nan nan",
    )
    values = np.array([[float(number) for number in row.split()] for row in right]) / 10_000
    watch, decided = Watch(4, 0.001, 0.0001), []
    for seeds in range(3, 11):
        seen = watch.look(values[:, :seeds])
        decided.append(watch.decided(0, seen))
    assert decided == [False] * 7 + [True]
    assert watch.beaten(seen).tolist() == [False, False, False, True]
    assert seen.within(np.zeros(4, bool))[0] < ENOUGH


def test_what_was_equivalent_stays_equivalent() -> None:
    generator = np.random.default_rng(18)
    early = generator.normal(size=(2, 30)) * 0.1
    watch = Watch(2, 0.5)
    watch.look(early)
    assert watch.equivalent.all()
    assert watch.within.all()
    seen = watch.look(np.concatenate([early, generator.normal(size=(2, 30)) * 9], 1))
    assert (seen.equivalent < ENOUGH).all()
    assert watch.equivalent.all()
    assert watch.within.all()


@pytest.mark.parametrize("levels", range(2, 25))
def test_effects_are_the_means_and_the_residuals_those_of_two_way_tables_however_many_levels(
    levels: int,
) -> None:
    rng = np.random.default_rng(levels)
    for seeds in (2, 3, 7):
        values = rng.normal(0.95, 0.01, (levels, seeds))
        fit = _additive_fit(values)
        effect, residual, df = fit.effect, fit.variance, fit.df
        means = values.mean(1)
        left = values - means[:, None] - values.mean(0) + values.mean()
        assert df == (levels - 1) * (seeds - 1)
        np.testing.assert_allclose(effect, means - means.mean(), atol=1e-12)
        assert residual == pytest.approx((left**2).sum() / df)
