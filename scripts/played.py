"""What scripts and tests of `cnnkit play` share: networks, and how a browser computes and touches them."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from cnnkit.config.schema import Config
from cnnkit.families.activations import ACTIVATIONS
from cnnkit.families.heads import HEADS
from cnnkit.families.poolings import ORDERS, POOLINGS
from cnnkit.nn.model import CNN, build_model

COMPUTE = """cases => cases.map(({network, shape, images, cells}) => {
  const built = unpacked(network);
  return images.map(pixels => {
    const result = computed(built, tensor(shape, Float32Array.from(pixels)));
    const told = cells ? evidence(built, result.maps) : null;
    return {logits: [...result.logits], evidence: told, missing: notComputable(built)};
  });
})"""

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
OVERFLOWING = """() => [...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll')
  && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 100))"""
AXE = """async () => (await axe.run()).violations.map(v =>
  `${v.impact}: ${v.id}: ${v.help} (${v.nodes.length}): ${v.nodes[0].html.slice(0, 120)}`)"""
SEVEN = [[70, 60], [200, 60], [160, 140], [130, 230]]  # a stroke, in pixels of the pad
# What is touched in each chapter: values of its sliders and choices by their label, and buttons.
TOUCHED: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "filter": ({"kernel size": "5", "stride": "3", "padding": "none"}, ("sharpen",)),
    "channels": ({"red": "-1", "green": "1"}, ()),
    "activation": ({"value": "2.5"}, ("gelu",)),
    "pooling": ({"k": "3", "beside max, avg and concat": "blur"}, ("one strong value",)),
    "bear": ({"size of the bear": "3", "clutter": "0.5"}, ()),
    "dropout": ({"dropout factor": "0.8"}, ("a hundred masks",)),
    "dense": ({"hole": "1"}, ()),
    "softmax": ({"temperature": "3", "add to all": "2"}, ()),
}


def each_part(page: Any) -> Iterator[tuple[str, Any]]:
    """(name, locator) of each part of the page: to draw, inside, and the chapters."""
    yield from ((name, page.locator(f"#{name}")) for name in ("draw", "inside"))
    for chapter in page.locator(".chapter").all():
        yield chapter.get_attribute("id").removeprefix("chapter-"), chapter


def touch(page: Any, part: str, place: Any) -> None:
    """Does in a part what a reader does there."""
    if part == "draw":
        page.evaluate("strokes => page.draw(strokes)", [SEVEN])
    elif part == "inside":
        place.locator("button.map").last.click()
        place.locator(".last select").first.select_option(index=1)
    else:
        values, buttons = TOUCHED[part]
        for name in buttons:
            place.get_by_role("button", name=name, exact=True).click()
        for label, value in values.items():
            control = place.get_by_label(label).first
            (control.select_option if control.evaluate("e => e.tagName") == "SELECT" else control.fill)(value)
        for cells in place.locator(".pointable[tabindex]").all()[:1]:
            cells.press("ArrowDown")
            cells.press("ArrowRight")


def axe_finds(page: Any, axe: Path) -> list[str]:
    """What axe-core, whose `axe.min.js` is given, finds on the page; its context must bypass the policy."""
    page.add_script_tag(content=axe.read_text(encoding="utf-8"))
    return [str(found) for found in page.evaluate(AXE)]


def every_pooling() -> Iterator[tuple[str, ...]]:
    """Settings of each pooling in each order, where it takes what that order gives it."""
    for pooling, entry in POOLINGS.items():
        activation = ("model.activation=relu",) if entry.no_negatives else ()
        for order in [entry.only_order] if entry.only_order else list(ORDERS):
            if not (entry.no_negatives and order == "pooling_first"):
                yield (f"model.pooling={pooling}", f"model.order={order}", *activation)


def every_head() -> Iterator[tuple[str, ...]]:
    for head, entry in HEADS.items():
        yield (f"model.head={head}", *(("model.activation=relu",) if entry.no_negatives else ()))


def every_activation() -> Iterator[tuple[str, ...]]:
    yield from ((f"model.activation={activation}",) for activation in ACTIVATIONS)


def perturbed(config: Config, size: float = 0.3) -> CNN:
    """A network away from its start, in every weight and buffer; its filters fit into float16.

    size: of the change of each weight, in units of its layer's largest weight.
    """
    model = build_model(config.model, config.data.info, 3, 100.0, 70.0).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            unit = parameter.abs().max().clamp(min=0.1)
            parameter.add_(size * unit * torch.randn(parameter.shape, generator=generator))
            parameter.copy_(parameter.half() if parameter.ndim > 1 else parameter)
        for name, buffer in model.named_buffers():
            if "running_mean" in name:
                buffer.uniform_(-1, 1, generator=generator)
            elif "running_var" in name:
                buffer.uniform_(0.5, 2, generator=generator)
    return model
