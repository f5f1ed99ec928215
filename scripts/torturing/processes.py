"""Command lines, each in a process and a folder of its own: what they printed, and how they ended."""

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

SCRIPTS = Path(__file__).resolve().parent.parent
LONGEST = 90.0  # seconds that a command may take
GRACE = 60.0  # seconds in which the children of a killed command must have gone: they may still import torch
OUT, ERR, COUNT = ".out.txt", ".err.txt", ".count.txt"  # in the folder of a try
TRACEBACK = "Traceback (most recent call last)"


class Failure(Exception):
    """Something did not hold. The message is for the person who mends it."""


@dataclass(frozen=True)
class Finished:
    """code: negative for a signal, None where it took longer than it may. stopped: by SIGSTOP."""

    command: str
    code: int | None
    out: str
    err: str
    stopped: bool = False

    def fail(self, reason: str) -> NoReturn:
        told = self.err.strip().splitlines()
        raise Failure(f"{reason}: {self.command} (exit {self.code}) {' | '.join(told[-3:])[-400:]}")

    def check(self, codes: Iterable[int]) -> "Finished":
        """Raises Failure where the command hangs, shows a traceback, or ends with another code."""
        if self.code is None:
            self.fail("takes too long")
        if TRACEBACK in self.err or TRACEBACK in self.out or "Exception ignored" in self.err:
            self.fail("a traceback")
        if self.code not in codes:
            self.fail("another exit code")
        if self.code in (1, 2) and not self.err.strip():
            self.fail("fails without a word")
        return self


@dataclass(frozen=True)
class Started:
    """A command that runs."""

    pid: int
    command: str
    folder: Path
    label: str

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)


class Workshop:
    """Starts commands. root: the folder of all tries; cache: of the prepared data. A `with` block."""

    def __init__(self, root: Path) -> None:
        self.root, self.cache = root, root / "cache"
        self.commands: list[str] = []  # of this try, for a person who repeats it
        self.started: list[Started] = []

    def __enter__(self) -> "Workshop":
        for sample in self.root.glob("sample-*"):
            shutil.rmtree(sample)  # of another version
        path = os.pathsep.join([str(SCRIPTS), str(SCRIPTS.parent), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "NO_COLOR": "1"}
        environment.pop("CNNKIT_DATA", None)
        self.zygote = subprocess.Popen(
            [sys.executable, "-m", "torturing.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**environment, "XDG_CACHE_HOME": str(self.cache)},
            start_new_session=True,  # Ctrl-C is for us
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.end_try()
        self.zygote.kill()
        self.zygote.communicate()

    def start(
        self,
        folder: Path,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        out: str = "",
        err: str = "",
        signals: Mapping[int, list[int]] | None = None,
        count: bool = False,
        memory: int | None = None,
        label: str = "",
    ) -> Started:
        """Starts a command line in a folder.

        out, err: files, or "closed". signals: numbers that it sends itself at ticks of `zygote`.
        count: whether it tells its ticks. memory: bytes that it may take beyond what torch takes.
        """
        for name in (OUT, ERR, *([COUNT] if count else [])):
            (folder / (name + label)).unlink(missing_ok=True)
        reply = self._ask(
            arguments=arguments,
            folder=str(folder),
            environment=dict(environment or {}),
            out=out or str(folder / (OUT + label)),
            err=err or str(folder / (ERR + label)),
            signals=dict(signals or {}),
            count=str(folder / (COUNT + label)) if count else None,
            memory=memory,
        )
        command = "cnnkit " + shlex.join(arguments)
        sent = [
            f"{signal.Signals(n).name} at tick {tick}" for tick, ns in (signals or {}).items() for n in ns
        ]
        self.commands.append("  # ".join(filter(None, (command, ", ".join(sent)))))
        self.started.append(Started(reply["pid"], command, folder, label))
        return self.started[-1]

    def wait(self, started: Started, seconds: float = LONGEST) -> Finished:
        """Waits until a command ends or stops itself; kills it after that time."""
        reply = self._ask(wait=started.pid, seconds=seconds)
        if reply["code"] is None and not reply["stopped"]:
            end_session(started.pid)
            self._ask(wait=started.pid, seconds=GRACE)
        if not reply["stopped"]:
            self.started.remove(started)
        out, err = (_text(started.folder / (name + started.label)) for name in (OUT, ERR))
        return Finished(started.command, reply["code"], out, err, reply["stopped"])

    def run(self, folder: Path, *arguments: str, seconds: float = LONGEST, **options: Any) -> Finished:
        """Starts a command line and waits for its end."""
        return self.wait(self.start(folder, *arguments, **options), seconds)

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Commands in this block belong to no try: they make what several tries need."""
        before = list(self.commands)
        yield
        self.commands[:] = before

    def new_folder(self, name: str) -> Path:
        folder = self.root / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def end_try(self) -> None:
        """Ends what a try has left running."""
        for started in self.started:
            end_session(started.pid)
            self._ask(wait=started.pid, seconds=GRACE)
        self.started.clear()
        self.commands.clear()

    def _ask(self, **request: Any) -> dict[str, Any]:
        assert self.zygote.stdin is not None
        assert self.zygote.stdout is not None
        self.zygote.stdin.write(json.dumps(request) + "\n")
        self.zygote.stdin.flush()
        reply: dict[str, Any] = json.loads(self.zygote.stdout.readline())
        return reply


def ticks_of(folder: Path) -> int:
    """How many ticks the last command in a folder took that counted them."""
    return int((folder / COUNT).read_text())


def in_session(leader: int) -> list[int]:
    """The living processes of the session that a command leads: itself, its workers, their parents."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if fields[0] != "Z" and int(fields[3]) == leader:
                found.append(int(entry.name))
    return found


def end_session(leader: int) -> None:
    for pid in [*in_session(leader), leader]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def refuse_orphans(started: Started) -> None:
    """Raises Failure where processes of a command that has ended live on."""
    deadline = time.monotonic() + GRACE
    while left := in_session(started.pid):
        if time.monotonic() > deadline:
            end_session(started.pid)
            raise Failure(f"{len(left)} processes outlive {started.command}")
        time.sleep(0.02)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
