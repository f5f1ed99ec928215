"""The downsampling strategies and the head's poolings, each against its written formula."""

import math
from collections.abc import Callable
from itertools import pairwise, product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from cnnkit.families.heads import HEADS
from cnnkit.families.poolings import POOLINGS
from cnnkit.families.settings import Choice
from cnnkit.nn.layers import Downsampling, HeadLayer, SameConv2d


def of_cells(formula: Callable[[Tensor], Tensor]) -> Callable[[Tensor, int, Any], Tensor]:
    """formula: (N, C, h, w, k²) -> (N, C', h, w), what becomes of each k × k cell."""
    return lambda maps, k, pooling: formula(cells_of(maps, k).flatten(-2))


def filtered_maxima(maps: Tensor, k: int, pooling: Any) -> Tensor:
    """For each cell its own sum, over places around its corner, of binomial weights times maxima."""
    height, width = maps.shape[-2:]
    rows = []
    for i, j in product(range(height // k), range(width // k)):
        total = torch.zeros(maps.shape[:2], dtype=maps.dtype)
        for di, dj in product(range(2 * k - 1), repeat=2):
            row, column = i * k - (k - 1) + di, j * k - (k - 1) + dj
            window = maps[..., max(row, 0) : row + k, max(column, 0) : column + k]
            total += math.comb(2 * k - 2, di) * math.comb(2 * k - 2, dj) * window.amax((-2, -1))
        rows.append(total / 16 ** (k - 1))
    return torch.stack(rows, -1).unflatten(-1, (height // k, width // k))


def convolved(maps: Tensor, k: int, pooling: Any) -> Tensor:
    weight, bias = pooling.convolution.weight, pooling.convolution.bias
    return torch.einsum("nchwij,ocij->nohw", cells_of(maps, k), weight) + bias[:, None, None]


def between(cells: Tensor, share: Tensor) -> Tensor:
    """a · max + (1 − a) · mean"""
    return share * cells.amax(-1) + (1 - share) * cells.mean(-1)


def gated(maps: Tensor, k: int, pooling: Any) -> Tensor:
    cells = cells_of(maps, k).flatten(-2)
    answers = torch.einsum("nchwi,ci->nchw", cells, pooling.weight.flatten(1))
    return between(cells, 1 / (1 + (-answers).exp()))


def soft(beta: float | Tensor) -> Callable[[Tensor], Tensor]:
    return lambda x: (x * (beta * x).exp()).sum(-1) / (beta * x).exp().sum(-1)


def power_mean(p: float | Tensor) -> Callable[[Tensor], Tensor]:
    return lambda x: (x**p).mean(-1) ** (1 / p if isinstance(p, float) else 1 / p[..., 0])


def each_map(numbers: Tensor) -> Tensor:
    """(C,) -> (C, 1, 1, 1), to lie over cells."""
    return numbers[:, None, None, None]


# (maps, k, the module) -> what it makes of them, evaluating.
FORMULAS: dict[str, Callable[[Tensor, int, Any], Tensor]] = {
    "stride": of_cells(lambda x: x[..., 0]),
    "max": of_cells(lambda x: x.amax(-1)),
    "avg": of_cells(lambda x: x.mean(-1)),
    "concat": of_cells(lambda x: torch.cat([x.amax(-1), x.mean(-1)], dim=1)),
    "conv": convolved,
    "mixed": lambda maps, k, pooling: between(cells_of(maps, k).flatten(-2), pooling.logit.sigmoid()),
    "gated": gated,
    "soft": of_cells(soft(1.0)),
    "lp": of_cells(power_mean(3.0)),
    "blur": filtered_maxima,
    "stochastic": of_cells(lambda x: x.square().sum(-1) / x.sum(-1).clamp(min=1e-300)),
    "median": of_cells(lambda x: x.quantile(0.5, dim=-1)),
}
WITH_SETTINGS: dict[Choice, Callable[[Tensor, int, Any], Tensor]] = {
    Choice("soft", {"beta": 0.0}): of_cells(lambda x: x.mean(-1)),
    Choice("soft", {"beta": 2.5}): of_cells(soft(2.5)),
    Choice("soft", {"beta": "learned"}): lambda maps, k, pooling: of_cells(
        soft(each_map(pooling.log_beta.exp()))
    )(maps, k, pooling),
    Choice("lp", {"p": 1.0}): of_cells(lambda x: x.mean(-1)),
    Choice("lp", {"p": 2.5}): of_cells(power_mean(2.5)),
    Choice("lp", {"p": "learned"}): lambda maps, k, pooling: of_cells(
        power_mean(each_map(1 + pooling.power.log.exp()))
    )(maps, k, pooling),
}
EVERY_CHOICE = {**{Choice(name): formula for name, formula in FORMULAS.items()}, **WITH_SETTINGS}


def attended(maps: Tensor, head: Any) -> Tensor:
    scores = torch.einsum("nchw,c->nhw", maps, head.query) / maps.shape[1] ** 0.5
    shares = scores.exp() / scores.exp().sum((1, 2), keepdim=True)
    return (shares[:, None] * maps).sum((2, 3))


HEAD_FORMULAS: dict[Choice, Callable[[Tensor, Any], Tensor]] = {
    Choice("flatten"): lambda maps, _: torch.cat(
        [cell for row in maps.unbind(2) for cell in row.unbind(2)], dim=1
    ),
    Choice("avg"): lambda maps, _: maps.sum((2, 3)) / (maps.shape[2] * maps.shape[3]),
    Choice("max"): lambda maps, _: maps.flatten(2).sort(2).values[..., -1],
    Choice("concat"): lambda maps, _: torch.cat(
        [maps.flatten(2).max(2).values, maps.flatten(2).mean(2)], dim=1
    ),
    Choice("gem"): lambda maps, _: power_mean(3.0)(maps.flatten(2)),
    Choice("gem", {"p": 1.5}): lambda maps, _: power_mean(1.5)(maps.flatten(2)),
    Choice("gem", {"p": "learned"}): lambda maps, head: power_mean((1 + head.power.log.exp())[:, None])(
        maps.flatten(2)
    ),
    Choice("logsumexp"): lambda maps, _: (5 * maps).exp().mean((2, 3)).log() / 5,
    Choice("logsumexp", {"sharpness": 0.5}): lambda maps, _: (maps / 2).exp().mean((2, 3)).log() * 2,
    Choice("attention"): attended,
    Choice("top"): lambda maps, _: maps.flatten(2).sort(2).values[..., -3:].mean(2),
    Choice("top", {"t": 1}): lambda maps, _: maps.amax((2, 3)),
    Choice("top", {"t": 100}): lambda maps, _: maps.mean((2, 3)),
}
each_strategy = pytest.mark.parametrize("name", FORMULAS)
each_choice = pytest.mark.parametrize("choice", EVERY_CHOICE, ids=str)


def same_convolution(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Every window's products summed; an even kernel reaches one pixel further down and right."""
    size = weight.shape[-1]
    before, after = (size - 1) // 2, size // 2
    windows = F.pad(images, (before, after, before, after)).unfold(2, size, 1).unfold(3, size, 1)
    return torch.einsum("nchwij,ocij->nohw", windows, weight) + bias[:, None, None]


def cells_of(maps: Tensor, k: int) -> Tensor:
    """(N, C, H, W) -> (N, C, ⌊H/k⌋, ⌊W/k⌋, k, k)"""
    return maps.unfold(2, k, k).unfold(3, k, k)


@st.composite
def stages(draw: st.DrawFn) -> tuple[Tensor, int, int, int]:
    """Random images (N, C, H, W), a number of filters, a kernel size and a k that need not divide."""
    k = draw(st.integers(1, 5))
    height, width = (draw(st.integers(k, 13)) for _ in range(2))
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 3)), height, width)
    torch.manual_seed(draw(st.integers(0, 1000)))
    images = torch.randn(shape, dtype=torch.float64)
    return images, draw(st.integers(1, 3)), draw(st.integers(1, 6)), k


def with_random_weights(layer: nn.Module) -> nn.Module:
    """In double precision, evaluating."""
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    return layer.double().eval()


@each_choice
@settings(max_examples=40, deadline=None)
@given(stage=stages())
def test_every_strategy_follows_its_formula(choice: Choice, stage: tuple[Tensor, int, int, int]) -> None:
    images, filters, kernel_size, k = stage
    entry = POOLINGS[choice.name]
    layer = Downsampling(entry, images.shape[1], filters, kernel_size, k, choice=choice)
    with_random_weights(layer)
    convolution = layer.convolution
    assert convolution.bias is not None
    with torch.no_grad():
        maps = same_convolution(images, convolution.weight, convolution.bias)
        if not entry.no_negatives:
            expected = EVERY_CHOICE[choice](maps, k, layer.pooling)
            torch.testing.assert_close(layer(images), expected)
        if not entry.skips:
            expected = EVERY_CHOICE[choice](maps.relu(), k, layer.pooling)
            torch.testing.assert_close(layer(images, torch.relu), expected)


@each_choice
@settings(max_examples=20, deadline=None)
@given(stage=stages())
def test_a_pooling_alone_is_a_module_of_k_and_channels(
    choice: Choice, stage: tuple[Tensor, int, int, int]
) -> None:
    images, _, _, k = stage
    entry = POOLINGS[choice.name]
    module = with_random_weights(entry.build(choice, k, images.shape[1]))
    expected = EVERY_CHOICE[choice](images.abs(), k, module)
    torch.testing.assert_close(module(images.abs()), expected)


@settings(max_examples=40, deadline=None)
@given(stage=stages())
def test_all_strategies_give_the_same_grid(stage: tuple[Tensor, int, int, int]) -> None:
    images, filters, kernel_size, k = stage
    layers = [Downsampling(p, images.shape[1], filters, kernel_size, k).double() for p in POOLINGS.values()]
    grids = {layer(images).shape[2:] for layer in layers}
    assert grids == {(images.shape[2] // k, images.shape[3] // k)}


@each_strategy
def test_two_halvings_lead_from_28_over_14_to_7(name: str) -> None:
    images = torch.zeros(1, 1, 28, 28)
    first = Downsampling(POOLINGS[name], 1, 3, 5, 2)
    maps = first(images)
    assert maps.shape[2:] == (14, 14)
    assert Downsampling(POOLINGS[name], first.out_channels, 2, 4, 2)(maps).shape[2:] == (7, 7)


def test_stride_2_leaves_a_quarter_of_the_grid() -> None:
    assert Downsampling(POOLINGS["stride"], 1, 1, 3, 2)(torch.zeros(1, 1, 28, 28)).numel() == 0.25 * 28 * 28


@pytest.mark.parametrize("name", ["max", "avg"])
def test_a_2_by_2_pool_leaves_a_quarter_of_the_grid(name: str) -> None:
    assert Downsampling(POOLINGS[name], 1, 1, 3, 2)(torch.zeros(1, 1, 28, 28)).numel() == 0.25 * 28 * 28


@pytest.mark.parametrize("name", POOLINGS)
def test_a_pooling_makes_as_many_channels_as_it_says_and_concat_twice_as_many(name: str) -> None:
    layer = Downsampling(POOLINGS[name], 3, 5, 3, 2)
    times = 2 if name == "concat" else POOLINGS[name].multiplies_channels
    assert layer.out_channels == layer(torch.zeros(2, 3, 8, 8)).shape[1] == 5 * times


@each_strategy
def test_a_stage_without_bias_has_none(name: str) -> None:
    layer = Downsampling(POOLINGS[name], 1, 2, 3, 2, bias=False)
    assert [p for p, _ in layer.convolution.named_parameters()] == ["weight"]


@pytest.mark.parametrize("kernel_size", range(1, 8))
@pytest.mark.parametrize("side", [1, 2, 5, 8])
def test_same_padding_keeps_the_grid_at_stride_1(kernel_size: int, side: int) -> None:
    assert SameConv2d(1, 2, kernel_size)(torch.zeros(1, 1, side, side)).shape == (1, 2, side, side)


@pytest.mark.parametrize("name", [n for n in POOLINGS if n not in ("conv", "lp", "stochastic")])
def test_a_top_edge_filter_answers_to_a_top_edge_and_not_to_a_left_edge(name: str) -> None:
    layer = Downsampling(POOLINGS[name], 1, 1, 3, 1, bias=False)
    top_edge = torch.zeros(1, 1, 12, 12)
    top_edge[..., 6:, :] = 1
    left_edge = top_edge.mT
    with torch.no_grad():
        layer.convolution.weight.copy_(torch.tensor([[-1.0, -1, -1], [0, 0, 0], [1, 1, 1]]))
        to_top, to_left = (layer(image)[..., 1:-1, 1:-1] for image in (top_edge, left_edge))
    assert torch.equal(to_top.amax((0, 1, 3)), torch.tensor([0.0, 0, 0, 0, 3, 3, 0, 0, 0, 0]))
    assert not to_left.any()


@pytest.mark.parametrize("choice", HEAD_FORMULAS, ids=str)
@settings(max_examples=30, deadline=None)
@given(shape=st.tuples(*[st.integers(1, 6)] * 4), seed=st.integers(0, 1000))
def test_every_head_follows_its_formula(choice: Choice, shape: tuple[int, int, int, int], seed: int) -> None:
    torch.manual_seed(seed)
    maps = torch.randn(shape, dtype=torch.float64)
    if HEADS[choice.name].no_negatives:
        maps = maps.abs()
    layer = HeadLayer(HEADS[choice.name], shape[1], choice)
    with_random_weights(layer)
    torch.testing.assert_close(layer(maps), HEAD_FORMULAS[choice](maps, layer.pooling))


def test_every_pooling_and_head_has_a_formula_here() -> None:
    assert {choice.name for choice in EVERY_CHOICE} == {*POOLINGS}
    assert {choice.name for choice in HEAD_FORMULAS} == {*HEADS}


class Counted:
    """A number that counts products, quotients, powers, exponentials and logarithms."""

    count = 0

    def __mul__(self, other: object = None) -> "Counted":
        Counted.count += 1
        return Counted()

    __rmul__ = __truediv__ = __rtruediv__ = __pow__ = exp = log = __mul__  # type: ignore[assignment]

    def __add__(self, other: object) -> "Counted":
        return Counted()

    __radd__ = __sub__ = __rsub__ = __add__

    def sigmoid(self) -> "Counted":  # an activation
        return Counted()


def exp(number: Any) -> Any:
    return number.exp()


def counted_formulas(k: int, channels: int) -> dict[str, Callable[[], object]]:
    """For one value, of a cell x of scalars; sums have no products, and no mean's factor is counted."""
    number, x = Counted(), [Counted() for _ in range(k * k)]
    mean = Counted()
    return {
        "stride": lambda: x[0],
        "max": lambda: x[0],
        "avg": lambda: sum(x),
        "concat": lambda: sum(x),
        "conv": lambda: sum(w * v for v in x * channels for w in [number]) + number,
        "mixed": lambda: number * x[0] + (1 - number) * mean,
        "gated": lambda: [sum(number * v for v in x).sigmoid() * x[0], (1 - number) * mean],
        "soft": lambda: sum(v * exp(number * v) for v in x) / sum([Counted() for v in x]),
        "lp": lambda: sum(v**number for v in x) ** number,
        "blur": lambda: sum(number * number for _ in range((2 * k - 1) ** 2)),
        "stochastic": lambda: sum(v * v for v in x) / sum(x),
        "median": lambda: x[0],
    }


@each_strategy
@pytest.mark.parametrize("k", [1, 2, 3])
def test_a_pooling_costs_what_its_formula_takes(name: str, k: int) -> None:
    channels, cells = 5, 7
    Counted.count = 0
    counted_formulas(k, channels)[name]()
    _, macs = POOLINGS[name].own_cost(Choice(name), k, channels, cells)
    assert macs == channels * cells * Counted.count


@pytest.mark.parametrize("cells", [1, 12])
@pytest.mark.parametrize("choice", HEAD_FORMULAS, ids=str)
def test_a_head_costs_what_its_formula_takes(choice: Choice, cells: int) -> None:
    channels, x, number = 5, [Counted() for _ in range(cells)], Counted()
    formulas: dict[str, Callable[[], object]] = {
        "gem": lambda: [sum(v**number for v in x) ** number for _ in range(channels)],
        "logsumexp": lambda: [
            sum(exp(number * v) for v in x).log() / number  # type: ignore[attr-defined]
            for _ in range(channels)
        ],
        "attention": lambda: [
            [exp(sum(number * v for _ in range(channels)) / number) / number for v in x],
            [sum(number * v for v in x) for _ in range(channels)],
        ],
    }
    Counted.count = 0
    formulas.get(choice.name, lambda: None)()
    _, macs = HEADS[choice.name].own_cost(choice, channels, cells)
    assert macs == Counted.count


@pytest.mark.parametrize("choice", [*EVERY_CHOICE, *HEAD_FORMULAS], ids=str)
def test_a_pooling_or_head_has_the_parameters_that_it_says(choice: Choice) -> None:
    entries: list[tuple[Any, tuple[int, ...]]] = [(POOLINGS.get(choice.name), (3, 5))]
    for entry, sizes in [*entries, (HEADS.get(choice.name), (5,))]:
        if entry and {setting.name for setting in entry.settings} >= {*choice.settings}:
            told, _ = entry.own_cost(choice, *sizes, 4)
            assert told == sum(p.numel() for p in entry.build(choice, *sizes).parameters())


EXTREME = (0.0, 1e-45, 1e-38, 1e-3, 1.0, 1e4, 1e19, 1e38, 3.3e38)  # the largest of both kinds is above
NARROW = ("soft", "lp", "stochastic", "median", "blur", "gem", "logsumexp")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "choice",
    [
        *(choice for choice in (*EVERY_CHOICE, *HEAD_FORMULAS) if choice.name in NARROW),
        *(Choice("soft", {"beta": 1000.0}), Choice("lp", {"p": 1000.0}), Choice("gem", {"p": 1000.0})),
        Choice("logsumexp", {"sharpness": 1000.0}),
    ],
    ids=str,
)
@pytest.mark.parametrize("training", [True, False])
def test_no_extreme_value_makes_a_mean_infinite_or_lets_it_leave_its_cell(
    choice: Choice, dtype: torch.dtype, training: bool
) -> None:
    torch.manual_seed(0)
    entry: Any = POOLINGS.get(choice.name) or HEADS[choice.name]
    values = torch.tensor(EXTREME)[torch.randint(len(EXTREME), (10_000, 1, 3, 3))]
    values[:100] = 0.0
    values[100:200] = 3.3e38
    values[200:300] = torch.finfo(dtype).max
    if not entry.no_negatives:
        values *= torch.randint(2, values.shape) * 2 - 1
    maps = values.to(dtype)
    module = entry.build(choice, *((3, 1) if choice.name in POOLINGS else (1,))).train(training)
    pooled = module(maps).flatten().float().detach()
    assert pooled.dtype == torch.float32
    assert module(maps).dtype == dtype
    assert pooled.isfinite().all()
    low, high = maps.float().amin((1, 2, 3)), maps.float().amax((1, 2, 3))
    slack = 0.02 * high.abs().maximum(low.abs()).clamp(max=1e38)
    assert (pooled >= low - slack).all()
    assert (pooled <= high + slack).all()


@pytest.mark.parametrize("choice", [c for c in EVERY_CHOICE if c.name != "conv"], ids=str)
def test_every_gradient_is_finite_and_reaches_the_maps_also_of_zeros(choice: Choice) -> None:
    torch.manual_seed(0)
    maps = torch.rand(50, 3, 6, 6)
    maps[:10] = 0
    maps[10:20] *= 1e4
    maps[20:30, :, ::2] = 0
    maps.requires_grad_()
    module = POOLINGS[choice.name].build(choice, 2, 3)
    (gradient,) = torch.autograd.grad(module(maps).square().sum(), maps, retain_graph=True)
    assert gradient.isfinite().all()
    assert gradient[30:].any()
    for parameter in module.parameters():
        (gradient,) = torch.autograd.grad(module(maps[10:]).sum(), parameter, retain_graph=True)
        assert gradient.isfinite().all()
        assert gradient.any()


def drawn_by(seed: int, maps: Tensor) -> Tensor:
    module: Any = POOLINGS["stochastic"].build(Choice("stochastic"), 2, maps.shape[1])
    module.generator = torch.Generator().manual_seed(seed)
    return module(maps)  # type: ignore[no-any-return]


def test_stochastic_draws_a_value_in_proportion_to_it() -> None:
    cell = torch.tensor([[4.0, 0.0], [1.0, 5.0]])
    count = 40_000
    drawn = drawn_by(0, cell.repeat(count, 1, 1, 1)).flatten()
    assert {*drawn.tolist()} == {4.0, 1.0, 5.0}
    for value in (4.0, 1.0, 5.0):
        share = value / 10
        deviation = (share * (1 - share) / count) ** 0.5
        assert float((drawn == value).float().mean()) == pytest.approx(share, abs=4 * deviation)


def test_stochastic_draws_each_cell_alone_and_only_from_its_own_stream() -> None:
    maps = torch.rand(4, 3, 8, 8)
    before = torch.get_rng_state()
    first, again, other = (drawn_by(seed, maps) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    alike = torch.rand(1, 1, 2, 2).repeat(1, 1, 64, 64)
    assert len(drawn_by(0, alike).unique()) == 4


@pytest.mark.parametrize("name", ["lp", "soft"])
def test_a_larger_setting_leads_from_the_mean_to_the_maximum(name: str) -> None:
    torch.manual_seed(0)
    maps, (setting,) = torch.rand(2, 3, 8, 8, dtype=torch.float64), POOLINGS[name].settings
    values = (setting.least, 2.0, 5.0, 50.0, setting.most)
    pooled = [POOLINGS[name].build(Choice(name, {setting.name: v}), 2, 3)(maps) for v in values]
    torch.testing.assert_close(pooled[0], F.avg_pool2d(maps, 2))
    for less, more in pairwise(pooled):
        assert (more > less).all()
    torch.testing.assert_close(pooled[-1], F.max_pool2d(maps, 2), rtol=0.01, atol=0)
