"""Trials on a Ray cluster: the same results, though a node dies midway."""

import contextlib
import importlib.util
import pickle
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import Here, call
from test_comparison import without_timing

from cnnkit.comparison.runner import run_study
from cnnkit.comparison.study import plan_study
from cnnkit.comparison.trial import Trial
from cnnkit.config.own_code import trust_values
from cnnkit.config.runtime import RuntimeConfig
from cnnkit.config.schema import Config
from cnnkit.errors import GpuFailed, Interrupted, UsageError
from cnnkit.filenames import BEST, PREDICTIONS, TRIALS

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed"),
    pytest.mark.filterwarnings("ignore"),  # Ray's own
]
Tiny = Callable[..., Config]
# How soon a node that is silent is given up: Ray's own half a minute is long for a test.
HELPERS = ("metrics_agent", "dashboard_agent_listen", "runtime_env_agent")
IMPATIENCE = {"initial_delay_ms": 0, "period_ms": 500, "timeout_ms": 2000, "failure_threshold": 5}


CAUGHT = """
import sys
import time
from pathlib import Path

from torch import nn

HERE = Path({here!r})
ray = sys.modules.get("ray")
if ray and ray.is_initialized() and ray.get_runtime_context().get_node_id() == (HERE / "node").read_text():
    (HERE / "caught").touch()
    time.sleep(600)  # until the node is killed


class Quantile(nn.Module):
    def __init__(self, k, q: float = 0.5):
        super().__init__()
        self.k, self.q = k, q

    def forward(self, maps):
        cells = maps.unfold(2, self.k, self.k).unfold(3, self.k, self.k).flatten(4)
        return cells.quantile(self.q, -1)
"""


def small_node() -> dict[str, Any]:
    """One core and few helpers, at known ports: Ray waits 15 s for others, too little on a busy machine."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("", 0))) for _ in HELPERS]
        ports = {f"{name}_port": one.getsockname()[1] for name, one in zip(HELPERS, sockets, strict=True)}
    return {"num_cpus": 1, "include_log_monitor": False, **ports}


def started(start: Callable[[], Any]) -> Any:
    """Tries again where a node does not come up within Ray's 30 s."""
    for _ in range(2):
        with contextlib.suppress(Exception):
            return start()
    return start()


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Three nodes of one core each on this machine."""
    from ray.cluster_utils import Cluster

    impatient = {f"health_check_{name}": value for name, value in IMPATIENCE.items()}
    head = {"include_dashboard": False, "no_monitor": True, "_system_config": impatient}
    cluster = started(lambda: Cluster(initialize_head=True, head_node_args={**small_node(), **head}))
    cluster.others = [started(lambda: cluster.add_node(**small_node())) for _ in range(2)]
    yield cluster
    cluster.shutdown()


@pytest.mark.slow
def test_a_cluster_of_three_that_loses_a_node_in_the_middle_of_a_trial_gives_the_same_results(
    tiny: Tiny, tmp_path: Path, cluster: Any
) -> None:
    """The pooling is a person's own: it reaches the nodes by Ray, and there stops the node that is killed."""
    from cnnkit.comparison.on_ray import RayExecutor, ray_cluster

    def kill_when_caught() -> None:
        while not (tmp_path / "caught").exists():
            if ended.wait(0.1):
                return
        cluster.remove_node(victim, allow_graceful=False)

    code = CAUGHT.format(here=str(tmp_path))
    (tmp_path / "my_pool.py").write_text(code)
    named = f"{tmp_path / 'my_pool.py'}:Quantile"
    levels = [{"name": named, "q": 0.5}, {"name": named, "q": 0.9}]
    trust_values({"model.pooling": levels})
    victim, ended = cluster.others[0], threading.Event()
    (tmp_path / "node").write_text(victim.node_id)
    study, folder = plan_study(tiny("training.epochs=1"), "model.pooling", levels, 2), tmp_path / "ray"
    (tmp_path / "my_pool.py").unlink()  # the nodes get what was read
    thread = threading.Thread(target=kill_when_caught)
    thread.start()
    try:
        with ray_cluster(cluster.address):
            found = run_study(study, folder, RayExecutor(folder / TRIALS))
    finally:
        ended.set()
        thread.join()
    assert (tmp_path / "caught").exists()
    assert [trial.error for trial in found.trials] == [None] * 4
    assert [path.read_text() for path in folder.glob("trials/*/own/my_pool.py")] == [code] * 4
    local = tmp_path / "local"
    assert without_timing(found) == without_timing(run_study(study, local, Here(local / TRIALS)))
    for file in [path for name in (BEST, PREDICTIONS) for path in (local / TRIALS).glob(f"*/{name}")]:
        assert (folder / file.relative_to(local)).read_bytes() == file.read_bytes()


