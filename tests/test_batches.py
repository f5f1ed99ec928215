"""Batches: every image once an epoch, in an order by seed."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import info

from cnnkit.data.dataset import ImageDataset
from cnnkit.training.state import orders


def numbered(n: int) -> ImageDataset:
    """Images that hold their own number."""
    return ImageDataset(torch.arange(n).view(n, 1, 1, 1), torch.arange(n) % 10, info((1, 1, 1)))


@settings(max_examples=80, deadline=None)
@given(n=st.integers(1, 60), batch_size=st.integers(1, 30), seed=st.integers(0, 99))
def test_an_epoch_holds_each_image_once(n: int, batch_size: int, seed: int) -> None:
    batches = orders(n, batch_size, seed, 1, "cpu")
    assert torch.cat(batches).sort().values.tolist() == list(range(n))


@settings(max_examples=80, deadline=None)
@given(n=st.integers(2, 60), batch_size=st.integers(2, 30))
def test_batches_are_full_but_the_last_which_takes_in_a_single_image_left(n: int, batch_size: int) -> None:
    *full, last = (len(batch) for batch in orders(n, batch_size, 0, 1, "cpu"))
    assert all(size == batch_size for size in full)
    assert 2 <= last <= batch_size + 1


def test_batches_of_one_image_stay_batches_of_one_image() -> None:
    assert [len(batch) for batch in orders(5, 1, 0, 1, "cpu")] == [1] * 5


def test_a_seed_gives_its_order_again_and_another_seed_another() -> None:
    first, again, other = (torch.cat(orders(100, 32, seed, 1, "cpu")) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, torch.arange(100))


@pytest.mark.parametrize("n", [1, 7, 8, 9])
def test_batches_in_the_order_of_storage_hold_every_image_with_its_label(n: int) -> None:
    dataset = numbered(n)
    batches = [*dataset.batches(4)]
    assert torch.equal(torch.cat([batch.images for batch in batches]), dataset.images)
    assert torch.equal(torch.cat([batch.labels for batch in batches]), dataset.labels)
