"""Archives and arrays: read where they lie, refused where they lead out or claim what they have not."""

import io
import os
import stat
import tarfile
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sources import PETS, link, refusal, tarred, zipped

from cnnkit.errors import SourceError
from cnnkit.listing import (
    TEST,
    TRAIN,
    VALIDATION,
    list_images,
    reader,
)


def test_an_archive_holds_what_a_folder_holds(tmp_path: Path) -> None:
    paths = [f"pets/{path}" for path in PETS]
    litter = ("__MACOSX/pets/cat/._2.jpg", "pets/.DS_Store")
    found = [
        list_images(zipped(tmp_path / "a.zip", *paths, *litter)),
        list_images(tarred(tmp_path / "a.tar", *paths, *litter)),
    ]
    for listing in found:
        assert listing.kind == "class folders"
        assert listing.paths == tuple(paths)
        assert not listing.changed.any()
        assert listing.passed_over[0][1] == 2
    assert [listing.container for listing in found] == ["zip", "tar"]
    assert found[0].fingerprint == found[1].fingerprint
    os.utime(tmp_path / "a.zip", ns=(1, 1))
    assert list_images(tmp_path / "a.zip").stamp != found[0].stamp


def test_a_table_in_an_archive_is_read(tmp_path: Path) -> None:
    text = {"d/labels.csv": "path,label\ni/.1.jpg,a\ni/2.jpg,b\n"}
    listing = list_images(zipped(tmp_path / "a.zip", "d/i/.1.jpg", "d/i/2.jpg", text=text))
    assert listing.paths == ("d/i/.1.jpg", "d/i/2.jpg")
    assert [bytes(reader(listing)(i)).decode() for i in (0, 1)] == list(listing.paths)
    for out in ("../../x.jpg", "/etc/x.jpg", "/i/1.jpg"):
        text = {"labels.csv": f"path,label\n{out},a\n"}
        assert f"line 2 {out}" in refusal(zipped(tmp_path / "b.zip", "i/1.jpg", text=text))


def test_arrays_in_an_archive_are_told_to_be_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("deep/images.npy", b"")
    assert "holds arrays, deep/images.npy, which" in refusal(tmp_path / "a.zip")


@pytest.mark.parametrize(
    "name", ["../a/1.jpg", "/a/1.jpg", "a/../../1.jpg", "C:\\a\\1.jpg", "a\\..\\..\\1.jpg"]
)
def test_a_member_that_leads_out_of_its_archive_is_refused(tmp_path: Path, name: str) -> None:
    for root in (zipped(tmp_path / "a.zip", *PETS, name), tarred(tmp_path / "a.tar", *PETS, name)):
        assert "leads out of it" in refusal(root)


def test_a_zero_byte_in_a_name_is_refused(tmp_path: Path) -> None:
    root = zipped(tmp_path / "a.zip", *PETS, "cat/x@jpg")
    root.write_bytes(root.read_bytes().replace(b"cat/x@jpg", b"cat/x\0jpg"))
    assert "cat/x\\x00jpg leads out" in refusal(root)


def test_links_in_a_tar_are_followed_inside_only(tmp_path: Path) -> None:
    inside = [
        link("emu/c.jpg", "../cat/2.jpg"),
        link("emu/d.jpg", "cat/10.JPG", tarfile.LNKTYPE),
        link("cat/e.jpg", "e.jpg"),
    ]
    listing = list_images(tarred(tmp_path / "a.tar", *PETS, *inside))
    read = reader(listing)
    assert [bytes(read(listing.paths.index(path))).decode() for path in ("emu/c.jpg", "emu/d.jpg")] == list(
        PETS[:2]
    )
    assert listing.passed_over == (("links to no file", 1, ("cat/e.jpg",)),)
    for bad in (
        link("cat/o.jpg", "/etc/passwd"),
        link("cat/o.jpg", "../../x"),
        link("o.jpg", "../x", tarfile.LNKTYPE),
    ):
        assert "is refused" in refusal(tarred(tmp_path / "b.tar", *PETS, bad))
    for device in (tarfile.CHRTYPE, tarfile.FIFOTYPE):
        assert "neither a whole file nor a folder" in refusal(
            tarred(tmp_path / "c.tar", *PETS, link("cat/o.jpg", "", device))
        )


