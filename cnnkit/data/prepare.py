"""Reads a data set, prepares it once, and holds out validation images by the seed.

`load_splits` gives what a run needs. It calls `load_data`, which gives the images that a configuration
describes. That calls `load_dataset`, which gives a data set as published.
"""

import hashlib
from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor

from cnnkit.config.images import DataConfig, SceneConfig, listing_of
from cnnkit.data.dataset import ImageDataset, Published, Splits
from cnnkit.data.folder import load_folder
from cnnkit.data.scenes import make_scenes, only_objects
from cnnkit.data.sources import cache_folder, data_root, source_files
from cnnkit.data.splits import Shares, shares_of
from cnnkit.errors import DamagedFile, DataError
from cnnkit.events import Note, NoteListener, ignore
from cnnkit.families.datasets import DATASETS, DatasetInfo
from cnnkit.random import generator_for
from cnnkit.tensor_files import fingerprint, load_tensors, save_tensors

SCENE_SEED = 0  # scenes are the same in every study


def load_splits(
    config: DataConfig, seed: int, notify: NoteListener = ignore, published: Published | None = None
) -> Splits:
    """Reads, or fetches, a data set and holds out validation images, the same ones for the same seed.

    published: the result of `load_data`, if the caller already has it.
    """
    published = (published or load_data(config, notify)).cropped(config.crop)
    shares = shares_of(config, published, seed)
    if shares.tested is None:
        whole, test = published
    else:
        whole = published.all
        test = whole[shares.tested]
    hashes = pixel_hashes(published, shares)
    return Splits(whole[shares.train], whole[shares.validation], test, shares.tested, hashes)


def pixel_hashes(published: Published, shares: Shares) -> dict[str, str]:
    """Of a person's own images, by split, a hash of the pixels; of others none."""
    same, count = published.apart.same, len(published.train)
    if same is None:
        return {}
    tested = same[count:] if shares.tested is None else same[shares.tested]
    parts = {"train": same[shares.train], "validation": same[shares.validation], "test": tested}
    return {split: fingerprint([part]) for split, part in parts.items()}


def paths_of_split(config: DataConfig, seed: int, split: str) -> tuple[str, ...]:
    """Of a person's own images: the paths of those in a split, below their root, in the split's order."""
    return paths_of(config, getattr(load_splits(config, seed), split))


def paths_of(config: DataConfig, images: ImageDataset) -> tuple[str, ...]:
    """Of images of a person's own."""
    assert images.rows is not None
    listing = listing_of(config)
    return tuple(listing.paths[i] for i in listing.numbers[images.rows.cpu().numpy()].tolist())


def load_data(config: DataConfig, notify: NoteListener = ignore) -> Published:
    """The images that a configuration describes, before its crop: published ones, or scenes drawn of them."""
    if config.own:
        return load_folder(config, notify)
    published = load_dataset(config.source.name, data_root(config.root), notify)
    return _draw_scenes(published, config.scene) if config.drawn else published


def all_tested(config: DataConfig, published: Published) -> ImageDataset:
    """The images that some seed may be tested on, before any crop: the test split, or all of them."""
    return published.all if config.redrawn else published.test


def load_objects(config: DataConfig) -> Tensor:
    """The test scenes of a configuration without their clutter: (N, 1, S, S) uint8."""
    digits = load_dataset(config.source.name, data_root(config.root)).test.images
    return only_objects(digits, config.scene, config.scene.test_images, _scene_generator("test"))


def _draw_scenes(published: Published, scene: SceneConfig) -> Published:
    """Training scenes show training digits, test scenes show test digits."""

    def draw(digits: ImageDataset, count: int, split: str) -> ImageDataset:
        scenes, labels = make_scenes(digits.images, digits.labels, scene, count, _scene_generator(split))
        return ImageDataset(scenes, labels, scene.info)

    return Published(
        draw(published.train, scene.train_images, "train"), draw(published.test, scene.test_images, "test")
    )


def _scene_generator(split: str) -> torch.Generator:
    return generator_for(SCENE_SEED, "scenes", split)


def load_dataset(name: str, root: Path, notify: NoteListener = ignore) -> Published:
    """A data set as published. The tensors are kept in the cache folder, so files are read only once.

    Raises DataError where the files are damaged, or missing and cannot be fetched.
    """
    info = DATASETS[name]
    paths = source_files(info, root, notify)
    home = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:8] if paths else "bundled"
    prepared = cache_folder() / "prepared" / f"{name}-{home}.safetensors"
    stamp = _stamp(paths)
    tensors = _read_prepared(prepared, stamp, info, notify)
    if tensors is None:
        notify(Note(f"preparing {info.title}"))
        tensors = _read(info, paths)
        _check(tensors, info, root)
        try:
            save_tensors(prepared, tensors, {"stamp": stamp})
        except OSError as error:
            notify(Note(f"the prepared data could not be kept in {prepared.parent}: {error.strerror}"))
    return Published(
        ImageDataset(tensors["train_images"], tensors["train_labels"], info),
        ImageDataset(tensors["test_images"], tensors["test_labels"], info),
    )


def _read(info: DatasetInfo, paths: dict[str, Path]) -> dict[str, Tensor]:
    """Calls the loader that the data set declares."""
    module, function = info.loader.split(":")
    tensors: dict[str, Tensor] = getattr(import_module(module), function)(info, paths)
    return tensors


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


def _stamp(paths: dict[str, Path]) -> str:
    """Name, size and time of change of each file. Where they differ, the data are prepared again."""
    parts = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths.values()]
    return repr(parts)


def _read_prepared(
    path: Path, stamp: str, info: DatasetInfo, notify: NoteListener
) -> dict[str, Tensor] | None:
    try:
        tensors, metadata = load_tensors(path)
        if metadata.get("stamp") != stamp:
            return None
        _check(tensors, info, path)
    except FileNotFoundError:
        return None
    except KeyError:
        notify(Note(f"{path} holds another content; it is made again"))
        return None
    except (DamagedFile, DataError, OSError) as error:
        notify(Note(f"{error}; it is made again"))
        return None
    return tensors
