"""Names of files, classes and splits: which are images, how they are ordered, how they are shown."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from cnnkit.words import listed, visible

TRAIN, VALIDATION, TEST = 0, 1, 2
SPLITS = ("train", "validation", "test")

IMAGE_ENDINGS = frozenset({"jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "gif", "tif", "tiff"})
LITTER = frozenset(
    {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir"}
    | {"$recycle.bin", "system volume information", "lost+found"}
)
MOST_IMAGES = 10_000_000
LONGEST, LONGEST_PATH = 100, 4_096  # characters of a name, and of a source, that is shown

NUMBER = re.compile("[0-9]+")

_SPLIT_STEMS = {"train": TRAIN, "training": TRAIN, "val": VALIDATION, "valid": VALIDATION}
_SPLIT_STEMS |= {"validation": VALIDATION, "dev": VALIDATION, "test": TEST, "testing": TEST}
SPLIT_NAMES = _SPLIT_STEMS | {f"{name}set": split for name, split in _SPLIT_STEMS.items()}
"""Any case; spaces, hyphens and underscores are passed over."""


def split_of(name: str) -> int | None:
    """TRAIN, VALIDATION or TEST of `train`, `Valid`, `test_set` …; None of any other name."""
    return SPLIT_NAMES.get(re.sub("[-_ ]", "", name.strip().casefold()))


def ending(name: str) -> str:
    """`jpg` of `a/b.JPG`; empty where there is none."""
    return name.rpartition(".")[2].lower() if "." in name else ""


def is_hidden(name: str) -> bool:
    """Of one part of a path: begins with a dot, or is what a system leaves beside files."""
    return name.startswith(".") or name.lower() in LITTER


def nfc(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def natural(name: str) -> str:
    """A key for sorting: `2.jpg` before `10.jpg`, and the same for either Unicode form of a name."""
    return NUMBER.sub(_number_key, nfc(name))


def _number_key(found: re.Match[str]) -> str:
    digits = found[0].lstrip("0")
    return f"{min(len(digits), 999):03}{digits}"


def shown(name: str, most: int = LONGEST) -> str:
    """A name as a terminal may print it: escapes are spelled out, and long names cut. most: characters."""
    text = visible(name.encode("utf-8", "backslashreplace").decode())
    text = text.replace("\n", "\\n").replace("\t", "\\t")
    return text if len(text) <= most else f"{text[: most - 1]}…"


def whole(place: Path | str) -> str:
    """A source, or a folder in it, as words call it."""
    return shown(str(place), LONGEST_PATH)


def some(names: Iterable[str], most: int = 3) -> str:
    """`a, b and 7 more`."""
    names = list(names)
    first = [shown(name) for name in names[:most]]
    return listed([*first, f"{len(names) - most:,} more"] if len(names) > most else first)


def are_all_numbers(names: Sequence[str]) -> bool:
    return all(re.fullmatch("-?[0-9]{1,18}", name) for name in names)
