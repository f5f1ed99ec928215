"""What a study can show at all: differences that its test images, and its seeds, can tell from chance."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnnkit.additive import Fit
from cnnkit.image_error import DISAGREE, assumed_error, least_of_images
from cnnkit.records import Record
from cnnkit.scores import ACCURACY, METRICS
from cnnkit.sequential import SHARE, least_decided
from cnnkit.words import listed

if TYPE_CHECKING:
    from cnnkit.comparison.pair_records import PairResult

FEWEST_SEEDS = 3  # with fewer, too little is known of the noise
FEW_OF_A_CLASS = 20  # test images: the standard error of a recall is then 5 to 11 points
SHARE_TOLD = "in two of three studies"


@dataclass(frozen=True)
class CanTell(Record):
    """The smallest differences that are found in two of three studies, as fractions.

    A difference of half the size is found in one of three studies at most.
    images: so that it holds for other images, too: found with these test images and any number of seeds, if
    two values disagree on `DISAGREE` of them; None: the images are not known. images_seen: the same, with the
    disagreement that was seen; None with fewer than two seeds. seeds: found with `most_seeds` seeds, with the
    noise so far; None with fewer than three.
    """

    images: float | None
    images_seen: float | None
    seeds: float | None
    most_seeds: int


class ImagesOfSeed(NamedTuple):
    """The images of a seed: how many, of which pool (0: all seeds have the same ones), and `image_share`."""

    images: int
    pool: int
    share: float

    def least(self, values: Iterable[int]) -> float | None:
        """Of `CanTell.images`. values: how many each key has."""
        if not self.images:
            return None
        error = assumed_error(self.share, self.images, self.pool - self.images if self.pool else None)
        reach = max(least_of_images(1.0, n * (n - 1) // 2, SHARE) for n in values)
        # Two values that differ by d disagree on a share d of the images or more.
        return max(reach * error, (reach * error) ** 2 / DISAGREE)


def few_of_a_class(
    metric: str, labels: NDArray[np.int64], tested: int, names: Sequence[str]
) -> Iterator[str]:
    """A warning, where a metric gives each class the same weight and a class has few test images.

    labels: of all images. tested: how many of them are test images.
    """
    counts = np.bincount(labels) * tested / len(labels)
    few = [names[k] for k in np.flatnonzero((counts > 0) & (counts < FEW_OF_A_CLASS)).tolist()]
    if metric != ACCURACY and few:
        worth = 100 / ((counts > 0).sum() * counts[counts > 0].min())
        yield (
            f"{METRICS[metric]} counts all classes alike, and fewer than {FEW_OF_A_CLASS} test images are of "
            f"{listed(few)}: one image may change it by {worth:.2g} points"
        )


def by_images_seen(families: Iterable[Sequence["PairResult"]]) -> float | None:
    """`CanTell.images_seen`. families: groups of pairs whose verdicts hold together."""
    found = [
        least_of_images(float(np.median(errors)), len(pairs), SHARE)
        for pairs in families
        if (errors := [pair.image_error for pair in pairs if pair.image_error is not None])
    ]
    return max(found, default=None)


def by_seeds(fits: Iterable[Fit], seeds: int, most: int) -> float | None:
    """`CanTell.seeds`. fits: of each key, after so many seeds."""
    found = [least_decided(fit, most) for fit in fits] if seeds >= FEWEST_SEEDS else []
    return max((one for one in found if one is not None), default=None)


def told_of_images(least: float, images: int) -> str:
    """The line before training."""
    return (
        f"{images:,} test images tell a difference of {points(least)} {SHARE_TOLD}, whatever the seeds, if "
        f"two values disagree on {DISAGREE * 100:g} % of them; if on more, a larger one"
    )


def told_of_seeds(least: float, most: int) -> str:
    """The line after three seeds."""
    return f"with {most} seeds in all, a difference of {points(least)} is decided {SHARE_TOLD}"


def points(least: float) -> str:
    return f"{least * 100:.2g} points"


def in_sentences(told: CanTell | None, images: int) -> Iterator[str]:
    """For the report."""
    if told is None:
        return
    if told.images is not None:
        yield f"{told_of_images(told.images, images)}."
    if told.images_seen is not None:
        yield f"By as much as the values disagreed, they tell {points(told.images_seen)}."
    if told.seeds is not None:
        yield f"With noise as in these seeds, and {told_of_seeds(told.seeds, told.most_seeds)[5:]}."
