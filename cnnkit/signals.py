"""What Ctrl-C (SIGINT) and SIGTERM do. Every signal handler of cnnkit is here."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

Handler = Callable[[int, FrameType | None], None]
IMPORT_WAIT = 0.05  # seconds between two looks at whether an import has ended


def answer_ctrl_c() -> None:
    """From now on Ctrl-C raises KeyboardInterrupt; during an import it ends the process, exit code 130."""
    signal.signal(signal.SIGINT, _leave_or_raise)


def ignore_ctrl_c() -> None:
    """For a worker: its parent stops it. The terminal sends Ctrl-C to both."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def collected() -> Iterator[list[int]]:
    """Collects the numbers of the signals that arrive, for a loop to look at.

    A second signal stops at once. Outside of the main thread no signal arrives.
    """
    received: list[int] = []

    def collect(number: int, frame: FrameType | None) -> None:
        if received:
            _leave_or_raise(number, frame)
        received.append(number)

    with _handled_by(collect):
        yield received


@contextmanager
def raised() -> Iterator[list[int]]:
    """Raises KeyboardInterrupt(number) when a signal arrives; during an import, when the import has ended.

    Python drops an exception that a destructor raises, so the numbers are collected, too: a loop looks at
    them and raises again.

    Unlike `answer_ctrl_c` it never ends the process, so that the caller can stop its workers and say how
    to go on.
    """

    received: list[int] = []

    def raise_after_import(number: int, frame: FrameType | None) -> None:
        if _importing(frame):
            again = threading.Timer(IMPORT_WAIT, os.kill, (os.getpid(), number))
            again.daemon = True
            again.start()
        else:
            received.append(number)
            raise KeyboardInterrupt(number)

    with _handled_by(raise_after_import):
        yield received


@contextmanager
def ctrl_c_blocked() -> Iterator[None]:
    """Blocks Ctrl-C in this thread; a process that is started inside the block never receives it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _handled_by(handler: Handler) -> Iterator[None]:
    """Only the main thread may set handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _leave_or_raise(number: int, frame: FrameType | None) -> None:
    if _importing(frame):
        os._exit(128 + number)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)


def _importing(frame: FrameType | None) -> bool:
    """Whether an import runs. An exception in it can abort the process, or make a later import fail."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
