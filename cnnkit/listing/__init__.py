"""What a source of images holds, told without decoding one. (A stand-in: class and split folders.)"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnnkit.errors import DataError

TRAIN, VALIDATION, TEST = 0, 1, 2
NAMES = {"train": 0, "training": 0, "val": 1, "valid": 1, "validation": 1, "test": 2, "testing": 2}


@dataclass(frozen=True)
class Listing:
    root: Path
    kind: str
    container: str
    classes: tuple
    paths: tuple
    sizes: object
    labels: object
    splits: object
    groups: object
    own_splits: frozenset
    passed_over: tuple
    warnings: tuple
    fingerprint: str
    stamp: str


def held_out_by_class(labels, share, seed):
    g = np.random.default_rng(seed)
    mask = np.zeros(len(labels), bool)
    for c in np.unique(labels):
        m = g.permutation(np.flatnonzero(labels == c))
        mask[m[: round(len(m) * share)]] = True
    return mask


def held_out_by_group(labels, groups, share, seed):
    g = np.random.default_rng(seed)
    u = g.permutation(np.unique(groups))
    return np.isin(groups, u[: round(len(u) * share)])


def list_images(root, test=None, test_seed=0):
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root} is not there; name a folder")
    top = sorted(e.name for e in os.scandir(root) if e.is_dir())
    split = bool(top) and all(n.lower() in NAMES for n in top)
    homes = [(NAMES[n.lower()], n) for n in top] if split else [(0, "")]
    rows = []
    for s, n in homes:
        for c in os.scandir(root / n):
            for f in os.scandir(c.path):
                st = f.stat()
                rows.append((s, c.name, f"{n}/{c.name}/{f.name}".lstrip("/"), st.st_size, st.st_mtime_ns))
    rows.sort()
    classes = tuple(sorted({r[1] for r in rows}))
    labels = np.array([classes.index(r[1]) for r in rows])
    splits = np.array([r[0] for r in rows], np.int8)
    if test and not (splits == 2).any():
        splits[held_out_by_class(labels, test, test_seed)] = 2
    order = np.argsort(splits, kind="stable")
    rows = [rows[i] for i in order]
    f = hashlib.sha256(repr([(r[2], r[3]) for r in rows]).encode()).hexdigest()
    t = hashlib.sha256(repr(rows).encode()).hexdigest()
    return Listing(
        root,
        "",
        "folder",
        classes,
        tuple(r[2] for r in rows),
        np.array([r[3] for r in rows]),
        labels[order],
        splits[order],
        None,
        frozenset(),
        (),
        (),
        f,
        t,
    )


def reader(listing):
    return lambda i: (listing.root / listing.paths[i]).read_bytes()
