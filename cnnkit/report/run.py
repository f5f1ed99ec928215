"""What the report of a single run shows, gathered from its run directory."""

import contextlib
from pathlib import Path
from typing import Any

import torch

from cnnkit.config.load import config_text
from cnnkit.config.schema import Config
from cnnkit.data.dataset import ImageDataset
from cnnkit.errors import CnnkitError, OwnCodeError, RunError
from cnnkit.events import EpochRecord
from cnnkit.experiment.checkpoints import Weights, load_weights
from cnnkit.experiment.run_dir import RunDir, RunResult
from cnnkit.own.code import not_run
from cnnkit.report.captions import largest
from cnnkit.report.confusion import Mistake, crop_of, most_confident_mistakes
from cnnkit.report.curves import HOW_MEASURED, curve_panels, drawn_splits, training_fields
from cnnkit.report.damage import damaged_files, predictions_left
from cnnkit.report.dropout import Mask, dropout_masks
from cnnkit.report.heat import mistakes_alone, mistakes_map, most_confused, note_on_many
from cnnkit.report.images import images_of, moved_to, own_test_images
from cnnkit.report.networks import SHOWN_CLASS, cropped_evidence, networks_view
from cnnkit.report.parts import Parts
from cnnkit.report.provenance import provenance_of
from cnnkit.report.reliability import reliability_view
from cnnkit.report.trials import mean_confusion
from cnnkit.stats import wilson_interval
from cnnkit.training.device import Placement
from cnnkit.training.evaluation import evaluation_batch, predict
from cnnkit.words import counted, isolated

NO_MISTAKES: dict[str, object] = {"confusion": None, "confused_pairs": [], "mistakes": [], "missed": 0}
HERE = Placement(torch.device("cpu"), "float32", 1)  # a report is drawn alike on any machine


def run_view(run: RunDir, root: Path | None = None) -> dict[str, Any]:
    """Everything that the template of a run names. root: where its images lie now; None: where they were."""
    parts = Parts()
    weights = _weights(run, parts)
    config = _config(run, weights)
    info, name = config.data.info, config.model.strategies
    result: RunResult | None = None
    with contextlib.suppress(RunError):
        result = run.result if run.finished else None
    there = moved_to(config, root)
    images, missing = images_of(there)
    test = own_test_images(there.data, config.training.seed, images)
    number = 0 if test is None else int((test.labels == SHOWN_CLASS).int().argmax())
    levels = {} if weights is None else {name: weights}
    seed = config.training.seed
    return {
        "config": config,
        "config_text": config_text(config),
        "info": info,
        "as_is": info.shown_as_is,
        "strategy": name,
        "sentence": _sentence(run, result, info.title),
        "damage": damaged_files(run),
        "result": result,
        "curves": parts.draw("curves", lambda: _curves(run, result), None),
        "reliability": parts.draw(
            "reliability", lambda: reliability_view(result.calibration if result else None), None
        ),
        **parts.draw("confusions mistakes", lambda: _mistakes(run, weights, test), NO_MISTAKES),
        "networks": parts.draw(
            "filters maps",
            lambda: networks_view(levels, {name: 0}, test, number, seed) if levels else None,
            None,
        ),
        "evidence": parts.draw(
            "evidence", lambda: cropped_evidence(levels, {name: 0}, test, config.data), None
        ),
        "masks": parts.draw("dropout", lambda: _masks(weights, test, number), []),
        "failures": parts.failures,
        "images_missing": missing,
        **provenance_of([run]),
    }


def _weights(run: RunDir, parts: Parts) -> Weights | None:
    """None where they are damaged, or need code that is not trusted; their sections say so."""
    try:
        return load_weights(run.path)
    except OwnCodeError:
        own = run.config.model.own_classes
        sections = ("mistakes", "filters", "maps", "evidence")
        parts.failures |= dict.fromkeys(sections, not_run(own[0]) if own else "")
    except (CnnkitError, OSError):
        pass
    return None


