"""Planted studies of two factors or more, for `scripts/planted`: how often a verdict is wrong."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnkit.additive import Fit
from cnnkit.factorial import Design, FactorialWatch
from cnnkit.stats import wilson_interval

Floats = NDArray[np.float64]
MOST_SEEDS, FEWEST_SEEDS = 40, 3
SIGMA = 0.0006  # a training's deviation between seeds, of `fast`
MARGIN = 0.001
FAR = -9.0  # deviations


@dataclass(frozen=True)
class Cell:
    """A kind of study. truth: (A, B, …), the true accuracy of each combination, in deviations.

    noise: of each combination, in deviations. same: the values of the first factor whose network is the same
    at each value of the others, such as `stride` before and after its activation.
    """

    name: str
    truth: Any
    noise: Any = 1.0
    same: tuple[int, ...] = ()

    @property
    def gaps(self) -> Floats:
        return SIGMA * np.asarray(self.truth, float)

    @property
    def design(self) -> Design:
        networks = np.arange(self.gaps.size).reshape(self.gaps.shape)
        for value in self.same:
            networks[value] = networks[value].min()
        return Design(np.unique(networks, return_inverse=True)[1].reshape(networks.shape))


def at_each(*places: Sequence[float]) -> Floats:
    """(A, B) from the accuracies of A's values, at each value of B in turn."""
    return np.array(places).T


EQUAL = np.zeros((4, 2))
CELLS = (
    Cell("factors-equal", EQUAL),
    Cell("factors-equal-same", EQUAL, same=(0,)),
    Cell("factors-equal-2x2", np.zeros((2, 2))),
    Cell("factors-equal-3x3", np.zeros((3, 3))),
    Cell("factors-equal-2x2x2", np.zeros((2, 2, 2))),
    Cell("factors-noisy", EQUAL, noise=np.array([[1], [1], [1], [3]])),
    Cell("factors-noisy-cell", EQUAL, noise=np.array([[1, 1], [1, 1], [1, 1], [1, 3]])),
    Cell("factors-additive", at_each((3, 1, 1, 1), (2, 0, 0, 0))),
    Cell("factors-additive-tied", at_each((3, 3, 1, 1), (2, 2, 0, 0))),
    Cell("factors-additive-same", at_each((0, 1, 1, 2), (0, 1, 1, 2)), same=(0,)),
    # The first value is best everywhere, and in one place no better than the others.
    Cell("factors-touching", at_each((3, 0, 0, 0), (3, 3, 3, 3))),
    # Each value is somewhere worse than another by just the margin.
    Cell("factors-margin", at_each((MARGIN / SIGMA, 0, FAR, FAR), (0, MARGIN / SIGMA, FAR, FAR))),
    Cell("factors-crossing-2", at_each((2, 0, 0, 0), (0, 2, 0, 0))),
    Cell("factors-crossing-3", at_each((3, 0, 0, 0), (0, 3, 0, 0))),
    Cell("factors-crossing-2x2", at_each((2, 0), (0, 2))),
)
FALSE = ("effect", "equivalent", "interaction", "additive", "yes", "no")


@dataclass
class Outcome:
    """What one study told: whether it was ever wrong, and what begins with `stop`, where it is decided.

    effect: for which questions a main effect is called different that is not. equivalent: one is called
    equivalent that is not. interaction, additive: the same of interactions. yes, no: to whether the winner
    depends on a factor.
    """

    effect: set[int] = field(default_factory=set)
    equivalent: set[int] = field(default_factory=set)
    interaction: set[int] = field(default_factory=set)
    additive: set[int] = field(default_factory=set)
    yes: set[int] = field(default_factory=set)
    no: set[int] = field(default_factory=set)
    stopped: bool = False
    stop_trainings: int = 0
    stop_yes: bool = False
    stop_no: bool = False
    stop_interaction: bool = False
    stop_covered: bool = False


def depends(gaps: Floats, given: int) -> tuple[bool, bool]:
    """(whether no value of the first factor is best everywhere, whether none is within the margin there)."""
    others = tuple(axis for axis in range(1, gaps.ndim) if axis != given)
    behind = gaps.mean(others) - gaps.mean(others).max(0)  # (A, places)
    worst = behind.min(1).max()
    return bool(worst < -1e-12), bool(worst <= -MARGIN + 1e-12)


