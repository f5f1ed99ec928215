"""Files that are whole or not there: written aside, flushed to disk, renamed; checked when read."""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes
from torch import Tensor

from cnnkit.errors import DamagedFile

CHECKSUM = "checksum"
PART = ".part"  # ends the name of a file that is being written
UMASK = os.umask(0o077)  # it can only be read by setting it: once, before there are threads
os.umask(UMASK)


def write_atomically(path: Path, content: bytes | str) -> None:
    """A reader, or a crash at any moment, finds the old file or the new one, never a part."""
    raw = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=PART)
    aside = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        aside.chmod(0o666 & ~UMASK)
        aside.replace(path)
    except BaseException as error:
        if isinstance(error, OSError) and not error.filename:
            error.filename = str(path)  # a full disk does not say of which file
        with contextlib.suppress(OSError):
            aside.unlink()
        raise
    _flush_folder(path.parent)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_atomically(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def fingerprint(tree: Any) -> str:
    """The SHA-256 of nested dicts and lists of tensors and plain values, whatever the dicts' order."""
    digest = hashlib.sha256()

    def add(node: Any) -> None:
        if isinstance(node, Mapping):
            digest.update(b"{")
            for key in sorted(node, key=repr):
                digest.update(repr(key).encode())
                add(node[key])
            digest.update(b"}")
        elif isinstance(node, list | tuple):
            digest.update(b"[")
            for item in node:
                add(item)
            digest.update(b"]")
        elif isinstance(node, Tensor):
            digest.update(f"{node.dtype}{tuple(node.shape)}".encode())
            digest.update(node.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        else:
            digest.update(repr(node).encode() + b",")

    add(tree)
    return digest.hexdigest()


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Writes a safetensors file with a checksum of all it holds."""
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    checksum = fingerprint([stored, metadata])
    write_atomically(path, safetensors_bytes(stored, {**metadata, CHECKSUM: checksum}))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(tensors, metadata) of a safetensors file. Raises DamagedFile where its bytes have changed."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError) as error:
        raise DamagedFile(f"{path} is damaged or no safetensors file: {error}") from error
    if metadata.pop(CHECKSUM, None) != fingerprint([tensors, metadata]):
        raise DamagedFile(f"{path} is damaged, or was not written by cnnkit: its checksum does not match")
    return tensors, metadata


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Writes nested tensors and plain values, with their checksum."""
    buffer = BytesIO()
    torch.save({CHECKSUM: fingerprint(state), "state": dict(state)}, buffer)
    write_atomically(path, buffer.getvalue())


def load_state(path: Path) -> dict[str, Any]:
    """What `save_state` wrote; never runs code from the file. Raises DamagedFile."""
    raw = path.read_bytes()
    try:
        content = torch.load(BytesIO(raw), map_location="cpu", weights_only=True)
        state = content["state"]
        whole = content[CHECKSUM] == fingerprint(state)
    except Exception as error:  # a damaged archive fails in ways of its own
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DamagedFile(f"{path} is damaged: {first}") from error
    if not whole:
        raise DamagedFile(f"{path} is damaged: its checksum does not match its content")
    return state  # type: ignore[no-any-return]


def _flush_folder(folder: Path) -> None:
    """Makes the rename itself durable, where a folder can be flushed."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