def test_links_in_a_zip_are_followed_inside_only(tmp_path: Path) -> None:
    for target, good in (("../cat/2.jpg", True), ("../../etc/passwd", False)):
        root = zipped(tmp_path / "a.zip", *PETS)
        with zipfile.ZipFile(root, "a") as archive:
            info = zipfile.ZipInfo("dog/link.jpg")
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, target)
        if good:
            listing = list_images(root)
            assert bytes(reader(listing)(listing.paths.index("dog/link.jpg"))) == b"cat/2.jpg"
        else:
            assert "is a link out of it" in refusal(root)


def test_a_bomb_is_refused_by_its_declared_size(tmp_path: Path) -> None:
    root = zipped(tmp_path / "a.zip", *PETS, text={"cat/bomb.jpg": "x" * 1_234_567})
    declared = (1_234_567).to_bytes(4, "little")
    root.write_bytes(root.read_bytes().replace(declared, (3_000_000_000).to_bytes(4, "little")))
    assert "cat/bomb.jpg would be 3,000,000,000 bytes unpacked" in refusal(root)


def test_a_tar_that_ends_after_any_of_its_files_or_headers_is_refused(tmp_path: Path) -> None:
    root = tarred(tmp_path / "a.tar", *PETS)
    whole = root.read_bytes()
    with tarfile.open(root) as archive:
        ends = [info.offset_data + tarfile.BLOCKSIZE * (info.size > 0) for info in archive]
    for end in [*ends, *(end + 100 for end in ends[:-1])]:
        root.write_bytes(whole[:end])
        assert "copy or download it again" in refusal(root)
    root.write_bytes(whole[: ends[2]] + b"x" * tarfile.BLOCKSIZE + whole[ends[2] :])
    assert "no end mark" in refusal(root)
    root.write_bytes(whole[: ends[-1] + 2 * tarfile.BLOCKSIZE])
    assert sorted(list_images(root).paths) == sorted(PETS)


def test_an_archive_that_is_cut_short_or_locked_is_refused(tmp_path: Path) -> None:
    for root in (zipped(tmp_path / "a.zip", *PETS), tarred(tmp_path / "a.tar", *PETS)):
        whole = root.read_bytes()
        for kept in range(0, len(whole), max(1, len(whole) // 40)):
            root.write_bytes(whole[:kept])
            with suppress(SourceError):
                assert tuple(sorted(list_images(root).paths)) == tuple(sorted(PETS))
    locked = zipped(tmp_path / "b.zip", *PETS)
    content = bytearray(locked.read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 8] |= 1
    locked.write_bytes(content)
    assert "locked with a password" in refusal(locked)


def test_a_zip_whose_image_is_damaged_fails_when_it_is_read(tmp_path: Path) -> None:
    root = zipped(tmp_path / "a.zip", *PETS)
    listing = list_images(root)
    data = root.read_bytes()
    at = data.index(b"cat/2.jpg") + len("cat/2.jpg")
    root.write_bytes(data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :])
    with pytest.raises(OSError, match=r"cat/2\.jpg in"):
        reader(listing)(0)


def test_a_damaged_table_in_a_zip_is_told(tmp_path: Path) -> None:
    root = zipped(tmp_path / "a.zip", *PETS, text={"t.csv": "path,label\n"})
    data = root.read_bytes()
    at = data.index(b"t.csv") + len("t.csv")
    root.write_bytes(data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :])
    assert "a.zip cannot be read: Error -3" in refusal(root)


def test_names_without_the_utf_8_mark_are_read_as_utf_8(tmp_path: Path) -> None:
    root = zipped(tmp_path / "a.zip", "猫/1.jpg", "犬/1.jpg")
    content = bytearray(root.read_bytes())
    for mark, place in ((b"PK\x03\x04", 7), (b"PK\x01\x02", 9)):
        at = -1
        while (at := content.find(mark, at + 1)) >= 0:
            content[at + place] &= ~8
    root.write_bytes(content)
    listing = list_images(root)
    assert set(listing.classes) == {"猫", "犬"}
    assert bytes(reader(listing)(0)).decode() == listing.paths[0]


