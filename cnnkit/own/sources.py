"""The texts of own classes: found, known by their hash, kept in a run. Nothing here runs them."""

import hashlib
import importlib.util
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.machinery import ModuleSpec
from pathlib import Path

from cnnkit.errors import DamagedFile, OwnCodeError
from cnnkit.filenames import CONFIG, OWN, TRIALS
from cnnkit.files import write_atomically
from cnnkit.own.names import DIGITS, Reference, reference

LARGEST = 1 << 20  # bytes of a file
LARGEST_HEADER = 64 << 20  # bytes, of a weights file
GROUPS = {"pooling": "cnnkit.poolings", "head": "cnnkit.heads", "activation": "cnnkit.activations"}


@dataclass(frozen=True)
class Source:
    """The bytes of a file of code. origin: where it lies, in words. note: what a person is to be told."""

    raw: bytes
    origin: str
    note: str = ""

    @property
    def text(self) -> str:
        """Raises OwnCodeError where it is no text."""
        try:
            return importlib.util.decode_source(self.raw)
        except (SyntaxError, UnicodeDecodeError, LookupError, ValueError) as error:
            raise OwnCodeError(f"{self.origin} is not text that Python can read: {error}") from error

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.raw).hexdigest()[:DIGITS]


_known: dict[str, Source] = {}  # by hash


def source_of(named: Reference) -> Source:
    """The text that a reference with a hash means. Raises OwnCodeError where it is not to be had."""
    if named.hash not in _known:
        try:
            found = _read(named)
        except OwnCodeError as error:
            raise OwnCodeError(
                f"the kept copy of {named.shown} is not whole or not there, and {error}"
            ) from error
        if found.hash != named.hash:
            raise OwnCodeError(
                f"{found.origin} has changed: {named.shown} was another file when this was kept, and no "
                "whole copy of that is at hand"
            )
        _known[named.hash] = found
    return _known[named.hash]


def found(named: Reference) -> Reference:
    """The reference with the hash of what it names now. Raises OwnCodeError where it names nothing."""
    if named.hash:
        source_of(named)
        return named
    source = _read(named)
    _known[source.hash] = source
    return replace(named, hash=source.hash)


def installed(family: str, name: str) -> Reference | None:
    """The class that an installed package calls by a name; None where none does. Imports no package."""
    from importlib.metadata import entry_points  # which takes 20 ms to load

    for entry in entry_points(group=GROUPS[family], name=name):
        named = reference(entry.value.replace(" ", ""))
        if named is not None:
            return Reference(named.place, named.name, alias=name)
    return None


def installed_names(family: str) -> list[str]:
    from importlib.metadata import entry_points

    return sorted({entry.name for entry in entry_points(group=GROUPS[family])})


def changes_of(named: Reference) -> Iterator[str]:
    """How the file of today differs from the one that is named, and a damaged copy, in words."""
    if named.hash in _known and (note := _known[named.hash].note):
        yield note
    try:
        now = _read(Reference(named.place, named.name))
    except OwnCodeError:
        return
    if now.hash != named.hash:
        yield f"{now.origin} has changed since {named.shown} was trained: the kept copy is used"


def _read(named: Reference) -> Source:
    path = Path(named.place) if named.is_file else _file_of_module(named.place)
    return _read_file(path, str(path))


def _read_file(path: Path, origin: str) -> Source:
    from cnnkit.kept import refuse_what_is_no_file  # which loads pydantic, and `--help` comes by here

    try:
        refuse_what_is_no_file(path)
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except FileNotFoundError as error:
        here = "" if path.is_absolute() else f" in {Path.cwd()}"
        raise OwnCodeError(f"there is no file {path}{here}") from error
    except DamagedFile as error:
        raise OwnCodeError(str(error)) from error
    except (OSError, ValueError) as error:
        raise OwnCodeError(f"{path} cannot be read: {getattr(error, 'strerror', error)}") from error
    if len(raw) > LARGEST:
        raise OwnCodeError(f"{path} has more than {LARGEST >> 20} MB: that is no file of code")
    return Source(raw, origin)


