"""Verdicts on studies of several factors: main effects, interactions, and what the winner depends on.

A study trains every combination of the factors' values with the same seeds. Accuracies are (A, B, …, seeds)
float, an axis for each factor, NaN where a combination was not trained with a seed. Each effect is a contrast
of combinations, a weighted sum with weights of sum 0, taken within each seed. All contrasts share the
residual variance of combination + seed: see `cnnkit.additive`. The effects are those of a factorial design:
Box, Hunter & Hunter, "Statistics for Experimenters", 2005, chapter 5.

An example in percent, a pooling and a dropout, the means over the seeds:

                 dropout 0   dropout 0.5
        max         90           94
        avg         91           91

- The main effect of the pooling, max minus avg, is the difference of the row means: 92 - 91 = 1.
- The simple effects are that difference in each column: -1 without dropout, 3 with it.
- The interaction is the difference of these: -1 - 3 = -4. It is 0 where dropout changes both alike.
- The winner depends on the dropout if evidence is enough that avg is better in the first column, and max in
  the second. It does not if one pooling is in no column worse than the other by the margin or more.

Evidence is as in `cnnkit.sequential`: it may be looked at after every seed. Each question is answered wrongly
in at most 5 % of studies. The questions are: the main effects of one factor, the interactions of two factors,
and whether the winner depends on a factor, once for yes and once for no. The 5 % hold for all contrasts of a
question together.

Where a training of a combination failed, its other trainings do not stand for it: an answer that rests on it
is "not known", whatever the evidence.
"""

import itertools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnnkit.additive import Bools, Fit, Floats, fit_contrasts
from cnnkit.closed_testing import closed_over_subsets, pair_indices
from cnnkit.sequential import ENOUGH, Decided, Look, Watch, e_values, evidence_above, half_widths, look_at

# Fewer decide nothing. With two seeds a very noisy combination may look calm by chance, and the noise of the
# others is then taken for its own: 8 % of such studies told an effect that is not there.
FEWEST_SEEDS = 3


@dataclass(frozen=True)
class Design:
    """Which combinations there are, and the contrasts of them that answer a question.

    networks: (A, B, …), a number from 0 on for each combination. Equal numbers are one network: it is trained
    once for a seed, and its accuracy stands in all its combinations. `stride`, for example, is the same
    before and after its activation. It counts as one training, and its combinations differ by 0. Contrasts
    are rows of weights, one for each network.
    """

    networks: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, ...]:
        """How many values each factor has."""
        return self.networks.shape

    def means(self, *factors: int) -> Floats:
        """(values of each of the factors, networks): weights of the mean over all other factors.

        In the example, its networks numbered row by row, `means(0)` is ½ ½ 0 0 for max, 0 0 ½ ½ for avg.
        """
        combinations = np.eye(self.networks.max() + 1)[self.networks]  # (A, B, …, networks): 1 at its own
        others = tuple(i for i in range(self.networks.ndim) if i not in factors)
        given_order = np.argsort(np.argsort(factors))  # `mean` leaves the axes in the order of the design
        return np.asarray(np.transpose(combinations.mean(others), (*given_order, len(factors))))

    def main(self, factor: int) -> Floats:
        """(pairs, networks): main effects, the differences of a factor's marginal means."""
        return self._pairs(self.means(factor))

    def simple(self, factor: int, given: int) -> Floats:
        """(pairs, values of the other factor, networks): the same at each value of another factor."""
        return self._pairs(self.means(factor, given))

    def interaction(self, factor: int, other: int) -> Floats:
        """(pairs × pairs of the other factor, networks): differences of those differences.

        Row i · (pairs of the other factor) + j is pair i of the factor, and pair j of the other.
        """
        differences = self._pairs(self.simple(factor, other).swapaxes(0, 1)).swapaxes(0, 1)
        return differences.reshape(-1, differences.shape[-1])

    @staticmethod
    def _pairs(of_values: Floats) -> Floats:
        """(values, …) -> (pairs, …): the first of each pair minus the second."""
        first, second = pair_indices(len(of_values))
        return np.asarray(of_values[first] - of_values[second])

    def of_networks(self, accuracies: ArrayLike) -> Floats:
        """(A, B, …, seeds) -> (networks, seeds): each training once."""
        values = np.asarray(accuracies, float)
        _, first = np.unique(self.networks, return_index=True)
        return np.asarray(values.reshape(-1, values.shape[-1])[first])


