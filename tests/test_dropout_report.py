"""The dropout mask of a report: what is shown is what the network's own layer does in training."""

from pathlib import Path

import pytest
import torch
from support import Tiny, begun, finished_run
from torch import Tensor

from cnnkit.experiment.checkpoints import Weights
from cnnkit.nn.layers import Dropout
from cnnkit.random import generator_for
from cnnkit.report.dropout import SHOWN, apply, dropout_masks
from cnnkit.report.page import write_report

IMAGE = torch.arange(64, dtype=torch.uint8).view(1, 8, 8) * 4


def untrained(tiny: Tiny, *overrides: str) -> Weights:
    config = tiny(*overrides)
    return Weights(begun(config)[0].model, config, Path("none"))


@pytest.mark.parametrize("p", [0.1, 0.25, 0.5, 0.7, 0.999])
@pytest.mark.parametrize("whole_maps", [False, True])
def test_the_steps_shown_give_what_the_layer_gives_in_training(p: float, whole_maps: bool) -> None:
    layer = Dropout(p, whole_maps)
    values: Tensor = torch.rand(1, 300, 2, 2) if whole_maps else torch.rand(1, 300)
    numbers, kept, product = apply(layer, values, generator_for(3, "dropout", 1))
    layer.generator = generator_for(3, "dropout", 1)
    assert torch.equal(product, layer.train()(values)[0])
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert numbers[kept].min() >= p - 1e-5
    assert numbers[~kept].max() < p + 1e-5
    assert torch.equal(kept, product.flatten(1).any(1) if whole_maps else product > 0)


def test_the_values_shown_are_those_of_the_first_dense_layer(tiny: Tiny) -> None:
    weights = untrained(tiny, "model.dropout=0.5", "model.hidden=[16]")
    (mask,) = dropout_masks(weights, IMAGE)
    model = weights.model.eval()
    features = model.head(model.stages(model.normalize(IMAGE[None])))
    hidden = torch.relu(model.dense.get_submodule("linear1")(features))[0]
    assert [float(row.before) for row in mask.rows] == [
        float(f"{float(hidden[row.place].detach()):.3f}") for row in mask.rows
    ]
    assert len(mask.rows) == SHOWN
    for row in mask.rows:
        assert float(row.after) == pytest.approx(float(row.before) * 2 * row.kept, abs=0.002)
        assert row.kept == (row.number >= 0.5)


@pytest.mark.parametrize(
    ("overrides", "what"),
    [
        (["model.dropout=0.0"], []),
        (["model.dropout=0.1", "model.hidden=[]"], ["features of the head"]),
        (["model.dropout=0.1", "model.hidden=[8, 8]"], ["values of the first dense layer"]),
        (["model.dropout=0.0", "model.feature_dropout=0.2"], ["maps of stage 1"]),
        (
            ["model.dropout=0.1", "model.feature_dropout=0.2"],
            ["maps of stage 1", "values of the first dense layer"],
        ),
    ],
)
def test_each_kind_of_dropout_is_shown_once(overrides: list[str], what: list[str], tiny: Tiny) -> None:
    assert [mask.what for mask in dropout_masks(untrained(tiny, *overrides), IMAGE)] == what


def test_a_report_shows_the_mask_of_a_run_with_dropout_alone(tmp_path: Path, shared_cache: Path) -> None:
    for p in ("0.25", "0.0"):
        run = finished_run(tmp_path / p, shared_cache, f"model.dropout={p}", "training.epochs=1")
        page = write_report(run).read_text(encoding="utf-8")
        assert ("value × mask ÷ (1 − 0.25)" in page) == (p == "0.25")
        assert ('id="dropout"' in page) == (p == "0.25")
