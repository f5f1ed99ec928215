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
from cnnkit.filenames import IMAGES, PLAY, REPORT

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


# Images that lie elsewhere


@pytest.fixture
def moved(photos: Path, tmp_path: Path) -> tuple[cnnkit.Run, Path]:
    """(a finished run, where its images lie now)"""
    run = cnnkit.train(own(photos), tmp_path / "run", progress=False)
    return run, photos.rename(tmp_path / "moved")


def test_a_run_is_measured_where_its_images_lie_now(
    moved: tuple[cnnkit.Run, Path], tmp_path: Path, capsys: Capture
) -> None:
    run, folder = moved
    refused = call(capsys, "eval", run.path)
    assert refused.code == 1
    assert "photos is not there" in refused.err
    assert "--root PATH" in refused.err
    assert call(capsys, "eval", run.path, "--root", folder, "--csv", "a.csv").code == 0
    kept = json.loads((run.path / "eval-test.json").read_text())
    assert (kept["accuracy"], kept["images"]) == (run.result.test_accuracy, 12)
    assert (tmp_path / "a.csv").read_text().count(".bmp") == 12
    page = run.report().read_text(encoding="utf-8")
    assert f"{tmp_path / 'photos'} is not there" in page


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_data_that_is_the_runs_own_is_split_as_the_run_split_it(
    moved: tuple[cnnkit.Run, Path], split: str
) -> None:
    run, folder = moved
    by_root, by_data = run.evaluate(split, root=folder), run.evaluate(split, data=folder)
    assert by_data.other is None
    assert list(by_root.table().rows) == list(by_data.table().rows)
    assert run.evaluate(data=folder).evaluation.images == 60


def test_a_training_goes_on_where_its_images_lie_now(photos: Path, tmp_path: Path, capsys: Capture) -> None:
    whole = cnnkit.train(own(photos, "training.epochs=3"), tmp_path / "whole", progress=False)
    run = interrupted(photos, tmp_path / "run")
    folder = photos.rename(tmp_path / "moved")
    assert "--root PATH" in call(capsys, "train", "--resume", run.path).err
    assert call(capsys, "train", "--resume", run.path, "--root", folder).code == 0
    ours, theirs = (one.model().state_dict() for one in (run, whole))
    assert all(ours[name].equal(theirs[name]) for name in theirs)


def test_a_report_and_a_page_to_draw_on_show_images_where_they_lie_now(
    photos: Path, tmp_path: Path, capsys: Capture
) -> None:
    run = cnnkit.train(own(photos), tmp_path / "run", progress=False)
    pages = [page.read_text(encoding="utf-8") for page in (run.report(), run.play())]
    folder = photos.rename(tmp_path / "moved")
    assert pages[1] != run.play().read_text(encoding="utf-8")
    (run.path / PLAY).unlink()
    assert call(capsys, "report", run.path, "--root", folder).code == 0
    assert (run.path / REPORT).read_text(encoding="utf-8") == pages[0]
    assert call(capsys, "play", run.path, "--root", folder).code == 0
    assert (run.path / PLAY).read_text(encoding="utf-8") == pages[1]
    (folder / "red" / "00.bmp").unlink()
    for command in ("report", "play"):
        refused = call(capsys, command, run.path, "--root", folder)
        assert refused.code == 1
        assert "60 images then, 59 now" in refused.err.replace("\n", " ")


def test_a_root_with_other_images_is_refused_without_advice_that_cannot_be_taken(
    moved: tuple[cnnkit.Run, Path], tmp_path: Path, capsys: Capture
) -> None:
    run, folder = moved
    (folder / "red" / "00.bmp").unlink()
    told = call(capsys, "eval", run.path, "--root", folder).err
    assert "bring the images of then" in told
    assert "data.images" not in told
    folder.rename(tmp_path / "photos")
    anew = call(capsys, "train", run.path / "config.yaml", "--out", tmp_path / "new")
    assert "or set data.images=null" in anew.err
    assert call(capsys, "train", run.path / "config.yaml", "--set", "data.images=null", "--quiet").code == 0


def test_a_study_goes_on_where_its_images_lie_now(
    photos: Path, tmp_path: Path, trials_here: None, capsys: Capture
) -> None:
    varied, study = {"model.pooling": ["max", "avg"]}, tmp_path / "study"
    cnnkit.compare(own(photos, "training.epochs=1"), varied, seeds=2, out=study, progress=False)
    folder = photos.rename(tmp_path / "moved")
    assert "photos is not there; the images are numbered" in call(
        capsys, "report", study, "--csv-images", "numbers.csv"
    ).err.replace("\n", "")
    going_on = ("compare", "--resume", "--out", study, "--seeds", 3)
    assert "--root PATH" in call(capsys, *going_on).err
    assert call(capsys, *going_on, "--root", folder).code == 0
    assert len(list((study / "trials").glob("*/result.json"))) == 6
    assert call(capsys, *going_on).code == 0  # from now on the study knows it


def test_a_study_is_reported_and_probed_where_its_images_lie_now(
    photos: Path, tmp_path: Path, trials_here: None, capsys: Capture
) -> None:
    study = tmp_path / "study"
    varied = {"model.pooling": ["max", "avg"]}
    cnnkit.compare(own(photos, "training.epochs=1"), varied, seeds=2, out=study, progress=False)
    page = cnnkit.open_study(study).report().read_text(encoding="utf-8")
    folder = photos.rename(tmp_path / "moved")
    assert call(capsys, "report", study, "--root", folder, "--csv-images", "a.csv").code == 0
    assert (study / REPORT).read_text(encoding="utf-8") == page
    assert (tmp_path / "a.csv").read_text().count(".bmp") == 12
    refused = call(capsys, "probe", study, "--images", 6)
    assert (refused.code, "--root PATH" in refused.err) == (1, True)
    assert call(capsys, "probe", study, "--images", 6, "--root", folder).code == 0
    assert "photos is not there" not in (study / REPORT).read_text(encoding="utf-8")
