"""Small objects in scenes: what lies where, and that nothing but the digit tells its class."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cnnkit.config.images import SceneConfig
from cnnkit.config.load import parse_config
from cnnkit.config.schema import Config
from cnnkit.data.prepare import load_data, load_dataset
from cnnkit.data.scenes import make_scenes, only_objects
from cnnkit.errors import ConfigError
from cnnkit.families.datasets import INK_SIDE
from cnnkit.random import generator_for
from cnnkit.tensor_files import fingerprint

Tiny = Callable[..., Config]


def scenes_of(count: int = 60, **keys: object) -> tuple[torch.Tensor, torch.Tensor, SceneConfig]:
    """Scenes of full white squares, so that an object's place is plain to see."""
    scene = SceneConfig(**{"clutter": 0, "object_sizes": (4, 9, 16), "size": 40, **keys})  # type: ignore[arg-type]
    squares = torch.full((50, 1, INK_SIDE, INK_SIDE), 255, dtype=torch.uint8)
    return *make_scenes(squares, torch.arange(50), scene, count, generator_for(0, "test")), scene


def test_scene_i_holds_one_object_of_the_ith_size() -> None:
    images, _, scene = scenes_of()
    assert images.shape == (60, 1, 40, 40)
    for i, image in enumerate(images[:, 0]):
        side = scene.object_sizes[i % 3]
        rows, columns = (image.any(axis).nonzero()[:, 0] for axis in (1, 0))
        assert (int(image.sum()), len(rows), len(columns)) == (255 * side**2, side, side)


def test_anywhere_is_anywhere_in_the_scene() -> None:
    images, _, _ = scenes_of(20_000, object_sizes=(4,))
    assert (images > 0).any(0).all()


def test_corners_and_the_centre_are_where_they_should_be() -> None:
    corner = scenes_of(200, object_sizes=(10,), position="corner")[0][:, 0]
    corners = torch.stack([corner[:, y, x] > 0 for y in (0, -1) for x in (0, -1)], dim=1)
    assert (corners.sum(1) == 1).all()
    assert corners.any(0).all()
    centre = scenes_of(20, object_sizes=(10,), position="centre")[0][:, 0]
    assert (centre[:, 15:25, 15:25] == 255).all()


def test_every_digit_is_used_once_before_any_is_used_again() -> None:
    _, labels, _ = scenes_of(120)
    assert (labels[:50].bincount(minlength=50) == 1).all()
    assert (labels[50:100].bincount(minlength=50) == 1).all()


def test_clutter_adds_ink_but_takes_none_away() -> None:
    digits = torch.randint(1, 256, (50, 1, 28, 28), generator=generator_for(0, "digits")).to(torch.uint8)
    labels = torch.arange(50)
    ink = {}
    for clutter in (0, 5):
        scene = SceneConfig(clutter=clutter, size=64, clutter_size=6, object_sizes=(10,), position="centre")
        images, _ = make_scenes(digits, labels, scene, 40, generator_for(0, "test"))
        ink[clutter] = (images > 0).sum((1, 2, 3))
    assert (ink[0] <= 100).all()
    assert ((ink[5] > ink[0]) & (ink[5] <= ink[0] + 5 * 36)).all()


@pytest.mark.parametrize("position", ["anywhere", "centre", "corner"])
def test_objects_alone_lie_where_the_scenes_show_them(position: str) -> None:
    digits = torch.full((50, 1, 28, 28), 255, dtype=torch.uint8)
    keys: dict[str, Any] = {"position": position, "object_sizes": (9, 16), "size": 40, "clutter_size": 5}
    cluttered, clear = SceneConfig(clutter=7, **keys), SceneConfig(clutter=0, **keys)
    scenes, _ = make_scenes(digits, torch.arange(50), cluttered, 61, generator_for(0, "test"))
    alone = only_objects(digits, cluttered, 61, generator_for(0, "test"))
    assert (alone <= scenes).all()
    assert (alone > 0).sum((1, 2, 3)).tolist() == [9**2, 16**2] * 30 + [9**2]
    scenes, _ = make_scenes(digits, torch.arange(50), clear, 61, generator_for(0, "test"))
    assert torch.equal(only_objects(digits, clear, 61, generator_for(0, "test")), scenes)


def test_the_scenes_of_a_seed_have_not_changed() -> None:
    digits = torch.arange(50 * 28 * 28).mul(7919).remainder(256).to(torch.uint8).view(50, 1, 28, 28)
    scenes, labels = make_scenes(
        digits, torch.arange(50), SceneConfig(), 100, generator_for(0, "scenes", "test")
    )
    assert fingerprint([scenes, labels]) == "9396eaf09d7174afcf1effcb7a6aaa5b2fd56e2a3a80aee9d50faca2a81db54b"


def test_scenes_are_the_same_whoever_asks_and_test_scenes_show_test_digits(tiny: Tiny) -> None:
    scene = "source: digits, size: 24, object_sizes: [22], clutter: 0, train_images: 300, test_images: 300"
    config = tiny("data.dataset=small-object", f"data.scene={{{scene}}}")
    train, test = load_data(config.data)
    assert (len(train), len(test)) == (300, 300)
    assert torch.equal(test.images, load_data(config.data, print).test.images)
    published = load_dataset("digits", Path()).test
    assert (test.labels.bincount() <= published.labels.bincount()).all()
    assert not {image.numpy().tobytes() for image in train.images} & {
        image.numpy().tobytes() for image in test.images
    }


@pytest.mark.parametrize(
    ("scene", "told"),
    [
        ("{size: 24, object_sizes: [8, 30]}", "30 pixels do not fit into a scene of 24"),
        ("{object_sizes: []}", "expected a list"),
        ("{source: cifar}", "unknown value 'cifar'"),
        ("{position: left}", "unknown value 'left'"),
        ("{sise: 3}", "did you mean 'size'"),
    ],
)
def test_impossible_scenes_are_refused(scene: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse_config(f"data: {{dataset: small-object, scene: {scene}}}")
