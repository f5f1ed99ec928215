"""The IDX file format of the MNIST family: a magic number, the sizes, the values.

Source: the format's description on the MNIST page of LeCun, Cortes and Burges. Byte 3 of the magic
number is the type of the values, byte 4 how many dimensions follow, each a big-endian int32.
"""

import gzip
import hashlib
import math
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cnnkit.errors import DataError
from cnnkit.families.datasets import DatasetInfo

TYPES: dict[int, np.dtype[Any]] = {0x08: np.dtype("u1"), 0x0C: np.dtype(">i4")}
PUBLISHED_MD5 = {  # of MNIST's unpacked files; a packed file has a checksum inside
    "MNIST/train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "MNIST/train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "MNIST/t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "MNIST/t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


def load(info: DatasetInfo, paths: Mapping[str, Path]) -> dict[str, Tensor]:
    """The images and labels of a data set's four IDX files, as `DatasetInfo.loader` describes them.

    Of labels with several columns the first is the class. Raises DataError where a file is damaged.
    """
    tensors = {}
    for part, path in paths.items():
        values = read_idx(path, info.files[part].dimensions)
        if part.endswith("labels"):
            tensors[part] = (values[:, 0] if values.dim() == 2 else values).long()
        elif values.dtype != torch.uint8:
            raise DataError(f"{path} holds no images: its values are not bytes; bring the published files")
        else:
            tensors[part] = values[:, None]
    return tensors


def load_emnist(info: DatasetInfo, paths: Mapping[str, Path]) -> dict[str, Tensor]:
    """As `load`. The images of EMNIST are published with rows and columns exchanged."""
    return {
        part: values.mT.contiguous() if part.endswith("images") else values
        for part, values in load(info, paths).items()
    }


def load_emnist_letters(info: DatasetInfo, paths: Mapping[str, Path]) -> dict[str, Tensor]:
    """As `load_emnist`. The published labels of the letters are 1 … 26."""
    return {
        part: values - 1 if part.endswith("labels") else values
        for part, values in load_emnist(info, paths).items()
    }


def read_idx(path: Path, dimensions: int) -> Tensor:
    """The values of an IDX file, packed with gzip or not: a tensor of uint8 or int32.

    Raises DataError where the file is truncated, is not IDX, or differs from the published MNIST file.
    """
    raw = _unpacked(path)
    if len(raw) < 4 + 4 * dimensions:
        raise _damaged(path, f"is truncated: {len(raw)} bytes")
    zeros, kind, declared = struct.unpack(">HBB", raw[:4])
    if zeros or kind not in TYPES or declared != dimensions:
        magic = raw[:4].hex(" ")
        raise _damaged(
            path, f"has a wrong magic number, {magic}: it is no IDX file of {dimensions} dimensions"
        )
    shape = struct.unpack(f">{dimensions}I", raw[4 : 4 + 4 * dimensions])
    expected = 4 + 4 * dimensions + math.prod(shape) * TYPES[kind].itemsize
    if len(raw) != expected:
        state = "truncated" if len(raw) < expected else "too long"
        raise _damaged(path, f"is {state}: {len(raw):,} bytes where its head announces {expected:,}")
    published = PUBLISHED_MD5.get(f"{path.parent.parent.name}/{path.name.removesuffix('.gz')}")
    if published and hashlib.md5(raw, usedforsecurity=False).hexdigest() != published:
        raise _damaged(path, "is damaged: its MD5 sum is not the published one")
    values = np.frombuffer(raw, TYPES[kind], offset=4 + 4 * dimensions).reshape(shape)
    return torch.from_numpy(values.astype(values.dtype.newbyteorder("=")))


def _unpacked(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _damaged(path, f"is damaged: {error}") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def _damaged(path: Path, what: str) -> DataError:
    return DataError(f"{path} {what}; delete it, and it is fetched again, or bring a good copy")
