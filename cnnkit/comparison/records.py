"""What `results.json` holds, typed. Accuracies and differences are fractions, times are seconds."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cnnkit.comparison.can_tell import CanTell
from cnnkit.comparison.pair_records import PairResult, ToBest, pair_in
from cnnkit.comparison.shards import Shard
from cnnkit.comparison.study_records import Earlier
from cnnkit.comparison.trial_records import TrialResult
from cnnkit.comparison.tuning import Tuned, Tuning
from cnnkit.records import Record
from cnnkit.scores import ACCURACY, METRICS
from cnnkit.sequential import ENOUGH
from cnnkit.stats import Interval, mean_interval

if TYPE_CHECKING:
    from typing_extensions import Self

VERSION = 2  # of results.json


@dataclass(frozen=True)
class SizeAccuracy(Interval):
    """Accuracy on the test images whose object has this size, pixels."""

    size: int


@dataclass(frozen=True)
class LevelTiming(Record):
    """Medians over the trials: seconds of training, test images evaluated per second.

    Of a person's own function: seconds of a call, and no images per second. Of a table both may be None.
    """

    train_seconds: float | None
    images_per_second: float | None


class Compared(Record):
    """A value of a key, by accuracy and by the metric that decides. accuracies: one for each of its seeds.

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


@dataclass(frozen=True)
class LevelResult(Compared):
    """One value of the factor, over the seeds that it has finished.

    accuracies, scores: one for each of its seeds; the scores of the study's metric, where that is not
    accuracy. failures: how many of its trainings failed. beaten_after: with how
    many seeds of the study it was known to be worse than another level; None where it is not.
    seed_deviation: standard deviation of what is compared, None for one seed. sampling_error: its standard
    error from having measured on just these test images. changed: what `--match` did, in words.
    train_gap: by how much the accuracy on training images, measured without dropout, is above that on test
    images; None where a trial is of cnnkit 0.1.0, which did not measure it. tuned: the settings that were
    chosen before, and why; None without tuning.
    A person's own function leaves no parameters, macs and train_gap: None. Where it tells accuracies alone
    there is no sampling_error either. Its value may be any JSON value.
    """

    name: str
    value: Any
    parameters: int | None
    macs: int | None
    changed: str
    accuracy: Interval
    accuracies: list[float]
    seeds: list[int]
    failures: int
    beaten_after: int | None
    seed_deviation: float | None
    sampling_error: float | None
    by_object_size: list[SizeAccuracy]
    to_best: ToBest | None
    timing: LevelTiming
    train_gap: Interval | None = None
    tuned: Tuned | None = None
    score: Interval | None = None
    scores: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class MarginalResult(Compared):
    """One value of one of several keys: means over all combinations with it, for each seed that has them.

    failures: how many trainings of these combinations failed.
    """

    name: str
    value: Any
    accuracy: Interval
    accuracies: list[float]
    seeds: list[int]
    to_best: ToBest | None
    failures: int = 0
    score: Interval | None = None
    scores: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class FactorResult(Record):
    """The main effects of one of several keys. levels: its values, the leader first.

    pairs: differences of means over all other keys. within: evidence that no value is better than the leader
    by the margin or more; 0 where a training failed.
    """

    key: str
    levels: list[MarginalResult]
    pairs: list[PairResult]
    within: float


@dataclass(frozen=True)
class InteractionResult(Record):
    """How a difference between two values of one key depends on another key.

    values: of `key`, and others: of `on`. difference: (first value − second) with the first of others, minus
    the same with the second. verdict: different (on these images), equivalent to 0, undecided; or not known,
    because of the combinations `failed`.
    """

    key: str
    on: str
    values: list[str]
    others: list[str]
    seeds: int
    difference: Interval
    verdict: str
    different: float
    equivalent: float
    failed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class DependenceResult(Record):
    """Whether the winner of the first key depends on another one, on these test images.

    changes: evidence that no value is best at every value of `on`. leaders: the best value at each of them.
    stays: for each value of the first key, in the order of the study, the evidence that it is at no value of
    `on` worse than another by the margin or more. failed: combinations of which a training failed; where
    there are any nothing is known, and the evidence is that of the trainings that ended.
    """

    key: str
    on: str
    leaders: dict[str, str]
    changes: float
    stays: dict[str, float]
    failed: list[str] = field(default_factory=list)

    @property
    def everywhere(self) -> list[str]:
        """The values that are nowhere worse than another by the margin or more."""
        return [] if self.failed else [name for name, evidence in self.stays.items() if evidence >= ENOUGH]

    @property
    def depends(self) -> bool:
        """Whether no value is best at every value of `on`."""
        return self.changes >= ENOUGH and not self.failed


@dataclass(frozen=True)
class LookResult(Record):
    """What was known after so many seeds.

    trainings: finished by then. leader: the best level that is not beaten. means: of each level, None where
    it has none; in the order of the study, as in `beaten`. different, equivalent: evidence for each pair, in
    the order of `pairs`. within: evidence that no level is better than the leader by the margin or more.
    decided: whether the study may end here.
    """

    seeds: int
    trainings: int
    leader: str
    means: list[float | None]
    beaten: list[str]
    different: list[float]
    equivalent: list[float]
    within: float
    decided: bool


@dataclass(frozen=True)
class StudyResults(Record):
    """A comparison. levels: the leader first, then by accuracy; empty, like pairs, before there is any pair.

    margin: percentage points. seeds: those that two levels or more have finished. looks: what was known after
    each of them, from the second on. function: the name of a person's own, whose accuracies these are; empty
    for trainings of cnnkit. test_images: 0 where the function tells accuracies alone. tuning: what every
    level was tuned over before. pool: out of how many images each seed chooses its test images; 0: all seeds
    have the same ones. factors, interactions, dependence: where several keys are varied; each combination is
    then a level. metric: what decides, of `METRICS`. can_tell: None in files of cnnkit 0.3 and before.
    of_table: the numbers are those of a table, whose name `function` is then.
    shard: the share of the study's trainings that this is; None: all.
    """

    version: int
    key: str
    margin: float
    match: str
    warnings: list[str]
    test_images: int
    seeds: list[int]
    levels: list[LevelResult]
    pairs: list[PairResult]
    looks: list[LookResult]
    trials: list[TrialResult]
    history: list[Earlier] = field(default_factory=list)
    function: str = ""
    factors: list[FactorResult] = field(default_factory=list)
    interactions: list[InteractionResult] = field(default_factory=list)
    dependence: list[DependenceResult] = field(default_factory=list)
    tuning: Tuning | None = None
    pool: int = 0
    metric: str = ACCURACY
    can_tell: CanTell | None = None
    of_table: bool = False
    shard: Shard | None = None

    @property
    def measure(self) -> str:
        """What is compared, in words."""
        return METRICS[self.metric]

    @property
    def these_images(self) -> str:
        """What the verdicts of this study rest on, in words."""
        return "these images" if self.pool else "these test images"

    @property
    def best(self) -> LevelResult:
        return self.levels[0]

    @property
    def failed(self) -> list[TrialResult]:
        return [trial for trial in self.trials if trial.error]

    @property
    def decided(self) -> bool:
        """Whether the leader is known: each other level is settled, or none is better by the margin."""
        return bool(self.looks) and self.looks[-1].decided

    @property
    def within(self) -> bool:
        """Whether it is known that no level is better than the best by the margin or more."""
        return bool(self.looks) and self.looks[-1].within >= ENOUGH

    def pair(self, one: str, other: str) -> PairResult:
        """The pair of two levels, in whichever order it is kept. Raises UsageError where there is none."""
        return pair_in(self.pairs, one, other)
