"""Where the arithmetic happens: device, precision, threads, memory."""

import contextlib
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from cnnkit.config.schema import RuntimeConfig
from cnnkit.errors import OutOfMemory, UsageError
from cnnkit.training.startup import keep_freed_memory, leave_compiler_unloaded

CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Placement:
    """What a run was given. precision: of convolutions and dense layers, float32 or bf16."""

    device: torch.device
    precision: str
    threads: int

    def autocast(self) -> torch.autocast:
        """The context in which convolutions and dense layers run at this precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    @property
    def name(self) -> str:
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        with contextlib.suppress(OSError, IndexError):
            return CPU_INFO.read_text().split("model name", 1)[1].split("\n")[0].strip("\t :")
        return platform.processor() or platform.machine()


def place(runtime: RuntimeConfig, device_name: str | None = None) -> Placement:
    """Chooses the device and sets this process up for it. Raises UsageError where there is none.

    device_name: instead of the configured one.
    """
    keep_freed_memory()
    leave_compiler_unloaded()
    if runtime.threads:
        torch.set_num_threads(runtime.threads)
    device = _choose(device_name or runtime.device)
    # Setting it imports torch's compiler, 4 s; asking is free.
    if runtime.deterministic != torch.are_deterministic_algorithms_enabled():
        torch.use_deterministic_algorithms(runtime.deterministic)
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    precision = runtime.precision
    if precision == "auto":
        precision = "bf16" if _gains_from_bf16(device) else "float32"
    return Placement(device, precision, torch.get_num_threads())


def _choose(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            found = f"{count} CUDA device(s)" if count else "no CUDA device"
            raise UsageError(
                f"the device is to be {name}, but torch {torch.__version__} finds {found} here; "
                "choose another with --device cpu, or auto"
            )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError(
            "the device is to be mps, but there is none here; choose another with --device cpu, or auto"
        )
    return device


def _gains_from_bf16(device: torch.device) -> bool:
    """Whether the hardware multiplies bf16 faster than float32.

    CUDA since Ampere; a CPU with matrix tiles (AMX), where a step of mnist.yaml takes 12.5 ms instead of
    22; AMD's with AVX512_BF16. Intel's AVX512_BF16 without tiles takes twice as long as float32 for a
    2048 × 2048 product, so there it is float32.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu" or not CPU_INFO.is_file():
        return False
    cpu = CPU_INFO.read_text()
    return "amx_bf16" in cpu or ("avx512_bf16" in cpu and "AuthenticAMD" in cpu)


@contextlib.contextmanager
def out_of_memory_in_words(batch_size: int) -> Iterator[None]:
    """Turns torch's ways of running out of memory into one message that says what to lower."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not (
            isinstance(error, torch.OutOfMemoryError | MemoryError)
            or isinstance(error.__context__, torch.OutOfMemoryError)  # while a CUDA graph was recorded
            or "allocate memory" in str(error)
        ):
            raise
        raise OutOfMemory(
            f"out of memory with batches of {batch_size} images; lower training.batch_size, "
            "model.channels or model.hidden"
        ) from error
