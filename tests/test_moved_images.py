"""A run whose images have changed or lie elsewhere."""

import json
from pathlib import Path

import numpy as np
import pytest
from support import call
from test_folder import COLOURS, own, picture, taken

import cnnkit
from cnnkit.errors import Interrupted, RunError
from cnnkit.events import EpochRecord, Event, Note
from cnnkit.filenames import IMAGES

Capture = pytest.CaptureFixture[str]
CHANGED = "the images are no longer those that"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """BMP files: all of the same size, whatever they show."""
    folder = taken(tmp_path / "photos")
    for name, colour in COLOURS.items():
        for number in range(20):
            (folder / name / f"{number:02}.png").unlink()
            picture(colour, number).save(folder / name / f"{number:02}.bmp")
    return folder


def overwrite(photos: Path) -> None:
    for number in range(20):
        path = photos / "red" / f"{number:02}.bmp"
        size = path.stat().st_size
        picture(COLOURS["red"], 100 + number).save(path)
        assert path.stat().st_size == size


def notes_of(run: cnnkit.Run, split: str) -> list[str]:
    notes = list[Note]()
    run.evaluate(split, notify=notes.append)
    return [note.text for note in notes if note.text.startswith(CHANGED)]


def test_images_that_were_overwritten_by_others_of_equal_size_are_told(photos: Path, tmp_path: Path) -> None:
    run = cnnkit.train(own(photos), tmp_path / "run", progress=False)
    assert notes_of(run, "test") == []
    overwrite(photos)
    assert notes_of(run, "test") == [f"{CHANGED} this run was tested on: their pixels have changed"]
    assert notes_of(run, "train") == [f"{CHANGED} this run was trained on: their pixels have changed"]
    (run.path / IMAGES).unlink()  # as of a run that was kept before
    assert notes_of(run, "test") == []


def test_other_pixels_in_an_npz_of_equal_size_are_told(tmp_path: Path) -> None:
    def save(seed: int) -> Path:
        pixels = np.random.default_rng(seed).integers(0, 256, (40, 12, 12, 3), np.uint8)
        np.savez(tmp_path / "all.npz", images=pixels, labels=np.arange(40) % 2)
        return tmp_path / "all.npz"

    run = cnnkit.train(own(save(0)), tmp_path / "run", progress=False)
    save(1)
    assert len(notes_of(run, "test")) == 1


def interrupted(photos: Path, folder: Path) -> cnnkit.Run:
    """A run of two epochs, stopped after the first."""

    def stop(event: Event) -> None:
        if isinstance(event, EpochRecord):
            raise KeyboardInterrupt

    with pytest.raises((Interrupted, KeyboardInterrupt)):
        cnnkit.train(own(photos, "training.epochs=3"), folder, progress=stop)
    return cnnkit.open_run(folder)


def test_a_training_does_not_go_on_with_other_pixels(photos: Path, tmp_path: Path) -> None:
    run = interrupted(photos, tmp_path / "run")
    assert set(json.loads((run.path / IMAGES).read_text())) >= {"train", "validation", "test"}
    overwrite(photos)
    with pytest.raises(RunError, match=CHANGED):
        run.resume(progress=False)
    for number in range(20):
        picture(COLOURS["red"], number).save(photos / "red" / f"{number:02}.bmp")
    assert run.resume(progress=False).epochs == 3


def test_the_hashes_of_a_finished_run_are_in_its_manifest(
    photos: Path, tmp_path: Path, capsys: Capture
) -> None:
    run = cnnkit.train(own(photos), tmp_path / "run", progress=False)
    (run.path / IMAGES).write_text("{}")
    assert IMAGES in call(capsys, "train", "--resume", run.path).err
