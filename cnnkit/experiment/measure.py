"""Evaluates kept weights on a split, and predicts images with them."""

import contextlib
import functools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from cnnkit.data.dataset import ImageDataset
from cnnkit.data.own_images import OwnImage, load_image, load_images
from cnnkit.data.prepare import load_splits, paths_of_split
from cnnkit.data.sources import with_root
from cnnkit.errors import CnnkitError, DataError, ImageError, UsageError
from cnnkit.events import Note, NoteListener, ignore
from cnnkit.experiment import digit_check
from cnnkit.experiment.checkpoints import Weights
from cnnkit.experiment.onnx_file import OnnxFile
from cnnkit.experiment.other_images import OtherImages, holds_the_same, other_images
from cnnkit.experiment.pixel_hashes import other_pixels
from cnnkit.experiment.trained_on import training_hashes, words_of_known
from cnnkit.filenames import BEST, evaluation_file
from cnnkit.files import write_json
from cnnkit.tables import Column, Table
from cnnkit.training.device import Placement, choose_device, device_errors_in_words
from cnnkit.training.evaluation import Evaluation, evaluate, evaluation_batch, predict
from cnnkit.training.idle_cores import IdleCores
from cnnkit.words import listed

Network = Weights | OnnxFile  # what can be measured
FILES_AT_ONCE = 128  # more would let a progress bar stand still
STRANGE = "it is unlike the training images: of images like those, at most one in a hundred lies so far off"
NO_DIGIT = "it looks like no digit: of MNIST's digits, one in two hundred does"
SPLITS = ("train", "validation", "test")
ALL = "all"  # images of a source, whatever its splits


@dataclass(frozen=True)
class Measured:
    """An evaluation of kept weights, and the images that it was made on.

    split: "all" where other images are not told apart by splits. other: images of another source than the
    run's own; None: its own.
    """

    weights: Network = field(repr=False)
    split: str
    images: ImageDataset
    evaluation: Evaluation
    other: OtherImages | None = None

    @property
    def accuracy(self) -> float:
        """The share of the images that are right, 0 … 1."""
        return self.evaluation.accuracy

    @property
    def stem(self) -> str:
        """The end of names of files about it: split or other source, and weights that are not the best."""
        source = self.weights.source
        name = self.split if self.other is None else _name_of(self.other.root, self.split)
        return name if source.name == BEST else f"{source.stem}-{name}"

    @property
    def which(self) -> str:
        """The images, in words: `test images`."""
        which = "images" if self.split == ALL else f"{self.split} images"
        return which if self.other is None else f"{which} of {self.other.root.name}"

    def to_dict(self) -> dict[str, object]:
        """What `eval-<split>.json` holds."""
        named = {"split": self.split, "weights": self.weights.source.name}
        measured = self.evaluation.as_dict(self.weights.model.info.class_names)
        told = {} if self.other is None else self.other.to_dict()
        return {**named, "dataset": self.weights.config.data.dataset, **told, **measured}

    def table(self) -> Table:
        """A row an image: its path or its number in the split, truth, answer and confidence."""
        names, evaluation = self.weights.model.info.class_names, self.evaluation
        images = self._image_names()
        truths, answers = (
            [names[i] for i in of_images.tolist()]
            for of_images in (evaluation.labels, evaluation.predictions)
        )
        columns = [
            Column("image", str if isinstance(images, tuple) else int),
            *(Column("truth", str), Column("answer", str), Column("confidence", float)),
        ]
        return Table(columns, zip(images, truths, answers, evaluation.confidences.tolist(), strict=True))

    def _image_names(self) -> tuple[str, ...] | range:
        if self.other is not None:
            return self.other.paths
        config = self.weights.config
        if not config.data.own:
            return range(len(self.images))
        return paths_of_split(config.data, config.training.seed, self.split)


def _name_of(root: Path, split: str) -> str:
    """Of a source of other images; never that of a split of the run."""
    names = [root.stem if root.is_file() else root.name, *([] if split == ALL else [split])]
    if "-".join(names).lower() in SPLITS:
        names.insert(0, root.parent.name)
    return re.sub(r"[^\w.]+", "-", "-".join(names)).strip("-.") or "other"


def measure_split(
    weights: Network,
    split: str | None = None,
    device: str | None = None,
    notify: NoteListener = ignore,
    data: Path | None = None,
    root: Path | None = None,
) -> Measured:
    """Measures weights on a split, "train", "validation" or "test"; keeps the numbers beside them.

    device: instead of the configured one. data: another source of labelled images; of these, None as split
    means all, else the test split. root: where the run's own images lie now; so is `data` understood where it
    holds them and a split is named. Where the folder takes no files, that is told as a note.
    Raises UsageError where the split holds no images, DataError where the images cannot be used.
    """
    if split not in (None, *SPLITS):
        raise UsageError(f"there is no split {split!r}; expected {listed(SPLITS, 'or')}")
    cores, other = IdleCores(), None
    placement = _placement(weights, device)
    if data is not None and split is not None and holds_the_same(weights.config.data, data):
        data, root = None, data
        notify(Note(f"{root} holds the images of the run: they are split as it split them"))
    with placement.in_force():
        config = weights.config
        if data is None:
            split = split or "test"
            config = config.model_copy(update={"data": with_root(config.data, root, notify)})
            weights = replace(weights, config=config)
            images = _own_images(weights, split, notify)
        else:
            known = training_hashes(config)
            other = other_images(config.data, data, split, notify)
            if told := words_of_known(other.whole, known):
                notify(Note(told))
            images = other.whole.cropped(config.data.crop)
        images = images.to(placement.device)
    placement = cores.fit(placement, config.runtime, notify)
    with placement.in_force():
        if not len(images):
            raise _no_images(split, other)
        evaluation = evaluate(weights.model, images, placement, weights.calibrator)
    measured = Measured(weights, split or ALL, images, evaluation, other)
    _keep(measured, notify)
    return measured


