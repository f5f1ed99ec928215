"""Images per second of one configuration's network on the test split, warm; weights do not matter to it.

python -m benchmarks.throughput --config fast --what evaluation
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch

from benchmarks.speed import WAYS
from cnnkit.config.load import load_config
from cnnkit.config.schema import Config
from cnnkit.data.dataset import ImageDataset
from cnnkit.data.prepare import load_dataset
from cnnkit.data.sources import data_root
from cnnkit.nn.model import CNN, build_model
from cnnkit.training.device import Placement, choose_device
from cnnkit.training.evaluation import LARGEST_BATCH, evaluate, predict

PASSES = 5
SINGLES = 300  # images that are predicted one by one


def passes(
    what: str, model: CNN, images: ImageDataset, placement: Placement
) -> tuple[Callable[[], object], int]:
    """One pass of that kind, and how many images it takes."""

    def predict_all(pixels: torch.Tensor, size: int) -> None:
        for batch in pixels.split(size):
            predict(model, batch, placement).cpu()

    if what == "evaluation":
        return lambda: evaluate(model, images, placement), len(images)
    if what == "prediction":
        return lambda: predict_all(images.images, LARGEST_BATCH), len(images)
    return lambda: predict_all(images.images[:SINGLES], 1), min(SINGLES, len(images))


def images_per_second(one_pass: Callable[[], object], images: int) -> list[float]:
    one_pass()
    speeds = []
    for _ in range(PASSES):
        started = time.perf_counter()
        one_pass()
        speeds.append(images / (time.perf_counter() - started))
    return speeds


def network(config: Config) -> CNN:
    """As it is before it has learned anything, which costs as much."""
    return build_model(config.model, config.data.info, seed=0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", required=True)
    parser.add_argument("--what", choices=WAYS, required=True)
    arguments = parser.parse_args()
    config = load_config(arguments.config)
    placement = choose_device(config.runtime)
    test = load_dataset("mnist", data_root(None)).test.cropped(config.data.crop)
    model = network(config).to(placement.device)
    with placement.in_force():
        speeds = images_per_second(*passes(arguments.what, model, test.to(placement.device), placement))
    print(
        json.dumps({"value": statistics.median(speeds), "passes": speeds, "precision": placement.precision})
    )


if __name__ == "__main__":
    main()
