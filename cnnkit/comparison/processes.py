"""How worker processes start."""

import multiprocessing
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import ForkServerContext, SpawnContext

from cnnkit.signals import ctrl_c_blocked


def worker_context() -> ForkServerContext | SpawnContext:
    """Workers are forked from a process that has imported torch and run nothing, where that exists."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["cnnkit.comparison.trial"])
    return context


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


def import_ahead() -> None:
    """Starts the process that workers are forked from, which imports torch while this process does, too.

    That saves 1.6 s on two cores. Call it from the main thread only. The new process blocks Ctrl-C: this
    process answers it.
    """
    if isinstance(worker_context(), ForkServerContext):
        resource_tracker.ensure_running()  # Start it first: started in the block it would unblock SIGINT.
        with ctrl_c_blocked(), main_module_hidden():
            forkserver.ensure_running()
