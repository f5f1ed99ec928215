"""A value of a key, by accuracy and by the metric that decides."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cnnkit.records import Record
from cnnkit.stats import Interval, mean_interval

if TYPE_CHECKING:
    from typing_extensions import Self


class Compared(Record):
    """A value of a key. accuracies: one for each of its seeds.

    scores: the same of the study's metric, where that is not accuracy.
    """

    accuracy: Interval
    accuracies: list[float]
    score: Interval | None
    scores: list[float]

    @property
    def compared(self) -> Interval:
        """Over the seeds: of the metric that decides."""
        return self.score or self.accuracy

    @property
    def values(self) -> list[float]:
        """One for each seed, of the metric that decides."""
        return self.scores or self.accuracies

    def with_scores(self, scores: NDArray[np.float64], resolution: float) -> "Self":
        """scores: one for each of its seeds. resolution: one test image's share."""
        interval = mean_interval(scores, resolution).clipped()
        return replace(self, score=interval, scores=scores.tolist())  # type: ignore[type-var]
