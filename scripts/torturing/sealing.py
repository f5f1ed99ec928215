"""What a careful forger does after a change: recomputes every hash and every number that follows from it."""

import hashlib
import json
from pathlib import Path
from typing import Any

from torturing.samples import sha256

KEPT_TEXT = (".json", ".jsonl")
OWN = "checksum"  # the key under which a JSON file may hold the hash of its other keys


def change(file: Path, content: bytes, home: Path) -> None:
    """Writes a file, and puts its new SHA-256 wherever a kept file below `home` tells of the old one."""
    before = sha256(file)
    file.write_bytes(_with_own_checksum(file.read_bytes(), content) if file.suffix == ".json" else content)
    after = sha256(file)
    for other in sorted(home.rglob("*")):
        if other.suffix in KEPT_TEXT and other.is_file() and not other.is_symlink():
            text = other.read_bytes()
            if other != file and before != after and before.encode() in text:
                change(other, text.replace(before.encode(), after.encode()), home)


def as_json(content: Any) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def recompute_results(home: Path) -> bool:
    """Writes a study's `results.json` anew, as cnnkit would; False where cnnkit sees the forgery then."""
    from cnnkit.comparison.results import analyse
    from cnnkit.errors import CnnkitError

    try:
        change(home / "results.json", as_json(analyse(home).to_dict()), home)
    except CnnkitError:
        return False
    return True


def _with_own_checksum(before: bytes, content: bytes) -> bytes:
    """The new content, with the checksum of it where the old one had its own."""
    old, new = json.loads(before), json.loads(content)
    if not isinstance(old, dict) or old.pop(OWN, None) != _checksum(old):
        return content
    new.pop(OWN, None)
    return as_json({**new, OWN: _checksum(new)})


def _checksum(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
