"""What a person sees while it trains: a live bar on a terminal, plain lines in a pipe or a notebook."""

import sys
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from cnnkit.events import (
    Begun,
    EpochRecord,
    Event,
    Listener,
    Note,
    StepDone,
    StudyBegun,
    StudyEvent,
    TrialDone,
)
from cnnkit.words import counted

if TYPE_CHECKING:
    from typing_extensions import Self

PIPE_WIDTH = 160  # columns where no terminal says how many there are: tables stay whole
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


def shown(progress: bool | Listener) -> AbstractContextManager[Listener]:
    """A listener for the length of a `with` block: one that prints, one that is silent, or the given one."""
    return nullcontext(progress) if callable(progress) else TrainingProgress(quiet=not progress)


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


class StudyProgress(LiveBar):
    """A listener: what a study tells, on standard error."""

    def __init__(self, quiet: bool = False) -> None:
        super().__init__(MofNCompleteColumn(), TextColumn("trials,"), quiet=quiet)

    def __call__(self, event: StudyEvent) -> None:
        if self.quiet:
            return
        if isinstance(event, StudyBegun):
            self._begin(event)
        elif isinstance(event, TrialDone):
            err.print(_trial_line(event), soft_wrap=True)
            if self.bar:
                self.bar.advance(self.task)
        elif isinstance(event, Note):
            print_note(event)

    def _begin(self, event: StudyBegun) -> None:
        err.print(Text(f"{event.title}; {event.where}"), soft_wrap=True)
        for warning in event.warnings:
            err.print(Text("note: ", "yellow") + Text(warning, "default"), soft_wrap=True)
        if event.finished:
            err.print(
                Text(f"{event.finished} of {counted(event.trials, 'trial')} are there already"), style="dim"
            )
        if self.bar and event.finished < event.trials:
            self.task = self.bar.add_task("training", total=event.trials, completed=event.finished)
            self.bar.start()


def _trial_line(event: TrialDone) -> Text:
    start = f"{event.level:<8} seed {event.seed:<4}"
    if event.accuracy is None:
        return Text(f"{start} failed: {event.error}", "red")
    return Text(f"{start} {event.accuracy:.2%}  {event.seconds:.1f} s")


def print_note(note: Note) -> None:
    err.print(Text(note.text), style="dim", soft_wrap=True)
