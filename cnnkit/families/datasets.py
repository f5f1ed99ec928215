"""The data sets cnnkit knows: what a configuration must know of them before any is read."""

from dataclasses import dataclass, replace
from typing import Literal

DIGIT_NAMES = tuple("0123456789")
SMALL_OBJECT = "small-object"  # scenes that are made here, of the digits of another data set


@dataclass(frozen=True)
class ImageInfo:
    """What travels with images and with models. shape: (C, H, W) of an image, as a network takes it."""

    shape: tuple[int, int, int]
    class_names: tuple[str, ...]

    @property
    def classes(self) -> int:
        return len(self.class_names)


@dataclass(frozen=True)
class DatasetInfo(ImageInfo):
    """A data set: how its images look, and how many of them each published split holds.

    ink_share, centred_by: how its images sit in their frame: the longer side of the ink's box over the
    frame's side, and what lies in the middle, the ink's centre of mass or its box.
    torchvision_class: the class of `torchvision.datasets` that fetches it, also its folder's name
    under the data root; empty for data that scikit-learn bundles. crop: pixels cut off each side, which
    `shape` does not count.
    """

    title: str
    train_images: int
    test_images: int
    torchvision_class: str = ""
    ink_share: float = 1.0
    centred_by: Literal["mass", "box"] = "box"
    crop: int = 0

    def cropped(self, pixels: int) -> "DatasetInfo":
        """Of the images without their outer pixels; where nothing is left, of one pixel."""
        channels, height, width = self.shape
        shape = (channels, max(1, height - 2 * pixels), max(1, width - 2 * pixels))
        return replace(self, shape=shape, crop=pixels)


DATASETS = {
    "mnist": DatasetInfo((1, 28, 28), DIGIT_NAMES, "MNIST", 60_000, 10_000, "MNIST", 20 / 28, "mass"),
    "fashion-mnist": DatasetInfo(
        (1, 28, 28),
        (
            "T-shirt/top",
            "trouser",
            "pullover",
            "dress",
            "coat",
            "sandal",
            "shirt",
            "sneaker",
            "bag",
            "ankle boot",
        ),
        "Fashion-MNIST",
        60_000,
        10_000,
        "FashionMNIST",
    ),
    "kmnist": DatasetInfo(
        (1, 28, 28),
        ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        "Kuzushiji-MNIST",
        60_000,
        10_000,
        "KMNIST",
    ),
    "qmnist": DatasetInfo((1, 28, 28), DIGIT_NAMES, "QMNIST", 60_000, 60_000, "QMNIST", 20 / 28, "mass"),
    "digits": DatasetInfo((1, 8, 8), DIGIT_NAMES, "handwritten digits", 1_437, 360),
}