def _own_images(weights: Network, split: str, notify: NoteListener) -> ImageDataset:
    """A split of the run's images. Whether they are still those of the training is told."""
    splits = load_splits(weights.config.data, weights.config.training.seed, notify)
    if told := other_pixels(weights.source, splits, split):
        notify(Note(told))
    images: ImageDataset = getattr(splits, split)
    return images


def _placement(weights: Network, device: str | None) -> Placement:
    """Where a network is measured. device: instead of the configured one.

    Raises UsageError where there is no such device, or an ONNX file is to run on another one than the CPU.
    """
    if isinstance(weights, OnnxFile) and device not in (None, "auto", "cpu"):
        raise UsageError(f"an ONNX file runs on the CPU, and not on {device}; leave --device out")
    return choose_device(weights.config.runtime, None if isinstance(weights, OnnxFile) else device)


def _no_images(split: str | None, other: OtherImages | None) -> CnnkitError:
    if other is None:
        return UsageError(f"the {split} split is empty: data.validation is 0")
    return DataError(f"no image of {other.root} can be used")


def _keep(measured: Measured, notify: NoteListener) -> None:
    """Writes the numbers beside the weights. Those of another source of the same name are replaced."""
    folder, content = measured.weights.source.parent, measured.to_dict()
    path = folder / evaluation_file(measured.stem)
    try:
        with contextlib.suppress(FileNotFoundError, ValueError, AttributeError):
            before = json.loads(path.read_text(encoding="utf-8")).get("data")
            if before != content.get("data"):
                notify(Note(f"{path} was about {before or 'a split'}; it is replaced"))
        write_json(path, content)
    except OSError as error:
        notify(Note(f"the evaluation could not be kept in {folder}: {error.strerror}"))


@dataclass(frozen=True)
class Prediction:
    """What one image shows: all classes, the likeliest first, each with its probability.

    warnings: why it may be wrong, in words. seen: (C, H, W) uint8, the image as the network saw it. path: of
    its file; None where there is none.
    """

    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    warnings: tuple[str, ...] = ()
    seen: Tensor = field(default_factory=lambda: torch.empty(0), repr=False, compare=False)
    path: Path | None = field(default=None, compare=False)

    @property
    def best(self) -> str:
        return self.classes[0]


def predict_images(weights: Network, images: Tensor, device: str | None = None) -> list[Prediction]:
    """What images show. images: (N, C, H, W), pixels 0 … 255; device: instead of the configured one.

    Raises ImageError where the network takes images of another shape.
    """
    info = weights.model.info
    if tuple(images.shape[1:]) != info.shape:
        raise ImageError(f"images of shape {tuple(images.shape[1:])}; the network takes {info.shape}")
    if images.is_floating_point() and len(images) and 0 < images.max() <= 1:
        raise ImageError("pixels are 0 … 255, and none of these is above 1: multiply them by 255")
    placement = _placement(weights, device)
    model = weights.model.to(placement.device)
    with placement.in_force(), device_errors_in_words():
        batches = images.split(evaluation_batch(model))
        shares = torch.cat(
            [predict(model, b.to(placement.device), placement, weights.calibrator).cpu() for b in batches]
        )
        warnings = _warnings(weights, images, placement)
    probabilities, order = shares.sort(dim=1, descending=True, stable=True)
    return [
        Prediction(tuple(info.class_names[i] for i in classes), tuple(of_image), warning, image)
        for of_image, classes, warning, image in zip(
            probabilities.tolist(), order.tolist(), warnings, images, strict=True
        )
    ]


def _warnings(weights: Network, images: Tensor, placement: Placement) -> list[tuple[str, ...]]:
    """One tuple an image: that it looks like no digit, or else that it is unlike the training images."""
    warnings: list[tuple[str, ...]] = [()] * len(images)
    if weights.familiarity is not None:
        strangeness = weights.familiarity.strangeness(weights.model, images.to(placement.device), placement)
        warnings = [(STRANGE,) if strange else () for strange in (strangeness > 1).tolist()]
    if digit_check.acts_on(weights.config.data.info):
        none = digit_check.no_digit(images).tolist()
        warnings = [(NO_DIGIT,) if is_none else told for is_none, told in zip(none, warnings, strict=True)]
    return warnings


def predict_files(
    weights: Network, paths: Sequence[Path], device: str | None = None
) -> Iterator[Prediction | ImageError]:
    """What image files show, in their order; in place of a prediction the error of one that shows nothing.

    Files are read and predicted in batches, while the predictions are asked for.
    """
    info, at_once = weights.config.data.info, min(FILES_AT_ONCE, evaluation_batch(weights.model))
    for first in range(0, len(paths), at_once):
        batch = paths[first : first + at_once]
        own = load_images(batch, functools.partial(load_image, info=info))
        pixels = [image.pixels for image in own if isinstance(image, OwnImage)]
        told = iter(predict_images(weights, torch.cat(pixels), device) if pixels else ())
        for path, image in zip(batch, own, strict=True):
            if isinstance(image, ImageError):
                yield image
            else:
                prediction = next(told)
                yield replace(prediction, warnings=image.warnings + prediction.warnings, path=path)
