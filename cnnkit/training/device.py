"""Where the arithmetic happens: device, precision, threads, memory."""

import contextlib
import ctypes
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from cnnkit.config.runtime import RuntimeConfig
from cnnkit.errors import GpuFailed, OutOfMemory, UsageError, lost_gpu, tells_no_memory
from cnnkit.processes import available_cpus

CPU_INFO = Path("/proc/cpuinfo")
BESIDE_GPU = 4  # threads: the CPU then has only small things to do, and many threads wait for each other
WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"  # cuBLAS is deterministic only with a workspace of fixed size


@dataclass(frozen=True)
class Placement:
    """Where a run computes, and how. precision: of convolutions and dense layers, float32 or bf16."""

    device: torch.device
    precision: str
    threads: int
    deterministic: bool = False

    def autocast(self) -> torch.autocast:
        """The context in which convolutions and dense layers run at this precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    @contextlib.contextmanager
    def in_force(self) -> Iterator[None]:
        """Sets this process up for a run; at the end its own settings are back.

        Only how glibc keeps freed memory stays: it has no way to ask what was set before.
        """
        keep_freed_memory()
        threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
        workspace = os.environ.get(WORKSPACE)
        try:
            torch.set_num_threads(self.threads)
            _set_deterministic(self.deterministic)
            yield
        finally:
            torch.set_num_threads(threads)
            _set_deterministic(deterministic)
            if workspace is None:
                os.environ.pop(WORKSPACE, None)

    @contextlib.contextmanager
    def fastest_kernels(self) -> Iterator[None]:
        """On CUDA: libraries try their kernels for each new shape and take the fastest, by its time alone."""
        cudnn = torch.backends.cudnn
        before, cudnn.benchmark = cudnn.benchmark, not self.deterministic
        try:
            yield
        finally:
            cudnn.benchmark = before

    @property
    def name(self) -> str:
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        with contextlib.suppress(OSError, IndexError):
            return CPU_INFO.read_text().split("model name", 1)[1].split("\n")[0].strip("\t :")
        return platform.processor() or platform.machine()


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


def _set_deterministic(wanted: bool) -> None:
    # Setting it imports torch's compiler, which takes 4 s; asking is free.
    if wanted != torch.are_deterministic_algorithms_enabled():
        torch.use_deterministic_algorithms(wanted)
        os.environ.setdefault(WORKSPACE, ":4096:8")


def choose_device(runtime: RuntimeConfig, name: str | None = None) -> Placement:
    """The device, precision and threads of a run; sets nothing. Raises UsageError where there is none.

    name: of a device, instead of the configured one.
    """
    device = _choose(name or runtime.device)
    precision = runtime.precision
    if precision == "auto":
        precision = "bf16" if _gains_from_bf16(device) else "float32"
    most = available_cpus() if device.type == "cpu" else BESIDE_GPU
    threads = runtime.threads or min(torch.get_num_threads(), available_cpus(), most)
    return Placement(device, precision, threads, runtime.deterministic)


def _choose(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"unknown device {name!r}; expected auto, cpu, mps, cuda or cuda:N") from error
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
def device_errors_in_words(batch_size: int | None = None) -> Iterator[None]:
    """Raises OutOfMemory, which says what to lower, and GpuFailed for what torch raises in many ways.

    A kernel that breaks off takes the GPU from the whole process.
    batch_size: of training; None where the batch already follows from the memory, as in an evaluation.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if lost_gpu(error):
            raise GpuFailed(
                f"the GPU failed ({str(error).splitlines()[0]}), and this process can no longer use it; "
                "start again; a run or study that was kept goes on with --resume. If it fails there again, "
                "the network is the cause, such as a class of your own"
            ) from error
        if not (
            isinstance(error, torch.OutOfMemoryError | MemoryError)
            or isinstance(error.__context__, torch.OutOfMemoryError)  # while a CUDA graph was recorded
            or tells_no_memory(error)
        ):
            raise
        where, lower = "", "lower model.channels or model.hidden, or choose another runtime.device"
        if batch_size is not None:
            where = f" with batches of {batch_size} images"
            lower = "lower training.batch_size, model.channels or model.hidden"
        raise OutOfMemory(f"out of memory{where}; {lower}") from error
