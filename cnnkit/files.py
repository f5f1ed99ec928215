"""Files that are whole or not there: written aside, flushed to disk, renamed; checked when read."""

import contextlib
import json
import math
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

UNKNOWN_BYTES = "backslashreplace"  # how a name that is not UTF-8 is written
PART = ".part"  # ends the name of a file that is being written


def write_atomically(path: Path, content: bytes | str) -> None:
    """A reader, or a crash at any moment, finds the old file or the new one, never a part."""
    with written_aside(path) as file:
        file.write(content.encode("utf-8", UNKNOWN_BYTES) if isinstance(content, str) else content)


@contextlib.contextmanager
def written_aside(path: Path) -> Iterator[BinaryIO]:
    """A file to write into; it takes its place when the block has ended without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.parent / f".{path.name}.{secrets.token_hex(8)}{PART}"
    try:
        with aside.open("xb") as file:
            yield file
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
        _remove(part)


def copy_folder(source: Path, target: Path, aside: Path, without: Sequence[str] = ()) -> None:
    """Copies a folder in place of what is there; after a crash there is the old one, the new one, or none.

    aside: the folder of parts, on the same disk as `target`. without: patterns of names that are not copied;
    nor are links, which may lead anywhere, and pipes.
    """
    named = shutil.ignore_patterns(*without)

    def left_out(folder: str, names: list[str]) -> set[str]:
        paths = {name: Path(folder, name) for name in names}
        odd = {
            name for name, path in paths.items() if path.is_symlink() or not (path.is_file() or path.is_dir())
        }
        return odd | named(folder, names)

    new, old = (aside / f".{target.name}.{secrets.token_hex(8)}{PART}" for _ in range(2))
    try:
        shutil.copytree(source, new, ignore=left_out)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            target.rename(old)
        new.rename(target)
        _flush_folder(target.parent)
    finally:
        for part in (new, old):
            _remove(part)


def _remove(part: Path) -> None:
    if part.is_dir() and not part.is_symlink():
        shutil.rmtree(part, ignore_errors=True)
    else:
        part.unlink(missing_ok=True)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_atomically(path, json_text(content) + "\n")


def json_text(content: Any, indent: int | None = 2) -> str:
    """JSON that every reader takes: a number that is not finite becomes null."""
    text = json.dumps(_finite(content), indent=indent, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", UNKNOWN_BYTES).decode()


def _finite(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {key: _finite(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_finite(value) for value in node]
    return None if isinstance(node, float) and not math.isfinite(node) else node


def _flush_folder(folder: Path) -> None:
    """Makes the rename itself durable, where a folder can be flushed."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
