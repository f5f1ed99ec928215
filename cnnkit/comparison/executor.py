"""What runs the trials of a study: worker processes, a GPU or a cluster."""

from collections.abc import Generator, Iterable
from pathlib import Path
from typing import NamedTuple, Protocol

from cnnkit.comparison.trial import Trial
from cnnkit.data.dataset import Published


class Outcome(NamedTuple):
    """A trial that has ended. error: why it failed; None where its folder holds a result."""

    trial: Trial
    error: str | None


class Executor(Protocol):
    """Runs trials; each leaves its run directory in the study's folder.

    seeds_at_once: how many of a level it trains as one; None: it takes one trial after the other.
    """

    @property
    def seeds_at_once(self) -> int | None: ...

    def one_by_one(self, home: Path) -> "Executor":
        """One for trials that have nothing in common, and whose folders lie below `home`."""

    def run(self, trials: Iterable[Trial], published: Published) -> Generator[Outcome]: ...
