"""Whether a network is right as often as it says: its answers by confidence, and what the gap amounts to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from cnnkit.calibrator import Calibrator, UniformShare
from cnnkit.records import Record

BINS = 15  # of equal width, as Guo et al. have them
CHANCE_DRAWS = 200  # simulated splits
Share = Annotated[float, Field(ge=0, le=1.000001)]  # a mean of float32 confidences may round beyond 1


@dataclass(frozen=True)
class ConfidenceBin(Record):
    """Images of similar confidence: how many, their mean confidence, and which share of them was right."""

    images: Annotated[int, Field(ge=1)]
    confidence: Share
    accuracy: Share


@dataclass(frozen=True)
class Calibration(Record):
    """Whether a network is right as often as it says, on a split. Errors are fractions.

    temperature, uniform_share: as in `Calibrator`; None and 0 where none was fitted. error, bins: with them.
    error_before, bins_before: of the network as it was trained. error_by_chance: what a perfectly calibrated
    network of the same confidences would have on average, on as many images.
    """

    temperature: Annotated[float, Field(gt=0)] | None
    error: Share
    error_before: Share
    error_by_chance: Share
    bins: Annotated[list[ConfidenceBin], Field(min_length=1)]
    bins_before: Annotated[list[ConfidenceBin], Field(min_length=1)]
    uniform_share: UniformShare = 0.0


def calibration_of(
    confidences: ArrayLike, before: ArrayLike, right: ArrayLike, calibrator: Calibrator
) -> Calibration:
    """confidences, before: (images,), with the calibrator and without. right: (images,) bool."""
    bins, bins_before = confidence_bins(confidences, right), confidence_bins(before, right)
    return Calibration(
        temperature=calibrator.temperature,
        error=calibration_error(bins),
        error_before=calibration_error(bins_before),
        error_by_chance=error_by_chance(confidences),
        bins=bins,
        bins_before=bins_before,
        uniform_share=calibrator.uniform_share,
    )


def confidence_bins(confidences: ArrayLike, right: ArrayLike) -> list[ConfidenceBin]:
    """Images sorted into `BINS` equally wide bins of confidence, without the empty ones.

    confidences: (images,), the probability of each answer. right: (images,) bool.
    """
    values, index = _sorted_in(confidences)
    columns = (np.ones_like(values), values, np.asarray(right, float))
    sums = zip(*(np.bincount(index, column, BINS) for column in columns), strict=True)
    return [ConfidenceBin(int(n), float(c / n), float(r / n)) for n, c, r in sums if n]


def calibration_error(bins: Sequence[ConfidenceBin]) -> float:
    """Mean |confidence - accuracy| over bins, weighted by their images.

    Guo et al., "On calibration of modern neural networks", ICML 2017, equation 3.
    """
    gaps = [held.images * abs(held.confidence - held.accuracy) for held in bins]
    return sum(gaps) / sum(held.images for held in bins)


def error_by_chance(confidences: ArrayLike) -> float:
    """The `calibration_error` that a perfectly calibrated network of these confidences has on average.

    It is not 0, because few images fall into a bin. Mean of `CHANCE_DRAWS` simulated splits, in which each
    answer is right with the probability of its confidence: Bröcker & Smith, "Increasing the reliability of
    reliability diagrams", Weather and Forecasting 2007. The same on every call.
    """
    values, index = _sorted_in(confidences)
    generator, gaps = np.random.default_rng(0), 0.0
    for _ in range(CHANCE_DRAWS):
        right = generator.random(len(values)) < values
        gaps += float(np.abs(np.bincount(index, values - right, BINS)).sum())
    return gaps / CHANCE_DRAWS / len(values)


def _sorted_in(confidences: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(images,) confidences, unknown ones as 0, and the number of the bin of each."""
    values = np.nan_to_num(np.asarray(confidences, np.float64))
    return values, np.minimum((values * BINS).astype(np.int64), BINS - 1)
