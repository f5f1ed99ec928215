"""Trials on a Ray cluster: the same results, though a node dies midway."""

import importlib.util
import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import call
from test_comparison import run, study_of, without_timing
from test_own_pooling import GOOD

from cnnkit.comparison.runner import run_study
from cnnkit.comparison.study import plan_study
from cnnkit.comparison.trial import Trial
from cnnkit.config.own_code import trust_values
from cnnkit.config.runtime import RuntimeConfig
from cnnkit.config.schema import Config
from cnnkit.errors import Interrupted, UsageError
from cnnkit.events import StudyEvent, TrialDone
from cnnkit.filenames import TRIALS

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed"),
    pytest.mark.filterwarnings("ignore"),  # Ray's own
]
Tiny = Callable[..., Config]
# How soon a node that is silent is given up: Ray's own half a minute is long for a test.
IMPATIENCE = {"initial_delay_ms": 0, "period_ms": 500, "timeout_ms": 500, "failure_threshold": 3}


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Two nodes of one core each on this machine; the second can be killed."""
    from ray.cluster_utils import Cluster

    impatient = {f"health_check_{name}": value for name, value in IMPATIENCE.items()}
    head = {"num_cpus": 1, "include_dashboard": False, "_system_config": impatient}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.second = cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


def test_a_cluster_that_loses_a_node_midway_gives_the_same_results(
    tiny: Tiny, tmp_path: Path, cluster: Any
) -> None:
    from cnnkit.comparison.on_ray import RayExecutor, ray_cluster

    lost = threading.Event()

    def lose_a_node(event: StudyEvent) -> None:
        if isinstance(event, TrialDone) and not lost.is_set():
            cluster.remove_node(cluster.second, allow_graceful=False)
            lost.set()

    study, folder = study_of(tiny, 2), tmp_path / "ray"
    with ray_cluster(cluster.address):
        found = run_study(study, folder, RayExecutor(folder / TRIALS), lose_a_node)
    assert lost.is_set()
    assert [trial.error for trial in found.trials] == [None] * 4
    assert without_timing(found) == without_timing(run(study_of(tiny, 2), tmp_path / "local"))


def test_a_worker_of_a_cluster_gets_own_code_by_itself(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its processes know neither the file nor the person who trusts it; what they kept comes back."""
    from cnnkit.comparison.on_ray import RayExecutor, ray_cluster

    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(GOOD)
    trust_values({"model.pooling": ["own.py:Quantile"]})
    study, folder = study_of(tiny, 1, ["max", "own.py:Quantile"]), tmp_path / "ray"
    Path("own.py").unlink()
    with ray_cluster(None):
        found = run_study(study, folder, RayExecutor(folder / TRIALS))
    assert [trial.error for trial in found.trials] == [None] * 2
    assert [path.read_text() for path in folder.glob("trials/*/own/own.py")] == [GOOD]


def test_a_trial_that_is_stopped_is_tried_again_and_not_a_failure(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cnnkit.comparison import on_ray

    def stopped(*_: object) -> None:
        raise Interrupted("stopped and saved", 15)

    monkeypatch.setattr(on_ray, "run_trial", stopped)
    with pytest.raises(on_ray.Stopped):
        on_ray._train_somewhere(Trial("max", tiny(), "data"), ())  # type: ignore[arg-type]


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
