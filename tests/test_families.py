"""Registries: what is registered is validated, built, costed and drawn by nothing but its own entry."""

import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
import torch
from support import info
from torch import Tensor, nn

from cnnkit.cli.compare import COMPARED, all_of
from cnnkit.config.costs import layer_costs
from cnnkit.config.docs import json_schema, keys_table
from cnnkit.config.load import config_text, parse_config
from cnnkit.config.model import ModelConfig
from cnnkit.config.training import TrainingConfig
from cnnkit.errors import ConfigError, UsageError
from cnnkit.families.activations import ACTIVATIONS, Activation
from cnnkit.families.heads import HEADS, Head
from cnnkit.families.optimizers import OPTIMIZERS, Optimizer
from cnnkit.families.poolings import POOLINGS, Pooling
from cnnkit.families.registry import Registry
from cnnkit.families.schedules import SCHEDULES, Schedule
from cnnkit.families.settings import Setting
from cnnkit.nn.model import build_model
from cnnkit.training.optimizers import learning_rate_at, make_optimizer

FAMILIES: list[Registry[Any]] = [POOLINGS, HEADS, ACTIVATIONS, OPTIMIZERS, SCHEDULES]


class ScaledExtremes(nn.Module):
    """The largest values, each map times a weight that is learned; and the smallest beside them."""

    def __init__(self, k: int, channels: int, *, scale: float = 2.0) -> None:
        super().__init__()
        self.k = k
        self.weight = nn.Parameter(torch.full((2 * channels, 1, 1), scale))

    def forward(self, maps: Tensor) -> Tensor:
        cells = maps.unfold(2, self.k, self.k).unfold(3, self.k, self.k)
        return self.weight * torch.cat([cells.amax((-2, -1)), cells.amin((-2, -1))], dim=1)


class LastCell(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, maps: Tensor) -> Tensor:
        return maps[..., -1, -1]


