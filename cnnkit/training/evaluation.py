"""What a model is worth: sums and counts over a split, divided last."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnnkit.config.costs import layer_costs
from cnnkit.data.dataset import ImageDataset
from cnnkit.nn.model import CNN
from cnnkit.stats import wilson_interval
from cnnkit.training.batches import in_order
from cnnkit.training.device import Placement

CALIBRATION_BINS = 15
LARGEST_BATCH = 1000  # images; at 100 fast.yaml is a third slower, at 5000 mnist.yaml almost by half
BATCH_MEMORY = 512 << 20  # bytes of feature maps that a batch may need


@dataclass(frozen=True)
class Evaluation:
    """Sums over a split of N images.

    loss_sum: cross-entropy, nats. confusion: (classes, classes) int64, rows the truth, columns the
    prediction. bins: (3, CALIBRATION_BINS), per bin of confidence the images, the sum of their
    confidences, and how many were right. predictions: (N,), confidences: (N,) probability.
    """

    loss_sum: float
    confusion: Tensor
    bins: Tensor
    predictions: Tensor
    confidences: Tensor

    @property
    def images(self) -> int:
        return int(self.confusion.sum())

    @property
    def correct(self) -> int:
        return int(self.confusion.diagonal().sum())

    @property
    def accuracy(self) -> float:
        return self.correct / self.images

    @property
    def loss(self) -> float:
        return self.loss_sum / self.images

    @property
    def calibration_error(self) -> float:
        """Mean |confidence - accuracy| over equally wide bins of confidence, weighted by their images.

        Guo et al., "On calibration of modern neural networks", ICML 2017, equation 3.
        """
        _, confidence, right = self.bins
        return float((confidence - right).abs().sum() / self.images)

    def per_class(self) -> list[dict[str, float]]:
        """Precision, recall, F1 and images of each class; 0 where nothing was there to divide by."""
        hit, true = self.confusion.diagonal().double(), self.confusion.sum(1).double()
        predicted = self.confusion.sum(0).double()
        columns = {
            "precision": hit / predicted.clamp(min=1),
            "recall": hit / true.clamp(min=1),
            "f1": 2 * hit / (true + predicted).clamp(min=1),
        }
        return [
            {"images": int(true[i]), **{name: float(column[i]) for name, column in columns.items()}}
            for i in range(len(true))
        ]

    def as_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        """What `eval-<split>.json` holds. Accuracies, intervals and errors are fractions."""
        low, high = wilson_interval(self.correct, self.images)
        return {
            "accuracy": self.accuracy,
            "accuracy_interval": [low, high],
            "loss": self.loss,
            "calibration_error": self.calibration_error,
            "images": self.images,
            "correct": self.correct,
            "classes": dict(zip(class_names, self.per_class(), strict=True)),
            "confusion": self.confusion.tolist(),
        }


def evaluation_batch(model: nn.Module) -> int:
    """How many images a network may look at at once: as many as `BATCH_MEMORY` holds, 1 to `LARGEST_BATCH`.

    A layer holds its input and its output at the same time, in float32: 4 bytes a value. Workspace of the
    convolution and copies for padding are not counted, so the peak may be a few times higher.
    """
    if not isinstance(model, CNN):
        return LARGEST_BATCH
    layers = layer_costs(model.config, model.info)
    sizes = [math.prod(model.info.shape), *(math.prod(layer.output_shape) for layer in layers)]
    widest = max(before + after for before, after in pairwise(sizes))
    return max(1, min(LARGEST_BATCH, BATCH_MEMORY // (4 * widest)))


def evaluate(model: nn.Module, dataset: ImageDataset, placement: Placement) -> Evaluation:
    """Measures a model on a split that lies on its device. Waits for the device at the end alone."""
    classes = 0
    losses, predictions, confidences = [], [], []
    was_training = model.training
    model.eval()
    with torch.inference_mode(), placement.autocast():
        for images, labels in in_order(dataset, evaluation_batch(model)):
            logits = model(images).float()
            classes = logits.shape[1]
            losses.append(F.cross_entropy(logits, labels, reduction="sum"))
            confidence, prediction = logits.softmax(1).max(1)
            predictions.append(prediction)
            confidences.append(confidence)
    model.train(was_training)
    predicted, confident = torch.cat(predictions).cpu(), torch.cat(confidences).cpu()
    labels = dataset.labels.cpu()
    pairs = torch.bincount(labels * classes + predicted, minlength=classes**2)
    return Evaluation(
        loss_sum=torch.stack(losses).cpu().double().sum().item(),  # Apple's GPUs have no float64
        confusion=pairs.view(classes, classes),
        bins=_calibration_bins(confident, predicted == labels),
        predictions=predicted,
        confidences=confident,
    )


def _calibration_bins(confidences: Tensor, right: Tensor) -> Tensor:
    index = (confidences.nan_to_num() * CALIBRATION_BINS).long().clamp(max=CALIBRATION_BINS - 1)
    rows = (torch.ones_like(confidences), confidences, right)
    bins = torch.zeros(3, CALIBRATION_BINS, dtype=torch.float64)
    for row, values in zip(bins, rows, strict=True):
        row.index_add_(0, index, values.double())
    return bins


def predict(model: nn.Module, images: Tensor, placement: Placement) -> Tensor:
    """Class probabilities: (N, C, H, W) pixels 0 … 255 -> (N, classes) float32."""
    model.eval()
    with torch.inference_mode(), placement.autocast():
        return model(images).float().softmax(1)  # type: ignore[no-any-return]
