"""Trials on a Ray cluster: the same results, though a node dies midway."""

import importlib.util
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import call
from test_comparison import run, study_of, without_timing

from cnnkit.comparison.runner import run_study
from cnnkit.config.schema import Config
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

    study, folder = study_of(tiny, 4), tmp_path / "ray"
    with ray_cluster(cluster.address):
        found = run_study(study, folder, RayExecutor(folder / TRIALS), lose_a_node).to_dict()
    assert lost.is_set()
    assert [trial.error for trial in found.trials] == [None] * 8
    assert without_timing(found) == without_timing(run(study_of(tiny, 4), tmp_path / "local"))


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
