"""Tables of images: what is understood however it is written, and what is wrong, by line."""

import os
import unicodedata
from pathlib import Path

import pytest
from sources import PETS, made, refusal

from cnnkit.listing import (
    TEST,
    TRAIN,
    list_images,
    reader,
)


def a_table(folder: Path, text: str | bytes, name: str = "labels.csv") -> Path:
    made(folder, "images/1.jpg", "images/2.jpg", "images/3.jpg", "images/4.jpg")
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / name


ROWS = (("images/1.jpg", "cat", "train"), ("images/2.jpg", "dog", "train"), ("images/3.jpg", "cat", "Test"))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", "\t", ";", ", "])
@pytest.mark.parametrize(
    "header", [("path", "label", "split"), ("File Name", "CLASS", "set"), ("image", "target", "subset")]
)
def test_a_table_is_understood_however_it_is_written(
    tmp_path: Path, end: str, delimiter: str, header: tuple[str, ...]
) -> None:
    text = "\ufeff" + end.join(delimiter.join(f'"{cell}"' for cell in cells) for cells in (header, *ROWS))
    table = a_table(tmp_path, text + end + end)
    for root in (table, tmp_path):
        listing = list_images(root)
        assert listing.kind == "table"
        assert listing.paths == ("images/1.jpg", "images/2.jpg", "images/3.jpg")
        assert listing.labels.tolist() == [0, 1, 0]
        assert listing.splits.tolist() == [TRAIN, TRAIN, TEST]
        assert listing.own_splits == {TRAIN, TEST}
        assert bytes(reader(listing)(2)).decode() == "images/3.jpg"
    assert ("images that the table does not name", 1, ("images/4.jpg",)) in listing.passed_over


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name_of_it,label\na,b\n", "line 1 (name_of_it,label) names no column of paths; call it path"),
        ("path,colour\na,b\n", "names no column of labels; call it label"),
        ("", "line 1 (empty) names no column of paths"),
        ("path,path,label\na,b,c\n", "2 columns path"),
        (
            "path,label\nimages/1.jpg,cat\n\nimages/2.jpg\n",
            "lines are wrong (1): line 4 has 1 cell, line 1 2",
        ),
        ('path,label,x\nimages/1.jpg,cat,"a\nb"\nimages/2.jpg\n', "line 4 has 1 cell, line 1 3"),
        ("path,label\nimages/1.jpg,cat,7\n", "line 2 has 3 cells, line 1 2"),
        ("path,label\nimages/1.jpg, \n", "line 2 gives images/1.jpg no label"),
        ("path,label\n,cat\n", "line 2 names no file"),
        ("path,label,group\nimages/1.jpg,cat,\n", "line 2 gives images/1.jpg no group"),
        ("path,label,split\nimages/1.jpg,cat,extra\n", "line 2 has the split extra (known: train"),
        ("path,label\nimages/1.txt,cat\n", "line 2 names images/1.txt, no image by its ending"),
        ("path,label\nimages/1.jpg,cat\nimages/1.jpg,dog\n", "line 3 contradicts line 2 about images/1.jpg"),
        ("path,label\nimages,cat\nimages/1.jpg,dog", "no image by its ending"),
        ("path,label\n\x1b[2J.jpg,cat\n", "line 2 \\x1b[2J.jpg"),
        ("path,label\n" + "".join(f"no/{i}.jpg,c\n" for i in range(30)), "no/9.jpg and 20 more"),
        ('path,label,note\nimages/1.jpg,cat,"x\nimages/2.jpg,dog,y\n', "line 2 cannot be read"),
        (b"\xff\xfep\0a\0", "is in UTF-16; save it as UTF-8"),
        (b"path,label\na.jpg,b\na.jpg,\xe9t\xe9\n", "not in UTF-8, see line 3"),
        (b"path,label\na\0.jpg,b\n", "a zero byte in line 2"),
        ("path,label," + "a," * 200_000 + "\n", "200,003 columns; 1,000 are the most"),
        ("a" * 2_000_000, "line 1 has 2,000,000 characters"),
        ("a" * 200_000 + ",label\n", "names no column of paths"),
        ('path,label\nimages/1.jpg,"cat\n' + "x" * 200_000, "line 2 cannot be read"),
    ],
)
def test_a_wrong_table_is_told_with_its_lines(tmp_path: Path, text: str | bytes, words: str) -> None:
    table = a_table(tmp_path, text)
    for root in (table, tmp_path):
        told = refusal(root)
        assert words in told
        assert len(told) < 2_000
        assert "\x1b" not in told


