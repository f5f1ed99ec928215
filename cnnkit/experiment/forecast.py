"""About how long a training will take, and how much memory: told before it costs."""

import time

import torch

from cnnkit.config.schema import Config
from cnnkit.data.dataset import ImageDataset
from cnnkit.events import Forecast, StepDone
from cnnkit.experiment.train import Setting, begin
from cnnkit.processes import peak_memory
from cnnkit.training.device import Placement, device_errors_in_words
from cnnkit.training.evaluation import evaluate
from cnnkit.training.loop import SAMPLED, run_epoch, steps_for
from cnnkit.training.state import Training

UNLIKE = 2  # first steps, in which libraries choose kernels and memory comes into being
STEPS = 3  # that are timed, at least
LOOK = 0.5  # seconds of steps that are timed, where a training takes more than SHORT seconds
SHORT = 20.0
EVALUATED = 500  # images that tell how long an evaluation takes


def forecast(config: Config, setting: Setting) -> Forecast:
    """From a few steps, which a network of its own takes, and one small evaluation of training images.

    Raises OutOfMemory where the first steps need more than there is.
    """
    placement, splits = setting.placement, setting.splits
    with placement.in_force(), device_errors_in_words(config.training.batch_size):
        training = begin(config, placement, splits)
        epoch = _seconds_of_step(training, setting) * training.steps_per_epoch
        image = _seconds_of_image(training, splits.train)
    measured = min(len(splits.train), SAMPLED) + len(splits.validation)
    seconds = config.training.epochs * (epoch + measured * image) + len(splits.test) * image
    seconds += training.choosing
    return Forecast(seconds, _memory(placement))


def _seconds_of_step(training: Training, setting: Setting) -> float:
    """The mean over the first steps but for UNLIKE of them, by a clock that has waited for the device."""
    steps, started, ended = steps_for(training, setting.splits), time.perf_counter(), [0.0]
    planned = training.steps_per_epoch * training.config.training.epochs

    def note(event: object) -> None:
        if isinstance(event, StepDone):
            ended.append(time.perf_counter() - started)

    def enough() -> bool:
        timed = len(ended) - 1 - UNLIKE
        if timed < STEPS:
            return False
        passed = ended[-1] - ended[UNLIKE]
        return passed >= LOOK or passed / timed * planned < SHORT

    run_epoch(steps, 1, on_event=note, stop_requested=enough)
    taken, whole = len(ended) - 1, time.perf_counter() - started
    unlike = UNLIKE if taken > UNLIKE else 0
    return (whole - ended[unlike]) / (taken - unlike)


def _seconds_of_image(training: Training, images: ImageDataset) -> float:
    """Of an evaluation."""
    some = images[torch.arange(min(EVALUATED, len(images)))]
    started = time.perf_counter()
    evaluate(training.kept_model, some, training.placement)
    return (time.perf_counter() - started) / len(some)


def _memory(placement: Placement) -> int | None:
    """Bytes: the most that this process has taken, on a GPU of the device."""
    if placement.device.type == "cuda":
        return torch.cuda.max_memory_reserved(placement.device)
    return peak_memory() if placement.device.type == "cpu" else None
