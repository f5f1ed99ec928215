"""Where trials run: on a Ray cluster, for those who outgrow one machine."""

import contextlib
import os
import socket
import sys
import tempfile
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from cnnkit.comparison.executor import Outcome
from cnnkit.comparison.local import keep_failure
from cnnkit.comparison.trial import Trial, run_trial
from cnnkit.config.runtime import RuntimeConfig
from cnnkit.data.dataset import Published
from cnnkit.errors import GpuFailed, Interrupted, UsageError
from cnnkit.filenames import FAILURE, RESULT
from cnnkit.files import write_atomically

WAITING = 2  # trials that wait for room: a cluster that can grow sees that it should
RETRIES = 3  # of a trial whose worker or node dies
PATIENCE = 10  # seconds for a cluster to answer
Files = dict[str, bytes]


@dataclass(frozen=True)
class RayExecutor:
    """Tasks on a Ray cluster. Each node needs cnnkit; images reach it, and files come back, by Ray."""

    home: Path

    seeds_at_once: ClassVar[int | None] = None

    def one_by_one(self, home: Path) -> "RayExecutor":
        return RayExecutor(home)

    def run(self, trials: Iterable[Trial], published: Published) -> Generator[Outcome]:
        """Yields each trial as it ends, its files written here. Ray replaces lost workers and nodes.

        trials: as many are taken as the cluster has room for, and `WAITING` more.
        """
        import ray

        images, task = ray.put(published), ray.remote(_train_somewhere)
        ahead, running = iter(trials), dict[Any, Trial]()
        try:
            while True:
                while (not running or len(running) < _room(next(iter(running.values())))) and (
                    trial := next(ahead, None)
                ):
                    options = _resources(trial.config.runtime, _gpus())
                    submitted = task.options(max_retries=RETRIES, retry_exceptions=[Stopped], **options)
                    running[submitted.remote(trial, images)] = trial
                if not running:
                    return
                (done,), _ = ray.wait(list(running), num_returns=1)
                yield self._outcome(running.pop(done), done)
        finally:
            for reference in running:
                ray.cancel(reference)

    def _outcome(self, trial: Trial, reference: Any) -> Outcome:
        import ray

        folder = self.home / trial.folder
        try:
            files, error = ray.get(reference)
        except ray.exceptions.RayError as failure:
            files, error = {}, f"Ray lost it {RETRIES + 1} times: {str(failure).splitlines()[0]}"
            files[FAILURE] = error.encode()
        for name in sorted(files, key=lambda name: name == RESULT):  # last: it says that all is there
            write_atomically(folder / name, files[name])
        return Outcome(trial, error)


@contextlib.contextmanager
def ray_cluster(address: str | None) -> Iterator[None]:
    """A connection to a cluster: at this address, else $RAY_ADDRESS, else one that this machine starts.

    Raises UsageError where Ray is not installed or nobody answers.
    """
    try:
        import ray
    except ImportError as error:
        raise UsageError("--executor ray needs Ray: pip install 'cnnkit[ray]'") from error
    address = address or os.environ.get("RAY_ADDRESS")
    try:
        _knock(address)
        ray.init(address=address or "local", log_to_driver=False, logging_level="ERROR")
    except Exception as error:  # Ray itself raises plain ones where it cannot start in time
        raise UsageError(f"no Ray cluster answers at {address or 'this machine'}: {error}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str | None) -> None:
    """Raises OSError where nobody listens at `host:port`: Ray itself would wait for minutes and then exit."""
    host, colon, port = (address or "").removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()


def _gpus() -> int:
    """1 where the cluster has any."""
    import ray

    return int(bool(ray.cluster_resources().get("GPU")))


def _room(trial: Trial) -> int:
    """How many trials like this one are submitted at the same time."""
    import ray

    has, takes = ray.cluster_resources(), _resources(trial.config.runtime, _gpus())
    fit = has.get("GPU", 0) if takes["num_gpus"] else has.get("CPU", 0) // takes["num_cpus"]
    return max(int(fit), 1) + WAITING


def _resources(runtime: RuntimeConfig, gpus: int) -> dict[str, int]:
    """What one trial takes of a node. gpus: 1 where the cluster has any, and `auto` then means one."""
    on_gpu = runtime.device.startswith("cuda") or (runtime.device == "auto" and gpus)
    return {"num_cpus": runtime.threads or 1, "num_gpus": 1 if on_gpu else 0}


class Stopped(Exception):
    """A worker was stopped while it trained: Ray tries the trial again."""


def _train_somewhere(trial: Trial, published: Published) -> tuple[Files, str | None]:
    """Runs on a node: trains in a folder of its own; returns its files, and why it failed.

    `auto` for device and precision is settled on that node, by `run_trial`. Raises Stopped; ends the process
    whose GPU failed.
    """
    with contextlib.suppress(GpuFailed), tempfile.TemporaryDirectory(prefix="cnnkit-") as folder:
        error = None
        try:
            run_trial(trial, Path(folder), published)
        except GpuFailed as failure:
            print(failure, file=sys.stderr)  # noqa: T201  into Ray's log of this process
            raise
        except Interrupted as stopped:
            raise Stopped(str(stopped)) from None
        except Exception as failure:  # Ray would wrap it in a message of its own.
            error = keep_failure(Path(folder), failure)
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}, error
    os._exit(1)  # a new process can use the GPU, this one cannot; Ray tries the trial again in one
