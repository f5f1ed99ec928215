"""Held-out images: each class near its share, no group on both sides, the same for each seed."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sources import made, of, refusal

from cnnkit.listing import (
    TEST,
    TRAIN,
    held_out_by_class,
    held_out_by_group,
    list_images,
)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.floats(0.01, 0.99), st.integers(0, 2**40))
def test_each_class_is_held_out_near_its_share(labels: list[int], share: float, seed: int) -> None:
    found = np.array(labels)
    held = held_out_by_class(found, share, seed)
    sizes, numbers = np.bincount(found), np.bincount(found[held], minlength=max(labels) + 1)
    assert (numbers <= np.maximum(sizes - 1, 0)).all()
    full = numbers == sizes - 1  # one image stays
    assert ((abs(numbers - share * sizes) < 1) | full).all()
    if not full.any():
        assert held.sum() == round(share * len(labels))
    assert (held_out_by_class(found, share, seed) == held).all()


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), min_size=1, max_size=60),
    st.floats(0.05, 0.95),
    st.integers(0, 99),
)
def test_no_group_is_on_both_sides_and_every_class_stays(
    images: list[tuple[int, int]], share: float, seed: int
) -> None:
    labels, groups = np.array(images).T
    held = held_out_by_group(labels, groups, share, seed)
    assert not set(groups[held]) & set(groups[~held])
    assert set(labels[~held]) == set(labels)


def test_groups_are_held_out_near_the_share_of_each_class() -> None:
    stream = np.random.default_rng(0)
    groups = np.repeat(np.arange(300), stream.integers(1, 12, 300))
    labels = np.where(stream.random(len(groups)) < 0.9, groups % 5, stream.integers(0, 5, len(groups)))
    for seed in range(5):
        held = held_out_by_group(labels, groups, 0.2, seed)
        shares = [held[labels == each].mean() for each in range(5)]
        assert shares == pytest.approx([0.2] * 5, abs=0.02)


def test_another_seed_holds_out_others() -> None:
    labels = np.repeat([0, 1], 50)
    groups = np.arange(100) // 2
    for hold_out in (held_out_by_class, lambda x, s, seed: held_out_by_group(x, groups, s, seed)):
        found = {hold_out(labels, 0.2, seed).tobytes() for seed in range(20)}
        assert len(found) == 20


def test_the_order_of_a_seed_is_the_same_in_every_version() -> None:
    assert np.flatnonzero(held_out_by_class(np.repeat([0, 1], 10), 0.2, 7)).tolist() == [7, 9, 14, 16]


def test_a_test_split_is_held_out_where_there_is_none(tmp_path: Path) -> None:
    paths = [f"{each}/{i}.jpg" for each in ("cat", "dog") for i in range(10)]
    first, second = (list_images(made(tmp_path / name, *paths), test=0.3, test_seed=4) for name in ("a", "b"))
    assert first.own_splits == {TRAIN}
    assert np.bincount(first.labels[first.splits == TEST]).tolist() == [3, 3]
    assert first.splits.tolist() == sorted(first.splits.tolist())
    assert of(first, TEST) == of(second, TEST)
    assert first.fingerprint == second.fingerprint
    assert of(list_images(tmp_path / "a", test=0.3, test_seed=5), TEST) != of(first, TEST)
    assert "none can be held out" in refusal(tmp_path / "a", test=0.01)


def test_a_test_split_is_held_out_by_group(tmp_path: Path) -> None:
    made(tmp_path, *(f"{i}.jpg" for i in range(40)))
    rows = "".join(f"{i}.jpg,{'ab'[i % 2]},g{i // 4}\n" for i in range(40))
    (tmp_path / "t.csv").write_text("path,label,group\n" + rows)
    listing = list_images(tmp_path, test=0.3)
    assert listing.groups is not None
    held = listing.splits == TEST
    assert held.sum() == 12
    assert not set(listing.groups[held]) & set(listing.groups[~held])
    assert not listing.warnings
