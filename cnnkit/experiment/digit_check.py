"""Whether a drawing is no digit: a letter, say, which a network of ten digits takes for one of them.

A small network of eleven classes, fitted to MNIST's training digits, and to glyphs drawn by chance and noise,
comes with cnnkit. `scripts/fit-digit-check` made it.
"""

import functools
from pathlib import Path

import torch
from torch import Tensor

from cnnkit.errors import CnnkitError, RunError
from cnnkit.experiment.checkpoints import Weights, load_weights
from cnnkit.families.class_names import DIGIT_NAMES
from cnnkit.families.datasets import DatasetInfo

FILE = Path(__file__).with_name("digit_check.safetensors")
SIDE = 20  # pixels: of the box that the ink of a digit fits into
HONEST = 0.995  # the share of digits that it says nothing of; as many are told by distance: one in a hundred
NONE = 10  # its class of what is no digit
AT_ONCE = 1_000  # images


@functools.cache
def network(file: Path = FILE) -> Weights:
    """Classes: the ten digits, and NONE. Raises RunError where the file is missing or damaged."""
    try:
        return load_weights(file)
    except CnnkitError as error:
        raise RunError(f"{file}, which comes with cnnkit, cannot be used; install cnnkit again") from error


def acts_on(info: DatasetInfo) -> bool:
    """Whether images are digits framed as MNIST's are, and are not cropped to less than their ink."""
    return info.class_names == DIGIT_NAMES and info.centred_by == "mass" and min(info.shape[1:]) >= SIDE


def no_digit(images: Tensor, file: Path = FILE) -> Tensor:
    """(N, 1, H, W), pixels 0 … 255, framed as MNIST frames digits, with any crop -> (N,) bool.

    False of HONEST of MNIST's digits.
    """
    model = network(file).model.eval()
    edge = (images.shape[2] - SIDE) // 2
    middle = images[:, :, edge : edge + SIDE, edge : edge + SIDE].cpu()
    with torch.inference_mode():
        logits = torch.cat([model(some) for some in middle.split(AT_ONCE)])
    return logits.softmax(1)[:, NONE] > 0.5
