"""What is kept of one training of a study. Accuracies are fractions, times are seconds."""

from dataclasses import dataclass

from typing_extensions import NotRequired, TypedDict

from cnnkit.experiment.run_dir import RunDir
from cnnkit.filenames import TRIAL
from cnnkit.records import Record


@dataclass(frozen=True)
class TrialTiming(Record):
    """eval_seconds: None of a person's own function, whose call is all of train_seconds."""

    train_seconds: float
    eval_seconds: float | None


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


def facts_of(run: RunDir) -> TrialFacts:
    """What `trial.json` of a run says. Raises RunError where it is missing or damaged."""
    facts: TrialFacts = run.record(TRIAL, TrialFacts)
    return facts


@dataclass(frozen=True)
class TrialResult(Record):
    """One training. error: why it failed; where it did, the fields after it are None.

    clean_train_accuracy: of the kept epoch, as in `EpochRecord`; also None where cnnkit 0.1.0 trained it.
    score: of the study's metric, where that is not accuracy.
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
    score: float | None = None

    @property
    def compared(self) -> float | None:
        """What the study compares of it."""
        return self.test_accuracy if self.score is None else self.score
