"""Data: read as it was written, refused where it is damaged, prepared once, split by the seed."""

import errno
import gzip
import hashlib
import json
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.synchronize import Barrier
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support import PROCESSES, exit_code, info, start
from torch import Tensor

from cnnkit.config.images import DataConfig
from cnnkit.data.dataset import ImageDataset, pixel_statistics
from cnnkit.data.idx import read_idx
from cnnkit.data.prepare import load_dataset, load_splits
from cnnkit.data.sources import data_root
from cnnkit.data.splits import redrawn_test_and_rest, split_stratified
from cnnkit.errors import DataError
from cnnkit.events import Event, Note
from cnnkit.families.datasets import DATASETS, DatasetInfo, published_names
from cnnkit.families.published_files import PublishedFile
from cnnkit.random import generator_for
from cnnkit.tensor_files import fingerprint

TRAIN, TEST = 40, 20
FASHION, QMNIST = "fashion-mnist", "qmnist"
FOLDERS = {name: DATASETS[name].folder for name in (FASHION, QMNIST)}
MNIST_TRAIN_IMAGES = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]  # of the digits 0 … 9
MNIST_TEST_IMAGES = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]

Parts = dict[str, Tensor]


def idx(values: Tensor) -> bytes:
    """The IDX file of a tensor, as the format's description has it."""
    kind = {torch.uint8: 0x08, torch.int32: 0x0C}[values.dtype]
    head = struct.pack(f">HBB{values.dim()}I", 0, kind, values.dim(), *values.shape)
    array = values.numpy()
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


def random_parts(name: str = FASHION, seed: int = 0) -> Parts:
    generator = generator_for(seed, "synthetic")
    parts = {}
    for split, count in (("train", TRAIN), ("test", TEST)):
        parts[f"{split}_images"] = torch.randint(256, (count, 28, 28), dtype=torch.uint8, generator=generator)
        labels = torch.arange(count) % 10
        if name == QMNIST:
            columns = torch.randint(-(2**31), 2**31, (count, 8), generator=generator)
            columns[:, 0] = labels
            parts[f"{split}_labels"] = columns.int()
        else:
            parts[f"{split}_labels"] = labels.to(torch.uint8)
    return parts


def path_of(root: Path, part: str, name: str = FASHION, packed: bool = False) -> Path:
    return root / FOLDERS[name] / (DATASETS[name].files[part].name + (".gz" if packed else ""))


def write_parts(root: Path, parts: Parts, name: str = FASHION, packed: bool = False) -> Path:
    for part, values in parts.items():
        path = path_of(root, part, name, packed)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(idx(values)) if packed else idx(values))
    return root


def make_small(patch: Callable[[Any, str, Any], None]) -> None:
    for name in (FASHION, QMNIST):
        patch(DATASETS._entries, name, replace(DATASETS[name], train_images=TRAIN, test_images=TEST))


@pytest.fixture(autouse=True)
def small_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    make_small(monkeypatch.setitem)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder that no other test fills."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture
def root(tmp_path: Path, cache: Path) -> Path:
    return write_parts(tmp_path / "data", random_parts())


def load(root: Path, name: str = FASHION) -> tuple[ImageDataset, ImageDataset, list[str]]:
    """(train, test, the sentences it told)."""
    told: list[Event] = []
    train, test = load_dataset(name, root, told.append)
    return train, test, [event.text for event in told if isinstance(event, Note)]


def agrees(train: ImageDataset, test: ImageDataset, parts: Parts) -> bool:
    return all(
        torch.equal(found.images[:, 0], parts[f"{split}_images"])
        and torch.equal(found.labels, parts[f"{split}_labels"].long())
        for split, found in (("train", train), ("test", test))
    )


def prepared_file(cache: Path) -> Path:
    (file,) = (cache / "cnnkit" / "prepared").iterdir()
    return file


