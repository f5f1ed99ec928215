"""Where in an image the evidence for a class lies: the class scores of each cell of the last grid.

After Zhou et al., "Learning deep features for discriminative localization", CVPR 2016, who read them off
a network that averages.
"""

import torch
from torch import Tensor, nn

from cnnkit.nn.model import CNN


def evidence(model: CNN, images: Tensor) -> Tensor:
    """(N, C, H, W), pixels 0 … 255, -> (N, rows, columns, classes), what each cell tells of each class.

    Of a head that pools: the logits, had it pooled over that cell alone. Of one that keeps every cell: by
    how much that cell alone changes the logits of a grid of zeros. So, without hidden layers, the logits
    are the mean over the cells where the head averages, and their sum and the bias where it keeps them.
    """
    return evidence_and_logits(model, images)[0]


def evidence_and_logits(model: CNN, images: Tensor) -> tuple[Tensor, Tensor]:
    """`evidence`, and the logits (N, classes), of the same feature maps."""
    model.eval()
    with torch.inference_mode():
        maps = model.stages(model.normalize(images))
        logits = model.dense(model.head(maps))
        if model.head.entry.keeps_cells:
            return _of_kept_cells(model.dense, maps), logits
        n, channels, rows, columns = maps.shape
        alone = maps.permute(0, 2, 3, 1).reshape(-1, channels, 1, 1)
        return model.dense(model.head(alone)).view(n, rows, columns, -1), logits


def _of_kept_cells(dense: nn.Sequential, maps: Tensor) -> Tensor:
    """(N, C, h, w) -> (N, h, w, classes). Beside zeros the first layer needs but the one cell's weights."""
    _, channels, rows, columns = maps.shape
    place, first = next((i, layer) for i, layer in enumerate(dense) if isinstance(layer, nn.Linear))
    rest = dense[place + 1 :]
    alone = torch.einsum("nchw,ohwc->nhwo", maps, first.weight.view(-1, rows, columns, channels))
    return rest(alone + first.bias) - rest(first.bias)  # type: ignore[no-any-return]


def above_mean(scores: Tensor, labels: Tensor) -> Tensor:
    """Each image's own class against the mean of all: (N, h, w, classes), (N,) -> (N, h, w).

    What is added to all scores alike changes no answer, so it is taken off.
    """
    index = labels.view(-1, 1, 1, 1).expand(*scores.shape[:3], 1)
    return scores.gather(3, index)[..., 0] - scores.mean(3)
