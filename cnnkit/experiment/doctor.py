"""What cnnkit finds on this machine, and how to mend what is wrong."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from cnnkit.config.runtime import RuntimeConfig
from cnnkit.data.cache import cached
from cnnkit.data.sources import DATA_VARIABLE, cache_folder, data_root, find_sources
from cnnkit.errors import CnnkitError
from cnnkit.experiment import digit_check
from cnnkit.experiment.latest import latest_run
from cnnkit.experiment.onnx_file import LIBRARIES
from cnnkit.families.datasets import DATASETS
from cnnkit.families.trackers import TRACKERS
from cnnkit.processes import available_cpus
from cnnkit.training.device import choose_device
from cnnkit.training.idle_cores import IdleCores
from cnnkit.training.memory import free_bytes
from cnnkit.version import __version__
from cnnkit.words import counted, gigabytes, listed

DRIVER = Path("/proc/driver/nvidia/version")  # there where a kernel drives NVIDIA's cards
LITTLE = 1e9  # bytes that a cache folder should have left
# By extra, the modules that it brings.
EXTRAS = {
    **{"ray": ("ray",), "tune": ("optuna",), "onnx": LIBRARIES},
    **{tracker.extra: (tracker.library,) for tracker in TRACKERS.values()},
}
BUSY = 0.25  # of a core


@dataclass(frozen=True)
class Finding:
    """mend: how to mend what is wrong; empty where nothing is."""

    what: str
    found: str
    mend: str = ""

    def to_dict(self) -> dict[str, str]:
        return asdict(self)


def findings() -> Iterator[Finding]:
    """One after the other, as they are found; nothing is made or fetched, and no network is asked."""
    yield Finding("cnnkit", f"{__version__} in {Path(__file__).parents[1]}")
    yield _own_files()
    yield Finding("Python", f"{platform.python_version()} ({sys.executable}) on {platform.platform()}")
    yield _torch()
    yield from _devices()
    yield _cores()
    yield Finding("memory", f"{gigabytes(free_bytes(torch.device('cpu')))} free")
    yield _data()
    yield _cache()
    yield _extras()
    yield _latest()


def _own_files() -> Finding:
    try:
        digit_check.network(digit_check.FILE)
    except CnnkitError:
        return Finding("cnnkit's files", f"{digit_check.FILE} cannot be used", "install cnnkit again")
    return Finding("cnnkit's files", f"{digit_check.FILE.name} can be read")


def _torch() -> Finding:
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"
    found = f"{torch.__version__}, built {build.replace('CUDA ', 'for CUDA ')}"
    vision = importlib.metadata.version("torchvision")
    mend = ""
    if DRIVER.exists() and not torch.cuda.is_available():
        mend = (
            "this machine has an NVIDIA card that torch cannot use: update its driver"
            if torch.version.cuda
            else "this machine has an NVIDIA card: install a build of torch for CUDA"
        )
    return Finding("torch", f"{found}; torchvision {vision}", mend)


def _devices() -> Iterator[Finding]:
    names = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
    for name in [*names, *["mps"] * torch.backends.mps.is_available()]:
        placement = choose_device(RuntimeConfig(), name)
        memory = ""
        if placement.device.type == "cuda":
            free, whole = torch.cuda.mem_get_info(placement.device)
            memory = f", {gigabytes(free)} of {gigabytes(whole)} free"
        faster = "bf16 is faster" if placement.precision == "bf16" else "float32 is faster than bf16"
        yield Finding(f"device {name}", f"{placement.name}{memory}; {faster}")


def _cores() -> Finding:
    allowed, free = available_cpus(), IdleCores().count()
    quota = "" if allowed == os.cpu_count() else f" of {os.cpu_count()}, by affinity or the container's quota"
    found = f"{counted(allowed, 'core')}{quota}"
    return Finding("cores", f"{found}, {'all' if free + BUSY >= allowed else f'{free:.1f}'} idle")


def _data() -> Finding:
    root = data_root(None)
    there = [
        name for name, info in DATASETS.items() if info.folder and find_sources(info, root / info.folder)
    ]
    source = f"${DATA_VARIABLE}" if os.environ.get(DATA_VARIABLE) else f"${DATA_VARIABLE} is not set"
    mend = "" if there or not os.environ.get(DATA_VARIABLE) else "it holds no data set: cnnkit data mnist"
    return Finding("data sets", f"{root} ({source}): {listed(there) if there else 'none yet'}", mend)


def _cache() -> Finding:
    folder = cache_folder()
    kept = cached(folder)
    found = f"{folder}: {counted(len(kept), 'source')}, {gigabytes(sum(each.bytes for each in kept))}"
    there = next(place for place in (folder, *folder.parents) if place.exists())
    mend = ""
    if not os.access(there, os.W_OK):
        mend = f"{there} takes no files: name another folder by XDG_CACHE_HOME"
    elif (left := shutil.disk_usage(there).free) < LITTLE:
        mend = f"{gigabytes(left)} are left there: cnnkit data --cache --clear, or another XDG_CACHE_HOME"
    return Finding("cache", found, mend)


def _extras() -> Finding:
    told = []
    for extra, modules in EXTRAS.items():
        found = [_version(module) for module in modules if importlib.util.find_spec(module)]
        told.append(f"{extra} ({', '.join(found)})" if found else f"{extra} is not installed")
    return Finding("extras", ", ".join(told))


def _version(module: str) -> str:
    """Also of a module that comes in a package of another name, such as mlflow in mlflow-skinny."""
    try:
        return f"{module} {importlib.metadata.version(module)}"
    except importlib.metadata.PackageNotFoundError:
        package = importlib.metadata.packages_distributions()[module][0]
        return f"{package} {importlib.metadata.version(package)}"


def _latest() -> Finding:
    try:
        return Finding("latest run", str(latest_run()))
    except CnnkitError:
        return Finding("latest run", "none here yet")
