"""What is drawn of an evaluation: the confusion matrix, and the mistakes beside it."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cnnkit.experiment.measure import Measured
from cnnkit.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RIGHT, INK = "#0072B2", "#24292f"
MISTAKES_SHOWN = 15


def draw_confusion(measured: Measured) -> Path:
    """Draws `confusion-<split>.svg` beside the weights: the matrix, and the most confident mistakes."""
    evaluation, images = measured.evaluation, measured.images
    names = images.info.class_names
    mistakes = most_confident_mistakes(
        images.images.cpu(), images.labels.cpu(), evaluation.predictions, evaluation.confidences, names
    )
    title = f"{evaluation.accuracy:.2%} of {evaluation.images:,} {measured.split} images right"
    path = measured.weights.source.parent / f"confusion-{measured.stem}.svg"
    _draw(evaluation.confusion, names, mistakes, title, path)
    return path


def _draw(
    confusion: Tensor, class_names: Sequence[str], mistakes: Sequence["Mistake"], title: str, path: Path
) -> None:
    """The confusion matrix, its mistakes in colour, beside the images that were missed most confidently.

    confusion: (classes, classes), rows the truth.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=14, color=INK)
    grid = figure.add_gridspec(1, 2, width_ratios=(1.25, 1))
    left, right = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])
    _draw_matrix(left.subplots(), confusion, class_names)
    if mistakes:
        right.suptitle("the most confident mistakes", fontsize=11, color=INK)
        cells = right.subplots(3, 5).flatten()
        for axes in cells:
            axes.axis("off")
        for axes, mistake in zip(cells, mistakes, strict=False):
            axes.imshow(mistake.image.numpy(), cmap="gray_r", vmin=0, vmax=255)
            axes.set_title(mistake.caption, fontsize=8, color=INK)
    save_svg(figure, path)


class Mistake:
    """An image (H, W) uint8 that was missed, and what it was taken for."""

    def __init__(self, image: Tensor, truth: str, taken_for: str, confidence: float) -> None:
        self.image = image
        self.caption = f"{truth}, taken\nfor {taken_for}, {confidence:.0%}"


def most_confident_mistakes(
    images: Tensor, labels: Tensor, predictions: Tensor, confidences: Tensor, class_names: Sequence[str]
) -> list[Mistake]:
    """Missed images of (N, C, H, W), the most confidently missed first."""
    missed = (predictions != labels).nonzero()[:, 0]
    ordered = missed[confidences[missed].argsort(descending=True, stable=True)][:MISTAKES_SHOWN]
    return [
        Mistake(
            images[i, 0], class_names[int(labels[i])], class_names[int(predictions[i])], float(confidences[i])
        )
        for i in ordered.tolist()
    ]


def _draw_matrix(axes: "Axes", confusion: Tensor, class_names: Sequence[str]) -> None:
    from matplotlib.patches import Rectangle

    classes = range(len(class_names))
    share = confusion.double() / confusion.sum(1, keepdim=True).clamp(min=1)
    errors = share.masked_fill(torch.eye(len(class_names), dtype=torch.bool), 0.0)
    strongest = max(float(errors.max()), 1e-9)
    axes.imshow(errors.numpy(), cmap="Oranges", vmin=0, vmax=strongest * 1.6)
    for row in classes:
        for column in classes:
            count = int(confusion[row, column])
            right = row == column
            if right:
                corner = (row - 0.5, row - 0.5)
                axes.add_patch(Rectangle(corner, 1, 1, color=RIGHT, alpha=0.85, linewidth=0))
            if count:
                color = "white" if right else INK
                axes.text(column, row, f"{count:,}", ha="center", va="center", fontsize=8, color=color)
    axes.set_xticks(classes, class_names, rotation=45 if max(map(len, class_names)) > 2 else 0)
    axes.set_yticks(classes, class_names)
    axes.set_xlabel("taken for")
    axes.set_ylabel("truth")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def save_svg(figure: "Figure", path: Path) -> None:
    """The same picture is the same file."""
    from matplotlib import rc_context

    buffer = BytesIO()
    with rc_context({"svg.hashsalt": "cnnkit"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None}, facecolor="white")
    write_atomically(path, buffer.getvalue())
