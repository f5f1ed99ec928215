"""The MATLAB files of SVHN's cropped house numbers.

Source: http://ufldl.stanford.edu/housenumbers/, "Format 2": `X` is (32, 32, 3, N), `y` is (N, 1) with the
labels 1 … 10, where 10 is the digit 0.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cnnkit.errors import DataError
from cnnkit.families.datasets import DatasetInfo


def load(info: DatasetInfo, paths: Mapping[str, Path]) -> dict[str, Tensor]:
    """The images and labels, as `DatasetInfo.loader` describes them. Raises DataError for a damaged file."""
    tensors = {}
    for split, path in paths.items():
        images, labels = _read(path)
        tensors[f"{split}_images"] = images.permute(3, 2, 0, 1).contiguous()
        tensors[f"{split}_labels"] = torch.where(labels == 10, 0, labels)
    return tensors


def _read(path: Path) -> tuple[Tensor, Tensor]:
    """((32, 32, 3, N) uint8, (N,) int64)."""
    from scipy.io import loadmat

    try:
        content = loadmat(path, variable_names=["X", "y"])
        images, labels = content["X"], content["y"].ravel().astype(np.int64)
        if images.dtype != np.uint8 or images.ndim != 4:
            raise ValueError("X holds no images")
    except Exception as error:  # scipy fails in many ways where a byte differs
        raise DataError(
            f"{path} is damaged: {error}; delete it, and it is fetched again, or bring a good copy"
        ) from error
    return torch.from_numpy(images), torch.from_numpy(labels)
