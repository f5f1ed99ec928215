"""Whether an image is like those that a network was trained with: how near the nearest of them lies.

Distances are taken between features, after Sun et al., "Out-of-distribution detection with deep nearest
neighbors", ICML 2022. Only training images of the class that the network names are looked at.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from cnnkit.data.dataset import ImageDataset
from cnnkit.nn.model import CNN
from cnnkit.training.device import Placement
from cnnkit.training.evaluation import evaluation_batch

AXES = 32  # along which the features vary most; with 64 axes letters are told from digits no better
MOST_POINTS = 5_000  # training images remembered; 20,000 take a longer look, and told no letter more
FEWEST_HONEST = 100  # validation images; fewer do not tell how far one in a hundred lies
HONEST = 0.99  # the share of the validation images that get no warning
CHUNK = 500  # images compared at once with all points of their class


@dataclass(frozen=True)
class Familiarity:
    """What the training images look like to a network.

    mean: (D,) and axes: (D, A) bring features (N, D) to their A main axes. points: (M, A) float16, training
    images there. classes: (M,) uint8, or int32 of many classes, their labels. threshold: (), the distance
    that 99 % of the validation images keep below, or another share.
    """

    mean: Tensor
    axes: Tensor
    points: Tensor
    classes: Tensor
    threshold: Tensor

    def __post_init__(self) -> None:
        """Raises ValueError where the tensors do not belong together."""
        (axes, points), (images, kept) = self.axes.shape, self.points.shape
        fits = (
            self.mean.shape == (axes,)
            and points == kept
            and images
            and self.classes.shape == (images,)
            and self.threshold.ndim == 0
            and self.threshold.isfinite()
            and self.threshold >= 0
            and self.mean.dtype == self.axes.dtype == self.threshold.dtype == torch.float32
            and self.points.dtype == torch.float16
            and self.classes.dtype in (torch.uint8, torch.int32)
        )
        if not fits:
            raise ValueError("these tensors do not tell what training images look like")

    def strangeness(self, model: CNN, images: Tensor, placement: Placement) -> Tensor:
        """(N, C, H, W), pixels 0 … 255, on the device -> (N,): distances in thresholds; above 1: strange."""
        return self._distances(*_looked_at(model, images, placement)) / self.threshold.clamp(min=1e-12)

    def _distances(self, features: Tensor, predicted: Tensor) -> Tensor:
        """(N, D), (N,) -> (N,): to the nearest point of the predicted class; infinite where it has none."""
        points, found = self.points.float(), torch.full((len(features),), torch.inf)
        for name in predicted.unique():
            own, rows = points[self.classes == name], (predicted == name).nonzero()[:, 0]
            for some in rows.split(CHUNK) if len(own) else ():
                found[some] = torch.cdist(_on_axes(features[some], self.mean, self.axes), own).amin(1)
        return found

    def tensors(self) -> Mapping[str, Tensor]:
        """As they are kept in a file."""
        return vars(self)


def familiarity_of(
    model: CNN,
    train: ImageDataset,
    validation: ImageDataset,
    placement: Placement,
    generator: torch.Generator,
    honest: float = HONEST,
) -> Familiarity | None:
    """Remembers training images, and how far from them the validation images lie.

    honest: the share of the validation images that are to get no warning.
    generator: draws which are remembered, and where the search for the axes begins. None where fewer than
    `FEWEST_HONEST` images were held out. Training images cannot take their place: they lie nearer than new
    images do.
    """
    if len(validation) < FEWEST_HONEST:
        return None
    chosen = train[torch.randperm(len(train), generator=generator)[:MOST_POINTS]]
    features = _features(model, chosen, placement)[0]
    mean = features.mean(0)
    axes = _main_axes(features - mean, generator)
    points = _on_axes(features, mean, axes).half()
    narrow = torch.uint8 if train.info.classes <= 256 else torch.int32
    known = Familiarity(mean, axes, points, chosen.labels.cpu().to(narrow), torch.ones(()))
    distances = known._distances(*_features(model, validation, placement))
    measured = distances[distances.isfinite()]  # it is infinite where the class has no points
    if not len(measured):
        return None
    return Familiarity(mean, axes, points, known.classes, measured.quantile(honest))


def _features(model: CNN, dataset: ImageDataset, placement: Placement) -> tuple[Tensor, Tensor]:
    """All batches' (features, predicted classes), on the host."""
    batches = dataset.batches(evaluation_batch(model))
    parts = [_looked_at(model, batch.images, placement) for batch in batches]
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


def _looked_at(model: CNN, images: Tensor, placement: Placement) -> tuple[Tensor, Tensor]:
    model.eval()
    with torch.inference_mode(), placement.autocast():
        features = model.features(images)
        return features.float().cpu(), model.dense[-1](features).argmax(1).cpu()


def _on_axes(features: Tensor, mean: Tensor, axes: Tensor) -> Tensor:
    return (features - mean) @ axes


def _main_axes(centred: Tensor, generator: torch.Generator) -> Tensor:
    """(N, D) -> (D, A), orthonormal, by subspace iteration: D may be thousands."""
    dimensions = centred.shape[1]
    axes = torch.randn(dimensions, min(AXES, dimensions, len(centred)), generator=generator)
    for _ in range(4):
        axes = torch.linalg.qr(centred.T @ (centred @ axes))[0]
    return axes