def watched(cell: Cell, generator: np.random.Generator, most: int = MOST_SEEDS) -> Outcome:
    """Looks at a study after each seed, up to the `most`, and notes where `compare` would end it."""
    design, gaps = cell.design, cell.gaps
    shape = (*gaps.shape, most)
    noise = generator.normal(size=shape) * np.broadcast_to(cell.noise, gaps.shape)[..., None]
    flat = noise.reshape(-1, most)[np.unique(design.networks, return_index=True)[1]]
    noise = flat[design.networks]
    accuracies = gaps[..., None] + SIGMA * (noise + generator.normal(size=most))
    outcome, watch = Outcome(), FactorialWatch(design, MARGIN)
    truth = design.of_networks(gaps[..., None])[:, 0]
    for seeds in range(2, most + 1):
        look = watch.look(accuracies[..., :seeds])
        for factor, (of_main, seen) in enumerate(zip(watch.main, look.main, strict=True)):
            true = design.main(factor) @ truth
            _note(outcome.effect, factor, _wrong(of_main.different, seen.fit, true))
            _note(outcome.equivalent, factor, of_main.equivalent & _beyond(true))
        for number, (pair, of_two) in enumerate(watch.interactions.items()):
            true = design.interaction(*pair) @ truth
            _note(outcome.interaction, number, _wrong(of_two.different, look.interactions[pair].fit, true))
            _note(outcome.additive, number, of_two.equivalent & _beyond(true))
        for given, question in watch.dependence.items():
            really, beyond = depends(gaps, given)
            _note(outcome.yes, given, np.array(question.yes and not really))
            _note(outcome.no, given, np.array(question.no and beyond))
        if not outcome.stopped and seeds >= FEWEST_SEEDS and (watch.decided or seeds == most):
            _stop(outcome, watch, seeds, [(design.main(f) @ truth, s) for f, s in enumerate(look.main)])
    return outcome


def _note(questions: set[int], number: int, wrong: NDArray[np.bool_]) -> None:
    if wrong.any():
        questions.add(number)


def _wrong(different: NDArray[np.bool_], fit: Fit, true: Floats) -> NDArray[np.bool_]:
    """Which contrasts are called different that are 0, or have the other sign."""
    true = np.where(np.abs(true) < 1e-12, 0.0, true)
    return np.asarray(different & (fit.difference * true <= 0))


def _beyond(true: Floats) -> NDArray[np.bool_]:
    return np.asarray(np.abs(true) >= MARGIN - 1e-12)


def _stop(outcome: Outcome, watch: FactorialWatch, seeds: int, mains: Sequence[tuple[Floats, Any]]) -> None:
    outcome.stopped, outcome.stop_trainings = watch.decided, seeds * int(watch.design.networks.max() + 1)
    outcome.stop_yes = any(question.yes for question in watch.dependence.values())
    outcome.stop_no = any(question.no for question in watch.dependence.values())
    outcome.stop_interaction = any(bool(two.different.any()) for two in watch.interactions.values())
    outcome.stop_covered = all(
        bool((np.abs(seen.fit.difference - true) <= seen.half_width + 1e-12).all()) for true, seen in mains
    )


def summary(cell: Cell, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """One row of the table; shares are fractions, those of errors with the upper end of their interval.

    Each question has 5 % of its own: the share is that of the question that fares worst.
    """
    studies = len(outcomes)
    row: dict[str, Any] = {"cell": cell.name, "studies": studies}
    for name in FALSE:
        wrong = Counter(question for outcome in outcomes for question in getattr(outcome, name))
        count = max(wrong.values(), default=0)
        row[name] = count / studies, wilson_interval(count, studies)[1]
    for name in ("stopped", "stop_trainings", "stop_yes", "stop_no", "stop_interaction", "stop_covered"):
        row[name] = float(np.mean([getattr(outcome, name) for outcome in outcomes]))
    return row


HEAD = (
    f"{'false':21} {' '.join(f'{name:>13}' for name in FALSE)} {'covered':>7} "
    f"{'decided':>7} {'trainings':>9} {'yes':>6} {'no':>6} {'interaction':>11}"
)


def line(row: dict[str, Any]) -> str:
    """A row of the table, in per cent."""
    shares = " ".join(f"{row[name][0]:6.1%} ≤{row[name][1]:5.1%}" for name in FALSE)
    return (
        f"{row['cell']:21} {shares} {row['stop_covered']:7.1%} {row['stopped']:7.1%} "
        f"{row['stop_trainings']:9.1f} {row['stop_yes']:6.1%} {row['stop_no']:6.1%} "
        f"{row['stop_interaction']:11.1%}"
    )
