"""Level + seed, fitted to the accuracies of a study: differences between levels, and their noise.

The model of a two-way analysis without interaction: the accuracy of level i with seed j is

    accuracy[i, j] = mean + effect[i] + seed[j] + noise[i, j]

A seed draws the same weights, order and split for every level, so what it adds drops out of differences.
Three levels with two seeds, in percent:

              seed 0  seed 1                      minus the mean of the seed
        max     90      93                              2       4
        avg     88      89                              0       0
        stride  86      85                             -2      -4

`effect` is the mean of each row on the right: 3, 0, -3. What it leaves, such as 2 - 3 and 4 - 3, are the
residuals. Their squares, 1 + 1 + 0 + 0 + 1 + 1 = 4, divided by (3 - 1) · (2 - 1) = 2 degrees of freedom, give
the variance of one training, 2. A difference of two levels has twice as much, 4. But max and stride differ by
4 and by 8: that alone is a variance of 8, and where a pair shows more than the study, its own counts.
"""

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
    """What the accuracies so far tell of each pair of levels, or of other contrasts: weighted sums of levels.

    effect: (levels,), by the additive fit; their mean is 0. NaN for a level without an accuracy.
    difference: (contrasts,), the weighted sum, for a pair the first level minus the second: its mean over the
    seeds that have all its levels; NaN where there are none. seeds: (contrasts,), how many these are.
    variance: (contrasts,), of the weighted sum within one seed. df: (contrasts,), its degrees of freedom.
    """

    effect: Floats
    difference: Floats
    seeds: NDArray[np.int64]
    variance: Floats
    df: NDArray[np.int64]


def fit_pairs(accuracies: ArrayLike, resolution: float = 0.0) -> Fit:
    """Every pair of levels. accuracies: (levels, seeds), NaN where there is none. See `fit_contrasts`."""
    values = np.asarray(accuracies, float)
    return fit_contrasts(values, pair_weights(len(values)), resolution)


def fit_contrasts(values: Floats, weights: Floats, resolution: float = 0.0) -> Fit:
    """Level + seed, fitted by least squares. The variance comes from all levels but the wild ones.

    values: (levels, seeds), accuracies, NaN where there is none. weights: (contrasts, levels), of sum 0, such
    as 1 and -1 for a pair. A seed counts for a contrast where it has all the levels that the contrast weighs.
    The variance of a contrast is the residual variance times the sum of its squared weights. It is at least
    what the contrast itself shows, because one level may be noisier than the others, and at least that of a
    pair that differs by `resolution`, one test image's share.
    """
    known = np.isfinite(values)
    by_seed = np.where((weights != 0) @ ~known, np.nan, weights @ np.where(known, values, 0.0))
    seeds = np.isfinite(by_seed).sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.nansum(by_seed, 1) / np.where(seeds, seeds, np.nan)
        own = np.nansum((by_seed - means[:, None]) ** 2, 1) / np.where(seeds > 1, seeds - 1, np.nan)
    own_variance = np.nan_to_num(own)  # 0 with fewer than two seeds: the others' then counts
    fit = _additive_fit(values)
    calm = _without_wild(values, fit)
    squared_weights = (weights**2).sum(1)  # 2 for a pair
    of_all = squared_weights * calm.variance
    variance = np.maximum(np.maximum(of_all, own_variance), squared_weights / 2 * resolution**2)
    noisy = own_variance > NOISY * squared_weights * calm.variance
    return Fit(fit.effect, means, seeds, variance, np.where(noisy, np.minimum(seeds - 1, calm.df), calm.df))


class Additive(NamedTuple):
    """The fit of level + seed. effect: (levels,). residuals: (levels, seeds), 0 where there is no value.

    df: degrees of freedom of the residuals.
    """

    effect: Floats
    residuals: Floats
    df: int

    @property
    def squares(self) -> float:
        """The sum of the squared residuals."""
        return float((self.residuals**2).sum())

    @property
    def variance(self) -> float:
        """Of one training."""
        return self.squares / self.df if self.df else 0.0


def _additive_fit(values: Floats) -> Additive:
    """values: (levels, seeds) with NaN. Subtracts the mean of each seed, then solves for the levels alone.

    The normal equations of the two-way model, with the seeds eliminated, are N · effect = row sums of the
    centred values: Searle, "Linear Models", 1971, chapter 7. N[i, i] begins as the number of seeds of level
    i; each seed then takes 1 / (the levels that it has) from N[i, k], for all i and k of these. The equations
    fix effects only up to a constant, so N has an eigenvalue 0, and its pseudo-inverse solves them.
    """
    there = np.isfinite(values)
    there &= there.sum(0) > 1  # a seed of one level alone says nothing of differences
    centred = _centred(values, there)
    share = there / np.maximum(there.sum(0), 1)
    normal = np.diag(there.sum(1)).astype(float) - there.astype(float) @ share.T
    eigenvalues, directions = np.linalg.eigh(normal)  # one is 0 for each group of levels that share no seed
    known = eigenvalues > NO_DIRECTION * max(eigenvalues[-1], 1.0)
    directions, eigenvalues = directions[:, known], eigenvalues[known]
    effect = directions @ (directions.T @ centred.sum(1) / eigenvalues)
    residuals = centred - _centred(np.broadcast_to(effect[:, None], values.shape), there)
    df = int(there.sum() - there.any(0).sum() - known.sum())
    return Additive(np.where(there.any(1), effect, np.nan), residuals, max(df, 0))


def _without_wild(values: Floats, fit: Additive) -> Additive:
    """The fit without wild levels, whose noise is far larger than that of the others.

    A level that fails to learn with some seeds would otherwise hide all differences between the others. While
    there are three levels or more, an F test compares the noisiest with the rest. It is wild, and left out,
    if p times the number of levels, of which it is the noisiest, is below `BY_CHANCE`.
    """
    from scipy.special import fdtrc

    while len(values) > 2:
        noise = (fit.residuals**2).sum(1) / np.maximum(np.isfinite(values).sum(1) - 1, 1)
        others = np.delete(values, int(np.argmax(noise)), 0)
        of_others = _additive_fit(others)
        ratio, *df = _noise_ratio(fit, of_others)
        if ratio == 0 or fdtrc(*df, ratio) * len(values) >= BY_CHANCE:
            break
        values, fit = others, of_others
    return fit


def _noise_ratio(fit: Additive, of_others: Additive) -> tuple[float, int, int]:
    """(F, its two degrees of freedom): the variance that one more level adds, divided by that of the others.

    A variance is the sum of squared residuals divided by its degrees of freedom. F is 0 where one has none.
    """
    added = fit.df - of_others.df
    if added < 1 or of_others.variance == 0:
        return 0.0, 0, 0
    return (fit.squares - of_others.squares) / added / of_others.variance, added, of_others.df


def _centred(values: Floats, there: Bools) -> Floats:
    """(levels, seeds): minus the mean of the seed. there: which values count; the others become 0."""
    known = np.where(there, values, 0.0)
    return np.where(there, known - known.sum(0) / np.maximum(there.sum(0), 1), 0.0)
