"""The temperature of a network: what its logits are divided by, so that it says how often it is right."""

import torch
from torch import Tensor

COLDEST, HOTTEST = 0.05, 20.0
# PRIOR * (s - log s) nats are added to the loss of all images, s = 1 / T. With T from 144 images of `digits`
# the loss on its other held-out images is 0.029 nats, as without a temperature; with no prior it is 0.137.
PRIOR = 10.0
HALVINGS = 30  # of the bracket: T is then known to 6e-9 of itself


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature T at which softmax(logits / T) is most likely to have given these labels.

    logits (N, classes), labels (N,), of images that nothing was trained on. No class changes its rank, so
    the accuracy stays: Guo et al., "On calibration of modern neural networks", ICML 2017, section 4.2.
    The loss is convex in 1 / T; the root of its derivative is bracketed and halved, in float64.

    Where every image is right the loss falls for ever as T goes to 0, and a few images know little. So
    1 / T has a prior, a Gamma distribution with its mode at 1: with few images, or with images that tell
    nothing, T stays near 1, and the loss stays convex. T is always from `COLDEST` to `HOTTEST`.
    """
    logits = logits.double()
    of_truth = logits.gather(1, labels[:, None]).sum()
    low, high = 1 / HOTTEST, 1 / COLDEST
    for _ in range(HALVINGS):
        middle = (low * high) ** 0.5
        slope = (torch.softmax(logits * middle, 1) * logits).sum() - of_truth + PRIOR * (1 - 1 / middle)
        low, high = (low, middle) if slope > 0 else (middle, high)
    return float(1 / (low * high) ** 0.5)
