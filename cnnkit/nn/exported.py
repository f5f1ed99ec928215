"""`Exported`: a network as it leaves cnnkit, and the names of its input and outputs."""

from torch import Tensor, nn

from cnnkit.calibrator import Calibrator
from cnnkit.nn.model import CNN

IMAGES, LOGITS, PROBABILITIES = "images", "logits", "probabilities"
NETWORK = "network"  # begins the names of all layers


class Exported(nn.Module):
    """Whole images (N, C, H, W), pixels 0 … 255, -> logits and probabilities, each (N, classes) float32.

    crop: pixels that are cut off each side before the network sees the images. calibrator: makes
    probabilities of logits.
    """

    def __init__(self, network: CNN, crop: int, calibrator: Calibrator) -> None:
        super().__init__()
        self.network = network
        self.crop = crop
        self.calibrator = calibrator

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        height, width = (side - self.crop for side in images.shape[2:])
        logits = self.network(images[..., self.crop : height, self.crop : width].float())
        return logits, self.calibrator.probabilities(logits)
