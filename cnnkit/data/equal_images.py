"""Images that are equal, pixel by pixel, once they are prepared."""

import numpy as np
from numpy.typing import NDArray

from cnnkit.words import counted

Pair = tuple[int, int]


def with_other_labels(hashes: NDArray[np.uint64], labels: NDArray[np.int64]) -> tuple[int, list[Pair]]:
    """How many images equal one of another class; of each such picture the first image of two classes.

    hashes, labels: (N,). The pairs hold indices into them, in their order.
    """
    order = np.argsort(hashes, kind="stable")
    _, starts, sizes = np.unique(hashes[order], return_index=True, return_counts=True)
    number, pairs = 0, list[Pair]()
    for start, size in zip(starts[sizes > 1].tolist(), sizes[sizes > 1].tolist(), strict=True):
        alike = order[start : start + size]
        others = alike[labels[alike] != labels[alike[0]]]
        if len(others):
            number += size
            pairs.append((int(alike[0]), int(others[0])))
    return number, sorted(pairs)


def words_of_labels(number: int) -> str:
    """That so many images contradict one another."""
    return f"{that_equal(number)}, pixel by pixel, an image of another class; correct their labels"


def that_equal(number: int, noun: str = "image") -> str:
    """`1 image equals`, `2 images equal`."""
    return f"{counted(number, noun)} {'equals' if number == 1 else 'equal'}"
