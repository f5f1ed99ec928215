"""What a confusion matrix tells of each class and of all, and the weights that make classes count alike.

A confusion matrix is (K, K) counts, rows the truth, columns what it was taken for.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

ACCURACY = "accuracy"
METRICS = {ACCURACY: "accuracy", "balanced_accuracy": "balanced accuracy", "macro_f1": "macro F1"}


@dataclass(frozen=True)
class ClassScores:
    """Of each class, (K,): its images, the images taken for it, and those that are both.

    Precision, recall and F1 are fractions, and 0 where nothing is there to divide by.
    """

    images: NDArray[np.int64]
    taken: NDArray[np.int64]
    right: NDArray[np.int64]

    @property
    def precision(self) -> NDArray[np.float64]:
        return _shares(self.right, self.taken)

    @property
    def recall(self) -> NDArray[np.float64]:
        return _shares(self.right, self.images)

    @property
    def f1(self) -> NDArray[np.float64]:
        """The harmonic mean of precision and recall."""
        return _shares(2 * self.right, self.images + self.taken)

    @property
    def balanced_accuracy(self) -> float:
        """The mean recall of the classes that have images; scikit-learn's `balanced_accuracy_score`."""
        return float(self.recall[self.images > 0].mean())

    @property
    def macro_f1(self) -> float:
        """The mean F1 of the classes that have images or were answered; scikit-learn's `f1_score`, macro."""
        return float(self.f1[self.images + self.taken > 0].mean())


def _shares(parts: NDArray[np.int64], wholes: NDArray[np.int64]) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = parts / np.maximum(wholes, 1)
    return shares


def class_scores(confusion: ArrayLike) -> ClassScores:
    """The scores of a confusion matrix that holds an image or more."""
    counts = np.asarray(confusion)
    return ClassScores(counts.sum(1), counts.sum(0), counts.diagonal())


def confusion_of(
    truth: NDArray[np.integer], answers: NDArray[np.integer], classes: int = 0
) -> NDArray[np.int64]:
    """(N,), (N,) -> (K, K), rows the truth. K: `classes`; 0: one more than the largest of them."""
    classes = classes or 1 + int(max(truth.max(initial=0), answers.max(initial=0)))
    pairs = truth.astype(np.int64) * classes + answers
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def balanced_weights(images: ArrayLike) -> NDArray[np.float64]:
    """(K,) images of each class -> (K,) n / (K · n_k), as scikit-learn's `class_weight="balanced"`.

    Each class then weighs as much as any other, and an image 1 on average. K counts the classes that have
    images; the others weigh 0.
    """
    counts = np.asarray(images, dtype=np.float64)
    present = counts > 0
    return np.where(present, counts.sum() / (present.sum() * counts.clip(1)), 0.0)


def image_scores(metric: str, truth: NDArray[np.integer], answers: NDArray[np.integer]) -> NDArray[Any]:
    """(N,) true and (N,) answered classes -> (N,), a score for each image; their mean is the metric.

    Of accuracy: whether it is right, bool. Of balanced accuracy: N / (K · images of its class) where it is
    right. Macro F1 is no mean over images: it is taken to first order, so that scores vary from one choice of
    images to another as it does (its influence function: Hampel, "The influence curve and its role in robust
    estimation", JASA 1974).
    """
    right = truth == answers
    if metric == ACCURACY:
        return np.asarray(right)
    of_classes = class_scores(confusion_of(truth, answers))
    if metric == "balanced_accuracy":
        return np.asarray(right * balanced_weights(of_classes.images)[truth])
    counted = of_classes.images + of_classes.taken
    weights = len(truth) / ((counted > 0).sum() * np.maximum(counted, 1))
    own = of_classes.f1 * weights
    return np.asarray(of_classes.macro_f1 + 2 * right * weights[truth] - own[truth] - own[answers])


def image_share(metric: str, images: ArrayLike, tested: int | None = None) -> float:
    """What one image puts into a metric: the root of the mean square over all images.

    images: (K,), of each class. tested: so many of them, with each class's share; None: all. 1 / N of an
    accuracy; more where classes count alike and differ in size.
    """
    counts = np.asarray(images, dtype=np.float64)
    n = float(counts.sum()) if tested is None else float(tested)
    weights = np.ones(len(counts)) if metric == ACCURACY else balanced_weights(counts)
    return math.sqrt(float((counts * weights**2).sum() / counts.sum())) / n
