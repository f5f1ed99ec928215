"""The run directory: what one training keeps, and how it is opened again."""

import contextlib
import json
import os
import shlex
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnnkit.calibration import Calibration
from cnnkit.class_numbers import kept_bytes, numbers_in
from cnnkit.config.load import parse_config
from cnnkit.config.schema import Config
from cnnkit.errors import ConfigError, DamagedFile, RunError, UsageError
from cnnkit.events import EpochRecord
from cnnkit.experiment.manifest import damage_of, lost_manifest, read_checked, write_manifest
from cnnkit.experiment.no_run import did_you_mean, what_is_no_run
from cnnkit.filenames import (
    BEST,
    CONFIG,
    ENVIRONMENT,
    FAILURE,
    LAST,
    METRICS,
    OWN,
    PREDICTIONS,
    RESULT,
    STATE,
    TESTED,
)
from cnnkit.files import json_text, remove_parts, write_atomically
from cnnkit.kept import parse_json, read_kept
from cnnkit.own.sources import learn, learn_from_weights
from cnnkit.records import Record, validated

Fact = str | bool | int | float | list[str] | None  # of the environment


@dataclass(frozen=True)
class RunResult(Record):
    """What `result.json` holds. Accuracies are fractions, losses mean cross-entropies in nats, times seconds.

    val_accuracy, val_loss: of the best epoch, None where no images are held out. best_epoch: counted from 1.
    setup_seconds: from the data's preparation to the first step. macs: multiply-accumulates for one image.
    clean_train_accuracy, clean_train_loss: of the best epoch, as in `EpochRecord`. calibration: on the test
    images; test_loss is without its temperature. All three are None in files of cnnkit 0.1.0.
    test_balanced_accuracy, test_macro_f1: as in `cnnkit.scores`; None in files of cnnkit 0.3 and before.
    """

    run: str
    test_accuracy: float
    test_loss: float
    val_accuracy: float | None
    val_loss: float | None
    best_epoch: int
    epochs: int
    train_seconds: float
    eval_seconds: float
    seed: int
    device: str
    precision: str
    threads: int
    dataset: str
    train_images: int
    val_images: int
    test_images: int
    parameters: int
    macs: int
    setup_seconds: float
    clean_train_accuracy: float | None = None
    clean_train_loss: float | None = None
    calibration: Calibration | None = None
    test_balanced_accuracy: float | None = None
    test_macro_f1: float | None = None

    @property
    def test_correct(self) -> int:
        """How many test images were right."""
        return round(self.test_accuracy * self.test_images)

    def tested_by(self, metric: str) -> float | None:
        """What it came to on the test images. metric: of `cnnkit.scores.METRICS`."""
        value: float | None = getattr(self, f"test_{metric}")
        return value

    def complaint(self) -> str:
        """What no run has; empty where there is nothing."""
        if not (0 <= self.test_accuracy <= 1 and 0 <= (self.val_accuracy or 0) <= 1):
            return "an accuracy lies between 0 and 1"
        if not (1 <= self.best_epoch <= self.epochs and self.test_images > 0 and self.eval_seconds > 0):
            return "epochs, images and seconds are counted from 1, from 1 and from above 0"
        return ""


