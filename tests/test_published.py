"""Published data sets in formats of their own: read from small files that the tests write in them."""

import hashlib
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.io import savemat
from test_data import idx, mirror
from torch import Tensor

from cnnkit.data.prepare import load_dataset
from cnnkit.errors import DataError
from cnnkit.families.datasets import DATASETS, DatasetInfo, published_names
from cnnkit.families.published_files import Download
from cnnkit.random import generator_for

COUNT = 20  # images of a file


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")


def small(patch: pytest.MonkeyPatch, name: str, **changes: Any) -> DatasetInfo:
    """Registers a data set with as many images as its written files hold."""
    files = DATASETS[name].files
    train = COUNT * sum(part.startswith("train") and not part.endswith("labels") for part in files)
    info = replace(DATASETS[name], train_images=train, test_images=COUNT, **changes)
    patch.setitem(DATASETS._entries, name, info)
    return info


def random_images(shape: tuple[int, int, int], seed: int) -> Tensor:
    generator = generator_for(seed, "published")
    return torch.randint(256, (COUNT, *shape), dtype=torch.uint8, generator=generator)


def labels_of(classes: int, seed: int) -> Tensor:
    return torch.randperm(classes, generator=generator_for(seed, "labels")).repeat(COUNT)[:COUNT]


def write_cifar(info: DatasetInfo, root: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """Each file's images and labels; the coarse class of CIFAR-100 stands before the fine one."""
    folder = root / info.folder
    folder.mkdir(parents=True)
    written = {}
    for seed, (part, file) in enumerate(info.files.items()):
        images, labels = random_images((3, 32, 32), seed), labels_of(info.classes, seed)
        coarse = b"" if info.classes == 10 else b"\x13"
        records = [
            coarse + bytes([label]) + image.numpy().tobytes()
            for image, label in zip(images, labels, strict=True)
        ]
        (folder / file.name).write_bytes(b"".join(records))
        written[part] = images, labels
    return written


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_is_read_as_red_green_and_blue_with_the_fine_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    info = small(monkeypatch, name)
    written = write_cifar(info, tmp_path)
    splits = dict(zip(("train", "test"), load_dataset(name, tmp_path), strict=True))
    for split, found in splits.items():
        parts = [values for part, values in written.items() if part.startswith(split)]
        assert torch.equal(found.images, torch.cat([images for images, _ in parts]))
        assert torch.equal(found.labels, torch.cat([labels for _, labels in parts]))
    assert len(splits["train"]) == (5 * COUNT if name == "cifar10" else COUNT)


def test_a_cut_cifar_file_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = small(monkeypatch, "cifar10")
    write_cifar(info, tmp_path)
    path = tmp_path / info.folder / "data_batch_3.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match="no whole number of images") as refusal:
        load_dataset("cifar10", tmp_path)
    assert str(path) in str(refusal.value)


def test_a_whole_image_that_is_missing_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = small(monkeypatch, "cifar100")
    write_cifar(info, tmp_path)
    path = tmp_path / info.folder / "test.bin"
    path.write_bytes(path.read_bytes()[:-3074])
    with pytest.raises(DataError, match="19 images, not 20"):
        load_dataset("cifar100", tmp_path)


def write_svhn(info: DatasetInfo, root: Path) -> dict[str, tuple[Tensor, Tensor]]:
    (root / info.folder).mkdir(parents=True)
    written = {}
    for seed, (split, file) in enumerate(info.files.items()):
        images, digits = random_images((3, 32, 32), seed), labels_of(10, seed)
        y = torch.where(digits == 0, 10, digits).to(torch.uint8)[:, None]
        content = {"X": images.permute(2, 3, 1, 0).numpy(), "y": y.numpy()}
        savemat(root / info.folder / file.name, content, do_compression=True)
        written[split] = images, digits
    return written


def test_svhn_is_read_upright_and_its_label_ten_is_the_digit_zero(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = write_svhn(small(monkeypatch, "svhn"), tmp_path)
    for (images, digits), found in zip(written.values(), load_dataset("svhn", tmp_path), strict=True):
        assert torch.equal(found.images, images)
        assert torch.equal(found.labels, digits)


@pytest.mark.parametrize("kept", [0, 100, -200])
def test_a_cut_svhn_file_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    info = small(monkeypatch, "svhn")
    write_svhn(info, tmp_path)
    path = tmp_path / info.folder / "train_32x32.mat"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match="bring a good copy") as refusal:
        load_dataset("svhn", tmp_path)
    assert str(path) in str(refusal.value)


@pytest.mark.parametrize("part", ["balanced", "letters", "digits"])
def test_emnist_is_turned_upright_and_its_letters_are_counted_from_zero(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    info = small(monkeypatch, f"emnist-{part}")
    (tmp_path / info.folder).mkdir(parents=True)
    written = []
    for seed, split in enumerate(("train", "test")):
        images, labels = random_images((1, 28, 28), seed)[:, 0], labels_of(info.classes, seed)
        first = 1 if part == "letters" else 0
        for kind, values in (("images", images.mT), ("labels", labels + first)):
            file = tmp_path / info.folder / info.files[f"{split}_{kind}"].name
            file.write_bytes(idx(values.to(torch.uint8).contiguous()))
        written.append((images, labels))
    for (images, labels), found in zip(written, load_dataset(info.name, tmp_path), strict=True):
        assert torch.equal(found.images[:, 0], images)
        assert torch.equal(found.labels, labels)


@pytest.mark.parametrize("part", ["balanced", "letters", "digits", "mnist", "byclass", "bymerge"])
def test_the_classes_and_files_of_emnist_are_those_of_torchvision(part: str) -> None:
    from torchvision.datasets import EMNIST

    info = DATASETS[f"emnist-{part}"]
    names = [name for name in EMNIST.classes_split_dict[part] if name != "N/A"]
    assert list(info.class_names) == names
    reader = EMNIST.__new__(EMNIST)
    reader.root, reader.split = "", part
    for split in ("train", "test"):
        reader.train = split == "train"
        assert Path(reader.images_file) == Path(info.folder) / info.files[f"{split}_images"].name
        assert Path(reader.labels_file) == Path(info.folder) / info.files[f"{split}_labels"].name


def test_the_hundred_fine_classes_of_cifar_are_in_the_order_of_the_alphabet() -> None:
    names = DATASETS["cifar100"].class_names
    assert len(set(names)) == 100
    assert [name.replace(" ", "_") for name in names] == sorted(name.replace(" ", "_") for name in names)


def test_the_checksums_of_svhn_are_those_of_torchvision() -> None:
    from torchvision.datasets import SVHN

    expected = [tuple(SVHN.split_list[split][::2]) for split in ("train", "test")]
    assert [(download.url, download.md5) for download in DATASETS["svhn"].downloads] == expected


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "svhn"])
def test_what_is_fetched_is_checked_and_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    info = small(monkeypatch, name)
    writer = write_svhn if name == "svhn" else write_cifar
    writer(info, tmp_path / "published")
    served = published_as(info, tmp_path / "published", tmp_path / "mirror")
    with mirror(tmp_path / "mirror") as (address, asked):
        downloads = tuple(Download(address + path.name, md5) for path, md5 in served.items())
        small(monkeypatch, name, downloads=downloads)
        train, test = load_dataset(name, tmp_path / "data")
        assert (len(train), len(test)) == (DATASETS[name].train_images, COUNT)
        assert {path.name for path in (tmp_path / "data").iterdir()} == {info.folder}
        assert {name.strip("/") for name in asked} == {path.name for path in served}
        small(monkeypatch, name, downloads=tuple(replace(each, md5="0" * 32) for each in downloads))
        with pytest.raises(DataError, match="could not be fetched"):
            load_dataset(name, tmp_path / "elsewhere")
    assert not list((tmp_path / "elsewhere").rglob("*.bin"))


def published_as(info: DatasetInfo, root: Path, folder: Path) -> dict[Path, str]:
    """Single files, or one archive that holds the folder, and their MD5 sums."""
    folder.mkdir()
    if info.downloads[0].url.endswith(".tar.gz"):
        with tarfile.open(folder / Path(info.downloads[0].url).name, "w:gz") as archive:
            archive.add(root / info.folder, info.folder)
    else:
        for file in info.files.values():
            shutil.copy(root / info.folder / file.name, folder)
    return {
        path: hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() for path in folder.iterdir()
    }


def test_photographs_are_the_data_sets_in_colour() -> None:
    colour = {name for name in published_names() if DATASETS[name].shape[0] == 3}
    assert colour == {name for name in published_names() if DATASETS[name].photographs}
    assert colour == {"cifar10", "cifar100", "svhn"}
