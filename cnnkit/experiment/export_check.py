"""Whether an exported file answers as the network does, and where it begins not to."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cnnkit.data.dataset import ImageDataset
from cnnkit.nn.exported import NETWORK, Exported
from cnnkit.records import Record

LARGEST_DIFFERENCE = 1e-3  # of two logits
TIE = 1e-4  # two classes whose logits are nearer than this are alike: rounding may choose either
BATCH = 500  # images

Answers = Callable[[Tensor], Tensor]  # whole images (N, C, H, W) -> logits (N, classes)


@dataclass(frozen=True)
class Checked(Record):
    """A file beside its network, both in float32, on the same test images.

    largest_difference: of two logits; None: one of them is no number. same_answers: how many images get the
    same class from both. ties: how many of the others the network itself finds alike, up to `TIE`.
    accuracy: of the file, network_accuracy: of the network, fractions.
    """

    images: int
    largest_difference: float | None
    same_answers: int
    ties: int
    accuracy: float
    network_accuracy: float

    @property
    def agreement(self) -> float:
        """Share of the images, ties left out, that get the same answer."""
        return self.same_answers / max(1, self.images - self.ties)

    @property
    def passed(self) -> bool:
        difference = self.largest_difference
        return difference is not None and difference <= LARGEST_DIFFERENCE and self.agreement == 1


def check(file: Answers, network: Answers, images: ImageDataset) -> Checked:
    """Runs both over all images, which are whole, on the CPU."""
    parts = [(part.images, part.labels) for part in images.batches(BATCH)]
    with torch.inference_mode():
        found = torch.cat([file(pixels) for pixels, _ in parts])
        wanted = torch.cat([network(pixels) for pixels, _ in parts])
    answers, truths, labels = found.argmax(1), wanted.argmax(1), torch.cat([labels for _, labels in parts])
    first, second = wanted.topk(2).values.unbind(1)
    difference = float((found - wanted).abs().max())
    return Checked(
        images=len(labels),
        largest_difference=difference if difference < float("inf") else None,
        same_answers=int((answers == truths).sum()),
        ties=int(((answers != truths) & (first - second < TIE)).sum()),
        accuracy=float((answers == labels).double().mean()),
        network_accuracy=float((truths == labels).double().mean()),
    )


def first_difference(of_file: Iterable[tuple[str, Tensor]], model: Exported, images: Tensor) -> str:
    """The layer at which a file's values begin to differ from the network's, as torch names it.

    of_file: (layer, values) of each step of the file, in their order; a layer's last step gives its output.
    """
    outputs = _outputs(model, images)
    last = dict[str, Tensor]()
    for layer, values in of_file:
        last.pop(layer, None)
        last[layer] = values
    for layer, values in last.items():
        wanted = outputs.get(layer)
        if wanted is None or wanted.shape != values.shape:
            continue
        allowed = LARGEST_DIFFERENCE / 10 * max(1.0, float(wanted.abs().max()))
        if not float((values - wanted).abs().max()) <= allowed:
            return layer.removeprefix(f"{NETWORK}.")
    return "a place that is no layer's output"


def _outputs(model: nn.Module, images: Tensor) -> Mapping[str, Tensor]:
    """The output of each layer, by its name."""
    outputs: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                outputs[name] = output

        return hook

    hooks = [module.register_forward_hook(keep(name)) for name, module in model.named_modules()]
    try:
        with torch.inference_mode():
            model(images)
    finally:
        for handle in hooks:
            handle.remove()
    return outputs
