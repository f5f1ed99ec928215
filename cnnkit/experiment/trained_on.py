"""Which images a run was trained on, where these are at hand: known by their pixels."""

from collections.abc import Iterator

from cnnkit.config.schema import Config
from cnnkit.data.cache import cached
from cnnkit.data.dataset import ImageDataset
from cnnkit.data.prepare import load_splits
from cnnkit.data.prepared_files import hash_of
from cnnkit.data.sources import cache_folder
from cnnkit.errors import DataError


def training_hashes(config: Config) -> frozenset[int]:
    """Of own images, before any crop; empty where the cache does not hold them, or they have changed."""
    data = config.data
    if not data.own or not any(kept.source == data.root for kept in cached(cache_folder())):
        return frozenset()
    try:
        splits = load_splits(data.model_copy(update={"crop": 0}), config.training.seed)
    except DataError:
        return frozenset()
    return frozenset(_hashes(splits.train))


def words_of_known(images: ImageDataset, known: frozenset[int]) -> str:
    """How many of the images, before any crop, have a known hash; empty where none has."""
    number = sum(found in known for found in _hashes(images)) if known else 0
    return (
        f"the run was trained on {number:,} of these {len(images):,} images: "
        "the accuracy tells less about new images"
        if number
        else ""
    )


def _hashes(images: ImageDataset) -> Iterator[int]:
    for part in images.parts():
        yield from map(hash_of, part.images.numpy())
