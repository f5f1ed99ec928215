"""Which images are held out: by class, and by group where images belong together."""

import numpy as np
from numpy.typing import NDArray

ROUNDS = 10


def _shuffled(number: int, seed: int) -> NDArray[np.int64]:
    """0 … number - 1 in an order of its own for each seed: the same in every version of NumPy (NEP 19)."""
    stream = np.random.RandomState(np.random.MT19937(np.random.SeedSequence(seed)))
    return stream.permutation(number).astype(np.int64)


def held_out_by_class(labels: NDArray[np.int64], share: float, seed: int) -> NDArray[np.bool_]:
    """(N,) labels -> (N,) True where held out.

    Exactly round(share · N) images, and of each class its share, rounded down or up (largest remainders).
    A class keeps at least one image on the other side: then fewer are held out.
    share: 0 … 1. seed: 0 or more.
    """
    classes, of = np.unique(labels, return_inverse=True)
    sizes = np.bincount(of, minlength=len(classes))
    quotas = np.floor(share * sizes + 1e-9).astype(np.int64)
    left = round(share * len(labels)) - int(quotas.sum())
    remainders = share * sizes - quotas
    quotas[np.argsort(-remainders, kind="stable")[: max(left, 0)]] += 1
    quotas = np.minimum(quotas, sizes - 1)
    order = _shuffled(len(labels), seed)
    order = order[np.argsort(of[order], kind="stable")]  # by class, shuffled within each
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    held = np.zeros(len(labels), dtype=np.bool_)
    held[order] = np.arange(len(labels)) - starts < np.repeat(quotas, sizes)
    return held


def held_out_by_group(
    labels: NDArray[np.int64], groups: NDArray[np.int64], share: float, seed: int
) -> NDArray[np.bool_]:
    """(N,) labels, (N,) numbers of groups -> (N,) True where held out; a group is held out as a whole.

    Groups change sides, in an order drawn by the seed, as long as each class comes nearer to its share: what
    falls is the sum over classes of (held out - share · size)² / size. No group is held out that has all
    images of a class. share: 0 … 1. seed: 0 or more.
    """
    _, of_class = np.unique(labels, return_inverse=True)
    _, of_group = np.unique(groups, return_inverse=True)
    sizes = np.bincount(of_class).tolist()
    number = int(of_group.max(initial=-1)) + 1
    pairs, counts = np.unique(of_group * len(sizes) + of_class, return_counts=True)
    holds: list[list[tuple[int, int]]] = [[] for _ in range(number)]
    for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
        holds[pair // len(sizes)].append((pair % len(sizes), count))
    excess = [-share * size for size in sizes]  # of each class, held out minus its share
    held = np.zeros(number, dtype=np.bool_)
    order = _shuffled(number, seed).tolist()
    for _ in range(ROUNDS):
        before = held.copy()
        for group in order:
            sign = -1 if held[group] else 1
            # (excess + sign · count)² - excess² = count · (2 · sign · excess + count)
            change = sum(count * (2 * sign * excess[c] + count) / sizes[c] for c, count in holds[group])
            takes_all = any(excess[c] + count > (1 - share) * sizes[c] - 0.5 for c, count in holds[group])
            if change < -1e-12 and (sign < 0 or not takes_all):
                held[group] = not held[group]
                for c, count in holds[group]:
                    excess[c] += sign * count
        if (held == before).all():
            break
    return held[of_group]
