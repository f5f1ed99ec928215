"""`cnnkit probe`: images change by the written formulas, figures are what NumPy finds, kept ones stay."""

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from browsers import chromium
from conftest import TINY
from scipy import ndimage, stats
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from support import Here, call
from torch import Tensor

from cnnkit.comparison.probe_file import Field, Probe, ProbedTrial, probe_left, read_probe
from cnnkit.comparison.results import read_results
from cnnkit.comparison.runner import run_study
from cnnkit.comparison.study import plan_study
from cnnkit.comparison.study_file import load_study
from cnnkit.config.load import parse_config
from cnnkit.config.runtime import RuntimeConfig
from cnnkit.config.schema import Config
from cnnkit.data.scenes import make_scenes, scenes_at
from cnnkit.experiment.checkpoints import load_weights
from cnnkit.experiment.run_dir import RunDir
from cnnkit.families.poolings import ORDERS, POOLING_FIRST, POOLINGS
from cnnkit.filenames import PROBE, TRIALS
from cnnkit.files import write_json
from cnnkit.kept import sealed
from cnnkit.nn.model import CNN, build_model
from cnnkit.probe import study
from cnnkit.probe.corruptions import (
    CORRUPTIONS,
    GAPS,
    STRENGTHS,
    blur,
    brightness,
    broken_lines,
    contrast,
    occlusion,
    rotation,
    scale,
)
from cnnkit.probe.information import (
    flows,
    linear_probe,
    receptive_field,
    responses,
    seen_share,
    silenced,
    square_seen,
    stage_features,
    watched,
)
from cnnkit.probe.measure import Found, asked_of
from cnnkit.probe.shift import DIRECTIONS, DISTANCES, shifted
from cnnkit.probe.study import judged, probe_study, reasons
from cnnkit.random import generator_for
from cnnkit.report.heat import CELL
from cnnkit.report.page import write_report
from cnnkit.report.places import places_of
from cnnkit.report.probed import why
from cnnkit.stats import Interval
from cnnkit.training.device import Placement, choose_device

ORDERED = pytest.mark.parametrize(
    ("pooling", "order"),
    [
        (pooling.name, order)
        for pooling in POOLINGS.values()
        for order in ORDERS
        if not (pooling.no_negatives and order == POOLING_FIRST)
    ],
)
# Which tables stick out of their place once three more columns, as of three more stages, have been added.
MORE_STAGES = """() => [...document.querySelectorAll('#why .panels.two table')].filter(table => {
  for (const row of table.rows)
    for (let i = 0; i < 3; i++) row.append(row.lastElementChild.cloneNode(true));
  const right = node => Math.round(node.getBoundingClientRect().right);
  return right(table) > right(table.parentElement);
}).map(table => table.innerText)"""
WORN = pytest.mark.parametrize("name", CORRUPTIONS)


