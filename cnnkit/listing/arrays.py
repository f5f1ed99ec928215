"""Pairs of arrays, images and labels, in one .npz or as .npy files in a folder → a listing.

Only the headers and the labels are read. Pickled objects are never loaded.
"""

import math
import re
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from cnnkit.errors import SourceError
from cnnkit.listing.finish import finished
from cnnkit.listing.folders import OTHER_KIND
from cnnkit.listing.names import MOST_IMAGES, SPLIT_NAMES, SPLITS, TRAIN, ending, natural, shown, some, whole
from cnnkit.listing.records import Listing, PassedOver, Rows, Tree

IMAGE_ARRAYS = ("x", "image", "images", "data")
LABEL_ARRAYS = ("y", "label", "labels", "target", "targets")
CLASS_NAMES = ("classes", "class_names", "label_names", "names")
LARGEST_LABELS = 1 << 30  # bytes
MOST_NAMES = 1 << 16
CHANNELS = (1, 3, 4)

_SPLIT = "|".join(SPLIT_NAMES)
_KIND = "|".join((*IMAGE_ARRAYS, *LABEL_ARRAYS))
NAMED = re.compile(
    f"(?:(?P<first>{_SPLIT})[-_ .]?)?(?P<kind>{_KIND})(?:[-_ .]?(?P<last>{_SPLIT}))?", re.IGNORECASE
)


