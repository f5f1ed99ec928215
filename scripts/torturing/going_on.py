"""A training or a comparison that was stopped goes on, and ends as the one that never was."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torturing.processes import Failure, Workshop, ticks_of
from torturing.samples import (
    COMPARE,
    RESUME,
    RESUME_STUDY,
    RUN,
    STUDY,
    TRAIN,
    finished_run,
    finished_study,
    leftovers,
    tensors,
    told,
)


@dataclass(frozen=True)
class Whole:
    """What was never stopped. ticks: how many it took. result: as `told`. home: of its files."""

    command: tuple[str, ...]
    resume: tuple[str, ...]
    holds: str  # the file that says that there is something to resume
    ticks: int
    result: Any
    weights: list[dict[str, bytes]]

    @property
    def home(self) -> str:
        return self.holds.partition("/")[0]


@functools.cache
def whole_run(workshop: Workshop) -> Whole:
    made = finished_run(workshop)
    with workshop.aside():
        result = told(workshop.run(made, *RESUME).check([0]).out)
    return Whole(TRAIN, RESUME, f"{RUN}/config.yaml", ticks_of(made), result, weights_in(made / RUN))


@functools.cache
def whole_study(workshop: Workshop) -> Whole:
    made = finished_study(workshop)
    result = told((made / STUDY / "results.json").read_text())
    del result["checksum"]  # which is printed nowhere
    return Whole(
        COMPARE, RESUME_STUDY, f"{STUDY}/study.json", ticks_of(made), result, weights_in(made / STUDY)
    )


def weights_in(home: Path) -> list[dict[str, bytes]]:
    """Of a run, or of a study's trials."""
    return [tensors(path) for path in sorted(home.rglob("best.safetensors"))]


def go_on(workshop: Workshop, folder: Path, whole: Whole) -> str:
    """Ends what was stopped; raises Failure where that is refused, or ends in something else."""
    resuming = (folder / whole.holds).exists()
    done = workshop.run(folder, *(whole.resume if resuming else whole.command)).check([0])
    if told(done.out) != whole.result:
        done.fail("another result than without the interruption")
    if weights_in(folder / whole.home) != whole.weights:
        done.fail("other weights than without the interruption")
    if left := leftovers(folder):
        raise Failure(f"{', '.join(left)} is left behind by {done.command}")
    return f"{whole.command[0]} {'resumed' if resuming else 'begun anew'}"
