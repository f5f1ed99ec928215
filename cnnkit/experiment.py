"""The whole walk: configuration → data → model → training → one look at the test split → run directory."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cnnkit.config import Config
from cnnkit.data import ImageDataset, Published, Splits, load_splits, pixel_statistics
from cnnkit.device import Placement, out_of_memory_in_words, place
from cnnkit.errors import Interrupted, RunError, UsageError
from cnnkit.evaluation import EVALUATION_BATCH, Evaluation, evaluate, predict
from cnnkit.events import Begun, Listener, Note, NoteListener, ignore
from cnnkit.files import write_json
from cnnkit.images import load_image
from cnnkit.model import build_model, count_costs
from cnnkit.runs import (
    BEST,
    LAST,
    RESULT,
    STATE,
    Run,
    Weights,
    load_weights,
    resume_command,
    write_environment,
)
from cnnkit.stacked import train_on_device
from cnnkit.training import Training, train


@dataclass(frozen=True)
class Setting:
    """What a training needs before it can begin: a device, and images that lie on it. seconds: to prepare."""

    placement: Placement
    splits: Splits
    seconds: float


def prepare(
    config: Config,
    notify: Listener = ignore,
    device_name: str | None = None,
    published: Published | None = None,
) -> Setting:
    """Finds the device and the data. Raises UsageError or DataError where they are not to be had.

    device_name: instead of the configured one. published: the images, where they are known already.
    """
    started = time.perf_counter()
    placement = place(config.runtime, device_name)
    with out_of_memory_in_words(config.training.batch_size):
        splits = resident_splits(config, placement, notify, published)
    return Setting(placement, splits, time.perf_counter() - started)


def run_experiment(
    config: Config,
    run: Run,
    notify: Listener = ignore,
    setting: Setting | None = None,
) -> dict[str, Any]:
    """Trains into a new run directory, or goes on where it stopped; returns what `result.json` holds.

    Raises Interrupted, after saving, where Ctrl-C or SIGTERM arrives while it trains.
    """
    setting = setting or prepare(config, notify)
    placement, splits = setting.placement, setting.splits
    started = time.perf_counter()
    with out_of_memory_in_words(config.training.batch_size):
        training = begin(config, placement, splits)
    run.remove_leftovers()
    if resuming := (run.path / STATE).is_file():
        training.restore(run.load_state())
        _warn_of_another_machine(run, placement, notify)
    else:
        write_environment(run, placement)
    setup_seconds = setting.seconds + time.perf_counter() - started

    begun = describe(training)
    notify(begun)
    if resuming and training.finished:
        notify(Note("training had ended; only the test was missing"))
    _train_and_keep(training, splits, run, notify)
    return finish(training, splits, run, begun, setup_seconds)


def finish(
    training: Training, splits: Splits, run: Run, begun: Begun, setup_seconds: float
) -> dict[str, Any]:
    """Tests the weights that were kept; writes `result.json` and returns what it holds."""
    result = {"run": str(run.path), **_test_once(training, splits, run)}
    result |= {"parameters": begun.parameters, "macs": begun.macs, "setup_seconds": setup_seconds}
    write_json(run.path / RESULT, result)
    return result


def _train_and_keep(training: Training, splits: Splits, run: Run, notify: Listener) -> None:
    """Trains to the end. Raises Interrupted, after saving, where a signal comes first."""
    config = training.config

    def keep(best: bool) -> None:
        run.save_weights(LAST, training.kept_model, config)
        if best:
            run.save_weights(BEST, training.kept_model, config)
        run.write_metrics(training.history)
        run.save_state(training.state(), config)  # last: it says that the others are whole

    with _stop_on_signal() as received:
        go = train_on_device if training.placement.device.type == "cuda" else train
        whole = go(training, splits, on_event=notify, on_epoch=keep, stop_requested=lambda: bool(received))
        if not whole:
            run.save_state(training.state(), config)
            raise Interrupted(
                f"stopped and saved in {run.path}; go on with: {resume_command(run.path)}", received[0]
            )


def begin(config: Config, placement: Placement, splits: Splits) -> Training:
    """A training that has not taken a step, from the initial weights of its seed."""
    info = config.data.info
    mean, std = pixel_statistics(splits.train.images)
    model = build_model(config.model, info.shape, info.classes, config.training.seed, mean, std)
    return Training(config, model, placement, len(splits.train))


def resident_splits(
    config: Config, placement: Placement, notify: NoteListener = ignore, published: Published | None = None
) -> Splits:
    """A configuration's images, split by its seed and cropped, on the device."""
    splits = load_splits(config.data, config.training.seed, notify, published)
    device = placement.device
    return Splits(splits.train.to(device), splits.validation.to(device), splits.test.to(device))


