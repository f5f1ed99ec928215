"""The benchmark on image files: the same training for all, and nothing claimed that was not trained."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cnnkit.config.load import parse_config

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from benchmarks import images, peer_settings, preparing
from benchmarks.parts import Options, measure
from benchmarks.processes import Finished
from benchmarks.report import remarks
from benchmarks.summary import Row

SIDE, EACH = 12, 10


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes: images that are bright at the top left, and at the bottom right."""
    for split in ("train", "test"):
        for name, place in (("bird", slice(2, 5)), ("cat", slice(7, 10))):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(EACH):
                pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
                pixels[place, place] = 255 - number
                Image.fromarray(pixels).save(tmp_path / split / name / f"{number}.png")
    return tmp_path


def peer(folder: Path, *keys: str, augment: str = "{flip: 0.5, translate: 2}") -> peer_settings.Peer:
    text = f"data: {{size: {SIDE}, validation: 2, augment: {augment}}}\nmodel: {{channels: [4]}}"
    return peer_settings.Peer(parse_config(text, "peer", [*images.overrides(folder), *keys]), seed=0)


def test_a_peer_is_held_against_the_median_of_the_same_network_on_the_same_files() -> None:
    rows = {
        images.CONFIG: Row("", "s", [{"value": 310.0, "test_accuracy": 0.851}]),
        "lightning": Row("", "s", [{"value": 930.0, "test_accuracy": 0.85}]),
        "keras": Row("", "s", [{"value": 900.0}]),
    }
    told = {verdict.what: (verdict.value, verdict.met) for verdict in images.judge(rows)[images.CONFIG]}
    assert told == {
        "mean accuracy": (0.851, True),
        "training": (310.0, False),
        "faster than lightning": (3.0, True),
        "faster than keras": (pytest.approx(900 / 310), False),
    }


def test_all_train_the_same_seeds_of_the_same_folder_and_only_peers_are_shortened(tmp_path: Path) -> None:
    options = Options(seeds_of={"keras": 1}, folder=tmp_path, peer_epochs=2)
    made = {contestant.name: contestant for contestant in images.contestants(options)}
    assert {name: c.rounds for name, c in made.items()} == {
        images.CONFIG: 3,
        "lightning": 3,
        "keras": 1,
        images.PREPARING: 3,
    }
    own, other = made[images.CONFIG].command(1), made["keras"].command(1)
    assert {"training.seed=1001", f'data.root="{tmp_path}"'} <= set(own)
    assert not any("epochs" in word for word in own)
    assert other[-6:] == ["--seed", "1001", "--folder", str(tmp_path), "--epochs", "2"]


def test_without_a_folder_the_part_says_which_option_it_lacks() -> None:
    rows: dict[str, Row] = {}
    measure(images.contestants(Options()), rows, print)
    assert {row.note for row in rows.values()} == {"no images: --folder FOLDER"}
    assert not any(row.failed or row.samples for row in rows.values())


@pytest.mark.parametrize(
    ("epochs", "told"), [(10, "float32, 10 epochs"), (2, "float32, 2 epochs, scaled to 10")]
)
def test_a_shortened_training_is_scaled_and_tells_no_accuracy(epochs: int, told: str) -> None:
    printed = {"train_seconds": 30.0, "test_accuracy": 0.5, "epochs": epochs, "of_epochs": 10}
    line = json.dumps({**printed, "precision": "float32"})
    sample = images.read_peer(Finished(0, 1.0, 1, f"Epoch 1\n{line}\n", ""))
    assert sample["value"] == pytest.approx(30 * 10 / epochs)
    assert ("test_accuracy" in sample) == (epochs == 10)
    assert remarks(Row("", "s", [sample]), []) == told


def test_a_peer_s_images_are_cnnkit_s_but_for_a_shift_and_a_mirror(folder: Path) -> None:
    made = peer(folder)
    train, _ = made.data_sets()
    assert len(train) == made.config.data.train_images == 2 * EACH - 2  # type: ignore[arg-type]
    for image, label in (train[i % len(train)] for i in range(40)):  # type: ignore[arg-type]
        assert image.shape == (3, SIDE, SIDE)
        rows = image.amax((0, 2)).nonzero()[:, 0]
        first = (2, 7)[label]
        assert abs(int(rows.min()) - first) <= 2
        assert len(rows) == 3
        assert 245 < image.max() * 255 <= 255
    mirrored = [int(train[0][0].amax((0, 1)).nonzero().min()) for _ in range(40)]
    assert min(mirrored) < SIDE / 2 - 1 < max(mirrored)


def test_a_peer_s_network_sees_pixels_of_mean_0_and_deviation_1(folder: Path) -> None:
    made = peer(folder)
    stored = made.published.train.images.float() / 255
    normalized = made.network().normalize(stored).transpose(0, 1).flatten(1)  # type: ignore[operator]
    assert torch.allclose(normalized.mean(1), torch.zeros(3), atol=1e-4)
    assert torch.allclose(normalized.std(1), torch.ones(3), atol=1e-2)


@pytest.mark.parametrize(
    "augment", ["{flip: 0.5, zoom: 0.1}", "{flip: 0.5, translate: 1.5}", "{flip: 0.2, translate: 1}"]
)
def test_changes_that_the_peers_do_not_follow_are_refused(folder: Path, augment: str) -> None:
    with pytest.raises(SystemExit, match=r"data\.augment: the peers follow"):
        peer(folder, augment=augment).data_sets()


def test_preparing_is_measured_with_an_empty_cache_and_leaves_none(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own-cache"))
    monkeypatch.setattr(images, "CONFIG", "photos")
    monkeypatch.setattr(sys, "argv", ["preparing", "--folder", str(folder)])
    preparing.main()
    assert json.loads(capsys.readouterr().out)["value"] > 0
    assert not (tmp_path / "own-cache").exists()