def flip(path: Path, position: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[position] ^= 0x10
    path.write_bytes(raw)


@pytest.mark.parametrize("packed", [False, True])
def test_packed_and_unpacked_files_are_read_as_they_were_written(
    tmp_path: Path, cache: Path, packed: bool
) -> None:
    parts = random_parts()
    train, test, _ = load(write_parts(tmp_path / "data", parts, packed=packed))
    assert agrees(train, test, parts)
    assert train.images.shape == (TRAIN, 1, 28, 28)
    assert (train.images.dtype, train.labels.dtype) == (torch.uint8, torch.int64)


def test_the_classes_of_qmnist_are_the_first_of_its_eight_columns(tmp_path: Path, cache: Path) -> None:
    parts = random_parts(QMNIST)
    train, test, _ = load(write_parts(tmp_path, parts, QMNIST), QMNIST)
    first = {part: values[:, 0] if part.endswith("labels") else values for part, values in parts.items()}
    assert agrees(train, test, first)


def test_one_record_is_all_that_a_data_set_like_mnist_needs(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = random_parts()
    files = {part: PublishedFile(f"other-{part}", values.dim()) for part, values in parts.items()}
    info = replace(DATASETS[FASHION], name="other", title="Other", folder="Other/raw", files=files)
    monkeypatch.setitem(DATASETS._entries, "other", info)
    monkeypatch.setitem(FOLDERS, "other", "Other/raw")
    train, test, told = load(write_parts(tmp_path, parts, "other"), "other")
    assert agrees(train, test, parts)
    assert (train.info.title, told) == ("Other", ["preparing Other"])
    assert "other" in published_names()


def loaded_by_a_person(info: DatasetInfo, paths: dict[str, Path]) -> Parts:
    """What a loader outside cnnkit may give."""
    generator = generator_for(5, "synthetic")
    return {
        f"{split}_{kind}": torch.randint(10, (count, *shape), generator=generator, dtype=dtype)
        for split, count in (("train", info.train_images), ("test", info.test_images))
        for kind, shape, dtype in (("images", info.shape, torch.uint8), ("labels", (), torch.int64))
    }


def test_a_data_set_in_another_format_brings_its_own_loader(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loader = f"{__name__}:{loaded_by_a_person.__name__}"
    info = replace(DATASETS["digits"], name="colour", shape=(3, 5, 7), loader=loader)
    monkeypatch.setitem(DATASETS._entries, "colour", info)
    train, test, _ = load(tmp_path, "colour")
    expected = loaded_by_a_person(info, {})
    assert torch.equal(train.images, expected["train_images"])
    assert torch.equal(test.labels, expected["test_labels"])


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kept", [0, 3, 10, -1])
def test_a_truncated_file_is_refused_by_name(root: Path, kept: int, packed: bool) -> None:
    path = path_of(root, "train_images", packed=packed)
    whole = path_of(root, "train_images").read_bytes()
    path_of(root, "train_images").unlink()
    path.write_bytes((gzip.compress(whole) if packed else whole)[:kept])
    with pytest.raises(DataError) as refusal:
        load(root)
    assert str(path) in str(refusal.value)
    assert "bring a good copy" in str(refusal.value)


def test_a_file_that_goes_on_after_its_end_is_refused(root: Path) -> None:
    with path_of(root, "test_labels").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(DataError, match="too long"):
        load(root)


@pytest.mark.parametrize("magic", ["00 00 08 01", "00 00 0d 03", "01 00 08 03", "3c 68 74 6d"])
def test_a_wrong_magic_number_is_refused_and_shown(root: Path, magic: str) -> None:
    path = path_of(root, "train_images")
    path.write_bytes(bytes.fromhex(magic) + path.read_bytes()[4:])
    with pytest.raises(DataError, match="magic number") as refusal:
        load(root)
    assert str(path) in str(refusal.value)
    assert magic in str(refusal.value)


def test_a_flipped_byte_in_a_packed_file_never_passes_as_another_value(tmp_path: Path) -> None:
    labels = random_parts()["train_labels"]
    path = tmp_path / "labels.gz"
    whole = gzip.compress(idx(labels))
    refused = 0
    for position in range(len(whole)):
        path.write_bytes(whole)
        flip(path, position)
        try:
            assert torch.equal(read_idx(path, 1), labels)
        except DataError:
            refused += 1
    assert refused > len(whole) // 2


def test_a_well_formed_file_that_is_not_the_published_mnist_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "MNIST" / "raw" / "t10k-labels-idx1-ubyte"
    path.parent.mkdir(parents=True)
    path.write_bytes(idx(torch.zeros(10_000, dtype=torch.uint8)))
    with pytest.raises(DataError, match="MD5") as refusal:
        read_idx(path, 1)
    assert str(path) in str(refusal.value)


def test_one_flipped_byte_in_the_published_mnist_is_noticed(tmp_path: Path, mnist_root: Path) -> None:
    published = mnist_root / "MNIST" / "raw" / "t10k-labels-idx1-ubyte"
    copy = tmp_path / "MNIST" / "raw" / published.name
    copy.parent.mkdir(parents=True)
    copy.write_bytes(published.read_bytes())
    assert len(read_idx(copy, 1)) == 10_000
    flip(copy, -1)
    with pytest.raises(DataError, match="MD5"):
        read_idx(copy, 1)


def test_a_flipped_byte_is_noticed_where_the_packed_file_still_lies_beside_it(
    tmp_path: Path, cache: Path
) -> None:
    root = write_parts(tmp_path, random_parts(), packed=True)
    write_parts(root, random_parts())
    flip(path_of(root, "train_images"), -1)
    try:
        train, test, _ = load(root)
    except DataError:
        return
    assert agrees(train, test, random_parts())


@pytest.mark.parametrize(
    ("part", "values", "words"),
    [
        ("train_labels", torch.zeros(TRAIN - 1, dtype=torch.uint8), "40 images but 39 labels"),
        ("test_images", torch.zeros(TEST + 1, 28, 28, dtype=torch.uint8), "21 images but 20 labels"),
        ("train_labels", torch.full((TRAIN,), 10, dtype=torch.uint8), "label 10"),
        ("train_images", torch.zeros(TRAIN, 28, 27, dtype=torch.uint8), r"shape \(1, 28, 27\)"),
        ("train_images", torch.zeros(TRAIN, 28, 28, dtype=torch.int32), "images"),
    ],
)
def test_files_that_do_not_fit_together_are_refused(
    root: Path, part: str, values: Tensor, words: str
) -> None:
    path_of(root, part).write_bytes(idx(values))
    with pytest.raises(DataError, match=words) as refusal:
        load(root)
    assert str(root) in str(refusal.value)


def test_a_set_of_another_size_is_refused(root: Path) -> None:
    for part, values in random_parts().items():
        path_of(root, part).write_bytes(idx(values[:-10]))
    with pytest.raises(DataError, match="30 images, not 40"):
        load(root)


@pytest.mark.parametrize("label", [10, 255, 256, -1])
def test_a_label_that_is_no_class_is_refused(tmp_path: Path, cache: Path, label: int) -> None:
    parts = random_parts(QMNIST)
    parts["train_labels"][7, 0] = label
    with pytest.raises(DataError, match="label"):
        load(write_parts(tmp_path, parts, QMNIST), QMNIST)


class Mirror(SimpleHTTPRequestHandler):
    """Serves a folder and remembers what was asked for."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def mirror(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """(address, names asked for) of a web server for a folder, on this machine alone."""
    asked: list[str] = []
    handler = type("OwnMirror", (Mirror,), {"asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", asked
        finally:
            server.shutdown()
            thread.join()


def published(folder: Path, parts: Parts) -> dict[str, str]:
    """Packs a set as its authors publish it; the MD5 sum of each file."""
    folder.mkdir()
    sums = {}
    for part, values in parts.items():
        path = folder / (DATASETS[FASHION].files[part].name + ".gz")
        path.write_bytes(gzip.compress(idx(values)))
        sums[path.name] = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    return sums


def publish_at(
    patch: Callable[[object, str, object], None], address: str, sums: dict[str, str] | None = None
) -> None:
    """Makes torchvision look for Fashion-MNIST at an address."""
    from torchvision.datasets import FashionMNIST

    patch(FashionMNIST, "mirrors", [address])
    if sums is not None:
        patch(FashionMNIST, "resources", list(sums.items()))


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def closed_address() -> str:
    """An address at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/"


@pytest.mark.usefixtures("no_proxy", "cache")
def test_without_network_the_message_says_how_to_bring_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed_address: str
) -> None:
    publish_at(monkeypatch.setattr, closed_address)
    with pytest.raises(DataError, match="refused") as refusal:
        load(tmp_path / "data")
    for words in (str(tmp_path / "data"), "cnnkit data fashion-mnist --root", "--config digits"):
        assert words in str(refusal.value)


@pytest.mark.usefixtures("no_proxy", "cache")
def test_what_a_mirror_serves_is_fetched_once_and_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = random_parts()
    sums = published(tmp_path / "mirror", parts)
    with mirror(tmp_path / "mirror") as (address, asked):
        publish_at(monkeypatch.setattr, address, sums)
        train, test, told = load(tmp_path / "data")
        assert agrees(train, test, parts)
        assert any("fetching" in sentence for sentence in told)
        assert set(asked) == {f"/{name}" for name in sums}
        asked.clear()
        load(tmp_path / "data")
        assert asked == []


@pytest.mark.usefixtures("no_proxy", "cache")
def test_a_fetched_file_with_another_checksum_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sums = published(tmp_path / "mirror", random_parts())
    flip(tmp_path / "mirror" / "t10k-labels-idx1-ubyte.gz", -5)
    with mirror(tmp_path / "mirror") as (address, _):
        publish_at(monkeypatch.setattr, address, sums)
        with pytest.raises(DataError, match="corrupted"):
            load(tmp_path / "data")


@pytest.mark.usefixtures("no_proxy", "cache")
def test_a_server_that_speaks_no_http_is_told_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer() -> None:
        while True:
            with listener.accept()[0] as connection:
                if not connection.recv(4096):
                    return
                connection.sendall(b"please log in first\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer)
        thread.start()
        publish_at(monkeypatch.setattr, f"http://127.0.0.1:{listener.getsockname()[1]}/")
        try:
            with pytest.raises(DataError, match="could not be fetched"):
                load(tmp_path / "data")
        finally:
            socket.create_connection(listener.getsockname()).close()
            thread.join()


@pytest.mark.usefixtures("cache")
def test_a_full_disk_while_fetching_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import FashionMNIST

    def download(_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(FashionMNIST, "download", download)
    with pytest.raises(DataError, match="No space left on device"):
        load(tmp_path / "data")


@pytest.mark.usefixtures("cache")
def test_a_root_that_is_no_folder_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="file"):
        load(tmp_path / "file")


def test_a_full_disk_keeps_nothing_but_the_data_are_there(
    root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    train, test, told = load(root)
    assert agrees(train, test, random_parts())
    assert any("No space left on device" in sentence for sentence in told)
    assert list((cache / "cnnkit" / "prepared").iterdir()) == []


def test_a_cache_that_cannot_be_written_costs_a_note_and_nothing_else(root: Path, cache: Path) -> None:
    cache.touch()
    train, test, told = load(root)
    assert agrees(train, test, random_parts())
    assert any("could not be kept" in sentence and str(cache) in sentence for sentence in told)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="to root no folder is read-only")
def test_read_only_data_and_cache_are_enough(root: Path, cache: Path) -> None:
    cache.mkdir()
    folders = (cache, root, path_of(root, "test_labels").parent)
    for folder in folders:
        folder.chmod(0o555)
    try:
        train, test, _ = load(root)
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert agrees(train, test, random_parts())


def test_a_read_only_file_system_costs_a_note_and_nothing_else(
    root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def refuse(path: object, *_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    def open_to_read(path: str, flags: int, *rest: int, **more: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            refuse(path)
        return opened(path, flags, *rest, **more)

    monkeypatch.setattr(os, "mkdir", refuse)
    monkeypatch.setattr(os, "open", open_to_read)
    train, test, told = load(root)
    assert agrees(train, test, random_parts())
    assert any("Read-only file system" in sentence and str(cache) in sentence for sentence in told)
    assert not cache.exists()


def test_a_read_only_file_system_takes_no_data_and_says_so(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: object, *_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(DataError, match=f"{tmp_path / 'none'}.*Read-only file system"):
        load(tmp_path / "none")


def test_prepared_data_are_used_instead_of_the_files(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(root)
    monkeypatch.setattr("cnnkit.data.idx.read_idx", lambda *_: pytest.fail("the files were read again"))
    train, test, told = load(root)
    assert agrees(train, test, random_parts())
    assert told == []


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


@pytest.mark.parametrize(
    "damage",
    [
        partial(flip, position=-1),
        partial(flip, position=0),
        partial(flip, position=20),
        _truncate,
        partial(Path.write_bytes, data=b""),
        partial(Path.write_text, data="not safetensors"),
    ],
)
def test_a_damaged_cache_is_noticed_and_made_again(
    root: Path, cache: Path, damage: Callable[[Path], object]
) -> None:
    load(root)
    damage(prepared_file(cache))
    train, test, told = load(root)
    assert agrees(train, test, random_parts())
    assert any("made again" in sentence for sentence in told)
    assert load(root)[2] == []


def test_files_that_changed_are_read_again(root: Path) -> None:
    load(root)
    write_parts(root, random_parts(seed=1))
    now = path_of(root, "train_images").stat().st_mtime_ns
    os.utime(path_of(root, "train_images"), ns=(now, now + 1_000_000_000))
    train, test, _ = load(root)
    assert agrees(train, test, random_parts(seed=1))


def test_two_folders_of_one_set_are_never_mixed_up(root: Path, tmp_path: Path) -> None:
    other = write_parts(tmp_path / "other", random_parts(seed=1))
    for path in other.rglob("*ubyte"):
        twin = root / path.relative_to(other)
        os.utime(path, ns=(twin.stat().st_mtime_ns, twin.stat().st_mtime_ns))
    for folder, seed in ((root, 0), (other, 1), (root, 0)):
        train, test, _ = load(folder)
        assert agrees(train, test, random_parts(seed=seed))


def stub_torchvision(log: Path) -> None:
    """Puts a torchvision in place that writes the files itself, and a line into the log for each fetch."""

    def fetch(root: str, train: bool, download: bool) -> None:
        with log.open("a") as file:
            file.write(f"train={train}\n")
        if train:
            time.sleep(0.5)  # the other process is at the same place by now, if nothing holds it
            write_parts(Path(root), random_parts())

    package, datasets = ModuleType("torchvision"), ModuleType("torchvision.datasets")
    package.datasets = datasets  # type: ignore[attr-defined]
    datasets.FashionMNIST = fetch  # type: ignore[attr-defined]
    sys.modules.update({"torchvision": package, "torchvision.datasets": datasets})


def load_elsewhere(report: Path, root: Path, barrier: Barrier, log: Path | None) -> None:
    """Loads the small set in a process of its own; writes down what it found and what it imported."""
    make_small(dict.__setitem__)
    if log is not None:
        stub_torchvision(log)
    barrier.wait()
    train, test, told = load(root)
    found = {
        "fingerprint": fingerprint([train.images, train.labels, test.images, test.labels]),
        "told": told,
        "imported": [name for name in ("torchvision", "sklearn") if name in sys.modules],
    }
    report.write_text(json.dumps(found))


def test_two_processes_that_fetch_and_prepare_at_once_fetch_once(tmp_path: Path, cache: Path) -> None:
    barrier, log = PROCESSES.Barrier(2), tmp_path / "log"
    reports = [tmp_path / "first.json", tmp_path / "second.json"]
    processes = [start(load_elsewhere, report, tmp_path / "data", barrier, log) for report in reports]
    assert [exit_code(process) for process in processes] == [0, 0]
    first, second = (json.loads(report.read_text()) for report in reports)
    assert first["fingerprint"] == second["fingerprint"]
    assert log.read_text() == "train=True\ntrain=False\n"
    assert prepared_file(cache).suffix == ".safetensors"


def test_data_that_are_there_load_without_torchvision(root: Path, tmp_path: Path) -> None:
    barrier = PROCESSES.Barrier(1)
    for told in (["preparing Fashion-MNIST"], []):
        process = start(load_elsewhere, tmp_path / "report", root, barrier, None)
        assert exit_code(process) == 0
        found = json.loads((tmp_path / "report").read_text())
        assert (found["told"], found["imported"]) == (told, [])


@given(
    counts=st.lists(st.integers(0, 60), min_size=1, max_size=10), share=st.floats(0, 1), seed=st.integers(0)
)
def test_a_stratified_split_is_disjoint_complete_and_fair_to_one_image(
    counts: list[int], share: float, seed: int
) -> None:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    if not len(labels):
        return
    labels = labels[torch.randperm(len(labels), generator=generator_for(seed, "labels"))]
    wanted = round(share * len(labels))
    held, rest = split_stratified(labels, wanted, generator_for(seed, "split"))
    assert len(held) == wanted
    assert sorted([*held.tolist(), *rest.tolist()]) == list(range(len(labels)))
    for label, count in enumerate(counts):
        assert abs(int((labels[held] == label).sum()) - count * wanted / len(labels)) < 1


def test_the_seed_alone_decides_which_images_are_held_out() -> None:
    labels = torch.arange(200) % 10
    first, again, other = (
        split_stratified(labels, 50, generator_for(seed, "split"))[0] for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_digits_are_all_of_scikit_learns_and_no_image_is_in_two_splits() -> None:
    from sklearn.datasets import load_digits

    splits = load_splits(DataConfig(dataset="digits", validation=144), seed=3)
    assert [len(s) for s in (splits.train, splits.validation, splits.test)] == [1293, 144, 360]
    found = torch.cat([s.images[:, 0] for s in (splits.train, splits.validation, splits.test)])
    expected = (torch.from_numpy(load_digits().images) * 255 / 16).round().to(torch.uint8)
    assert sorted(found.flatten(1).tolist()) == sorted(expected.flatten(1).tolist())


def test_a_crop_leaves_the_inner_pixels_of_the_same_images() -> None:
    whole, inner = (load_splits(DataConfig(dataset="digits", validation=144, crop=c), seed=3) for c in (0, 2))
    for name in ("train", "validation", "test"):
        before, after = getattr(whole, name), getattr(inner, name)
        assert torch.equal(after.images, before.images[:, :, 2:6, 2:6])
        assert torch.equal(after.labels, before.labels)


def test_a_crop_is_what_the_network_is_built_for() -> None:
    assert DataConfig(crop=2).info.shape == (1, 24, 24)
    assert DataConfig(dataset="digits").info.shape == (1, 8, 8)


def test_every_seed_is_tested_on_the_same_digits() -> None:
    first, second = (load_splits(DataConfig(dataset="digits", validation=144), seed) for seed in (0, 1))
    assert torch.equal(first.test.images, second.test.images)
    assert not torch.equal(first.validation.images, second.validation.images)


def all_digits() -> ImageDataset:
    return load_dataset("digits", Path()).all


@pytest.mark.parametrize("choice", [{"folds": 5}, {"folds": 8}, {"resample_test": True}], ids=str)
@pytest.mark.parametrize("seed", [0, 4, 13])
def test_a_seeds_own_test_images_are_in_no_other_split(choice: dict[str, Any], seed: int) -> None:
    config, whole = DataConfig(dataset="digits", validation=144, crop=1, **choice), all_digits().cropped(1)
    splits = load_splits(config, seed)
    assert splits.tested is not None
    assert torch.equal(splits.test.images, whole[splits.tested].images)
    assert torch.equal(splits.test.labels, whole[splits.tested].labels)
    sizes = [len(s) for s in (splits.train, splits.validation, splits.test)]
    assert sizes == [config.train_images, 144, config.info.test_images]
    found = torch.cat([s.images for s in (splits.train, splits.validation, splits.test)])
    assert sorted(found.flatten(1).tolist()) == sorted(whole.images.flatten(1).tolist())
    again = load_splits(config.model_copy(update={"validation": 0.3}), seed).tested
    assert again is not None
    assert torch.equal(splits.tested, again)


@pytest.mark.parametrize("folds", [2, 5, 7, 100])
def test_k_seeds_in_a_row_test_every_image_once(folds: int) -> None:
    labels, config = all_digits().labels, DataConfig(dataset="digits", folds=folds)
    shares = [redrawn_test_and_rest(config, labels, seed) for seed in range(3 * folds, 4 * folds)]
    tested = torch.cat([of_seed for of_seed, _ in shares])
    assert len(tested.unique()) == len(tested) > len(labels) - folds
    for of_seed, rest in shares:
        assert torch.equal(torch.cat([of_seed, rest]).sort().values, torch.arange(len(labels)))
        apart = labels[of_seed].bincount(minlength=10) - labels.bincount() / folds
        assert apart.abs().max() < 2  # one more or fewer, and what was left over


def of_groups(mixed: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels of the digits, and groups of 1 to 9 images, of one class or of several."""
    labels = all_digits().labels
    order = torch.arange(len(labels)) if mixed else labels.argsort(stable=True)
    sizes = torch.randint(1, 10, (len(labels),), generator=torch.Generator().manual_seed(0))
    in_order = torch.arange(len(labels)).repeat_interleave(sizes)[: len(labels)]
    if not mixed:
        in_order = in_order * 10 + labels[order]
    groups = torch.empty_like(in_order)
    groups[order] = in_order
    return labels, groups


@pytest.mark.parametrize("mixed", [True, False])
@pytest.mark.parametrize("folds", [2, 5, 7])
def test_folds_of_groups_test_every_image_once_and_part_no_group(folds: int, mixed: bool) -> None:
    (labels, groups), config = of_groups(mixed), DataConfig(dataset="digits", folds=folds)
    shares = [redrawn_test_and_rest(config, labels, seed, groups) for seed in range(3 * folds, 4 * folds)]
    tested = torch.cat([of_seed for of_seed, _ in shares])
    assert len(tested.unique()) == len(tested) > len(labels) - folds
    for of_seed, rest in shares:
        assert len(of_seed) == config.info.test_images
        assert not torch.isin(groups[rest], groups[of_seed]).any()
        assert 0 <= len(labels) - len(of_seed) - len(rest) <= 2 * 9  # parts of the groups on two borders
        apart = labels[of_seed].bincount(minlength=10) - labels.bincount() / folds
        assert apart.abs().max() <= 9
    again = redrawn_test_and_rest(config, labels, 3 * folds, groups)[0]
    assert torch.equal(again, shares[0][0])
    assert not torch.equal(redrawn_test_and_rest(config, labels, 4 * folds, groups)[0], again)


def test_a_test_split_that_is_drawn_anew_parts_no_group() -> None:
    (labels, groups), config = of_groups(mixed=True), DataConfig(dataset="digits", resample_test=True)
    tested = []
    for seed in range(20):
        of_seed, rest = redrawn_test_and_rest(config, labels, seed, groups)
        assert len(of_seed.unique()) == 360
        assert not torch.isin(groups[rest], groups[of_seed]).any()
        assert len(labels) - 360 - len(rest) <= 9
        assert (labels[of_seed].bincount() - labels.bincount() * 360 / len(labels)).abs().max() <= 9
        tested.append(of_seed)
    often = torch.cat(tested).bincount(minlength=len(labels)).double()
    assert often.var() == pytest.approx(20 * 0.2 * 0.8, rel=0.3)  # binomial: seeds draw independently


def test_groups_that_leave_nothing_to_learn_from_are_refused() -> None:
    labels, config = all_digits().labels, DataConfig(dataset="digits", folds=5)
    groups = torch.where((labels == 3) | (labels == 5), labels, torch.arange(len(labels)) + 10)
    with pytest.raises(DataError, match=r"nothing of (3|5|3 and 5) is left .*; name smaller groups"):
        [redrawn_test_and_rest(config, labels, seed, groups) for seed in range(5)]


def test_another_partition_is_dealt_after_k_seeds() -> None:
    labels, config = all_digits().labels, DataConfig(dataset="digits", folds=5)
    first, again, other = (redrawn_test_and_rest(config, labels, seed)[0] for seed in (2, 2, 7))
    assert torch.equal(first, again)
    assert len({*first.tolist()} & {*other.tolist()}) == pytest.approx(len(first) / 5, abs=25)


def test_a_test_split_that_is_drawn_anew_is_stratified_and_another_for_each_seed() -> None:
    labels, config = all_digits().labels, DataConfig(dataset="digits", resample_test=True)
    tested = [redrawn_test_and_rest(config, labels, seed)[0] for seed in range(60)]
    for of_seed in tested:
        assert len(of_seed.unique()) == 360
        assert (labels[of_seed].bincount() - labels.bincount() * 360 / len(labels)).abs().max() < 1
    often = torch.cat(tested).bincount(minlength=len(labels)).double()
    assert often.var() == pytest.approx(60 * 0.2 * 0.8, rel=0.2)  # binomial: seeds draw independently


def test_the_real_mnist_has_the_published_number_of_each_digit(mnist_root: Path) -> None:
    train, test = load_dataset("mnist", mnist_root)
    assert train.labels.bincount().tolist() == MNIST_TRAIN_IMAGES
    assert test.labels.bincount().tolist() == MNIST_TEST_IMAGES
    assert train.images.shape == (60_000, 1, 28, 28)


def test_5000_held_out_images_of_the_real_mnist_hold_each_digit_in_its_share(mnist_root: Path) -> None:
    splits = load_splits(DataConfig(dataset="mnist", root=str(mnist_root), validation=5000), seed=0)
    held = splits.validation.labels.bincount().tolist()
    assert sum(held) == 5000
    for found, count in zip(held, MNIST_TRAIN_IMAGES, strict=True):
        assert abs(found - count / 12) < 1


def test_the_configured_root_comes_before_the_variable_and_that_before_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    assert data_root(None) == cache / "cnnkit"
    monkeypatch.setenv("CNNKIT_DATA", str(tmp_path / "variable"))
    assert data_root(None) == tmp_path / "variable"
    assert data_root("configured") == Path("configured")


def test_pixel_statistics_are_the_mean_and_deviation_of_all_pixels() -> None:
    images = random_parts()["train_images"].repeat(300, 1, 1)[:, None]  # more than one chunk
    images = torch.cat([images, 255 - images // 2, images // 3], 1)
    some = torch.arange(0, len(images), 2)
    shown = ImageDataset(images, torch.zeros(len(images)), info((3, 28, 28)))[some]
    mean, std = pixel_statistics(shown)
    for channel, values in enumerate(images[some].double().unbind(1)):
        assert mean[channel].item() == pytest.approx(values.mean().item())
        assert std[channel].item() == pytest.approx(values.std(correction=0).item())