def measure(weights: Weights, images: ImageDataset, placement: Placement) -> Evaluation:
    """What kept weights are worth on some images that lie on the device."""
    with out_of_memory_in_words(EVALUATION_BATCH):
        return evaluate(weights.model.to(placement.device), images, placement)


def evaluate_and_keep(
    weights: Weights, split: str, placement: Placement, notify: NoteListener = ignore
) -> dict[str, Any]:
    """Measures weights on a split; keeps numbers and a picture beside them where that folder allows it.

    Raises UsageError where the split holds no images.
    """
    from cnnkit.pictures import draw_confusion, most_confident_mistakes

    config, info = weights.config, weights.config.data.info
    images: ImageDataset = getattr(resident_splits(config, placement, notify), split)
    if not len(images):
        raise UsageError(f"the {split} split is empty: data.validation is 0")
    measured = measure(weights, images, placement)
    named = {"split": split, "weights": weights.source.name, "dataset": config.data.dataset}
    content = {**named, **measured.as_dict(info.class_names)}
    folder, stem = weights.source.parent, weights.source.stem
    name = split if weights.source.name == BEST else f"{stem}-{split}"
    mistakes = most_confident_mistakes(
        images.images.cpu(), images.labels.cpu(), measured.predictions, measured.confidences, info.class_names
    )
    title = f"{measured.accuracy:.2%} of {measured.images:,} {split} images right"
    try:
        write_json(folder / f"eval-{name}.json", content)
        draw_confusion(
            measured.confusion, info.class_names, mistakes, title, folder / f"confusion-{name}.svg"
        )
    except OSError as error:
        notify(Note(f"the evaluation could not be kept in {folder}: {error.strerror}"))
    return content


def predict_file(weights: Weights, path: Path, top: int, placement: Placement) -> list[dict[str, Any]]:
    """The likeliest classes of one image file, best first, with their probabilities.

    Raises ImageError where the file shows nothing that the network could be asked about.
    """
    info = weights.config.data.info
    image = load_image(path, info).to(placement.device)
    with out_of_memory_in_words(len(image)):
        probabilities = predict(weights.model.to(placement.device), image, placement)[0].cpu()
    best = probabilities.argsort(descending=True, stable=True)[:top].tolist()
    return [{"class": info.class_names[i], "probability": float(probabilities[i])} for i in best]


def _test_once(training: Training, splits: Splits, run: Run) -> dict[str, Any]:
    """The one look at the test split, by the weights that were kept, and what led there."""
    weights = load_weights(run.path)
    started = time.perf_counter()
    test = measure(weights, splits.test, training.placement)
    eval_seconds = time.perf_counter() - started
    run.write_predictions(test.predictions)
    config, best = training.config, training.history[training.best_epoch - 1]
    return {
        "test_accuracy": test.accuracy,
        "test_loss": test.loss,
        "val_accuracy": best.val_accuracy,
        "val_loss": best.val_loss,
        "best_epoch": training.best_epoch,
        "epochs": len(training.history),
        "train_seconds": sum(record.seconds for record in training.history),
        "eval_seconds": eval_seconds,
        "seed": config.training.seed,
        "device": str(training.placement.device),
        "precision": training.placement.precision,
        "threads": training.placement.threads,
        "dataset": config.data.dataset,
        "train_images": len(splits.train),
        "val_images": len(splits.validation),
        "test_images": len(splits.test),
    }


def describe(training: Training) -> Begun:
    """What a person is told before it trains."""
    config, placement = training.config, training.placement
    costs = count_costs(training.model, config.data.info.shape)
    return Begun(
        title=f"{config.data.info.title}, {config.model.strategy} pooling",
        device=f"{placement.device}, {placement.precision}, {placement.threads} threads",
        parameters=sum(cost.parameters for cost in costs),
        macs=sum(cost.macs for cost in costs),
        epochs=config.training.epochs,
    )


def _warn_of_another_machine(run: Run, placement: Placement, notify: Listener) -> None:
    try:
        before = run.environment
    except RunError:
        before = {}
    now = {
        "device": str(placement.device),
        "precision": placement.precision,
        "threads": placement.threads,
        "torch": torch.__version__,
    }
    if changed := [f"{key} {before.get(key)} → {now[key]}" for key in now if before.get(key) != now[key]]:
        notify(Note(f"resumed with another {', '.join(changed)}: the weights will not be bitwise the same"))


@contextmanager
def _stop_on_signal() -> Iterator[list[int]]:
    """Collects Ctrl-C and SIGTERM while training; a second Ctrl-C stops at once."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def receive(number: int, _: object) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    before = {number: signal.signal(number, receive) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
