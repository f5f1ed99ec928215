"""The downsampling strategies and the head's poolings, each against its written formula."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cnnkit.families.heads import HEADS
from cnnkit.families.poolings import POOLINGS
from cnnkit.nn.pooling import Downsampling, HeadLayer, SameConv2d

# (N, C, H, W, k, k) -> (N, C', H, W): what a strategy makes of each k × k cell.
FORMULAS: dict[str, Callable[[Tensor], Tensor]] = {
    "stride": lambda cells: cells[..., 0, 0],
    "max": lambda cells: cells.amax((-2, -1)),
    "avg": lambda cells: cells.mean((-2, -1)),
    "concat": lambda cells: torch.cat([cells.amax((-2, -1)), cells.mean((-2, -1))], dim=1),
}
HEAD_FORMULAS: dict[str, Callable[[Tensor], Tensor]] = {
    "flatten": lambda maps: torch.cat([cell for row in maps.unbind(2) for cell in row.unbind(2)], dim=1),
    "avg": lambda maps: maps.sum((2, 3)) / (maps.shape[2] * maps.shape[3]),
    "max": lambda maps: maps.flatten(2).sort(2).values[..., -1],
    "concat": lambda maps: torch.cat([maps.flatten(2).max(2).values, maps.flatten(2).mean(2)], dim=1),
}
each_strategy = pytest.mark.parametrize("name", FORMULAS)


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


@each_strategy
@settings(max_examples=40, deadline=None)
@given(stage=stages())
def test_every_strategy_follows_its_formula(name: str, stage: tuple[Tensor, int, int, int]) -> None:
    images, filters, kernel_size, k = stage
    layer = Downsampling(POOLINGS[name], images.shape[1], filters, kernel_size, k).double()
    convolution = layer.convolution
    assert convolution.bias is not None
    with torch.no_grad():
        maps = same_convolution(images, convolution.weight, convolution.bias)
        torch.testing.assert_close(layer(images), FORMULAS[name](cells_of(maps, k)))


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
    assert [p for p, _ in Downsampling(POOLINGS[name], 1, 2, 3, 2, bias=False).named_parameters()] == [
        "convolution.weight"
    ]


@pytest.mark.parametrize("kernel_size", range(1, 8))
@pytest.mark.parametrize("side", [1, 2, 5, 8])
def test_same_padding_keeps_the_grid_at_stride_1(kernel_size: int, side: int) -> None:
    assert SameConv2d(1, 2, kernel_size)(torch.zeros(1, 1, side, side)).shape == (1, 2, side, side)


@each_strategy
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


@pytest.mark.parametrize("name", HEAD_FORMULAS)
@settings(max_examples=30, deadline=None)
@given(shape=st.tuples(*[st.integers(1, 6)] * 4), seed=st.integers(0, 1000))
def test_every_head_follows_its_formula(name: str, shape: tuple[int, int, int, int], seed: int) -> None:
    torch.manual_seed(seed)
    maps = torch.randn(shape, dtype=torch.float64)
    torch.testing.assert_close(HeadLayer(HEADS[name])(maps), HEAD_FORMULAS[name](maps))
