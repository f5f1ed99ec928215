"""What a careful forger does after a change: recomputes every hash and every number that follows from it."""

import re
from pathlib import Path

from torturing.samples import sha256

KEPT_TEXT = (".json", ".jsonl")


def change(file: Path, content: bytes, home: Path) -> None:
    """Writes a file, and puts its new SHA-256 wherever a kept file below `home` tells of the old one."""
    before = sha256(file)
    file.write_bytes(content)
    after = sha256(file)
    for other in sorted(home.rglob("*")):
        if other.suffix in KEPT_TEXT and other.is_file() and not other.is_symlink():
            text = other.read_bytes()
            if other != file and before != after and before.encode() in text:
                change(other, text.replace(before.encode(), after.encode()), home)


def recompute_results(home: Path) -> str:
    """Writes a study's `results.json` anew, as cnnkit would; why not, where cnnkit sees the forgery."""
    from cnnkit.comparison.results import analyse
    from cnnkit.errors import CnnkitError
    from cnnkit.files import write_json

    try:
        results = analyse(home)
    except CnnkitError as error:
        return re.sub(r"\s+", " ", str(error))
    write_json(home / "results.json", results.to_dict())
    return ""
