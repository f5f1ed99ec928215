"""What a person sees while a study trains: each trial as it ends, and where each level stands."""

from collections.abc import Iterable

from rich.console import RenderableType
from rich.progress import MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from cnnkit.api.progress import LiveBar, err, print_note, say
from cnnkit.events import (
    Note,
    PointDone,
    SeedDone,
    StudyBegun,
    StudyEvent,
    TrialDone,
    TuningBegun,
)
from cnnkit.words import about, counted, gigabytes


class WithTable(Progress):
    """A bar below a table that changes."""

    table: Table | None = None

    def get_renderables(self) -> Iterable[RenderableType]:
        if self.table:
            yield self.table
        yield from super().get_renderables()


class StudyProgress(LiveBar):
    """A listener: what a study tells, on standard error."""

    kind = WithTable

    def __init__(self, quiet: bool = False) -> None:
        super().__init__(MofNCompleteColumn(), TextColumn("trials{task.fields[at_most]},"), quiet=quiet)
        self.measure = "accuracy"
        self.told = False  # what the seeds can show

    def __call__(self, event: StudyEvent) -> None:
        if self.quiet:
            return
        if isinstance(event, StudyBegun):
            self._begin(event)
        elif isinstance(event, TrialDone):
            self._advance(_line(f"{event.level:<8} seed {event.seed:<4}", event, self._beside))
        elif isinstance(event, TuningBegun):
            self._begin_tuning(event)
        elif isinstance(event, PointDone):
            self._advance(_line(f"{event.level:<8} point {event.point:<3}", event, " on validation images"))
        elif isinstance(event, SeedDone):
            self._show(event)
        elif isinstance(event, Note):
            print_note(event)

    def _begin(self, event: StudyBegun) -> None:
        self.measure = event.measure
        takes = "" if event.seconds is None else f"; {about(*event.seconds)}"
        say(err, f"{event.title}; {event.where}{takes}{_workers(event)}")
        if event.can_tell:
            say(err, event.can_tell, "dim")
        for warning in event.warnings:
            say(err, Text("note: ", "yellow") + Text(warning, "default"), hang=6)
        if event.finished:
            of = "" if event.at_most else f" of {event.trials:,}"
            say(err, f"{event.finished:,}{of} trials are there already", "dim")
        self._start("training", event.trials, event.finished, " at most" if event.at_most else "")

    def _begin_tuning(self, event: TuningBegun) -> None:
        trainings = counted(event.trainings, "training")
        first = f"tuning first: {event.what}, on validation images alone: {trainings}"
        times = "" if event.seconds is None else f", {about(event.seconds)}"
        then = "" if event.seed_seconds is None else f"; then {about(event.seed_seconds)} for each seed"
        say(err, first + times + then)
        if event.finished:
            say(err, f"{event.finished:,} of {event.trainings:,} are there already", "dim")
        self._start("tuning", event.trainings, event.finished)

    @property
    def _beside(self) -> str:
        """What a value is of, where it is no accuracy."""
        return "" if self.measure == "accuracy" else f", {self.measure}"

    def _start(self, what: str, total: int, finished: int, at_most: str = "") -> None:
        """A bar, in the place of the one before."""
        if self.bar is None:
            return
        for task in self.bar.task_ids:
            self.bar.remove_task(task)
        if finished < total:
            self.task = self.bar.add_task(what, total=total, completed=finished, at_most=at_most)
            self.bar.start()

    def _advance(self, line: Text) -> None:
        say(err, line)
        if self.bar:
            self.bar.advance(self.task)

    def _show(self, event: SeedDone) -> None:
        """A table above the bar, or a line where there is no bar; once what the seeds can show."""
        if event.can_tell and not self.told:
            say(err, event.can_tell, "dim")
            self.told = True
        if isinstance(self.bar, WithTable):
            self.bar.table = _standings(event, self.measure)
        else:
            told = ", ".join(f"{row.level} {row.mean:.2%} ({row.state})" for row in event.standings)
            say(err, f"after {counted(event.seeds, 'seed')}{self._beside}: {told}", "dim")


def _standings(event: SeedDone, measure: str) -> Table:
    """Names and states are broken between words where there is no room."""
    states = [f"{row.state}, {row.failures} failed" if row.failures else row.state for row in event.standings]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    names = [row.level for row in event.standings]
    head, numbers = f"after {counted(event.seeds, 'seed')}", (measure, "seeds")
    beside = sum(len(name) + 2 for name in numbers) + 2 + _longest_word(states)
    whole = max(map(len, (head, *names)))
    table.add_column(head, width=max(_longest_word([head, *names]), min(whole, err.width - beside)))
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("so far")
    for row, state in zip(event.standings, states, strict=True):
        style = "dim" if row.state == "beaten" else ""
        table.add_row(Text(row.level), f"{row.mean:.2%}", str(row.seeds), state, style=style)
    return table


def _longest_word(texts: Iterable[str]) -> int:
    return max((len(word) for text in texts for word in text.split()), default=0)


def _workers(begun: StudyBegun) -> str:
    """How many train at once, and with how much memory; empty where that is not known."""
    if not begun.workers:
        return ""
    each = " each" if begun.workers > 1 else ""
    memory = f", with {gigabytes(begun.memory)} of memory{each}" if begun.memory else ""
    return f"; {counted(begun.workers, 'worker')}{memory}"


def _line(start: str, event: TrialDone | PointDone, where: str = "") -> Text:
    value = event.accuracy
    if value is None:
        return Text(f"{start} failed: {event.error}", "red")
    return Text(
        f"{start} {value if isinstance(value, str) else f'{value:.2%}'}{where}  {event.seconds:.1f} s"
    )
