"""How worker processes start."""

import multiprocessing
import signal
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import ForkServerContext, SpawnContext


def worker_context() -> ForkServerContext | SpawnContext:
    """Workers are forked from a process that has imported torch and run nothing, where that exists."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["cnnkit.trials"])
    return context


def import_ahead() -> None:
    """Has the process that workers are forked from import torch while this one does: 1.6 s on two cores.

    Only from the main thread. Ctrl-C is this process's to answer, also while that one imports.
    """
    if isinstance(worker_context(), ForkServerContext):
        resource_tracker.ensure_running()  # started inside the block, it would lift it
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # the new process keeps it
        forkserver.ensure_running()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