def pixels(number: int = 6) -> Any:
    return np.arange(number * 12, dtype=np.uint8).reshape(number, 2, 2, 3)


LABELS = np.array([1, 0, 1, 0, 2, 2])


@pytest.mark.parametrize(
    ("images", "labels"),
    [("x", "y"), ("images", "labels"), ("X_train", "y_train"), ("train_images", "train_labels")],
)
def test_a_pair_of_arrays_is_found_by_its_names(tmp_path: Path, images: str, labels: str) -> None:
    np.savez(tmp_path / "a.npz", **{images: pixels(), labels: LABELS})
    (tmp_path / "b").mkdir()
    np.save(tmp_path / "b" / f"{images}.npy", pixels())
    np.save(tmp_path / "b" / f"{labels}.npy", LABELS[:, None])
    for root in (tmp_path / "a.npz", tmp_path / "b"):
        listing = list_images(root)
        assert (listing.kind, listing.container) == ("arrays", "arrays")
        assert listing.paths == tuple(f"{images}[{i}]" for i in (1, 3, 0, 2, 4, 5))
        assert listing.classes == ("0", "1", "2")
        assert listing.sizes.tolist() == [12] * 6
        read = reader(listing)
        assert all(np.array_equal(read(at), pixels()[i]) for at, i in enumerate((1, 3, 0, 2, 4, 5)))


def test_arrays_of_each_split_and_names_of_classes_are_found(tmp_path: Path) -> None:
    grey = pixels()[..., 0]
    np.savez_compressed(
        tmp_path / "a.npz",
        **{f"{split}_images": grey for split in ("train", "val", "test")},
        **{f"{split}_labels": LABELS for split in ("train", "val", "test")},
        class_names=np.array(["zebra", "ant", "cow", "fox"]),
    )
    listing = list_images(tmp_path / "a.npz")
    assert listing.own_splits == {TRAIN, VALIDATION, TEST}
    assert listing.classes == ("zebra", "ant", "cow", "fox")
    assert np.bincount(listing.labels).tolist() == [6, 6, 6]
    assert any("no images of fox" in words for words in listing.warnings)
    assert np.asarray(reader(listing)(0)).shape == (2, 2)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"images": pixels()}, "has images for the train images and no array for their labels"),
        ({"images": pixels(), "x": pixels(), "y": LABELS}, "expected one of each"),
        ({"a": pixels()}, "no pair for training"),
        ({"x": pixels(), "y": LABELS[:5]}, "y has the shape (5,), expected (6,)"),
        ({"x": pixels() / 255, "y": LABELS}, "x is float64; save it as uint8"),
        ({"x": np.moveaxis(pixels(), 3, 1), "y": LABELS}, "move the channels last"),
        ({"x": pixels(), "y": LABELS / 2}, "y is float64; expected whole numbers"),
        ({"x": pixels(), "y": np.array([None] * 6)}, "Python objects, which are never loaded"),
        (
            {"x": pixels(), "y": LABELS, "class_names": np.array(["a", "b"])},
            "names 2 classes; the labels go up to 2",
        ),
        ({"x": pixels(), "y": LABELS, "class_names": np.array(["a", "a", "b"])}, "two classes one name"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_in_words(
    tmp_path: Path, arrays: dict[str, Any], words: str
) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    assert words in refusal(tmp_path / "a.npz")


def test_an_array_that_claims_more_than_it_has_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=pixels())
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"shape": (10**12,), "fortran_order": False, "descr": "|u1"})
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as archive:
        archive.writestr("y.npy", header.getvalue())
    assert "it needs 1,000,000,000,128 bytes and has 128" in refusal(tmp_path / "a.npz")
    np.save(tmp_path / "images.npy", pixels())
    np.save(tmp_path / "labels.npy", LABELS)
    (tmp_path / "a.npz").unlink()
    whole = (tmp_path / "images.npy").read_bytes()
    (tmp_path / "images.npy").write_bytes(whole[:-1])
    assert "it needs 200 bytes and has 199" in refusal(tmp_path)