@dataclass(frozen=True)
class RunDir:
    """One run directory. Every file in it is written whole or not at all.

    What is read from it raises RunError where it is missing or damaged.
    """

    path: Path

    @property
    def config(self) -> Config:
        text, name = self._text(CONFIG), str(self.path / CONFIG)
        learn(self.path)
        try:
            return parse_config(text, name, kept=True)
        except ConfigError:  # a copy in `own/` may be damaged: the weights hold the text, too
            learn_from_weights(self.path / BEST)
            return parse_config(text, name, kept=True)

    @property
    def environment(self) -> dict[str, object]:
        facts: dict[str, object] = self.record(ENVIRONMENT, dict[str, Fact])
        return facts

    @property
    def threads(self) -> int | None:
        """With how many CPU threads the run began; None where it has not, or does not tell."""
        with contextlib.suppress(RunError):
            threads = self.environment.get("threads")
            return threads if isinstance(threads, int) and threads > 0 else None
        return None

    @property
    def finished(self) -> bool:
        return (self.path / RESULT).is_file()

    @property
    def failure(self) -> str:
        """Why the training failed, in one line; empty where it did not."""
        try:
            told = read_kept(self.path / FAILURE).decode("utf-8", "replace").splitlines()
        except FileNotFoundError:
            return ""
        except DamagedFile as error:
            return str(error)
        return told[0] if told else ""

    @property
    def result(self) -> RunResult:
        """What `result.json` holds, with the place where the run is now."""
        result: RunResult = self.record(RESULT, RunResult)
        if complaint := result.complaint():
            raise RunError(f"{self.path / RESULT} is damaged: {complaint}")
        return replace(result, run=str(self.path))

    @property
    def sealed_result(self) -> RunResult:
        """The same. Raises RunError also where the manifest is gone, which tells whether it was changed."""
        if lost := lost_manifest(self.path):
            raise RunError(lost)
        return self.result

    def record(self, name: str, kind: Any) -> Any:
        """A JSON file as a value of a type."""
        return self._parsed(name, kind, self._bytes(name))

    def write_metrics(self, history: Iterable[EpochRecord]) -> None:
        lines = [json.dumps(asdict(record)) + "\n" for record in history]
        write_atomically(self.path / METRICS, "".join(lines))

    def metrics(self) -> list[EpochRecord]:
        return [self._parsed(METRICS, EpochRecord, line) for line in self._bytes(METRICS).splitlines()]

    def predictions(self) -> bytes:
        """The class that each test image was taken for, as `class_numbers.kept_bytes` has it."""
        return self._bytes(PREDICTIONS)

    def predicted(self, classes: int) -> NDArray[np.int64]:
        """The same as numbers, (images,). classes: how many the data set has."""
        return numbers_in(self.predictions(), classes, self.path / PREDICTIONS)

    def tested(self) -> bytes:
        """Which of all published images were tested on, uint32, little-endian, where the seed chose them."""
        return self._bytes(TESTED)

    def keep_result(self, result: RunResult) -> None:
        """Writes `manifest.json`, then `result.json`: a run that has a result is finished."""
        raw = (json_text(result.to_dict()) + "\n").encode()
        write_manifest(self.path, raw)
        write_atomically(self.path / RESULT, raw)

    def check(self) -> None:
        """Raises RunError where a file that the result rests on is not the one that the run wrote."""
        if damage := damage_of(self.path):
            raise RunError(
                "\n".join(damage) + "\nput back what was there, or train again into another folder"
            )

    def write_predictions(self, predicted: ArrayLike, classes: int, tested: ArrayLike | None = None) -> None:
        """predicted: (images,), of so many classes. tested: (images,), which, where the seed chose them."""
        write_atomically(self.path / PREDICTIONS, kept_bytes(predicted, classes))
        if tested is not None:
            write_atomically(self.path / TESTED, np.asarray(tested).astype("<u4").tobytes())

    def forget_state(self) -> None:
        """Removes what only going on would need, for a run that has ended."""
        for name in (STATE, LAST):
            (self.path / name).unlink(missing_ok=True)

    def remove_leftovers(self) -> None:
        """Removes parts of files that a killed process was writing. Call it only to resume the run."""
        remove_parts(self.path)

    def _text(self, name: str) -> str:
        try:
            return self._bytes(name).decode("utf-8")
        except UnicodeDecodeError as error:
            raise RunError(f"{self.path / name} is damaged: it is not text") from error

    def _bytes(self, name: str) -> bytes:
        try:
            return read_checked(self.path, name)
        except FileNotFoundError as error:
            raise RunError(
                f"{self.path} holds no {name}: it is no run directory, or not a whole one"
            ) from error
        except DamagedFile as error:
            raise RunError(str(error)) from error

    def _parsed(self, name: str, kind: Any, raw: bytes) -> Any:
        """JSON as a value of a type. name: of the file that holds it."""
        try:
            return validated(kind, parse_json(raw))
        except DamagedFile as error:
            raise RunError(f"{self.path / name} is damaged: {error}") from error


def resume_command(run: Path) -> str:
    return f"cnnkit train --resume {shlex.quote(str(run))}" + " --trust" * (run / OWN).is_dir()


def open_run(path: Path) -> RunDir:
    """The run in a directory, `latest` links followed. Raises UsageError where there is none."""
    path = Path(os.path.realpath(path)) if path.is_symlink() else path  # `resolve` fails on a loop of links
    if not (path / CONFIG).is_file():
        raise UsageError(f"{path} {what_is_no_run(path)}{did_you_mean(path)}")
    return RunDir(path)
