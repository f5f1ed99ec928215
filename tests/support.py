"""The command line, called in this process or in one of its own, and a small training to call it with."""

import itertools
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import pytest
import torch
from conftest import TINY
from torch.optim.optimizer import register_optimizer_step_post_hook

from cnnkit.__main__ import main
from cnnkit.api import functions
from cnnkit.comparison import local as comparison
from cnnkit.comparison.trial import Trial, run_trial
from cnnkit.config.load import parse_config
from cnnkit.config.own_code import trust_values
from cnnkit.config.schema import Config
from cnnkit.data.dataset import Splits
from cnnkit.events import Forecast
from cnnkit.experiment.new_run import create_run
from cnnkit.experiment.train import begin, prepare, run_experiment
from cnnkit.families.datasets import ImageInfo
from cnnkit.filenames import FAILURE
from cnnkit.files import write_atomically, write_json
from cnnkit.kept import CHECKSUM, sealed
from cnnkit.training.state import Training

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
SIGKILL = getattr(signal, "SIGKILL", 9)  # Windows has no such name
posix_signals = pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no POSIX signals")
posix_files = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no umask")
bash_scripts = pytest.mark.skipif(sys.platform == "win32", reason="the scripts run in bash")

Tiny = Callable[..., Config]  # what the fixture `tiny` is
EVERYTHING = (  # that draws or remembers
    "model.dropout=0.5",
    "model.feature_dropout=0.1",
    "data.augment={rotate: 10, translate: 1, zoom: 0.1, flip: 0.1, brightness: 0.2, erase: 0.2}",
    "training.weight_averaging=0.9",
    "training.hardest=0.9",
)
# Each process is forked from one that has imported torch and run nothing: that saves 3 s a process.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["cnnkit.experiment.train"])
LONGEST_WAIT = 120  # seconds
SLOW_STEP = 0.03  # seconds: what makes an epoch long enough to be hit by the clock


def info(shape: tuple[int, int, int], classes: int = 10) -> ImageInfo:
    """Images of this shape (C, H, W), of classes that are called 0, 1, …"""
    return ImageInfo(shape, tuple(map(str, range(classes))))


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str


OWN_POOLING = """
import torch.nn.functional as F
from torch import nn


class Own(nn.Module):
    def __init__(self, k):
        super().__init__()
        self.k = k

    def forward(self, maps):
        return F.max_pool2d(maps, self.k)
"""


def own_pooling_file(path: Path) -> str:
    """Writes a pooling into a file, and lets it run; returns how a configuration names it."""
    path.write_text(OWN_POOLING)
    trust_values({"model.pooling": [f"{path}:Own"]})
    return f"{path}:Own"


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> Outcome:
    """One command line, in this process."""
    capsys.readouterr()
    with mock.patch.object(sys, "argv", ["cnnkit", *map(str, arguments)]):
        try:
            code = main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
    return Outcome(code, *capsys.readouterr())


def start(target: Callable[..., None], *arguments: object) -> ForkServerProcess:
    """A process that does what `target` says, with the environment of the test that starts it."""
    process = PROCESSES.Process(target=_in_environment, args=(dict(os.environ), target, *arguments))
    process.start()
    return process


def _in_environment(environment: dict[str, str], target: Callable[..., None], *arguments: object) -> None:
    os.environ.clear()
    os.environ.update(environment)
    # An earlier comparison in the tests' own process may have started the fork server with Ctrl-C blocked.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    target(*arguments)


def exit_code(process: ForkServerProcess) -> int | None:
    """Waits for the end; negative for a signal, None where it takes too long."""
    process.join(LONGEST_WAIT)
    code = process.exitcode
    process.kill()
    return code


def command(log: Path, *arguments: object) -> None:
    """One command line in a process of its own: a target of `start`. log: gets everything printed."""
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    sys.argv = ["cnnkit", *map(str, arguments)]
    sys.exit(main())


def only_steps_that_count() -> None:
    """From now on no step is taken in this process to tell how long a training will take."""
    functions.forecast = lambda *_: Forecast(0.0)


def signalled_command(number: signal.Signals, at: str, moment: int, log: Path, *arguments: object) -> None:
    """The same, but a signal arrives after the given optimizer step, or just before a file takes its place.

    at: "step", or the file's name. moment: which of these, counted from 1.
    """
    count = itertools.count(1)
    replace = Path.replace

    def tick(*_: object) -> None:
        if next(count) == moment:
            os.kill(os.getpid(), number)

    def ticking(aside: Path, target: Path) -> Path:
        if target.name == at:
            tick()
        return replace(aside, target)

    if at == "step":
        only_steps_that_count()
        register_optimizer_step_post_hook(tick)
    else:
        Path.replace = ticking  # type: ignore[method-assign]
    command(log, *arguments)


def killed_by_the_clock(seconds: float, log: Path, *arguments: object) -> None:
    """The same, with slow steps, and SIGKILL that long after the first of them, whatever is being done."""
    clock = threading.Timer(seconds, os.kill, (os.getpid(), SIGKILL))

    def slow(*_: object) -> None:
        if not clock.is_alive():
            clock.start()
        time.sleep(SLOW_STEP)

    only_steps_that_count()
    register_optimizer_step_post_hook(slow)
    command(log, *arguments)


def kept_json(path: Path) -> dict[str, Any]:
    """What a JSON file holds, without its checksum: `results.json` and `study.json` have one."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    content.pop(CHECKSUM, None)
    return content


def keep_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes it with a checksum that fits, as a forger would."""
    write_json(path, sealed(content))


class Here:
    """Runs trials in this process, which saves the workers' start.

    fails: why a trial does not run, its text for `failure.txt`; empty for one that does.
    """

    seeds_at_once: int | None = None

    def __init__(self, home: Path, fails: Callable[[Trial], str] = lambda _: "") -> None:
        self.home, self.fails = home, fails

    def one_by_one(self, home: Path) -> "Here":
        return Here(home, self.fails)

    def run(self, trials: Iterable[Trial], *_: object) -> Generator[comparison.Outcome]:
        threads = torch.get_num_threads()
        for trial in trials:
            folder = self.home / trial.folder
            if reason := self.fails(trial):
                write_atomically(folder / FAILURE, reason)
                yield comparison.Outcome(trial, reason)
            else:
                run_trial(trial, folder)
                yield comparison.Outcome(trial, None)
        torch.set_num_threads(threads)


def finished_run(folder: Path, cache: Path, *overrides: str) -> Path:
    """A run of the tiny configuration for the tests of a whole module: none may change it."""
    config = parse_config(TINY, "tiny", ["runtime.threads=1", *overrides])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        run_experiment(config, create_run(config, "tiny", folder))
    return folder


def begun(config: Config) -> tuple[Training, Splits]:
    """A training that has not taken a step, and its images."""
    setting = prepare(config)
    return begin(config, setting.placement, setting.splits), setting.splits


def bitwise_equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def script_module(name: str) -> ModuleType:
    """`scripts/<name>`, a program without an ending, as a module."""
    loader = SourceFileLoader(f"{name}_script", str(SCRIPTS / name))
    specification = spec_from_loader(loader.name, loader)
    assert specification is not None
    module = sys.modules[loader.name] = module_from_spec(specification)
    loader.exec_module(module)
    return module


def commands(group: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every command of the command line with its path, such as `config copy`; also each group of commands."""
    yield path, group
    for name, child in getattr(group, "commands", {}).items():
        yield from commands(child, f"{path} {name}".strip())
