"""What a person sees while it trains: a live bar on a terminal, plain lines in a pipe or a notebook."""

import re
import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment
from rich.text import Text

from cnnkit.events import (
    Begun,
    EpochRecord,
    Event,
    Forecast,
    Listener,
    Note,
    Prepared,
    StepDone,
)
from cnnkit.words import about, gigabytes, visible

if TYPE_CHECKING:
    from typing_extensions import Self

ROOMY = 100  # columns of a terminal in which a line of progress finds room
PIPE_WIDTH = 160  # columns where no terminal says how many there are: tables stay whole
HOW_MEASURED = "loss and accuracy: on training images after each epoch, without dropout"


class PlainConsole(Console):
    """A console on which a control character in a name, or in an error's text, is seen and not obeyed."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text))


ERR_WIDTH = None if sys.stderr.isatty() else PIPE_WIDTH  # None: as wide as the terminal
err = PlainConsole(highlight=False, markup=False, width=ERR_WIDTH, stderr=True)


def say(console: Console, text: str | Text, style: str = "", hang: int | None = None) -> None:
    """Prints text. On a terminal a long line goes on below, between two words; in a pipe it stays one line.

    hang: columns in which a line goes on; None: below its first letter, or below what follows its caret.
    """
    styled = Text(visible(text), style) if isinstance(text, str) else text
    lines = styled.split(allow_blank=True) or [Text()]
    parts: list[Text] = []
    for line in lines:
        begins = hang or len(re.match(r" *(\^ )?", line.plain)[0])  # type: ignore[index]
        width = console.width if console.is_terminal else sys.maxsize
        parts += _broken(line, width, min(begins, console.width // 2))
    console.print(Text("\n").join(parts), soft_wrap=True)


def _broken(line: Text, width: int, hang: int) -> list[Text]:
    """Lines of whole words, the second and later ones moved in. A word that finds no room there is not."""
    starts: list[int] = []
    indents, end = [0], 0
    for word in re.finditer(r"\S+", line.plain):
        begin = starts[-1] if starts else 0
        if end and indents[-1] + cell_len(line.plain[begin : word.end()]) > width:
            starts.append(word.start())
            indents.append(hang if hang + cell_len(word[0]) <= width else 0)
        end = word.end()
    lines = line.divide(starts)
    for part, indent in zip(lines, indents, strict=True):
        part.rstrip()
        part.pad_left(indent)
    return list(lines)


class LiveBar:
    """A progress bar for the length of a `with` block, where standard error is a terminal.

    columns: what stands between the bar and the time left.
    """

    kind = Progress

    def __init__(self, *columns: ProgressColumn, quiet: bool = False) -> None:
        self.columns = columns
        self.quiet = quiet
        self.bar: Progress | None = None
        self.task = TaskID(0)

    def __enter__(self) -> "Self":
        if err.is_terminal and not self.quiet:
            self.bar = self.kind(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24 if err.width >= ROOMY else 8),
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
        elif isinstance(event, Forecast):
            memory = f", with {gigabytes(event.memory)} of memory" if event.memory else ""
            say(err, f"takes {about(event.seconds)}{memory}", "dim")
        elif isinstance(event, Begun):
            self._begin(event)
        elif isinstance(event, EpochRecord):
            err.print(_epoch_line(event, self.epochs), soft_wrap=True)
        elif self.bar:
            self._advance(self.bar, event)

    def _begin(self, event: Begun) -> None:
        self.epochs = event.epochs
        cost = f"{event.parameters:,} parameters, {event.macs / 1e6:.1f} M multiply-accumulates"
        say(err, f"{event.title}: {cost}; {event.device}")
        say(err, HOW_MEASURED, "dim")
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
    """The loss; where the terminal has room also the accuracy, and then the speed."""
    speed = f"{event.images_per_second:,.0f} images/s"
    if event.train_loss is None or event.train_accuracy is None:
        return speed
    parts = [f"loss {event.train_loss:.4f}", f"{event.train_accuracy:.2%}", speed]
    return ", ".join(parts[: 3 if err.width >= ROOMY else 2 if err.width >= 80 else 1])


def _epoch_line(record: EpochRecord, epochs: int) -> str:
    """Empty cells for what was not measured."""
    loss = "" if record.clean_train_loss is None else f"{record.clean_train_loss:.4f}"
    shares = (record.clean_train_accuracy, record.val_accuracy)
    accuracy, validation = ("" if share is None else f"{share:.2%}" for share in shares)
    return (
        f"{record.epoch:>2}/{epochs:<2}  {loss:>7}   {accuracy:>7}  "
        f"{validation:>10}  {record.images_per_second:8,.0f}  {record.seconds:5.1f} s"
    )


def print_note(note: Note) -> None:
    if isinstance(note, Prepared):
        _preparing.show(note)
    else:
        say(err, note.text, "dim")


class _Preparing:
    """A bar while images are decoded; in a pipe a line before and a line after."""

    def __init__(self) -> None:
        self.bar: Progress | None = None
        self.begun = ""  # what is told to be under way

    def show(self, note: Prepared) -> None:
        ended = note.done == note.images
        if ended or not (self.begun == note.text or err.is_terminal):
            say(err, note.text, "dim")
        self.begun = "" if ended else note.text
        if self.bar and ended:
            self.bar.stop()
            self.bar = None
        elif err.is_terminal and not ended:
            self._draw(note)

    def _draw(self, note: Prepared) -> None:
        if self.bar is None:
            columns = (MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("left"))
            name = TextColumn("preparing images")
            self.bar = Progress(name, BarColumn(bar_width=24), *columns, console=err, transient=True)
            self.bar.add_task("", total=note.images)
            self.bar.start()
        self.bar.update(self.bar.task_ids[0], completed=note.done)


_preparing = _Preparing()
