"""What the report of a single run shows, gathered from its run directory."""

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from cnnkit.config.load import config_text
from cnnkit.data.dataset import ImageDataset
from cnnkit.errors import CnnkitError, RunError
from cnnkit.events import EpochRecord
from cnnkit.experiment.checkpoints import Weights, load_weights
from cnnkit.experiment.run_dir import RunDir, RunResult
from cnnkit.report.captions import largest
from cnnkit.report.confusion import Mistake, most_confident_mistakes
from cnnkit.report.curves import curve_panels, drawn_splits
from cnnkit.report.evidence import evidence_view
from cnnkit.report.heat import mistakes_alone, mistakes_map
from cnnkit.report.images import images_of
from cnnkit.report.networks import SHOWN_CLASS, networks_view
from cnnkit.report.trials import mean_confusion, provenance_of, whole_predictions
from cnnkit.stats import wilson_interval
from cnnkit.training.device import Placement
from cnnkit.training.evaluation import evaluation_batch, predict
from cnnkit.words import counted

HERE = Placement(torch.device("cpu"), "float32", 1)  # a report is drawn alike on any machine


def run_view(run: RunDir) -> dict[str, Any]:
    """Everything that the template of a run names."""
    config = run.config
    info, name = config.data.info, config.model.strategies
    result = run.result if run.finished else None
    weights: Weights | None = None
    with contextlib.suppress(CnnkitError, OSError):
        weights = load_weights(run.path)
    test, missing = images_of(config)
    number = 0 if test is None else int((test.labels == SHOWN_CLASS).int().argmax())
    levels = {} if weights is None else {name: weights}
    seed = config.training.seed
    return {
        "config": config,
        "config_text": config_text(config),
        "info": info,
        "strategy": name,
        "sentence": _sentence(result, info.title),
        "result": result,
        "curves": _curves(run, result),
        **_mistakes(run, weights, test),
        "networks": networks_view(levels, {name: 0}, test, number, seed) if levels else None,
        "evidence": evidence_view(levels, {name: 0}, test),
        "images_missing": missing,
        **provenance_of([run]),
    }


def _sentence(result: RunResult | None, title: str) -> str:
    if result is None:
        return f"This training on {title} has not ended: there is no test result yet."
    accuracy, images = result.test_accuracy, result.test_images
    low, high = wilson_interval(result.test_correct, images)
    return f"{title}: {accuracy:.2%} of {images:,} test images right; 95 % interval {low:.2%} to {high:.2%}."


def _curves(run: RunDir, result: RunResult | None) -> dict[str, Any] | None:
    history: list[EpochRecord] = []
    with contextlib.suppress(RunError):
        history = run.metrics()
    if not history:
        return None
    kept = result.best_epoch if result else None
    last = history[-1]
    caption = f"After {counted(len(history), 'epoch')} the training accuracy is {last.train_accuracy:.2%}"
    if last.val_accuracy is not None:
        caption += f", the validation accuracy {last.val_accuracy:.2%}"
    if kept and len(history) > 1:
        caption += f"; epoch {kept} was kept (dotted line)"
    caption += ". Training figures are measured while the weights move, with dropout and augmentation."
    return {"panels": curve_panels(history, kept), "series": drawn_splits(history), "caption": caption}


def _mistakes(run: RunDir, weights: Weights | None, test: ImageDataset | None) -> dict[str, Any]:
    """The confusion matrix, and the images that were missed most confidently."""
    nothing: dict[str, Any] = {"confusion": None, "mistakes": [], "missed": 0}
    kept = None if test is None else whole_predictions(run, len(test))
    if test is None or kept is None:
        return nothing
    predictions, names = torch.from_numpy(kept.astype(np.int64)), test.info.class_names
    confusion = mean_confusion(kept[None], test.labels.numpy(), len(names))
    errors = mistakes_alone(confusion)
    row, column = largest(errors)
    missed = int(errors.sum())
    caption = f"{missed:,} of {len(test):,} test images are missed"
    if missed:
        caption += (
            f"; most often, {int(errors[row, column])} times, {names[row]} is taken for {names[column]}"
        )
    return {
        "confusion": mistakes_map(confusion, names),
        "confusion_caption": f"{caption}. Rows are the truth, columns what it was taken for.",
        "mistakes": [] if weights is None else _most_confident(weights, test, predictions, names),
        "missed": missed,
    }


def _most_confident(
    weights: Weights, test: ImageDataset, predictions: torch.Tensor, names: Sequence[str]
) -> list[Mistake]:
    missed = (predictions != test.labels).nonzero()[:, 0]
    if not len(missed):
        return []
    of_missed, taken = test[missed], predictions[missed]
    batches = of_missed.images.split(evaluation_batch(weights.model))
    probabilities = torch.cat([predict(weights.model, batch, HERE) for batch in batches])
    confidences = probabilities.gather(1, taken[:, None])[:, 0]
    return most_confident_mistakes(of_missed.images, of_missed.labels, taken, confidences, names)
