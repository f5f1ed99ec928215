"""The learning curves of one run: panels for its report, and a picture beside its other files."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from cnnkit.errors import RunError
from cnnkit.events import EpochRecord
from cnnkit.experiment.run_dir import RunDir
from cnnkit.filenames import CURVES, METRICS
from cnnkit.files import write_atomically
from cnnkit.report.axes import Panel
from cnnkit.report.plots import curve_of, curve_panel
from cnnkit.report.template import render

SPLITS = {"train": "training", "val": "validation"}
HOW_MEASURED = {
    "clean_train": "Training figures are measured as validation is, after each epoch and without dropout and "
    "augmentation, on training images that the seed chose: where they are ahead, the network fits those "
    "images better than new ones.",
    "train": "Training figures are measured while the weights move, with dropout and augmentation where "
    "there are any, so they cannot be compared with those of validation.",
}


def draw_curves(run: RunDir) -> Path:
    """Draws `curves.svg` into a run directory from the epochs that it has kept; returns its path.

    The same files give the same bytes. Raises RunError where the epochs are damaged or missing.
    """
    history = run.metrics()
    if not history:
        raise RunError(f"{run.path / METRICS} holds no epoch, so there are no curves to draw")
    kept = run.result.best_epoch if run.finished else None
    view = {"panels": curve_panels(history, kept), "series": drawn_splits(history), "kept": kept}
    write_atomically(run.path / CURVES, render("curves.svg.j2", view))
    return run.path / CURVES


def drawn_splits(history: Sequence[EpochRecord]) -> list[tuple[int, str]]:
    """(series, name) of the splits that the epochs were measured on: validation images may be none."""
    held_out = bool(history) and history[0].val_loss is not None
    return [(i, name) for i, name in enumerate(SPLITS.values()) if i == 0 or held_out]


def training_fields(histories: Iterable[Sequence[EpochRecord]]) -> str:
    """What the names of the training figures that are drawn begin with: those measured without dropout.

    Only where an epoch has none, kept by cnnkit 0.1.0, the figures from while the weights moved.
    """
    clean = all(record.clean_train_loss is not None for history in histories for record in history)
    return "clean_train" if clean else "train"


def curve_panels(history: Sequence[EpochRecord], kept: int | None) -> list[Panel]:
    """Accuracy and loss over the epochs, the kept epoch marked; none of no epoch."""
    if not history:
        return []
    return [
        _panel(history, "accuracy", "accuracy, %", 100.0, kept),
        _panel(history, "loss", "loss, cross-entropy in nats", 1.0, kept),
    ]


def _panel(history: Sequence[EpochRecord], name: str, title: str, scale: float, kept: int | None) -> Panel:
    curves = []
    fields = (training_fields([history]), "val")
    for i, (field, words) in enumerate(zip(fields, SPLITS.values(), strict=True)):
        values = [getattr(record, f"{field}_{name}") for record in history]
        if values[0] is not None:
            curves.append(curve_of(i, words, [[value * scale for value in values]]))
    return curve_panel(title, curves, log=name == "loss", kept=kept)
