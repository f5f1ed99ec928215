"""What the page computes is what torch computes: every pooling, order, head and activation."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from browsers import chromium
from support import Tiny

from cnnkit.nn.evidence import evidence
from cnnkit.play.networks import network_view, packed_tensor
from cnnkit.play.page import COMPUTING, FRAMING, script_of
from played import COMPUTE, every_activation, every_head, every_pooling, perturbed

IMAGES = 3
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


@pytest.fixture(scope="module")
def scripts() -> Iterator[Any]:
    """A page with the scripts that compute and frame."""
    with chromium() as browser:
        page = browser.new_page()
        page.add_script_tag(content=script_of((*COMPUTING, *FRAMING)))
        yield page


def test_the_page_computes_what_torch_computes_for_every_pooling_order_head_and_activation(
    scripts: Any, tiny: Tiny
) -> None:
    names, models = [], []
    for overrides in (*every_pooling(), *every_head(), *every_activation(), *WITH_SETTINGS):
        names.append(" ".join(overrides))
        models.append(perturbed(tiny("model.channels=[4,6]", "model.kernel_sizes=[3,2]", *overrides)))
    images = torch.randint(0, 256, (IMAGES, 1, 8, 8), generator=torch.Generator().manual_seed(2)).float()
    pixels = images.flatten(1).tolist()
    given = {"shape": [1, 8, 8], "images": pixels, "cells": True}
    cases = [{"network": network_view(model), **given} for model in models]
    for name, model, found in zip(names, models, scripts.evaluate(COMPUTE, cases), strict=True):
        assert found[0]["missing"] == "", name
        with torch.inference_mode():
            logits, scores = model(images), evidence(model, images).flatten(1, 2)
        torch.testing.assert_close(torch.tensor([f["logits"] for f in found]), logits, atol=1e-3, rtol=0)
        torch.testing.assert_close(torch.tensor([f["evidence"] for f in found]), scores, atol=1e-3, rtol=0)


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
