"""How many cores other programs leave to this process: a thread on a busy core would hold up the others."""

import math
import os
import time
from dataclasses import replace
from pathlib import Path

from cnnkit.config.runtime import RuntimeConfig
from cnnkit.events import Note, NoteListener, ignore
from cnnkit.training.device import Placement
from cnnkit.words import counted

SYSTEM_TIMES = Path("/proc/stat")
LEAST_SECONDS = 0.1  # the system counts in hundredths of a second: off by one, two cores are off by 0.2
SECOND_LOOK = 0.2  # seconds
WORTH_A_THREAD = 0.75  # of a core; with less of it, one thread more makes a run slower


class IdleCores:
    """Counts, from its creation on, the cores that other programs leave idle. Only Linux tells."""

    def __init__(self) -> None:
        self.started, self.free = time.perf_counter(), _free_seconds()

    def count(self, least: float = LEAST_SECONDS) -> float:
        """The mean number since the creation; infinite where it is not known.

        least: waits until so many seconds have passed since the creation.
        """
        time.sleep(max(0.0, self.started + least - time.perf_counter()))
        free = _free_seconds() - self.free
        return math.inf if math.isnan(free) else free / (time.perf_counter() - self.started)

    def fit(self, placement: Placement, runtime: RuntimeConfig, notify: NoteListener = ignore) -> Placement:
        """The placement with one thread for each idle core, unless the configuration says how many.

        Threads wait for each other after each operation. With another program on one of two cores fast.yaml
        trains in 7.9 s with two threads, in 2.2 s with one, and in 2.0 s with those chosen here; on two
        quiet cores in 1.7, 2.2 and 1.8 s.
        """
        if placement.device.type != "cpu" or runtime.threads or placement.threads == 1:
            return placement
        if (free := self.too_few(placement.threads)) is None:
            return placement
        threads = max(1, math.floor(free + 1 - WORTH_A_THREAD))
        notify(Note(f"{busy_in_words(free, placement.threads)}, with {counted(threads, 'thread')}"))
        return replace(placement, threads=threads)

    def too_few(self, threads: int) -> float | None:
        """How many cores are free, where these are too few for so many threads; else None.

        Where cores seem busy they are counted again, because a core may be busy for a moment only: at 11
        starts on two quiet cores one count was 1.7, and the others were 1.89 to 1.99.
        """
        free = self.count()
        if _busy(free, threads):
            free = max(free, IdleCores().count(SECOND_LOOK))
        return free if _busy(free, threads) else None


def busy_in_words(free: float, cores: int) -> str:
    """What a person is told where others use some of the cores."""
    return f"this machine is busy: {free:.1f} of {counted(cores, 'core')} are free, so this takes longer"


def _busy(free: float, threads: int) -> bool:
    return free + 1 - WORTH_A_THREAD < threads


def _free_seconds() -> float:
    """Time in which a core was idle or worked for this process, summed; not a number where unknown.

    A core that is idle while a disk is waited for (the kernel's iowait) is free, too. Only the cores that
    this process may use count, and only differences mean something.
    """
    try:
        lines = SYSTEM_TIMES.read_text(encoding="ascii").splitlines()
        fields = {words[0]: words for words in map(str.split, lines) if words}
        idle = sum(
            int(fields[f"cpu{core}"][4]) + int(fields[f"cpu{core}"][5]) for core in os.sched_getaffinity(0)
        )
    except (OSError, ValueError, LookupError, AttributeError):
        return math.nan
    return idle / os.sysconf("SC_CLK_TCK") + time.process_time()