@dataclass(frozen=True)
class Header:
    """Of an array: its shape and type, and its bytes without the header."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Arrays:
    """The arrays of one .npz, or of the .npy files in a folder. name: of one -> where it lies."""

    def __init__(self, root: Path) -> None:
        self.root = root
        if root.is_dir():
            self.places = {path.stem: path.name for path in root.iterdir() if ending(path.name) == "npy"}
        else:
            with zipfile.ZipFile(root) as archive:
                infos = archive.infolist()
                self.places = {i.filename[:-4]: i.filename for i in infos if i.filename.endswith(".npy")}

    def _open(self, name: str, stack: ExitStack) -> tuple[IO[bytes], int]:
        """(the open array, its bytes with the header)"""
        if self.root.is_dir():
            path = self.root / self.places[name]
            return stack.enter_context(path.open("rb")), path.stat().st_size
        archive = stack.enter_context(zipfile.ZipFile(self.root))
        info = archive.getinfo(self.places[name])
        return stack.enter_context(archive.open(info)), info.file_size

    def header(self, name: str) -> Header:
        with ExitStack() as stack:
            file, size = self._open(name, stack)
            version = np.lib.format.read_magic(file)
            known = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            shape, _, dtype = known[version](file)
            if dtype.hasobject:
                raise ValueError("it holds Python objects, which are never loaded")
            if (needed := file.tell() + math.prod(shape) * dtype.itemsize) != size:
                raise ValueError(f"it needs {needed:,} bytes and has {size:,}")
            return Header(tuple(shape), dtype)

    def changed(self, name: str) -> int:
        """Time of the last change of a .npy in a folder, nanoseconds; 0 in a .npz."""
        return (self.root / self.places[name]).stat().st_mtime_ns if self.root.is_dir() else 0

    def load(self, name: str) -> NDArray[Any]:
        """The whole array; of a .npy in a folder, mapped."""
        if self.root.is_dir():
            return np.load(self.root / self.places[name], mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
        with np.load(self.root, allow_pickle=False) as arrays:
            return arrays[name]  # type: ignore[no-any-return]


def listing_of(root: Path, tree: Tree | None, test: float | None, test_seed: int) -> Listing:
    """tree: of the folder, where root is one. Raises SourceError where the arrays do not fit."""
    name = whole(root)
    try:
        return _listed(root, name, tree.passed if tree else PassedOver(), test, test_seed)
    except (OSError, SourceError):
        raise
    except Exception as error:  # each kind of damage raises an error of its own
        raise SourceError(
            f"{name} cannot be read as arrays: {shown(str(error))}; save it again with numpy"
        ) from error


def _listed(root: Path, name: str, passed: PassedOver, test: float | None, test_seed: int) -> Listing:
    arrays = Arrays(root)
    pairs = _pairs(arrays, name)
    rows = Rows("arrays", frozenset(pairs))
    texts: list[NDArray[Any]] = []
    for split, (images, labels) in sorted(pairs.items()):
        header = _checked_images(arrays, images, name)
        number = header.shape[0]
        texts.append(_labels(arrays, labels, number, images, name))
        rows.paths += [f"{images}[{i}]" for i in range(number)]
        rows.sizes += [math.prod(header.shape[1:])] * number
        rows.changed += [arrays.changed(images)] * number
        rows.splits += [split] * number
    names = [each for each in arrays.places if each.lower() in CLASS_NAMES]
    classes = _class_names(arrays, names[0], texts, name) if len(names) == 1 else None
    for labels_of in texts:
        rows.names += [classes[i] for i in labels_of.tolist()] if classes else labels_of.astype(str).tolist()
    used = {each for pair in pairs.values() for each in pair} | ({names[0]} if classes else set())
    passed.note(OTHER_KIND, [place for each, place in arrays.places.items() if each not in used])
    return finished(rows, root, "arrays", passed, None, test, test_seed, classes)


def _pairs(arrays: Arrays, name: str) -> dict[int, tuple[str, str]]:
    """Split -> (name of the images, name of the labels). Arrays that name no split are for training."""
    found: dict[int, tuple[list[str], list[str]]] = {}
    for each in sorted(arrays.places, key=natural):
        match = NAMED.fullmatch(each)
        if match and not (match["first"] and match["last"]):
            split = SPLIT_NAMES[(match["first"] or match["last"] or "train").lower()]
            found.setdefault(split, ([], []))[match["kind"].lower() in LABEL_ARRAYS].append(each)
    for split, (images, labels) in found.items():
        if len(images) != 1 or len(labels) != 1:
            raise SourceError(
                f"{name} has {some(images) if images else 'no array'} for the {SPLITS[split]} images and "
                f"{some(labels) if labels else 'no array'} for their labels; expected one of each"
            )
    if TRAIN not in found:
        raise SourceError(
            f"{name} holds {some(arrays.places) if arrays.places else 'no arrays'} and no pair for training; "
            "call them images and labels, x and y, or x_train and y_train"
        )
    return {split: (images[0], labels[0]) for split, (images, labels) in found.items()}


def _checked_images(arrays: Arrays, images: str, name: str) -> Header:
    """Raises SourceError where an array is no images: (N, H, W) or (N, H, W, C), uint8."""
    header = arrays.header(images)
    shape = header.shape
    if len(shape) not in (3, 4) or min(shape) < 1 or (len(shape) == 4 and shape[3] not in CHANNELS):
        first = len(shape) == 4 and shape[1] in CHANNELS
        remedy = "; move the channels last, with numpy.moveaxis(x, 1, -1)" if first else ""
        raise SourceError(
            f"{name}: {shown(images)} has the shape {shape}, expected (N, H, W) or (N, H, W, C) "
            f"with 1, 3 or 4 channels{remedy}"
        )
    if header.dtype != np.uint8:
        raise SourceError(f"{name}: {shown(images)} is {header.dtype}; save it as uint8, 0 to 255")
    if shape[0] > MOST_IMAGES:
        raise SourceError(f"{name}: {shown(images)} holds {shape[0]:,} images; {MOST_IMAGES:,} are the most")
    return header


def _labels(arrays: Arrays, labels: str, number: int, images: str, name: str) -> NDArray[Any]:
    """(N,) whole numbers or texts."""
    header = arrays.header(labels)
    shape = header.shape
    if shape not in ((number,), (number, 1)):
        raise SourceError(
            f"{name}: {shown(labels)} has the shape {shape}, expected ({number},): "
            f"a label for each image of {shown(images)}"
        )
    if header.dtype.kind not in "iubUS" or number * header.dtype.itemsize > LARGEST_LABELS:
        raise SourceError(f"{name}: {shown(labels)} is {header.dtype}; expected whole numbers or texts")
    values = np.asarray(arrays.load(labels)).reshape(number)
    return values.astype(np.int64) if values.dtype.kind == "b" else values


def _class_names(arrays: Arrays, key: str, labels: list[NDArray[Any]], name: str) -> tuple[str, ...] | None:
    """The names of label numbers 0, 1 …; None where the array holds no such names."""
    header = arrays.header(key)
    if (
        header.dtype.kind not in "US"
        or len(header.shape) != 1
        or any(each.dtype.kind not in "iu" for each in labels)
    ):
        return None
    if header.shape[0] > MOST_NAMES:
        return None
    names = tuple(np.asarray(arrays.load(key)).astype(str).tolist())
    highest = max(int(each.max()) for each in labels)
    if min(int(each.min()) for each in labels) < 0 or highest >= len(names):
        raise SourceError(f"{name}: {shown(key)} names {len(names)} classes; the labels go up to {highest}")
    return names


def reader(root: Path) -> Callable[[str, int, int], NDArray[np.uint8]]:
    """An image by its path, such as `train_images[17]`, as (H, W) or (H, W, C) uint8.

    An array of a .npz is unpacked when its first image is read.
    """
    arrays, loaded = Arrays(root), dict[str, NDArray[np.uint8]]()

    def read(path: str, _offset: int, _size: int) -> NDArray[np.uint8]:
        name, _, index = path[:-1].rpartition("[")
        if name not in loaded:
            loaded[name] = arrays.load(name)
        return np.asarray(loaded[name][int(index)])

    return read
