"""TensorBoard's files are read back, and MLflow is a real server that is killed while it is told."""

import contextlib
import importlib.util
import json
import math
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from support import SIGKILL, Tiny, posix_signals

from cnnkit.api.functions import train
from cnnkit.api.run import Run
from cnnkit.config.load import config_text
from cnnkit.events import EpochRecord, Note
from cnnkit.experiment.manifest import damage_of, read_manifest
from cnnkit.filenames import CONFIG
from cnnkit.tracking import delivery

LONGEST_START = 180.0  # seconds of a server on a busy machine


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, all that can be delivered is."""
    monkeypatch.setattr(delivery, "QUIET", 150.0)
    monkeypatch.setattr(delivery, "LONGEST", 150.0)


def without(library: str, extra: str) -> Any:
    """Skips a test where a library is missing; it is imported in no process of the tests."""
    missing = importlib.util.find_spec(library) is None
    return pytest.mark.skipif(missing, reason=f"needs {extra}")


tensorboard = without("tensorboard", "the extra tensorboard")
server_there = without("flask", "mlflow with its server: pip install mlflow")


def steps(folder: Path) -> dict[str, list[int]]:
    """By the name of a number, its steps in TensorBoard's files of a run directory."""
    loaded = events(folder)
    return {name: [event.step for event in loaded.Scalars(name)] for name in loaded.Tags()["scalars"]}


def events(folder: Path) -> Any:
    sys.modules.setdefault("tensorboard.compat.notf", type(sys)("tensorboard.compat.notf"))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    loaded = EventAccumulator(str(folder / "tb"), size_guidance={"images": 0, "scalars": 0, "tensors": 0})
    loaded.Reload()
    return loaded


@tensorboard
def test_tensorboards_files_hold_what_was_measured(tiny: Tiny) -> None:
    from PIL import Image

    run = train(tiny("tracking=[tensorboard]"), "run", progress=False)
    loaded = events(run.path)
    assert [event.value for event in loaded.Scalars("loss/val")] == pytest.approx(
        [record.val_loss for record in run.metrics]
    )
    assert [event.value for event in loaded.Scalars("images_per_second")] == pytest.approx(
        [record.images_per_second for record in run.metrics]
    )
    (tested,) = loaded.Scalars("test/accuracy")
    assert (tested.value, tested.step) == (pytest.approx(run.result.test_accuracy), 2)
    assert sorted(loaded.Tags()["images"]) == ["confusion", "filters"]
    for name in ("confusion", "filters"):
        (drawn,) = loaded.Images(name)
        picture = Image.open(BytesIO(drawn.encoded_image_string))
        assert picture.size == (drawn.width, drawn.height)
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    content = loaded.PluginTagToContent("hparams")["_hparams_/session_start_info"]
    kept = HParamsPluginData.FromString(content).session_start_info.hparams
    assert kept["training.learning_rate"].number_value == 0.01
    assert kept["model.pooling"].string_value == "max"
    manifest = read_manifest(run.path)
    assert manifest is not None
    assert not [name for name in manifest.files if "tb" in name or "tracked" in name]
    assert damage_of(run.path) == []


@tensorboard
def test_tensorboard_goes_on_without_doubled_epochs(tiny: Tiny, tmp_path: Path) -> None:
    reached: list[int] = []

    def stop(event: object) -> None:
        if isinstance(event, EpochRecord):
            reached.append(event.epoch)
            if event.epoch == 2:
                raise KeyboardInterrupt

    config = tiny("tracking=[tensorboard]", "training.epochs=4")
    with pytest.raises(KeyboardInterrupt):
        train(config, "run", progress=stop)
    assert steps(tmp_path / "run")["loss/train"] in ([1], [1, 2])
    Run(Path("run")).resume(progress=False)
    assert steps(tmp_path / "run")["loss/train"] == [1, 2, 3, 4]
    assert steps(tmp_path / "run")["test/accuracy"] == [4]


@tensorboard
def test_a_tracker_that_is_added_later_is_told_of_all_epochs(tiny: Tiny, tmp_path: Path) -> None:

    def stop(event: object) -> None:
        if isinstance(event, EpochRecord):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tiny(), "run", progress=stop)
    Run(Path("run")).resume(progress=False, track=["tensorboard"])
    assert steps(tmp_path / "run")["loss/train"] == [1, 2]
    assert (tmp_path / "run" / CONFIG).read_text() == config_text(tiny())


IMPORTS = """
import sys
import cnnkit
config = cnnkit.load_config(sys.argv[1], {"tracking": sys.argv[2:]})
run = cnnkit.train(config, "run", progress=False)
print([name for name in sys.modules if name.partition(".")[0] in ("tensorboard", "mlflow")])
print([name for name in ("cnnkit.tracking.told", "cnnkit.report.filters") if name in sys.modules])
"""


