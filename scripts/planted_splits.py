"""Studies of few images whose levels learn: what images and seeds put into a difference.

An image shows each level features of its own, all drawn alike, and each level fits a line to them. So all
levels are as good over all images that there are, but not on those at hand.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cnnkit.data.splits import folds_of, split_stratified

Floats = NDArray[np.float64]
KEPT = 0.9  # of the images that are not tested on; the others are for validation, and change with the seed


@dataclass(frozen=True)
class Learner:
    """images: all that are at hand. folds: one of so many is tested on. splits: "one" for all seeds, "drawn"
    anew by each, or "folds". features: that a level sees; the more, the more the training images matter.
    noise: of a fitted line, from its seed. mirrored: of each image there is one for every exchange of the
    levels, so that they are as good on the images at hand too.
    """

    images: int = 400
    folds: int = 5
    splits: str = "folds"
    features: int = 10
    noise: float = 0.3
    mirrored: bool = False

    @property
    def tested(self) -> int:
        return self.images // self.folds


def learner_study(
    learner: Learner, levels: int, seeds: int, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """Whether each level, with each seed, is right on each of its test images: (levels, seeds, tested)."""
    classes, features = _images(learner, levels, generator)
    signs = 2.0 * classes - 1
    tested = _tested(learner, torch.from_numpy(classes), seeds, generator)
    trained = (generator.random((seeds, len(classes))) < KEPT).astype(float)
    np.put_along_axis(trained, tested, 0.0, 1)
    right = []
    for seen in features.transpose(1, 0, 2):  # (images, features)
        square = np.einsum("sn,ni,nj->sij", trained, seen, seen, optimize=True) + np.eye(learner.features)
        lines = np.linalg.solve(square, (trained @ (seen * signs[:, None]))[..., None])[..., 0]
        length = np.linalg.norm(lines, axis=1, keepdims=True) / np.sqrt(learner.features)
        lines += learner.noise * length * generator.normal(size=lines.shape)
        right.append(np.take_along_axis(lines @ seen.T * signs, tested, 1) > 0)
    return np.stack(right)


def _images(
    learner: Learner, levels: int, generator: np.random.Generator
) -> tuple[NDArray[np.int64], Floats]:
    """(images,) classes 0 and 1, (images, levels, features)."""
    images = learner.images // levels if learner.mirrored else learner.images
    classes = generator.integers(0, 2, images)
    apart = 2 / np.sqrt(learner.features) * (2 * classes - 1)
    features = generator.normal(size=(images, levels, learner.features)) + apart[:, None, None]
    if learner.mirrored:
        features = np.concatenate([np.roll(features, shift, 1) for shift in range(levels)])
        classes = np.tile(classes, levels)
    return classes, features


def _tested(
    learner: Learner, classes: torch.Tensor, seeds: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """(seeds, tested): which images each seed tests on, chosen as a comparison chooses them."""
    chance = torch.Generator().manual_seed(int(generator.integers(2**62)))
    if learner.splits == "folds":
        dealt = [folds_of(classes, learner.folds, chance) for _ in range(-(-seeds // learner.folds))]
        return torch.cat(dealt)[:seeds].numpy()
    draws = 1 if learner.splits == "one" else seeds
    drawn = [split_stratified(classes, learner.tested, chance)[0] for _ in range(draws)]
    return np.tile(torch.stack(drawn).numpy(), (seeds // draws, 1))
