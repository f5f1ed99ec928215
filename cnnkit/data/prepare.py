"""Data sets → `Splits`: fetched once, checked, prepared once, split by the seed."""

import hashlib
from pathlib import Path

import torch
from torch import Tensor

from cnnkit.config.schema import DataConfig, SceneConfig
from cnnkit.data.dataset import ImageDataset, Published, Splits
from cnnkit.data.idx import read_idx
from cnnkit.data.scenes import make_scenes
from cnnkit.data.sources import cache_folder, data_root, file_names, source_files
from cnnkit.data.splits import held_out_and_rest, split_stratified
from cnnkit.errors import DamagedFile, DataError
from cnnkit.events import Note, NoteListener, ignore
from cnnkit.families.datasets import DATASETS, SMALL_OBJECT, DatasetInfo
from cnnkit.random import stream
from cnnkit.tensor_files import load_tensors, save_tensors

SCENE_SEED = 0  # scenes are the same in every study
DIGITS_SPLIT_SEED = 0  # scikit-learn's digits come unsplit; everyone gets the same test images


def load_splits(
    config: DataConfig, seed: int, notify: NoteListener = ignore, published: Published | None = None
) -> Splits:
    """Reads, or fetches, a data set and holds out validation images, the same for the same seed.

    published: what `load_data` gave, where that is known already.
    """
    whole, test = (split.cropped(config.crop) for split in published or load_data(config, notify))
    validation, train = held_out_and_rest(config, whole.labels, seed)
    return Splits(whole[train], whole[validation], test)


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
        ImageDataset(
            *make_scenes(d.images, d.labels, scene, count, stream(SCENE_SEED, "scenes", split)), scene.info
        )
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
        ImageDataset(tensors["train_images"], tensors["train_labels"], info),
        ImageDataset(tensors["test_images"], tensors["test_labels"], info),
    )


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
