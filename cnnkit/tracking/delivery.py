"""The way to a tracker: a queue that never blocks, a thread that empties it, and a process that takes it."""

import contextlib
import importlib.util
import json
import os
import pickle
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from cnnkit.events import Note, NoteListener
from cnnkit.families.trackers import TRACKERS, Tracker
from cnnkit.files import write_json
from cnnkit.signals import ctrl_c_blocked
from cnnkit.tracking.messages import Message
from cnnkit.tracking.taker import ENDED, memory_path
from cnnkit.words import counted, listed

MOST_WAITING = 10_000  # messages
# Seconds to wait after the end: while nothing is taken, and in all. MLflow's first database took 35 s on busy
# cores.
QUIET, LONGEST = 10.0, 60.0
KILLED = 5.0  # seconds to wait for what a killed process leaves; what it has started may live on
SILENT = 1.0  # seconds after the end until a person is told what is waited for
# What a tracker's process may use of one processor while something trains, as a share of the time since that
# began: it cannot cost the training more, not even where all processors train.
SHARE = 0.02
# The process imports what this one can, but nothing that only happens to lie in the current folder.
TAKER = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from cnnkit.tracking.taker import main; main(*sys.argv[2:])"
)


class Delivery:
    """Messages on their way to one tracker. Nothing here waits for it but `close`."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker
        self.complaints: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._queue: queue.Queue[Message | None] = queue.Queue(MOST_WAITING)
        self._lost, self._killed = 0, False
        self._began, self._ended = time.monotonic(), threading.Event()
        self._answered = False  # a busy machine may take long to import a library, and to make a database
        self._last_taken = time.monotonic()
        self._process: subprocess.Popen[bytes] | None = None
        self._sender = threading.Thread(target=self._send, daemon=True)
        self._sender.start()

    def put(self, message: Message) -> None:
        try:
            self._queue.put_nowait(message)
        except queue.Full:
            self._lost += 1

    def end(self) -> None:
        """No message comes after this."""
        self._last_taken = time.monotonic()
        self._ended.set()
        while True:
            try:
                return self._queue.put_nowait(None)
            except queue.Full:
                with contextlib.suppress(queue.Empty):
                    self._queue.get_nowait()
                    self._lost += 1

    def is_done(self, latest: float) -> bool:
        """Whether nothing is under way any more; waits for it. latest: as `time.monotonic` has it."""
        self._sender.join(max(0.0, latest - time.monotonic()))
        return not self._sender.is_alive()

    def close(self, latest: float) -> None:
        """Waits until all messages are taken, or none was for a while. latest: as `time.monotonic` has it."""
        while self._sender.is_alive() and time.monotonic() < self._until(latest):
            self._sender.join(0.02)
        if self._process and self._sender.is_alive():
            self._complain("it takes too long; what it has not taken is dropped")
            self._killed = True
            self._process.kill()
            self._sender.join(KILLED)
        if self._lost:
            self._complain(f"{counted(self._lost, 'message')} could not be delivered, and are dropped")

    def _until(self, latest: float) -> float:
        return min(latest, self._last_taken + QUIET) if self._answered else latest

    def _complain(self, words: str) -> None:
        self.complaints.put(f"{self.tracker.name}: {words}")

    def _send(self) -> None:
        """The thread: starts the process when its share is reached, or at the end, and writes to it."""
        training = not self._ended.wait(self.tracker.seconds / SHARE)
        pace = (str(SHARE), str(time.monotonic() - self._began)) if training else ()
        environment = json.dumps([path for path in sys.path if path])
        arguments = (environment, self.tracker.name, self.tracker.path, *pace)
        command = [sys.executable, "-I", "-c", TAKER, *arguments]
        try:
            with ctrl_c_blocked() if hasattr(os, "fork") else contextlib.nullcontext():
                self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        except OSError as error:
            self._complain(f"its process cannot be started: {error.strerror}")
            return
        listener = threading.Thread(target=self._listen, args=(self._process.stdout,), daemon=True)
        listener.start()
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # the process has ended: `_listen` tells
            while (message := self._queue.get()) is not None:
                self._process.stdin.write(pickle.dumps(message))
                self._process.stdin.flush()
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        listener.join()
        if self._process.wait() and not self._killed:
            self._complain("its process has ended too early; the rest is dropped")

    def _listen(self, answers: IO[bytes]) -> None:
        with answers:
            for line in answers:
                told: dict[str, Any] = json.loads(line)
                self._answered, self._last_taken = True, time.monotonic()
                if "told" in told:
                    self._complain(f"{told['told']}; the training goes on, and this is tried again")
                self._lost += told.get("lost", 0)


def is_installed(tracker: Tracker) -> bool:
    return importlib.util.find_spec(tracker.library) is not None


class Deliveries:
    """To all trackers that are asked for. A tracker whose library is missing is told of, and left out."""

    def __init__(self, names: Sequence[str], notify: NoteListener) -> None:
        self.notify = notify
        self._open: list[Delivery] = []
        for tracker in (TRACKERS[name] for name in dict.fromkeys(names)):
            if not is_installed(tracker):
                notify(
                    Note(
                        f"{tracker.name} is told nothing, because its library is missing: "
                        f"pip install 'cnnkit[{tracker.extra}]'"
                    )
                )
            else:
                self._open.append(Delivery(tracker))

    def tell(self, *messages: Message) -> None:
        """Never waits, and never raises."""
        for delivery in self._open:
            for message in messages:
                delivery.put(message)

    def remember(self, folder: Path) -> None:
        """Keeps in a folder which trackers are told of it, before the first of them has taken anything."""
        for path in (memory_path(folder, delivery.tracker.name) for delivery in self._open):
            if not path.is_file():
                write_json(path, {ENDED: False})

    def pass_on(self) -> None:
        """Tells what trackers complained of since."""
        for delivery in self._open:
            while not delivery.complaints.empty():
                self.notify(Note(delivery.complaints.get()))

    def close(self) -> None:
        """Waits some seconds for what is under way; the rest is dropped, and told."""
        now = time.monotonic()
        for delivery in self._open:
            delivery.end()
        if slow := [one.tracker.name for one in self._open if not one.is_done(now + SILENT)]:
            self.notify(Note(f"waiting for {listed(slow)} to take the rest"))
        for delivery in self._open:
            delivery.close(now + LONGEST)
        self.pass_on()
