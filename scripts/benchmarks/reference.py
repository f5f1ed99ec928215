"""What the measured trainings share: MNIST as it is read elsewhere, a clock, and the line they print."""

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

MEAN, STD = 0.1307, 0.3081  # of MNIST's training pixels, 0 … 1, as everybody writes them


class Clock:
    """Adds up the seconds of the blocks that it runs in, the device's work included."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.started = 0.0

    def start(self) -> None:
        wait_for_device()
        self.started = time.perf_counter()

    def stop(self) -> None:
        wait_for_device()
        self.seconds += time.perf_counter() - self.started

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        self.start()
        yield
        self.stop()


def device() -> torch.device:
    """The accelerator where there is one, as cnnkit chooses too."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def wait_for_device() -> None:
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()


def normalized(images: Tensor) -> Tensor:
    """uint8 pixels -> float32."""
    return (images.float() / 255 - MEAN) / STD


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """(N, 1, H, W) float, (N,) -> the share that is right."""
    model.eval()
    with torch.no_grad():
        parts = zip(images.split(1000), labels.split(1000), strict=True)
        return sum(int((model(x).argmax(1) == y).sum()) for x, y in parts) / len(labels)


def torchvision_mnist(train: bool, transform: Any) -> Any:
    """torchvision's data set, in the folder where cnnkit finds it; nothing is fetched."""
    from torchvision.datasets import MNIST

    from cnnkit.data.sources import data_root

    try:
        return MNIST(str(data_root(None)), train=train, transform=transform)
    except RuntimeError:
        sys.exit(f"torchvision finds no unpacked files in {data_root(None)}/MNIST/raw: gunzip them")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser()
    made.add_argument("--seed", type=int, default=0)
    return made


def seed_from_arguments() -> int:
    seed: int = parser().parse_args().seed
    return seed


def folder_parser() -> argparse.ArgumentParser:
    """With the folder of images, where a training is not one on MNIST."""
    made = parser()
    made.add_argument("--folder", type=Path)
    return made


def print_result(seconds: float, test_accuracy: float, **rest: Any) -> None:
    """The last line on standard output, whatever a library printed before it."""
    print("\n" + json.dumps({"train_seconds": seconds, "test_accuracy": test_accuracy, **rest}), flush=True)
