"""What a person sees: results, tables, errors."""

import copy
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

from cnnkit.api.progress import PIPE_WIDTH, PlainConsole, err, say
from cnnkit.errors import CnnkitError
from cnnkit.stats import wilson_interval
from cnnkit.words import visible

if TYPE_CHECKING:
    from cnnkit.config.costs import LayerCost
    from cnnkit.experiment.run_dir import RunResult

out = PlainConsole(highlight=False, markup=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)

MOST_CLASSES, HARDEST = 30, 15  # of more classes only the hardest are printed


def print_result(result: "RunResult") -> None:
    """What training ended with."""
    low, high = wilson_interval(result.test_correct, result.test_images)
    validation = ""
    if result.val_accuracy is not None:
        validation = f", {result.val_accuracy:.2%} on {result.val_images:,} validation images"
    told = result.calibration
    rows = {
        "test accuracy": f"{result.test_accuracy:.2%} (95 % interval {low:.2%} to {high:.2%})",
        **_balanced(result.test_balanced_accuracy, result.test_macro_f1),
        "test loss": f"{result.test_loss:.4f}",
        **({"calibration error": _calibration(told.to_dict())} if told else {}),
        "best epoch": f"{result.best_epoch} of {result.epochs}{validation}",
        "training": f"{result.train_seconds:.1f} s on {result.device}, {result.precision}",
        "kept in": result.run,
    }
    print_pairs(rows)


def _balanced(accuracy: float | None, macro_f1: float | None) -> dict[str, str]:
    """A row where both are known."""
    if accuracy is None or macro_f1 is None:
        return {}
    return {"balanced accuracy": f"{accuracy:.2%}, the mean recall of the classes; macro F1 {macro_f1:.2%}"}


def _calibration(measured: Mapping[str, Any]) -> str:
    """measured: as `Calibration.to_dict` gives it."""
    from cnnkit.calibrator import Calibrator

    chance = f"{measured['error_by_chance']:.2%} would be chance"
    if measured["temperature"] is None:
        return f"{measured['error']:.2%}; {chance}; no temperature was fitted on validation images"
    calibrator = Calibrator.from_dict(measured)
    return f"{measured['error']:.2%} with {calibrator}, {measured['error_before']:.2%} without; {chance}"


def print_pairs(rows: Mapping[str, str]) -> None:
    width = max(map(len, rows))
    for name, value in rows.items():
        style = "bold" if name.endswith("accuracy") else ""
        say(out, Text(f"{name:<{width}}  ").append(visible(value), style), hang=width + 2)


def print_evaluation(measured: Mapping[str, Any], title: str) -> None:
    low, high = measured["accuracy_interval"]
    print_pairs(
        {
            "measured": title,
            "accuracy": f"{measured['accuracy']:.2%} (95 % interval {low:.2%} to {high:.2%}), "
            f"{measured['correct']:,} of {measured['images']:,}",
            **_balanced(measured["balanced_accuracy"], measured["macro_f1"]),
            "loss": f"{measured['loss']:.4f}",
            "calibration error": _calibration(measured["calibration"]),
        }
    )
    out.print()
    table = make_table("class", "images", "precision", "recall", "F1")
    classes: dict[str, Mapping[str, float]] = measured["classes"]
    shown = list(classes)
    if len(classes) > MOST_CLASSES:
        shown.sort(key=lambda name: classes[name]["f1"])
        say(out, f"the {HARDEST} of {len(classes)} classes with the lowest F1; --json tells all:")
        shown = shown[:HARDEST]
    for name in shown:
        row = classes[name]
        scores = [f"{row[score]:.2%}" for score in ("precision", "recall", "f1")]
        if not row["images"]:  # nothing is known of it
            scores = ["·"] * 3
        table.add_row(name, f"{row['images']:,}", *scores)
    print_table(table)
    told = print_confusion if len(classes) <= MOST_CLASSES else print_confused
    told(measured["confusion"], list(classes))


def print_confusion(confusion: Sequence[Sequence[int]], names: Sequence[str]) -> None:
    """Rows the truth, columns what it was taken for; · where there is no image.

    Columns have the first letters of the names where the terminal has no room for the whole ones.
    """
    for heads in (names, [name[:6] for name in names]):
        table = make_table("truth ↓ taken for →", *heads)
        for i, (name, row) in enumerate(zip(names, confusion, strict=True)):
            cells = [
                Text(f"{n:,}" if n else "·", "bold green" if i == j else "yellow" if n else "dim")
                for j, n in enumerate(row)
            ]
            table.add_row(name, *cells)
        if not out.is_terminal or _width(table, table.columns[1:]) <= out.width:
            break
    out.print()
    print_table(table)


