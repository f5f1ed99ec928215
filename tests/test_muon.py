"""Muon: orthogonal steps for filters and hidden layers, AdamW for the rest."""

from collections.abc import Callable

import pytest
import torch

import cnnkit
from cnnkit.config.training import TrainingConfig
from cnnkit.training.muon import Muon, orthogonal
from cnnkit.training.optimizers import hidden_matrices, make_optimizer

CPU = torch.device("cpu")


@pytest.mark.parametrize("shape", [(1, 8, 30), (3, 30, 8), (2, 16, 16)])
def test_a_step_keeps_directions_and_makes_their_lengths_alike(shape: tuple[int, ...]) -> None:
    """U Σ Vᵀ becomes U D Vᵀ with a diagonal D near 1, matrix by matrix, by torch's singular vectors."""
    generator = torch.Generator().manual_seed(0)
    rank = min(shape[1:])
    u, _, vt = torch.linalg.svd(
        torch.randn(shape, generator=generator, dtype=torch.float64), full_matrices=False
    )
    values = torch.logspace(0, -1.5, rank, dtype=torch.float64)
    diagonal = u.mT @ orthogonal((u * values @ vt).float()).double() @ vt.mT
    lengths = diagonal.diagonal(dim1=1, dim2=2)
    assert lengths.min() > 0.65
    assert lengths.max() < 1.2
    assert (diagonal - torch.diag_embed(lengths)).abs().max() < 1e-3


def stepped(make: Callable[[torch.nn.Parameter], torch.optim.Optimizer], steps: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    weight = torch.nn.Parameter(torch.randn(12, 20, generator=generator))
    optimizer = make(weight)
    for _ in range(steps):
        weight.grad = torch.randn(12, 20, generator=generator)
        optimizer.step()
    return weight.detach()


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon")
def test_matrices_learn_as_with_the_muon_of_torch() -> None:
    own = stepped(lambda w: Muon([w], 0.1, 0.8, [w], weight_decay=0.3))
    torchs = stepped(lambda w: torch.optim.Muon([w], 0.1, 0.3, momentum=0.8, adjust_lr_fn="match_rms_adamw"))
    start = stepped(lambda w: Muon([w], 0.0, 0.8, [w], weight_decay=0.3))
    assert (own - torchs).norm() < 0.02 * (own - start).norm()  # torch's rounds are in bfloat16


def test_all_other_weights_learn_as_with_adamw() -> None:
    own = stepped(lambda w: Muon([w], 0.1, 0.8, [], weight_decay=0.3))
    assert torch.equal(own, stepped(lambda w: torch.optim.AdamW([w], 0.1, weight_decay=0.3)))


def test_a_step_has_the_size_of_those_of_adamw() -> None:
    weight = torch.nn.Parameter(torch.zeros(24, 10, 3, 3))
    optimizer = Muon([weight], 0.5, 0.0, [weight])
    weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    optimizer.step()
    assert weight.detach().square().mean().sqrt() == pytest.approx(0.5 * 0.2, rel=0.2)


def test_filters_and_hidden_layers_are_matrices_and_what_makes_the_logits_is_not() -> None:
    config = cnnkit.Config(
        data={"dataset": "digits", "validation": 100},
        model={"channels": [4, 6], "hidden": [5], "pooling": ["gated", "conv"], "head": "attention"},
    )
    model = cnnkit.build_model(config)
    shapes = [tuple(weight.shape) for weight in hidden_matrices(model)]
    assert shapes == [(4, 1, 3, 3), (6, 4, 3, 3), (6, 6, 2, 2), (5, 6)]
    optimizer = make_optimizer(model, TrainingConfig(optimizer="muon"), CPU)
    rest, matrices = (group["params"] for group in optimizer.param_groups)
    assert [tuple(weight.shape) for weight in matrices] == shapes
    assert {id(weight) for weight in (*rest, *matrices)} == {id(weight) for weight in model.parameters()}


def test_networks_side_by_side_are_orthogonal_one_by_one() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 6, 9, generator=generator)
    weight = torch.nn.Parameter(torch.zeros(12, 9))
    optimizer = Muon([weight], 1.0, 0.0, [weight], networks=2, weight_decay=0.0)
    weight.grad = torch.cat([first, 1000 * second])
    optimizer.step()
    for part, gradient in zip(weight.detach().chunk(2), (first, second), strict=True):
        alone = torch.nn.Parameter(torch.zeros(6, 9))
        alone.grad = gradient
        Muon([alone], 1.0, 0.0, [alone], weight_decay=0.0).step()
        assert torch.allclose(part, alone, atol=1e-4)
