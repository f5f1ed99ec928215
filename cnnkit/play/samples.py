"""The test images that travel in a page: first those that tell its networks apart."""

import base64
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cnnkit.data.dataset import ImageDataset
from cnnkit.errors import DataError
from cnnkit.play.chosen import Chosen
from cnnkit.report.images import images_of, moved_to, own_test_images

LOOKED_AT = 2000  # test images, of which those that travel are chosen
MOST, FEWEST = 60, 6
ROOM = 150_000  # bytes for all of them
CHUNK = 250  # images at once


def samples_view(chosen: Chosen, root: Path | None = None) -> tuple[list[dict[str, object]], str]:
    """Whole images, before any crop, each with its class and its number; and why there are none.

    root: where the images lie now. Raises DataError where it does not hold the images of then.
    """
    config = moved_to(next(iter(chosen.weights.values())).config, root)
    images, missing = images_of(config)
    test = own_test_images(config.data, chosen.seed, images)
    if test is None:
        if root is not None:
            raise DataError(missing)
        return [], missing
    numbers = chosen_images(chosen, test)
    shown = test[numbers].images
    return [
        {
            "number": number,
            "truth": test.info.class_names[int(test.labels[number])],
            "shape": list(pixels.shape),
            "pixels": base64.b64encode(pixels.contiguous().numpy().tobytes()).decode(),
        }
        for number, pixels in zip(numbers, shown, strict=True)
    ], ""


def chosen_images(chosen: Chosen, test: ImageDataset) -> list[int]:
    """Their numbers: half of those that travel tell the networks apart, the others go through the classes."""
    few = test[list(range(min(LOOKED_AT, len(test))))]
    answers = torch.stack([_answers(each.model, few, each.config.data.crop) for each in _alike(chosen, test)])
    right = answers == few.labels
    apart = right.any(0) & ~right.all(0)
    several = torch.tensor([len(set(column)) for column in answers.T.tolist()])
    most = max(FEWEST, min(MOST, ROOM // test.stored[0].numel()))
    first = (apart * 1000 + several).argsort(descending=True, stable=True)[: most // 2]
    numbers = [int(i) for i in first if several[i] > 1]
    rest = _through_classes(few.labels, most)
    return [*numbers, *(i for i in rest if i not in numbers)][:most]


def _alike(chosen: Chosen, test: ImageDataset) -> list[Any]:
    """The networks that take these images after their crop: others were trained on other images."""
    height, width = test.stored.shape[2:]

    def fits(weights: Any) -> bool:
        margin = 2 * weights.config.data.crop
        shape = (test.stored.shape[1], height - margin, width - margin)
        return bool(weights.model.info.shape == shape and weights.model.info.classes == test.info.classes)

    return [weights for weights in chosen.weights.values() if fits(weights)]


def _through_classes(labels: Tensor, most: int) -> list[int]:
    """Each class's first image, then each class's second, and so on."""
    seen: dict[int, int] = {}
    rounds = []
    for number, label in enumerate(labels.tolist()):
        seen[label] = seen.get(label, 0) + 1
        rounds.append((seen[label], label, number))
    return [number for *_, number in sorted(rounds)[:most]]


@torch.inference_mode()
def _answers(model: Any, images: ImageDataset, crop: int) -> Tensor:
    """(N,), the likeliest class of each image."""
    batches = (batch.cropped(crop).images for batch in images.batches(CHUNK))
    return torch.cat([model.eval()(batch).argmax(1) for batch in batches])
