"""Measures a model on a split, as sums and counts that are divided last."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnnkit.calibration import Calibration, calibration_of
from cnnkit.calibrator import AS_TRAINED, Calibrator
from cnnkit.config.costs import layer_costs
from cnnkit.data.dataset import ImageDataset
from cnnkit.nn.model import CNN
from cnnkit.nn.onnx_network import OnnxNetwork
from cnnkit.scores import ClassScores, class_scores
from cnnkit.stats import wilson_interval
from cnnkit.training.device import Placement, device_errors_in_words

LARGEST_BATCH = 1000  # images; at 100 fast.yaml is a third slower, at 5000 mnist.yaml almost by half
BATCH_MEMORY = 512 << 20  # bytes of feature maps that a batch may need


@dataclass(frozen=True, repr=False)
class Evaluation:
    """What a model answered to a split of N images.

    loss_sum: cross-entropy, nats, without the calibrator. confusion: (classes, classes) int64, rows the
    truth, columns the prediction. logits: (N, classes) float32. labels, predictions: (N,) int64.
    calibrator: makes confidences of the logits.
    """

    loss_sum: float
    confusion: Tensor
    logits: Tensor
    labels: Tensor
    predictions: Tensor
    calibrator: Calibrator = AS_TRAINED

    def __repr__(self) -> str:
        return f"Evaluation({self.correct} of {self.images} right, {self.accuracy:.2%}, loss {self.loss:.4f})"

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
    def scores(self) -> ClassScores:
        return class_scores(self.confusion.numpy())

    @property
    def confidences(self) -> Tensor:
        """(N,): the probability of each answer."""
        return self.calibrator.probabilities(self.logits).amax(1)

    @property
    def calibration_error(self) -> float:
        return self.calibration().error

    def calibration(self) -> Calibration:
        right = (self.predictions == self.labels).numpy()
        before = AS_TRAINED.probabilities(self.logits).amax(1)
        return calibration_of(self.confidences.numpy(), before.numpy(), right, self.calibrator)

    def per_class(self) -> list[dict[str, float]]:
        """Precision, recall, F1 and images of each class; 0 where nothing was there to divide by."""
        scores = self.scores
        names = ("images", "precision", "recall", "f1")
        columns = [getattr(scores, name).tolist() for name in names]
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]

    def as_dict(self, class_names: Sequence[str]) -> dict[str, object]:
        """What `eval-<split>.json` holds. Accuracies, intervals and errors are fractions."""
        low, high = wilson_interval(self.correct, self.images)
        return {
            "accuracy": self.accuracy,
            "accuracy_interval": [low, high],
            "balanced_accuracy": self.scores.balanced_accuracy,
            "macro_f1": self.scores.macro_f1,
            "loss": self.loss,
            "calibration_error": self.calibration_error,
            "calibration": self.calibration().to_dict(),
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
    if not isinstance(model, CNN | OnnxNetwork):
        return LARGEST_BATCH
    layers = layer_costs(model.config, model.info)
    sizes = [math.prod(model.info.shape), *(math.prod(layer.output_shape) for layer in layers)]
    widest = max(before + after for before, after in pairwise(sizes))
    return max(1, min(LARGEST_BATCH, BATCH_MEMORY // (4 * widest)))


def evaluate(
    model: nn.Module, dataset: ImageDataset, placement: Placement, calibrator: Calibrator = AS_TRAINED
) -> Evaluation:
    """Measures a model on a split that lies on the device. Waits for the device at the end alone.

    Raises OutOfMemory or GpuFailed.
    """
    losses, answers = [], []
    was_training = model.training
    with device_errors_in_words():  # its own batches: a smaller training batch would not help
        model.to(placement.device).eval()
        with torch.inference_mode(), placement.autocast():
            for batch in dataset.batches(evaluation_batch(model)):
                logits = model(batch.images).float()
                losses.append(F.cross_entropy(logits, batch.labels, reduction="sum"))
                answers.append(logits)
        logits, loss, labels = torch.cat(answers).cpu(), torch.stack(losses).cpu(), dataset.labels.cpu()
    model.train(was_training)
    predictions, classes = logits.argmax(1), logits.shape[1]
    pairs = torch.bincount(labels * classes + predictions, minlength=classes**2)
    return Evaluation(
        loss_sum=loss.double().sum().item(),  # Apple's GPUs have no float64
        confusion=pairs.view(classes, classes),
        logits=logits,
        labels=labels,
        predictions=predictions,
        calibrator=calibrator,
    )


def predict(
    model: nn.Module, images: Tensor, placement: Placement, calibrator: Calibrator = AS_TRAINED
) -> Tensor:
    """Class probabilities: (N, C, H, W) pixels 0 … 255 -> (N, classes) float32."""
    model.eval()
    with torch.inference_mode(), placement.autocast():
        return calibrator.probabilities(model(images).float())
