"""Evidence maps: what a cell is said to tell is what the network makes of it, and lies where it is drawn."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import TINY
from support import finished_run, info
from torch import Tensor, nn

from cnnkit.config.load import parse_config
from cnnkit.config.model import Cells, ModelConfig
from cnnkit.config.schema import Config
from cnnkit.data.prepare import load_data
from cnnkit.experiment.checkpoints import Weights
from cnnkit.families.heads import HEADS
from cnnkit.nn.evidence import above_mean, evidence, evidence_and_logits
from cnnkit.nn.model import CNN, build_model
from cnnkit.report.evidence import (
    INK,
    LevelEvidence,
    Square,
    bounds,
    evidence_view,
    object_sides,
    shown_by_class,
    shown_by_size,
)
from cnnkit.report.images import at_hand, images_of, objects_alone

SCENES = (
    "data.dataset=small-object",
    "data.scene.source=digits",
    "data.scene.size=32",
    "data.scene.object_sizes=[16, 6, 10]",
    "data.scene.clutter_size=4",
    "data.scene.train_images=300",
    "data.scene.test_images=150",
)


def model_of(head: str, hidden: tuple[int, ...] = (), pooling: str = "max") -> CNN:
    """Three classes of 12 × 12 images, in a grid of 3 × 3; every layer is drawn at random."""
    config = ModelConfig(channels=(4, 6), kernel_sizes=3, pooling=pooling, head=head, hidden=hidden)
    model = build_model(config, info((1, 12, 12), 3), seed=1, pixel_mean=100.0, pixel_std=50.0)
    return model.eval()


@pytest.fixture
def images() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (5, 1, 12, 12), generator=generator, dtype=torch.uint8)


@pytest.fixture
def scenes() -> Config:
    return parse_config(TINY, "tiny", SCENES)


def of_maps(model: CNN) -> CNN:
    """The same network without its stages: it is given feature maps."""
    model.normalize, model.stages = nn.Identity(), nn.Identity()  # type: ignore[assignment]
    return model


# --- what a cell tells -------------------------------------------------------------------------------


def test_of_a_flattened_grid_all_cells_and_the_bias_add_up_to_the_logits(images: Tensor) -> None:
    model = model_of("flatten")
    total = evidence(model, images).sum((1, 2)) + model.dense[-1].bias
    torch.testing.assert_close(total, model(images))


def test_of_an_averaged_grid_the_mean_over_the_cells_is_the_logits(images: Tensor) -> None:
    model = model_of("avg")
    torch.testing.assert_close(evidence(model, images).mean((1, 2)), model(images))


def test_of_a_maximum_the_logits_come_from_the_maximal_cells_alone() -> None:
    model = of_maps(model_of("max"))
    maps = torch.rand(5, 6, 3, 3, generator=torch.Generator().manual_seed(0))
    largest = maps == maps.amax((2, 3), keepdim=True)
    assert (largest.sum((2, 3)) == 1).all()
    torch.testing.assert_close(model(maps * largest), model(maps))
    maps[:, :, 1, 2] += 1  # now one cell is the largest in every map
    torch.testing.assert_close(evidence(model, maps)[:, 1, 2], model(maps))


@pytest.mark.parametrize("hidden", [(), (7,), (7, 5)])
@pytest.mark.parametrize("head", ["avg", "max", "concat"])
def test_of_a_pooled_grid_a_cell_tells_what_a_grid_of_one_cell_would(
    head: str, hidden: tuple[int, ...], images: Tensor
) -> None:
    model = model_of(head, hidden)
    maps = model.stages(model.normalize(images))
    told = evidence(model, images)
    for i in range(3):
        for j in range(3):
            features = maps[:, :, i, j]
            pooled = torch.cat([features, features], 1) if head == "concat" else features
            torch.testing.assert_close(told[:, i, j], model.dense(pooled))


@pytest.mark.parametrize("hidden", [(), (7,), (7, 5)])
def test_of_a_flattened_grid_a_cell_tells_what_it_changes_among_zeros(
    hidden: tuple[int, ...], images: Tensor
) -> None:
    model = model_of("flatten", hidden)
    maps = model.stages(model.normalize(images))
    told = evidence(model, images)
    nothing = model.dense(model.head(torch.zeros_like(maps)))
    for i in range(3):
        for j in range(3):
            alone = torch.zeros_like(maps)
            alone[:, :, i, j] = maps[:, :, i, j]
            torch.testing.assert_close(told[:, i, j], model.dense(model.head(alone)) - nothing)


@pytest.mark.parametrize("head", HEADS)
def test_dropout_is_off(head: str, images: Tensor) -> None:
    config = ModelConfig(channels=(4, 6), kernel_sizes=3, head=head, hidden=(5,), dropout=0.5)
    model = build_model(config, info((1, 12, 12), 3), seed=1).train()
    assert torch.equal(evidence(model, images), evidence(model, images))


@pytest.mark.parametrize("head", HEADS)
def test_the_logits_beside_the_evidence_are_the_network_s(head: str, images: Tensor) -> None:
    model = model_of(head, (7,))
    assert torch.equal(evidence_and_logits(model, images)[1], model(images))


def test_what_all_classes_share_is_taken_off() -> None:
    scores = torch.rand(4, 2, 3, 5)
    labels = torch.tensor([0, 4, 2, 2])
    drawn = above_mean(scores, labels)
    torch.testing.assert_close(above_mean(scores + 7, labels), drawn)
    torch.testing.assert_close(drawn[1], scores[1, ..., 4] - scores[1].mean(-1))


# --- where it lies -----------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", ["stride", "avg", "concat"])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_a_cell_sees_as_far_as_its_gradient_reaches(pooling: str, kernel_size: int) -> None:
    config = ModelConfig(
        channels=(3, 3),
        kernel_sizes=kernel_size,
        convolutions=(1, 2),
        pooling=pooling,
        activation="tanh",
        batch_norm=False,
    )
    model = build_model(config, info((1, 42, 42), 3), seed=1).double()
    cells = model.config.cells(model.info.shape)
    assert (cells.rows, cells.columns, cells.side) == (10, 10, 4)
    image = torch.rand(1, 1, 42, 42, dtype=torch.float64, requires_grad=True)
    model.stages(image)[0, :, 5, 5].sum().backward()
    assert image.grad is not None
    rows = image.grad[0, 0].any(1).nonzero()[:, 0]
    assert rows.max() - rows.min() + 1 == cells.sees
    assert rows.min() <= 5 * cells.side <= rows.max()


def test_the_object_is_found_again_where_the_scene_has_it(scenes: Config) -> None:
    _, test = load_data(scenes.data)
    alone = objects_alone(scenes.data, test)
    assert alone is not None
    assert (alone <= test.images).all()
    assert (alone.amax((1, 2, 3)) == 255).all()
    assert ((alone > 0).sum((1, 2, 3)) < (test.images > 0).sum((1, 2, 3))).float().mean() > 0.9  # no clutter
    for image, side in zip(alone, object_sides(scenes.data, len(test)), strict=True):
        around = bounds(image[0])
        assert around is not None
        assert max(around.width, around.height) <= side


def test_of_other_images_than_the_scenes_no_place_is_told(scenes: Config) -> None:
    _, test = load_data(scenes.data)
    other = test[torch.arange(len(test)).flip(0)]
    assert objects_alone(scenes.data, other) is None
    digits = parse_config(TINY, "tiny").data
    assert objects_alone(digits, load_data(digits).test) is None


def test_the_strongest_cell_hits_where_it_holds_ink() -> None:
    objects = torch.zeros(3, 1, 13, 13, dtype=torch.uint8)
    objects[0, 0, 4, 11] = 255  # cell (1, 2) of 3 × 3
    objects[1, 0, 3, 3] = 255  # cell (0, 0)
    objects[2, 0, 5, 5] = INK - 1  # too faint
    maps = torch.zeros(3, 3, 3)
    maps[0, 1, 2] = maps[1, 0, 1] = maps[2, 1, 1] = 1
    measured = LevelEvidence(0, "max", Cells(3, 3, 4, 9), maps, torch.zeros(3))
    assert measured.hits(objects).tolist() == [True, False, False]
    assert measured.holding(objects).sum(1).tolist() == [1, 1, 0]


def test_the_square_lies_around_all_ink() -> None:
    image = torch.zeros(9, 9, dtype=torch.uint8)
    assert bounds(image) is None
    image[2, 5] = image[6, 3] = 255
    assert bounds(image) == Square(x=3, y=2, width=3, height=5)


# --- what is shown -----------------------------------------------------------------------------------


def test_shown_is_of_every_size_the_first_that_is_right() -> None:
    sides = [20, 8, 12, 16] * 5
    right = torch.ones(20, dtype=torch.bool)
    right[[1, 5, 2, 6, 10, 14, 18]] = False  # no object of 12 is right
    assert shown_by_size(sides, right) == [9, 2, 3, 0]
    assert shown_by_size([8, 12] * 5, torch.ones(10)) == [0, 2, 1, 3]
    assert shown_by_size(list(range(4, 24)), torch.ones(20)) == [0, 4, 8, 11, 15, 19]


def test_shown_are_different_classes() -> None:
    right = torch.tensor([True, False, True, True, True, True])
    assert shown_by_class([7, 2, 7, 1, 2, 0], right) == [0, 3, 4, 5]


@pytest.mark.parametrize("head", HEADS)
def test_every_map_lies_in_its_image(head: str, scenes: Config) -> None:
    config = scenes.model_copy(update={"model": scenes.model.model_copy(update={"head": head})})
    _, test = load_data(config.data)
    weights = Weights(build_model(config.model, test.info, seed=0), config, Path("none"))
    view = evidence_view({"a": weights, "b": weights}, {"a": 0, "b": 1}, test)
    assert view is not None
    assert [row.side for row in view.rows] == [6, 6, 10, 10, 16, 16]
    for row in view.rows:
        assert row.size == (32, 32)
        for tile in row.tiles:
            assert tile.size == (32, 32)
            assert tile.right == (tile.answer == row.truth)
            assert tile.strongest.x % 4 == tile.strongest.y % 4 == 0
            assert max(tile.strongest.x, tile.strongest.y) < 32
    assert "of the first 150 test scenes" in view.caption
    assert "A cell covers 4 × 4 pixels" in view.caption


def test_without_a_grid_there_is_no_map(tiny: Callable[..., Config]) -> None:
    config = tiny("model.channels=[4, 4, 4]")
    _, test = load_data(config.data)
    single = Weights(build_model(config.model, info((1, 8, 8), 10), seed=0), config, Path("none"))
    assert evidence_view({"single": single}, {"single": 0}, test) is None
    config = tiny()
    several = Weights(build_model(config.model, info((1, 8, 8), 10), seed=0), config, Path("none"))
    view = evidence_view({"single": single, "several": several}, {"single": 0, "several": 1}, test)
    assert view is not None
    assert [tile.name for row in view.rows for tile in row.tiles] == ["several"] * 4
    assert "single: the grid is a single cell, so there is no map" in view.caption


# --- nothing is fetched ------------------------------------------------------------------------------


@pytest.mark.parametrize("dataset", ["mnist", "fashion-mnist", "qmnist", "small-object"])
def test_images_that_are_not_here_are_not_fetched(
    dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(*_: object) -> None:
        raise AssertionError("a report fetches nothing")

    monkeypatch.setattr("cnnkit.data.sources._fetch", fetch)
    config = parse_config(f"data: {{dataset: {dataset}, root: {tmp_path / 'nowhere'}}}", "here")
    images, reason = images_of(config)
    assert images is None
    assert reason.endswith(f"is not in {tmp_path / 'nowhere'}")
    assert not (tmp_path / "nowhere").exists()


def test_images_are_at_hand_packed_or_unpacked(tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    data = parse_config(f"data: {{dataset: mnist, root: {tmp_path}}}", "here").data
    names = ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"]
    for name in names[:3]:
        (raw / f"{name}-ubyte.gz").touch()
    assert not at_hand(data)
    (raw / f"{names[3]}-ubyte").touch()
    assert at_hand(data)


def test_scenes_of_the_bundled_digits_are_always_at_hand(scenes: Config) -> None:
    assert at_hand(scenes.data)


def test_a_run_of_scenes_is_drawn_with_its_evidence(tmp_path: Path, shared_cache: Path) -> None:
    from cnnkit.report.page import write_report

    run = finished_run(tmp_path / "run", shared_cache, *SCENES, "model.head=max")
    page = write_report(run).read_text()
    assert 'id="evidence"' in page
    assert page.count('class="object"') == 2 * page.count('class="strongest"') == 12
