"""A training that is measured on validation images alone: test images never reach it."""

from dataclasses import replace
from pathlib import Path

import torch

from cnnkit import signals
from cnnkit.comparison.tuning import PointResult
from cnnkit.config.load import config_text
from cnnkit.config.schema import Config
from cnnkit.data.dataset import Published
from cnnkit.data.prepare import load_data
from cnnkit.errors import Interrupted
from cnnkit.events import Forecast
from cnnkit.experiment.forecast import forecast
from cnnkit.experiment.train import Setting, begin, prepare
from cnnkit.filenames import CONFIG, RESULT
from cnnkit.files import write_atomically, write_json
from cnnkit.kept import sealed
from cnnkit.training.device import device_errors_in_words
from cnnkit.training.loop import train


def train_for_validation(
    config: Config, trial_id: str, folder: Path, published: Published | None = None
) -> None:
    """Trains; keeps the configuration and a `PointResult` in a folder, but no weights.

    published: the images, where the caller has them; those of the test split are not looked at.
    Raises Interrupted where Ctrl-C or SIGTERM arrives; the training then has to be run again.
    """
    write_atomically(folder / CONFIG, config_text(config))
    setting = _setting(config, published)
    with setting.placement.in_force(), signals.collected() as received:
        with device_errors_in_words(config.training.batch_size):
            training = begin(config, setting.placement, setting.splits)
        if not train(training, setting.splits, stop_requested=lambda: bool(received)):
            raise Interrupted(f"stopped; {folder} holds no result", received[0])
    best = training.history[training.best_epoch - 1]
    assert best.val_accuracy is not None
    assert best.val_loss is not None
    seconds = sum(record.seconds for record in training.history)
    by_classes = best.val_balanced_accuracy, best.val_macro_f1
    result = PointResult(trial_id, best.val_accuracy, best.val_loss, best.epoch, seconds, *by_classes)
    write_json(folder / RESULT, sealed(result.to_dict()))


def forecast_of(config: Config, published: Published) -> Forecast:
    """About what a training costs with its evaluations on validation images, from its first steps."""
    return forecast(config, _setting(config, published))


def _setting(config: Config, published: Published | None) -> Setting:
    """What a training needs, without test images.

    Where training images that equal a test image are left out, these stand for the test images.
    """
    published = published or load_data(config.data)
    images, apart, equal = published.train, published.apart, []
    if apart.same is not None:
        same, tested = apart.same.split([len(images), len(apart.same) - len(images)])
        if not config.data.redrawn:
            equal = torch.isin(same, tested).nonzero()[:, 0].tolist()
        left = [*range(len(images)), *equal]
        groups = None if apart.groups is None else apart.groups[left]
        apart = replace(apart, same=apart.same[left], groups=groups)
    return prepare(config, published=Published(images, images[equal], apart))
