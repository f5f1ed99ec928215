"""Images that move by whole pixels."""

import torch.nn.functional as F
from torch import Tensor

DISTANCES = (1, 2, 3)  # pixels
DIRECTIONS = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}


def shifted(images: Tensor, down: int, right: int) -> Tensor:
    """(N, C, H, W) -> the same, moved; negative: up, left. Pixels from outside repeat the border."""
    height, width = images.shape[2:]
    room = max(abs(down), abs(right))
    padded = F.pad(images.float(), (room,) * 4, "replicate").to(images.dtype)
    return padded[..., room - down : room - down + height, room - right : room - right + width]
