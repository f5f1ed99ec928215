"""Files that are whole or not there: written aside, flushed to disk, renamed; checked when read."""

import contextlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PART = ".part"  # ends the name of a file that is being written


def write_atomically(path: Path, content: bytes | str) -> None:
    """A reader, or a crash at any moment, finds the old file or the new one, never a part."""
    raw = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.parent / f".{path.name}.{secrets.token_hex(8)}{PART}"
    try:
        with aside.open("xb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException as error:
        if isinstance(error, OSError) and not error.filename:
            error.filename = str(path)  # a full disk does not say of which file
        with contextlib.suppress(OSError):
            aside.unlink()
        raise
    _flush_folder(path.parent)


def remove_parts(folder: Path) -> None:
    """Removes parts of files that a killed process was writing. Call it only where no process writes."""
    for part in folder.glob(f".*{PART}"):
        part.unlink(missing_ok=True)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_atomically(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _flush_folder(folder: Path) -> None:
    """Makes the rename itself durable, where a folder can be flushed."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
