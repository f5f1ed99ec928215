"""The course of a study while it runs: which trials come next, and what is known after each seed."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import numpy as np

from cnnkit.comparison.can_tell import by_seeds, told_of_seeds
from cnnkit.comparison.factors import FactorsJudge
from cnnkit.comparison.verdicts import FEWEST_SEEDS, Judge, Observed
from cnnkit.events import SeedDone, Standing

if TYPE_CHECKING:
    from cnnkit.comparison.function_study import FunctionStudy
    from cnnkit.comparison.study import StudyPlan

GIVEN_UP = 3  # failed trainings after which a level that has never finished one is trained no further


class OneTraining(Protocol):
    """A trial, or a call of a person's own function. id: the hash of what it is made of."""

    @property
    def id(self) -> str: ...
    @property
    def level(self) -> str: ...
    @property
    def seed(self) -> int: ...


T = TypeVar("T", bound=OneTraining)


class Course(Generic[T]):
    """What has ended, and what that means for the rest.

    A study with a fixed number of seeds trains every level with each of them. Any other one trains every
    level with the least number of seeds; then it drops a level that is beaten, and ends once the leader is
    known. A study of several keys drops no combination, so that effects stay balanced, and ends once they
    are known.
    """

    def __init__(
        self,
        study: "StudyPlan | FunctionStudy",
        trials: Sequence[T],
        resolution: float,
        factors: FactorsJudge | None = None,
    ) -> None:
        """resolution: one test image's share; 0: not known. factors: judges a study of several keys."""
        self.study, self.trials = study, trials
        self.names = [level.name for level in study.levels]
        self.seeds = list(study.all_seeds)
        self.accuracies = np.full((len(self.names), len(self.seeds)), np.nan)
        self.failed = np.zeros(self.accuracies.shape, bool)
        self.resolution = resolution
        self.looked_at = 0  # seeds
        self.judge: Judge | None = None
        self.factors = factors
        self.decided = False

    @property
    def fixed(self) -> bool:
        """Whether every level is trained with every seed, whatever comes out."""
        return self.study.min_seeds is None

    @property
    def going(self) -> set[str]:
        """The levels that are trained further."""
        if self.fixed:
            return {*self.names}
        hopeless = ~np.isfinite(self.accuracies).any(1) & (self.failed.sum(1) >= GIVEN_UP)
        drops = self.judge and not self.factors and self.looked_at >= (self.study.min_seeds or 0)
        beaten = self.judge.beaten_after if self.judge and drops else {}
        return {
            name for name, out in zip(self.names, hopeless, strict=True) if not out and name not in beaten
        }

    @property
    def over(self) -> bool:
        """Whether no training is needed any more, though there are seeds left."""
        if self.study.min_seeds is None:
            return False
        needed = len(self.names) if self.factors else 2
        return len(self.going) < needed or (self.decided and self.looked_at >= self.study.min_seeds)

    def batches(self, at_once: int | None) -> Iterator[Iterable[T]]:
        """The trials to run, in groups for one call of an executor.

        at_once: seeds that it trains as one; None: it takes a trial when it has room for one, and only then
        is it chosen.
        """
        if at_once is None:
            yield self._next(self.seeds)
            return
        step = len(self.seeds) if self.fixed else max(at_once, self.study.min_seeds or 0)
        for first in range(0, len(self.seeds), step):
            if batch := list(self._next(self.seeds[first : first + step])):
                yield batch

    def _next(self, seeds: Sequence[int]) -> Iterator[T]:
        for trial in self.trials:
            if self.over:
                return
            level, seed = self._place(trial)
            known = np.isfinite(self.accuracies[level, seed]) or self.failed[level, seed]
            if trial.seed in seeds and trial.level in self.going and not known:
                yield trial

    def _place(self, trial: T) -> tuple[int, int]:
        return self.names.index(trial.level), self.seeds.index(trial.seed)

    def ended(self, trial: T, accuracy: float | None) -> Iterator[SeedDone]:
        """Takes in a trial; None: it failed. Yields what is known after each seed that is whole by now."""
        place = self._place(trial)
        self.accuracies[place] = np.nan if accuracy is None else accuracy
        self.failed[place] = accuracy is None
        while self.looked_at < len(self.seeds) and self._is_whole(self.looked_at):
            self.looked_at += 1
            if done := self._look():
                yield done

    def _is_whole(self, seed: int) -> bool:
        known = np.isfinite(self.accuracies[:, seed]) | self.failed[:, seed]
        going = np.array([name in self.going for name in self.names])
        return bool(known.any() and (known | ~going).all())

    def _look(self) -> SeedDone | None:
        """None while there is nothing to compare."""
        n = self.looked_at
        observed = Observed(self.names, self.accuracies[:, :n], self.failed[:, :n], None, 0)
        known = observed.known
        if n < FEWEST_SEEDS or len(known.names) < 2:
            return None
        if self.factors:
            return self._look_at_effects(self.factors, observed)
        if self.judge is None or self.judge.names != known.names:
            self.judge = Judge(known.names, self.study.margin / 100, self.resolution)
        self.decided = self.judge.look(known).decided
        return SeedDone(n, self._standings(self.judge, known), self.decided, self._can_tell(self.judge))

    def _look_at_effects(self, factors: FactorsJudge, observed: Observed) -> SeedDone | None:
        """None before a seed has all combinations."""
        if not observed.has_whole_seed:
            return None
        self.decided = factors.look(observed)
        standings = list(factors.standings(observed))
        return SeedDone(self.looked_at, standings, self.decided, self._can_tell(factors))

    def _can_tell(self, judge: Judge | FactorsJudge) -> str:
        """What the seeds that are left can show, in words; empty if none are left, or all is decided."""
        most = len(self.seeds)
        if self.decided or not FEWEST_SEEDS < self.looked_at < most:
            return ""
        least = by_seeds(judge.fits, self.looked_at, most)
        return "" if least is None else told_of_seeds(least, most)

    def _standings(self, judge: Judge, known: Observed) -> list[Standing]:
        """Where each level stands, the leader first."""
        standings = []
        for level in judge.ranked():
            own = known.accuracies[level][np.isfinite(known.accuracies[level])]
            failures = int(known.failed[level].sum())
            standings.append(
                Standing(judge.names[level], float(own.mean()), len(own), failures, judge.state(level))
            )
        return standings
