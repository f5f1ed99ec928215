"""Refuses a network that cannot fit, before anything is allocated."""

import contextlib
import math
from pathlib import Path

import torch

from cnnkit.config.costs import layer_costs
from cnnkit.config.schema import Config
from cnnkit.errors import OutOfMemory
from cnnkit.families.datasets import ImageInfo
from cnnkit.processes import CGROUPS
from cnnkit.words import gigabytes

MEMORY_INFO = Path("/proc/meminfo")
FLOAT = 4  # bytes


def refuse_what_cannot_fit(config: Config, info: ImageInfo, device: torch.device) -> None:
    """Raises OutOfMemory where training needs more memory than is free, by the least that it can need."""
    needed, free = least_bytes(config, info), free_bytes(device)
    if needed > free:
        raise OutOfMemory(
            f"training this network with batches of {config.training.batch_size:,} images needs at least "
            f"{gigabytes(needed)} of memory, and {gigabytes(free)} are free; lower model.channels, "
            "model.hidden or training.batch_size"
        )


def least_bytes(config: Config, info: ImageInfo) -> int:
    """Weights and gradients in float32, and the maps that a batch keeps for the backward pass, in bf16.

    States of the optimizer, workspace and copies come on top.
    """
    layers = layer_costs(config.model, info)
    weights = sum(layer.parameters for layer in layers)
    kept = sum(math.prod(layer.output_shape) for layer in layers if layer.macs)
    images = min(config.training.batch_size, config.data.train_images)
    return 2 * FLOAT * weights + images * kept * FLOAT // 2


def free_bytes(device: torch.device) -> float:
    """What a process may still take; infinite where the system does not tell."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    return min(_free_in_system(), _free_in_container()) if device.type == "cpu" else math.inf


def _free_in_system() -> float:
    with contextlib.suppress(OSError, ValueError, LookupError):
        rows = dict(row.split(":") for row in MEMORY_INFO.read_text(encoding="ascii").splitlines())
        return 1024.0 * sum(int(rows[name].split()[0]) for name in ("MemAvailable", "SwapFree"))
    return math.inf


def _free_in_container() -> float:
    """By the limit of the container (cgroup v2 or v1); caches of files count as free."""
    for limit, used, cached in (
        ("memory.max", "memory.current", "memory.stat"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
    ):
        with contextlib.suppress(OSError, ValueError, LookupError):
            rows = dict(row.split() for row in (CGROUPS / cached).read_text(encoding="ascii").splitlines())
            files = int(rows.get("inactive_file", 0))
            return float(int((CGROUPS / limit).read_text()) - int((CGROUPS / used).read_text()) + files)
    return math.inf
