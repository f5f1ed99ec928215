"""What `results.json` holds, typed. Accuracies and differences are fractions, times are seconds."""

from dataclasses import dataclass, field
from itertools import combinations

from typing_extensions import NotRequired, TypedDict

from cnnkit.comparison.study_file import Earlier, Value
from cnnkit.errors import UsageError
from cnnkit.kept import is_plain
from cnnkit.records import Record
from cnnkit.stats import Interval, McNemar

BETTER, WORSE, EQUIVALENT, UNDECIDED = "better", "worse", "equivalent", "undecided"
OPPOSITE = {BETTER: WORSE, WORSE: BETTER, EQUIVALENT: EQUIVALENT, UNDECIDED: UNDECIDED}


@dataclass(frozen=True)
class SizeAccuracy(Interval):
    """Accuracy on the test images whose object has this size, pixels."""

    size: int


@dataclass(frozen=True)
class ToBest(Record):
    """How a level stands to the best: its difference, at most 0, and the verdict on it."""

    difference: Interval
    verdict: str


@dataclass(frozen=True)
class LevelTiming(Record):
    """Medians over the trials: seconds of training, test images evaluated per second."""

    train_seconds: float
    images_per_second: float


@dataclass(frozen=True)
class LevelResult(Record):
    """One value of the factor, over the seeds that every level has finished.

    accuracies: one a seed. seed_deviation: their standard deviation, None for one seed. sampling_error:
    standard error from having measured on just these test images. changed: what `--match` did, in words.
    train_gap: by how much the accuracy on training images, measured without dropout, is above that on test
    images; None where a trial is of cnnkit 0.1.0, which did not measure it.
    """

    name: str
    value: Value
    parameters: int
    macs: int
    changed: str
    accuracy: Interval
    accuracies: list[float]
    seed_deviation: float | None
    sampling_error: float
    by_object_size: list[SizeAccuracy]
    to_best: ToBest | None
    timing: LevelTiming
    train_gap: Interval | None = None


@dataclass(frozen=True)
class PairResult(Record):
    """Two levels. difference: accuracy of a minus that of b. verdict: of a against b.

    p values are corrected for the number of pairs (Holm). seeds_needed: in all, for an undecided pair;
    None where the pair is decided, or where no number of seeds would decide it soon.
    """

    a: str
    b: str
    difference: Interval
    verdict: str
    p_different: float
    p_equivalent: float
    seeds_needed: int | None
    images: McNemar

    def seen_from(self, level: str) -> ToBest:
        """Difference and verdict of one of both against the other."""
        if level == self.a:
            return ToBest(self.difference, self.verdict)
        return ToBest(self.difference.negated(), OPPOSITE[self.verdict])


@dataclass(frozen=True)
class TrialTiming(Record):
    train_seconds: float
    eval_seconds: float


class Hashes(TypedDict):
    """Of what a trial shares with others. weights: of each layer before training. predictions: of its own."""

    data: str
    split: str
    order: str
    augmentation: str
    weights: dict[str, str]
    predictions: NotRequired[str]


@dataclass(frozen=True)
class TrialFacts(Record):
    """What `trial.json` holds."""

    level: str
    seed: int
    id: str
    hashes: Hashes


@dataclass(frozen=True)
class TrialResult(Record):
    """One training. error: why it failed; where it did, the fields after it are None.

    clean_train_accuracy: of the kept epoch, as in `EpochRecord`; also None where cnnkit 0.1.0 trained it.
    hashes: of data, split, order, augmentation, predictions, and of the initial weights by layer.
    """

    level: str
    seed: int
    folder: str
    error: str | None
    test_accuracy: float | None = None
    val_accuracy: float | None = None
    best_epoch: int | None = None
    hashes: Hashes | None = None
    timing: TrialTiming | None = None
    clean_train_accuracy: float | None = None


@dataclass(frozen=True)
class StudyResults(Record):
    """A comparison. levels: best first; empty, like pairs, where no seed is finished by every level.

    margin: percentage points. seeds: those that every level has finished.
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
    friedman_p: float | None
    trials: list[TrialResult]
    history: list[Earlier] = field(default_factory=list)

    @property
    def best(self) -> LevelResult:
        return self.levels[0]

    @property
    def failed(self) -> list[TrialResult]:
        return [trial for trial in self.trials if trial.error]

    def complaint(self) -> str:
        """What no study comes to, in words; empty where there is nothing."""
        names = [level.name for level in self.levels]
        found = sorted(sorted((pair.a, pair.b)) for pair in self.pairs)
        if len({*names}) < len(names) or found != sorted(sorted(pair) for pair in combinations(names, 2)):
            return "its pairs are not those of its levels"
        if (
            any(len(level.accuracies) != len(self.seeds) for level in self.levels)
            or not 0 < self.margin < 100
        ):
            return "its accuracies are not one a seed, or its margin is none"
        if any(not 0 <= accuracy <= 1 for level in self.levels for accuracy in level.accuracies):
            return "an accuracy lies between 0 and 1"
        if any(not is_plain(trial.folder) for trial in self.trials):
            return "a trial's folder is no name"
        return ""

    def pair(self, one: str, other: str) -> PairResult:
        """The pair of two levels, in whichever order it is kept. Raises UsageError where there is none."""
        for pair in self.pairs:
            if {pair.a, pair.b} == {one, other}:
                return pair
        raise UsageError(f"the study has no pair {one!r} and {other!r}")
