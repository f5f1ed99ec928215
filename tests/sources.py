"""Sources of images that tests make: files, archives, and what is said of them."""

import io
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from cnnkit.errors import SourceError
from cnnkit.listing import (
    Listing,
    list_images,
)

PETS = ("cat/2.jpg", "cat/10.JPG", "dog/1.png", "dog/more/3.webp", "emu/a.tiff", "emu/b.bmp")
needs_links = pytest.mark.skipif(not hasattr(os, "symlink") or os.name == "nt", reason="no symbolic links")


def made(root: Path, *paths: str) -> Path:
    """Files that hold their own names."""
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(path, encoding="utf-8")
    return root


def for_shipped(name: str, folder: Path) -> list[str]:
    """The overrides without which a shipped configuration cannot be read: `photos` waits for its folder."""
    if name != "photos":
        return []
    return [f"data.root={made(folder, *(f'{label}/{i}.png' for label in 'ab' for i in range(20)))}"]


def refusal(root: Path, **options: Any) -> str:
    with pytest.raises(SourceError) as refused:
        list_images(root, **options)
    return str(refused.value)


def of(listing: Listing, split: int) -> list[str]:
    return [path for path, found in zip(listing.paths, listing.splits, strict=True) if found == split]


def zipped(file: Path, *paths: str, text: dict[str, str] | None = None) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in {**dict(zip(paths, paths, strict=True)), **(text or {})}.items():
            archive.writestr(path, content)
    return file


def tarred(file: Path, *members: str | tarfile.TarInfo) -> Path:
    with tarfile.open(file, "w") as archive:
        for member in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            content = info.name.encode() if isinstance(member, str) else b""
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info
