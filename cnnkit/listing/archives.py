"""A .zip or .tar → the files in it, and where each lies. Nothing is unpacked.

Names that lead out of an archive, devices and links out are refused: such an archive was made to do harm, or
was damaged.
"""

import posixpath
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cnnkit.errors import SourceError
from cnnkit.listing.folders import HIDDEN, LINKS_LOST, keep_other
from cnnkit.listing.names import IMAGE_ENDINGS, MOST_IMAGES, ending, is_hidden, shown, whole
from cnnkit.listing.records import Files, PassedOver, Tree

LARGEST_MEMBER = 1 << 29  # bytes, unpacked: a photo has a hundredth of it
LONGEST_TARGET = 4_096  # bytes of a link
MOST_HOPS = 40  # from link to link
UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, LookupError, NotImplementedError, RuntimeError)
UNUSUAL = re.compile(r"^/|\\|//|:|\0|(^|/)\.\.?(/|$)")


@dataclass(frozen=True)
class Member:
    """size: bytes, unpacked. offset: bytes before it. link: the name that it stands for, if it is a link."""

    size: int
    offset: int
    link: str | None = None


def tree_of(root: Path, container: str) -> Tree:
    """container: `zip` or `tar`. Raises SourceError where the archive is damaged, locked, or leads out."""
    tree = Tree(container, {"": Files()}, read=lambda path: b"", find=lambda path: None)
    members: dict[str, Member] = {}
    try:
        for name, member in (_of_zip if container == "zip" else _of_tar)(root, tree):
            members[name] = member
            if len(members) > MOST_IMAGES:
                raise SourceError(f"{whole(root)} holds more than {MOST_IMAGES:,} files")
    except (OSError, SourceError):
        raise
    except Exception as error:  # each kind of damage raises an error of its own
        reason = shown(str(error)) or type(error).__name__
        raise SourceError(
            f"{whole(root)} cannot be read as a .{container} file: {reason}; copy or download it again"
        ) from error
    files = _without_links(members, tree.passed)
    for name, member in files.items():
        _keep(name, member, tree)
    tree.offsets = {name: member.offset for name, member in files.items()}
    tree.find = lambda path: (files[path].size, 0) if path in files else None
    tree.read = lambda path: read_member(root, container, files[path])
    return tree


def read_member(root: Path, container: str, member: Member) -> bytes:
    """The unpacked bytes of one member. Raises OSError where they cannot be read."""
    if container == "tar":
        return read_at(root, member.offset, member.size)
    try:
        with zipfile.ZipFile(root) as archive:
            info = next(info for info in archive.infolist() if info.header_offset == member.offset)
            return archive.read(info)
    except UNREADABLE as error:
        raise OSError(f"{error}; copy or download it again") from error


def read_at(root: Path, offset: int, size: int) -> bytes:
    with root.open("rb", buffering=0) as file:
        file.seek(offset)
        return file.read(size)


def _of_zip(root: Path, tree: Tree) -> Iterator[tuple[str, Member]]:
    name = whole(root)
    with zipfile.ZipFile(root) as archive:
        for info in archive.infolist():
            inside = _inside(_decoded(info), name)
            if info.is_dir():
                _keep_folder(inside, tree)
                continue
            if info.flag_bits & 1:
                raise SourceError(f"{name} is locked with a password; unpack it, and name the folder")
            if info.file_size > LARGEST_MEMBER and ending(inside) in IMAGE_ENDINGS:
                raise SourceError(_too_large(name, inside, info.file_size))
            mode, link = info.external_attr >> 16, None
            if stat.S_ISLNK(mode) and info.file_size <= LONGEST_TARGET:
                link = _target(inside, archive.read(info).decode("utf-8", "surrogateescape"), name)
            elif stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                raise SourceError(_refused(name, inside, "is neither a file nor a folder"))
            yield inside, Member(info.file_size, info.header_offset, link)


def _decoded(info: zipfile.ZipInfo) -> str:
    """A member's name. Some programs write UTF-8 and do not say so."""
    name = info.orig_filename
    if info.flag_bits & 0x800 or name.isascii():
        return name
    try:
        return name.encode("cp437").decode("utf-8")
    except UnicodeError:
        return name


def _of_tar(root: Path, tree: Tree) -> Iterator[tuple[str, Member]]:
    name = whole(root)
    with tarfile.open(root, "r:") as archive:
        for info in archive:
            inside = _inside(info.name, name)
            if info.isdir():
                _keep_folder(inside, tree)
            elif info.issym():
                yield inside, Member(0, 0, _target(inside, info.linkname, name))
            elif info.islnk():
                yield inside, Member(0, 0, _inside(info.linkname, name))
            elif not info.isreg() or info.issparse():
                raise SourceError(_refused(name, inside, "is neither a whole file nor a folder"))
            elif info.size > LARGEST_MEMBER and ending(inside) in IMAGE_ENDINGS:
                raise SourceError(_too_large(name, inside, info.size))
            else:
                yield inside, Member(info.size, info.offset_data)
            archive.members = []  # type: ignore[attr-defined]  # tarfile keeps every member otherwise
        end = read_at(root, archive.offset, tarfile.BLOCKSIZE)
    if end != bytes(tarfile.BLOCKSIZE):  # tarfile stops without an error where a header is cut or damaged
        raise SourceError(f"{name} is cut short or damaged: it has no end mark; copy or download it again")


def _inside(path: str, name: str) -> str:
    """A member's path with `/`, without `./`. Raises SourceError where it leads out of the archive."""
    if not UNUSUAL.search(path):
        return path.rstrip("/")
    clean = path.replace("\\", "/")
    if clean.startswith("/") or re.match("[A-Za-z]:", clean) or "\0" in clean or ".." in clean.split("/"):
        raise SourceError(_refused(name, path, "leads out of it"))
    clean = posixpath.normpath(clean)
    return "" if clean == "." else clean


def _target(path: str, link: str, name: str) -> str:
    """What a symbolic link in an archive stands for."""
    place = posixpath.normpath(posixpath.join(posixpath.dirname(path), link))
    if link.startswith("/") or place == ".." or place.startswith("../") or "\0" in link:
        raise SourceError(_refused(name, path, f"is a link out of it, to {shown(link)}"))
    return place


def _refused(name: str, path: str, words: str) -> str:
    return f"{name} is refused: {shown(path)} {words}; unpack it with care, and name the folder"


def _too_large(name: str, path: str, size: int) -> str:
    return f"{name}: {shown(path)} would be {size:,} bytes unpacked; an image has at most {LARGEST_MEMBER:,}"


def _without_links(members: dict[str, Member], passed: PassedOver) -> dict[str, Member]:
    """The files, with links replaced by what they stand for."""
    files = {}
    for name, member in members.items():
        found: Member | None = member
        for _ in range(MOST_HOPS):
            if found is None or found.link is None:
                break
            found = members.get(found.link)
        if found is None or found.link is not None:
            passed.note(LINKS_LOST, [name])
        else:
            files[name] = found
    return files


def _hidden(path: str) -> bool:
    return any(is_hidden(part) for part in path.split("/"))


def _keep_folder(path: str, tree: Tree) -> None:
    if not _hidden(path):
        tree.folders.setdefault(path, Files())


def _keep(path: str, member: Member, tree: Tree) -> None:
    folder, _, name = path.rpartition("/")
    if _hidden(path):
        tree.passed.note(HIDDEN, [path])
        return
    kind = ending(name)
    if kind not in IMAGE_ENDINGS:
        keep_other(kind, path, tree)
        return
    tree.folders.setdefault(folder, Files()).add(name, member.size, 0)
