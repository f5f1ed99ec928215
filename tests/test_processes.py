"""How processes begin: what is set before torch is imported, and which images workers read once."""

import importlib.util
import multiprocessing
import os
import subprocess
import sys
from multiprocessing import forkserver
from pathlib import Path

import pytest
from support import posix_signals

from cnnkit.__main__ import SPINS, sleep_soon
from cnnkit.comparison import local as executors
from cnnkit.comparison.processes import worker_context
from cnnkit.config.augmentation import AugmentConfig
from cnnkit.config.images import DataConfig
from cnnkit.processes import starting_processes


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, SPINS),
        ({"GOMP_SPINCOUNT": "7"}, "7"),
        ({"OMP_WAIT_POLICY": "passive"}, None),
    ],
)
def test_waiting_threads_sleep_soon_unless_somebody_says_otherwise(
    said: dict[str, str], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    sleep_soon()
    assert os.environ.get("GOMP_SPINCOUNT") == expected


@posix_signals
def test_a_process_that_is_started_for_work_does_not_receive_ctrl_c() -> None:
    code = "import signal as s; print(s.SIGINT in s.pthread_sigmask(s.SIG_BLOCK, ()))"
    command = [sys.executable, "-c", code]
    with starting_processes():
        multiprocessing.get_context("spawn").SimpleQueue()  # starts the resource tracker, if nobody has
        started = subprocess.run(command, capture_output=True, text=True, check=True)
    usual = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (started.stdout.strip(), usual.stdout.strip()) == ("True", "False")


def test_it_is_said_before_torch_is_imported() -> None:
    code = "import sys, cnnkit.__main__; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_workers_read_the_images_of_a_study_once_whatever_else_is_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[DataConfig] = []
    monkeypatch.setattr(executors, "load_data", lambda data: read.append(data) or ((), ()))
    executors._images.cache_clear()
    for augment in (AugmentConfig(), AugmentConfig(rotate=5)):
        executors._images(executors._source(DataConfig(dataset="digits", validation=0.1, augment=augment)))
    assert len(read) == 1
    executors._images(executors._source(DataConfig(dataset="digits", root="elsewhere")))
    executors._images.cache_clear()
    assert len(read) == 2


def test_what_workers_are_forked_from_imports_modules_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is gone would be passed over in silence, and each worker would import torch."""
    named: list[str] = []
    monkeypatch.setattr(forkserver, "set_forkserver_preload", named.extend)
    worker_context()
    assert all(importlib.util.find_spec(name) for name in named)
    assert named


@posix_signals
def test_ctrl_c_in_the_middle_of_an_import_leaves_at_once_with_130(tmp_path: Path) -> None:
    """torch's C++ would abort on the exception, and NumPy's be told to be missing."""
    (tmp_path / "library.py").write_text("import signal; signal.raise_signal(signal.SIGINT); 1")
    code = """
import signal
from cnnkit.signals import answer_ctrl_c
answer_ctrl_c()
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("raised", flush=True)
try:
    import library
except BaseException:
    print("went on")
"""
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "raised\n", "")


@posix_signals
def test_ctrl_c_in_an_import_beside_running_trials_stops_them_after_the_import(tmp_path: Path) -> None:
    library = "import signal; signal.raise_signal(signal.SIGINT); print('imported')"
    (tmp_path / "library.py").write_text(library)
    code = """
import time
from cnnkit.signals import answer_ctrl_c, raised
answer_ctrl_c()
try:
    with raised() as received:
        import library
        time.sleep(60)
except KeyboardInterrupt:
    print("stopped by", received)
"""
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "imported\nstopped by [2]\n", "")


@posix_signals
@pytest.mark.skipif(not hasattr(os, "killpg"), reason="there are no process groups here")
def test_ctrl_c_while_workers_import_is_answered_in_one_line(tiny_file: os.PathLike[str]) -> None:
    """The process that workers are forked from is in the terminal's group, too."""
    command = [sys.executable, "-m", "cnnkit", "compare-pooling", "--config", str(tiny_file), "--seeds", "1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True, text=True)
    try:
        process.communicate(timeout=0.8)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 2)
    _, told = process.communicate(timeout=60)
    assert "Traceback" not in told
    assert process.returncode == 130
