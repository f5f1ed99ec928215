"""The learning curves of one run: panels for its report, and a picture beside its other files."""

from collections.abc import Sequence
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
    for i, (split, words) in enumerate(SPLITS.items()):
        values = [getattr(record, f"{split}_{name}") for record in history]
        if values[0] is not None:
            curves.append(curve_of(i, words, [[value * scale for value in values]]))
    return curve_panel(title, curves, log=name == "loss", kept=kept)
