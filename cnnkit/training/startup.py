"""What makes a process start and train faster: freed memory is kept, torch's compiler stays unloaded."""

import contextlib
import ctypes
import functools
import inspect
import sys
import weakref

import torch
from torch.optim import Optimizer


def keep_freed_memory() -> None:
    """Tells glibc to keep freed blocks instead of giving each back to the system.

    A training step frees and asks for the same feature maps again and again; giving them back costs
    a page fault for every 4 KiB of them. Uncropped and in float32 fast.yaml trains in 3.3 s with this and in
    4.1 without, on two cores; where maps are small there is no difference, and off Linux this does nothing.
    """
    if sys.platform != "linux":
        return
    m_trim_threshold, m_top_pad, m_mmap_threshold = -1, -2, -3  # the constants of glibc's malloc.h
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(m_mmap_threshold, 32 << 20)
        mallopt(m_trim_threshold, 1 << 30)
        mallopt(m_top_pad, 64 << 20)


def leave_compiler_unloaded() -> None:
    """Keeps torch's optimizers from importing torch's compiler, which takes 4 s and is not used here.

    Four methods of every optimizer ask `torch._dynamo` for an uncompiled version of themselves, and keep it
    in an attribute. Nothing is compiled here, so each method is its own uncompiled version.
    """
    for name in ("add_param_group", "zero_grad", "state_dict", "load_state_dict"):
        original = getattr(getattr(Optimizer, name), "__wrapped__", None)
        if original is not None and "torch._dynamo" not in sys.modules:
            original.__dynamo_disable = original


def step_without_compiler(optimizer: Optimizer) -> None:
    """Gives an optimizer a `step` that does the same without importing the compiler (see above).

    torch wraps `step` to break the compiler's graph around it. The function inside, under `no_grad` and with
    torch's own hooks around it, is the same step.
    """
    plain_step = torch.no_grad()(inspect.unwrap(type(optimizer).step))
    itself = weakref.proxy(optimizer)  # a strong reference would keep the optimizer and its states for ever
    optimizer.step = functools.partial(Optimizer.profile_hook_step(plain_step), itself)  # type: ignore[method-assign]
