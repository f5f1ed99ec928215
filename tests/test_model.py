"""The network: its layers against formulas, its costs against torch's own counter, its seeds."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from support import info
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from cnnkit.config.costs import LayerCost, layer_costs
from cnnkit.config.model import ModelConfig
from cnnkit.families.activations import ACTIVATIONS
from cnnkit.families.heads import HEADS
from cnnkit.families.poolings import ORDERS, POOLINGS
from cnnkit.families.settings import Choice
from cnnkit.nn.layers import Downsampling, Dropout, HeadLayer
from cnnkit.nn.model import CNN, build_model
from cnnkit.nn.pools import Average, Concat

SHAPE = (1, 12, 12)
INFO = info(SHAPE)
SMALL: dict[str, Any] = {"channels": (4, 6), "kernel_sizes": (5, 3), "hidden": (16,)}


def small(seed: int = 0, **changes: Any) -> CNN:
    return build_model(ModelConfig(**{**SMALL, **changes}), INFO, seed)


def weight_layers(model: CNN) -> list[nn.Conv2d | nn.Linear]:
    return [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]


def kind_of(module: nn.Module) -> str:
    return module.entry.kind if isinstance(module, Downsampling | HeadLayer) else type(module).__name__


def own_macs(module: Downsampling | HeadLayer, given: Tensor, output: Tensor) -> int:
    """Of a pooling or a head, without the convolution before it."""
    if isinstance(module, HeadLayer):
        return module.entry.own_cost(Choice(module.entry.name), given.shape[1], given[0, 0].numel())[1]
    filters, cells = module.convolution.out_channels, output[0, 0].numel()
    return module.entry.own_cost(module.choice, module.factor, filters, cells)[1]


def counted_by_hooks(model: CNN) -> list[LayerCost]:
    """The costs of a network, counted while one image passes through it."""
    rows: list[LayerCost] = []
    names = {module: name for name, module in model.named_modules()}

    def record_convolution(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        assert isinstance(module, Downsampling)  # which may take a short cut around its convolution
        record(module.convolution, inputs, module.convolution(inputs[0]))

    def record(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        macs, counted = 0, module
        if isinstance(module, nn.Conv2d | nn.Linear):
            positions = output.numel() // module.weight.shape[0]
            macs = positions * module.weight.numel()
        if isinstance(module, Downsampling | HeadLayer):  # tests/test_pooling.py counts its products
            macs, counted = own_macs(module, inputs[0], output), module.pooling
        parameters = sum(p.numel() for p in counted.parameters(recurse=counted is not module))
        rows.append(LayerCost(names[module], kind_of(module), tuple(output.shape[1:]), parameters, macs))

    downsamplings = [m for m in model.modules() if isinstance(m, Downsampling)]
    made = [*downsamplings, model.head]
    within = {part for m in made for part in m.modules()}
    leaves = [m for m in model.modules() if m not in within and not list(m.children())]
    hooks = [layer.register_forward_hook(record) for layer in [*leaves, *made]]
    hooks += [layer.register_forward_pre_hook(record_convolution) for layer in downsamplings]
    was_training = model.training
    with torch.inference_mode():
        model.eval()(torch.zeros(1, *model.info.shape, device=next(model.parameters()).device))
    model.train(was_training)
    for hook in hooks:
        hook.remove()
    return rows


@st.composite
def models(draw: st.DrawFn) -> tuple[ModelConfig, tuple[int, int, int], int]:
    """A random network, the images it fits and its number of classes."""
    n = draw(st.integers(1, 3))

    def one_each(values: st.SearchStrategy[Any]) -> tuple[Any, ...]:
        return tuple(draw(values) for _ in range(n))

    config = ModelConfig(
        channels=one_each(st.integers(1, 4)),
        kernel_sizes=one_each(st.integers(1, 5)),
        convolutions=one_each(st.integers(1, 3)),
        pooling=one_each(st.sampled_from(sorted(POOLINGS))),
        pool_size=(pool_size := one_each(st.integers(1, 3))),
        order=one_each(st.sampled_from(sorted(ORDERS))),
        head=draw(st.sampled_from(sorted(HEADS))),
        hidden=tuple(draw(st.lists(st.integers(1, 8), max_size=2))),
        dropout=draw(st.sampled_from([0.0, 0.5])),
        feature_dropout=draw(st.sampled_from([0.0, 0.5])),
        activation=draw(st.sampled_from(sorted(ACTIVATIONS))),
        batch_norm=draw(st.booleans()),
    )
    smallest = math.prod(pool_size)
    height, width = (draw(st.integers(smallest, smallest + 12)) for _ in range(2))
    return config, (draw(st.integers(1, 3)), height, width), draw(st.integers(2, 10))


@pytest.mark.parametrize("p", [0.1, 0.25, 0.5, 0.9, 0.99])
def test_dropout_zeroes_a_share_p_and_rescales_the_rest(p: float) -> None:
    torch.manual_seed(0)
    n = 200_000
    dropped = Dropout(p)(torch.ones(n))
    assert abs(int((dropped == 0).sum()) - n * p) < 4 * math.sqrt(n * p * (1 - p))
    torch.testing.assert_close(dropped[dropped != 0].unique(), torch.tensor([1 / (1 - p)]))


@pytest.mark.parametrize("p", [0.999, 0.999999])
def test_dropout_of_nearly_everything_keeps_nearly_nothing(p: float) -> None:
    torch.manual_seed(0)
    assert int(Dropout(p)(torch.ones(10_000)).count_nonzero()) < 30


@pytest.mark.parametrize("lag", [1, 2, 3, 4, 8])
def test_dropout_decides_on_each_value_apart_from_its_neighbours(lag: int) -> None:
    torch.manual_seed(0)
    dropped = Dropout(0.5)(torch.ones(100_000))
    assert abs(torch.corrcoef(torch.stack([dropped[lag:], dropped[:-lag]]))[0, 1]) < 0.015


def test_dropout_leaves_everything_when_evaluating_or_when_p_is_0() -> None:
    values = torch.randn(3, 4)
    assert Dropout(0.5).eval()(values) is values
    assert Dropout(0.0)(values) is values


def test_dropout_of_whole_maps_zeroes_maps_whole_or_not_at_all() -> None:
    torch.manual_seed(0)
    dropped = Dropout(0.25, whole_maps=True)(torch.ones(50, 40, 3, 5)).flatten(2)
    assert torch.equal(dropped.amin(2), dropped.amax(2))
    assert float((dropped == 0).float().mean()) == pytest.approx(0.25, abs=0.04)


def test_dropout_takes_its_masks_from_its_own_generator_and_leaves_the_global_one() -> None:
    layer, values = Dropout(0.5), torch.ones(1000)
    before = torch.get_rng_state()
    masks = []
    for seed in (1, 1, 2):
        layer.generator = torch.Generator().manual_seed(seed)
        masks.append(layer(values))
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])
    assert torch.equal(torch.get_rng_state(), before)


def test_all_dropout_of_a_network_comes_from_the_stream_it_is_given() -> None:
    model, images = small(dropout=0.5, feature_dropout=0.5), torch.full((8, *SHAPE), 100.0)
    before = torch.get_rng_state()
    answers = []
    for seed in (1, 1, 2):
        model.draw_dropout_from(torch.Generator().manual_seed(seed))
        answers.append(model(images))
    assert torch.equal(answers[0], answers[1])
    assert not torch.equal(answers[0], answers[2])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("changes", "parameters", "macs"),
    [
        # convolutions, their norms, dense layers with biases; weights × positions
        (
            {"pooling": "stride"},
            (1 * 32 * 25) + 2 * 32 + (32 * 64 * 9) + 2 * 64 + (64 * 49 * 128 + 128) + (128 * 10 + 10),
            (1 * 32 * 25) * 14**2 + (32 * 64 * 9) * 7**2 + 64 * 49 * 128 + 128 * 10,
        ),
        (
            {"pooling": "max"},
            (1 * 32 * 25) + 2 * 32 + (32 * 64 * 9) + 2 * 64 + (64 * 49 * 128 + 128) + (128 * 10 + 10),
            (1 * 32 * 25) * 28**2 + (32 * 64 * 9) * 14**2 + 64 * 49 * 128 + 128 * 10,
        ),
        (
            {"pooling": "avg", "batch_norm": False},
            (1 * 32 * 25 + 32) + (32 * 64 * 9 + 64) + (64 * 49 * 128 + 128) + (128 * 10 + 10),
            (1 * 32 * 25) * 28**2 + (32 * 64 * 9) * 14**2 + 64 * 49 * 128 + 128 * 10,
        ),
        (
            {"pooling": "concat"},
            (1 * 32 * 25) + 2 * 32 + (64 * 64 * 9) + 2 * 64 + (128 * 49 * 128 + 128) + (128 * 10 + 10),
            (1 * 32 * 25) * 28**2 + (64 * 64 * 9) * 14**2 + 128 * 49 * 128 + 128 * 10,
        ),
        (
            {"pooling": "concat", "order": "pooling_first"},  # the norm sees both halves
            (1 * 32 * 25) + 2 * 64 + (64 * 64 * 9) + 2 * 128 + (128 * 49 * 128 + 128) + (128 * 10 + 10),
            (1 * 32 * 25) * 28**2 + (64 * 64 * 9) * 14**2 + 128 * 49 * 128 + 128 * 10,
        ),
        (
            {"pooling": ("stride", "concat"), "convolutions": (2, 3), "hidden": ()},
            (1 * 32 * 25 + 32 * 32 * 25)
            + 2 * (2 * 32)
            + (32 * 64 * 9 + 2 * 64 * 64 * 9)
            + 3 * (2 * 64)
            + (128 * 49 * 10 + 10),
            (1 * 32 * 25) * 28**2  # the last one alone skips
            + (32 * 32 * 25) * 14**2
            + (32 * 64 * 9 + 2 * 64 * 64 * 9) * 14**2
            + 128 * 49 * 10,
        ),
        (
            {"pooling": ("concat", "stride"), "head": "concat", "hidden": ()},
            (1 * 32 * 25) + 2 * 32 + (64 * 64 * 9) + 2 * 64 + (2 * 64 * 10 + 10),
            (1 * 32 * 25) * 28**2 + (64 * 64 * 9) * 7**2 + 2 * 64 * 10,
        ),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_costs_are_those_counted_by_hand(changes: dict[str, Any], parameters: int, macs: int) -> None:
    config = ModelConfig(**{"channels": (32, 64), "kernel_sizes": (5, 3), "hidden": (128,), **changes})
    rows = layer_costs(config, info((1, 28, 28)))
    assert sum(row.parameters for row in rows) == parameters
    assert sum(row.macs for row in rows) == macs


def convolved_by_poolings(model: CNN) -> Iterator[int]:
    """Multiply-accumulates of the convolutions in poolings, which torch counts, too."""
    for stage, (height, width) in zip(
        model.config.stages, model.config.grids(model.info.shape)[1:], strict=True
    ):
        filters = {"conv": stage.channels, "gated": 1}.get(stage.pooling, 0)
        yield stage.channels * filters * stage.pool_size**2 * height * width


@settings(max_examples=30, deadline=None)
@given(case=models())
def test_costs_are_those_counted_by_torch(
    case: tuple[ModelConfig, tuple[int, int, int], int],
) -> None:
    config, shape, classes = case
    model = build_model(config, info(shape, classes), seed=0).eval()
    rows = counted_by_hooks(model)
    with pytest.MonkeyPatch.context() as patch, FlopCounterMode(display=False) as counter, torch.no_grad():
        for strategy in (Average, Concat):  # without their short cut
            patch.delattr(strategy, "of_convolution")
        logits = model(torch.zeros(1, *shape))
    made = {entry.kind for entry in (*POOLINGS.values(), *HEADS.values())}
    of_poolings = sum(convolved_by_poolings(model))
    assert (
        2 * (sum(row.macs for row in rows if row.kind not in made) + of_poolings) == counter.get_total_flops()
    )
    assert sum(row.parameters for row in rows) == sum(p.numel() for p in model.parameters())
    assert rows[-1].output_shape == logits.shape[1:] == (classes,)
    assert layer_costs(config, model.info) == rows


@settings(max_examples=30, deadline=None)
@given(case=models())
def test_the_configuration_foretells_every_grid_and_the_head(
    case: tuple[ModelConfig, tuple[int, int, int], int],
) -> None:
    config, shape, classes = case
    model = build_model(config, info(shape, classes), seed=0).eval()
    maps = torch.zeros(2, *shape)
    for stage, expected, grid in zip(model.stages, config.stages, config.grids(shape)[1:], strict=True):
        maps = stage(maps)
        assert maps.shape[1:] == (expected.out_channels, *grid)
    assert model.head(maps).shape[1] == config.head_features(shape)


def test_a_summary_names_each_layer_in_the_order_in_which_images_pass() -> None:
    orders = ("activation_first", "pooling_first")
    rows = layer_costs(ModelConfig(**SMALL, dropout=0.25, order=orders), INFO)
    assert [(row.kind, row.output_shape) for row in rows] == [
        ("Normalize", (1, 12, 12)),
        ("SameConv2d", (4, 12, 12)),
        ("BatchNorm2d", (4, 12, 12)),
        ("ReLU", (4, 12, 12)),
        ("MaxPool", (4, 6, 6)),
        ("SameConv2d", (6, 6, 6)),
        ("MaxPool", (6, 3, 3)),
        ("BatchNorm2d", (6, 3, 3)),
        ("ReLU", (6, 3, 3)),
        ("FlattenHead", (54,)),
        ("Dropout", (54,)),
        ("Linear", (16,)),
        ("ReLU", (16,)),
        ("Dropout", (16,)),
        ("Linear", (10,)),
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"pooling": "stride"},
        {"pooling": "avg"},
        {"pooling": "concat"},
        {"kernel_sizes": (3, 3)},
        {"batch_norm": False},
        {"activation": "tanh"},
        {"feature_dropout": 0.5},
        {"dropout": 0.0},
        {"dropout": 0.5},
        {"head": "avg"},
    ],
    ids=str,
)
def test_networks_of_one_seed_agree_wherever_their_shapes_agree(changes: dict[str, Any]) -> None:
    pairs = list(zip(weight_layers(small()), weight_layers(small(**changes)), strict=True))
    alike = [(one, other) for one, other in pairs if one.weight.shape == other.weight.shape]
    assert len(alike) >= 2
    assert all(torch.equal(one.weight, other.weight) for one, other in alike)


def test_a_seed_gives_the_same_weights_again_and_another_seed_others() -> None:
    first, again, other = (weight_layers(small(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(a.weight, b.weight) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a.weight, b.weight) for a, b in zip(first, other, strict=True))


def test_layers_of_one_shape_do_not_start_alike() -> None:
    _, second, third = weight_layers(small(channels=(4, 4, 4), kernel_sizes=3, hidden=()))[:3]
    assert second.weight.shape == third.weight.shape
    assert not torch.isin(second.weight, third.weight).any()


def test_weights_know_nothing_of_the_global_stream() -> None:
    built = []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        built.append(small(batch_norm=False).state_dict())
    assert all(torch.equal(tensor, built[1][name]) for name, tensor in built[0].items())


def test_initial_weights_are_uniform_within_one_over_the_root_of_fan_in() -> None:
    for layer in weight_layers(small(channels=(32, 64), batch_norm=False)):
        bound = 1 / math.sqrt(math.prod(layer.weight.shape[1:]))
        assert layer.weight.abs().max() <= bound
        assert layer.bias is not None
        assert layer.bias.abs().max() <= bound
        if layer.weight.numel() > 1000:
            assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)


def test_pixels_are_normalised_by_the_statistics_that_travel_with_the_weights() -> None:
    images = torch.randint(0, 256, (20, *SHAPE), dtype=torch.uint8)
    mean, std = images.float().mean().item(), images.float().std(correction=0).item()
    model = build_model(ModelConfig(**SMALL), INFO, 0, mean, std)
    normalised = model.normalize(images)
    assert normalised.mean().item() == pytest.approx(0, abs=1e-4)
    assert normalised.std(correction=0).item() == pytest.approx(1, abs=1e-4)
    other = small(seed=1)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.normalize(images), normalised)


@pytest.mark.parametrize("batch_norm", [True, False])
def test_batch_norm_replaces_the_bias_of_each_convolution(batch_norm: bool) -> None:
    modules = list(small(batch_norm=batch_norm).modules())
    assert sum(isinstance(module, nn.BatchNorm2d) for module in modules) == 2 * batch_norm
    convolutions = [module for module in modules if isinstance(module, nn.Conv2d)]
    assert [convolution.bias is None for convolution in convolutions] == [batch_norm] * 2


def test_each_convolution_of_a_stage_has_a_norm_of_its_own() -> None:
    modules = list(small(convolutions=[3, 1], pooling="concat", order="pooling_first").modules())
    norms = [module.num_features for module in modules if isinstance(module, nn.BatchNorm2d)]
    assert norms == [4, 4, 8, 12]  # only the last sees what concat makes


def test_a_network_without_an_activation_is_one_linear_function_and_others_are_not() -> None:
    one, other = torch.rand(2, 1, *SHAPE)
    for activation, linear in (("identity", True), ("relu", False)):
        model = small(pooling="avg", activation=activation, dropout=0.0).eval()
        bent = model(one) + model(other) - 2 * model((one + other) / 2)
        assert (float(bent.detach().abs().max()) < 1e-5) == linear


@pytest.mark.parametrize("pooling", ["max", "avg", "concat", "stride"])
@pytest.mark.parametrize("order", ["activation_first", "pooling_first"])
@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("convolutions", [1, 2, 3])
def test_a_network_is_its_stages_in_their_order_and_then_dense_layers(
    pooling: str, order: str, batch_norm: bool, convolutions: int
) -> None:
    """Against the formula: an untrained norm has mean 0 and variance 1."""
    changes = {"dropout": 0.0, "activation": "silu", "batch_norm": batch_norm, "convolutions": convolutions}
    model = small(pooling=pooling, order=order, seed=3, **changes).eval()
    parts = model.state_dict()
    images = torch.randint(0, 256, (4, *SHAPE)).float()

    def pooled(maps: Tensor) -> Tensor:
        kinds = {"max": [F.max_pool2d], "avg": [F.avg_pool2d], "concat": [F.max_pool2d, F.avg_pool2d]}
        if pooling == "stride":
            return maps[..., ::2, ::2]
        return torch.cat([kind(maps, 2) for kind in kinds[pooling]], dim=1)

    def activated(maps: Tensor) -> Tensor:
        return F.silu(maps / math.sqrt(1 + 1e-5) if batch_norm else maps)

    def convolved(maps: Tensor, name: str, padding: int) -> Tensor:
        weight, bias = parts[f"{name}.convolution.weight"], parts.get(f"{name}.convolution.bias")
        return F.conv2d(maps, weight, bias, padding=padding)

    def stage(maps: Tensor, number: int, padding: int) -> Tensor:
        for before in range(convolutions - 1):
            maps = activated(convolved(maps, f"stages.{number}.before.{before}", padding))
        maps = convolved(maps, f"stages.{number}.downsampling", padding)
        return activated(pooled(maps)) if order == "pooling_first" else pooled(activated(maps))

    features = stage(stage(images, 0, 2), 1, 1).movedim(1, -1).flatten(1)
    hidden, logits = (layer for layer in weight_layers(model) if isinstance(layer, nn.Linear))
    expected = F.silu(features @ hidden.weight.T + hidden.bias) @ logits.weight.T + logits.bias
    torch.testing.assert_close(model(images), expected)


def test_stages_may_differ_in_their_order_and_share_the_names_of_their_weights() -> None:
    each = small(order=["activation_first", "pooling_first"], pooling="concat")
    assert [stage.pools_first for stage in each.stages] == [False, True]
    names = {order: set(small(order=order).state_dict()) for order in ("activation_first", "pooling_first")}
    assert names["activation_first"] == names["pooling_first"] == set(each.state_dict())


def test_one_convolution_a_stage_gives_the_names_that_it_always_gave() -> None:
    """Kept weights are read by these names, and each layer's initial weights are drawn by its name."""
    names = {name for name in small(channels=(4,), kernel_sizes=3).state_dict() if name.startswith("stages")}
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    assert names == {"stages.0.downsampling.convolution.weight", *(f"stages.0.norm.{leaf}" for leaf in norm)}


@pytest.mark.parametrize("side", [12, 13])
def test_a_stage_that_skips_is_the_same_in_both_orders(side: int) -> None:
    """While it trains, too: the norm sees the same grid."""
    shape, changes = (1, side, side), {"pooling": "stride", "dropout": 0.0}
    images = torch.randint(0, 256, (6, *shape)).float()
    made = [
        build_model(ModelConfig(**SMALL | changes, order=order), info(shape), 1)(images)
        for order in ("activation_first", "pooling_first")
    ]
    assert torch.equal(*made)


def test_the_order_matters_where_maps_are_averaged() -> None:
    images = torch.randint(0, 256, (6, *SHAPE)).float()
    made = {order: small(pooling="avg", order=order, dropout=0.0)(images) for order in ORDERS}
    assert not torch.allclose(*made.values(), rtol=0.01)


def test_of_a_rising_activation_without_a_norm_the_maximum_commutes() -> None:
    images = torch.randint(0, 256, (6, *SHAPE)).float()
    changes = {"pooling": "max", "activation": "relu", "batch_norm": False, "dropout": 0.0}
    first, second = (small(order=order, **changes)(images) for order in ORDERS)
    assert torch.equal(first, second)
