"""Which differences are real: from who was right on which image to a verdict on every pair.

Two questions are told apart. Would another training come out the same way? That is asked over the
seeds, and it alone makes the verdict. Would other test images? That is asked over the images (McNemar).
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cnnkit.comparison.records import BETTER, EQUIVALENT, UNDECIDED, WORSE, PairResult
from cnnkit.stats import (
    LEVEL,
    bootstrap_interval,
    deviation,
    equivalence_test,
    holm,
    mcnemar_test,
    seeds_to_decide,
    sign_flip_test,
    smallest_sign_flip_p,
)


@dataclass(frozen=True)
class Decision:
    """What the seeds say of one pair. p values are corrected for the number of pairs (Holm)."""

    verdict: str
    p_different: float
    p_equivalent: float


def decide(
    differences: Sequence[NDArray[np.float64]], margin: float, resolution: float = 0.0
) -> list[Decision]:
    """A verdict for each pair of a study, from its paired differences (seeds,), fractions.

    resolution: one test image's share, the step in which differences are measured.

    `equivalent`: two one-sided tests put the true difference within ±margin, be it 0 or not. Otherwise
    `better` or `worse`: the sign-flip test rejects a difference of 0. Either holds for all pairs of a
    study together with probability 95 %, each kind for itself.
    """
    different = holm([sign_flip_test(values) for values in differences])
    equivalent = holm([equivalence_test(values, margin, resolution) for values in differences])
    decisions = []
    for values, p_different, p_equivalent in zip(differences, different, equivalent, strict=True):
        if p_equivalent <= LEVEL:
            verdict = EQUIVALENT
        elif p_different <= LEVEL:
            verdict = BETTER if values.mean() > 0 else WORSE
        else:
            verdict = UNDECIDED
        decisions.append(Decision(verdict, p_different, p_equivalent))
    return decisions


def judge_pairs(right: Mapping[str, NDArray[np.bool_]], margin: float) -> list[PairResult]:
    """Every pair of levels. right: per level (seeds, images), which image which seed's training got right.

    margin: as a fraction. Seeds and images are in the same order for every level.
    """
    names = list(itertools.combinations(right, 2))
    differences = [right[a].mean(1) - right[b].mean(1) for a, b in names]
    images = [mcnemar_test(right[a], right[b]) for a, b in names]
    resolution = 1 / next(iter(right.values())).shape[1]
    image_p = holm([test.p for test in images])
    pairs = []
    for i, decision in enumerate(decide(differences, margin, resolution)):
        mean, spread = float(differences[i].mean()), max(deviation(differences[i]), resolution)
        needed = None
        if decision.verdict == UNDECIDED and math.isfinite(spread):
            needed = seeds_to_decide(mean, spread, margin, len(names), len(differences[i]))
        pair = PairResult(
            *names[i],
            difference=bootstrap_interval(differences[i]),
            verdict=decision.verdict,
            p_different=decision.p_different,
            p_equivalent=decision.p_equivalent,
            seeds_needed=needed,
            images=replace(images[i], p=image_p[i]),
        )
        pairs.append(pair)
    return pairs


def fewest_seeds(levels: int) -> int:
    """Seeds below which no pair of so many levels can be called better or worse, whatever comes out."""
    pairs = levels * (levels - 1) // 2
    return next(n for n in itertools.count(2) if smallest_sign_flip_p(n) * pairs <= LEVEL)
