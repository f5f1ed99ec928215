"""All figures of one network: how it answers to moved and worn images, and what its stages let through."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from cnnkit.config.schema import Config
from cnnkit.data.dataset import ImageDataset
from cnnkit.data.prepare import load_data, load_splits
from cnnkit.data.scenes import scenes_at
from cnnkit.events import NoteListener, ignore
from cnnkit.families.poolings import POOLINGS
from cnnkit.nn.model import CNN
from cnnkit.probe.corruptions import CORRUPTIONS, STRENGTHS
from cnnkit.probe.information import (
    flows,
    linear_probe,
    receptive_field,
    silenced,
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

Figures = dict[str, float]  # by name: parts with a dot between


@dataclass(frozen=True)
class Asked:
    """What a network is asked. crop: pixels that are cut off each side after an image was changed.

    test: before the crop. train: as many training images, cropped, for linear probes. objects: scenes of a
    small object by size and place, `objects.8.1-2`, with the labels.
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
    return split[chosen]


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


def figures_of(model: CNN, asked: Asked, placement: Placement) -> Figures:
    """All figures of one network, fractions."""
    model = model.to(placement.device).eval()
    here, labels = asked.cropped, asked.cropped.labels
    answers = _answers(model, here.images, placement)
    figures = {"accuracy": _share(answers == labels)}
    figures |= _shifts(model, asked, answers, placement)
    figures |= _corruptions(model, asked, placement)
    for name, (scenes, truth) in asked.objects.items():
        figures[name] = _share(_answers(model, scenes, placement) == truth)
    return figures | _information(model, here, placement) | _linear_probes(model, asked)


def _answers(model: CNN, images: Tensor, placement: Placement) -> Tensor:
    """(N,): the class that each image is taken for; on the CPU."""
    parts = images.split(evaluation_batch(model))
    return torch.cat([predict(model, part.to(placement.device), placement).argmax(1).cpu() for part in parts])


def _share(these: Tensor) -> float:
    return float(these.double().mean())


def _cropped(images: Tensor, crop: int) -> Tensor:
    return images[..., crop : images.shape[2] - crop, crop : images.shape[3] - crop]


def _shifts(model: CNN, asked: Asked, answers: Tensor, placement: Placement) -> Figures:
    """How often the answer stays, and accuracy, by distance: means over the four directions."""
    figures: Figures = {}
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


def _corruptions(model: CNN, asked: Asked, placement: Placement) -> Figures:
    """Accuracy by corruption and strength, and the mean of all errors."""
    figures: Figures = {}
    for name, corruption in CORRUPTIONS.items():
        for strength in STRENGTHS:
            images = _cropped(corruption(asked.test.images, strength), asked.crop)
            figures[f"corruption.{name}.{strength}"] = _share(
                _answers(model, images, placement) == asked.test.labels
            )
    return figures | {"mean_corruption_error": 1 - sum(figures.values()) / len(figures)}


def _information(model: CNN, here: ImageDataset, placement: Placement) -> Figures:
    few = slice(WITH_GRADIENT)
    images, labels = here.images[few].to(placement.device), here.labels[few].to(placement.device)
    figures: Figures = {"receptive_field": receptive_field(model, images)}
    for number, flow in enumerate(flows(model, images, labels)):
        stage = f"stage{number + 1}"
        figures[f"reached.{stage}"] = flow.reached
        figures[f"energy.{stage}"] = flow.energy
        figures[f"winner.{stage}"] = flow.winner
        for part, name in enumerate(POOLINGS[model.config.stages[number].pooling].parts):
            with watched(model, {number: silenced(model, number, part)}):
                right = _answers(model, here.images, placement) == here.labels
            figures[f"without.{name}.{stage}"] = _share(right)
    return figures


def _linear_probes(model: CNN, asked: Asked) -> Figures:
    device = next(model.parameters()).device
    features = [stage_features(model, split.images.to(device)) for split in (asked.train, asked.cropped)]
    return {
        f"linear_probe.stage{number}": linear_probe(train, asked.train.labels, test, asked.test.labels)
        for number, (train, test) in enumerate(zip(*features, strict=True), 1)
    }
