"""An ONNX file in 8-bit integers: made with training images, and what that costs and gains."""

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from cnnkit.data.dataset import ImageDataset
from cnnkit.experiment.export_check import BATCH, Checked, check
from cnnkit.experiment.onnx_file import OnnxDraft
from cnnkit.experiment.torch_file import quiet
from cnnkit.nn.exported import IMAGES
from cnnkit.records import Record

CALIBRATED_ON = 512  # training images, evenly spread
PASSES = 5  # over the images that are timed, of which the median counts
TIMED = 2000  # images


@dataclass(frozen=True)
class Int8(Record):
    """An int8 file beside the float32 file that it was made of, by onnxruntime, on the same test images.

    check: of the int8 file; its `network_accuracy` is the float32 file's. size, float_size: bytes.
    images_per_second, float_images_per_second: medians, in batches of 500, taken in turns.
    """

    check: Checked
    calibration_images: int
    size: int
    float_size: int
    images_per_second: float
    float_images_per_second: float

    @property
    def speedup(self) -> float:
        return self.images_per_second / self.float_images_per_second


def quantized(draft: OnnxDraft, train: Tensor) -> OnnxDraft:
    """The same network in int8: each filter has a scale of its own, each layer's output one.

    train: (N, C, H, W), training images as the file takes them: they say how large the outputs get.
    Layers that have no form in integers stay in float32.
    """
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        batches = iter(train.split(BATCH))

        def get_next(self) -> dict[str, object] | None:
            batch = next(self.batches, None)
            return None if batch is None else {IMAGES: batch.numpy()}

    with tempfile.TemporaryDirectory() as folder, quiet():
        source, made = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
        source.write_bytes(draft.model)
        # It would advise to prepare the file in other ways; torch has done so.
        quantize_static(source, made, Reader(), per_channel=True)
        return OnnxDraft(made.read_bytes(), draft.opset)


def compared(made: OnnxDraft, source: OnnxDraft, images: ImageDataset, dtype: torch.dtype, on: int) -> Int8:
    """What int8 costs and gains. images: test images, whole. on: how many images it was calibrated on."""
    answers = [draft.answers() for draft in (made, source)]
    mine, theirs = ((lambda pixels, run=run: run(pixels.to(dtype))) for run in answers)
    pixels = images[range(min(TIMED, len(images)))].images.to(dtype)
    fast, slow = images_per_second(answers, pixels)
    return Int8(
        check=check(mine, theirs, images),
        calibration_images=on,
        size=len(made.content),
        float_size=len(source.content),
        images_per_second=fast,
        float_images_per_second=slow,
    )


def images_per_second(runs: list[Callable[[Tensor], Tensor]], pixels: Tensor) -> list[float]:
    """Of each one, in turns: other programs then slow down all alike."""
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(PASSES + 1):
        for run, of_run in zip(runs, times, strict=True):
            started = time.perf_counter()
            for batch in pixels.split(BATCH):
                run(batch)
            of_run.append(time.perf_counter() - started)
    return [len(pixels) / statistics.median(of_run[1:]) for of_run in times]
