"""Data sets → `Splits`: fetched once, checked, prepared once, split by the seed."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from cnnkit.catalog import DATASETS, SMALL_OBJECT, DatasetInfo
from cnnkit.config import DataConfig, SceneConfig
from cnnkit.errors import DamagedFile, DataError
from cnnkit.events import Note, NoteListener, ignore
from cnnkit.files import load_tensors, save_tensors
from cnnkit.idx import read_idx
from cnnkit.scenes import make_scenes
from cnnkit.sources import cache_folder, data_root, file_names, source_files
from cnnkit.streams import stream

SCENE_SEED = 0  # scenes are the same in every study
DIGITS_SPLIT_SEED = 0  # scikit-learn's digits come unsplit; everyone gets the same test images


@dataclass(frozen=True)
class ImageDataset:
    """images: (N, C, H, W) uint8, pixels 0 … 255. labels: (N,) int64, 0 … classes - 1."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor) -> "ImageDataset":
        """The images at (n,) whole numbers. `index_select` copies rows at once: 0.01 ms a batch, not 0.12."""
        index = index.to(self.images.device)
        return ImageDataset(self.images.index_select(0, index), self.labels.index_select(0, index))

    def cropped(self, pixels: int) -> "ImageDataset":
        """Without the outer pixels of each side: (N, C, H - 2 · pixels, W - 2 · pixels)."""
        height, width = self.images.shape[2:]
        inner = self.images[..., pixels : height - pixels, pixels : width - pixels]
        return ImageDataset(inner.contiguous(), self.labels)

    def to(self, device: torch.device) -> "ImageDataset":
        return ImageDataset(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Splits:
    """The images of one experiment. validation comes out of the published training split."""

    train: ImageDataset
    validation: ImageDataset
    test: ImageDataset


Published = tuple[ImageDataset, ImageDataset]  # the (train, test) splits, nothing held out yet


def load_splits(
    config: DataConfig, seed: int, notify: NoteListener = ignore, published: Published | None = None
) -> Splits:
    """Reads, or fetches, a data set and holds out validation images, the same for the same seed.

    published: what `load_data` gave, where that is known already.
    """
    whole, test = (split.cropped(config.crop) for split in published or load_data(config, notify))
    validation, train = held_out_and_rest(config, whole.labels, seed)
    return Splits(whole[train], whole[validation], test)


def held_out_and_rest(config: DataConfig, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Indices into the published training images, of these labels: for validation, and for training."""
    return split_stratified(labels, config.validation_images, stream(seed, "split"))


def load_data(config: DataConfig, notify: NoteListener = ignore) -> Published:
    """The images that a configuration describes."""
    root = data_root(config.root)
    if config.dataset != SMALL_OBJECT:
        return load_dataset(config.dataset, root, notify)
    return _scenes(config.scene, root, notify)


def _scenes(scene: SceneConfig, root: Path, notify: NoteListener) -> Published:
    """Training scenes show training digits, test scenes test digits; the same whoever asks."""
    train, test = load_dataset(scene.source, root, notify)
    sources = (("train", train, scene.train_images), ("test", test, scene.test_images))
    made = [
        ImageDataset(*make_scenes(d.images, d.labels, scene, count, stream(SCENE_SEED, "scenes", split)))
        for split, d, count in sources
    ]
    return made[0], made[1]


def load_dataset(name: str, root: Path, notify: NoteListener = ignore) -> Published:
    """A data set as its makers published it.

    Raises DataError where the files are damaged, or missing and not to be had.
    """
    info = DATASETS[name]
    sources = source_files(name, root, notify) if info.torchvision_class else {}
    stamp = _stamp(sources)
    home = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:8] if sources else "bundled"
    prepared = cache_folder() / "prepared" / f"{name}-{home}.safetensors"
    tensors = _read_prepared(prepared, stamp, notify)
    if tensors is None:
        notify(Note(f"preparing {info.title}"))
        tensors = _read_sources(name, sources) if sources else _bundled_digits()
        _check(tensors, info, root)
        try:
            save_tensors(prepared, tensors, {"stamp": stamp})
        except OSError as error:
            notify(Note(f"the prepared data could not be kept in {prepared.parent}: {error.strerror}"))
    return (
        ImageDataset(tensors["train_images"], tensors["train_labels"]),
        ImageDataset(tensors["test_images"], tensors["test_labels"]),
    )


def split_stratified(labels: Tensor, held_out: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(held out, rest): sorted indices, every class in its share to within one image."""
    classes = labels.bincount()
    exact = classes.double() * held_out / len(labels)
    quota = exact.floor().long()
    quota[(exact - quota).argsort(descending=True, stable=True)[: held_out - int(quota.sum())]] += 1
    mask = torch.zeros(len(labels), dtype=torch.bool)
    for label, count in enumerate(quota.tolist()):
        members = (labels == label).nonzero()[:, 0]
        mask[members[torch.randperm(len(members), generator=generator)[:count]]] = True
    return mask.nonzero()[:, 0], (~mask).nonzero()[:, 0]


def pixel_statistics(images: Tensor) -> tuple[float, float]:
    """Mean and standard deviation of all pixels, 0 … 255, of (N, C, H, W) uint8, from exact sums."""
    total = square = 0.0
    pixels = (images if images.is_cuda else images.cpu()).flatten()
    for chunk in pixels.split(2**24 if images.is_cuda else 2**16):  # fits a core's cache: 7 times as fast
        values = chunk.double()
        total += values.sum().item()
        square += values.dot(values).item()
    mean = total / images.numel()
    return mean, max((square / images.numel() - mean**2) ** 0.5, 1e-6)


def _read_sources(name: str, sources: dict[str, Path]) -> dict[str, Tensor]:
    tensors = {}
    for part, path in sources.items():
        values = read_idx(path, file_names(name)[part][1])
        if part.endswith("labels"):
            tensors[part] = (values[:, 0] if values.dim() == 2 else values).long()
        elif values.dtype != torch.uint8:
            raise DataError(f"{path} holds no images: its values are not bytes; bring the published files")
        else:
            tensors[part] = values[:, None]
    return tensors


def _bundled_digits() -> dict[str, Tensor]:
    """scikit-learn's 8 × 8 digits, 16 greys stretched to 255, split 80 to 20 once and for all."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = (torch.from_numpy(bunch.images) * 255 / 16).round().to(torch.uint8)[:, None]
    labels = torch.from_numpy(bunch.target).long()
    test_images = DATASETS["digits"].test_images
    test, train = split_stratified(labels, test_images, stream(DIGITS_SPLIT_SEED, "digits test split"))
    return {
        "train_images": images[train],
        "train_labels": labels[train],
        "test_images": images[test],
        "test_labels": labels[test],
    }


def _check(tensors: dict[str, Tensor], info: DatasetInfo, root: Path) -> None:
    for split, expected in (("train", info.train_images), ("test", info.test_images)):
        images, labels = tensors[f"{split}_images"], tensors[f"{split}_labels"]
        where = f"{info.title} in {root}: the {split} split has"
        if len(images) != len(labels):
            raise DataError(
                f"{where} {len(images):,} images but {len(labels):,} labels; bring the published files"
            )
        if len(images) != expected:
            raise DataError(f"{where} {len(images):,} images, not {expected:,}; bring the published files")
        if tuple(images.shape[1:]) != info.shape:
            raise DataError(f"{where} images of shape {tuple(images.shape[1:])}, not {info.shape}")
        if not 0 <= int(labels.min()) <= int(labels.max()) < info.classes:
            wrong = int(labels.max()) if int(labels.min()) >= 0 else int(labels.min())
            raise DataError(f"{where} a label {wrong}, but only {info.classes} classes")


def _stamp(sources: dict[str, Path]) -> str:
    """What tells that the files are still those that were prepared: name, bytes, time of change."""
    parts = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in sources.values()]
    return repr(parts)


def _read_prepared(path: Path, stamp: str, notify: NoteListener) -> dict[str, Tensor] | None:
    try:
        tensors, metadata = load_tensors(path)
    except FileNotFoundError:
        return None
    except (DamagedFile, OSError) as error:
        notify(Note(f"{error}; it is made again"))
        return None
    return tensors if metadata.get("stamp") == stamp else None
