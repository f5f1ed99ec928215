"""The binary files of CIFAR-10 and CIFAR-100: records of labels and pixels, one after the other.

Source: the "binary version" on https://www.cs.toronto.edu/~kriz/cifar.html. A record is one byte for the
class (CIFAR-100: two, and the second is the class), then 3,072 bytes: red, green, blue, each row by row.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cnnkit.errors import DataError
from cnnkit.families.datasets import DatasetInfo

PIXELS = 3 * 32 * 32


def load(info: DatasetInfo, paths: Mapping[str, Path]) -> dict[str, Tensor]:
    """The images and labels, as `DatasetInfo.loader` describes them. Raises DataError for a damaged file."""
    label_bytes = 1 if info.classes <= 10 else 2
    tensors = {}
    for split in ("train", "test"):
        parts = [_records(path, label_bytes) for part, path in paths.items() if part.startswith(split)]
        records = torch.from_numpy(np.concatenate(parts))
        tensors[f"{split}_images"] = records[:, label_bytes:].reshape(-1, 3, 32, 32)
        tensors[f"{split}_labels"] = records[:, label_bytes - 1].long()
    return tensors


def _records(path: Path, label_bytes: int) -> "np.ndarray[tuple[int, int], np.dtype[np.uint8]]":
    """(N, label bytes + 3072) uint8."""
    try:
        values = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    length = label_bytes + PIXELS
    if not len(values) or len(values) % length:
        raise DataError(
            f"{path} is damaged: {len(values):,} bytes are no whole number of images of {length:,} bytes; "
            "delete it, and it is fetched again, or bring a good copy"
        )
    return values.reshape(-1, length)
