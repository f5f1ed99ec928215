"""What the page computes is what torch computes: every pooling, order, head and activation."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from sources import for_shipped
from support import Tiny
from torch import Tensor

from cnnkit.config.load import load_config, shipped_configs
from cnnkit.nn.evidence import evidence
from cnnkit.nn.model import CNN
from cnnkit.play.networks import network_view, packed_tensor
from played import COMPUTE, every_activation, every_head, every_pooling, perturbed

WITH_SETTINGS = (
    ("model.pooling={name: soft, beta: learned}",),
    ("model.pooling={name: lp, p: learned}", "model.activation=relu"),
    ("model.head={name: gem, p: learned}", "model.activation=relu"),
    ("model.head={name: logsumexp, sharpness: 2}",),
    ("model.head={name: top, t: 2}",),
    ("model.batch_norm=false", "model.convolutions=[2,1]", "model.hidden=[]"),
    ("model.pooling=[concat,stride]", "model.kernel_sizes=[4,7]", "model.convolutions=2"),
    ("model.pool_size=[3,1]", "model.pooling=blur"),
    ("model.pool_size=[3,1]", "model.pooling=gated"),
)


def computed(page: Any, model: CNN, images: Tensor, cells: bool = False) -> Any:
    given = {"network": network_view(model), "images": packed_tensor(images, True), "cells": cells}
    found = page.evaluate(COMPUTE, given)
    assert found["missing"] == ""
    return found


def random_images(count: int, *shape: int) -> Tensor:
    return torch.randint(0, 256, (count, *shape), generator=torch.Generator().manual_seed(2)).float()


def assert_computed_as_torch_does(found: Any, model: CNN, images: Tensor) -> None:
    with torch.inference_mode():
        logits = model(images)
    torch.testing.assert_close(torch.tensor(found["logits"]), logits, atol=1e-3, rtol=0)
    first, second = logits.topk(2).values.T
    same = torch.tensor(found["logits"]).argmax(1) == logits.argmax(1)
    assert bool((same | (first - second < 1e-3)).all())


@pytest.mark.parametrize(
    "overrides", [*every_pooling(), *every_head(), *every_activation(), *WITH_SETTINGS], ids=" ".join
)
def test_every_pooling_order_head_and_activation_is_computed_as_torch_computes_it(
    scripts: Any, tiny: Tiny, overrides: tuple[str, ...]
) -> None:
    model = perturbed(tiny("model.channels=[4,6]", "model.kernel_sizes=[3,2]", *overrides))
    images = random_images(60, 1, 8, 8)
    found = computed(scripts, model, images, cells=True)
    assert_computed_as_torch_does(found, model, images)
    with torch.inference_mode():
        scores = evidence(model, images).flatten(1, 2)
    torch.testing.assert_close(torch.tensor(found["evidence"]), scores, atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", sorted(shipped_configs()))
def test_every_shipped_configuration_is_computed_as_torch_computes_it(
    scripts: Any, name: str, tmp_path: Path
) -> None:
    config = load_config(name, for_shipped(name, tmp_path))
    images, model = random_images(5, *config.data.info.shape), perturbed(config)
    assert_computed_as_torch_does(computed(scripts, model, images), model, images)


def test_numbers_travel_as_float16_or_whole(scripts: Any) -> None:
    values = torch.tensor([[0.0, -1.5, 6e-8, 1e-5, 65504.0, -0.0999755859375, 3.0517578125e-05]])
    unpack = "packed => [...decoded(packed).data]"
    assert scripts.evaluate(unpack, packed_tensor(values, False)) == values.half()[0].tolist()
    for wide in (packed_tensor(values, True), packed_tensor(values * 2, False)):  # too large for float16
        assert wide["type"] == "float32"
    assert scripts.evaluate(unpack, packed_tensor(values, True)) == values[0].tolist()


def test_a_part_that_the_page_does_not_know_is_named(scripts: Any, tiny: Tiny) -> None:
    view = json.loads(json.dumps(network_view(perturbed(tiny()))))
    view["stages"][0]["pooling"]["name"] = "mine"
    assert "mine" in scripts.evaluate("network => notComputable(unpacked(network))", view)
