"""A busy machine: as many threads as there are idle cores, chosen once for a run."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import TINY
from support import Tiny, call

import cnnkit
from cnnkit.config.runtime import RuntimeConfig
from cnnkit.errors import Interrupted
from cnnkit.events import Note
from cnnkit.training import idle_cores
from cnnkit.training.device import Placement
from cnnkit.training.idle_cores import IdleCores

FOUR = Placement(torch.device("cpu"), "float32", threads=4)


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The number of free cores that the system tells; a test may change it."""
    cores = [4.0]
    monkeypatch.setattr(idle_cores, "_free_seconds", lambda: cores[0] * time.perf_counter())
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr("cnnkit.training.device.available_cpus", lambda: 4)
    return cores


@pytest.mark.parametrize(
    ("cores", "threads"), [(4.0, 4), (3.8, 4), (3.0, 3), (2.6, 2), (1.1, 1), (0.2, 1), (9.0, 4)]
)
def test_there_is_a_thread_for_each_free_core(free: list[float], cores: float, threads: int) -> None:
    free[0] = cores
    told: list[Note] = []
    assert IdleCores().fit(FOUR, RuntimeConfig(), told.append) == replace(FOUR, threads=threads)
    assert len(told) == (threads < 4)


def test_a_configured_number_of_threads_stays(free: list[float]) -> None:
    free[0] = 1.0
    assert IdleCores().fit(FOUR, RuntimeConfig(threads=4)) == FOUR


def test_a_gpu_needs_no_idle_cores(free: list[float]) -> None:
    free[0] = 1.0
    on_gpu = replace(FOUR, device=torch.device("cuda"))
    assert IdleCores().fit(on_gpu, RuntimeConfig()) == on_gpu


def test_a_system_that_does_not_tell_counts_as_idle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for text in (None, "", "cpu0 some words\n", "\xff"):
        path = tmp_path / "stat"
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text, encoding="latin-1")
        monkeypatch.setattr(idle_cores, "SYSTEM_TIMES", path)
        assert IdleCores().fit(FOUR, RuntimeConfig()) == FOUR


class Machine:
    """A clock that only sleeping moves on, and two cores of which others use so much at each time.

    busy: (from, to, cores), times in seconds. The system's counters hold whole hundredths, rounded down.
    """

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, stat: Path, busy: list[tuple[float, float, float]]
    ) -> None:
        self.now, self.stat, self.busy = 0.0, stat, busy
        monkeypatch.setattr(idle_cores, "SYSTEM_TIMES", stat)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
        monkeypatch.setattr(os, "sysconf", lambda _: 100)
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(time, "process_time", lambda: 0.0)
        monkeypatch.setattr(time, "sleep", self.sleep)
        self.sleep(0.0)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        used = sum(cores * max(0.0, min(self.now, to) - begin) for begin, to, cores in self.busy)
        first = max(0.0, self.now - used)
        second = self.now - max(0.0, used - self.now)
        idle = (int(100 * first + 1e-6), int(100 * second + 1e-6))
        self.stat.write_text("".join(f"cpu{core} 0 0 0 {ticks} 0 0\n" for core, ticks in enumerate(idle)))


@pytest.mark.parametrize(
    ("busy", "threads", "seconds"),
    [
        ([], 2, 0.1),
        ([(0.0, 0.03, 1.0)], 2, 0.3),  # 1.7 free cores in the first look
        ([(0.0, 0.1, 1.0)], 2, 0.3),  # a whole core, which is free a moment later
        ([(0.0, 9.0, 1.0)], 1, 0.3),
        ([(0.0, 9.0, 0.5)], 1, 0.3),
        ([(0.0, 9.0, 2.0)], 1, 0.3),
        ([(0.08, 9.0, 1.0)], 2, 0.1),  # begun too late to be seen
        ([(0.05, 9.0, 1.0)], 1, 0.3),
    ],
)
def test_a_moment_of_work_takes_no_thread_and_a_busy_core_does(
    busy: list[tuple[float, float, float]],
    threads: int,
    seconds: float,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    two = replace(FOUR, threads=2)
    machine = Machine(monkeypatch, tmp_path / "stat", busy)
    assert IdleCores().fit(two, RuntimeConfig()).threads == threads
    assert machine.now == pytest.approx(seconds)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="only Linux tells which cores are allowed")
def test_only_cores_that_the_process_may_use_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    monkeypatch.setattr(idle_cores, "SYSTEM_TIMES", stat)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 2})
    monkeypatch.setattr(time, "process_time", lambda: 0.0)
    rows = ["cpu  1 2 3 4", *(f"cpu{core} 5 5 5 {idle} 70 0 0 3" for core, idle in enumerate((7, 20, 400)))]
    stat.write_text("\n".join(rows))
    assert idle_cores._free_seconds() == (420 + 2 * 70) / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(not Path("/proc/stat").is_file(), reason="only Linux has /proc/stat")
def test_what_this_process_uses_itself_counts_as_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle_cores, "SYSTEM_TIMES", Path("/proc/stat"))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    before, began = idle_cores._free_seconds(), time.process_time()
    while time.process_time() - began < 0.05:
        pass
    assert idle_cores._free_seconds() - before >= 0.05


def test_an_interrupted_run_goes_on_with_the_threads_that_it_began_with(
    free: list[float], tiny: Tiny, tmp_path: Path
) -> None:
    config = tiny("training.epochs=2", "model.dropout=0.5")
    free[0] = 2.0
    whole = cnnkit.train(config, tmp_path / "whole", progress=False)

    def stop(event: object) -> None:
        if isinstance(event, cnnkit.events.EpochRecord):
            os.kill(os.getpid(), 2)

    with pytest.raises(Interrupted):
        cnnkit.train(config, tmp_path / "stopped", progress=stop)
    assert cnnkit.open_run(tmp_path / "stopped").folder.threads == 2
    free[0] = 1.0
    told: list[object] = []
    resumed = cnnkit.open_run(tmp_path / "stopped").resume(progress=told.append)
    assert (whole.result.threads, resumed.threads) == (2, 2)
    assert not [event for event in told if isinstance(event, Note)]
    before, after = (cnnkit.open_run(tmp_path / name).model().state_dict() for name in ("whole", "stopped"))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_run_and_an_evaluation_tell_that_the_machine_is_busy(
    free: list[float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    free[0] = 1.3
    (tmp_path / "tiny.yaml").write_text(TINY)
    trained = call(capsys, "train", "--config", "tiny.yaml", "--out", "run")
    measured = call(capsys, "eval", "run")
    for outcome in (trained, measured):
        assert outcome.code == 0
        assert "1.3 of 4 cores are free" in " ".join(outcome.err.split())
