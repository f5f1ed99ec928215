"""A person's own images in folders: what is understood, how it is ordered, and what is refused."""

import os
import socket
import unicodedata
from pathlib import Path

import pytest
from sources import PETS, made, needs_links, refusal, tarred, zipped

from cnnkit.listing import (
    TEST,
    TRAIN,
    VALIDATION,
    list_images,
    reader,
)


def test_class_folders_are_ordered_by_class_and_natural_path(tmp_path: Path) -> None:
    listing = list_images(made(tmp_path, *PETS))
    assert (listing.kind, listing.container) == ("class folders", "folder")
    assert listing.classes == ("cat", "dog", "emu")
    assert listing.paths == PETS
    assert listing.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert listing.splits.tolist() == [TRAIN] * 6
    assert listing.sizes.tolist() == [len(path) for path in PETS]
    assert listing.changed.tolist() == [(tmp_path / path).stat().st_mtime_ns for path in PETS]
    assert listing.groups is None
    assert listing.own_splits == {TRAIN}
    assert not listing.passed_over


def test_each_image_is_read_from_where_it_was_listed(tmp_path: Path) -> None:
    for root in (
        made(tmp_path / "folder", *PETS),
        zipped(tmp_path / "a.zip", *PETS),
        tarred(tmp_path / "a.tar", *reversed(PETS)),
    ):
        listing = list_images(root)
        read = reader(listing)
        assert [bytes(read(i)).decode() for i in range(6)] == list(PETS)


@pytest.mark.parametrize("now", [b"", b"short", b"longer than it was when it was listed"])
def test_a_file_that_has_changed_since_is_read_as_it_is_now(tmp_path: Path, now: bytes) -> None:
    listing = list_images(made(tmp_path, *PETS))
    (tmp_path / listing.paths[1]).write_bytes(now)
    assert reader(listing)(1) == now


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [("train", "val", "test"), ("Training", "valid", "TESTING"), ("train_set", "Validation Set", "test-set")],
)
def test_split_folders_are_known_by_any_usual_name(
    tmp_path: Path, train: str, validation: str, test: str
) -> None:
    made(
        tmp_path, *(f"{split}/{each}/1.jpg" for split in (train, validation, test) for each in ("cat", "dog"))
    )
    listing = list_images(tmp_path, test=0.5)
    assert listing.kind == "split folders"
    assert listing.own_splits == {TRAIN, VALIDATION, TEST}
    assert listing.paths[::2] == (f"{train}/cat/1.jpg", f"{validation}/cat/1.jpg", f"{test}/cat/1.jpg")
    assert listing.splits.tolist() == [0, 0, 1, 1, 2, 2]


def test_a_single_folder_around_the_splits_is_looked_through(tmp_path: Path) -> None:
    made(tmp_path, "pets/train/cat/1.jpg", "pets/train/dog/1.jpg", "pets/test/dog/2.jpg")
    listing = list_images(tmp_path)
    assert listing.kind == "split folders"
    assert listing.own_splits == {TRAIN, TEST}
    assert any("no test images of cat" in words for words in listing.warnings)


def test_a_single_folder_around_classes_is_named(tmp_path: Path) -> None:
    assert "if cat and dog are the classes, name pets" in refusal(
        made(tmp_path, "pets/cat/1.jpg", "pets/dog/1.jpg")
    )


def test_a_folder_named_train_may_be_a_class(tmp_path: Path) -> None:
    assert list_images(made(tmp_path, "train/1.jpg", "car/1.jpg")).classes == ("car", "train")


