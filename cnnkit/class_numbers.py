"""Class numbers as `predictions.bin` and `labels.bin` keep them: a byte each, or more of many classes."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnnkit.errors import RunError

WIDTHS = ("<u1", "<u2", "<u4")


def kept_type(classes: int) -> np.dtype[Any]:
    """The narrowest of one, two or four bytes, little-endian, that counts so many classes."""
    return next(np.dtype(width) for width in WIDTHS if classes <= np.iinfo(width).max)


def kept_bytes(numbers: ArrayLike, classes: int) -> bytes:
    """(N,) class numbers, below `classes`."""
    return np.asarray(numbers).astype(kept_type(classes)).tobytes()


def numbers_in(raw: bytes, classes: int, path: Path) -> NDArray[np.int64]:
    """What `kept_bytes` made, (N,). Raises RunError, which names the file, where bytes are left over."""
    kind = kept_type(classes)
    if len(raw) % kind.itemsize:
        raise RunError(f"{path} is damaged: of {len(raw):,} bytes the last belongs to no class")
    return np.frombuffer(raw, kind).astype(np.int64)
