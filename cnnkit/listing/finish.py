"""Rows → Listing: classes, labels, order, what training cannot work with, and the two hashes."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnnkit.errors import SourceError
from cnnkit.listing.held_out import held_out_by_class, held_out_by_group
from cnnkit.listing.names import (
    MOST_IMAGES,
    SPLITS,
    TEST,
    TRAIN,
    VALIDATION,
    are_all_numbers,
    natural,
    nfc,
    shown,
    some,
    whole,
)
from cnnkit.listing.records import Listing, PassedOver, Rows
from cnnkit.words import CONTROLS, counted

MOST_CLASSES = 1_000
LONGEST_CLASS = 200  # characters

Labels = NDArray[np.int64]


def finished(
    rows: Rows,
    root: Path,
    container: str,
    passed: PassedOver,
    offsets: dict[str, int] | None = None,
    test: float | None = None,
    test_seed: int = 0,
    classes: tuple[str, ...] | None = None,
) -> Listing:
    """classes: where the source gives label numbers their names; rows.names are then these names.

    Raises SourceError where the classes cannot be told, or no test images can be held out.
    """
    name, warnings = whole(root), list(rows.warnings)
    if len(rows.paths) > MOST_IMAGES:
        raise SourceError(f"{name} holds {len(rows.paths):,} images; at most {MOST_IMAGES:,} can be read")
    classes, labels = _classes(rows.names, name, warnings, classes)
    splits, ranks = np.array(rows.splits, dtype=np.int8), _ranks(rows.paths)
    groups = None if rows.groups is None else _groups(rows.groups)
    if test is not None and TRAIN in rows.own_splits and TEST not in rows.own_splits:
        _hold_out(labels, splits, groups, np.lexsort((ranks, labels)), test, test_seed, name)
    _check_groups(rows.groups, splits, warnings)
    _check_sizes(rows, warnings)
    stamp = _stamp(root, rows, np.argsort(ranks))
    order = np.lexsort((ranks, labels, splits))
    paths = tuple(rows.paths[i] for i in order)
    sizes, changed = (np.array(values, dtype=np.int64)[order] for values in (rows.sizes, rows.changed))
    labels, splits, groups = labels[order], splits[order], None if groups is None else groups[order]
    return Listing(
        root=root,
        kind=rows.kind,
        container=container,
        classes=classes,
        paths=paths,
        sizes=sizes,
        changed=changed,
        labels=labels,
        splits=splits,
        groups=groups,
        own_splits=frozenset(rows.own_splits),
        passed_over=passed.told(),
        warnings=tuple(warnings),
        fingerprint=_fingerprint(paths, sizes, [classes[label] for label in labels], splits, groups),
        stamp=stamp,
        places=ranks[order],
        offsets=None if offsets is None else np.array([offsets[path] for path in paths], dtype=np.int64),
    )


def _ranks(paths: list[str]) -> Labels:
    """(N,) the place of each path in their natural order."""
    keys = list(map(natural, paths))
    order = sorted(range(len(paths)), key=paths.__getitem__)
    order.sort(key=keys.__getitem__)  # where keys are equal, the paths decide
    ranks = np.empty(len(paths), dtype=np.int64)
    ranks[order] = np.arange(len(paths))
    return ranks


def _classes(
    names: list[str], name: str, warnings: list[str], known: tuple[str, ...] | None
) -> tuple[tuple[str, ...], Labels]:
    """The names of the classes, in order, and each image's label. Names are compared in their NFC form."""
    images = Counter(names)
    cleaned = {each: _cleaned(each, name) for each in known or images}
    if known and len(set(known)) < len(known):
        raise SourceError(f"{name} gives two classes one name ({some(known)}); each class has its own")
    forms: dict[str, list[str]] = {}
    for each, clean in cleaned.items():
        forms.setdefault(clean.lower(), []).append(each)
    for alike in forms.values():
        if len({cleaned[each] for each in alike}) > 1:
            told = some(f"{each} ({counted(images[each], 'image')})" for each in sorted(alike))
            raise SourceError(
                f"{name} has classes that differ in case only: {told}; give them one name, or other names"
            )
        if len(alike) > 1:
            warnings.append(
                f"{shown(cleaned[alike[0]])} is written in {len(alike)} ways that look alike "
                "(Unicode forms or spaces around); they are one class."
            )
    classes = tuple(cleaned[each] for each in known) if known else _in_order(set(cleaned.values()))
    if len(classes) > MOST_CLASSES:
        raise SourceError(f"{name} has {len(classes):,} classes; at most {MOST_CLASSES:,} can be trained")
    if not images:
        raise SourceError(f"{name} has no images")
    number = {each: i for i, each in enumerate(classes)}
    labels = {each: number[clean] for each, clean in cleaned.items()}
    return classes, np.fromiter((labels[each] for each in names), dtype=np.int64, count=len(names))


def _cleaned(each: str, name: str) -> str:
    clean = nfc(each).strip()
    if not clean or CONTROLS.search(clean) or "\n" in clean or "\t" in clean or len(clean) > LONGEST_CLASS:
        raise SourceError(
            f"{name} has a class with the name '{shown(each)}'; "
            f"a name has 1 to {LONGEST_CLASS} characters, and no control characters"
        )
    if not clean.isascii() and any("\ud800" <= letter <= "\udfff" for letter in clean):
        raise SourceError(f"{name} has a class whose name is not in UTF-8: {shown(each)}; rename it")
    return clean