def test_litter_is_passed_over_and_counted(tmp_path: Path) -> None:
    litter = ("cat/Thumbs.db", "cat/.DS_Store", "__MACOSX/cat/._2.jpg", "desktop.ini", ".git/cat/1.jpg")
    made(tmp_path, *PETS, *litter, "notes.txt", "loose.png")
    listing = list_images(tmp_path)
    assert listing.paths == PETS
    told = {reason: (number, first) for reason, number, first in listing.passed_over}
    assert told["hidden files and system litter"][0] == 5
    assert told["files of other kinds"] == (1, ("notes.txt",))
    assert told["images outside a class folder"] == (1, ("loose.png",))
    assert "loose.png" in listing.warnings[0]


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        ((), "holds no images; images end in .jpg"),
        (("a.txt",), "only files of other kinds (1: a.txt)"),
        (("1.jpg", "2.jpg"), "2 images and no class folders"),
        (("cat/1.jpg",), "one class, cat; training needs two"),
        (("train/1.jpg", "test/1.jpg"), "no class folders there"),
        (("train/cat/1.jpg", "train/dog/1.jpg", "bird/1.jpg"), "split folders (train) and beside them bird"),
        (
            ("val/a/1.jpg", "validation/b/1.jpg", "train/a/1.jpg"),
            "val and validation, which are all for validation",
        ),
        (("test/a/1.jpg", "test/b/1.jpg"), "no training images, only test"),
        (
            ("train/a/1.jpg", "train/b/1.jpg", "test/c/1.jpg"),
            "test images of c, and no training images of it",
        ),
        (("cat/1.jpg", "Cat/2.jpg", "dog/1.jpg"), "differ in case only: Cat (1 image) and cat (1 image)"),
        (("a\x1b[31m/1.jpg", "b/1.jpg"), "'a\\x1b[31m'"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_words(
    tmp_path: Path, paths: tuple[str, ...], words: str
) -> None:
    told = refusal(made(tmp_path, *paths))
    assert words in told
    assert "; " in told  # what is wrong; what to do
    assert "\x1b" not in told


def test_what_is_not_there_is_refused_in_words(tmp_path: Path) -> None:
    for name in ("none", "a\0b", "x" * 5_000):
        assert "is not there; name a folder" in refusal(tmp_path / name) or name.startswith("x")
    assert "is not there" in refusal(Path("~nobody-of-this-name/a"))
    made(tmp_path, "a.tar.gz", "a.npy", "a.txt", "a.zip", "a.tar", "a.npz")
    assert "unpack it" in refusal(tmp_path / "a.tar.gz")
    assert "one array of a pair" in refusal(tmp_path / "a.npy")
    assert "no source of images that is known" in refusal(tmp_path / "a.txt")
    for damaged in ("a.zip", "a.tar", "a.npz"):
        assert "cannot be read as" in refusal(tmp_path / damaged)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_pipe_is_never_opened(tmp_path: Path) -> None:
    made(tmp_path, *PETS)
    os.mkfifo(tmp_path / "cat/3.jpg")
    os.mkfifo(tmp_path / "images.csv")
    assert list_images(tmp_path).paths == PETS
    assert "neither a file nor a folder" in refusal(tmp_path / "images.csv")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fspath(tmp_path / "s.jpg"))
        assert list_images(tmp_path).paths == PETS


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    made(tmp_path, *PETS)
    (tmp_path / "dog").chmod(0)
    try:
        assert "dog cannot be read: Permission denied" in refusal(tmp_path)
    finally:
        (tmp_path / "dog").chmod(0o700)


