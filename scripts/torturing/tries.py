"""What a part is, and how its tries are counted."""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from torturing.processes import Failure, Workshop

Attempt = Callable[[Random, Path], str]
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Part:
    """prepare: makes what all tries need, and gives the try.

    A try gets its own random numbers and an empty folder, returns what held in a few words, and raises
    Failure where something did not. tries: how many where nobody says.
    """

    name: str
    title: str
    prepare: Callable[[Workshop], Attempt]
    tries: int


@dataclass(frozen=True)
class Failed:
    """reason: what did not hold. repeat: the command that does this one try again."""

    number: int
    reason: str
    repeat: str
    commands: list[str]


@dataclass
class Tally:
    """held: how often each thing held."""

    part: str
    title: str
    seed: int
    held: Counter[str] = field(default_factory=Counter)
    failed: list[Failed] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def tries(self) -> int:
        return self.held.total() + len(self.failed)

    def as_dict(self) -> dict[str, Any]:
        return {"tries": self.tries, **asdict(self), "held": dict(self.held.most_common())}


def torture(
    part: Part,
    workshop: Workshop,
    tally: Tally,
    numbers: Iterable[int],
    tell: Tell,
    seconds: float | None = None,
) -> None:
    """Fills the tally try by try, so that what there is survives Ctrl-C."""
    started = time.monotonic()
    attempt = part.prepare(workshop)
    workshop.end_try()
    for number in numbers:
        folder = workshop.new_folder(f"{part.name}-{number}")
        try:
            tally.held[attempt(Random(f"{part.name} {tally.seed} {number}"), folder)] += 1
            shutil.rmtree(folder, ignore_errors=True)
        except Failure as failure:
            repeat = f"scripts/torture --part {part.name} --seed {tally.seed} --only {number}"
            tally.failed.append(Failed(number, str(failure), repeat, list(workshop.commands)))
            tell(f"{part.name} {number}: {failure}")
        finally:
            workshop.end_try()
            tally.seconds = time.monotonic() - started
        if seconds is not None and tally.seconds > seconds:
            return
