"""How worker processes start."""

import multiprocessing
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, SpawnContext


def worker_context() -> ForkServerContext | SpawnContext:
    """Workers are forked from a process that has imported torch and run nothing, where that exists."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["cnnkit.trials"])
    return context


def import_ahead() -> None:
    """Has that process import torch while this one does: 1.6 s of a comparison on two cores."""
    if isinstance(worker_context(), ForkServerContext):
        forkserver.ensure_running()
