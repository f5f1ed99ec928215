"""Level + seed, fitted to the accuracies of a study: differences between levels, and their noise."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnnkit.closed_testing import pair_weights

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

NOISY = 1.1  # times the common variance; a pair with more has its own degrees of freedom
BY_CHANCE = 0.001  # the share of studies with equal noise in which a level is called wild
NO_DIRECTION = 1e-9  # times the largest eigenvalue: smaller ones are rounding errors (1e-15, 12 levels)


@dataclass(frozen=True)
class Fit:
    """What a look at the accuracies knows of each pair, or of other contrasts of levels.

    effect: of each level, by the additive fit; their mean is 0. NaN for a level without an accuracy.
    difference: first minus second, the mean over the seeds that both have; NaN where there are none.
    seeds: how many seeds both have. variance: of the difference between two trainings with the same seed.
    df: its degrees of freedom.
    """

    effect: Floats
    difference: Floats
    seeds: NDArray[np.int64]
    variance: Floats
    df: NDArray[np.int64]


def fit_pairs(accuracies: ArrayLike, resolution: float = 0.0) -> Fit:
    """Every pair of levels."""
    values = np.asarray(accuracies, float)
    return fit_contrasts(values, pair_weights(len(values)), resolution)


def fit_contrasts(values: Floats, weights: Floats, resolution: float = 0.0) -> Fit:
    """Level + seed, fitted by least squares. The variance comes from all levels but the wild ones.

    weights: (contrasts, levels), of sum 0, such as 1 and -1 for a pair. A seed counts for a contrast where
    it has all the levels that the contrast weighs. The variance of a contrast is the residual variance times
    the sum of its squared weights. It is at least what the contrast itself shows, because one level may be
    noisier than the others, and at least that of a pair that differs by `resolution`, one test image's share.
    """
    known = np.isfinite(values)
    differences = np.where((weights != 0) @ ~known, np.nan, weights @ np.where(known, values, 0.0))
    seeds = np.isfinite(differences).sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.nansum(differences, 1) / np.where(seeds, seeds, np.nan)
        own = np.nansum((differences - means[:, None]) ** 2, 1) / np.where(seeds > 1, seeds - 1, np.nan)
    fit = _additive_fit(values)
    tame = _without_wild(values, fit)
    residual, df = tame.variance, tame.df
    own, scale = np.nan_to_num(own), (weights**2).sum(1)
    noisy = own > NOISY * scale * residual
    variance = np.maximum(np.maximum(scale * residual, own), scale / 2 * resolution**2)
    return Fit(fit.effect, means, seeds, variance, np.where(noisy, np.minimum(seeds - 1, df), df))


class Additive(NamedTuple):
    """Level + seed. effect: of each level. left: (levels, seeds), residuals. df: their degrees of freedom."""

    effect: Floats
    left: Floats
    df: int

    @property
    def squares(self) -> float:
        return float((self.left**2).sum())

    @property
    def variance(self) -> float:
        return self.squares / self.df if self.df else 0.0


def _additive_fit(values: Floats) -> Additive:
    """Subtracts the mean of each seed; what is left are equations for the levels alone."""
    there = np.isfinite(values)
    there &= there.sum(0) > 1  # a seed of one level alone says nothing of differences
    centred = _centred(values, there)
    share = there / np.maximum(there.sum(0), 1)
    normal = np.diag(there.sum(1)).astype(float) - there.astype(float) @ share.T
    eigenvalues, directions = np.linalg.eigh(normal)  # one is 0 for each group of levels that share no seed
    known = eigenvalues > NO_DIRECTION * max(eigenvalues[-1], 1.0)
    directions, eigenvalues = directions[:, known], eigenvalues[known]
    effect = directions @ (directions.T @ centred.sum(1) / eigenvalues)
    left = centred - _centred(np.broadcast_to(effect[:, None], values.shape), there)
    df = int(there.sum() - there.any(0).sum() - known.sum())
    return Additive(np.where(there.any(1), effect, np.nan), left, max(df, 0))


def _without_wild(values: Floats, fit: Additive) -> Additive:
    """The fit without wild levels, whose noise is far larger than that of the others.

    A level that fails to learn with some seeds would otherwise hide all differences between the others. While
    there are three levels or more, the noisiest is tested against the rest, and left out if it is wild.
    """
    from scipy.special import fdtrc

    while len(values) > 2:
        noisiest = int(np.argmax((fit.left**2).sum(1) / np.maximum(np.isfinite(values).sum(1) - 1, 1)))
        others = np.delete(values, noisiest, 0)
        of_others = _additive_fit(others)
        ratio, *df = _noise_ratio(fit, of_others)
        if ratio == 0 or fdtrc(*df, ratio) * len(values) >= BY_CHANCE:
            break
        values, fit = others, of_others
    return fit


def _noise_ratio(fit: Additive, of_others: Additive) -> tuple[float, int, int]:
    """(F, its degrees of freedom): the residual variance of one more level, divided by that of the others."""
    added = fit.df - of_others.df
    if added < 1 or of_others.variance == 0:
        return 0.0, 0, 0
    return (fit.squares - of_others.squares) / added / of_others.variance, added, of_others.df


def _centred(values: Floats, there: Bools) -> Floats:
    """(levels, seeds): minus the mean of the seed, 0 where there is no value."""
    known = np.where(there, values, 0.0)
    return np.where(there, known - known.sum(0) / np.maximum(there.sum(0), 1), 0.0)
