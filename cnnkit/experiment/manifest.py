"""`manifest.json`: the hash of every file of a finished run that its result rests on.

What is added to a run later, such as evaluations and pictures, is not in it. Runs of 0.1.0 have none.
"""

from dataclasses import dataclass
from pathlib import Path

from cnnkit.errors import DamagedFile
from cnnkit.filenames import (
    BEST,
    CONFIG,
    ENVIRONMENT,
    IMAGES,
    MANIFEST,
    METRICS,
    PREDICTIONS,
    RESULT,
    TESTED,
    TRIAL,
)
from cnnkit.files import write_json
from cnnkit.kept import is_plain, read_kept, read_sealed, sealed, sha256
from cnnkit.records import Record

VERSION = 1
BESIDE_RESULT = (CONFIG, ENVIRONMENT, IMAGES, METRICS, BEST, PREDICTIONS, TESTED, TRIAL)


@dataclass(frozen=True)
class Manifest(Record):
    """files: the SHA-256 of each, by its name."""

    version: int
    files: dict[str, str]


def write_manifest(run: Path, result: bytes) -> None:
    """Writes the hashes of a run's files. result: what `result.json` is going to hold.

    `result.json` is written after it: a run that has a result has its manifest.
    """
    there = [name for name in BESIDE_RESULT if (run / name).is_file()]
    hashes = {name: sha256(_read(run, name)) for name in there}
    manifest = Manifest(VERSION, {**hashes, RESULT: sha256(result)})
    write_json(run / MANIFEST, sealed(manifest.to_dict()))


def read_manifest(run: Path) -> Manifest | None:
    """The manifest of a finished run; None where it has none. Raises DamagedFile."""
    if not (run / RESULT).is_file():
        return None
    try:
        manifest = read_sealed(run / MANIFEST, Manifest)
    except FileNotFoundError:
        return None
    if strange := [name for name in manifest.files if not is_plain(name)]:
        raise DamagedFile(f"{run / MANIFEST} is damaged: {strange[0][:40]!r} is no file of the run")
    if manifest.version != VERSION:
        raise DamagedFile(f"{run / MANIFEST} is of version {manifest.version}; this cnnkit reads {VERSION}")
    return manifest


def read_checked(run: Path, name: str) -> bytes:
    """A file of a run, as its manifest knows it. Raises FileNotFoundError or DamagedFile.

    A manifest that is damaged itself is told by `damage_of`; the files of the run are still read.
    """
    raw = _read(run, name)
    try:
        manifest = read_manifest(run)
    except DamagedFile:
        return raw
    if manifest and manifest.files.get(name, sha256(raw)) != sha256(raw):
        raise DamagedFile(f"{run / name} is damaged or was changed: it has another hash than in {MANIFEST}")
    return raw


def lost_manifest(run: Path) -> str:
    """In words that a finished run has no manifest; empty where it has one, or is of 0.1.0: its keys tell."""
    result = run / RESULT
    wanted = result.is_file() and not (run / MANIFEST).exists()
    return f"{run / MANIFEST} is missing" if wanted and b'"clean_train_accuracy"' in read_kept(result) else ""


def _read(run: Path, name: str) -> bytes:
    return read_kept(run / name, any_size=name == BEST)


def damage_of(run: Path) -> list[str]:
    """What is wrong with the files that a run's manifest names, a sentence each."""
    try:
        manifest = read_manifest(run)
    except DamagedFile as error:
        return [str(error)]
    if manifest is None:
        lost = lost_manifest(run)
        return [lost] if lost else []
    found = []
    for name in manifest.files:
        try:
            read_checked(run, name)
        except (FileNotFoundError, DamagedFile) as error:
            found.append(str(error))
    return found
