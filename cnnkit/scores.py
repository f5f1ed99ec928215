"""What a confusion matrix tells of each class and of all, and the weights that make classes count alike.

A confusion matrix is (K, K) counts, rows the truth, columns what it was taken for.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


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


def confusion_of(truth: NDArray[np.integer], answers: NDArray[np.integer]) -> NDArray[np.int64]:
    """(N,), (N,) -> (K, K), K one more than the largest of them."""
    classes = 1 + int(max(truth.max(initial=0), answers.max(initial=0)))
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
