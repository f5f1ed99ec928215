"""What a person sees: live progress on a terminal, plain lines in a pipe, tables, errors."""

import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from cnnkit.errors import CnnkitError
from cnnkit.events import Begun, EpochRecord, Event, Note, StepDone

if TYPE_CHECKING:
    from typing_extensions import Self

    from cnnkit.nn.costs import LayerCost

PIPE_WIDTH = 160  # columns where no terminal says how many there are: tables stay whole
out = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
err = Console(highlight=False, markup=False, width=None if sys.stderr.isatty() else PIPE_WIDTH, stderr=True)


class LiveBar:
    """A progress bar for the length of a `with` block, where standard error is a terminal.

    columns: what stands between the bar and the time left.
    """

    def __init__(self, *columns: ProgressColumn, quiet: bool = False) -> None:
        self.columns = columns
        self.quiet = quiet
        self.bar: Progress | None = None
        self.task = TaskID(0)

    def __enter__(self) -> "Self":
        if err.is_terminal and not self.quiet:
            self.bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                *self.columns,
                TimeRemainingColumn(),
                TextColumn("left"),
                console=err,
                transient=True,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar:
            self.bar.stop()


class TrainingProgress(LiveBar):
    """A listener: what training tells, on standard error."""

    def __init__(self, quiet: bool = False) -> None:
        super().__init__(TextColumn("{task.fields[so_far]}"), quiet=quiet)
        self.epochs = 0

    def __call__(self, event: Event) -> None:
        if self.quiet:
            return
        if isinstance(event, Note):
            print_note(event)
        elif isinstance(event, Begun):
            self._begin(event)
        elif isinstance(event, EpochRecord):
            err.print(_epoch_line(event, self.epochs), soft_wrap=True)
        elif self.bar:
            self._advance(self.bar, event)

    def _begin(self, event: Begun) -> None:
        self.epochs = event.epochs
        cost = f"{event.parameters:,} parameters, {event.macs / 1e6:.1f} M multiply-accumulates"
        err.print(Text(f"{event.title}: {cost}; {event.device}"), soft_wrap=True)
        err.print("epoch     loss  accuracy  validation  images/s     time", style="bold")
        if self.bar:
            self.task = self.bar.add_task("starting", total=None, so_far="")
            self.bar.start()

    def _advance(self, bar: Progress, event: StepDone) -> None:
        bar.update(
            self.task,
            total=event.epochs * event.steps,
            completed=(event.epoch - 1) * event.steps + event.step,
            description=f"epoch {event.epoch}/{event.epochs}, step {event.step}/{event.steps}",
            so_far=_so_far(event),
        )


def _so_far(event: StepDone) -> str:
    speed = f"{event.images_per_second:,.0f} images/s"
    if event.train_loss is None or event.train_accuracy is None:
        return speed
    return f"loss {event.train_loss:.4f}, {event.train_accuracy:.2%}, {speed}"


def _epoch_line(record: EpochRecord, epochs: int) -> str:
    validation = "" if record.val_accuracy is None else f"{record.val_accuracy:.2%}"
    return (
        f"{record.epoch:>2}/{epochs:<2}  {record.train_loss:7.4f}   {record.train_accuracy:7.2%}  "
        f"{validation:>10}  {record.images_per_second:8,.0f}  {record.seconds:5.1f} s"
    )


def print_result(result: Mapping[str, Any], interval: Sequence[float]) -> None:
    """What training ended with."""
    low, high = interval
    rows = {
        "test accuracy": f"{result['test_accuracy']:.2%} (95 % interval {low:.2%} to {high:.2%})",
        "test loss": f"{result['test_loss']:.4f}",
        "best epoch": f"{result['best_epoch']} of {result['epochs']}" + _validation(result),
        "training": f"{result['train_seconds']:.1f} s on {result['device']}, {result['precision']}",
        "kept in": str(result["run"]),
    }
    _print_pairs(rows)


def _validation(result: Mapping[str, Any]) -> str:
    accuracy = result["val_accuracy"]
    return "" if accuracy is None else f", {accuracy:.2%} on {result['val_images']:,} validation images"


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


def print_prediction(path: str, top: Sequence[Mapping[str, Any]]) -> None:
    best, *others = top
    rest = ", ".join(f"{other['class']} {other['probability']:.1%}" for other in others)
    out.print(
        Text(path),
        Text(f" {best['class']} "),
        Text(f"{best['probability']:.1%}", "bold"),
        soft_wrap=True,
        end="",
    )
    out.print(Text(f"  ({rest})" if rest else "", "dim"), soft_wrap=True)


def print_note(note: Note) -> None:
    err.print(Text(note.text), style="dim", soft_wrap=True)


def print_error(error: CnnkitError) -> None:
    err.print(Text("error: ", "bold red") + Text(str(error), "default"), soft_wrap=True)


def _count(number: int) -> str:
    return f"{number:,}" if number else "·"


def print_table(table: Table) -> None:
    """Whole, though the terminal be narrow: a cut number misleads."""
    width, out.width = out.width, max(out.width, PIPE_WIDTH)
    out.print(table, crop=False)
    out.width = width


def make_table(first: str, *numbers: str) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 1))
    table.add_column(first)
    for name in numbers:
        table.add_column(name, justify="left" if name in ("kind", "output shape") else "right")
    return table
