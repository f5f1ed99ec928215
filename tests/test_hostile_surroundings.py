"""Too little memory, closed streams, odd names, links in a circle: an answer in words, no traceback."""

import errno
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest
import torch
from conftest import TINY
from rich.console import Console
from support import Tiny, call, finished_run

import cnnkit
from cnnkit.config.load import flat, parse_config
from cnnkit.config.schema import Config
from cnnkit.errors import ConfigError, DamagedFile, OutOfMemory, RunError
from cnnkit.experiment.checkpoints import load_weights
from cnnkit.experiment.train import begin, prepare
from cnnkit.files import json_text
from cnnkit.signals import collected
from cnnkit.tensor_files import load_state, load_tensors, save_state, save_tensors
from cnnkit.training import memory
from cnnkit.training.device import device_errors_in_words
from cnnkit.training.loop import EagerSteps
from cnnkit.training.memory import free_bytes, least_bytes

CPU = torch.device("cpu")
posix_names = pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes any bytes as a name")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    return finished_run(tmp_path_factory.mktemp("hostile") / "run", shared_cache, "training.epochs=1")


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


# --- memory -----------------------------------------------------------------------------------------


def test_a_network_that_cannot_fit_is_refused_before_anything_is_allocated(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny("model.channels=[3000, 3000]")
    setting = prepare(config)
    monkeypatch.setattr(memory, "_free_in_system", lambda: 1e8)
    monkeypatch.setattr("cnnkit.experiment.train.build_model", lambda *_: pytest.fail("it was built"))
    with pytest.raises(OutOfMemory, match=r"at least 0.7 GB of memory, and 0.1 GB are free; lower model"):
        begin(config, setting.placement, setting.splits)


def test_the_least_memory_is_less_than_what_a_step_takes(tiny: Tiny) -> None:
    config = tiny("model.channels=[64, 64]", "training.batch_size=1000", "runtime.precision=bf16")
    kept = 4 * 2 * sum(p.numel() for p in cnnkit.build_model(config).parameters())
    maps = 1000 * (64 * 8 * 8 + 64 * 4 * 4 + 16 + 10)  # after the two convolutions and the dense layers
    assert least_bytes(config, config.data.info) == kept + 2 * maps


def test_free_memory_is_what_the_system_and_the_container_leave(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    system = tmp_path / "meminfo"
    system.write_text("MemTotal:  900 kB\nMemAvailable:   500 kB\nSwapFree:  24 kB\n")
    monkeypatch.setattr(memory, "MEMORY_INFO", system)
    monkeypatch.setattr(memory, "CGROUPS", tmp_path)
    assert free_bytes(CPU) == 524 * 1024
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 100\n")
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("70000\n")
    assert free_bytes(CPU) == 524 * 1024
    (tmp_path / "memory.max").write_text("80000\n")
    assert free_bytes(CPU) == 10_100
    for path in tmp_path.iterdir():
        path.unlink()
    assert free_bytes(CPU) == float("inf")


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("could not create a primitive"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllo"),
        RuntimeError("[enforce fail a"),  # seen where there was no memory for the whole message
        MemoryError(),
    ],
)
def test_every_way_to_run_out_of_memory_is_told(error: Exception) -> None:
    with pytest.raises(OutOfMemory, match="batches of 7 images"), device_errors_in_words(7):
        raise error


def test_running_out_of_memory_while_printing_is_told(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("cnnkit.cli.console.print_evaluation", fail)
    outcome = call(capsys, "eval", run)
    assert (outcome.code, outcome.err.startswith("error: out of memory")) == (1, True)


def in_an_import() -> None:
    Path("core.py").write_text("raise SystemError('error return without exception set')")
    with mock.patch.object(sys, "path", [os.getcwd()]):  # noqa: PTH109
        importlib.import_module("core")


def in_torch() -> None:
    raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 920064 bytes")


def in_a_message_cut_short() -> None:
    raise RuntimeError("[enforce fail a")


def in_the_system() -> None:
    try:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
    except OSError as error:
        raise RuntimeError("can't start new thread") from error


@pytest.mark.parametrize("fail", [in_an_import, in_torch, in_a_message_cut_short, in_the_system])
def test_too_little_memory_anywhere_is_told_in_words(
    fail: Callable[[], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cnnkit.cli.app.app", lambda **_: fail())
    outcome = call(capsys, "config", "list")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == "error: out of memory; close other programs, or choose a smaller network\n"


@pytest.mark.parametrize("error", [RuntimeError("a mistake of ours"), SystemError("a mistake of ours")])
def test_another_error_keeps_its_traceback(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr("cnnkit.cli.app.app", fail)
    with pytest.raises(type(error), match="of ours"):
        call(capsys, "config", "list")


def test_a_weights_file_that_claims_a_huge_network_is_refused_before_it_is_built(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors, metadata = load_tensors(run / "best.safetensors")
    huge = metadata["config"].replace("channels: [4, 8]", "channels: [9000, 1200]")
    assert huge != metadata["config"]
    save_tensors(run / "best.safetensors", tensors, {**metadata, "config": huge})
    monkeypatch.setattr("cnnkit.experiment.checkpoints.build_model", lambda *_, **__: pytest.fail("built"))
    with pytest.raises(RunError, match="its weights do not fit its configuration"):
        load_weights(run / "best.safetensors")


# --- numbers ----------------------------------------------------------------------------------------

HUGE = (
    "0",
    "1",
    "1e-300",
    "0.999999",
    "1e30",
    "1e39",
    "1e300",
    "1000000000",
    "9223372036854775807",
)
SIZES = ("model.channels", "model.hidden", "training.batch_size", "data.scene")  # a matter of memory
NUMBERS = [
    key
    for key, value in flat(Config()).items()
    if isinstance(value, int | float) and not isinstance(value, bool) and not key.startswith(SIZES)
]


@pytest.mark.parametrize("key", NUMBERS)
def test_an_extreme_number_is_refused_with_its_key_or_works(key: str, tiny: Tiny) -> None:
    told: list[str] = []
    for value in HUGE:
        try:
            config = parse_config(TINY, "tiny", [f"{key}={value}", "training.batch_size=32"])
        except ConfigError as error:
            told.append(str(error))
            continue
        setting = prepare(config)
        training = begin(config, setting.placement, setting.splits)
        steps = EagerSteps(training, setting.splits.train)
        now = steps.begin(1)
        with setting.placement.in_force():
            steps.take(1, 0)
        assert now.losses[0].isfinite()
    assert all(key.rpartition(".")[2] in text for text in told)


@pytest.mark.parametrize("key", ["learning_rate", "weight_decay", "gradient_clip"])
def test_a_factor_beyond_float32_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match=f"training.{key}.*1e\\+38"):
        parse_config(TINY, "tiny", [f"training.{key}=1e39"])


# --- streams, names, links --------------------------------------------------------------------------


def shell(command: str, folder: Path) -> "subprocess.CompletedProcess[bytes]":
    environment = {**os.environ, "CNNKIT": f"{sys.executable} -m cnnkit"}
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, check=False
    )


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of its own")
def test_closed_streams_neither_stop_a_run_nor_get_into_its_files(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY.replace("epochs: 2", "epochs: 1"))
    done = shell("$CNNKIT train --config tiny.yaml --out run <&- >&- 2>&-", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert cnnkit.open_run(tmp_path / "run").result.epochs == 1
    done = shell("$CNNKIT config check nothing.yaml 2>&-", tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")


@posix_names
def test_a_folder_whose_name_is_not_utf_8_holds_a_run_like_any_other(
    tiny_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = os.fsdecode(b"r\xff\xfen")
    for command in (
        ["train", "--config", tiny_file, "--out", name],
        ["eval", name],
        ["report", name],
        ["train", "--resume", name, "--json"],
    ):
        outcome = call(capsys, *command)
        assert outcome.code == 0, outcome.err
    assert "test_accuracy" in json.loads(outcome.out)
    (Path(name) / "report.html").read_text(encoding="utf-8")


HOSTILE = "a\x1b[31m\x9b2J\r\x07\u202eb"
SEEN = r"a\x1b[31m\x9b2J\r\x07\u202eb"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows takes no such names")
@pytest.mark.parametrize(
    "line",
    [
        *("eval {0}", "train {0}.yaml", "predict run {0}.png", "config copy digits {0}.yaml", "report {0}"),
        *(
            "train tiny.yaml --set model.pooling={0}",
            "compare --resume --out {0}",
            "config check {0} tiny.yaml",
        ),
        *("predict run {0}x.png", "train tiny.yaml --set training.epochs=1 -q --out {0}"),
        *("report {0}run", "compare --verify {0}"),
    ],
)
def test_a_terminal_obeys_no_name(
    line: str, run: Path, tiny_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Console, "is_terminal", True)
    Path(HOSTILE + "x.png").write_text("no picture")
    if "{0}run" in line:
        Path(HOSTILE + "run").symlink_to(run)
    outcome = call(capsys, *(word.format(HOSTILE) for word in line.split()))
    assert SEEN in "".join((outcome.out + outcome.err).split("\n"))
    assert not set("\x9b\r\x07\u202e") & set(outcome.out + outcome.err)
    assert "\x1b[31m" not in outcome.out + outcome.err


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_links_in_a_circle_are_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for command in (["eval", "loop"], ["predict", "loop", "a.png"], ["train", "--resume", "loop"]):
        outcome = call(capsys, *command)
        assert outcome.code == 2
        assert "is neither a folder nor a file" in " ".join(outcome.err.split())
    for command in (["report", "loop"], ["probe", "loop"], ["compare", "--resume", "--out", "loop"]):
        outcome = call(capsys, *command)
        assert outcome.code in (1, 2)
        assert outcome.err.startswith("error: loop")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_in_place_of_a_file_is_not_waited_for(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, load in (("best.safetensors", load_tensors), ("state.pt", load_state)):
        (run / name).unlink(missing_ok=True)
        os.mkfifo(run / name)
        with pytest.raises(DamagedFile, match="is no file"):
            load(run / name)
    assert call(capsys, "eval", run).code == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_exit_code_is_that_of_the_signal_that_stopped_it(
    number: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped() -> None:
        with collected():
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)  # the second one stops at once

    monkeypatch.setattr("cnnkit.cli.app.app", lambda **_: stopped())
    assert call(capsys, "config", "list").code == 128 + number


def test_weights_may_be_larger_than_other_kept_files(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cnnkit.kept.LARGEST", 4096)
    for name in ("result.json", "metrics.jsonl", "environment.json"):
        assert (run / name).stat().st_size < 4096 < (run / "best.safetensors").stat().st_size
    assert cnnkit.open_run(run).evaluate().evaluation.images == 360
    cnnkit.open_run(run).resume(progress=False)


def test_a_finished_run_in_a_folder_that_takes_no_files_still_tells_its_result(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("read-only file system")

    monkeypatch.setattr("cnnkit.api.run.alone_at", refuse)
    assert cnnkit.open_run(run).resume(progress=False).epochs == 1


# --- files ------------------------------------------------------------------------------------------


def test_a_number_that_is_not_finite_is_null_in_json() -> None:
    content = {"a": [1.5, float("nan")], "b": {"c": float("-inf")}, "d": (float("inf"), "é", True)}
    assert json.loads(json_text(content)) == {"a": [1.5, None], "b": {"c": None}, "d": [None, "é", True]}
    assert "é" in json_text(content)


def test_equal_weights_are_equal_bytes_whatever_the_order_of_their_metadata(tmp_path: Path) -> None:
    tensors = {"b": torch.arange(3.0), "a": torch.ones(2, 2)}
    words = {f"key{i}": "é" * i for i in range(9)}
    save_tensors(tmp_path / "one", tensors, words)
    save_tensors(tmp_path / "two", dict(reversed(tensors.items())), dict(reversed(words.items())))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    read, metadata = load_tensors(tmp_path / "one")
    assert metadata == words
    assert all(torch.equal(read[name], tensors[name]) for name in tensors)


BAD_EPOCHS: list[dict[str, object]] = [
    *({"best_epoch": best} for best in (0, -1, 2, None, "x", 1.0)),
    *({"history": history} for history in ([], {}, [{"epoch": 2}])),
]


@pytest.mark.parametrize("changes", BAD_EPOCHS)
def test_a_state_whose_epochs_cannot_be_is_refused(
    changes: dict[str, object], run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "result.json").unlink()
    state = load_state(run / "state.pt")
    save_state(run / "state.pt", {**state, "training": {**state["training"], **changes}})
    outcome = call(capsys, "train", "--resume", run)
    assert outcome.code == 1
    assert "holds no state of this training" in " ".join(outcome.err.split())


def a_tensor_changed(path: Path, name: str, value: torch.Tensor) -> None:
    tensors, metadata = load_tensors(path)
    assert name in tensors
    save_tensors(path, {**tensors, name: value}, metadata)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("features.mean", torch.zeros(8)),
        ("features.axes", torch.zeros(16, 8, dtype=torch.float64)),
        ("features.points", torch.zeros(0, 16, dtype=torch.float16)),
        ("features.classes", torch.zeros(3, dtype=torch.uint8)),
        ("features.threshold", torch.tensor(float("nan"))),
        ("features.threshold", torch.ones(2)),
        ("dense.linear2.bias", torch.full((10,), float("nan"))),
        ("dense.linear2.bias", torch.zeros(10, dtype=torch.complex64)),
    ],
)
def test_a_weights_file_with_other_tensors_is_damaged(
    name: str, value: torch.Tensor, run: Path, tmp_path: Path
) -> None:
    file = tmp_path / "alone.safetensors"
    file.write_bytes((run / "best.safetensors").read_bytes())
    assert load_weights(file).familiarity is not None
    a_tensor_changed(file, name, value)
    with pytest.raises(RunError, match="is damaged"):
        load_weights(file)


@pytest.mark.parametrize("change", ["empty", "list", "other", "shape"])
def test_a_state_with_a_valid_checksum_and_another_content_is_refused(
    change: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run / "training_state.pt"
    if not path.exists():
        (path,) = run.glob("*state*")
    (run / "result.json").unlink()
    state = load_state(path)
    changed = {
        "empty": {**state, "training": {}},
        "list": {**state, "training": [1, 2]},
        "other": {**state, "training": {**state["training"], "history": [{"epoch": 1}]}},
        "shape": {**state, "training": {**state["training"], "model": {}}},
    }[change]
    save_state(path, changed)
    outcome = call(capsys, "train", "--resume", run)
    assert outcome.code == 1
    assert "holds no state of this training" in " ".join(outcome.err.split())


def test_prepared_images_with_a_valid_checksum_and_another_content_are_made_again(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    whole = cnnkit.load_images(tiny())
    (prepared,) = tmp_path.rglob("*.safetensors")
    tensors, metadata = load_tensors(prepared)
    for wrong in (
        {},
        {**tensors, "test_labels": tensors["test_labels"] + 7},
        {**tensors, "test_images": tensors["test_images"][:5]},
    ):
        save_tensors(prepared, wrong, metadata)
        assert torch.equal(cnnkit.load_images(tiny()).test.labels, whole.test.labels)


def test_a_trial_is_known_without_hashing_a_hundred_thousand_epochs(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cnnkit.comparison.trial import HASHED_EPOCHS, Trial, shared_hashes

    asked: list[int] = []

    def count(images: int, *_: object) -> list[torch.Tensor]:
        asked.append(images)
        return []

    monkeypatch.setattr("cnnkit.comparison.trial.orders", count)
    config = tiny("training.epochs=100000")
    shared_hashes(Trial("a", config, "data"), prepare(config))
    assert len(asked) == HASHED_EPOCHS
