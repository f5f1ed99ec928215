"""What training tells the world while it runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Note:
    """A sentence for the person: something was fetched, resumed or could not be kept."""

    text: str


@dataclass(frozen=True)
class Prepared(Note):
    """So many images are decoded; told at the start, again and again, and at the end."""

    done: int
    images: int


@dataclass(frozen=True)
class NotDrawn(Note):
    """A part of a page that could not be drawn, though nothing is damaged."""


@dataclass(frozen=True)
class Begun:
    """Training is about to take its next step. device: in words. macs: for one image."""

    title: str
    device: str
    parameters: int
    macs: int
    epochs: int


@dataclass(frozen=True)
class Forecast:
    """About what a training will cost, told before it begins.

    seconds: of training, measuring and testing. memory: bytes of this process at most, on a GPU of the
    device; None where the system does not tell.
    """

    seconds: float
    memory: int | None = None


@dataclass(frozen=True)
class StepDone:
    """One optimizer step is done; steps and epochs are counted from 1.

    train_loss, train_accuracy: over this epoch so far; None on a device that the host would have to
    wait for, where images_per_second is how fast it is handed its work.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    images_per_second: float
    train_loss: float | None
    train_accuracy: float | None


class Monitored:
    """What was measured on the validation images."""

    val_loss: float | None
    val_accuracy: float | None
    val_balanced_accuracy: float | None
    val_macro_f1: float | None

    def monitored(self, monitor: str) -> float | None:
        """What `training.monitor` names."""
        value: float | None = getattr(self, f"val_{monitor}")
        return value

    def rank(self, monitor: str) -> tuple[float, float]:
        """The larger, the better: by what `training.monitor` names, then by validation loss."""
        low_loss = -(self.val_loss or 0.0)
        return low_loss if monitor == "loss" else self.monitored(monitor) or 0.0, low_loss


@dataclass(frozen=True)
class EpochRecord(Monitored):
    """One line of `metrics.jsonl`.

    step: optimizer steps since training began. learning_rate: of the epoch's last step.
    train_loss and train_accuracy: over the epoch's batches while the weights moved, with dropout,
    augmentation and label smoothing. val_loss and val_accuracy: after the epoch, without them;
    None where nothing is held out. clean_train_loss and clean_train_accuracy: measured as validation is, on
    a fixed sample of the training images; None in files of cnnkit 0.1.0. temperature, uniform_share: of the
    calibrator that was fitted on the validation images; None and 0 where none was.
    val_balanced_accuracy, val_macro_f1: as in `cnnkit.scores`; None in files of cnnkit 0.3 and before, too.
    seconds: of training alone, without what is measured after the epoch.
    Accuracies are fractions, losses mean cross-entropies in nats.
    """

    epoch: int
    step: int
    learning_rate: float
    train_loss: float
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    seconds: float
    images_per_second: float
    clean_train_loss: float | None = None
    clean_train_accuracy: float | None = None
    temperature: float | None = None
    val_balanced_accuracy: float | None = None
    val_macro_f1: float | None = None
    uniform_share: float = 0.0


@dataclass(frozen=True)
class StudyBegun:
    """Trials are about to run. where: device, in words. finished: trials kept from before.

    trials: of all levels and seeds. at_most: whether the study may end before that, once it is decided.
    seconds: about how long the other trials take, at least and at most; None where that is not known.
    workers: processes that train at once; 0: not known. memory: bytes that each takes at most, or None.
    measure: what is compared, in words. can_tell: what the test images can show; empty: not known.
    """

    title: str
    where: str
    trials: int
    finished: int
    at_most: bool
    warnings: Sequence[str]
    seconds: tuple[float, float] | None = None
    measure: str = "accuracy"
    can_tell: str = ""
    workers: int = 0
    memory: int | None = None


@dataclass(frozen=True)
class TrialDone:
    """accuracy: on the test images, or what else is compared; None where it failed. error: why.

    seconds: of training.
    """

    level: str
    seed: int
    accuracy: float | None
    seconds: float | None
    error: str | None


@dataclass(frozen=True)
class Standing:
    """Where a level stands. mean: of what is compared, a fraction, over `seeds`. state: in a word or two."""

    level: str
    mean: float
    seeds: int
    failures: int
    state: str


@dataclass(frozen=True)
class SeedDone:
    """All levels that are still trained have ended with so many seeds. standings: the leader first.

    decided: whether the leader is known. can_tell: what the seeds that are left can show, in words; empty
    where that is not known.
    """

    seeds: int
    standings: Sequence[Standing]
    decided: bool
    can_tell: str = ""


@dataclass(frozen=True)
class TuningBegun:
    """Settings are about to be chosen. trainings: in all; finished: those kept from before.

    what: is tuned, in words. seconds: about how long the other trainings take. seed_seconds: about how long
    all levels then take for each seed. Both are None where that is not known.
    """

    what: str
    trainings: int
    finished: int
    seconds: float | None
    seed_seconds: float | None


@dataclass(frozen=True)
class PointDone:
    """A training that only serves to choose settings.

    accuracy: on validation images, in words; or what else decides. None: it failed. folder: its name, below
    `tuning`.
    """

    level: str
    point: int
    accuracy: str | None
    seconds: float | None
    error: str | None
    folder: str


Event = Note | Forecast | Begun | StepDone | EpochRecord
Listener = Callable[[Event], None]
NoteListener = Callable[[Note], None]
StudyEvent = Note | StudyBegun | TrialDone | SeedDone | TuningBegun | PointDone
StudyListener = Callable[[StudyEvent], None]


def ignore(event: object) -> None:
    """The listener that listens to nothing."""
