"""`predict` of folders and globs, and the tables that list each image."""

import csv
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from support import call, finished_run

import cnnkit
from cnnkit.cli.predict import FEW
from cnnkit.data.named_files import image_files
from cnnkit.data.prepare import load_dataset
from cnnkit.errors import ImageError, UsageError
from cnnkit.tables import Column, Table, columns_after

Capture = pytest.CaptureFixture[str]
IMAGES = 30


@pytest.fixture(scope="module")
def run(shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, for every test to read."""
    return finished_run(tmp_path_factory.mktemp("finished") / "run", shared_cache)


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """A folder with 30 digits as the data set has them, in a folder for each class."""
    _, test = load_dataset("digits", tmp_path)
    for number in range(IMAGES):
        path = tmp_path / "digits" / str(int(test.labels[number])) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(test.images[number, 0].numpy()).save(path)
    return tmp_path / "digits"


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_folder_is_all_image_files_below_it_in_natural_order(tmp_path: Path) -> None:
    for name in (
        "b/10.png",
        "b/2.JPG",
        "a/x.webp",
        "a/notes.txt",
        ".hidden/1.png",
        "b/Thumbs.db",
        "b/.1.png",
    ):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = [path.relative_to(tmp_path / "photos").as_posix() for path in image_files(tmp_path / "photos")]
    assert found == ["a/x.webp", "b/2.JPG", "b/10.png"]


def test_files_of_other_kinds_in_a_folder_are_counted(run: Path, digits: Path, capsys: Capture) -> None:
    (digits / "0" / "clip.mp4").touch()
    (digits / "labels.csv").touch()
    outcome = call(capsys, "predict", run, digits)
    assert "Passed over: files of other kinds: 2 (" in outcome.err
    assert "clip.mp4" in outcome.err


def test_a_glob_names_what_it_matches_once_and_a_file_that_is_called_like_one_is_that_file(
    tmp_path: Path,
) -> None:
    for name in ("a/1.png", "a/10.png", "a/2.png", "b/c/3.png", "[ab].png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    glob = [path.relative_to(tmp_path).as_posix() for path in image_files(tmp_path / "a/*.png")]
    assert glob == ["a/1.png", "a/2.png", "a/10.png"]
    assert len(image_files(tmp_path / "**/*.png")) == 5
    assert image_files(tmp_path / "[ab]") == image_files(tmp_path / "a") + image_files(tmp_path / "b")
    assert image_files(tmp_path / "[ab].png") == [tmp_path / "[ab].png"]
    with pytest.raises(ImageError, match="matches no file"):
        image_files(tmp_path / "z*.png")


def test_many_images_are_answered_as_each_alone(run: Path, digits: Path) -> None:
    opened = cnnkit.open_run(run)
    together = opened.predict(digits)
    assert [one.path for one in together] == image_files(digits)
    for of_folder in together:
        assert of_folder.path is not None
        (alone,) = opened.predict(of_folder.path)
        assert of_folder.classes == alone.classes
        assert of_folder.probabilities == pytest.approx(alone.probabilities, abs=1e-6)
        assert torch.equal(of_folder.seen, alone.seen)
    assert len(opened.predict(str(digits / "*" / "1?.png"))) == 10


def test_the_csv_lists_every_image_with_the_probability_of_every_class(
    run: Path, digits: Path, tmp_path: Path, capsys: Capture
) -> None:
    (digits / "3" / "bad.png").write_text("no image")
    outcome = call(capsys, "predict", run, digits, tmp_path / "none" / "*.png", "--csv", tmp_path / "a.csv")
    rows = read(tmp_path / "a.csv")
    assert outcome.code == 1
    assert outcome.err.count("error: ") == 2
    assert list(rows[0]) == ["path", "answer", "confidence", *"0123456789"]
    good = [row for row in rows if row["answer"]]
    assert [row["path"] for row in good] == [str(p) for p in image_files(digits) if p.name != "bad.png"]
    failed = [row["path"] for row in rows if not row["answer"]]
    assert failed == [str(digits / "3" / "bad.png"), str(tmp_path / "none" / "*.png")]
    for row, prediction in zip(
        good, cnnkit.open_run(run).predict([row["path"] for row in good]), strict=True
    ):
        shares = [float(row[name]) for name in "0123456789"]
        assert row["answer"] == prediction.best == "0123456789"[shares.index(max(shares))]
        assert float(row["confidence"]) == max(shares)
        assert sum(shares) == pytest.approx(1, abs=1e-5)


def test_of_many_images_the_answers_are_counted_and_of_few_each_has_a_line(
    run: Path, digits: Path, tmp_path: Path, capsys: Capture
) -> None:
    many = call(capsys, "predict", run, digits)
    answers = [prediction.best for prediction in cnnkit.open_run(run).predict(digits)]
    assert FEW < IMAGES == len(answers)
    assert ".png" not in many.out
    counts = {line.split()[0]: line.split()[1] for line in many.out.splitlines() if line[1:2].isdigit()}
    assert counts == {name: str(answers.count(name)) for name in set(answers)}
    few = call(capsys, "predict", run, digits / "*" / "1?.png")
    assert few.out.count(".png") == 10
    told = json.loads(call(capsys, "predict", run, digits, "--json", "--csv", tmp_path / "b.csv").out)
    assert [row["top"][0]["class"] for row in told["predictions"]] == answers
    assert told["csv"] == str(tmp_path / "b.csv")
    refused = call(capsys, "predict", run, digits, "--top", 2)
    assert (refused.code, refused.out) == (2, "")
    assert "--top 2 cannot act: of more than 20 images" in " ".join(refused.err.split())
    told = json.loads(call(capsys, "predict", run, digits, "--top", 2, "--json").out)
    assert {len(row["top"]) for row in told["predictions"]} == {2}


def test_a_folder_that_is_named_first_is_a_run_only_if_it_holds_one(
    run: Path, digits: Path, capsys: Capture
) -> None:
    assert "there is no run" in call(capsys, "predict", digits).err  # and no latest one
    assert "name image files" in call(capsys, "predict", run).err
    (digits.parent / "empty").mkdir()
    assert "is no run directory" in call(capsys, "predict", "empty", digits).err
    assert "holds no image file" in call(capsys, "predict", run, "empty").err


def test_no_table_replaces_a_file(run: Path, digits: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "kept.csv").write_text("mine")
    for line in (("predict", run, digits), ("eval", run), ("report", run)):
        outcome = call(capsys, *line, "--csv", tmp_path / "kept.csv")
        assert (outcome.code, "is there already" in outcome.err) == (2, True)
    assert (tmp_path / "kept.csv").read_text() == "mine"


def written(path: Path, columns: Sequence[Column], *rows: Sequence[Any]) -> Path:
    Table(columns, rows).write(path)
    return path


@pytest.mark.parametrize(
    "name", ["a,b", 'a"b', "a\nb", "=1+1", "+1", "-1", "@a", "猫", "a\r\nb", " a ", "1.5", ""]
)
def test_a_csv_gives_back_every_text_and_quotes_it(name: str, tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", [Column("image", str), Column("share", float)], (name, 0.25))
    raw = path.read_bytes().decode("utf-8")
    assert raw.startswith('"image","share"\n"')
    assert raw.endswith('",0.25\n')
    assert read(path) == [{"image": name, "share": "0.25"}]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows takes no such names")
def test_a_name_that_is_not_utf_8_is_spelled_out(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", [Column("image", str)], (os.fsdecode(b"a\xff"),))
    assert read(path) == [{"image": "a\\udcff"}]


def test_a_table_that_fails_leaves_no_file(tmp_path: Path) -> None:
    rows = ((1 // number,) for number in (1, 0))
    with pytest.raises(ZeroDivisionError):
        Table([Column("a", int)], rows).write(tmp_path / "a.csv")
    assert list(tmp_path.iterdir()) == []


def test_every_column_has_a_name_of_its_own() -> None:
    columns = columns_after([Column("image", str)], ["cat", "image", "image (2)"], int)
    assert [column.name for column in columns] == ["image", "cat", "image (2)", "image (2) (2)"]


def test_parquet_is_refused_in_words_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UsageError, match="pip install pyarrow"):
        written(tmp_path / "a.parquet", [Column("a", int)], (1,))
    assert list(tmp_path.iterdir()) == []


def test_parquet_gives_back_every_cell_with_its_type(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = [Column("image", str), Column("seeds", int), Column("share", float)]
    rows = [("=1\n2", 3, 0.1), ("猫", None, None), *[(str(i), i, i / 7) for i in range(10_001)]]
    table = parquet.read_table(written(tmp_path / "a.parquet", columns, *rows))
    assert [str(field.type) for field in table.schema] == ["string", "int64", "double"]
    assert table.to_pylist() == [dict(zip(("image", "seeds", "share"), row, strict=True)) for row in rows]
