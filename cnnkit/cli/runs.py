"""Which run a command line means."""

import contextlib
import mimetypes
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cnnkit.errors import ImageError, UsageError
from cnnkit.events import Note, NoteListener
from cnnkit.filenames import CONFIG, ONNX_SUFFIX, RUNS, STUDY, WEIGHTS_SUFFIX

if TYPE_CHECKING:
    from cnnkit.api.run import Run


def run_and_images(named: list[Path]) -> tuple[Path | None, list[Path]]:
    """The run that is named first, None if only images are named, and what is named as images.

    Raises UsageError where there is none.
    """
    first, *others = named
    run, images = (None, named) if _is_of_images(first) else (first, others)
    if not images:
        raise UsageError(f"name image files, folders or globs behind {first}: cnnkit predict [RUN] IMAGE...")
    return run, images


def _is_of_images(path: Path) -> bool:
    """Whether a path is meant as images: by its name, else by not beginning as weights do.

    A folder is meant so if it is no run and no study, and holds image files.
    """
    from cnnkit.data.named_files import image_files, is_glob

    if os.path.isdir(path):  # noqa: PTH112 - a name that is too long is no error here
        with contextlib.suppress(ImageError):
            return not any((path / name).exists() for name in (CONFIG, STUDY)) and bool(image_files(path))
        return False
    if is_glob(path):
        return True
    kind, _ = mimetypes.guess_type(path.name)
    if kind or path.suffix in (WEIGHTS_SUFFIX, ONNX_SUFFIX) or not path.is_file():
        return bool(kind and kind.startswith("image/"))
    with path.open("rb") as file:
        return file.read(9)[8:] != b"{"


def latest_named(notify: NoteListener) -> Path:
    """The latest run; a person is told which one that is."""
    from cnnkit.experiment.latest import latest_run

    run = latest_run()
    notify(Note(f"the latest run: {run}"))
    return run


@contextlib.contextmanager
def folder_of_latest() -> Iterator[None]:
    """Makes `runs/`, so that `latest` can name a run that begins now and lies elsewhere."""
    with contextlib.suppress(OSError):
        RUNS.mkdir(exist_ok=True)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            RUNS.rmdir()  # succeeds only if it is empty: no run has begun


def refuse_finished(run: "Run", device: str | None, root: Path | None, track: Sequence[str]) -> None:
    """Raises UsageError where options say how a run is to go on that has ended."""
    nothing = {
        "--device": device and f"nothing is left to do on {device}",
        "--root": root and "no image is read again",
        "--track": track and "no tracker is told of it now",
    }
    for option, why in nothing.items():
        if why and run.folder.finished:
            raise UsageError(f"{run.path} is finished: {why}; leave {option} out")
