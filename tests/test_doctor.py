"""`cnnkit doctor`: what is found, and what is said where something is wrong."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from support import call

import cnnkit
from cnnkit.experiment import doctor
from cnnkit.experiment.doctor import findings
from cnnkit.processes import available_cpus

Capture = pytest.CaptureFixture[str]


def found() -> dict[str, doctor.Finding]:
    return {finding.what: finding for finding in findings()}


@pytest.fixture(autouse=True)
def no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "DRIVER", Path("none"))


@pytest.fixture
def no_extras(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(doctor.importlib.util, "find_spec", lambda _: None)
        yield


def test_it_tells_versions_devices_cores_folders_and_the_last_run(run: Path) -> None:
    told = found()
    assert told["cnnkit"].found.startswith(cnnkit.__version__)
    assert torch.__version__ in told["torch"].found
    assert told["cores"].found.startswith(f"{available_cpus()} core")
    assert "device cpu" in told
    assert "mnist" not in told["data sets"].found
    assert not any(finding.mend for finding in told.values())


def test_a_damaged_file_of_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found()["cnnkit's files"].found == "digit_check.safetensors can be read"
    damaged = tmp_path / "digit_check.safetensors"
    damaged.write_bytes(doctor.digit_check.FILE.read_bytes()[:-100])
    monkeypatch.setattr(doctor.digit_check, "FILE", damaged)
    told = found()["cnnkit's files"]
    assert str(damaged) in told.found
    assert told.mend == "install cnnkit again"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    (folder / "config.yaml").write_text("")
    return folder


def test_data_sets_are_named_where_all_their_files_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CNNKIT_DATA", str(tmp_path))
    empty = found()["data sets"]
    assert "none yet" in empty.found
    assert "cnnkit data mnist" in empty.mend
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    names = [
        f"{part}-{kind}" for part in ("train", "t10k") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
    ]
    for name in names[:-1]:
        (raw / name).touch()
    assert "none yet" in found()["data sets"].found
    (raw / names[-1]).touch()
    assert found()["data sets"].found.endswith(": mnist")
    assert not found()["data sets"].mend


@pytest.mark.parametrize(("cuda", "mend"), [(None, "build of torch for CUDA"), ("13.0", "update its driver")])
def test_a_card_that_torch_cannot_use_is_told(
    cuda: str | None, mend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "DRIVER", tmp_path)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert mend in found()["torch"].mend
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert not found()["torch"].mend


def test_a_cache_without_room_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LITTLE", float("inf"))
    assert "cnnkit data --cache --clear" in found()["cache"].mend


def test_a_cache_folder_that_takes_no_files_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.os, "access", lambda *_: False)
    assert "XDG_CACHE_HOME" in found()["cache"].mend


@pytest.mark.usefixtures("no_extras")
def test_extras_that_are_missing_are_named() -> None:
    missing = [f"{extra} is not installed" for extra in ("ray", "tune", "onnx", "tensorboard", "mlflow")]
    assert found()["extras"].found == ", ".join(missing)


def test_the_command_prints_each_finding_and_how_to_mend_it(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert call(capsys, "doctor").code == 0
    monkeypatch.setenv("CNNKIT_DATA", str(tmp_path))
    outcome = call(capsys, "doctor")
    assert outcome.code == 1
    assert "to mend" in outcome.out
    kept = json.loads(call(capsys, "doctor", "--json").out)["findings"]
    assert [finding["what"] for finding in kept if finding["mend"]] == ["data sets"]
    for finding in kept:
        assert finding["what"] in outcome.out
