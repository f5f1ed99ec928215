"""Where the files of a data set lie, as their makers published them; fetched where they do not."""

import contextlib
import io
import os
import socket
import sys
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path

from cnnkit.errors import DataError
from cnnkit.events import Note, NoteListener
from cnnkit.families.datasets import DATASETS, DatasetInfo

DATA_VARIABLE = "CNNKIT_DATA"
NETWORK_PATIENCE = 20.0  # seconds without a byte before a fetch is given up
FILE_NAMES = {
    "train_images": ("train-images-idx3-ubyte", 3),
    "train_labels": ("train-labels-idx1-ubyte", 1),
    "test_images": ("t10k-images-idx3-ubyte", 3),
    "test_labels": ("t10k-labels-idx1-ubyte", 1),
}
QMNIST_FILE_NAMES = {
    "train_images": ("qmnist-train-images-idx3-ubyte", 3),
    "train_labels": ("qmnist-train-labels-idx2-int", 2),
    "test_images": ("qmnist-test-images-idx3-ubyte", 3),
    "test_labels": ("qmnist-test-labels-idx2-int", 2),
}


def data_root(root: str | None) -> Path:
    """The configured folder, else `$CNNKIT_DATA`, else the user's cache folder."""
    chosen = root or os.environ.get(DATA_VARIABLE)
    return _without_tilde(chosen) if chosen else cache_folder()


def cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return _without_tilde(base or "~/.cache") / "cnnkit"


def _without_tilde(folder: str) -> Path:
    return Path(os.path.expanduser(folder))  # noqa: PTH111  Path.expanduser fails where there is no home


def source_files(name: str, root: Path, notify: NoteListener) -> dict[str, Path]:
    """The four files of a data set under its root. Raises DataError where they are not to be had."""
    info = DATASETS[name]
    folder = root / info.torchvision_class / "raw"
    if not (found := find_sources(name, folder)):
        from filelock import FileLock

        try:
            root.mkdir(parents=True, exist_ok=True)
            cache_folder().mkdir(parents=True, exist_ok=True)
            with FileLock(cache_folder() / f"{name}.lock"):
                if not (found := find_sources(name, folder)):
                    notify(Note(f"fetching {info.title} into {root}"))
                    _fetch(info, root)
                    found = find_sources(name, folder)
        except (OSError, RuntimeError, HTTPException) as error:
            for empty in (folder, folder.parent):
                with contextlib.suppress(OSError):
                    empty.rmdir()
            raise DataError(
                f"{info.title} is not in {root} and could not be fetched: {_reason(error)}\n"
                f"On a machine with network run `cnnkit data {name} --root FOLDER` and bring the folder "
                f"{info.torchvision_class} to {root}; or train on bundled images: --config digits"
            ) from error
    return found


def file_names(name: str) -> dict[str, tuple[str, int]]:
    """(name, number of dimensions) of each of a data set's four files."""
    return QMNIST_FILE_NAMES if name == "qmnist" else FILE_NAMES


def find_sources(name: str, folder: Path) -> dict[str, Path]:
    """The four files, unpacked or packed; none where one is missing."""
    found = {}
    for part, (file_name, _) in file_names(name).items():
        for path in (folder / f"{file_name}.gz", folder / file_name):  # gzip carries a checksum
            if path.is_file():
                found[part] = path
                break
    return found if len(found) == len(FILE_NAMES) else {}


def _fetch(info: DatasetInfo, root: Path) -> None:
    """torchvision fetches, checks and unpacks; its progress bar is shown only to a person."""
    import torchvision.datasets

    dataset = getattr(torchvision.datasets, info.torchvision_class)
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(NETWORK_PATIENCE)
    try:
        with _quiet_unless_terminal():
            for train in (True, False):
                dataset(str(root), train=train, download=True)
    finally:
        socket.setdefaulttimeout(patience)


@contextlib.contextmanager
def _quiet_unless_terminal() -> Iterator[None]:
    if sys.stderr.isatty():
        yield
    else:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            yield


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip("<>") if lines else type(error).__name__
