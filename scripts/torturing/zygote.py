"""Forks a process for each command line, from one that has imported torch and run nothing: 2 s less a try.

Reads requests and writes replies, a line of JSON each. A request starts a command, or waits for one.
"""

import atexit
import importlib
import json
import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

# Not cnnkit.cli and cnnkit.api: they look at standard output when they are imported.
PRELOADED = (
    *("torch", "scipy.stats", "PIL.Image", "jinja2", "filelock", "typer.rich_utils", "rich.progress"),
    *("cnnkit.report.page", "cnnkit.comparison.runner"),
)
WATCHED = ("open", "os.rename", "os.remove", "os.mkdir", "os.symlink", "os.rmdir", "os.listdir", "os.scandir")
LOOK = 0.002  # seconds between two looks at a process that is waited for


def main() -> int:
    for module in PRELOADED:
        importlib.import_module(module)
    requests, replies = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    for line in requests:
        request = json.loads(line)
        if "wait" in request:
            reply = wait(**request)
        elif pid := os.fork():
            reply = {"pid": pid}
        else:
            return become(**request)  # leaves by the end of the interpreter, as a command does
        replies.write(json.dumps(reply) + "\n")
        replies.flush()
    return 0


def wait(wait: int, seconds: float) -> dict[str, Any]:
    """How a process ended, or that it stopped, or neither within that time. code: negative for a signal."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pid, status = os.waitpid(wait, os.WNOHANG | os.WUNTRACED)
        if pid and os.WIFSTOPPED(status):
            return {"code": None, "stopped": True}
        if pid:
            return {"code": os.waitstatus_to_exitcode(status), "stopped": False}
        time.sleep(LOOK)
    return {"code": None, "stopped": False}


def become(
    arguments: list[str],
    folder: str,
    environment: dict[str, str],
    out: str,
    err: str,
    signals: dict[str, list[int]],
    count: str | None,
    memory: int | None,
) -> int:
    """This process is a command from here on. `processes.Workshop.start` tells what the arguments mean."""
    os.setsid()
    os.chdir(folder)
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdout, sys.stderr = _connected(1, out), _connected(2, err)
    if memory is not None:
        held = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (held + memory, held + memory))
    if signals or count:
        _Ticks({int(tick): numbers for tick, numbers in signals.items()}, count)
    sys.argv = ["cnnkit", *arguments]
    from cnnkit.__main__ import main

    return main()


def _connected(number: int, target: str) -> Any:
    """Standard output or error, into a file; None where it is closed, as Python has it then."""
    if target == "closed":
        os.close(number)
        return None
    handle = os.open(target, os.O_WRONLY | os.O_CREAT)
    os.dup2(handle, number)
    os.close(handle)
    return os.fdopen(number, "w", encoding="utf-8", closefd=False)


class _Ticks:
    """A clock that goes on by one before each file operation in the current folder, and after each step.

    Only the main thread counts, so that the same command has the same ticks again.
    """

    def __init__(self, signals: dict[int, list[int]], count: str | None) -> None:
        from torch.optim.optimizer import register_optimizer_step_post_hook

        self.passed, self.signals, self.here = 0, signals, f"{Path.cwd()}/"
        self.process = os.getpid()
        register_optimizer_step_post_hook(lambda *_: self.tick())
        sys.addaudithook(self.look)
        if count is not None:
            atexit.register(lambda: os.write(os.open(count, os.O_WRONLY | os.O_CREAT), b"%d" % self.passed))

    def look(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in WATCHED and arguments and isinstance(arguments[0], str | bytes | os.PathLike):
            path = os.fsdecode(arguments[0])
            if not path.startswith("/") or path.startswith(self.here):
                self.tick()

    def tick(self) -> None:
        if threading.current_thread() is threading.main_thread() and os.getpid() == self.process:
            self.passed += 1
            for number in self.signals.get(self.passed, ()):
                os.kill(self.process, number)


if __name__ == "__main__":
    sys.exit(main())
