"""Where trials run: in worker processes of this machine."""

import contextlib
import functools
import os
import traceback
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from cnnkit.comparison.course import OneTraining
from cnnkit.comparison.executor import Outcome
from cnnkit.comparison.processes import worker_context
from cnnkit.comparison.trial import Trial, run_trial
from cnnkit.config.images import DataConfig
from cnnkit.config.runtime import RuntimeConfig
from cnnkit.data.dataset import Published
from cnnkit.data.prepare import load_data
from cnnkit.errors import CnnkitError, GpuFailed, Interrupted, TrainingError
from cnnkit.filenames import FAILURE
from cnnkit.files import write_atomically
from cnnkit.locks import alone_at
from cnnkit.own.code import own_trace
from cnnkit.processes import available_cpus, begin_worker, main_module_hidden

ATTEMPTS = 2  # of a trial whose process dies
INTERRUPTED = "interrupted"
KILLED = "its process was stopped, twice, maybe for want of memory: try fewer --workers"


def workers_for(runtime: RuntimeConfig) -> int:
    """Worker processes that fill this machine: a core for each of their threads, or one beside a GPU.

    On two cores six trials of a larger fast.yaml took 30 s with two workers of one thread, 52 s with one
    of two.
    """
    if runtime.device != "cpu":
        return 1
    cores = available_cpus()
    return max(1, cores // (runtime.threads or cores))


@dataclass(frozen=True)
class LocalExecutor:
    """Worker processes. Each trains one trial after the other into its folder under `home`.

    A process that dies takes no other trial with it, and its own is tried once more.
    """

    home: Path
    workers: int | None = None  # None: as many as fill this machine
    seeds_at_once: ClassVar[int | None] = None

    def one_by_one(self, home: Path) -> "LocalExecutor":
        return replace(self, home=home)

    def run(self, trials: Iterable[Trial], published: Published) -> Generator[Outcome]:
        """Yields each trial as it ends; where the caller stops listening the running ones save and stop.

        trials: the next one is taken when a worker has room for it, after the last outcome was told.
        published: not used; workers read the prepared images from disk, which is quicker than a pipe.
        """
        work = functools.partial(_work, self.home)
        with contextlib.closing(in_processes(trials, work, self._side_by_side)) as ended:
            for trial, error in ended:
                if error == INTERRUPTED:
                    error = keep_failure(self.home / trial.folder, TrainingError(KILLED))
                yield Outcome(trial, error)

    def _side_by_side(self, trial: Trial) -> int:
        return self.workers or workers_for(trial.config.runtime)


T = TypeVar("T", bound=OneTraining)


def in_processes(
    trials: Iterable[T], work: Callable[[T], Any], side_by_side: Callable[[T], int]
) -> Generator[tuple[T, Any]]:
    """Yields each trial with what `work` made of it in a worker process.

    INTERRUPTED: the process died, or `work` told so, `ATTEMPTS` times.
    """
    ahead, again, attempts = iter(trials), list[T](), Counter[str]()
    workers: list[_Worker[T]] = []
    try:
        while (trial := next(ahead, None)) is not None:
            workers.append(_Worker(work))
            workers[-1].begin(trial)
            if len(workers) == side_by_side(trial):
                break
        while busy := [worker for worker in workers if worker.trial]:
            ready = wait([worker.connection for worker in busy])
            for worker in (worker for worker in busy if worker.connection in ready):
                trial, reply, alive = worker.end()
                if not alive:
                    worker.start()
                lost = not alive or (isinstance(reply, str) and reply == INTERRUPTED)
                attempts[trial.id] += lost
                if lost and attempts[trial.id] < ATTEMPTS:
                    again.append(trial)
                else:
                    yield trial, INTERRUPTED if lost else reply
                if following := again.pop() if again else next(ahead, None):
                    worker.begin(following)
    finally:
        for worker in workers:
            worker.stop()
        for worker in workers:
            worker.process.join()


class _Worker(Generic[T]):
    """A process that works at what it is sent. trial: what it is at."""

    def __init__(self, work: Callable[[T], Any]) -> None:
        self.work = work
        self.trial: T | None = None
        self.start()

    def start(self) -> None:
        context = worker_context()
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, self.work), daemon=True)
        with main_module_hidden():
            self.process.start()
        theirs.close()

    def begin(self, trial: T) -> None:
        self.trial = trial
        with contextlib.suppress(OSError):  # it has died already, which `end` will find
            self.connection.send(trial)

    def end(self) -> tuple[T, Any, bool]:
        """(trial, what `work` made of it, whether the process lives), once it has ended or died."""
        trial, self.trial = self.trial, None
        assert trial is not None
        try:
            return trial, self.connection.recv(), True
        except (EOFError, OSError):
            self.process.join()
            return trial, None, False

    def stop(self) -> None:
        self.process.terminate()  # a training saves and stops at SIGTERM
        self.connection.close()


def _serve(connection: Connection, work: Callable[[Any], Any]) -> None:
    """The life of a worker. Its parent stops it, not the terminal, and it never outlives its parent."""
    if hasattr(os, "setpgrp"):
        os.setpgrp()
    begin_worker()
    try:
        while True:
            connection.send(work(connection.recv()))
    except (EOFError, OSError):
        return


def _work(home: Path, trial: Trial) -> str | None:
    """Trains; returns why that failed, or INTERRUPTED."""
    folder = home / trial.folder
    (folder / FAILURE).unlink(missing_ok=True)
    try:
        with alone_at(folder, "run"):
            run_trial(trial, folder, _images(_source(trial.config.data)))
    except Interrupted:
        return INTERRUPTED
    except GpuFailed:
        raise SystemExit(1) from None  # a new process can use the GPU, this one cannot
    except Exception as error:
        return keep_failure(folder, error)
    return None


def keep_failure(folder: Path, error: Exception) -> str:
    """Keeps why a trial failed, with a traceback if the error is not one of ours; returns the reason."""
    reason, trace = told_failure(error)
    write_atomically(folder / FAILURE, reason + trace)
    return reason


def told_failure(error: Exception) -> tuple[str, str]:
    """(why a trial failed, the traceback of an error that is not one of ours)."""
    if isinstance(error, CnnkitError):
        return str(error), ""
    if trace := own_trace(error):
        return f"{type(error).__name__}: {error}", f"\n\n{trace}"
    return f"{type(error).__name__}: {error}", "\n\n" + "".join(traceback.format_exception(error))


def _source(data: DataConfig) -> DataConfig:
    """What says which images were published; how they are split and changed is each trial's own."""
    apart = ("validation", "crop", "folds", "resample_test", "augment")
    default = DataConfig()
    return data.model_copy(update={key: getattr(default, key) for key in apart})


@functools.lru_cache(maxsize=1)  # the trials of a study share them: 0.1 s each
def _images(config: DataConfig) -> Published:
    return load_data(config)
