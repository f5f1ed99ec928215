"""The kinds of studies that `scripts/planted` draws, and how one of them comes out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from planted_splits import Learner, learner_study

Floats = NDArray[np.float64]
MOST_SEEDS = 40
SEEDS_OF_TRUTH = 120  # further ones, whose mean is what a learner is worth on the images at hand
SIGMA = 0.0006  # a level's deviation between seeds, of `fast`


@dataclass(frozen=True)
class Cell:
    """A kind of study.

    gaps: true accuracy of each level above the last, in deviations. noise: of each level, in deviations.
    shared: the share of the variance that the two levels of a block have in common. blocks: how many pairs of
    neighbouring levels, from the first on, are such blocks. images: test images; None: so
    many that rounding does not matter. per_image: how much levels differ on single images, in the latent
    scale, though not over all images that there are. learner: whose levels learn from few images.
    """

    name: str
    gaps: tuple[float, ...]
    noise: tuple[float, ...] | None = None
    shared: float = 0.0
    blocks: int = 1
    images: int | None = None
    per_image: float = 0.0
    known: float | None = None  # mean trainings of the procedure that was the target
    learner: Learner | None = None

    @property
    def tested(self) -> int:
        """Images that one seed is tested on; 0: so many that rounding does not matter."""
        return self.learner.tested if self.learner else self.images or 0

    @property
    def pool(self) -> int:
        """Images out of which each seed chooses those; 0: all seeds have the same ones."""
        return self.learner.images if self.learner and self.learner.splits != "one" else 0

    @property
    def differs_here(self) -> bool:
        """Whether levels that are equal over all images differ on those at hand."""
        return bool(self.per_image) or (self.learner is not None and not self.learner.mirrored)


FLAT, PAIR = (0.0,) * 4, (0.0,) * 2
CELLS = (
    Cell("equal", FLAT),
    Cell("equal-10000", FLAT, images=10_000),
    Cell("equal-1000", FLAT, images=1_000),
    Cell("equal-360", FLAT, images=360),
    Cell("equal-noisy", FLAT, noise=(1, 1, 1, 3)),
    Cell("equal-wild", FLAT, noise=(1, 1, 1, 20)),
    Cell("leader-3-wild", (3.0, 0.0, 0.0, -9.0), noise=(1, 1, 1, 20)),
    Cell("equal-related", FLAT, shared=0.8),
    Cell("equal-blocks", FLAT, shared=0.95, blocks=2),
    Cell("equal-pair", PAIR),
    Cell("population-10000", FLAT, images=10_000, per_image=0.5),
    Cell("population-1000", FLAT, images=1_000, per_image=0.5),
    Cell("mnist", (4.3, 3.7, 1.7, 0.0), known=36),
    Cell("leader-2", (2.0, 0.0, 0.0, 0.0), known=35),
    Cell("leader-3", (3.0, 0.0, 0.0, 0.0), known=21),
    Cell("margin-ahead", (0.001 / SIGMA, 0.0, 0.0, -4.0)),
    Cell("two-ahead", (2.0, 2.0, 0.0, 0.0), known=41),
    Cell("pair-2", (2.0, 0.0), known=17),
    Cell("pair-3", (3.0, 0.0), known=12),
    Cell("ten-levels", (0.0,) * 10),
    Cell("one-split", PAIR, learner=Learner(splits="one")),
    Cell("drawn", PAIR, learner=Learner(splits="drawn")),
    Cell("folds", PAIR, learner=Learner()),
    Cell("folds-10", PAIR, learner=Learner(folds=10)),
    Cell("folds-2", PAIR, learner=Learner(folds=2)),
    Cell("folds-four", FLAT, learner=Learner()),
    Cell("folds-noisy", PAIR, learner=Learner(noise=1.0)),
    Cell("few-drawn", PAIR, learner=Learner(150, splits="drawn", features=40, noise=0.0)),
    Cell("few-folds", PAIR, learner=Learner(150, features=40, noise=0.0)),
    Cell("mirrored-drawn", PAIR, learner=Learner(splits="drawn", mirrored=True)),
    Cell("mirrored-folds", PAIR, learner=Learner(mirrored=True)),
    Cell("mirrored-four", FLAT, learner=Learner(folds=2, noise=0.0, mirrored=True)),
)
# What a verdict promises: sizes of the test set, unequal noise, related levels, how many trainings it takes.
MAIN = (
    *("equal-10000", "equal-1000", "equal-360", "equal-noisy", "equal-related", "equal-blocks"),
    *("population-10000", "population-1000"),
    *("mnist", "leader-2", "leader-3", "two-ahead", "pair-2", "pair-3"),
)


@dataclass(frozen=True)
class Planted:
    """A study as it would come out. accuracies: (levels, seeds). right: (levels, seeds, images), or None.

    here: true accuracy of each level on these images; None: as over all images that there are.
    """

    accuracies: Floats
    right: NDArray[np.bool_] | None
    here: Floats | None = None


def normal_study(cell: Cell, generator: np.random.Generator) -> Planted:
    """Accuracies with normal noise, of so many images that rounding does not matter."""
    levels = len(cell.gaps)
    noise = generator.normal(size=(levels, MOST_SEEDS))
    for first in range(0, 2 * cell.blocks, 2):
        common = generator.normal(size=MOST_SEEDS)
        block = noise[first : first + 2]
        block[:] = np.sqrt(1 - cell.shared) * block + np.sqrt(cell.shared) * common
    scale = np.array(cell.noise or (1.0,) * levels)[:, None]
    seed = generator.normal(size=MOST_SEEDS)  # the same for all levels
    return Planted(SIGMA * (np.array(cell.gaps)[:, None] + scale * noise + seed), None)


def image_study(cell: Cell, generator: np.random.Generator) -> Planted:
    """Images of very unequal difficulty, each right where a normal number passes it: 99.2 % are right.

    Difficulty has deviation 2 and one training of one image 1. A seed shifts all levels by 0.03, and each
    level by 0.03 more.
    """
    assert cell.images is not None
    levels, spread = len(cell.gaps), np.hypot(1, 2)

    def draw(*shape: int) -> NDArray[np.float32]:
        return generator.standard_normal(shape, np.float32)

    ease = 2.41 * spread + 2 * draw(cell.images)
    ease = ease[ease < 6]  # the others are always right
    own = cell.per_image * draw(levels, 1, len(ease))
    shift = 0.03 * (draw(1, MOST_SEEDS, 1) + draw(levels, MOST_SEEDS, 1))
    chance = draw(levels, MOST_SEEDS, len(ease))
    right = ease + own + shift + chance > 0
    wrong = (~right).sum(2)
    missed = ndtr(-(ease + own[:, 0]).astype(float) / np.sqrt(1 + 2 * 0.03**2)).sum(1)
    return Planted(1 - wrong / cell.images, right, 1 - missed / cell.images)


def with_easy_images(right: NDArray[np.bool_], cell: Cell) -> NDArray[np.bool_]:
    """(levels, seeds, images), with those that are always right."""
    easy = np.ones((*right.shape[:2], cell.tested - right.shape[2]), bool)
    return np.concatenate([right, easy], 2)


def study_of(cell: Cell, generator: np.random.Generator) -> Planted:
    if not cell.learner:
        return (image_study if cell.images else normal_study)(cell, generator)
    right = learner_study(cell.learner, len(cell.gaps), MOST_SEEDS + SEEDS_OF_TRUTH, generator)
    here = None if cell.learner.mirrored else right[:, MOST_SEEDS:].mean((1, 2))
    right = right[:, :MOST_SEEDS]
    return Planted(right.mean(2), right, here)