@dataclass(frozen=True)
class Effects:
    """What one look tells of a family of contrasts, (contrasts,) each; see `Look`, which tells it of pairs.

    different, equivalent: evidence, closed over the family. half_width, near_half_width: of intervals that
    decide as these do.
    """

    fit: Fit
    different: Floats
    equivalent: Floats
    half_width: Floats
    near_half_width: Floats


class Interactions(Decided):
    """Interactions of two factors, in the order of `Design.interaction`; what is decided stays decided."""

    def __init__(self, contrasts: int, margin: float) -> None:
        self.margin = margin
        self.evidence, self.near = np.zeros(contrasts), np.zeros(contrasts)

    def look(self, fit: Fit) -> Effects:
        """fit: of the interactions."""
        evidence = e_values(fit.difference, fit.seeds, fit.variance, fit.df)
        near = evidence_above(fit, self.margin - np.abs(fit.difference))
        different, equivalent = closed_over_subsets(evidence), closed_over_subsets(near)
        self.evidence, self.near = np.maximum(self.evidence, different), np.maximum(self.near, equivalent)
        widths = half_widths(fit, (evidence, near), (different, equivalent))
        return Effects(fit, different, equivalent, *widths)


class Dependence:
    """Whether the winner among a factor's values, called levels here, depends on another factor.

    Each value of the other factor is called a place. Yes: each level is beaten in some place, so none is best
    everywhere. No: one level is in no place worse than any other by the margin or more. Both may be true,
    where the winner changes by less than the margin.

    beaten_somewhere: (levels,), the most evidence there was that a level is beaten in some place.
    best_anywhere: (levels,), the most there was that it is in no place worse by the margin or more.
    """

    def __init__(self, levels: int, places: int, margin: float) -> None:
        self.levels, self.places, self.margin = levels, places, margin
        self.beaten_somewhere, self.best_anywhere = np.zeros(self.levels), np.zeros(self.levels)

    def look(self, fit: Fit) -> None:
        """fit: of the differences in `Design.simple`, flat: (pairs · places,).

        The evidence against "this level is best everywhere" is the mean, over all other levels and places, of
        the evidence that the other one beats it there. So a level that is best everywhere is called beaten in
        at most 5 % of studies; "no level is best everywhere" is wrong only where that happens.
        The evidence for "nowhere worse by the margin" is the smallest over all other levels and places.
        """
        lead, others = fit.difference, self.places * (self.levels - 1)
        beaten = self._each_level(evidence_above(fit, -lead), evidence_above(fit, lead))
        self.beaten_somewhere = np.maximum(self.beaten_somewhere, beaten.sum((1, 2)) / others)
        near = self._each_level(
            evidence_above(fit, self.margin + lead), evidence_above(fit, self.margin - lead)
        )
        near[np.eye(self.levels, dtype=bool)] = np.inf  # a level and itself
        self.best_anywhere = np.maximum(self.best_anywhere, closed_over_subsets(near.min((1, 2))))

    def _each_level(self, of_first: Floats, of_second: Floats) -> Floats:
        """(levels, levels, places): evidence on each level beside each other one; 0 beside itself.

        of_first, of_second: (pairs · places,), on the first level of each pair, and on the second.
        """
        table = np.zeros((self.levels, self.levels, self.places))
        first, second = pair_indices(self.levels)
        table[first, second] = of_first.reshape(-1, self.places)
        table[second, first] = of_second.reshape(-1, self.places)
        return table

    @property
    def yes(self) -> bool:
        """Whether the winner depends on the other factor."""
        return bool(self.beaten_somewhere.min() >= ENOUGH)

    @property
    def anywhere(self) -> Bools:
        """(levels,): whether a level is in no place worse than another by the margin or more."""
        return np.asarray(self.best_anywhere >= ENOUGH)

    @property
    def no(self) -> bool:
        """Whether it does not depend on it."""
        return bool(self.anywhere.any())

    @property
    def decided(self) -> bool:
        return self.yes or self.no


