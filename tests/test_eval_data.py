"""A run is measured on other labelled images; what `eval --csv` and `report --csv-images` list."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support import call, finished_run
from test_folder import COLOURS, own, picture

import cnnkit
from cnnkit.data.prepare import load_dataset, load_splits
from cnnkit.errors import DataError, UsageError
from cnnkit.events import Note
from cnnkit.experiment.new_run import create_run
from cnnkit.experiment.other_images import matching_classes
from cnnkit.experiment.train import run_experiment

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def finished(shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_run(tmp_path_factory.mktemp("finished") / "run", shared_cache)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of 20 PNG files, 12 × 12, in a training and a test folder."""
    root = tmp_path_factory.mktemp("photos")
    for name, colour in COLOURS.items():
        for number in range(20):
            path = root / ("train" if number < 15 else "test") / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture(colour, number).save(path)
    return root


@pytest.fixture(scope="module")
def of_photos(shared_cache: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has learned the three colours."""
    config = own(photos, "training.epochs=20", "runtime.threads=1")
    folder = tmp_path_factory.mktemp("runs") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared_cache))
        run_experiment(config, create_run(config, "own", folder))
    return folder


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def save_digits(folder: Path, names: dict[int, str] | None = None) -> Path:
    """The first 40 test digits, each in a folder of its class: as they are, or under other names."""
    _, test = load_dataset("digits", folder)
    for number in range(40):
        label = int(test.labels[number])
        path = folder / (names or {}).get(label, str(label)) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(test.images[number, 0].numpy()).save(path)
    return folder


def test_images_of_the_test_split_saved_as_files_are_answered_as_the_split_is(
    run: Path, tmp_path: Path
) -> None:
    opened, notes = cnnkit.open_run(run), list[Note]()
    measured = opened.evaluate(data=save_digits(tmp_path / "digits"), notify=notes.append)
    assert measured.other is not None
    assert (measured.evaluation.images, measured.other.missing, measured.other.unknown) == (40, (), {})
    numbers = [int(Path(path).stem) for path in measured.other.paths]
    assert sorted(numbers) == list(range(40))
    of_split = opened.evaluate("test").evaluation
    assert torch.equal(measured.evaluation.labels, of_split.labels[numbers])
    assert torch.equal(measured.evaluation.predictions, of_split.predictions[numbers])


def test_classes_that_do_not_match_are_told_and_only_the_others_are_measured(
    run: Path, tmp_path: Path, capsys: Capture
) -> None:
    folder = save_digits(tmp_path / "digits", {3: "three", 7: "\uff17"})  # a wide seven
    (folder / "0" / "bad.png").write_text("no image")
    outcome = call(capsys, "eval", run, "--data", folder, "--json")
    told = json.loads(outcome.out)
    labels = [int(label) for label in load_dataset("digits", tmp_path).test.labels[:40]]
    assert told["unknown_classes"] == {"three": labels.count(3)}
    assert told["renamed_classes"] == {"\uff17": "7"}
    assert told["missing_classes"] == ["3"]
    assert (told["damaged_images"], told["images"]) == (1, 40 - labels.count(3))
    of_each = {name: row["images"] for name, row in told["classes"].items()}
    assert of_each == {str(i): labels.count(i) if i != 3 else 0 for i in range(10)}
    assert told == json.loads((run / "eval-digits.json").read_text(encoding="utf-8"))
    assert (run / "confusion-digits.svg").is_file()
    for words in (
        "unknown to the network, and left out: three",
        f"missing in {folder}: 3",
        "\uff17 as 7",
        "bad.png",
    ):
        assert words in outcome.err
    table = call(capsys, "eval", run, "--data", folder).out
    (row,) = (line.split() for line in table.split("\n\n")[1].splitlines() if line.split()[:1] == ["3"])
    assert row[1:] == ["0", "·", "·", "·"]


@pytest.mark.parametrize(
    ("found", "known", "matching"),
    [
        (["cat", "dog"], ["dog", "cat"], [1, 0]),
        (["Cat", "DOG"], ["cat", "dog"], [0, 1]),
        (["Cat", "cat"], ["cat", "dog"], [None, 0]),  # the exact one
        (["Cat", "cat"], ["CAT", "dog"], [None, None]),  # either might be meant
        (["cat"], ["Cat", "CAT"], [None]),
        (["cafe\u0301", "STRASSE"], ["caf\u00e9", "straße"], [0, 1]),
        (["\uff11", "1"], ["1", "2"], [None, 0]),
        (["bird"], ["cat"], [None]),
    ],
)
def test_classes_match_exactly_else_but_for_case_and_unicode_form_where_one_does(
    found: list[str], known: list[str], matching: list[int | None]
) -> None:
    assert matching_classes(found, known) == matching


def test_a_folder_of_one_class_or_of_test_images_alone_is_measured_too(run: Path, tmp_path: Path) -> None:
    digits = save_digits(tmp_path / "digits")
    shutil.copytree(digits / "4", tmp_path / "alone" / "4")
    shutil.copytree(digits, tmp_path / "split" / "test")
    opened = cnnkit.open_run(run)
    alone = opened.evaluate(data=tmp_path / "alone")
    assert set(alone.evaluation.labels.tolist()) == {4}
    assert opened.evaluate("test", data=tmp_path / "split").evaluation.images == 40
    with pytest.raises(DataError, match="holds no train images"):
        opened.evaluate("train", data=tmp_path / "split")


def test_images_of_no_class_that_the_network_knows_are_refused_in_words(run: Path, tmp_path: Path) -> None:
    save_digits(tmp_path / "digits", {label: f"digit {label}" for label in range(10)})
    with pytest.raises(DataError, match=r"digit 0, .* the network knows 0, 1, "):
        cnnkit.open_run(run).evaluate(data=tmp_path / "digits")


def test_a_photo_of_a_digit_is_inverted_and_centred_as_predict_does(run: Path, tmp_path: Path) -> None:
    digits = save_digits(tmp_path / "digits")
    for path in digits.rglob("*.png"):
        ink = np.pad(np.kron(np.asarray(Image.open(path)), np.ones((4, 4), np.uint8)), ((9, 3), (3, 17)))
        Image.fromarray(255 - ink).save(path)
    opened = cnnkit.open_run(run)
    measured = opened.evaluate(data=digits)
    rows = list(measured.table().rows)
    for image, _, answer, confidence in rows:
        (prediction,) = opened.predict(digits / image)
        assert answer == prediction.best
        assert confidence == pytest.approx(prediction.probabilities[0], abs=1e-5)


def test_a_run_of_photos_is_measured_on_others_of_any_split(
    of_photos: Path, tmp_path: Path, capsys: Capture
) -> None:
    for name, colour in (("RED", COLOURS["red"]), ("green", COLOURS["green"]), ("grey", (90, 90, 90))):
        for split in ("train", "val"):
            (tmp_path / "others" / split / name).mkdir(parents=True)
            for number in range(4):
                path = tmp_path / "others" / split / name / f"{number}.png"
                picture(colour, 50 + number).save(path)
    measured = cnnkit.open_run(of_photos).evaluate(data=tmp_path / "others")
    assert measured.other is not None
    assert measured.evaluation.images == 16
    assert measured.other.unknown == {"grey": 8}
    assert measured.other.missing == ("blue",)
    assert measured.evaluation.accuracy > 0.9
    assert tuple(measured.images.images.shape[1:]) == (3, 12, 12)
    assert call(capsys, "eval", of_photos, "--data", "others", "--split", "validation").code == 0
    kept = json.loads((of_photos / "eval-others-validation.json").read_text(encoding="utf-8"))
    assert (kept["images"], kept["split"]) == (8, "validation")
    for path in sorted((tmp_path / "others" / "val" / "RED").iterdir()):
        (prediction,) = cnnkit.open_run(of_photos).predict(path)
        row = next(row for row in measured.table().rows if row[0] == f"val/RED/{path.name}")
        assert row[1:3] == ("red", prediction.best)
        assert row[3] == pytest.approx(prediction.probabilities[0], abs=1e-5)


def test_images_that_the_run_was_trained_on_are_counted(
    of_photos: Path, photos: Path, tmp_path: Path, shared_cache: Path, capsys: Capture
) -> None:
    config = cnnkit.open_run(of_photos).config
    trained = len(load_splits(config.data, config.training.seed).train)
    words = f"the run was trained on {trained} of these 60 images"
    assert words in call(capsys, "eval", of_photos, "--data", photos).err
    shutil.copytree(photos / "test", tmp_path / "new")
    assert "was trained on" not in call(capsys, "eval", of_photos, "--data", tmp_path / "new").err


def test_a_folder_that_is_called_test_does_not_replace_the_test_splits_numbers(
    run: Path, tmp_path: Path
) -> None:
    opened = cnnkit.open_run(run)
    opened.evaluate()
    before = (run / "eval-test.json").read_bytes()
    opened.evaluate(data=save_digits(tmp_path / "mine" / "test"))
    assert (run / "eval-test.json").read_bytes() == before
    assert (run / "eval-mine-test.json").is_file()
    notes = list[Note]()
    opened.evaluate(data=save_digits(tmp_path / "other" / "mine-test"), notify=notes.append)
    assert any("it is replaced" in note.text for note in notes)


def test_eval_lists_each_image_by_its_number_in_the_split(run: Path, tmp_path: Path, capsys: Capture) -> None:
    assert call(capsys, "eval", run, "--split", "validation", "--csv", "a.csv").code == 0
    rows, evaluation = read(tmp_path / "a.csv"), cnnkit.open_run(run).evaluate("validation").evaluation
    assert list(rows[0]) == ["image", "truth", "answer", "confidence"]
    assert [int(row["image"]) for row in rows] == list(range(evaluation.images))
    assert [int(row["truth"]) for row in rows] == evaluation.labels.tolist()
    assert [int(row["answer"]) for row in rows] == evaluation.predictions.tolist()
    confidences = [float(row["confidence"]) for row in rows]
    assert confidences == pytest.approx(evaluation.confidences.tolist(), abs=1e-6)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_eval_lists_own_images_by_their_paths(of_photos: Path, photos: Path, split: str) -> None:
    measured = cnnkit.open_run(of_photos).evaluate(split)
    config = measured.weights.config
    whole = getattr(load_splits(config.data, config.training.seed), split)
    rows = list(measured.table().rows)
    assert len(rows) == len(whole)
    for (image, truth, *_), pixels in zip(rows, whole.images, strict=True):
        assert image.split("/")[1] == truth
        assert np.array_equal(np.asarray(Image.open(photos / image)).transpose(2, 0, 1), pixels.numpy())


def test_a_studys_table_counts_the_seeds_in_which_each_level_was_right(
    tmp_path: Path, capsys: Capture
) -> None:
    kept = Path(__file__).parent / "kept" / "0.1.0" / "study"
    study = shutil.copytree(kept, tmp_path / "study")
    assert call(capsys, "report", study, "--csv-images", "a.csv").code == 0
    rows, results = read(tmp_path / "a.csv"), cnnkit.open_study(study).results
    assert [row["image"] for row in rows] == [str(i) for i in range(results.test_images)]
    truths = load_dataset("digits", tmp_path).test.labels.tolist()
    assert [int(row["truth"]) for row in rows] == truths
    seeds = len(results.seeds)
    assert {row["seeds"] for row in rows} == {str(seeds)}
    for level in results.levels:
        right = [int(row[level.name]) for row in rows]
        assert 0 <= min(right) < max(right) <= seeds
        assert sum(right) / seeds / len(rows) == pytest.approx(level.accuracy.mean)
    trial = next(t for t in results.trials if t.level == results.levels[0].name)
    first = cnnkit.open_run(study / "trials" / trial.folder).folder.predictions()
    wrong = [i for i, answer in enumerate(first) if answer != truths[i]]
    assert all(int(rows[i][trial.level]) < seeds for i in wrong)


def test_a_table_of_a_function_counts_what_it_returned(tmp_path: Path) -> None:
    def right(value: str, seed: int) -> object:
        return np.random.default_rng([seed, len(value)]).random(50) < 0.7

    study = cnnkit.compare(right, {"size": ["a", "bb"]}, seeds=3, out=tmp_path / "own", progress=False)
    rows = list(study.images().rows)
    for column, value in ((2, "a"), (3, "bb")):
        expected = sum(np.asarray(right(value, seed), int) for seed in study.results.seeds)
        assert [row[column] for row in rows] == expected.tolist()


def test_a_run_has_no_studys_table(run: Path, capsys: Capture) -> None:
    for option in ("--csv", "--csv-images"):
        outcome = call(capsys, "report", run, option, "a.csv")
        assert (outcome.code, f"cnnkit eval {run} --csv a.csv" in outcome.err) == (2, True)


def test_a_split_that_does_not_exist_is_refused(run: Path) -> None:
    with pytest.raises(UsageError, match="there is no split 'testing'"):
        cnnkit.open_run(run).evaluate("testing")
