"""What a person sees: results, tables, errors."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cnnkit.api.progress import PIPE_WIDTH, err
from cnnkit.errors import CnnkitError
from cnnkit.stats import wilson_interval

if TYPE_CHECKING:
    from cnnkit.config.costs import LayerCost
    from cnnkit.experiment.run_dir import RunResult

out = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)


def print_result(result: "RunResult") -> None:
    """What training ended with."""
    low, high = wilson_interval(result.test_correct, result.test_images)
    validation = ""
    if result.val_accuracy is not None:
        validation = f", {result.val_accuracy:.2%} on {result.val_images:,} validation images"
    rows = {
        "test accuracy": f"{result.test_accuracy:.2%} (95 % interval {low:.2%} to {high:.2%})",
        "test loss": f"{result.test_loss:.4f}",
        "best epoch": f"{result.best_epoch} of {result.epochs}{validation}",
        "training": f"{result.train_seconds:.1f} s on {result.device}, {result.precision}",
        "kept in": result.run,
    }
    _print_pairs(rows)


def _print_pairs(rows: Mapping[str, str]) -> None:
    width = max(map(len, rows))
    for name, value in rows.items():
        style = "bold" if name.endswith("accuracy") else ""
        out.print(Text(f"{name:<{width}}  ").append(value, style), soft_wrap=True)


def print_evaluation(measured: Mapping[str, Any], title: str) -> None:
    low, high = measured["accuracy_interval"]
    _print_pairs(
        {
            "measured": title,
            "accuracy": f"{measured['accuracy']:.2%} (95 % interval {low:.2%} to {high:.2%}), "
            f"{measured['correct']:,} of {measured['images']:,}",
            "loss": f"{measured['loss']:.4f}",
            "calibration error": f"{measured['calibration_error']:.2%}",
        }
    )
    out.print()
    table = make_table("class", "images", "precision", "recall", "F1")
    for name, row in measured["classes"].items():
        scores = (f"{row[score]:.2%}" for score in ("precision", "recall", "f1"))
        table.add_row(name, f"{row['images']:,}", *scores)
    print_table(table)
    print_confusion(measured["confusion"], list(measured["classes"]))


def print_confusion(confusion: Sequence[Sequence[int]], names: Sequence[str]) -> None:
    """Rows the truth, columns what it was taken for; · where there is no image."""
    table = make_table("truth ↓ taken for →", *(name[:6] for name in names))
    for i, (name, row) in enumerate(zip(names, confusion, strict=True)):
        cells = [
            Text(f"{n:,}" if n else "·", "bold green" if i == j else "yellow" if n else "dim")
            for j, n in enumerate(row)
        ]
        table.add_row(name, *cells)
    out.print()
    print_table(table)


def print_summary(rows: Sequence["LayerCost"], title: str) -> None:
    out.print(title, style="bold")
    table = make_table("layer", "kind", "output shape", "parameters", "MACs")
    for row in rows:
        shape = " × ".join(map(str, row.output_shape))
        table.add_row(row.name, row.kind, shape, _count(row.parameters), _count(row.macs))
    table.add_section()
    totals = (sum(row.parameters for row in rows), sum(row.macs for row in rows))
    table.add_row("total", "", "", *(f"{total:,}" for total in totals))
    print_table(table)


def print_prediction(path: str, top: Sequence[tuple[str, float]]) -> None:
    """top: classes with their probabilities, the likeliest first."""
    (best, probability), *others = top
    rest = ", ".join(f"{name} {share:.1%}" for name, share in others)
    out.print(
        Text(path),
        Text(f" {best} "),
        Text(f"{probability:.1%}", "bold"),
        soft_wrap=True,
        end="",
    )
    out.print(Text(f"  ({rest})" if rest else "", "dim"), soft_wrap=True)


def print_error(error: CnnkitError) -> None:
    err.print(Text("error: ", "bold red") + Text(str(error), "default"), soft_wrap=True)


def print_warning(text: str) -> None:
    err.print(Text("warning: ", "bold yellow") + Text(text, "default"), soft_wrap=True)


def _count(number: int) -> str:
    return f"{number:,}" if number else "·"


def print_table(table: Table) -> None:
    """Prints a table at its full width, even on a narrow terminal: a number that is cut misleads."""
    width, out.width = out.width, max(out.width, PIPE_WIDTH)
    out.print(table, crop=False)
    out.width = width


def make_table(first: str, *numbers: str) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 1))
    table.add_column(first)
    for name in numbers:
        table.add_column(name, justify="left" if name in ("kind", "output shape") else "right")
    return table
