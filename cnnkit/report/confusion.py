"""The confusion matrix of an evaluation, and the images that were missed most confidently."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cnnkit.data.dataset import ImageDataset
from cnnkit.data.prepare import load_splits
from cnnkit.experiment.measure import Measured
from cnnkit.filenames import confusion_picture
from cnnkit.files import write_atomically
from cnnkit.report.crops import crop_note, whole_image
from cnnkit.report.heat import mistakes_map
from cnnkit.report.template import render
from cnnkit.words import isolated

MISTAKES_SHOWN = 15
LONGEST_NAME = 11  # characters of a class below a tile


def draw_confusion(measured: Measured) -> Path:
    """Draws `confusion-<split>.svg` beside the weights: the matrix, and the most confident mistakes.

    The same evaluation gives the same bytes. Returns the path.
    """
    evaluation, data = measured.evaluation, measured.weights.config.data
    images, names = uncropped(measured), measured.images.info.class_names
    mistakes = most_confident_mistakes(
        images, evaluation.predictions, evaluation.confidences, data.crop, data.info.shown_as_is
    )
    title = f"{evaluation.accuracy:.2%} of {evaluation.images:,} {measured.which} right"
    path = measured.weights.source.parent / confusion_picture(measured.stem)
    write_atomically(path, confusion_svg(evaluation.confusion, names, mistakes, title))
    return path


def uncropped(measured: Measured) -> ImageDataset:
    """The images of the evaluation, before the crop."""
    config = measured.weights.config
    if measured.other is not None:
        return measured.other.whole
    if not config.data.crop:
        return measured.images
    data = config.data.model_copy(update={"crop": 0})
    whole: ImageDataset = getattr(load_splits(data, config.training.seed), measured.split)
    return whole


@dataclass(frozen=True)
class Mistake:
    """A missed image: pixels (C, H, W) uint8, the classes' names, the probability of the wrong class.

    crop: what is cut off each side of it, pixels. as_is: drawn in its colours, not as ink.
    """

    pixels: Tensor
    truth: str
    taken_for: str
    confidence: float
    crop: int = 0
    as_is: bool = False

    title = ""  # of its tile

    @property
    def kind(self) -> str:
        return "photo" if self.as_is else "ink"

    @property
    def lines(self) -> tuple[str, str, str]:
        """Below its tile, each as short as the tile is wide."""
        return _shortened(self.truth), "taken for", f"{_shortened(self.taken_for)}, {self.confidence:.0%}"

    @property
    def caption(self) -> str:
        return f"{isolated(self.truth)}, taken for {isolated(self.taken_for)}, {self.confidence:.0%}"

    @property
    def image(self) -> str:
        """The address of a PNG, for a page."""
        return whole_image(self.pixels, self.crop, self.as_is)


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def confusion_svg(
    confusion: Tensor, class_names: Sequence[str], mistakes: Sequence[Mistake], title: str
) -> str:
    """The confusion matrix with its mistakes in colour, beside missed images.

    confusion: counts (classes, classes), rows are the truth.
    """
    counts = confusion.numpy().astype(np.float64)
    heat = mistakes_map(counts, class_names, text=lambda count: f"{count:,.0f}")
    shown = mistakes[:MISTAKES_SHOWN]
    view = {"heat": heat, "mistakes": shown, "title": title, "note": crop_of(shown)}
    return render("confusion.svg.j2", view)


def crop_of(mistakes: Sequence[Mistake]) -> str:
    """What the crop took of these images, in words; empty where there is none."""
    if not mistakes:
        return ""
    first = mistakes[0]
    return crop_note(torch.stack([mistake.pixels for mistake in mistakes]), first.crop, first.as_is)


def most_confident_mistakes(
    images: ImageDataset, predictions: Tensor, confidences: Tensor, crop: int = 0, as_is: bool = False
) -> list[Mistake]:
    """Missed images, the most confidently missed first. images: N, before the crop.

    predictions, confidences: (N,). Only what is shown is copied out of the images.
    """
    labels, names = images.labels.cpu(), images.info.class_names
    missed = (predictions != labels).nonzero()[:, 0]
    ordered = missed[confidences[missed].argsort(descending=True, stable=True)][:MISTAKES_SHOWN]
    shown = images[ordered].images.cpu()
    return [
        Mistake(pixels, names[int(labels[i])], names[int(predictions[i])], float(confidences[i]), crop, as_is)
        for i, pixels in zip(ordered.tolist(), shown, strict=True)
    ]