def test_a_trial_that_is_stopped_is_tried_again_and_not_a_failure(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cnnkit.comparison import on_ray

    def stopped(*_: object) -> None:
        raise Interrupted("stopped and saved", 15)

    monkeypatch.setattr(on_ray, "run_trial", stopped)
    with pytest.raises(on_ray.Stopped):
        on_ray._train_somewhere(Trial("max", tiny(), "data"), ())  # type: ignore[arg-type]


def test_a_process_whose_gpu_failed_ends_and_leaves_nothing(
    tiny: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray then tries the trial again in a new process; this one can no longer use the GPU."""
    from cnnkit.comparison import on_ray

    def lost(*_: object) -> None:
        raise GpuFailed("the GPU failed")

    def leave(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(on_ray, "run_trial", lost)
    monkeypatch.setattr("os._exit", leave)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(SystemExit):
        on_ray._train_somewhere(Trial("max", tiny(), "data"), ())  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_stopped_trial_survives_the_way_to_the_other_process() -> None:
    from cnnkit.comparison.on_ray import Stopped

    assert str(pickle.loads(pickle.dumps(Stopped("why")))) == "why"


def test_where_a_trial_runs_elsewhere_device_and_precision_stay_as_configured(tiny: Tiny) -> None:
    """Not even a device that this machine lacks is refused."""
    base = tiny("runtime={device: cuda:7, precision: auto}")
    study = plan_study(base, "model.pooling", ["max", "avg"], 2, here=False)
    assert {(c.runtime.device, c.runtime.precision) for _, c in study.trials()} == {("cuda:7", "auto")}
    with pytest.raises(UsageError, match="CUDA device"):
        plan_study(base, "model.pooling", ["max", "avg"], 2)


@pytest.mark.parametrize(
    ("device", "cluster_has_gpus", "gpus"),
    [("auto", 1, 1), ("auto", 0, 0), ("cpu", 1, 0), ("cuda", 0, 1)],
)
def test_auto_takes_a_gpu_where_the_cluster_has_any(device: str, cluster_has_gpus: int, gpus: int) -> None:
    from cnnkit.comparison.on_ray import _resources

    taken = _resources(RuntimeConfig(device=device, threads=2), cluster_has_gpus)
    assert taken == {"num_cpus": 2, "num_gpus": gpus}


def test_nobody_at_the_address_is_told_before_anything_is_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    options = ["--seeds", 2, "--executor", "ray", "--ray-address", "127.0.0.1:1"]
    told = call(capsys, "compare-pooling", "--config", "digits", "--out", tmp_path / "study", *options)
    assert told.code == 2
    assert "no Ray cluster answers at 127.0.0.1:1" in told.err
    assert not (tmp_path / "study").exists()


def test_without_ray_the_message_says_how_to_get_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    told = call(
        capsys, "compare-pooling", "--config", "digits", "--executor", "ray", "--out", tmp_path / "study"
    )
    assert told.code == 2
    assert "pip install 'cnnkit[ray]'" in told.err
    assert not (tmp_path / "study").exists()
