"""Processes that others start: how many there is room for, and how they begin and end."""

import contextlib
import math
import multiprocessing
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path

from cnnkit import signals

CGROUPS = Path("/sys/fs/cgroup")


def available_cpus() -> int:
    """How many CPUs this process may use: its affinity, and the quota of its container (cgroup v2 or v1)."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min(allowed, _cgroup_quota())))


def _cgroup_quota() -> float:
    """CPU time per time that the container may use; infinite where nothing limits it."""
    with contextlib.suppress(OSError, ValueError):  # version 2: "200000 100000", or "max 100000"
        quota, period = (CGROUPS / "cpu.max").read_text().split()
        return math.inf if quota == "max" else int(quota) / int(period)
    with contextlib.suppress(OSError, ValueError):  # version 1: -1 for no limit
        quota_us = int((CGROUPS / "cpu" / "cpu.cfs_quota_us").read_text())
        period_us = int((CGROUPS / "cpu" / "cpu.cfs_period_us").read_text())
        return math.inf if quota_us < 0 else quota_us / period_us
    return math.inf


def peak_memory() -> int | None:
    """The most bytes of memory that this process has taken; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def begin_worker() -> None:
    """What a worker process does first: its parent answers Ctrl-C, and it never outlives its parent."""
    signals.ignore_ctrl_c()
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


@contextmanager
def starting_processes() -> Iterator[None]:
    """Processes that are started in the block never receive Ctrl-C, which this process answers.

    Nor do they run the user's script again.
    """
    if sys.platform == "win32":
        with main_module_hidden():
            yield
        return
    resource_tracker.ensure_running()  # Start it first: started in the block it would unblock SIGINT.
    with signals.ctrl_c_blocked(), main_module_hidden():
        yield


@contextmanager
def main_module_hidden() -> Iterator[None]:
    """Keeps processes that are started in the block from running the user's script again.

    multiprocessing has each new process import the main module. Workers need nothing of it, and a script
    without `if __name__ == "__main__"` would train and compare once more in each of them.
    """
    main = sys.modules["__main__"]
    names = [name for name in ("__file__", "__spec__") if name in main.__dict__]
    hidden: dict[str, object] = {name: main.__dict__.pop(name) for name in names}
    main.__spec__ = None
    try:
        yield
    finally:
        main.__dict__.update(hidden)
