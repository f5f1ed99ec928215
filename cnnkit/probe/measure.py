"""All figures of one network: how it answers to moved and worn images, and what its stages let through."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from cnnkit.comparison.probe_file import Field
from cnnkit.config.schema import Config
from cnnkit.data.dataset import ImageDataset
from cnnkit.data.prepare import load_data, load_splits
from cnnkit.data.scenes import scenes_at
from cnnkit.events import NoteListener, ignore
from cnnkit.nn.model import CNN
from cnnkit.probe.corruptions import CORRUPTIONS, STRENGTHS
from cnnkit.probe.information import (
    downsamplings,
    flows,
    linear_probe,
    receptive_field,
    responses,
    seen_share,
    silenced,
    square_seen,
    stage_features,
    watched,
)
from cnnkit.probe.shift import DIRECTIONS, DISTANCES, shifted
from cnnkit.random import generator_for
from cnnkit.training.device import Placement
from cnnkit.training.evaluation import evaluation_batch, predict

IMAGES = 2000  # test images that are asked
WITH_GRADIENT = 200  # of them for figures of gradients
SCENES = 200  # for each size and place of an object
PLACES = 3  # along each side of a scene

Figures = Mapping[str, float]  # by name: parts with a dot between


class Found(NamedTuple):
    """Of one network. figures: fractions."""

    figures: Figures
    field: Field


@dataclass(frozen=True)
class Asked:
    """What a network is asked. crop: pixels that are cut off each side after an image was changed.

    test: before the crop. train: as many training images, cropped, for linear probes. objects: scenes of a
    small object by size and place, `objects.8.1-2`, before the crop, with the labels.
    """

    crop: int
    test: ImageDataset
    train: ImageDataset
    objects: Mapping[str, tuple[Tensor, Tensor]]

    @property
    def cropped(self) -> ImageDataset:
        return self.test.cropped(self.crop)


def asked_of(config: Config, images: int = IMAGES, notify: NoteListener = ignore) -> Asked:
    """The images for all networks of a configuration whose seeds do not choose their own test images."""
    data = config.data.model_copy(update={"crop": 0})
    published = load_data(data, notify)
    splits = load_splits(data, config.training.seed, notify, published)
    test, train = (
        _some(split, images, name) for split, name in ((splits.test, "test"), (splits.train, "train"))
    )
    return Asked(
        config.data.crop, test, train.cropped(config.data.crop), _objects(config) if data.drawn else {}
    )


def _some(split: ImageDataset, count: int, name: str) -> ImageDataset:
    """So many images in random order, the same for everybody."""
    chosen = torch.randperm(len(split), generator=generator_for(0, "probe", name))[:count]
    some = split[chosen]
    return ImageDataset(some.images, some.labels, some.info)


def _objects(config: Config) -> dict[str, tuple[Tensor, Tensor]]:
    scene, found = config.data.scene, {}
    digits = load_data(config.data.model_copy(update={"dataset": scene.source, "crop": 0})).test
    for side in scene.object_sizes:
        one = scene.model_copy(update={"object_sizes": (side,)})
        for row in range(PLACES):
            for column in range(PLACES):
                room = (scene.size - side) / (PLACES - 1)
                corner = round(row * room), round(column * room)
                generator = generator_for(0, "probe", "objects")
                drawn = scenes_at(digits.images, digits.labels, one, corner, SCENES, generator)
                found[f"objects.{side}.{row}-{column}"] = drawn
    return found


def figures_of(model: CNN, asked: Asked, placement: Placement) -> Found:
    """Asks one network everything."""
    model = model.to(placement.device).eval()
    here, labels = asked.cropped, asked.cropped.labels
    answers = _answers(model, here.images, placement)
    figures: dict[str, float] = {"accuracy": _share(answers == labels)}
    figures |= _shifts(model, asked, answers, placement)
    figures |= _corruptions(model, asked, placement)
    figures |= _objects_found(model, asked, placement)
    few = here.images[:WITH_GRADIENT].to(placement.device), labels[:WITH_GRADIENT].to(placement.device)
    field = receptive_field(model, few[0])
    figures |= {"receptive_field": seen_share(field)}
    figures |= {f"cell.{moved}": left for moved, left in enumerate(responses(model, few[0]))}
    figures |= _flows(model, *few)
    figures |= _silenced(model, here, placement)
    rows, columns = square_seen(model, few[0].shape[2:])
    height, width = few[0].shape[2:]
    kept = Field(rows.start, columns.start, (height, width), (field * 255).round().int().tolist())
    return Found(figures | _linear_probes(model, asked), kept)


def _answers(model: CNN, images: Tensor, placement: Placement) -> Tensor:
    """(N,): the class that each image is taken for; on the CPU."""
    parts = images.split(evaluation_batch(model))
    return torch.cat([predict(model, part.to(placement.device), placement).argmax(1).cpu() for part in parts])


def _share(these: Tensor) -> float:
    return float(these.double().mean())


def _cropped(images: Tensor, crop: int) -> Tensor:
    return images[..., crop : images.shape[2] - crop, crop : images.shape[3] - crop]


def _shifts(model: CNN, asked: Asked, answers: Tensor, placement: Placement) -> dict[str, float]:
    """How often the answer stays, and accuracy, by distance: means over the four directions."""
    figures: dict[str, float] = {}
    images, labels = asked.test.images, asked.test.labels
    for distance in DISTANCES:
        moved = torch.stack(
            [
                _answers(model, _cropped(shifted(images, distance * y, distance * x), asked.crop), placement)
                for y, x in DIRECTIONS.values()
            ]
        )
        figures[f"shift.{distance}.same_answer"] = _share(moved == answers)
        figures[f"shift.{distance}.accuracy"] = _share(moved == labels)
    return figures


def _corruptions(model: CNN, asked: Asked, placement: Placement) -> dict[str, float]:
    """Accuracy by corruption and strength, and the mean of all errors."""
    figures: dict[str, float] = {}
    for name, corruption in CORRUPTIONS.items():
        for strength in STRENGTHS:
            images = _cropped(corruption(asked.test.images, strength), asked.crop)
            figures[f"corruption.{name}.{strength}"] = _share(
                _answers(model, images, placement) == asked.test.labels
            )
    return figures | {"mean_corruption_error": 1 - sum(figures.values()) / len(figures)}


def _objects_found(model: CNN, asked: Asked, placement: Placement) -> dict[str, float]:
    """Accuracy by size and place; by size, over all places; and of the smallest alone."""
    figures = {
        name: _share(_answers(model, _cropped(scenes, asked.crop), placement) == truth)
        for name, (scenes, truth) in asked.objects.items()
    }
    sides: dict[int, list[float]] = {}
    for name, share in figures.items():
        sides.setdefault(int(name.split(".")[1]), []).append(share)
    means = {side: sum(shares) / len(shares) for side, shares in sorted(sides.items())}
    figures |= {f"object_size.{side}": mean for side, mean in means.items()}
    return figures | ({"smallest_object": means[min(means)]} if means else {})


def _flows(model: CNN, images: Tensor, labels: Tensor) -> dict[str, float]:
    """What the pooling of each stage lets through."""
    return {
        f"{kind}.stage{number}": share
        for number, flow in enumerate(flows(model, images, labels), 1)
        for kind, share in asdict(flow).items()
    }


def _silenced(model: CNN, here: ImageDataset, placement: Placement) -> dict[str, float]:
    """Accuracy without one part of a stage's maps, where its pooling makes several of one."""
    figures: dict[str, float] = {}
    for number, layer in enumerate(downsamplings(model)):
        for part, name in enumerate(layer.parts):
            with watched(model, {number: silenced(model, number, part)}):
                right = _answers(model, here.images, placement) == here.labels
            figures[f"without.{name}.stage{number + 1}"] = _share(right)
    return figures


def _linear_probes(model: CNN, asked: Asked) -> dict[str, float]:
    device = next(model.parameters()).device
    features = [stage_features(model, split.images.to(device)) for split in (asked.train, asked.cropped)]
    labels = [split.labels.to(device) for split in (asked.train, asked.test)]
    return {
        f"linear_probe.stage{number}": linear_probe(train, labels[0], test, labels[1])
        for number, (train, test) in enumerate(zip(*features, strict=True), 1)
    }
