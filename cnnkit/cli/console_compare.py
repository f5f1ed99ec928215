"""What a person sees of a comparison: trials as they end, then the answer and the ranked table."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.progress import MofNCompleteColumn, TextColumn
from rich.text import Text

from cnnkit.cli.console import LiveBar, err, make_table, out, print_note, print_table
from cnnkit.comparison.sentence import answer
from cnnkit.events import Note, StudyBegun, StudyEvent, TrialDone


class StudyProgress(LiveBar):
    """A listener: what a study tells, on standard error."""

    def __init__(self) -> None:
        super().__init__(MofNCompleteColumn(), TextColumn("trials,"))

    def __call__(self, event: StudyEvent) -> None:
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
            err.print(Text(f"{event.finished} of {event.trials} trials are there already"), style="dim")
        if self.bar and event.finished < event.trials:
            self.task = self.bar.add_task("training", total=event.trials, completed=event.finished)
            self.bar.start()


def _trial_line(event: TrialDone) -> Text:
    start = f"{event.level:<8} seed {event.seed:<4}"
    if event.accuracy is None:
        return Text(f"{start} failed: {event.error}", "red")
    return Text(f"{start} {event.accuracy:.2%}  {event.seconds:.1f} s")


def print_comparison(results: Mapping[str, Any], report: str) -> None:
    """The answer, the ranked table, and what a person should know besides."""
    out.print(Text(answer(results), "bold"), soft_wrap=True)
    out.print()
    ranked = make_table(
        results["key"].rpartition(".")[2],
        *("accuracy, %", "to the best, points", "verdict", "parameters", "MACs", "training", "images/s"),
    )
    for level in results["levels"]:
        ranked.add_row(*_row(level))
    print_table(ranked)
    legend = f"± and [ ]: 95 % intervals over {len(results['seeds'])} seeds; training, images/s: medians"
    out.print(Text(legend, "dim"), soft_wrap=True)
    for level in results["levels"]:
        if level["changed"]:
            out.print(Text(f"{level['name']}: {level['changed']}", "dim"), soft_wrap=True)
    failed = [trial for trial in results["trials"] if trial["error"]]
    for trial in failed:
        line = f"{trial['level']} seed {trial['seed']} failed: {trial['error']}"
        out.print(Text(line, "red"), soft_wrap=True)
    out.print(Text(f"to look at: {report}"), soft_wrap=True)


def _row(level: Mapping[str, Any]) -> Sequence[str]:
    to_best, timing = level["to_best"], level["timing"]
    return (
        level["name"],
        _accuracy(**level["accuracy"]),
        _difference(**to_best["difference"]) if to_best else "",
        to_best["verdict"] if to_best else "the best",
        f"{level['parameters']:,}",
        f"{level['macs'] / 1e6:.1f} M",
        f"{timing['train_seconds']:.1f} s",
        f"{timing['images_per_second']:,.0f}",
    )


def _accuracy(mean: float, low: float | None, high: float | None) -> str:
    """In percent, with the reach of its 95 % interval where there are seeds enough for one."""
    reach = "" if low is None else f" ± {(mean - low) * 100:.3f}"
    return f"{mean * 100:.3f}{reach}"


def _difference(mean: float, low: float | None, high: float | None) -> str:
    """In percentage points, with its 95 % interval, which need not be symmetric."""
    interval = "" if low is None or high is None else f" [{low * 100:+.3f}, {high * 100:+.3f}]"
    return f"{mean * 100:+.3f}{interval}"
