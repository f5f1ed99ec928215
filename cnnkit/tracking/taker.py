"""The process that brings messages to one tracker: it imports the tracker's library, and waits for servers.

It reads pickled messages from standard input, and tells on standard output, a JSON object a line, that
something was taken, what is wrong, and how many messages were lost.
"""

import contextlib
import json
import os
import pickle
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from cnnkit import signals
from cnnkit.errors import DamagedFile
from cnnkit.families.registry import load_class
from cnnkit.filenames import tracker_file
from cnnkit.files import write_json
from cnnkit.kept import parse_json, read_kept
from cnnkit.tracking import pictures
from cnnkit.tracking.messages import (
    Confusion,
    Ended,
    File,
    Filters,
    Memory,
    Message,
    Opened,
    Refused,
    Scalars,
    Text,
    Tracked,
)

AGAIN = 2.0  # seconds until what failed is tried again
LOWEST = 19  # niceness: the training comes first
MOST_HELD = 200  # messages other than numbers; more are taken at once, lest too much is left for the end
ENDED = "ended"  # in what is kept of a tracked run: whether all of it was taken
Say = Callable[[dict[str, object]], None]
Rest = Callable[[], float]


class Taker:
    """Hands messages to the runs of a tracker, in order. kind: makes a `Tracked`."""

    def __init__(self, name: str, kind: Callable[..., Tracked], say: Say) -> None:
        self.name, self.kind, self.say = name, kind, say
        self.runs: dict[str, Tracked] = {}
        self.waiting: deque[Message] = deque()
        self.lost, self.complained = 0, False

    def take_all(self) -> bool:
        """Hands over what waits; returns whether nothing is left."""
        while self.waiting:
            if not self.take_next():
                return False
        return True

    def take_next(self) -> bool:
        """Hands over what comes next; returns whether that is done. What fails is told once, and waits."""
        message, several = self._next()
        try:
            self._take(message)
        except Refused as error:
            self._complain(error)
            self.lost += several
        except Exception as error:  # of a library, a server, a disk: none may stop a training
            self._complain(error)
            return False
        for _ in range(several):
            self.waiting.popleft()
        self.say({"taken": several})
        return True

    @property
    def holds_much(self) -> bool:
        return sum(not isinstance(message, Scalars) for message in self.waiting) > MOST_HELD

    def _next(self) -> tuple[Message, int]:
        """(what comes next, of how many messages): numbers of one run are taken together."""
        first, several = self.waiting[0], 1
        if not isinstance(first, Scalars):
            return first, 1
        rows = list(first.rows)
        for other in list(self.waiting)[1:]:
            if not isinstance(other, Scalars) or other.folder != first.folder:
                break
            rows += other.rows
            several += 1
        return replace(first, rows=rows), several

    def _take(self, message: Message) -> None:
        if isinstance(message, Opened):
            memory = kept_memory(message.folder, self.name) if message.goes_on else {}
            run = self.runs[message.folder] = self.kind(message, memory, self.runs.get(message.parent))
            self._keep(message.folder, run, ended=False)
            return
        if message.folder not in self.runs:
            raise Refused(f"{message.folder} was not opened")
        run = self.runs[message.folder]
        if isinstance(message, Scalars):
            run.scalars(message.rows)
        elif isinstance(message, Confusion):
            run.picture("confusion", *pictures.confusion_picture(message.counts, message.class_names))
        elif isinstance(message, Filters):
            run.picture("filters", *pictures.filters_picture(message.weights))
        elif isinstance(message, Text):
            run.text(message.name, message.line, message.markdown)
        elif isinstance(message, File):
            run.file(message.path)
        elif isinstance(message, Ended):
            run.end(message.state, message.seconds)
            self._keep(message.folder, run, ended=message.state == "finished")
            del self.runs[message.folder]

    def _keep(self, folder: str, run: Tracked, ended: bool) -> None:
        write_json(memory_path(folder, self.name), {**run.memory, ENDED: ended})

    def _complain(self, error: Exception) -> None:
        if not self.complained:
            self.complained = True
            self.say({"told": _in_one_line(error)})


def memory_path(folder: str | Path, name: str) -> Path:
    """Where a run directory or a study keeps what finds it again in a tracker. name: of the tracker."""
    return Path(folder) / tracker_file(name)


def kept_memory(folder: str | Path, name: str) -> Memory:
    """Empty where nothing is kept, or it cannot be read: the tracker then begins a new run."""
    with contextlib.suppress(FileNotFoundError, DamagedFile):
        found = parse_json(read_kept(memory_path(folder, name)))
        return found if isinstance(found, dict) else {}
    return {}


def _in_one_line(error: Exception) -> str:
    words = " ".join(str(error).split()) or type(error).__name__
    return words if len(words) <= 200 else f"{words[:199]}…"


def run(
    taker: Taker,
    messages: "queue.Queue[Message | None]",
    rest: Rest = lambda: 0.0,
    again: float = AGAIN,
) -> None:
    """Takes messages until None comes; then all of them, and tells how many are lost.

    rest: for how many seconds nothing should be taken now. again: seconds until what failed is tried again.
    """
    going, taken = True, True

    def wait() -> float:
        return 0.0 if taker.holds_much else rest()

    while going:
        pause = max(wait(), 0.0 if taken else again) if taker.waiting else None
        with contextlib.suppress(queue.Empty):
            new = messages.get(timeout=pause)
            while new is not None:
                taker.waiting.append(new)
                new = messages.get_nowait()
            going = False
        if not going:
            taker.take_all()
        elif not wait():
            taken = taker.take_next()
    if lost := taker.lost + len(taker.waiting):
        taker.say({"lost": lost})


def resting(share: float, age: float) -> Rest:
    """`rest` of `run`, of a process with that share of a processor. age: seconds that count already."""
    began = time.monotonic() - age
    return lambda: max(0.0, time.process_time() / share - (time.monotonic() - began))


def _read(source: BinaryIO, messages: "queue.Queue[Message | None]") -> None:
    with contextlib.suppress(EOFError, pickle.UnpicklingError):  # the training's process has ended
        while True:
            messages.put(pickle.load(source))
    messages.put(None)


def main(name: str, path: str, share: str = "", age: str = "") -> None:
    """The process. path: `module:Class` of the tracker. What libraries print is not shown.

    share, age: as in `resting`, while something trains; without them nothing does.
    """
    signals.ignore_ctrl_c()
    if share and hasattr(os, "nice"):
        os.nice(LOWEST)
    source, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "w", encoding="utf-8")
    silent = os.open(os.devnull, os.O_WRONLY)
    for standard in (1, 2):
        os.dup2(silent, standard)

    def say(told: dict[str, object]) -> None:
        with contextlib.suppress(OSError):
            print(json.dumps(told), file=answers, flush=True)

    messages: queue.Queue[Message | None] = queue.Queue()
    threading.Thread(target=_read, args=(source, messages), daemon=True).start()
    own = Taker(name, lambda *opened: load_class(path)(*opened), say)
    run(own, messages, resting(float(share), float(age)) if share else lambda: 0.0)
    os._exit(0)  # some libraries leave threads that would be waited for
