"""What a part is: contestants that are measured in turn, and targets that they meet or miss."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import Finished, interleaved, run
from benchmarks.summary import SHOWN, Row, Rows, Sample, Verdicts, percent

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """What the command line asks for. repeats, seeds: None where each part has its own number.

    folder: of image files. peer_epochs: epochs that the peers train on them, None: all.
    """

    repeats: int | None = None
    seeds: int | None = None
    seeds_of: Mapping[str, int] = field(default_factory=dict)
    folder: Path | None = None
    peer_epochs: int | None = None


@dataclass(frozen=True)
class Contestant:
    """command: of the round, counted from 0. read: the sample in what the process left."""

    name: str
    command: Callable[[int], list[str]]
    read: Callable[[Finished], Sample]
    rounds: int
    unit: str = "s"
    missing: str = ""  # why it cannot take part


@dataclass(frozen=True)
class Part:
    name: str
    title: str
    contestants: Callable[[Options], list[Contestant]]
    judge: Callable[[Rows], Verdicts]
    needs_data: bool = True


def wall_seconds(finished: Finished) -> Sample:
    return {"value": finished.seconds}


def last_line_of_json(finished: Finished) -> Sample:
    """Libraries print what they like before it."""
    sample: Sample = json.loads(finished.out.strip().splitlines()[-1])
    return sample


def measure(contestants: list[Contestant], rows: dict[str, Row], tell: Tell) -> None:
    """Fills the rows sample by sample, so that what there is survives Ctrl-C; a failure ends its row."""
    by_name = {contestant.name: contestant for contestant in contestants}
    rows |= {c.name: Row(c.name, c.unit, note=c.missing) for c in contestants if c.rounds or c.missing}
    for name, number in interleaved({c.name: c.rounds for c in contestants if not c.missing}):
        row, contestant = rows[name], by_name[name]
        if row.failed:
            continue
        finished = run(contestant.command(number))
        if finished.code:
            row.failed, row.note = True, f"failed: {_reason(finished)}"
            tell(f"{name}: {row.note}\n{finished.err}")
            continue
        row.samples.append(contestant.read(finished))
        tell(f"{name}, round {number + 1}: {_short(row)}")


def _reason(finished: Finished) -> str:
    lines = [line.strip() for line in finished.err.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines[-1:] or [f"exit code {finished.code}"])[0]


def _short(row: Row) -> str:
    sample = row.samples[-1]
    accuracy = sample.get("test_accuracy")
    return SHOWN[row.unit](sample["value"]) + (f", {percent(accuracy)}" if accuracy is not None else "")
