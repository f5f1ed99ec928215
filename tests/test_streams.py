"""Random streams: independent by name, equal by seed."""

import torch

from cnnkit.random import generator_for


def test_the_same_name_gives_the_same_numbers() -> None:
    first, again = (torch.rand(8, generator=generator_for(3, "order", 1)) for _ in range(2))
    assert torch.equal(first, again)


def test_each_name_epoch_and_seed_has_numbers_of_its_own() -> None:
    keys = [(0, "order", 1), (0, "order", 2), (0, "dropout", 1), (1, "order", 1)]
    draws = {tuple(torch.rand(4, generator=generator_for(*key)).tolist()) for key in keys}
    assert len(draws) == len(keys)
