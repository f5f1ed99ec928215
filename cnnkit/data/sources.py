"""Finds the published files of a data set under the data root, or fetches them."""

import contextlib
import io
import os
import socket
import sys
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path

from cnnkit.config.images import DataConfig
from cnnkit.errors import DataError, UsageError
from cnnkit.events import Note, NoteListener
from cnnkit.families.datasets import DatasetInfo

DATA_VARIABLE = "CNNKIT_DATA"
NETWORK_PATIENCE = 20.0  # seconds without data before a fetch fails


def data_root(root: str | None) -> Path:
    """The configured folder, else `$CNNKIT_DATA`, else the user's cache folder."""
    chosen = root or os.environ.get(DATA_VARIABLE)
    return _without_tilde(chosen) if chosen else cache_folder()


def cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return _without_tilde(base or "~/.cache") / "cnnkit"


def _without_tilde(folder: str) -> Path:
    return Path(os.path.expanduser(folder))  # noqa: PTH111  Path.expanduser fails where there is no home


def source_files(info: DatasetInfo, root: Path, notify: NoteListener) -> dict[str, Path]:
    """The published files of a data set, fetched where they are missing; none for bundled data.

    Raises DataError where they are missing and cannot be fetched.
    """
    if not info.folder:
        return {}
    folder = root / info.folder
    if found := find_sources(info, folder):
        return found
    try:
        return _fetch_once(info, root, notify)
    except (OSError, RuntimeError, HTTPException) as error:
        for empty in (folder, root / _top(info)):
            with contextlib.suppress(OSError):
                empty.rmdir()
        raise DataError(
            f"{info.title} is not in {root} and could not be fetched: {_reason(error)}\n"
            f"On a machine with network run `cnnkit data {info.name} --root FOLDER` and bring the folder "
            f"{_top(info)} to {root}; or train on bundled images: --config digits"
        ) from error


def _top(info: DatasetInfo) -> str:
    """The outermost folder of a data set under the data root."""
    return Path(info.folder).parts[0]


def at_hand(config: DataConfig) -> bool:
    """Whether the images can be read without fetching them."""
    if config.own:
        return Path(config.root or "").exists()
    info, root = config.source, data_root(config.root)
    return not info.folder or bool(find_sources(info, root / info.folder))


def with_root(config: DataConfig, root: Path | None, notify: NoteListener) -> DataConfig:
    """The same, or with the root that is given: where the images of a kept configuration lie now.

    Raises DataError where a person's own images are not there, UsageError where a root cannot act.
    """
    if root is not None and not (config.own or config.source.folder):
        raise UsageError(f"the {config.source.title} come with a library; leave out --root")
    if root is not None:
        return config.model_copy(update={"root": str(_without_tilde(str(root)).absolute())})
    if config.own and not at_hand(config):
        raise DataError(f"{config.root} is not there; where its images lie elsewhere now, add --root PATH")
    return with_own_root(config, notify)


def with_own_root(config: DataConfig, notify: NoteListener) -> DataConfig:
    """A configuration that a kept file names, to read images by: nothing is made or fetched where it points.

    Where its `data.root` does not hold the images, the person's own folder of data sets takes its place.
    """
    if config.root is None or config.own or at_hand(config):
        return config
    own = data_root(None)
    notify(Note(f"{config.source.title} is not in {config.root}, as was configured: {own} is used instead"))
    return config.model_copy(update={"root": None})


def find_sources(info: DatasetInfo, folder: Path) -> dict[str, Path]:
    """The published files, unpacked or packed; empty where one is missing."""
    found = {}
    for part, file in info.files.items():
        for path in (folder / f"{file.name}.gz", folder / file.name):  # the packed file has a checksum
            if path.is_file():
                found[part] = path
                break
    return found if len(found) == len(info.files) else {}


def _fetch_once(info: DatasetInfo, root: Path, notify: NoteListener) -> dict[str, Path]:
    """Fetches under a lock: of several processes the first one fetches, and the others wait."""
    from filelock import FileLock

    root.mkdir(parents=True, exist_ok=True)
    cache_folder().mkdir(parents=True, exist_ok=True)
    with FileLock(cache_folder() / f"{_top(info)}.lock"):
        if not (found := find_sources(info, root / info.folder)):
            notify(Note(f"fetching {info.title} into {root}"))
            _fetch(info, root)
            found = find_sources(info, root / info.folder)
    return found


def _fetch(info: DatasetInfo, root: Path) -> None:
    """torchvision fetches, checks and unpacks. Its progress bar is shown only in a terminal."""
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(NETWORK_PATIENCE)
    try:
        with _quiet_unless_terminal():
            if info.downloads:
                _download(info, root)
            else:
                _by_torchvision(info, root)
    finally:
        socket.setdefaulttimeout(patience)


def _by_torchvision(info: DatasetInfo, root: Path) -> None:
    import torchvision.datasets

    dataset = getattr(torchvision.datasets, _top(info))
    options = {"split": info.torchvision_split} if info.torchvision_split else {}
    for train in (True, False):
        dataset(str(root), train=train, download=True, **options)


def _download(info: DatasetInfo, root: Path) -> None:
    """Single files go into the folder of the data set. An archive holds that folder; it is not kept."""
    from torchvision.datasets import utils

    for download in info.downloads:
        if download.url.endswith(".tar.gz"):
            utils.download_and_extract_archive(
                download.url, str(root), md5=download.md5, remove_finished=True
            )
        else:
            utils.download_url(download.url, str(root / info.folder), md5=download.md5)


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