@pytest.mark.parametrize("names", [[], ["tensorboard"]])
def test_no_tracker_is_imported_by_the_training_and_nothing_at_all_unasked(
    names: list[str], tiny_file: Path
) -> None:
    printed = subprocess.run(
        [sys.executable, "-c", IMPORTS, str(tiny_file), *names], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert printed[0] == "[]"
    assert (printed[1] == "[]") == (not names)


class Server:
    """`mlflow server` on the loopback address. client: a client of it, in a process of its own."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address, self.folder = f"http://127.0.0.1:{self.port}", folder
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        folder = self.folder
        folder.mkdir(exist_ok=True)
        stores = [
            "--backend-store-uri",
            f"sqlite:///{folder}/a.db",
            "--artifacts-destination",
            str(folder / "files"),
        ]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--port", str(self.port), "--workers", "1", *stores],
            start_new_session=True,  # what it starts is killed with it; preexec_fn can block beside threads
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        latest = time.monotonic() + LONGEST_START
        while time.monotonic() < latest:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{self.address}/health", timeout=5).close()
                return
            time.sleep(0.2)
        raise AssertionError("the server does not answer")

    def kill(self) -> None:
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, SIGKILL)
            self.process.wait()

    def ask(self, path: str, **content: Any) -> dict[str, Any]:
        """An answer of MLflow's REST API."""
        where, data = (
            f"{self.address}/api/2.0/mlflow/{path}",
            json.dumps(content).encode() if content else None,
        )
        request = urllib.request.Request(where, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return dict(json.load(answer))

    def runs(self) -> list[dict[str, Any]]:
        found = self.ask("experiments/get-by-name?experiment_name=cnnkit")["experiment"]["experiment_id"]
        runs: list[dict[str, Any]] = self.ask("runs/search", experiment_ids=[found])["runs"]
        return runs

    def steps(self, run: str, name: str) -> list[int]:
        told = self.ask(f"metrics/get-history?run_id={run}&metric_key={name}")
        return sorted(metric.get("step", 0) for metric in told.get("metrics", []))


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server(tmp_path / "server")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")  # on a busy machine it may take long
    monkeypatch.setenv("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")  # none is needed
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    try:
        server.start()
        yield server
    finally:
        server.kill()


@server_there
@posix_signals
@pytest.mark.slow
def test_a_server_that_is_killed_in_the_middle_stops_no_training_and_is_told_the_rest_later(
    server: Server, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "SHARE", math.inf)  # at once, not after minutes
    heard: list[str] = []

    def listen(event: object) -> None:
        if isinstance(event, Note):
            heard.append(event.text)
        if isinstance(event, EpochRecord) and event.epoch == 2:
            _wait_until(lambda: 1 in server.steps(server.runs()[0]["info"]["run_id"], "loss/train"))
            server.kill()
        if isinstance(event, EpochRecord) and event.epoch == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tiny("tracking=[mlflow]", "training.epochs=6"), "run", progress=listen)
    of_tracker = [note for note in heard if note.startswith("mlflow: ")]
    assert len(of_tracker) == 2
    assert "the training goes on" in of_tracker[0]
    assert "could not be delivered" in of_tracker[1]
    server.start()
    run = Run(Path("run"))
    run.resume(progress=False)
    (kept,) = server.runs()
    name = kept["info"]["run_id"]
    assert server.steps(name, "loss/train") == [1, 2, 3, 4, 5, 6]
    assert server.steps(name, "test/accuracy") == [6]
    assert kept["info"]["status"] == "FINISHED"
    assert kept["info"]["run_name"] == "run"
    parameters = {one["key"]: one["value"] for one in kept["data"]["params"]}
    assert (parameters["model.pooling"], parameters["model.channels"]) == ("max", "[4, 8]")
    numbers = {one["key"]: one["value"] for one in kept["data"]["metrics"]}
    assert numbers["test/accuracy"] == run.result.test_accuracy
    assert numbers["loss/val"] == run.metrics[-1].val_loss
    pictures = server.ask(f"artifacts/list?run_id={name}&path=pictures")["files"]
    assert [file["path"] for file in pictures] == ["pictures/confusion.png", "pictures/filters.png"]


def _wait_until(holds: Any) -> None:
    latest = time.monotonic() + LONGEST_START
    while time.monotonic() < latest:
        with contextlib.suppress(OSError, LookupError):
            if holds():
                return
        time.sleep(0.2)
    raise AssertionError("the tracker was not told in time")
