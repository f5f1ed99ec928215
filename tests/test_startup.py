"""What makes a process quick changes nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from cnnkit.startup import step_without_compiler

TRAIN_AND_LIST = """
import sys
from cnnkit.cli import main
sys.argv = ["cnnkit", "train", "--config", {config!r}, "--quiet"]
try:
    main()
except SystemExit as end:
    code = end.code
heavy = ("torch._dynamo", "torchvision", "sympy", "scipy", "sklearn")
print(code, [name for name in heavy if name in sys.modules])
"""


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


def test_a_step_without_the_compiler_still_calls_the_hooks() -> None:
    called: list[int] = []
    hook = register_optimizer_step_post_hook(lambda *_: called.append(1))
    parameter_after_steps(torch.optim.Adam, light=True)
    hook.remove()
    assert len(called) == 3


def test_a_second_training_loads_neither_the_compiler_nor_what_prepared_the_data(tiny_file: Path) -> None:
    script = TRAIN_AND_LIST.format(config=str(tiny_file))
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"
