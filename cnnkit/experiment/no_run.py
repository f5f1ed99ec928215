"""What a path is that was named as a run, and is none."""

import contextlib
import difflib
import os
import shlex
from pathlib import Path

from cnnkit.filenames import CONFIG, ONNX_SUFFIX, STUDY, TRIALS, WEIGHTS_SUFFIX


def what_is_no_run(path: Path) -> str:
    """What a path is that is no run directory, and what to do where a run is in it."""
    if not os.path.lexists(path):
        return "does not exist"
    if (path / STUDY).is_file():
        trial = min((found.parent for found in path.glob(f"{TRIALS}/*/{CONFIG}")), default=path / TRIALS)
        return (
            f"is a study; name one of its trials, such as {trial}, "
            f"or see all of it: cnnkit report {shlex.quote(str(path))}"
        )
    if path.is_dir():
        return f"is no run directory: it holds no {CONFIG}"
    return "is a file; name a run directory" if path.is_file() else "is neither a folder nor a file"


def did_you_mean(path: Path) -> str:
    with contextlib.suppress(OSError):
        near = [entry for entry in path.parent.iterdir() if entry.name != path.name]
        kinds = (WEIGHTS_SUFFIX, ONNX_SUFFIX)
        names = [entry.name for entry in near if (entry / CONFIG).is_file() or entry.suffix in kinds]
        if close := difflib.get_close_matches(path.name, names, n=1):
            return f"; did you mean {path.parent / close[0]}?"
    return ""
