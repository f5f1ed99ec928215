"""What is told of a run: its epochs, its result, its pictures."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnkit import scores
from cnnkit.config.load import flat
from cnnkit.config.schema import Config
from cnnkit.events import EpochRecord
from cnnkit.experiment.checkpoints import load_weights
from cnnkit.experiment.run_dir import RunDir, RunResult
from cnnkit.filenames import METRICS, RESULT
from cnnkit.tracking.messages import Confusion, Filters, Message, Opened, Row, Scalars
from cnnkit.version import __version__

SPLITS = ("clean_train", "train", "val")
LEFT_OUT = ("epoch", "step")  # of a record: the axis, and what follows from it
NOT_COMPUTED = "tracking"  # a key that says nothing of the training


def parameters_of(config: Config) -> dict[str, object]:
    """Dotted keys and their values."""
    return {key: value for key, value in flat(config).items() if key != NOT_COMPUTED}


def opened(
    run: RunDir, parameters: Mapping[str, Any], goes_on: bool, parent: str = "", **tags: str
) -> Opened:
    """parameters: as `parameters_of` gives them. parent: as in `Opened`."""
    name, tags = run.path.resolve().name, {"cnnkit": __version__, **tags}
    return Opened(str(run.path), name, parameters, tags, parent, goes_on)


def row_of(record: EpochRecord, seconds: float) -> Row:
    """`val_loss` is called `loss/val`, so that a tracker draws the losses together. seconds: since 1970."""
    known = {key: value for key, value in asdict(record).items() if value is not None and key not in LEFT_OUT}
    return Row(record.epoch, {_title(key): value for key, value in known.items()}, seconds)


def _title(key: str) -> str:
    for split in SPLITS:
        if key.startswith(f"{split}_"):
            return f"{key.removeprefix(f'{split}_')}/{split}"
    return key


def history(run: RunDir) -> list[Row]:
    """A row for each epoch that is kept, at about the time at which it ended."""
    if not (run.path / METRICS).is_file():
        return []
    records: Sequence[EpochRecord] = run.metrics()
    ended = (run.path / METRICS).stat().st_mtime
    after = np.cumsum([record.seconds for record in records])
    return [row_of(record, ended - float(after[-1] - at)) for record, at in zip(records, after, strict=True)]


def result_row(result: RunResult, seconds: float) -> Row:
    """What came out on the test images."""
    tested = {name: result.tested_by(name) for name in ("loss", *scores.METRICS)}
    values = {f"test/{name}": value for name, value in tested.items() if value is not None}
    return Row(result.epochs, {**values, "train_seconds": result.train_seconds}, seconds)


def outcome(run: RunDir, config: Config, labels: NDArray[np.int64]) -> Iterator[Message]:
    """Of a run that has finished: its test result and its pictures. labels: of the test images, (images,)."""
    from cnnkit.report.filters import first_filters  # which takes time to import: after the training

    folder, names = str(run.path), config.data.info.class_names
    ended = (run.path / RESULT).stat().st_mtime
    yield Scalars(folder, [result_row(run.result, ended)])
    counts = scores.confusion_of(labels, run.predicted(len(names)), len(names))
    yield Confusion(folder, counts.astype(float), names)
    yield Filters(folder, first_filters(load_weights(run.path).model).numpy())
