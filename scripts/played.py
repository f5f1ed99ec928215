"""What scripts and tests of `cnnkit play` share: networks, and how a browser computes and touches them."""

import math
import random
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from cnnkit.config.schema import Config
from cnnkit.families.activations import ACTIVATIONS
from cnnkit.families.heads import HEADS
from cnnkit.families.poolings import ORDERS, POOLINGS
from cnnkit.nn.model import CNN, build_model

COMPUTE = """({network, images, cells}) => {
  const built = unpacked(network), {shape: [count, ...shape], data} = decoded(images);
  const size = data.length / count;
  const told = {missing: notComputable(built), logits: [], evidence: []};
  for (let n = 0; n < count; n++) {
    const result = computed(built, tensor(shape, data.slice(n * size, (n + 1) * size)));
    told.logits.push([...result.logits]);
    if (cells) told.evidence.push(evidence(built, result.maps));
  }
  return told;
}"""

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
OVERFLOWING = """() => [...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll')
  && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 100))"""
MOVES = "() => getComputedStyle(document.querySelector('.bar-fill')).transitionDuration"
AXE = """async () => (await axe.run()).violations.map(v =>
  `${v.impact}: ${v.id}: ${v.help} (${v.nodes.length}): ${v.nodes[0].html.slice(0, 120)}`)"""
SEVEN = [[70, 60], [200, 60], [160, 140], [130, 230]]  # a stroke, in pixels of the pad
# Strokes of each digit as a person writes it: points (x, y) in hundredths of its box.
STROKES_OF = (
    ("50,2 20,12 5,45 18,85 50,98 82,85 95,45 80,12 50,2",),
    ("25,25 55,2 55,98",),
    ("10,25 30,3 70,3 88,25 75,50 10,98 95,98",),
    ("12,8 60,2 85,22 45,46 88,70 60,98 10,90",),
    ("65,2 8,65 95,65", "70,35 70,98"),
    ("85,3 20,5 15,45 60,42 88,68 60,97 12,90", "20,4 90,3"),
    ("75,3 25,40 10,72 40,98 80,85 78,58 45,52 14,70",),
    ("8,5 92,5 45,98",),
    ("75,15 40,2 18,22 80,68 55,98 22,78 75,28 75,15",),
    ("82,22 50,2 15,22 40,48 84,22 78,98",),
)
# What is touched in each chapter: values of its sliders and choices by their label, and buttons.
TOUCHED: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "filter": ({"kernel size": "5", "stride": "3", "padding": "none"}, ("sharpen",)),
    "channels": ({"red": "-1", "green": "1"}, ()),
    "activation": ({"value": "2.5"}, ("gelu",)),
    "pooling": ({"k": "3", "beside max, avg and concat": "blur"}, ("one strong value",)),
    "bear": ({"size of the bear": "3", "clutter": "0.5"}, ()),
    "dropout": ({"dropout factor": "0.8"}, ("a hundred masks",)),
    "dense": ({"hole": "1"}, ()),
    "softmax": ({"temperature": "3", "spread over all classes": "0.2", "add to all": "2"}, ()),
}


def drawn_digit(number: int, badly: bool = False) -> list[list[list[int]]]:
    """The strokes, in pixels of the pad, of the digit that `number` ends with, as a person draws it.

    badly: by a shaking hand, slanted, very small or too large, squeezed, and with gaps.
    """
    draws = random.Random(number)
    high = draws.uniform(35, 260) if badly else draws.uniform(110, 200)
    wide = high * draws.uniform(0.35, 1.3 if badly else 0.8)
    slant = draws.uniform(-0.6, 0.6) if badly else draws.uniform(-0.2, 0.2)
    x0, y0 = draws.uniform(15, max(16.0, 265 - wide)), draws.uniform(15, max(16.0, 265 - high))
    shake, strokes = (high / 30 if badly else 1.5), []
    for told in STROKES_OF[number % 10]:
        corners = [tuple(int(v) / 100 for v in point.split(",")) for point in told.split()]
        stroke: list[list[int]] = []
        for (x, y), (u, v) in pairwise(corners):
            steps = max(2, round(math.hypot((u - x) * wide, (v - y) * high) / 9))
            for part in (n / steps for n in range(steps)):
                row, column = y + part * (v - y), x + part * (u - x)
                place = x0 + (column - slant * (row - 0.5)) * wide, y0 + row * high
                stroke.append([int(min(max(p + draws.gauss(0, shake), 0), 280)) for p in place])
            if badly and draws.random() < 0.15:
                strokes.append(stroke)
                stroke = []
        strokes.append(stroke)
    return [stroke for stroke in strokes if stroke]


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

    size: of the change of each weight, in units of its layer's largest weight. Its logits of random images
    deviate by 5 around 0, as those of a trained network do: so that images get different classes.
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
        last, images = model.dense[-1], torch.randint(0, 256, (32, *model.info.shape), generator=generator)
        assert isinstance(last, torch.nn.Linear)
        logits = model(images.float())
        gain = 5 / logits.std(0).clamp(min=0.05)
        last.bias.copy_((last.bias - logits.mean(0)) * gain)
        last.weight.copy_((last.weight * gain[:, None]).half())
    return model
