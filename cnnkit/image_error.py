"""How much a difference of accuracies depends on the choice of test images."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnnkit.stats import from_class_means

DISAGREE = 0.01  # the share of images on which two levels are taken to disagree, whatever the seed
LARGEST_MARGIN = 99.99  # percentage points: one of 100 would tell nothing


@dataclass(frozen=True)
class OfImages:
    """How much a difference depends on the choice of test images. error: its standard error; df: of that."""

    error: float
    df: float

    def half_width(self, of_seeds: float, pairs: int) -> float:
        """Of an interval for other seeds and other images. of_seeds: `Look.half_width` of the pair.

        Both are independent, so they add like the sides of a right triangle. The part of the images holds for
        all `pairs` of a study together (Bonferroni).
        """
        from scipy.special import stdtrit

        return math.hypot(of_seeds, float(stdtrit(self.df, 1 - 0.025 / pairs)) * self.error)


def image_error(differences: ArrayLike, classes: NDArray[np.integer] | None = None) -> OfImages:
    """The error of the mean of differences over the same images with several seeds.

    differences: (seeds, images), −1, 0 or 1: first right minus second right; or a difference of
    `image_scores`. classes: (images,), where other images would have as many of each class: then only the
    variance within a class counts (stratified sampling: Cochran, "Sampling techniques", 1977). None: the
    numbers of each class would vary.

    It is the variance over images of the mean over seeds, minus the part that comes from the seeds (readers
    and cases, both random: Obuchowski & Rockette 1995). Where few images differ the estimate is rough; its
    degrees of freedom follow from the kurtosis (O'Neill, "Some useful moment results in sampling problems",
    2014).
    """
    values = np.asarray(differences, float)
    n, images = values.shape
    if n < 2 or images < 2:
        return OfImages(math.inf, 1.0)
    of_one = np.zeros(images, int)
    # The mean of each seed is subtracted, too.
    centred, sizes = from_class_means(values, of_one if classes is None else classes)
    if sizes.min() < 2:  # a class of one image tells nothing of others
        return OfImages(math.inf, 1.0)
    wider = sizes / (sizes - 1)
    squares, noise = wider * centred.mean(0) ** 2, centred.var(0, ddof=1)
    between, within = float(squares.mean()), float((noise if classes is None else wider * noise).mean())
    if between == 0:
        return OfImages(0.0, 1.0)
    kurtosis = float((squares**2).mean()) / float(squares.mean()) ** 2
    df = max(1.0, 2 * images / (kurtosis - (images - 3) / (images - 1)))
    return OfImages(math.sqrt(max(0.0, between - within / n) / images), df)


def image_error_of_redrawn(variance: float, df: float, tested: int, others: int) -> OfImages:
    """The same where each seed tests on images of its own, `tested` of them, and learns from the `others`.

    variance: of the difference in one seed, and its degrees of freedom. Seeds have images in common, whether
    they test on them or learn from them, so the variance of a mean of any number of seeds stays above this
    share of one seed's: Nadeau & Bengio, "Inference for the generalization error", Machine Learning 2003; for
    folds that are drawn again Bouckaert & Frank, PAKDD 2004. It counts the seeds' own noise as if it were the
    images', so it is too large rather than too small.
    """
    return OfImages(math.sqrt(variance * tested / others), max(1.0, df))


def assumed_error(share: float, images: int, others: int | None = None) -> float:
    """The standard error of a difference from the test images alone, before anything is trained.

    share: `image_share`. others: where each seed chooses its test images, how many it learns from; None: all
    seeds have the same test images. Two levels are taken to disagree on `DISAGREE` of the images, whatever
    the seed, half of them in favour of each. On real studies it was 0.01 to 0.1 % (MNIST, digits, 99 % right)
    and up to 3 % (90 % right); on four times as many the error is twice as large.
    """
    return share * math.sqrt(DISAGREE * images * (1 if others is None else images / others))


def least_of_images(error: float, pairs: int, share: float) -> float:
    """The smallest true difference that is found in this share of studies, if seeds are plenty.

    error: the standard error that comes from the images. pairs: how many verdicts hold together.
    """
    from scipy.special import ndtri

    return float(ndtri(share) - ndtri(0.025 / pairs)) * error


def default_margin(images: int) -> float:
    """Percentage points: 0.1, or two test images if these are more, rounded up to 0.01.

    images: how many test images; 0: not known.
    """
    of_two = math.ceil(round(20_000 / images, 6)) / 100 if images else 0.0
    return min(max(0.1, of_two), LARGEST_MARGIN)
