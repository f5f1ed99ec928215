"""`OnnxNetwork`: an ONNX file that onnxruntime runs, behind the interface of a torch module."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cnnkit.config.model import ModelConfig
from cnnkit.errors import UsageError
from cnnkit.families.datasets import ImageInfo
from cnnkit.nn.exported import IMAGES, LOGITS


def open_session(content: bytes, threads: int | None = None) -> Any:
    """An `onnxruntime.InferenceSession` of a file's bytes, on the CPU. threads: None: one a core.

    Raises UsageError where onnxruntime is not installed, and onnxruntime's own errors.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise UsageError("ONNX files need onnxruntime: pip install 'cnnkit[onnx]'") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    if threads:
        options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


class OnnxNetwork(nn.Module):
    """Whole images (N, C, H, W), pixels 0 … 255, -> logits (N, classes), as float32 on the images' device.

    session: of a file that cnnkit has exported. info: of whole images, which the file crops itself. A file
    that takes uint8 is given rounded pixels.
    """

    def __init__(self, session: Any, config: ModelConfig, info: ImageInfo) -> None:
        super().__init__()
        self.session = session
        self.config = config
        self.info = info
        self.takes_bytes = "uint8" in session.get_inputs()[0].type

    def forward(self, images: Tensor) -> Tensor:
        pixels = images.cpu()
        if not self.takes_bytes:
            pixels = pixels.float()
        elif pixels.is_floating_point():
            pixels = pixels.round().clamp(0, 255).to(torch.uint8)
        (logits,) = self.session.run([LOGITS], {IMAGES: np.ascontiguousarray(pixels.numpy())})
        return torch.from_numpy(logits).to(images.device)
