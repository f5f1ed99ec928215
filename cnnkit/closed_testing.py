"""Evidence for many hypotheses at once: what is left of each if all are tested together.

Of levels a, b, … all pairs are those of `itertools.combinations(range(levels), 2)`, in that order.
"""

import functools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

EXACT_LEVELS = 8  # there are 4,140 partitions of eight levels, and 21,147 of nine


@functools.cache
def pair_indices(levels: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    first, second = np.triu_indices(levels, 1)
    return first, second


def pair_weights(levels: int) -> Floats:
    """(pairs, levels): 1 for the first of a pair, -1 for the second."""
    first, second = pair_indices(levels)
    return np.asarray(np.eye(levels)[first] - np.eye(levels)[second])


def partitions(levels: int) -> Iterator[list[int]]:
    """Every way to put levels into groups, as a group's number for each level."""

    def extended(start: list[int]) -> Iterator[list[int]]:
        if len(start) == levels:
            yield start
            return
        for group in range(max(start, default=-1) + 2):
            yield from extended([*start, group])

    return extended([])


@functools.cache
def joined_pairs(levels: int) -> Bools:
    """(hypotheses, pairs): which pairs each hypothesis calls equal. One hypothesis is one partition."""
    first, second = pair_indices(levels)
    groups = np.array(list(partitions(levels)))
    joined = groups[:, first] == groups[:, second]
    return np.asarray(joined[joined.any(1)])


def closed_over_partitions(evidence: Floats, levels: int) -> tuple[Floats, Floats]:
    """Evidence against each hypothesis, and for each pair what is left if all are tested together.

    The evidence against a hypothesis is the mean over the pairs that it calls equal. What is left for a pair
    is the smallest evidence of all hypotheses that call it equal: Vovk & Wang, "E-values: calibration,
    combination and applications", Annals of Statistics 2021. With more than `EXACT_LEVELS` levels all sets of
    pairs are taken instead. That gives less evidence, so a study decides later, but no more often wrongly.
    """
    if levels > EXACT_LEVELS:
        return evidence, closed_over_subsets(evidence)
    joined = joined_pairs(levels)
    means = joined @ evidence / joined.sum(1)
    return means, np.where(joined, means[:, None], np.inf).min(0)


def closed_over_subsets(evidence: Floats, largest: int | None = None) -> Floats:
    """For each hypothesis: the smallest mean evidence of any set of hypotheses that it is in.

    largest: how many hypotheses a set has at most; None: all.
    """
    size = np.arange(1, len(evidence) + 1)
    rank = np.argsort(evidence, kind="stable")
    ascending = evidence[rank]
    sums = np.cumsum(ascending)
    before = ascending[:, None] + np.concatenate([[0.0], sums[:-1]])  # of a set: this one and the smallest
    means = np.where(size <= size[:, None], before, sums) / size
    closed = np.empty(len(evidence))
    closed[rank] = means[:, : largest or len(evidence)].min(1)
    return closed
