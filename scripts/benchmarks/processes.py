"""One command in a process of its own: how long it took, how much memory it held at most, what it said."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

SCRIPTS = Path(__file__).resolve().parent.parent
PATIENCE = 20.0  # seconds in which a command that is told to stop may save
UNITS_OF_PEAK = 1 if sys.platform == "darwin" else 1024  # bytes in one unit of ru_maxrss


@dataclass(frozen=True)
class Finished:
    """What a process left. seconds: from its start to its end. peak: resident bytes, of it alone."""

    code: int
    seconds: float
    peak: int
    out: str
    err: str


def run(command: Sequence[str]) -> Finished:
    """Runs a command in an empty folder. Linux counts the caller's own memory into the peak: stay small."""
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
    ):
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env=_environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=err
        )
        with _stopped_with_us(process):
            _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        return Finished(
            process.returncode, seconds, usage.ru_maxrss * UNITS_OF_PEAK, _whole(out), _whole(err)
        )


def interleaved(rounds: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """Round by round every name that has rounds left, so that a slow minute hits all alike."""
    for number in range(max(rounds.values(), default=0)):
        for name, count in rounds.items():
            if number < count:
                yield name, number


def python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


def cnnkit(*arguments: str) -> list[str]:
    """The installed command where there is one: what a person types."""
    script = Path(sys.executable).parent / "cnnkit"
    return [str(script), *arguments] if script.is_file() else python("-m", "cnnkit", *arguments)


def _environment() -> dict[str, str]:
    """Ours, with `benchmarks` to be found."""
    paths = [str(SCRIPTS), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


@contextlib.contextmanager
def _stopped_with_us(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    try:
        yield
    except BaseException:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
        process.kill()
        process.wait()
        raise


def _whole(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")
