"""Small runs and studies to damage, and what is compared of them."""

import hashlib
import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torturing.processes import Failure, Workshop, ticks_of

TINY = """\
data: {dataset: digits, validation: 0.1, augment: {rotate: 10, translate: 1, zoom: 0.1}}
model: {channels: [4, 8], kernel_sizes: 3, hidden: [16], dropout: 0.5, feature_dropout: 0.1}
training: {epochs: 2, batch_size: 256, learning_rate: 0.01, weight_averaging: 0.9}
runtime: {device: cpu, precision: float32, threads: 1}
"""
CONFIG, RUN, STUDY, STOPPED = "tiny.yaml", "R", "S", "I"  # names in the folder of a try
TRAIN = ("train", "--config", CONFIG, "--out", RUN, "--json")
RESUME = ("train", "--resume", RUN, "--json")
COMPARE = (
    *("compare", "--config", CONFIG, "--vary", "model.pooling=max,avg", "--seeds", "2"),
    *("--set", "training.epochs=1", "--workers", "1", "--out", STUDY, "--json"),
)
RESUME_STUDY = ("compare", "--resume", "--out", STUDY, "--workers", "1", "--json")
VERIFY = ("compare", "--verify", STUDY, "--json")
TIMES = ("seconds", "timing", "images_per_second", "step_seconds")


def with_config(folder: Path, **_: object) -> Path:
    (folder / CONFIG).write_text(TINY)
    return folder


def sample(workshop: Workshop, name: str, make: Callable[[Workshop, Path], None]) -> Path:
    """A folder that is made once and copied by each try that needs it."""
    folder = workshop.root / f"sample-{name}"
    if not folder.is_dir():
        with workshop.aside():
            make(workshop, with_config(workshop.new_folder(folder.name)))
    return folder


def finished_run(workshop: Workshop) -> Path:
    """The folder that holds a run, everything that its commands leave in it, and an image."""
    return sample(workshop, "run", _make_run)


def stopped_run(workshop: Workshop) -> Path:
    """The folder that holds a run which SIGTERM stopped in its second epoch."""
    return sample(workshop, "stopped", _make_stopped)


def finished_study(workshop: Workshop) -> Path:
    return sample(workshop, "study", _make_study)


def _make_run(workshop: Workshop, folder: Path) -> None:
    from PIL import Image, ImageDraw

    workshop.run(folder, *TRAIN, count=True).check([0])
    workshop.run(folder, "eval", RUN).check([0])
    shutil.copy(folder / RUN / "best.safetensors", folder / "W.safetensors")
    image = Image.new("L", (60, 60), 255)
    ImageDraw.Draw(image).line([(15, 12), (42, 12), (25, 48)], fill=0, width=5)
    image.save(folder / "seven.png")
    workshop.run(folder, "report", RUN).check([0])


def _make_stopped(workshop: Workshop, folder: Path) -> None:
    whole = ticks_of(finished_run(workshop))
    workshop.run(folder, *TRAIN[:-2], STOPPED, signals={whole // 3: [signal.SIGTERM]}).check([143])


def _make_study(workshop: Workshop, folder: Path) -> None:
    workshop.run(folder, *COMPARE, count=True).check([0])


def timeless(content: Any) -> Any:
    """JSON without the times, which no second run repeats."""
    if isinstance(content, dict):
        return {key: timeless(value) for key, value in content.items() if not key.endswith(TIMES)}
    return [timeless(item) for item in content] if isinstance(content, list) else content


def told(out: str) -> Any:
    """What a command printed with --json, without times. Raises Failure where that is not one object."""
    try:
        return timeless(json.loads(out, parse_constant=_no_constant))
    except ValueError as error:
        raise Failure(f"--json printed no JSON: {error}: {out[:200]!r}") from error


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def tensors(path: Path) -> dict[str, bytes]:
    """The tensors of a weights file by name, as bytes: two files are compared by them."""
    import numpy as np
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        return {name: np.ascontiguousarray(file.get_tensor(name)).tobytes() for name in file.keys()}  # noqa: SIM118


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def leftovers(folder: Path) -> list[str]:
    """Parts of files that a killed process has left."""
    return [path.name for path in folder.rglob("*.part")]
