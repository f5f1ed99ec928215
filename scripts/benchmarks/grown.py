"""One training or study of made-up images: prints its seconds, and bytes of memory at the peak, as JSON.

    python -m benchmarks.grown AXIS VALUE

Runs in an empty folder, where its images and its cache lie. Made in a process of their own, these do not
count into the peak.
"""

import json
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

CLASSES = 10
FEW_TESTED = 500
UNITS_OF_PEAK = 1 if sys.platform == "darwin" else 1024  # bytes in one unit of ru_maxrss


def make_images(count: int, side: int) -> None:
    """`images/`: random pixels and classes, as pairs of arrays."""
    draw, folder = np.random.default_rng(0), Path("images")
    folder.mkdir()
    for split, images in (("train", count), ("test", FEW_TESTED)):
        mapped = np.lib.format.open_memmap(
            folder / f"x_{split}.npy", "w+", np.dtype(np.uint8), (images, side, side)
        )
        for start in range(0, images, 10_000):
            part = mapped[start : start + 10_000]
            part[:] = draw.integers(0, 256, part.shape, np.uint8)
        mapped.flush()
        np.save(folder / f"y_{split}.npy", draw.permutation(np.arange(images) % CLASSES))


def of_training(count: int = 2_000, side: int = 28, *settings: str) -> float:
    """Seconds of one epoch."""
    maker = multiprocessing.get_context("spawn").Process(target=make_images, args=(count, side))
    maker.start()
    maker.join()
    import cnnkit

    images = ["data.dataset=folder", "data.root=images", "data.channels=1", f"data.size={side}"]
    plain = ["data.validation=0", "data.duplicates=keep", "data.crop=0", "training.epochs=1"]
    every = ["training.hardest=1", "training.batch_size=256", "training.learning_rate=0.01"]
    config = cnnkit.load_config("fast", [*images, *plain, *every, *settings])
    return cnnkit.train(config, "run", progress=False).result.train_seconds


def of_study(levels: int = 2, seeds: int = 4, workers: int = 2) -> float:
    """Seconds of a whole comparison on the digits that scikit-learn brings."""
    import cnnkit

    config = cnnkit.load_config("digits", ["training.epochs=2"])
    dropouts = [round(0.05 * number, 2) for number in range(levels)]
    started = time.perf_counter()
    cnnkit.compare(config, {"model.dropout": dropouts}, seeds, "study", workers=workers, progress=False)
    return time.perf_counter() - started


WORK: dict[str, Callable[[int], float]] = {
    "images": lambda count: of_training(count),
    "side": lambda side: of_training(1_000, side),
    "channels": lambda channels: of_training(2_000, 28, f"model.channels=[{channels}, {channels}]"),
    "convolutions": lambda number: of_training(2_000, 28, f"model.convolutions={number}"),
    "seeds": lambda seeds: of_study(seeds=seeds),
    "workers": lambda workers: of_study(seeds=8, workers=workers),
    "levels": lambda levels: of_study(levels=levels),
}
OF_STUDIES = ("seeds", "workers", "levels")


def main() -> None:
    axis, value = sys.argv[1], int(sys.argv[2])
    os.environ["XDG_CACHE_HOME"] = str(Path("cache").resolve())
    seconds = WORK[axis](value)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if axis in OF_STUDIES:  # and as many workers as train at once, each as large as the largest
        workers = value if axis == "workers" else 2
        peak += workers * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(json.dumps({"value": seconds, "peak": peak * UNITS_OF_PEAK}))


if __name__ == "__main__":
    main()
