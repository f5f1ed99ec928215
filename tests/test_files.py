"""Files are whole or not there, and a changed byte is noticed."""

import os
import pickle
import re
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support import posix_files
from torch import Tensor

from cnnkit.errors import DamagedFile
from cnnkit.files import write_atomically, write_json
from cnnkit.tensor_files import fingerprint, load_state, load_tensors, save_state, save_tensors

TENSORS = {
    "weight": torch.linspace(-1, 1, 12).view(3, 4),
    "halves": torch.linspace(-1, 1, 4).bfloat16(),
    "count": torch.tensor(7),
    "nothing": torch.zeros(0, 2),
}
METADATA = {"config": "model: {pool_size: 2, activation: relu}"}
STATE: dict[str, Any] = {
    "model": {"weight": TENSORS["weight"]},
    "history": [{"epoch": 1, "val_loss": None, "seconds": 1.5}],
    "betas": (0.9, 0.999),
    "name": "tiny",
    "best": True,
}


def save_tensors_somewhere(path: Path) -> None:
    save_tensors(path, TENSORS, METADATA)


def save_state_somewhere(path: Path) -> None:
    save_state(path, STATE)


each_kind_of_file = pytest.mark.parametrize(
    ("save", "load"),
    [(save_tensors_somewhere, load_tensors), (save_state_somewhere, load_state)],
    ids=["safetensors", "state"],
)
Save, Load = Callable[[Path], None], Callable[[Path], Any]


def without_checksum(loaded: Any) -> Any:
    """(tensors, the metadata that was given) of `load_tensors`; what `load_state` gives as it is."""
    if isinstance(loaded, tuple):
        tensors, metadata = loaded
        return tensors, {name: metadata.get(name) for name in METADATA}
    return loaded


def test_writing_makes_folders_and_leaves_nothing_beside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file.txt"
    write_atomically(path, "é×∞\n")
    write_atomically(path, b"again")
    assert path.read_bytes() == b"again"
    assert list(path.parent.iterdir()) == [path]


def test_text_is_written_as_utf_8_and_json_can_be_read_by_a_person(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"name": "é×∞", "n": 1})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "name": "é×∞",\n  "n": 1\n}\n'


