"""Files that are whole or not there: written aside, flushed to disk, renamed; checked when read."""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as safetensors_of
from safetensors.torch import save as safetensors_bytes
from torch import Tensor

from cnnkit.errors import DamagedFile, UsageError
from cnnkit.files import write_atomically
from cnnkit.kept import refuse_what_is_no_file

CHECKSUM = "checksum"


def fingerprint(tree: Any) -> str:
    """The SHA-256 of nested dicts and lists of tensors and plain values, whatever the dicts' order.

    An iterator counts as the list of its items, which are hashed one by one and never held together.
    """
    digest = hashlib.sha256()

    def add(node: Any) -> None:
        if isinstance(node, Mapping):
            digest.update(b"{")
            for key in sorted(node, key=repr):
                digest.update(repr(key).encode())
                add(node[key])
            digest.update(b"}")
        elif isinstance(node, list | tuple | Iterator):
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
    write_atomically(path, _sorted_header(safetensors_bytes(stored, {**metadata, CHECKSUM: checksum})))


def _sorted_header(raw: bytes) -> bytes:
    """The file with the keys of its header in order: the library writes metadata in a random one."""
    length = int.from_bytes(raw[:8], "little")
    header = json.dumps(json.loads(raw[8 : 8 + length]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # tensors begin at a multiple of 8
    return len(header).to_bytes(8, "little") + header + raw[8 + length :]


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(tensors, metadata) of a safetensors file. Raises DamagedFile where its bytes have changed."""
    refuse_what_is_no_file(path)
    try:
        with _named_in_utf8(path) as name, safe_open(name, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError) as error:
        if path.suffix == ".pt2":
            raise UsageError(f"{path} is a program for torch.export.load; cnnkit opens ONNX files") from error
        raise DamagedFile(f"{path} is damaged or no safetensors file: {error}") from error
    return _whole(path, tensors, metadata)


def parse_tensors(path: Path, raw: bytes) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The same of bytes that were read already. path: for the message."""
    try:
        tensors = safetensors_of(raw)
        length = int.from_bytes(raw[:8], "little")
        metadata = json.loads(raw[8 : 8 + length]).get("__metadata__", {})
    except (SafetensorError, ValueError, LookupError) as error:
        raise DamagedFile(f"{path} is damaged or no safetensors file: {error}") from error
    return _whole(path, tensors, metadata)


def _whole(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]
) -> tuple[dict[str, Tensor], dict[str, str]]:
    if metadata.pop(CHECKSUM, None) != fingerprint([tensors, metadata]):
        raise DamagedFile(f"{path} is damaged, or was not written by cnnkit: its checksum does not match")
    return tensors, metadata


@contextlib.contextmanager
def _named_in_utf8(path: Path) -> Iterator[str]:
    """A name that safetensors takes, also for a file whose own name is not UTF-8."""
    try:
        str(path).encode()
        yield str(path)
    except UnicodeEncodeError:
        with path.open("rb") as file:
            yield f"/dev/fd/{file.fileno()}"


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Writes nested tensors and plain values, with their checksum."""
    buffer = BytesIO()
    torch.save({CHECKSUM: fingerprint(state), "state": dict(state)}, buffer)
    write_atomically(path, buffer.getvalue())


def load_state(path: Path) -> dict[str, Any]:
    """What `save_state` wrote; never runs code from the file. Raises DamagedFile."""
    refuse_what_is_no_file(path)
    raw = path.read_bytes()
    try:
        content = torch.load(BytesIO(raw), map_location="cpu", weights_only=True)
        state = dict(content["state"])
        whole = content[CHECKSUM] == fingerprint(state)
    except Exception as error:  # a damaged archive fails in ways of its own
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DamagedFile(f"{path} is damaged: {first}") from error
    if not whole:
        raise DamagedFile(f"{path} is damaged: its checksum does not match its content")
    return state
