"""What a source of images holds, and what is collected on the way to it."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnnkit.listing.names import natural, shown

FIRST_NAMES = 5


@dataclass(frozen=True, eq=False)
class Listing:
    """What a source holds, told without decoding an image. N images, ordered by (split, class, path).

    The order of paths is natural (`2.jpg` before `10.jpg`) and the same on every system.
    """

    root: Path
    """As named, absolute."""
    kind: str
    """`class folders`, `split folders`, `table` or `arrays`."""
    container: str
    """`folder`, `zip`, `tar` or `arrays`."""
    classes: tuple[str, ...]
    paths: tuple[str, ...]
    """(N,) below root, or below the folder of root where root is a table; absolute where a table names a
    file elsewhere. Of archives the member's name; of arrays `train_images[17]`."""
    sizes: NDArray[np.int64]
    """(N,) bytes."""
    changed: NDArray[np.int64]
    """(N,) time of the last change, nanoseconds; 0 in archives and .npz."""
    labels: NDArray[np.int64]
    """(N,) indices into classes."""
    splits: NDArray[np.int8]
    """(N,) TRAIN, VALIDATION or TEST."""
    groups: NDArray[np.int64] | None
    """(N,) number of the group that an image belongs to; None where the source tells no groups."""
    own_splits: frozenset[int]
    """The splits that the source itself tells."""
    passed_over: tuple[tuple[str, int, tuple[str, ...]], ...]
    """(reason, how many, first names as they may be shown) of what is no image or is not used."""
    warnings: tuple[str, ...]
    """Whole sentences."""
    fingerprint: str
    """SHA-256 over path, size, class, split and group of all images, in order: the same for a copy."""
    stamp: str
    """SHA-256 over paths, sizes and times of change: differs where a file was touched, not with splits."""
    places: NDArray[np.int64]
    """(N,) 0 … N - 1, each image's place by its path alone: the same whatever the splits and classes."""
    offsets: NDArray[np.int64] | None = None
    """(N,) bytes before a member in its archive; None of folders and arrays."""

    @property
    def numbers(self) -> NDArray[np.int64]:
        """(N,) the image that has each place."""
        return np.argsort(self.places)

    def by_place(self) -> "Listing":
        """The same images, ordered by their places."""
        order = self.numbers
        return replace(
            self,
            paths=tuple(self.paths[i] for i in order.tolist()),
            sizes=self.sizes[order],
            changed=self.changed[order],
            labels=self.labels[order],
            splits=self.splits[order],
            groups=None if self.groups is None else self.groups[order],
            places=np.arange(len(order)),
            offsets=None if self.offsets is None else self.offsets[order],
        )


@dataclass
class Rows:
    """The images as they are found, one entry an image in each list. groups: None where there are none."""

    kind: str
    own_splits: frozenset[int]
    paths: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    changed: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    splits: list[int] = field(default_factory=list)
    groups: list[str] | None = None
    warnings: list[str] = field(default_factory=list)


class PassedOver:
    """The names of what is passed over, by reason."""

    def __init__(self) -> None:
        self.reasons: defaultdict[str, list[str]] = defaultdict(list)

    def note(self, reason: str, names: Iterable[str]) -> None:
        self.reasons[reason].extend(names)

    def told(self) -> tuple[tuple[str, int, tuple[str, ...]], ...]:
        return tuple(
            (reason, len(names), tuple(map(shown, sorted(names, key=natural)[:FIRST_NAMES])))
            for reason, names in sorted(self.reasons.items())
            if names
        )


@dataclass
class Files:
    """The images that lie in one folder, one entry an image in each list: no object for each, as there may be
    millions. names: without the folder. sizes: bytes. changed: nanoseconds, 0 in archives.
    """

    names: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    changed: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.names)

    def add(self, name: str, size: int, changed: int) -> None:
        self.names.append(name)
        self.sizes.append(size)
        self.changed.append(changed)


@dataclass
class Tree:
    """The files of a folder or an archive. Paths are below its top, with `/`; the top itself is `""`.

    folders: all folders, each with the images that lie in it directly. tables, arrays: the paths of such
    files. read: the bytes of a table. find: (bytes, nanoseconds) of any file, or None. base: the folder
    itself, absolute; empty for archives. offsets: of an archive, the bytes before each image.
    """

    container: str
    folders: dict[str, Files]
    read: Callable[[str], bytes]
    find: Callable[[str], tuple[int, int] | None]
    base: str = ""
    tables: list[str] = field(default_factory=list)
    arrays: list[str] = field(default_factory=list)
    passed: PassedOver = field(default_factory=PassedOver)
    offsets: dict[str, int] | None = None


def joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
