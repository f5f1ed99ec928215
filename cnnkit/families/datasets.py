"""The data sets. An entry declares all that others must know of a data set before its images are read.

To add a data set of IDX files, as MNIST has, add one entry to `DATASETS`. A data set in another format
also needs a loader; see `DatasetInfo.loader`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from cnnkit.families.class_names import (
    BALANCED_NAMES,
    CHARACTER_NAMES,
    CIFAR10_NAMES,
    CIFAR100_NAMES,
    DIGIT_NAMES,
    FASHION_NAMES,
    KUZUSHIJI_NAMES,
    LETTER_NAMES,
)
from cnnkit.families.published_files import (
    CIFAR10_ARCHIVE,
    CIFAR10_FILES,
    CIFAR100_ARCHIVE,
    CIFAR100_FILES,
    MNIST_FILES,
    QMNIST_FILES,
    SVHN_DOWNLOADS,
    SVHN_FILES,
    Download,
    PublishedFile,
    emnist_files,
)
from cnnkit.families.registry import Registry

INK_SIDE = 22  # pixels: the side of an MNIST image without its empty margin; scenes show this part


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
    """A data set: how its images look, how many there are, and where they come from.

    name: the value of `data.dataset`. title: the name that people read. train_images, test_images: the
    number of images in each published split.

    ink_share: the longer side of the ink's box, divided by the side of the image. centred_by: what lies in
    the middle of the image: the ink's centre of mass, or the middle of its box. resampling: how images
    are scaled. A person's own image is framed in the same way. strokes: the images are handwriting, so that
    of a photo only the strokes are kept: no shadows, no printed lines.

    loader: "module:function", imported when images are read. The function takes this record and the paths
    of the published files (none for bundled data). It returns four tensors: `train_images` and
    `test_images`, (N, C, H, W) uint8; `train_labels` and `test_labels`, (N,) int64.
    folder: where the files lie under the data root; empty where there are no files. files: the published
    files, by the names of the four tensors where each holds one of them.
    downloads: where the files come from. Without them the class of `torchvision.datasets` that has the name
    of the folder fetches them; torchvision_split: the one that it is asked for.

    drawn: the images are scenes that cnnkit draws from the digits of `data.scene.source`, as `data.scene`
    says; they cannot be cropped. crop: pixels that were cut off each side; `shape` is the shape after that.
    writers_apart: nobody has written images of both published splits. photographs: a person's own image is
    fitted to the size as it is, neither inverted nor centred. fit: how; see `data.fit`.
    """

    name: str
    title: str
    train_images: int
    test_images: int
    ink_share: float = 1.0
    centred_by: Literal["mass", "box"] = "box"
    resampling: Literal["box", "bilinear"] = "box"
    strokes: bool = True
    loader: str = "cnnkit.data.idx:load"
    folder: str = ""
    torchvision_split: str = ""
    downloads: tuple[Download, ...] = ()
    files: Mapping[str, PublishedFile] = field(default_factory=lambda: MNIST_FILES, hash=False)
    drawn: bool = False
    writers_apart: bool = False
    photographs: bool = False
    fit: str = "cover"
    crop: int = 0

    def cropped(self, pixels: int) -> "DatasetInfo":
        """The record of the images without their outer pixels. At least one pixel is left."""
        channels, height, width = self.shape
        shape = (channels, max(1, height - 2 * pixels), max(1, width - 2 * pixels))
        return replace(self, shape=shape, crop=pixels)

    @property
    def shown_as_is(self) -> bool:
        """Whether images are drawn in their own colours, and not as black ink on the page."""
        return self.photographs or self.shape[0] == 3

    @property
    def images(self) -> int:
        """All published images together."""
        return self.train_images + self.test_images

    def in_folds(self, folds: int) -> "DatasetInfo":
        """The record where one of so many equally large folds of all images is tested on."""
        tested = self.images // folds
        return replace(self, train_images=self.images - tested, test_images=tested)

    def in_scenes(
        self, size: int, object_sizes: tuple[int, ...], train_images: int, test_images: int
    ) -> "DatasetInfo":
        """The record of scenes of `size` × `size` pixels that show one digit of this data set each.

        A person's own digit is framed as large as the middle one of `object_sizes`, and scaled bilinearly as
        scenes are. Chosen on 1,000 training digits that no scene shows, saved as files: the network of
        configs/small-object.yaml recognises 95.5 % at that size (16 pixels), 94.4 % at 12, 91.9 % at 28, and
        with a box filter 81.2 %. Of 2,000 test digits it then recognises 92.9 %; 36.4 % where they fill the
        scene, as they did in 0.1.0.
        """
        middle = sorted(object_sizes)[len(object_sizes) // 2]
        side = self.shape[-1]
        margin = max(0, (side - INK_SIDE) // 2)  # a scene shows a digit without it
        ink_in_object = self.ink_share * side / (side - 2 * margin)
        return replace(
            SMALL_OBJECT,
            title=f"small objects from {self.title}",
            shape=(1, size, size),
            class_names=self.class_names,
            strokes=self.strokes,
            train_images=train_images,
            test_images=test_images,
            ink_share=ink_in_object * middle / size,
        )


MNIST = DatasetInfo(
    name="mnist",
    title="MNIST",
    shape=(1, 28, 28),
    class_names=DIGIT_NAMES,
    train_images=60_000,
    test_images=10_000,
    ink_share=20 / 28,
    centred_by="mass",
    folder="MNIST/raw",
    writers_apart=True,
)
FASHION_MNIST = DatasetInfo(
    name="fashion-mnist",
    title="Fashion-MNIST",
    shape=(1, 28, 28),
    class_names=FASHION_NAMES,
    strokes=False,
    train_images=60_000,
    test_images=10_000,
    folder="FashionMNIST/raw",
)
KMNIST = DatasetInfo(
    name="kmnist",
    title="Kuzushiji-MNIST",
    shape=(1, 28, 28),
    class_names=KUZUSHIJI_NAMES,
    train_images=60_000,
    test_images=10_000,
    folder="KMNIST/raw",
)
QMNIST = replace(
    MNIST,
    name="qmnist",
    title="QMNIST",
    test_images=60_000,
    folder="QMNIST/raw",
    files=QMNIST_FILES,
)


def _emnist(part: str, class_names: tuple[str, ...], train_images: int, test_images: int) -> DatasetInfo:
    """A part of EMNIST. A character fills its frame but for two pixels each side."""
    return DatasetInfo(
        name=f"emnist-{part}",
        title=f"EMNIST {part}",
        shape=(1, 28, 28),
        class_names=class_names,
        train_images=train_images,
        test_images=test_images,
        ink_share=24 / 28,
        loader="cnnkit.data.idx:load_emnist",
        folder="EMNIST/raw",
        torchvision_split=part,
        files=emnist_files(part),
    )


EMNIST_BALANCED = _emnist("balanced", BALANCED_NAMES, 112_800, 18_800)
EMNIST_LETTERS = replace(
    _emnist("letters", LETTER_NAMES, 124_800, 20_800), loader="cnnkit.data.idx:load_emnist_letters"
)
EMNIST_DIGITS = _emnist("digits", DIGIT_NAMES, 240_000, 40_000)
EMNIST_MNIST = _emnist("mnist", DIGIT_NAMES, 60_000, 10_000)
EMNIST_BYCLASS = _emnist("byclass", CHARACTER_NAMES, 697_932, 116_323)
EMNIST_BYMERGE = _emnist("bymerge", BALANCED_NAMES, 697_932, 116_323)
CIFAR10 = DatasetInfo(
    name="cifar10",
    title="CIFAR-10",
    shape=(3, 32, 32),
    class_names=CIFAR10_NAMES,
    train_images=50_000,
    test_images=10_000,
    strokes=False,
    photographs=True,
    loader="cnnkit.data.cifar:load",
    folder="cifar-10-batches-bin",
    downloads=(CIFAR10_ARCHIVE,),
    files=CIFAR10_FILES,
)
CIFAR100 = replace(
    CIFAR10,
    name="cifar100",
    title="CIFAR-100",
    class_names=CIFAR100_NAMES,
    folder="cifar-100-binary",
    downloads=(CIFAR100_ARCHIVE,),
    files=CIFAR100_FILES,
)
SVHN = DatasetInfo(
    name="svhn",
    title="SVHN",
    shape=(3, 32, 32),
    class_names=DIGIT_NAMES,
    train_images=73_257,
    test_images=26_032,
    strokes=False,
    photographs=True,
    loader="cnnkit.data.svhn:load",
    folder="SVHN",
    downloads=SVHN_DOWNLOADS,
    files=SVHN_FILES,
)
DIGITS = DatasetInfo(
    name="digits",
    title="handwritten digits",
    shape=(1, 8, 8),
    class_names=DIGIT_NAMES,
    train_images=1_437,
    test_images=360,
    loader="cnnkit.data.digits:load",
)
SMALL_OBJECT = DatasetInfo(  # `data.scene` decides its shape and its numbers of images
    name="small-object",
    title="small objects",
    shape=(1, 56, 56),
    class_names=DIGIT_NAMES,
    train_images=20_000,
    test_images=10_000,
    resampling="bilinear",  # as scenes are drawn
    drawn=True,
)

FOLDER = "folder"
OWN_IMAGES = DatasetInfo(  # the folder decides its classes and numbers, the configuration its shape
    name=FOLDER,
    title="own images",
    shape=(3, 32, 32),
    class_names=(),
    train_images=0,
    test_images=0,
    strokes=False,
    photographs=True,
)

DATASETS = Registry(
    "data set",
    MNIST,
    FASHION_MNIST,
    KMNIST,
    QMNIST,
    EMNIST_BALANCED,
    EMNIST_LETTERS,
    EMNIST_DIGITS,
    EMNIST_MNIST,
    EMNIST_BYCLASS,
    EMNIST_BYMERGE,
    CIFAR10,
    CIFAR100,
    SVHN,
    DIGITS,
    SMALL_OBJECT,
    OWN_IMAGES,
)


def published_names() -> list[str]:
    """The data sets that can be fetched or are bundled; scenes are drawn from one of them."""
    return [name for name, info in DATASETS.items() if not info.drawn and name != FOLDER]