def _in_order(classes: Iterable[str]) -> tuple[str, ...]:
    names = list(classes)
    if are_all_numbers(names):
        return tuple(sorted(names, key=lambda each: (int(each), each)))
    return tuple(sorted(names, key=lambda each: (natural(each.lower()), each)))


def _groups(names: list[str]) -> Labels:
    number = {each: i for i, each in enumerate(_in_order(set(names)))}
    return np.fromiter((number[each] for each in names), dtype=np.int64, count=len(names))


def _hold_out(
    labels: Labels,
    splits: NDArray[np.int8],
    groups: Labels | None,
    order: Labels,
    share: float,
    seed: int,
    name: str,
) -> None:
    """Makes some training images test images. order: of the images, the same for each copy of a source."""
    train = order[splits[order] == TRAIN]
    if groups is None:
        held = held_out_by_class(labels[train], share, seed)
    else:
        held = held_out_by_group(labels[train], groups[train], share, seed)
    if not held.any():
        of = "" if groups is None else f" in {counted(len(np.unique(groups)), 'group')}"
        raise SourceError(
            f"{name}: of {counted(len(train), 'image')}{of} none can be held out for a test share of "
            f"{share:g}; take a larger share, or add images"
        )
    splits[train[held]] = TEST


def for_training(listing: Listing) -> Listing:
    """The same, with warnings of classes that a split lacks, or that have one image alone.

    Raises SourceError where no training can work with what is there.
    """
    name, classes = whole(listing.root), listing.classes
    if TRAIN not in listing.own_splits:
        only = some(SPLITS[split] for split in sorted(listing.own_splits))
        raise SourceError(f"{name} holds no training images, only {only} images; add a train split")
    counts = _counts(listing.labels, listing.splits, classes)
    if len(seen := np.flatnonzero(counts.any(axis=0))) < 2:
        raise SourceError(f"{name} has one class, {classes[seen[0]]}; training needs two classes or more")
    for split in (VALIDATION, TEST):
        unknown = (counts[split] > 0) & (counts[TRAIN] == 0)
        if unknown.any():
            found = [classes[c] for c in np.flatnonzero(unknown)]
            raise SourceError(
                f"{name} has {SPLITS[split]} images of {some(found)}, and no training images of "
                f"{'it' if len(found) == 1 else 'them'}; add training images, or take the others away"
            )
    warnings = list[str]()
    for split in (VALIDATION, TEST):
        lacking = (counts[split] == 0) & (counts[TRAIN] > 0)
        if counts[split].any() and lacking.any():
            found = [classes[c] for c in np.flatnonzero(lacking)]
            warnings.append(f"There are no {SPLITS[split]} images of {some(found)}.")
    if (single := np.flatnonzero(counts[TRAIN] == 1)).size:
        warnings.append(f"There is one training image only of {some(classes[c] for c in single)}.")
    if (none := np.flatnonzero(counts.sum(axis=0) == 0)).size:
        warnings.append(f"There are no images of {some(classes[c] for c in none)}.")
    return replace(listing, warnings=(*listing.warnings, *warnings))


def _check_sizes(rows: Rows, warnings: list[str]) -> None:
    if empty := rows.sizes.count(0):
        first = shown(rows.paths[rows.sizes.index(0)])
        warnings.append(f"{counted(empty, 'file')} of 0 bytes ({first}) cannot be an image.")


def _counts(labels: Labels, splits: NDArray[np.int8], classes: tuple[str, ...]) -> Labels:
    """(3, classes): images of each split and class."""
    counts = np.zeros((3, len(classes)), dtype=np.int64)
    np.add.at(counts, (splits, labels), 1)
    return counts


def _check_groups(groups: list[str] | None, splits: NDArray[np.int8], warnings: list[str]) -> None:
    """Groups with images in two splits: what is tested is then not all new."""
    homes: dict[str, set[int]] = {}
    for group, split in zip(groups or (), splits.tolist(), strict=False):
        homes.setdefault(group, set()).add(split)
    shared = sorted((group for group, found in homes.items() if len(found) > 1), key=natural)
    if shared:
        warnings.append(
            f"{counted(len(shared), 'group')} with images in more than one split ({some(shared)}): "
            "a test on images of a group that was trained on may look too good."
        )


def _fingerprint(
    paths: tuple[str, ...], sizes: Labels, names: list[str], splits: NDArray[np.int8], groups: Labels | None
) -> str:
    of = ["" for _ in paths] if groups is None else groups.tolist()
    lines = zip(map(nfc, paths), sizes.tolist(), names, splits.tolist(), of, strict=True)
    return _sha256(
        "\n".join(f"{path}\0{size}\0{name}\0{split}\0{group}" for path, size, name, split, group in lines)
    )


def _stamp(root: Path, rows: Rows, order: Labels) -> str:
    """Of a root that is a file, such as an archive, its size and time of change count too."""
    lines = ((rows.paths[i], rows.sizes[i], rows.changed[i]) for i in order.tolist())
    stat = root.stat()
    own = "" if root.is_dir() else f"{stat.st_size}\0{stat.st_mtime_ns}"
    return _sha256("\n".join([own, *(f"{path}\0{size}\0{time}" for path, size, time in lines)]))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