EXTREMES = Pooling(
    "extremes",
    f"{__name__}:ScaledExtremes",
    "ExtremesPool",
    "for this test",
    "(w·max x, w·min x)",
    settings=(Setting("scale", 2.0, "the first weight"),),
    weights=lambda k, channels: 2,
    products=lambda k, channels: 2,
    multiplies_channels=2,
    parts=("most", "least"),
)
LAST = Head("last", f"{__name__}:LastCell", "LastCellHead", "for this test", "the last x")


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Entries that a test registers are gone after it."""
    before = [dict(family._entries) for family in FAMILIES]
    yield
    for family, entries in zip(FAMILIES, before, strict=True):
        family._entries = entries


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.family)
def test_a_taken_name_is_refused_and_the_first_entry_stays(family: Registry[Any]) -> None:
    name, entry = next(iter(family.items()))
    with pytest.raises(UsageError, match=f"{family.family} called '{name}'"):
        family.register(entry)
    assert family[name] is entry


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.family)
def test_a_registry_cannot_be_written_to_but_by_register(family: Any) -> None:
    with pytest.raises(TypeError):
        family["new"] = object()
    with pytest.raises(TypeError):
        del family[next(iter(family))]


def test_each_pooling_head_and_activation_says_in_a_line_what_it_is() -> None:
    for entry in (*POOLINGS.values(), *HEADS.values(), *ACTIVATIONS.values()):
        assert len(entry.summary) > 10
        assert "\n" not in entry.summary
    for pooling in POOLINGS.values():
        assert len(pooling.parts or (pooling.name,)) == pooling.multiplies_channels


def test_the_registries_load_no_torch() -> None:
    code = "import sys, cnnkit.config.costs, cnnkit.config.load; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_new_pooling_is_validated_built_costed_and_documented() -> None:
    with pytest.raises(ConfigError, match="unknown strategy 'extremes'"):
        parse_config("model: {pooling: extremes}")
    POOLINGS.register(EXTREMES)
    config = parse_config("model: {channels: [3, 4], pooling: [{name: extremes, scale: 3}, max]}")
    assert parse_config(config_text(config)) == config
    model = build_model(config.model, info((1, 8, 8)), seed=0)
    assert model.stages(torch.zeros(2, 1, 8, 8)).shape[1:] == (4, *config.model.grids((1, 8, 8))[-1])
    rows = layer_costs(config.model, model.info)
    assert sum(row.parameters for row in rows) == sum(p.numel() for p in model.parameters())
    assert next(row.macs for row in rows if row.kind == "ExtremesPool") == 6 * 4 * 4
    assert float(model.state_dict()["stages.0.downsampling.pooling.weight"].mean()) == 3
    assert "`, `extremes`" in keys_table()
    assert json_schema().count('"extremes"') == 4  # as a name and with settings; of one stage, and of each
    with pytest.raises(ConfigError, match=r", \w+ or extremes; did you mean 'extremes'"):
        parse_config("model: {pooling: extrems}")


def test_four_poolings_or_heads_are_compared_unless_all_are_asked_for() -> None:
    assert COMPARED["model.pooling"] == ("stride", "max", "avg", "concat")
    assert COMPARED["model.head"] == ("avg", "max", "concat", "flatten")
    poolings, heads = all_of("model.pooling"), all_of("model.head")
    assert poolings == list(POOLINGS)
    assert sorted(heads) == sorted(HEADS)
    assert heads[-1] == "flatten"
    POOLINGS.register(EXTREMES)
    assert all_of("model.pooling") == [*poolings, "extremes"]
    HEADS.register(LAST)
    assert all_of("model.head") == [*heads[:-1], "last", "flatten"]


def test_a_new_head_activation_optimizer_and_schedule_are_used() -> None:
    HEADS.register(LAST)
    ACTIVATIONS.register(Activation("new_activation", "torch.nn:Softsign"))
    OPTIMIZERS.register(Optimizer("new_optimizer", "torch.optim:Rprop", settings=()))
    SCHEDULES.register(Schedule("new_schedule", lambda share, gamma: 0.5 if share >= 0.5 else 1.0, "half"))
    model = build_model(
        ModelConfig(head="last", activation="new_activation", hidden=()), info((1, 8, 8)), seed=0
    )
    assert model.head(torch.arange(8.0).view(1, 2, 2, 2)).tolist() == [[3.0, 7.0]]
    assert model.dense[-1].in_features == 64
    assert sum(isinstance(layer, nn.Softsign) for layer in model.modules()) == 2
    config = TrainingConfig(optimizer="new_optimizer", schedule="new_schedule", epochs=2, learning_rate=0.5)
    assert isinstance(make_optimizer(model, config, torch.device("cpu")), torch.optim.Rprop)
    assert [learning_rate_at(config, step, 2) for step in range(4)] == [0.5, 0.5, 0.25, 0.25]


def test_the_words_of_a_key_name_the_optimizers_and_schedules_that_use_it() -> None:
    words = {key: str(field.description) for key, field in TrainingConfig.model_fields.items()}
    told = {key: [name for name in OPTIMIZERS if re.search(rf"\b{name}\b", words[key])] for key in words}
    assert told["momentum"] == [name for name, entry in OPTIMIZERS.items() if "momentum" in entry.settings]
    assert told["betas"] == [name for name, entry in OPTIMIZERS.items() if "betas" in entry.settings]
    assert told["weight_decay"] == [name for name, entry in OPTIMIZERS.items() if entry.decoupled]
    assert all(f"{name}: {entry.summary}" in words["schedule"] for name, entry in SCHEDULES.items())
    assert [name for name in SCHEDULES if f" for {name}" in words["warmup"]] == ["one_cycle"]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weight_decay_shrinks_the_weights_themselves_where_that_is_said(name: str) -> None:
    """Then w' = (1 − rate · decay) · w − step, and the step is the one without decay."""

    def weights_of_steps(decay: float) -> list[Tensor]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
        config = TrainingConfig(optimizer=name, weight_decay=decay, learning_rate=0.1)
        optimizer, weights = make_optimizer(model, config, torch.device("cpu")), [model[0].weight.clone()]
        for _ in range(2):
            for parameter in model.parameters():
                parameter.grad = torch.arange(float(parameter.numel())).view_as(parameter) - 4.5
            optimizer.step()
            weights.append(model[0].weight.clone())
        return weights

    first, second, third = weights_of_steps(0.0)
    kept = 1 - 0.1 * 0.5
    expected = kept * (kept * first - (first - second)) - (second - third)
    assert torch.allclose(weights_of_steps(0.5)[-1], expected, atol=1e-5) == OPTIMIZERS[name].decoupled


THREE = ("max", "blur", "conv")  # a cell of blur and conv sees further than one of max


@pytest.mark.parametrize(
    ("name", "pool_size", "convolutions"),
    [
        *product(THREE, ((2, 2), (3, 1), (2, 3)), (1, (2, 3))),
        *((name, (2, 3), (2, 3)) for name in POOLINGS if name not in THREE),
    ],
)
def test_a_cell_sees_as_far_as_any_pixel_changes_it(
    name: str, pool_size: tuple[int, int], convolutions: int | tuple[int, int]
) -> None:
    """All weights are equal, so every pixel that can change a cell does so in some image."""
    sizes = {"kernel_sizes": (3, 4), "pool_size": pool_size, "convolutions": convolutions}
    config = ModelConfig(channels=(1, 1), pooling=name, batch_norm=False, **sizes)
    model = build_model(config, info((1, 18, 84)), seed=0).double().eval()
    for parameter in model.parameters():
        nn.init.constant_(parameter, 0.1)
    cells = config.cells((1, 18, 84))
    torch.manual_seed(0)
    base = torch.rand(4, 1, 18, 84, dtype=torch.float64)
    signs = torch.tensor([1.0, -1.0]).repeat(2)[:, None, None]  # a maximum shows the one, a minimum the other
    with torch.no_grad():
        maps = [model.stages(base)[:, 0, cells.rows // 2, cells.columns // 2]]
        for column in range(84):
            other = base.clone()
            other[..., column] = 10 * signs * torch.rand(4, 1, 18, dtype=torch.float64)
            maps.append(model.stages(other)[:, 0, cells.rows // 2, cells.columns // 2])
    changed = (torch.stack(maps[1:]) != maps[0]).any(1).nonzero()[:, 0]
    assert changed.max() - changed.min() + 1 == cells.sees
    assert cells.side == pool_size[0] * pool_size[1]
