"""Every test has its own cache and its own folder, and torch one thread."""

import functools
import gc
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# Before torch is imported, and for every process that a test starts. Networks are tiny: beside a busy core
# test_damage.py took 190 s of CPU with two threads, which wait for each other, and 45 s with one.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Tests that ask for two threads: one that waits sleeps, and leaves the core to the tests beside it.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
import typer

from cnnkit.config.load import parse_config
from cnnkit.config.schema import Config
from cnnkit.filenames import REPORT

# A network and a data set that train in a fraction of a second.
TINY = """
data: {dataset: digits, validation: 0.1}
model: {channels: [4, 8], kernel_sizes: 3, hidden: [16]}
training: {epochs: 2, batch_size: 128, learning_rate: 0.01}
runtime: {device: cpu, precision: float32}
"""


def pytest_collection_finish() -> None:
    """Tests and torch stay to the end: looks for unreachable objects pass over them."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    gc.unfreeze()  # Triton tells of each object that is left as a leak


@pytest.fixture(scope="session", autouse=True)
def quick_process() -> Iterator[None]:
    """Nothing is flushed to the disk, as no test looks there after a power failure. Typer builds the commands
    once, not for each call of `main`: that was a quarter of the time of test_options.py.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        patch.setattr("typer.main.get_command", functools.cache(typer.main.get_command))
        yield


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache folder for the session, so that the bundled digits are prepared once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def own_surroundings(shared_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(shared_cache))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("CNNKIT_DATA", raising=False)
    monkeypatch.setattr("cnnkit.training.idle_cores.SYSTEM_TIMES", Path("untold"))  # others may be at work
    monkeypatch.setattr("cnnkit.own.sources._trusted", set())  # as in a process of its own
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    if torch.are_deterministic_algorithms_enabled():
        torch.use_deterministic_algorithms(False)


@pytest.fixture
def tiny() -> Callable[..., Config]:
    """`tiny("model.pooling=avg")`: a configuration that trains on the digits in a fraction of a second."""

    def make(*overrides: str) -> Config:
        return parse_config(TINY, "tiny", overrides)

    return make


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy, for a test to spoil, of the run that a module's own fixture `finished` has trained."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture(scope="module")
def scripts() -> Iterator[Any]:
    """A page in a browser with the scripts of `cnnkit play` that compute and frame."""
    from browsers import chromium

    from cnnkit.play.page import COMPUTING, FRAMING, script_of

    with chromium() as browser:
        page = browser.new_page()
        page.add_script_tag(content=script_of((*COMPUTING, *FRAMING)))
        yield page


@pytest.fixture
def trials_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """`compare --workers N` runs its trials in this process, which saves the workers' start."""
    from support import Here

    monkeypatch.setattr("cnnkit.comparison.local.LocalExecutor", lambda home, *_: Here(home))


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A comparison draws no page, which takes longer than its small trainings."""
    monkeypatch.setattr("cnnkit.report.page.write_report", lambda study, *_, **__: study / REPORT)


@pytest.fixture
def tiny_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """An image file that shows a one."""
    from PIL import Image, ImageDraw

    image = Image.new("L", (40, 40))
    ImageDraw.Draw(image).line((20, 5, 20, 35), 255, 5)
    image.save(tmp_path / "one.png")
    return tmp_path / "one.png"


MNIST_ROOT = os.environ.get("CNNKIT_DATA")  # read before any test hides it or changes the folder
MNIST_FOLDER = Path(MNIST_ROOT).resolve() if MNIST_ROOT else None


@pytest.fixture
def mnist_root() -> Path:
    """The folder of the real MNIST; skips where there is none."""
    if MNIST_FOLDER is None or not (MNIST_FOLDER / "MNIST" / "raw").is_dir():
        pytest.skip("the real MNIST is not at hand: set CNNKIT_DATA to the folder that holds MNIST/raw")
    return MNIST_FOLDER
