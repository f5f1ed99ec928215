"""Reads files that cnnkit kept as if a stranger had written them.

No link is followed out of a folder, sizes are limited, and JSON holds numbers that can be computed with.
What does not fit raises DamagedFile, in words.
"""

import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

from cnnkit.errors import DamagedFile
from cnnkit.records import Record

LARGEST = 64 << 20  # bytes; results.json of 1,000 seeds and 10 levels has 20 MB
LONGEST_INTEGER = 19  # digits, with a sign; seeds go up to 2**63
CHECKSUM = "checksum"
R = TypeVar("R", bound=Record)


def read_kept(path: Path, any_size: bool = False) -> bytes:
    """The bytes of a file. Raises FileNotFoundError, or DamagedFile where they are not to be had.

    any_size: as for weights; other files have at most `LARGEST` bytes.
    """
    try:
        refuse_what_is_no_file(path)
        if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(path.parent)):
            raise DamagedFile(f"{path} is a link that leads out of its folder: it is not followed")
        if path.stat().st_size > LARGEST and not any_size:
            raise DamagedFile(f"{path} is damaged: it has more than {LARGEST >> 20} MB")
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(f"{path} is missing") from error
    except OSError as error:
        raise DamagedFile(f"{path} cannot be read: {error.strerror}") from error


def refuse_what_is_no_file(path: Path) -> None:
    """Raises DamagedFile: a pipe would be waited for, for ever. A file that is missing is another matter."""
    if path.exists() and not path.is_file():
        raise DamagedFile(f"{path} is no file")


def is_plain(name: str) -> bool:
    """Whether a name that a file tells of is one of a file or folder beside it, and leads nowhere else."""
    return name not in ("", ".", "..") and name.isprintable() and not {"/", "\\"} & {*name}


def parse_json(raw: bytes) -> dict[str, object]:
    """The object that a text holds. Raises DamagedFile with the reason alone."""
    try:
        content = json.loads(
            raw.decode("utf-8"), parse_constant=_no_number, parse_float=_finite, parse_int=_integer
        )
    except RecursionError as error:
        raise DamagedFile("it is nested too deeply") from error
    except ValueError as error:
        raise DamagedFile(str(error)) from error
    if not isinstance(content, dict):
        raise DamagedFile("it holds no object")
    return content


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number that can be computed with")


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"the number {text[:40]} is too large")
    return number


def _integer(text: str) -> int:
    if len(text) > LONGEST_INTEGER + text.startswith("-"):
        raise ValueError(f"a whole number of {len(text)} digits is too large")
    return int(text)


def sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def sealed(content: Mapping[str, Any]) -> dict[str, object]:
    """The content, and the checksum of it as its last key."""
    return {**content, CHECKSUM: _checksum(content)}


def read_sealed(path: Path, kind: type[R]) -> R:
    """A record that was kept `sealed`. A file of 0.1.0 has no checksum: it is not checked.

    Raises FileNotFoundError, or DamagedFile where the checksum does not match or the content is no record.
    """
    raw = read_kept(path)
    try:
        content = parse_json(raw)
        checksum = content.pop(CHECKSUM, None)
        if checksum is None:
            _refuse_unknown(content, [key.name for key in dataclasses.fields(kind)])  # type: ignore[arg-type]
        elif checksum != _checksum(content):
            raise DamagedFile("its checksum does not match its content")
        return kind.from_dict(content)
    except DamagedFile as error:
        raise DamagedFile(f"{path} is damaged or was changed: {error}") from error


def _refuse_unknown(content: Mapping[str, Any], known: Collection[str]) -> None:
    """A damaged letter of `checksum` shows as a key that no older version wrote."""
    if strange := [key for key in content if key not in known]:
        raise DamagedFile(f"it has no {CHECKSUM}, and an unknown key {strange[0][:40]!r}")


def _checksum(content: Mapping[str, Any]) -> str:
    return sha256(json.dumps(content, sort_keys=True).encode())