@posix_files
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_written_file_has_the_permissions_of_any_other(umask: int, tmp_path: Path) -> None:
    code = """
from pathlib import Path
from cnnkit.files import write_atomically
write_atomically(Path("ours"), "x")
Path("any").write_text("x")
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, umask=umask, check=True)
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "any").stat().st_mode


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize(("owner", "step"), [(os, "fsync"), (Path, "replace")])
def test_failing_to_write_leaves_the_old_file_and_no_litter(
    owner: Any, step: str, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "result.json"
    write_atomically(path, "old")

    def fail(*_: Any, **__: Any) -> None:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(owner, step, fail)
        with pytest.raises(type(error)):
            write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_finds_the_old_file_or_the_new_one_at_any_moment(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = [bytes([letter]) * 300_000 for letter in b"ab"]
    write_atomically(path, contents[0])
    stop = threading.Event()

    def write_on() -> None:
        while not stop.is_set():
            for content in contents:
                write_atomically(path, content)

    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        assert {path.read_bytes() for _ in range(100)} <= set(contents)
    finally:
        stop.set()
        writer.join()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([1, 23], [12, 3]),
        ([1, 2], [12]),
        ([[1], 2], [[1, 2]]),
        ([], {}),
        ([None], ["None"]),
        ([1], [True]),
        ([1], [1.0]),
        ([0.0], [-0.0]),
        ({"a": 1}, {"a": "1"}),
        ({"a": 1}, {"b": 1}),
        ({"a": 1, "b": 2}, {"a": 2, "b": 1}),
        ({"a": {"b": 1}}, {"a": {}, "b": 1}),
        (torch.zeros(2, 3), torch.zeros(3, 2)),
        (torch.zeros(2), torch.zeros(2, dtype=torch.float64)),
        (torch.zeros(2), torch.zeros(2, dtype=torch.int32)),
        (torch.zeros(2), torch.tensor([0.0, 1e-45])),
        ([torch.zeros(2), torch.zeros(1)], [torch.zeros(1), torch.zeros(2)]),
        ([torch.tensor(1)], [1]),
    ],
    ids=str,
)
def test_fingerprints_differ_where_anything_does(one: Any, other: Any) -> None:
    assert fingerprint(one) != fingerprint(other)


@given(st.dictionaries(st.text(max_size=3), st.integers() | st.lists(st.text(max_size=3)), max_size=5))
def test_a_fingerprint_knows_no_order_of_keys(tree: dict[str, Any]) -> None:
    assert fingerprint(tree) == fingerprint(dict(reversed(tree.items())))


@pytest.mark.parametrize(
    "view", [lambda t: t.clone(), lambda t: t.t().contiguous().t()], ids=["copy", "strides"]
)
def test_a_fingerprint_is_of_the_values_and_not_of_their_place_in_memory(
    view: Callable[[Tensor], Tensor],
) -> None:
    assert fingerprint(view(TENSORS["weight"])) == fingerprint(TENSORS["weight"])


@each_kind_of_file
def test_what_was_saved_is_loaded(save: Save, load: Load, tmp_path: Path) -> None:
    save(tmp_path / "file")
    expected = STATE if load is load_state else (TENSORS, METADATA)
    assert fingerprint(without_checksum(load(tmp_path / "file"))) == fingerprint(expected)


@each_kind_of_file
@pytest.mark.filterwarnings("ignore")  # torch warns before it gives up
@pytest.mark.parametrize(
    ("flip", "step"), [(lambda position: 1 << position % 8, 1), (lambda _: 0xFF, 4)], ids=["bit", "byte"]
)
def test_a_flipped_bit_or_byte_anywhere_is_noticed_or_harmless(
    save: Save, load: Load, flip: Callable[[int], int], step: int, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    save(path)
    good = path.read_bytes()
    saved = fingerprint(without_checksum(load(path)))
    missed = []
    for position in range(0, len(good), step):
        changed = bytearray(good)
        changed[position] ^= flip(position)
        path.write_bytes(changed)
        try:
            if fingerprint(without_checksum(load(path))) != saved:
                missed.append((position, "loaded, but changed"))
        except DamagedFile:
            pass
        except Exception as error:
            missed.append((position, repr(error)))
    assert missed == []


@each_kind_of_file
def test_a_truncated_file_is_noticed(save: Save, load: Load, tmp_path: Path) -> None:
    path = tmp_path / "file"
    save(path)
    good = path.read_bytes()
    for length in range(0, len(good), 7):
        path.write_bytes(good[:length])
        with pytest.raises(DamagedFile, match=f"{re.escape(str(path))} is damaged"):
            load(path)


@each_kind_of_file
@pytest.mark.parametrize(
    "junk", [b"", b"hello", bytes(1000), b"\x80\x02.", b"PK\x03\x04" + bytes(100), pickle.dumps({"state": 1})]
)
@pytest.mark.filterwarnings("ignore")
def test_a_file_of_another_kind_is_refused(save: Save, load: Load, junk: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(junk)
    with pytest.raises(DamagedFile):
        load(tmp_path / "file")


@each_kind_of_file
def test_a_missing_file_is_missing_and_not_damaged(save: Save, load: Load, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "file")


def test_a_safetensors_file_without_a_checksum_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"weight": TENSORS["weight"]}, tmp_path / "file")
    with pytest.raises(DamagedFile, match="not written by cnnkit"):
        load_tensors(tmp_path / "file")


class RunsCode:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("write", [torch.save, lambda tree, path: path.write_bytes(pickle.dumps(tree))])
@pytest.mark.filterwarnings("ignore")
def test_code_in_a_state_file_is_never_run(write: Callable[[Any, Path], Any], tmp_path: Path) -> None:
    path, trace = tmp_path / "state.pt", tmp_path / "trace"
    write({"checksum": "", "state": RunsCode(trace)}, path)
    with pytest.raises(DamagedFile):
        load_state(path)
    assert not trace.exists()


def test_the_code_that_is_never_run_would_leave_a_trace(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(RunsCode(tmp_path / "trace")))
    assert (tmp_path / "trace").exists()


def test_an_iterator_has_the_hash_of_its_list_and_no_two_items_are_held_together() -> None:
    held: weakref.WeakSet[Tensor] = weakref.WeakSet()

    def items() -> Iterator[Tensor]:
        for number in range(50):
            item = torch.full((1000,), number)
            held.add(item)
            assert len(held) <= 2  # the one before may still be in the loop's hands
            yield item

    assert fingerprint(items()) == fingerprint([torch.full((1000,), number) for number in range(50)])