def test_missing_files_are_told_with_where_the_first_one_lies(tmp_path: Path) -> None:
    a_table(tmp_path, "path,label\nimages/1.jpg,a\n2.jpg,cat\n3.jpg,cat\n")
    words = (
        "files are missing (2): line 3 2.jpg, line 4 3.jpg; paths begin at the table's folder: images/2.jpg"
    )
    for root in (tmp_path, tmp_path / "labels.csv"):
        assert words in refusal(root)


def test_groups_and_what_they_share_are_told(tmp_path: Path) -> None:
    text = "path,label,split,patient\n"
    rows = (
        ("1", "cat", "train", "p10"),
        ("2", "dog", "train", "p9"),
        ("3", "cat", "test", "p10"),
        ("4", "dog", "test", "p1"),
    )
    listing = list_images(
        a_table(tmp_path, text + "".join(f"images/{a}.jpg,{b},{c},{d}\n" for a, b, c, d in rows))
    )
    assert listing.groups is not None
    assert listing.groups.tolist() == [2, 1, 2, 0]
    assert any("1 group with images in more than one split (p10)" in words for words in listing.warnings)


def test_a_table_may_name_a_file_elsewhere_and_in_another_unicode_form(tmp_path: Path) -> None:
    made(tmp_path, "far/9.jpg", f"here/{unicodedata.normalize('NFD', 'é')}.jpg", "here/1.jpg")
    table = tmp_path / "here/t.tsv"
    inside = tmp_path / "here/1.jpg"
    table.write_text(f"path\tlabel\n../far/9.jpg\ta\né.jpg\tb\n{inside}\tb\n", encoding="utf-8")
    listing = list_images(table)
    assert set(listing.paths) == {
        os.fspath(tmp_path / "far/9.jpg"),
        unicodedata.normalize("NFD", "é.jpg"),
        "1.jpg",
    }
    assert bytes(reader(listing)(0)).decode() == "far/9.jpg"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_pipe_that_a_table_names_is_missing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "1.jpg")
    assert "line 2 1.jpg" in refusal(a_table(tmp_path, "path,label\n1.jpg,a\n"))


def test_backslashes_lead_into_folders(tmp_path: Path) -> None:
    listing = list_images(a_table(tmp_path, "path,label\nimages\\1.jpg,a\nimages\\2.jpg,b\n"))
    assert listing.paths == ("images/1.jpg", "images/2.jpg")


def test_an_image_that_is_named_twice_counts_once(tmp_path: Path) -> None:
    listing = list_images(a_table(tmp_path, "path,label\nimages/1.jpg,a\n./images/1.jpg,a\nimages/2.jpg,b\n"))
    assert listing.paths == ("images/1.jpg", "images/2.jpg")
    assert "1 line" in listing.warnings[0]


def test_a_table_of_something_else_leaves_the_class_folders(tmp_path: Path) -> None:
    made(tmp_path, *PETS)
    (tmp_path / "prices.csv").write_text("what,price\ncat,3\n")
    listing = list_images(tmp_path)
    assert listing.kind == "class folders"
    assert "not by a table" in listing.warnings[0]
    (tmp_path / "more.csv").write_text("path,label\n")
    assert "2 tables, prices.csv and more.csv" in list_images(tmp_path).warnings[0].replace(
        "more.csv and prices.csv", "prices.csv and more.csv"
    )


def test_of_two_tables_beside_images_none_is_guessed(tmp_path: Path) -> None:
    a_table(tmp_path, "path,label\nimages/1.jpg,a\n", "a.csv")
    a_table(tmp_path, "path,label\nimages/1.jpg,a\n", "b.csv")
    assert "2 tables" in refusal(tmp_path)