def _masks(weights: Weights | None, test: ImageDataset | None, number: int) -> list[Mask]:
    if weights is None or test is None:
        return []
    return dropout_masks(weights, test[[number]].cropped(weights.config.data.crop).images[0])


def _config(run: RunDir, weights: Weights | None) -> Config:
    """The configuration of a run; where its file is damaged, the one that its weights hold."""
    try:
        return run.config
    except CnnkitError:
        if weights is None:
            raise
        return weights.config


def _sentence(run: RunDir, result: RunResult | None, title: str) -> str:
    if result is None and run.finished:
        return f"The result of this training on {title} is damaged."
    if result is None and run.failure:
        return f"This training on {title} failed: {run.failure}."
    if result is None:
        return f"This training on {title} has not ended: there is no test result yet."
    accuracy, images = result.test_accuracy, result.test_images
    low, high = wilson_interval(result.test_correct, images)
    return f"{title}: {accuracy:.2%} of {images:,} test images right; 95 % interval {low:.2%} to {high:.2%}."


def _curves(run: RunDir, result: RunResult | None) -> dict[str, object] | None:
    history: list[EpochRecord] = []
    with contextlib.suppress(RunError):
        history = run.metrics()
    if not history:
        return None
    kept = result.best_epoch if result else None
    last, fields = history[-1], training_fields([history])
    accuracy = getattr(last, f"{fields}_accuracy")
    caption = f"After {counted(len(history), 'epoch')} the training accuracy is {accuracy:.2%}"
    if last.val_accuracy is not None:
        caption += f", the validation accuracy {last.val_accuracy:.2%}"
    if kept and len(history) > 1:
        caption += f"; epoch {kept} was kept (dotted line)"
    caption += f". {HOW_MEASURED[fields]}"
    return {"panels": curve_panels(history, kept), "series": drawn_splits(history), "caption": caption}


def _mistakes(run: RunDir, weights: Weights | None, test: ImageDataset | None) -> dict[str, object]:
    """The confusion matrix, and the images that were missed most confidently."""
    kept = None if test is None else predictions_left(run, len(test), test.info.classes)
    if test is None or kept is None:
        return NO_MISTAKES
    predictions, names = torch.from_numpy(kept), test.info.class_names
    confusion = mean_confusion(kept[None], test.labels.numpy(), len(names))
    errors = mistakes_alone(confusion)
    row, column = largest(errors)
    missed = int(errors.sum())
    caption = f"{missed:,} of {len(test):,} test images are missed"
    if missed:
        truth, taken = isolated(names[row]), isolated(names[column])
        caption += f"; most often, {int(errors[row, column])} times, {truth} is taken for {taken}"
    mistakes = [] if weights is None else _most_confident(weights, test, predictions)
    return {
        "confusion": mistakes_map(confusion, names),
        "confused_pairs": most_confused([confusion], names),
        "confusion_caption": f"{caption}. Rows are the truth, columns what it was taken for. "
        f"{note_on_many(names)}".rstrip(),
        "mistakes": mistakes,
        "crop_note": crop_of(mistakes),
        "missed": missed,
    }


def _most_confident(weights: Weights, test: ImageDataset, predictions: torch.Tensor) -> list[Mistake]:
    missed = (predictions != test.labels).nonzero()[:, 0]
    if not len(missed):
        return []
    of_missed, taken = test[missed], predictions[missed]
    crop, as_is = weights.config.data.crop, weights.config.data.info.shown_as_is
    model, calibrator = weights.model, weights.calibrator
    batches = (batch.cropped(crop).images for batch in of_missed.batches(evaluation_batch(model)))
    probabilities = torch.cat([predict(model, batch, HERE, calibrator) for batch in batches])
    confidences = probabilities.gather(1, taken[:, None])[:, 0]
    return most_confident_mistakes(of_missed, taken, confidences, crop, as_is)