def _file_of_module(module: str) -> Path:
    """Where a module's source lies, without importing it or the packages above it."""
    if not all(part.isidentifier() for part in module.split(".")) or Path(module).is_file():
        file = Path(f"{module}.py")
        written = "write my_pool.py:Name or package.module:Name"
        remedy = f"name the file: {file}" if file.is_file() else written
        raise OwnCodeError(f"{module} is neither a file that ends in .py nor a module; {remedy}")
    places: Iterable[str] | None = None
    spec: ModuleSpec | None = None
    parts = module.split(".")
    for depth in range(len(parts)):
        spec = _spec(".".join(parts[: depth + 1]), places)
        if spec is None:
            break
        places = spec.submodule_search_locations or ()
    if spec is None:
        local = Path(*parts).with_suffix(".py")
        remedy = f"name the file: {local}" if local.is_file() else "install its package, or name a file.py"
        raise OwnCodeError(f"Python finds no module {module}; {remedy}")
    if not spec.origin or not spec.origin.endswith(".py"):
        raise OwnCodeError(f"the module {module} has no source that can be read")
    return Path(spec.origin)


def _spec(name: str, places: Iterable[str] | None) -> ModuleSpec | None:
    for finder in sys.meta_path:
        if spec := finder.find_spec(name, None if places is None else [*places]):
            return spec
    return None


# What a run keeps ---------------------------------------------------------------------------------------


def keep(references: Iterable[Reference], folder: Path) -> None:
    """Writes a copy of each file into `own/` of a run or a study, if it is not there yet."""
    for named in references:
        source = source_of(named)
        name = Path(named.place).name if named.is_file else f"{named.place}.py"
        path = folder / OWN / name
        if path.exists() and path.read_bytes() != source.raw:
            path = path.with_name(f"{path.stem}-{source.hash[:8]}.py")
        if not path.exists():
            write_atomically(path, source.raw)


def learn(folder: Path, note: str = "") -> None:
    """Reads the copies that a run or a study keeps; they are known from now on, and not run.

    note: what a person is to be told of those that were not known before.
    """
    from cnnkit.kept import read_kept

    for path in sorted((folder / OWN).glob("*.py")):
        try:
            raw = read_kept(path)
        except (FileNotFoundError, DamagedFile):
            continue  # what is missing is told where it is needed
        if len(raw) <= LARGEST:
            know(Source(raw, str(path), note))


def learn_from_trials(folder: Path, told: str) -> None:
    """Reads the copies of a study's trials where the study's own one is damaged or missing.

    told: a text that holds the names of own classes with their hashes.
    """
    if {*re.findall(rf"@([0-9a-f]{{{DIGITS}}})\b", told)} <= {*_known}:
        return
    for trial in sorted((folder / TRIALS).glob(f"*/{OWN}")):
        learn(trial.parent, f"a copy in {folder / OWN} is damaged or missing: that in {trial} is used")


def learn_from_weights(file: Path) -> None:
    """Reads the texts that a safetensors file holds; what is no such file holds none."""
    try:
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            header = json.loads(opened.read(length)) if length <= LARGEST_HEADER else {}
        unpack(json.loads(header["__metadata__"][OWN]), file)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return  # what is missing is told where it is needed


def know(source: Source) -> None:
    _known.setdefault(source.hash, source)


def packed(references: Iterable[Reference]) -> dict[str, str]:
    """The texts by the names of their files, for a file that is to be whole alone."""
    return {named.place: source_of(named).raw.decode("utf-8", "surrogateescape") for named in references}


def unpack(texts: Mapping[str, object], file: Path) -> None:
    """Reads what `packed` gave, which a weights file holds: known from now on, and not run.

    What a run's own copy is known by already stays; a copy there that is damaged or missing is told of.
    Raises UnicodeError where they are no such texts.
    """
    copies = file.parent / OWN
    for place, text in texts.items():
        told = f"the copy of {place} in {copies} is damaged or missing: the text that {file} holds is used"
        note = told if (file.parent / CONFIG).is_file() else ""
        raw = str(text).encode("utf-8", "surrogateescape")
        know(Source(raw, f"{place}, whose text {file} holds", note))


# Which code a person lets run ---------------------------------------------------------------------------

_trusted: set[str] = set()


def trust(references: Iterable[Reference]) -> None:
    """Lets the code of references with a hash run in this process."""
    _trusted.update(named.hash for named in references)


def handed_over(references: Iterable[Reference]) -> tuple[Source, ...]:
    """The texts that may run in this process, for another one of the same person's."""
    return tuple(source_of(named) for named in references if is_trusted(named))


def receive(code: Iterable[Source]) -> None:
    """What `handed_over` gave: it may run here, too."""
    for source in code:
        know(source)
        _trusted.add(source.hash)


def is_trusted(named: Reference) -> bool:
    return named.hash in _trusted


def references_in(value: object) -> Iterator[Reference]:
    """Every own class that a value of a configuration names, however deep."""
    if isinstance(value, Mapping):
        for each in value.values():
            yield from references_in(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from references_in(each)
    elif named := reference(value):
        yield named