@pytest.fixture
def images() -> Tensor:
    """(6, 3, 12, 16), 0 … 1."""
    return torch.rand(6, 3, 12, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def photos(images: Tensor) -> Tensor:
    """The same as uint8."""
    return (images * 255).round().to(torch.uint8)


@WORN
def test_worn_images_are_the_same_for_everybody_and_worse_with_each_strength(
    name: str, photos: Tensor
) -> None:
    corruption, apart = CORRUPTIONS[name], []
    for strength in STRENGTHS:
        changed = corruption(photos, strength)
        assert changed.dtype == torch.uint8
        assert changed.shape == photos.shape
        assert torch.equal(changed, corruption(photos, strength))
        apart.append(float((changed.float() - photos.float()).abs().mean()))
    assert 0 < apart[0] < apart[1] < apart[2]


def test_noise_has_the_deviation_that_is_said() -> None:
    grey = torch.full((50, 1, 20, 20), 128, dtype=torch.uint8)
    changed = CORRUPTIONS["noise"](grey, 1).double() / 255
    assert changed.std().item() == pytest.approx(0.1, rel=0.05)
    assert changed.mean().item() == pytest.approx(128 / 255, abs=0.005)


def test_blur_is_a_gaussian_that_repeats_the_border(images: Tensor) -> None:
    sigma = 0.1 * 12
    expected = ndimage.gaussian_filter(
        images.numpy(), (0, 0, sigma, sigma), mode="nearest", radius=(0, 0, 4, 4)
    )
    np.testing.assert_allclose(blur(images, 0.1, images), expected, atol=1e-5)


def test_contrast_and_brightness_are_their_formulas(images: Tensor) -> None:
    x = images.numpy()
    mean = x.mean((2, 3), keepdims=True)
    np.testing.assert_allclose(contrast(images, 0.3, images), mean + 0.3 * (x - mean), atol=1e-6)
    np.testing.assert_allclose(brightness(images, 0.2, images), x + 0.2, atol=1e-6)


@pytest.mark.parametrize(("drawn", "turns"), [(0.2, 1), (0.8, -1)])
def test_rotation_turns_the_image_about_its_middle_either_way(drawn: float, turns: int) -> None:
    square = torch.rand(3, 1, 9, 9, generator=torch.Generator().manual_seed(2))
    turned = rotation(square, 90, torch.full((1, 3), drawn))
    expected = (np.rot90(square.numpy(), k, (2, 3)) for k in (turns, -turns))
    assert any(np.allclose(turned, one, atol=1e-5) for one in expected)
    other = rotation(square, 90, torch.full((1, 3), 1 - drawn))
    assert np.allclose(np.rot90(turned.numpy(), 2, (2, 3)), other, atol=1e-5)


def test_a_wide_image_is_turned_without_being_sheared(images: Tensor) -> None:
    turned = rotation(images, 180, torch.zeros(1, len(images)))
    np.testing.assert_allclose(turned, images.flip(2, 3), atol=1e-5)


def test_half_the_scale_takes_the_mean_of_two_by_two_pixels(images: Tensor) -> None:
    made = scale(images, 0.5, images)[:, :, 3:9, 4:12]
    means = images.numpy().reshape(6, 3, 6, 2, 8, 2).mean((3, 5))
    np.testing.assert_allclose(made, means, atol=1e-5)


def test_occlusion_hides_one_square_that_lies_inside(images: Tensor) -> None:
    uniform = torch.tensor([[0.0, 0.999, 0.5, 0.3, 0.7, 0.1], [0.0, 0.999, 0.2, 0.4, 0.6, 0.9]])
    changed = occlusion(images, 0.35, uniform)
    for before, after in zip(images, changed, strict=True):
        rows, columns = np.nonzero((before != after).any(0).numpy())
        assert (np.ptp(rows) + 1, np.ptp(columns) + 1, len(rows)) == (4, 4, 16)
        inside = after[:, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        np.testing.assert_allclose(inside, before.mean((1, 2))[:, None, None].expand(3, 4, 4), atol=1e-6)
    assert (changed[0] != images[0]).any(0)[:4, :4].all()
    assert (changed[1] != images[1]).any(0)[-4:, -4:].all()


def test_broken_lines_are_parallel_gaps_with_the_median_of_the_border() -> None:
    images = torch.rand(200, 1, 24, 24, generator=torch.Generator().manual_seed(3)) + 1
    uniform = torch.rand(2, 200, generator=torch.Generator().manual_seed(4))
    changed = broken_lines(images, 0.3, uniform)
    gone = (changed != images)[:, 0]
    assert gone.float().mean().item() == pytest.approx(0.3, abs=0.02)
    for before, after, hole in zip(images[:, 0], changed[:, 0], gone, strict=True):
        edge = np.concatenate([before[0], before[-1], before[1:-1, 0], before[1:-1, -1]])
        assert np.allclose(after[hole], np.sort(edge)[(len(edge) - 1) // 2])
    upright = (broken_lines(images, 0.3, torch.zeros(2, 200)) != images)[:, 0].float().mean((0, 1))
    whole = upright > 0.9  # of a column that is gone a pixel may have had that value before
    assert ((upright == 0) | whole).all()
    starts = int((whole[1:] & ~whole[:-1]).sum()) + int(whole[0])
    assert starts == GAPS


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_shifted_images_are_those_that_numpy_moves(direction: str, distance: int, photos: Tensor) -> None:
    y, x = (distance * step for step in DIRECTIONS[direction])
    padded = np.pad(photos.numpy(), ((0, 0), (0, 0), (3, 3), (3, 3)), mode="edge")
    expected = np.roll(padded, (y, x), (2, 3))[:, :, 3:-3, 3:-3]
    if direction == "right":
        assert (expected[..., 1] == photos.numpy()[..., 0]).all() or distance > 1
    np.testing.assert_array_equal(shifted(photos, y, x), expected)


def network(*overrides: str) -> tuple[CNN, Config]:
    """Untrained, for images of digits."""
    config = parse_config(TINY, "tiny", overrides)
    return build_model(config.model, config.data.info, 3, 30.0, 60.0).eval(), config


@pytest.fixture
def digits() -> tuple[Tensor, Tensor]:
    """(40, 1, 8, 8) uint8 and labels."""
    generator = torch.Generator().manual_seed(5)
    images = torch.randint(1, 256, (40, 1, 8, 8), generator=generator, dtype=torch.uint8)
    return images, torch.randint(10, (40,), generator=generator)


@ORDERED
def test_a_watched_network_answers_as_always(pooling: str, order: str, digits: tuple[Tensor, Tensor]) -> None:
    model, _ = network(f"model.pooling={pooling}", f"model.order={order}")
    with torch.no_grad(), watched(model) as poolings:
        seen = model(digits[0])
        assert len(poolings) == 2
    torch.testing.assert_close(seen, model(digits[0]), atol=1e-4, rtol=1e-4)


def first_stage(pooling: str, digits: tuple[Tensor, Tensor]) -> Any:
    model, _ = network(f"model.pooling={pooling}", "model.activation=tanh")
    return flows(model, *digits)[0]


def test_an_average_lets_every_cell_learn_a_maximum_one_of_four(digits: tuple[Tensor, Tensor]) -> None:
    assert first_stage("avg", digits).reached == pytest.approx(1)
    assert first_stage("max", digits).reached == pytest.approx(0.25, abs=0.01)
    assert first_stage("stride", digits).reached == pytest.approx(0.25)
    assert first_stage("concat", digits).reached == pytest.approx(1)


def test_the_winning_place_is_always_the_same_or_any(digits: tuple[Tensor, Tensor]) -> None:
    assert first_stage("avg", digits).winner == pytest.approx(1)
    assert first_stage("stride", digits).winner == pytest.approx(0)
    assert 0.9 < first_stage("max", digits).winner <= 1


def test_the_energy_is_what_numpy_finds(digits: tuple[Tensor, Tensor]) -> None:
    model, _ = network("model.pooling=avg")
    stage = model.stages[0]
    with torch.no_grad():
        maps = stage.activated(stage.get_submodule("downsampling").convolution(model.normalize(digits[0])))  # type: ignore[union-attr,operator]
    cells = maps.numpy().reshape(40, 4, 4, 2, 4, 2)
    expected = (cells.mean((3, 5)) ** 2).mean() / (cells**2).max((3, 5)).mean()
    assert flows(model, *digits)[0].energy == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("pooling", "side"), [("max", 8), ("avg", 8), ("stride", 7)])
def test_a_cell_can_see_the_square_that_the_geometry_tells(
    pooling: str, side: int, digits: tuple[Tensor, Tensor]
) -> None:
    model, config = network(f"model.pooling={pooling}", "model.channels=[4]", "model.kernel_sizes=3")
    field = receptive_field(model, digits[0])
    sees = config.model.cells((1, 8, 8)).sees
    assert field.shape == (sees, sees)
    assert field.max() == 1
    assert (field[[0, -1]] > 0).any()
    assert (field[:, [0, -1]] > 0).any()
    assert 0 < seen_share(field) <= 1


def test_the_share_that_is_seen_counts_pixels_above_a_threshold() -> None:
    field = torch.zeros(6, 6)
    field[:3, :3] = 1
    field[5, 5] = 0.04
    assert seen_share(field) == pytest.approx(0.5)


@pytest.mark.parametrize("pooling", ["stride", "max", "avg"])
def test_a_cell_answers_to_moved_images_as_numpy_finds(pooling: str, digits: tuple[Tensor, Tensor]) -> None:
    model, _ = network(f"model.pooling={pooling}")

    def maps(images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            found = model.stages[0](model.normalize(torch.from_numpy(images.copy())))
        return found.numpy().reshape(40, 4, -1)

    def above(found: np.ndarray) -> float:
        at = np.take_along_axis(found, usual.argmax(2)[..., None], 2)[..., 0]
        return float((at - found.mean(2)).sum())

    usual, left = maps(digits[0].numpy()), []
    for y, x in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        padded = np.pad(digits[0].numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
        left.append(above(maps(padded[..., 1 + y : 9 + y, 1 + x : 9 + x])))
    found = responses(model, digits[0])
    assert len(found) == 3
    assert found[0] == 1
    assert found[1] == pytest.approx(np.mean(left) / above(usual), rel=1e-3)


def test_a_silenced_part_tells_nothing_of_the_image(digits: tuple[Tensor, Tensor]) -> None:
    model, _ = network("model.pooling=concat")
    change = silenced(model, 0, 1)
    maps = torch.rand(5, 8, 4, 4)
    after = change(maps)
    assert torch.equal(after[:, :4], maps[:, :4])
    assert torch.allclose(after[:, 4:], maps[:, 4:].mean((0, 2, 3), keepdim=True).expand(5, 4, 4, 4))
    with torch.no_grad(), watched(model, {0: change, 1: silenced(model, 1, 0)}):
        other = model(digits[0])
    assert not torch.allclose(other, model(digits[0]))


def test_a_linear_probe_finds_classes_that_a_line_parts_and_none_in_noise() -> None:
    generator = torch.Generator().manual_seed(6)
    labels = torch.randint(4, (400,), generator=generator)
    noise = torch.randn(400, 6, generator=generator)
    clear = noise + 8 * torch.nn.functional.one_hot(labels, 6)
    assert linear_probe(clear[:200], labels[:200], clear[200:], labels[200:]) == 1
    assert linear_probe(noise[:200], labels[:200], noise[200:], labels[200:]) < 0.5


@pytest.mark.parametrize("features", [30, 300])
def test_a_linear_probe_is_right_as_often_as_that_of_scikit_learn(features: int) -> None:
    generator = torch.Generator().manual_seed(7)
    labels = torch.randint(5, (400,), generator=generator)
    x = torch.randn(400, features, generator=generator) + 0.5 * torch.nn.functional.one_hot(labels, features)
    probe = make_pipeline(StandardScaler(), RidgeClassifier(alpha=1.0)).fit(x[:200].numpy(), labels[:200])
    expected = probe.score(x[200:].numpy(), labels[200:])
    assert linear_probe(x[:200], labels[:200], x[200:], labels[200:]) == pytest.approx(expected, abs=0.006)


def test_features_of_stages_are_averages_over_at_most_four_by_four_cells(
    digits: tuple[Tensor, Tensor],
) -> None:
    model, _ = network()
    first, second = stage_features(model, digits[0])
    assert first.shape == (40, 4 * 16)
    assert second.shape == (40, 8 * 4)


def test_an_object_lies_where_it_is_put() -> None:
    config = parse_config("data: {dataset: small-object, scene: {source: digits, clutter: 0}}")
    scene = config.data.scene.model_copy(update={"object_sizes": (12,)})
    ink = torch.full((5, 1, 8, 8), 255, dtype=torch.uint8)
    scenes, labels = scenes_at(ink, torch.arange(5), scene, (20, 44), 10, generator_for(0, "probe"))
    rows, columns = np.nonzero(scenes[3, 0].numpy())
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (20, 31, 44, 55)
    drawn, others = make_scenes(ink, torch.arange(5), scene, 10, generator_for(0, "probe"))
    assert torch.equal(labels, others)
    assert drawn.shape == scenes.shape


@pytest.fixture(scope="module")
def compared(shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two poolings that was probed with 100 images; none may change it."""
    folder = tmp_path_factory.mktemp("probe") / "study"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared_cache))
        base = parse_config(TINY, "tiny", ["runtime.threads=1", "training.epochs=1"])
        run_study(
            plan_study(base, "model.pooling", ["stride", "concat"], seeds=3), folder, Here(folder / TRIALS)
        )
        probe_study(folder, 100)
    return folder


@pytest.fixture
def probed(compared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(compared, tmp_path / "study"))


def trial_of(folder: Path, name: str = "") -> Path:
    return next(path for path in sorted((folder / TRIALS).iterdir()) if name in path.name)


PIXELS_APART = 0.002  # of a mean of 24 shares of 100 images: rounding may turn four answers


def worn_by_numpy(name: str, x: np.ndarray) -> list[np.ndarray]:
    """Images of strengths 1, 2 and 3, by NumPy and SciPy alone; only the random numbers are those of cnnkit.

    x: (N, C, H, W), 0 … 1. Returns uint8. Amounts and formulas are those that the report tells.
    """
    n, _, height, width = x.shape
    short, means, stream = min(height, width), x.mean((2, 3), keepdims=True), generator_for(0, "probe", name)
    normal = torch.randn(x.shape, generator=stream).numpy() if name == "noise" else None
    draws = {"rotation": 1, "occlusion": 2, "broken_lines": 2}.get(name, 0)
    uniform = torch.rand((draws, n), generator=stream).numpy() if draws else np.zeros((0, n))
    rows, columns = np.mgrid[:height, :width]
    y, x0 = rows - (height - 1) / 2, columns - (width - 1) / 2

    def taken_from(down: np.ndarray, right: np.ndarray) -> np.ndarray:
        """(N, H, W) places, from the middle, at which each image is read, between pixels."""
        at = [down + (height - 1) / 2, right + (width - 1) / 2]
        read = [
            [ndimage.map_coordinates(one, [a[i] for a in at], order=1, mode="nearest") for one in image]
            for i, image in enumerate(x)
        ]
        return np.array(read)

    def changed(s: float) -> np.ndarray:
        if name == "noise":
            return x + s * normal
        if name == "contrast":
            return means + s * (x - means)
        if name == "brightness":
            return x + s
        if name == "blur":
            radius = min(math.ceil(3 * s * short), short - 1)
            sides = (0, 0, s * short, s * short)
            return ndimage.gaussian_filter(x, sides, mode="nearest", radius=(0, 0, radius, radius))
        if name == "scale":
            return taken_from(*(np.repeat(place[None] / s, n, 0) for place in (y, x0)))
        if name == "rotation":
            turn = np.radians(s) * np.where(uniform[0] < 0.5, -1, 1)[:, None, None]
            return taken_from(x0 * np.sin(turn) + y * np.cos(turn), x0 * np.cos(turn) - y * np.sin(turn))
        made = x.copy()
        if name == "occlusion":
            side = max(1, round(s * short))
            for image, top, left in zip(made, *uniform, strict=True):
                top, left = int(top * (height - side + 1)), int(left * (width - side + 1))
                image[:, top : top + side, left : left + side] = image.mean((1, 2))[:, None, None]
            return made
        assert name == "broken_lines"
        edge = np.ones((height, width), bool)
        edge[1:-1, 1:-1] = False
        period = short / 4
        for image, angle, offset in zip(made, uniform[0] * np.pi, uniform[1] * period, strict=True):
            gap = (columns * np.cos(angle) + rows * np.sin(angle) + offset) % period < s * period
            image[:, gap] = np.quantile(image[:, edge], 0.5, axis=1, method="lower")[:, None]
        return made

    amounts = {
        "noise": (0.1, 0.2, 0.4),
        "blur": (0.03, 0.05, 0.08),
        "contrast": (0.5, 0.3, 0.15),
        "brightness": (0.15, 0.3, 0.5),
        "rotation": (15, 30, 45),
        "scale": (0.85, 0.7, 0.55),
        "occlusion": (0.2, 0.35, 0.5),
        "broken_lines": (0.15, 0.3, 0.45),
    }
    return [np.clip(np.rint(changed(s) * 255), 0, 255).astype(np.uint8) for s in amounts[name]]


def test_shifts_and_the_mean_error_are_what_numpy_finds(probed: Path) -> None:
    weights = load_weights(trial_of(probed))
    asked = asked_of(weights.config, 100)
    kept = next(
        t
        for t in study.read_probe(probed).trials
        if t.weights == study.sha256((weights.source).read_bytes())  # type: ignore[union-attr,attr-defined]
    )

    def answers(images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return weights.model.eval()(torch.from_numpy(images)).argmax(1).numpy()

    images, labels = asked.test.images.numpy(), asked.test.labels.numpy()
    usual, stayed = answers(images), []
    for y, x in ((0, 2), (0, -2), (2, 0), (-2, 0)):
        padded = np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2)), mode="edge")
        stayed.append((answers(padded[..., 2 + y : 10 + y, 2 + x : 10 + x].copy()) == usual).mean())
    assert kept.figures["shift.2.same_answer"] == pytest.approx(np.mean(stayed))
    assert kept.figures["accuracy"] == pytest.approx((usual == labels).mean())
    errors = [
        (answers(changed) != labels).mean()
        for name in CORRUPTIONS
        for changed in worn_by_numpy(name, images / 255)
    ]
    assert len(errors) == 24
    assert kept.figures["mean_corruption_error"] == pytest.approx(np.mean(errors), abs=PIXELS_APART)


@WORN
def test_worn_images_are_what_numpy_makes_of_the_written_formulas(name: str, photos: Tensor) -> None:
    x = np.concatenate([photos.numpy()] * 20) / 255
    taken = torch.from_numpy((x * 255).round().astype(np.uint8))
    for strength, expected in zip(STRENGTHS, worn_by_numpy(name, x), strict=True):
        made = CORRUPTIONS[name](taken, strength).numpy().astype(int)
        assert (abs(made - expected) > 1).mean() < 0.002


def test_all_networks_are_asked_the_same_images_and_half_of_them_alone_has_parts(probed: Path) -> None:
    probe = study.read_probe(probed)
    assert probe is not None
    assert (probe.images, len(probe.trials)) == (100, 6)
    silenced_halves = {"without.max.stage1", "without.avg.stage1", "without.max.stage2", "without.avg.stage2"}
    for trial in probe.trials:
        assert silenced_halves <= {*trial.figures} if trial.level == "concat" else True
        assert all(0 <= value <= 1.5 for value in trial.figures.values())


def test_one_network_was_asked_and_two_were(probed: Path) -> None:
    probe = study.read_probe(probed)
    assert probe is not None
    for count, told in ((1, "1 network was asked"), (2, "2 networks were asked")):
        assert replace(probe, trials=probe.trials[:count]).told.startswith(told)


def test_a_network_is_asked_once(probed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (probed / PROBE).read_bytes()
    asked: list[Any] = []

    def counted(*arguments: Any) -> Found:
        asked.append(arguments)
        return Found({"accuracy": 0.5}, Field(0, 0, (8, 8), [[255]]))

    monkeypatch.setattr(study, "figures_of", counted)
    probe_study(probed, 100)
    assert not asked
    assert (probed / PROBE).read_bytes() == before
    probe_study(probed, 50)
    assert len(asked) == 6
    (probed / PROBE).write_text("{")
    probe_study(probed, 50)
    assert len(asked) == 12


def test_a_probe_takes_all_cores_where_each_trial_had_a_part_of_them(
    probed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert RunDir(trial_of(probed)).config.runtime.threads == 1
    threads: list[int | None] = []

    def chosen(runtime: RuntimeConfig, name: str | None) -> Placement:
        threads.append(runtime.threads)
        return choose_device(runtime, name)

    monkeypatch.setattr(study, "choose_device", chosen)
    monkeypatch.setattr(
        study, "figures_of", lambda *_: Found({"accuracy": 0.5}, Field(0, 0, (8, 8), [[255]]))
    )
    probe_study(probed, 50)
    assert threads == [None] * 6


def test_levels_differ_where_their_seeds_agree_and_reasons_name_the_figures() -> None:
    trials = [
        ProbedTrial(
            level,
            seed,
            "",
            {"shift.1.same_answer": kept + seed / 1000, "mean_corruption_error": 0.3},
            Field(0, 0, (8, 8), [[255]]),
        )
        for level, kept in (("max", 0.900), ("avg", 0.950))
        for seed in range(7)
    ]
    figures = judged(Probe(1, 100, 100, trials), ["max", "avg"])
    assert figures["shift.1.same_answer"].differs("avg", "max")
    assert not figures["mean_corruption_error"].differs("avg", "max")
    (reason,) = reasons(figures, ["max", "avg"])
    assert reason == "avg keeps 95.3% of its answers when the image moves by one pixel, max 90.3%"


def test_the_command_tells_a_table_and_the_report_has_a_section(
    probed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = call(capsys, "probe", probed, "--images", "100")
    assert done.code == 0, done.err
    assert "same answer" in done.out
    kept = read_probe(probed)
    assert kept is not None
    for level in ("stride", "concat"):
        own = [trial.figures["mean_corruption_error"] for trial in kept.trials if trial.level == level]
        spread = stats.t.ppf(0.975, 2) * np.std(own, ddof=1) / 3**0.5
        assert f" {np.mean(own):.1%}".replace("%", f" ± {spread * 100:.1f}") in done.out
    page = (probed / "report.html").read_text(encoding="utf-8")
    assert '<section id="why">' in page
    assert "broken lines" in page


def test_each_difference_on_the_page_has_its_interval(probed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_interval(*arguments: Any) -> dict[str, Any]:
        known = Interval(0.25, 0.1, 0.4)
        return {
            name: replace(figure, pairs=[replace(pair, difference=known) for pair in figure.pairs])
            for name, figure in judged(*arguments).items()
        }

    def section() -> str:
        write_report(probed)
        return (probed / "report.html").read_text(encoding="utf-8").partition('<section id="why">')[2]

    assert '</span><span class="small">too few seeds</span>' in section()
    monkeypatch.setattr("cnnkit.report.probed.judged", with_interval)
    shown = section()
    small = '<span class="small">{}</span><span class="small">{}</span>'.format
    assert small("+25.0", "+10.0 to +40.0") in shown or small("−25.0", "−40.0 to −10.0") in shown


@pytest.mark.parametrize("width", [1200, 700])
def test_tables_of_five_stages_lie_beside_each_other(probed: Path, width: int) -> None:
    write_report(probed)
    report = probed / "report.html"
    shown = report.read_text(encoding="utf-8").replace("too few seeds", "−39.4 to −12.3")
    report.write_text(shown, encoding="utf-8")
    with chromium() as browser:
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.goto(report.as_uri())
        assert page.evaluate(MORE_STAGES) == []


def test_figures_of_other_weights_are_named_on_the_page_left_out_and_refused(
    probed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = load_study(probed).trials[0]
    probe = read_probe(probed)
    assert probe is not None
    trials = [
        replace(t, weights="") if (t.level, t.seed) == (changed.level, changed.seed) else t
        for t in probe.trials
    ]
    write_json(probed / PROBE, sealed(replace(probe, trials=trials).to_dict()))
    left, (told,) = probe_left(probed, load_study(probed))
    assert left is not None
    assert left.trials == [t for t in trials if t.weights]
    assert f"{changed.level} with seed {changed.seed};" in told
    done = call(capsys, "compare", "--verify", probed)
    assert done.code == 1
    assert "other weights" in done.err
    write_report(probed)
    assert "other weights" in (probed / "report.html").read_text(encoding="utf-8")
    probe_study(probed, 100)
    assert probe_left(probed, load_study(probed)) == (probe, [])
    done = call(capsys, "compare", "--verify", probed)
    assert done.code == 0
    assert PROBE in done.out


def test_a_damaged_file_is_named_and_the_rest_of_the_page_stands(
    probed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (probed / PROBE).read_text()
    (probed / PROBE).write_text(text.replace('"images": 100', '"images": 101'))
    write_report(probed)
    page = (probed / "report.html").read_text(encoding="utf-8")
    assert "cnnkit probe asks the networks again" in page
    assert '<section id="why">' not in page
    assert '<section id="ranking">' in page
    assert call(capsys, "compare", "--verify", probed).code == 1


def test_the_square_that_a_cell_sees_lies_about_its_pixels_in_the_image() -> None:
    model, _ = network(
        "model.pooling=blur", "model.channels=[4]", "model.kernel_sizes=3", "model.pool_size=4"
    )
    # Cell 1 of 2 begins at pixel 4. Blur looks 3 pixels beyond it on each side, the kernel 1 more.
    assert square_seen(model, (8, 8)) == (slice(0, 8), slice(0, 8))
    assert square_seen(model, (40, 80)) == (slice(20 - 4, 24 + 4), slice(40 - 4, 44 + 4))


def test_every_chapter_says_what_it_means_and_no_axis_goes_below_nothing(probed: Path) -> None:
    results, probe = read_results(probed), read_probe(probed)
    assert probe is not None
    trials = [  # of three seeds two fail, so that the interval reaches far below zero
        replace(t, figures={**t.figures, "accuracy": 0.8, "corruption.noise.3": 0.6 * (t.seed == 0)})
        for t in probe.trials
    ]
    found = why(
        replace(probe, trials=trials), results, {level.name: i for i, level in enumerate(results.levels)}
    )
    assert found is not None
    for chapter in found.chapters:
        assert chapter.says.endswith(".")
        assert chapter.panels or chapter.tables or chapter.seen
        assert all(float(tick.label) >= 0 for panel in chapter.panels for tick in panel.y_ticks)
    (seen,) = [chapter.seen for chapter in found.chapters if chapter.seen]
    assert [one.level for one in seen] == [level.name for level in results.levels]
    assert all(0 < one.side <= one.of <= 8 for one in seen)


def test_places_are_drawn_where_they_lie_and_the_best_is_full() -> None:
    means = {
        f"objects.8.{row}-{column}": {"max": Interval(0.5 + (row + 2 * column) / 10, None, None)}
        for row in range(2)
        for column in range(2)
    }
    (places,) = places_of({**means, "accuracy": {}}, ["max", "avg"])
    ((side, cells),) = places.squares
    assert (places.level, side, places.width) == ("max", "8", 2 * CELL)
    assert [(c.x / CELL, c.y / CELL, c.text) for c in cells] == [
        (0, 0, "50"),
        (1, 0, "70"),
        (0, 1, "60"),
        (1, 1, "80"),
    ]
    assert [c.strength for c in cells] == pytest.approx([0, 2 / 3, 1 / 3, 1])


@pytest.mark.parametrize("images", ["0", "-3", "many"])
def test_wrong_numbers_of_images_are_refused(
    images: str, probed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = call(capsys, "probe", probed, "--images", images)
    assert done.code == 2
    assert "--images" in done.err


def test_where_there_is_no_study_it_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = call(capsys, "probe", tmp_path)
    assert done.code == 2
    assert str(tmp_path) in done.err.replace("\n", "")