@dataclass(frozen=True)
class FactorialLook:
    """What one look tells: of each factor, of each two factors, and of the first at each value of another.

    networks: (networks,), the effect of each; their mean is 0. main: for each factor. interactions: by two
    factors. simple: by the other factor, fits of `Design.simple`, flat.
    """

    networks: Floats
    main: list[Look]
    interactions: dict[tuple[int, int], Effects]
    simple: dict[int, Fit]


def _part(fit: Fit, of: slice) -> Fit:
    """Some of the contrasts."""
    return Fit(fit.effect, fit.difference[of], fit.seeds[of], fit.variance[of], fit.df[of])


class FactorialWatch:
    """The verdicts of a study of two factors or more after each look. margin: a fraction.

    main: a watch over each factor's marginal means. interactions: of each two factors. dependence: whether
    the winner of the first factor depends on each of the others.
    """

    def __init__(self, design: Design, margin: float, resolution: float = 0.0) -> None:
        self.design, self.resolution = design, resolution
        factors = range(len(design.shape))
        self.main = [Watch(levels, margin, resolution) for levels in design.shape]
        weights = [design.main(factor) for factor in factors]
        self.interactions: dict[tuple[int, int], Interactions] = {}
        for pair in itertools.combinations(factors, 2):
            weights.append(design.interaction(*pair))
            self.interactions[pair] = Interactions(len(weights[-1]), margin)
        self.dependence: dict[int, Dependence] = {}
        for given in factors[1:]:
            weights.append(design.simple(0, given).reshape(-1, weights[0].shape[1]))
            self.dependence[given] = Dependence(design.shape[0], design.shape[given], margin)
        self._means = [design.means(factor) for factor in factors]
        # One fit for all contrasts, in the order in which `look` takes its parts out again.
        self._weights, self._ends = np.concatenate(weights), np.cumsum([len(part) for part in weights])
        self._main_looks: list[Look] = []
        self.failed = np.zeros(design.shape, bool)

    def look(self, accuracies: ArrayLike, failed: Bools | None = None) -> FactorialLook:
        """Takes in the accuracies so far. failed: (A, B, …), combinations of which a training failed."""
        self.failed = np.zeros(self.design.shape, bool) if failed is None else failed
        fit = fit_contrasts(self.design.of_networks(accuracies), self._weights, self.resolution)
        fit = replace(fit, df=np.where(fit.seeds < FEWEST_SEEDS, 0, fit.df))
        parts = (_part(fit, slice(*ends)) for ends in zip([0, *self._ends], self._ends, strict=False))
        main = []
        for watch, means in zip(self.main, self._means, strict=True):
            of_factor = replace(next(parts), effect=means @ fit.effect)
            main.append(watch.take(look_at(of_factor, watch.margin)))
        interactions = {pair: two.look(next(parts)) for pair, two in self.interactions.items()}
        simple = {given: next(parts) for given in self.dependence}
        for given, question in self.dependence.items():
            question.look(simple[given])
        self._main_looks = main
        return FactorialLook(fit.effect, main, interactions, simple)

    def failing(self, factor: int) -> Bools:
        """(values of the factor,): whether a training of a combination with the value failed."""
        others = tuple(i for i in range(self.failed.ndim) if i != factor)
        return np.asarray(self.failed.any(others))

    def leader(self, factor: int) -> int:
        """The value with the best marginal mean, among those that are not beaten and did not fail."""
        return self.main[factor].leader(self._main_looks[factor], self.failing(factor))

    @property
    def decided(self) -> bool:
        """Whether the leaders of all factors are known, and whether that of the first depends on the others.

        Where a combination failed, the second is never known, and further seeds would not help.
        """
        if not self._main_looks:
            return False
        known = [
            watch.decided(self.leader(factor), self._main_looks[factor])
            for factor, watch in enumerate(self.main)
        ]
        depends = all(question.decided for question in self.dependence.values())
        return all(known) and bool(depends or self.failed.any())
