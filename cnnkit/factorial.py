"""Verdicts on studies of several factors: main effects, interactions, and what the winner depends on.

A study trains every combination of the factors' values with the same seeds. Accuracies are (A, B, …, seeds)
float, an axis for each factor, NaN where a combination was not trained with a seed. Each effect is a contrast
of combinations, taken within each seed. All contrasts share the residual variance of combination + seed.

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
from cnnkit.sequential import ENOUGH, Decided, Look, Watch, e_values, evidence_of_room, half_widths, look_at

# Fewer decide nothing. With two seeds a very noisy combination may look calm by chance, and the noise of the
# others is then taken for its own: 8 % of such studies told an effect that is not there.
FEWEST_SEEDS = 3


@dataclass(frozen=True)
class Design:
    """networks: (A, B, …), a number from 0 on for each combination. Equal numbers are one network.

    Such a network is trained once for a seed, and its accuracy stands in all its combinations: `stride` is
    the same before and after its activation. It counts as one training, and its combinations differ by 0.
    """

    networks: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, ...]:
        """How many values each factor has."""
        return self.networks.shape

    def means(self, *factors: int) -> Floats:
        """(values of each of the factors, networks): weights of the mean over all other factors."""
        cells = np.eye(self.networks.max() + 1)[self.networks]
        others = tuple(i for i in range(self.networks.ndim) if i not in factors)
        kept = np.argsort(np.argsort(factors))
        return np.asarray(np.transpose(cells.mean(others), (*kept, len(factors))))

    def main(self, factor: int) -> Floats:
        """(pairs, networks): differences of a factor's marginal means."""
        return self._pairs(self.means(factor))

    def simple(self, factor: int, given: int) -> Floats:
        """(pairs, values of the other factor, networks): the same at each value of another factor."""
        return self._pairs(self.means(factor, given))

    def interaction(self, factor: int, other: int) -> Floats:
        """(pairs × pairs of the other factor, networks): differences of those differences."""
        apart = self._pairs(self.simple(factor, other).swapaxes(0, 1)).swapaxes(0, 1)
        return apart.reshape(-1, apart.shape[-1])

    @staticmethod
    def _pairs(of_values: Floats) -> Floats:
        first, second = pair_indices(len(of_values))
        return np.asarray(of_values[first] - of_values[second])

    def of_networks(self, accuracies: ArrayLike) -> Floats:
        """(A, B, …, seeds) -> (networks, seeds): each training once."""
        values = np.asarray(accuracies, float)
        _, first = np.unique(self.networks, return_index=True)
        return np.asarray(values.reshape(-1, values.shape[-1])[first])


@dataclass(frozen=True)
class Effects:
    """What one look tells of a family of contrasts. different, equivalent: evidence, closed over the family.

    half_width, near_half_width: of intervals that decide as these do; see `Look`.
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
        near = evidence_of_room(fit, self.margin - np.abs(fit.difference))
        closed = closed_over_subsets(evidence), closed_over_subsets(near)
        self.evidence, self.near = np.maximum(self.evidence, closed[0]), np.maximum(self.near, closed[1])
        return Effects(fit, *closed, *half_widths(fit, (evidence, near), closed))


class Dependence:
    """Whether the winner among a factor's values depends on another factor.

    Yes: no value is best at every value of the other factor, called a place here: each is beaten in some
    place. No: one value is in no place worse than any other by the margin or more. Both may be true, where
    the winner changes by less than the margin.
    """

    def __init__(self, levels: int, places: int, margin: float) -> None:
        self.levels, self.places, self.margin = levels, places, margin
        self.beaten_somewhere, self.best_anywhere = np.zeros(self.levels), np.zeros(self.levels)

    def look(self, fit: Fit) -> None:
        """fit: of the differences in `Design.simple`, flat.

        The evidence against "this value is best everywhere" is the mean, over all other values and places, of
        the evidence that the other one beats it there. So a value that is best everywhere is called beaten in
        at most 5 % of studies; "no value is best everywhere" is wrong only where that happens.
        """
        worse = self._against(evidence_of_room(fit, -fit.difference), evidence_of_room(fit, fit.difference))
        others = self.places * (self.levels - 1)
        self.beaten_somewhere = np.maximum(self.beaten_somewhere, worse.sum((1, 2)) / others)
        room = self.margin + fit.difference, self.margin - fit.difference
        near = self._against(*(evidence_of_room(fit, one) for one in room))
        near[np.eye(self.levels, dtype=bool)] = np.inf
        self.best_anywhere = np.maximum(self.best_anywhere, closed_over_subsets(near.min((1, 2))))

    def _against(self, first: Floats, second: Floats) -> Floats:
        """(levels, levels, places): evidence on a level, against each other one. first, second: of pairs."""
        table = np.zeros((self.levels, self.levels, self.places))
        one, other = pair_indices(self.levels)
        table[one, other] = first.reshape(-1, self.places)
        table[other, one] = second.reshape(-1, self.places)
        return table

    @property
    def yes(self) -> bool:
        return bool(self.beaten_somewhere.min() >= ENOUGH)

    @property
    def anywhere(self) -> Bools:
        """(levels,): whether a value is nowhere worse than another by the margin or more."""
        return np.asarray(self.best_anywhere >= ENOUGH)

    @property
    def no(self) -> bool:
        return bool(self.anywhere.any())

    @property
    def decided(self) -> bool:
        return self.yes or self.no


@dataclass(frozen=True)
class FactorialLook:
    """What one look tells: of each factor, of each two factors, and of the first at each value of another.

    simple: fits of `Design.simple`, flat. networks: the effect of each, mean 0.
    """

    networks: Floats
    main: list[Look]
    interactions: dict[tuple[int, int], Effects]
    simple: dict[int, Fit]


def _part(fit: Fit, of: slice) -> Fit:
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
        twos = {pair: two.look(next(parts)) for pair, two in self.interactions.items()}
        simple = {given: next(parts) for given in self.dependence}
        for given, question in self.dependence.items():
            question.look(simple[given])
        self._main_looks = main
        return FactorialLook(fit.effect, main, twos, simple)

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
