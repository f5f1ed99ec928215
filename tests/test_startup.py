"""What makes a process quick changes nothing else."""

import ctypes
import gc
import os
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

import cnnkit
from cnnkit.training.device import keep_freed_memory
from cnnkit.training.optimizers import step_without_compiler


def parameter_after_steps(optimizer_class: type[torch.optim.Optimizer], light: bool) -> torch.Tensor:
    weight = torch.nn.Parameter(torch.arange(6.0))
    optimizer = optimizer_class([weight], lr=0.1)
    if light:
        step_without_compiler(optimizer)
    for number in range(3):
        weight.grad = torch.full_like(weight, 0.5 + number)
        optimizer.step()
    return weight.detach()


@pytest.mark.parametrize("optimizer_class", [torch.optim.SGD, torch.optim.Adam, torch.optim.RMSprop])
def test_a_step_without_the_compiler_is_the_same_step(optimizer_class: type[torch.optim.Optimizer]) -> None:
    light, plain = (parameter_after_steps(optimizer_class, light) for light in (True, False))
    assert torch.equal(light, plain)
    assert not torch.equal(light, torch.arange(6.0))


def test_an_optimizer_that_nobody_holds_is_gone_at_once() -> None:
    gc.disable()  # it may not wait for a look for unreachable objects, which are rare here
    try:
        optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])
        step_without_compiler(optimizer)
        optimizer.step()
        itself = weakref.ref(optimizer)
        del optimizer
        assert itself() is None
    finally:
        gc.enable()


def test_a_step_without_the_compiler_still_calls_the_hooks() -> None:
    called: list[int] = []
    hook = register_optimizer_step_post_hook(lambda *_: called.append(1))
    parameter_after_steps(torch.optim.Adam, light=True)
    hook.remove()
    assert len(called) == 3


class Libc:
    """A C library that only remembers what it was asked for."""

    def __init__(self) -> None:
        self.options: dict[int, int] = {}

    def mallopt(self, option: int, value: int) -> None:
        self.options[option] = value


@pytest.mark.parametrize(
    ("platform", "options"),
    [("linux", {-1: 1 << 30, -2: 64 << 20, -3: 32 << 20}), ("darwin", {}), ("win32", {})],
)
def test_glibc_alone_is_told_to_keep_freed_memory(
    platform: str, options: dict[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    libc = Libc()
    monkeypatch.setattr(ctypes, "CDLL", lambda _: libc)
    monkeypatch.setattr(sys, "platform", platform)
    keep_freed_memory()
    assert libc.options == options


def test_a_linux_without_glibc_starts_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    keep_freed_memory()


def test_a_process_does_not_look_through_what_it_imported_before_it_ends() -> None:
    code = """
import atexit, gc, sys
atexit.register(lambda: print(gc.get_freeze_count() > 1000, gc.isenabled()))  # runs last
from cnnkit.__main__ import main
sys.argv = ["cnnkit", "--version"]
sys.exit(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-2:] == ["True", "True"]


def test_little_is_imported_before_ctrl_c_has_an_answer() -> None:
    """Until then Python itself answers it, with a traceback."""
    told = "import sys; before = set(sys.modules); import cnnkit.__main__; print(*set(sys.modules) - before)"
    environment = {**os.environ, "PYTHONPATH": str(Path(cnnkit.__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, "-S", "-c", told], capture_output=True, text=True, check=True, env=environment
    )
    assert "cnnkit.signals" in done.stdout.split()
    assert not {"typing", "re", "typer", "torch"} & {*done.stdout.split()}