def print_confused(confusion: Sequence[Sequence[int]], names: Sequence[str]) -> None:
    """The pairs that are confused most."""
    pairs = [(n, i, j) for i, row in enumerate(confusion) for j, n in enumerate(row) if n and i != j]
    table = make_table("truth", "taken for", "images")
    for n, i, j in sorted(pairs, key=lambda pair: -pair[0])[:HARDEST]:
        table.add_row(names[i], names[j], f"{n:,}")
    out.print()
    print_table(table)


def print_summary(rows: Sequence["LayerCost"], title: str) -> None:
    say(out, title, "bold")
    table = make_table("layer", "kind", "output shape", "parameters", "MACs")
    for row in rows:
        shape = " × ".join(map(str, row.output_shape))
        table.add_row(row.name, row.kind, shape, _count(row.parameters), _count(row.macs))
    table.add_section()
    totals = (sum(row.parameters for row in rows), sum(row.macs for row in rows))
    table.add_row("total", "", "", *(f"{total:,}" for total in totals))
    print_table(table)


def print_keys(rows: Sequence[tuple[str, str, str, str]]) -> None:
    """rows: key, values, default and documentation. Each key has a line of its own, whatever the width."""
    for key, values, default, documentation in rows:
        say(out, Text.assemble((key, "bold"), ("  default ", "dim"), default), hang=4)
        say(out, f"    {documentation}", hang=4)
        say(out, "    " + values.replace("`", ""), "dim", hang=4)


def print_prediction(path: str, top: Sequence[tuple[str, float]]) -> None:
    """top: classes with their probabilities, the likeliest first."""
    (best, probability), *others = top
    rest = ", ".join(f"{name} {share:.1%}" for name, share in others)
    told = Text.assemble(visible(path), f"  {best}  ", (f"{probability:.1%}", "bold"))
    say(out, told.append(f"  ({rest})" if rest else "", "dim"), hang=2)


def print_answers(confidences: Mapping[str, Sequence[float]]) -> None:
    """confidences: by answer, those of the images that got it. The most frequent answer comes first."""
    table = make_table("answer", "images", "share", "mean confidence")
    images = sum(map(len, confidences.values()))
    for name, values in sorted(confidences.items(), key=lambda one: -len(one[1])):
        count = len(values)
        table.add_row(visible(name), f"{count:,}", f"{count / images:.1%}", f"{sum(values) / count:.1%}")
    if images:
        print_table(table)


def print_path(path: Path) -> None:
    """A path alone; as it is where another program reads it."""
    typer.echo(visible(str(path)) if out.is_terminal else path)


def print_error(error: CnnkitError) -> None:
    say(err, Text("error: ", "bold red") + Text(visible(str(error)), "default"))


def print_warning(text: str) -> None:
    say(err, Text("warning: ", "bold yellow") + Text(visible(text), "default"))


def _count(number: int) -> str:
    return f"{number:,}" if number else "·"


def print_table(table: Table) -> None:
    """Prints a table whole; on a narrow terminal in blocks, each of which repeats the first column."""
    others = table.columns[1:]
    while others:
        count = next((n for n in range(len(others), 1, -1) if _width(table, others[:n]) <= out.width), 1)
        block = _block(table, others[: count if out.is_terminal else len(others)])
        out.print(block, width=_width(table, block.columns[1:]), crop=False, no_wrap=True, soft_wrap=True)
        others = others[len(block.columns) - 1 :]
        if others:
            out.print()


def _block(table: Table, columns: Sequence[Column]) -> Table:
    """The first column and some of the others."""
    block = copy.copy(table)
    block.columns = [table.columns[0], *columns]
    return block


def _width(table: Table, columns: Sequence[Column]) -> int:
    return Measurement.get(out, out.options.update(width=sys.maxsize), _block(table, columns)).maximum


def make_table(first: str, *numbers: str) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 1))
    table.add_column(first)
    for name in numbers:
        table.add_column(name, justify="left" if name in ("kind", "output shape", "taken for") else "right")
    return table