def test_more_classes_than_can_be_trained_are_counted(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    made(tmp_path, *(f"{i}.jpg" for i in range(1001)))
    table.write_text("path,label\n" + "".join(f"{i}.jpg,c{i}\n" for i in range(1001)))
    assert "1,001 classes; at most 1,000" in refusal(table)


def test_folders_without_images_and_empty_files_are_told(tmp_path: Path) -> None:
    made(tmp_path, *PETS)
    (tmp_path / "fox").mkdir()
    (tmp_path / "cat/2.jpg").write_bytes(b"")
    listing = list_images(tmp_path)
    assert listing.classes == ("cat", "dog", "emu")
    assert listing.warnings == (
        "1 folder without an image: fox.",
        "1 file of 0 bytes (cat/2.jpg) cannot be an image.",
    )


@needs_links
def test_links_are_followed_inside_and_end_where_they_go_round(tmp_path: Path) -> None:
    root = made(tmp_path / "root", "pool/1.jpg", "pool/2.jpg", "cat/3.jpg")
    made(tmp_path, "secret/4.jpg")
    (root / "cat/1.jpg").symlink_to("../pool/1.jpg")
    (root / "emu").symlink_to("pool")
    (root / "cat/round").symlink_to("..")
    (root / "cat/self.jpg").symlink_to("self.jpg")
    (root / "cat/4.jpg").symlink_to(tmp_path / "secret/4.jpg")
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "cat/5.jpg").symlink_to("gone.jpg")
    listing = list_images(root)
    assert listing.paths == ("cat/1.jpg", "cat/3.jpg", "emu/1.jpg", "emu/2.jpg", "pool/1.jpg", "pool/2.jpg")
    told = {reason: set(first) for reason, _, first in listing.passed_over}
    assert told["links that leave the folder"] == {"cat/4.jpg", "out"}
    assert told["links back to a folder around them"] == {"cat/round"}
    assert told["links to no file"] == {"cat/5.jpg", "cat/self.jpg"}
    (tmp_path / "name").symlink_to(root)
    assert list_images(tmp_path / "name").fingerprint == listing.fingerprint


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (("10", "9", "1"), ("1", "9", "10")),
        (("-1", "10", "2", "-10"), ("-10", "-1", "2", "10")),
        (("Maße", "Masse"), ("Masse", "Maße")),
        (("b10", "B2", "a"), ("a", "B2", "b10")),
        (("犬", "猫", "été"), None),
    ],
)
def test_classes_are_ordered_naturally(
    tmp_path: Path, names: tuple[str, ...], classes: tuple[str, ...] | None
) -> None:
    listing = list_images(made(tmp_path, *(f"{name}/1.jpg" for name in names)))
    assert listing.classes == (classes or tuple(sorted(names)))
    assert [listing.classes[label] for label in listing.labels] == [
        path.split("/")[0] for path in listing.paths
    ]


def test_two_unicode_forms_of_a_name_are_one_class(tmp_path: Path) -> None:
    forms = [unicodedata.normalize(form, "café") for form in ("NFC", "NFD")]
    listing = list_images(
        zipped(tmp_path / "a.zip", f"train/{forms[0]}/1.jpg", f"train/{forms[1]}/2.jpg", "train/b/3.jpg")
    )
    assert listing.classes == ("b", forms[0])
    assert listing.labels.tolist() == [0, 1, 1]
    assert "written in 2 ways" in listing.warnings[0]


def test_a_class_with_one_image_is_told(tmp_path: Path) -> None:
    listing = list_images(made(tmp_path, "a/1.jpg", "b/1.jpg", "b/2.jpg"))
    assert listing.warnings == ("There is one training image only of a.",)


def test_a_copy_has_the_same_fingerprint_and_a_touched_file_another_stamp(tmp_path: Path) -> None:
    first, second = (made(tmp_path / name, *PETS) for name in ("a", "b"))
    os.utime(second / "cat/2.jpg", ns=(1, 1))
    before, copy = list_images(first), list_images(second)
    assert before.fingerprint == copy.fingerprint
    assert before.stamp != copy.stamp
    assert before.stamp == list_images(first).stamp
    changes = {"size": ("cat/2.jpg", "longer than before"), "path": ("cat/7.jpg", "cat/7.jpg")}
    for path, content in changes.values():
        (second / path).write_text(content)
        after = list_images(second)
        assert after.fingerprint != copy.fingerprint
        copy = after
    (second / "cat").rename(second / "lion")
    assert list_images(second).fingerprint != copy.fingerprint
