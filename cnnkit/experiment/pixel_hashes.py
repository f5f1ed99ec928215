"""Of a person's own images: the hashes of their pixels, kept with a run, so that others are noticed.

The fingerprint of a configuration holds names, sizes and classes alone: a file may be overwritten by another
of the same size.
"""

import contextlib
from pathlib import Path

from cnnkit.data.dataset import Splits
from cnnkit.errors import RunError
from cnnkit.experiment.run_dir import RunDir
from cnnkit.filenames import IMAGES
from cnnkit.files import write_json

VERBS = {"train": "trained", "validation": "validated", "test": "tested"}


def keep_hashes(run: Path, splits: Splits) -> None:
    """Writes them into a run directory; none of published data sets."""
    if splits.hashes:
        write_json(run / IMAGES, splits.hashes)


def refuse_other_pixels(run: RunDir, splits: Splits) -> None:
    """Raises RunError where a run that goes on began with images of other pixels."""
    changed = [split for split in VERBS if _changed(run, splits, split)]
    if changed:
        raise RunError(
            f"the images are no longer those that {run.path} began with: pixels of the {changed[0]} split "
            "have changed; bring the images of then, or train again into another folder"
        )


def other_pixels(weights: Path, splits: Splits, split: str) -> str:
    """Tells that images of a split are no longer those of the run of a weights file; empty if they are."""
    with contextlib.suppress(RunError):
        if _changed(RunDir(weights.parent), splits, split):
            was = f"this run was {VERBS[split]} on"
            return f"the images are no longer those that {was}: their pixels have changed"
    return ""


def _changed(run: RunDir, splits: Splits, split: str) -> bool:
    if not splits.hashes or not (run.path / IMAGES).is_file():
        return False
    kept: dict[str, str] = run.record(IMAGES, dict[str, str])
    return kept.get(split, splits.hashes[split]) != splits.hashes[split]
