"""scripts/lesson: the rule of its verdicts, what it measures of a filter, and one claim from end to end."""

import functools
import json
import math
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from support import script_module

import cnnkit
from cnnkit.stats import Interval
from lessons import edges, grid, judged, studies
from lessons.judged import HOLDS, IN_PART, NOT_HERE, Case, Judged
from lessons.orientation import SOBEL, orientation_index, random_filters
from lessons.pooling import max_minus_avg, size_accuracy
from lessons.studies import Workshop, contrast, to_reference

COLUMNS = (slice(0, 36), slice(38, 96), slice(98, None))
CLAIMS = {"quarter", "edges", "dropout", "augmentation", "activation", "tiny-bear", "concat"}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return script_module("lesson")


@pytest.mark.parametrize(
    ("held", "expected"),
    [([True, True], HOLDS), ([True, False], IN_PART), ([False, False], NOT_HERE), ([], NOT_HERE)],
)
def test_a_claim_holds_in_all_cases_in_some_or_in_none(held: list[bool], expected: str) -> None:
    assert judged.verdict(held) == expected


@pytest.mark.parametrize(
    ("low", "high", "bounds", "holds"),
    [
        (0.1, 0.3, {"above": 0}, True),
        (-0.1, 0.3, {"above": 0}, False),
        (-0.3, -0.1, {"above": 0}, False),
        (-0.3, -0.1, {"below": 0}, True),
        (-0.3, 0.1, {"below": 0}, False),
        (-0.4, 0.4, {"above": -0.5, "below": 0.5}, True),
        (-0.6, 0.4, {"above": -0.5, "below": 0.5}, False),
        (-0.4, 0.6, {"above": -0.5, "below": 0.5}, False),
        (None, None, {"above": 0}, False),
    ],
)
def test_a_case_holds_where_its_interval_lies_wholly_on_the_claimed_side(
    low: float | None, high: float | None, bounds: dict[str, float], holds: bool
) -> None:
    assert Case("case", Interval(0.2, low, high), "points", **bounds).holds is holds


def test_a_sobel_filter_is_oriented_and_noise_is_not() -> None:
    noise = orientation_index(random_filters(31)[:100])
    assert float(orientation_index(torch.tensor([SOBEL]))) > 0.5
    assert float(noise.quantile(0.95)) < 0.15


@pytest.mark.parametrize("angle", [0.0, 0.3, math.pi / 4, 1.2])
def test_the_derivative_of_a_round_gaussian_has_an_index_of_a_half_at_every_angle(angle: float) -> None:
    x = torch.arange(-10.0, 11)
    along = x * math.cos(angle) + x[:, None] * math.sin(angle)
    bell = torch.exp(-(x**2 + x[:, None] ** 2) / 8)
    found = orientation_index(torch.stack([along * bell, -3 * along * bell + 5]))
    assert found.tolist() == pytest.approx([0.5, 0.5], abs=2e-3)


def test_a_grating_has_an_index_near_1_a_blob_and_a_constant_0() -> None:
    x = torch.arange(-10.0, 11)
    bell = torch.exp(-(x**2 + x[:, None] ** 2) / 32)
    found = orientation_index(torch.stack([bell * torch.cos(1.5 * x), bell, torch.ones(21, 21)]))
    assert found[0] > 0.95
    assert found[1:].tolist() == pytest.approx([0, 0], abs=1e-6)


def test_differences_of_two_levels_are_scipys_paired_ones() -> None:
    a, b = np.random.default_rng(1).normal(size=(2, 6))
    (found,) = to_reference([dict(enumerate(a)), dict(enumerate(b))], together=4)
    expected = scipy.stats.ttest_rel(b, a).confidence_interval(1 - 0.05 / 4)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.mean == pytest.approx((b - a).mean())


def test_a_level_without_trainings_leaves_the_others_their_intervals() -> None:
    a, b = np.random.default_rng(2).normal(size=(2, 5))
    failed, known = to_reference([dict(enumerate(a)), {}, dict(enumerate(b))], together=2)
    assert not Case("failed", failed, "points", above=-9, below=9).holds
    assert known.mean == pytest.approx((b - a).mean())


def test_a_contrast_is_taken_seed_by_seed_over_the_seeds_that_all_have() -> None:
    assert contrast((1, {0: 5.0, 1: 7.0, 2: 9.0}), (-2, {1: 1.0, 2: 2.0})) == [5, 5]
    assert studies.interval(contrast((1, {0: 1.0}), (-1, {})), 1).low is None


def test_stride_leaves_a_quarter_of_an_even_grid_and_less_of_an_odd_one() -> None:
    assert grid.share_left(28) == 25
    assert grid.share_left(7) == pytest.approx(100 * 9 / 49)


@pytest.mark.usefixtures("trials_here")
def test_differences_at_each_size_average_to_the_difference_of_the_accuracies(tiny_file: Path) -> None:
    scenes = {
        "source": "digits",
        "size": 16,
        "object_sizes": [8, 12],
        "train_images": 200,
        "test_images": 200,
    }
    overrides = {"data": {"dataset": "small-object", "validation": 0, "scene": scenes}, "runtime.threads": 1}
    heads = ["max", "avg"]
    runs = Workshop(Path("kept"), workers=1).compare("heads", tiny_file, overrides, {"model.head": heads}, 2)
    cases = max_minus_avg(runs, heads, "head", together=2)
    assert [case.name for case in cases] == ["head, 8 pixels", "head, 12 pixels"]
    highest, average = (runs.of(head, studies.test_accuracy) for head in heads)
    expected = np.mean(contrast((1, highest), (-1, average)))
    assert np.mean([case.interval.mean for case in cases]) == pytest.approx(expected)


def test_accuracy_by_size_counts_the_images_of_that_size() -> None:
    labels, predicted = np.array([1, 1, 2, 2, 3, 3]), np.array([1, 0, 2, 0, 3, 3])
    data = SimpleNamespace(object_sizes=(8, 12), info=SimpleNamespace(classes=10))
    folder = SimpleNamespace(predicted=lambda classes: predicted)
    run: Any = SimpleNamespace(config=SimpleNamespace(data=data), folder=folder)
    assert size_accuracy(labels, 8)(run) == 100
    assert size_accuracy(labels, 12)(run) == pytest.approx(100 / 3)


def test_every_claim_can_be_picked_and_no_other(
    script: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert set(script.CLAIMS) == CLAIMS
    options = script.parse(["--quick", "--claim", "edges", "--claim", "concat"])
    assert (options.quick, options.claim, options.json) == (True, ["edges", "concat"], None)
    with pytest.raises(SystemExit):
        script.parse(["--claim", "smells"])
    assert "invalid choice: 'smells'" in capsys.readouterr().err


def test_an_interval_that_is_not_known_is_kept_as_null(script: ModuleType) -> None:
    row = Judged("name", "claim", "setting", "told", [Case("case", studies.UNKNOWN, "points", above=0)])
    (kept,) = json.loads(script.as_json([row], quick=True))["claims"]
    assert kept["cases"][0]["interval"] == {"mean": None, "low": None, "high": None}
    assert (kept["verdict"], kept["held"]) == (NOT_HERE, [False])


@pytest.mark.usefixtures("trials_here")
def test_a_claim_from_end_to_end_is_measured_on_kept_runs_and_trains_nothing_twice(
    script: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    tiny_file: Path,
) -> None:
    load = cnnkit.load_config
    monkeypatch.setattr(
        cnnkit, "load_config", lambda _, overrides: load(tiny_file, {**overrides, "runtime.threads": 1})
    )
    monkeypatch.setitem(script.CLAIMS, "edges", functools.partial(edges.judge, epochs=(1, 2)))
    command = ["--quick", "--claim", "edges", "--json", "told.json", "--out", "kept", "--workers", "1"]
    assert script.main(command) == 0
    (told,) = json.loads(Path("told.json").read_text(encoding="utf-8"))["claims"]
    trials = [cnnkit.open_run(path) for path in sorted(Path("kept/quick/edges/trials").iterdir())]
    gains = [
        float((after - before).mean())
        for run in trials
        for after, before in [edges.indices(run)]
        if run.config.training.epochs == 2
    ]
    assert told["cases"][1]["interval"]["mean"] == pytest.approx(np.mean(gains))
    assert len(trials) == 6
    lines = capsys.readouterr().out.splitlines()[1:]
    columns = [" ".join(line[at].strip() for line in lines).strip() for at in COLUMNS]
    assert columns[:2] == ["The first layers find edges (edges)", told["told"]]
    assert columns[2].startswith(told["verdict"])

    monkeypatch.setattr("cnnkit.comparison.local.LocalExecutor.run", pytest.fail, raising=False)
    monkeypatch.setattr("support.run_trial", pytest.fail)
    again = edges.judge(Workshop(tmp_path / "kept", quick=True, workers=1), (1, 2))
    assert again.told == told["told"]


def test_the_initial_filters_of_a_run_are_those_that_it_was_trained_from() -> None:
    config = cnnkit.load_config("digits")
    first, again = (edges.first_filters(cnnkit.build_model(config)) for _ in range(2))
    assert first.shape == (32, 3, 3)
    assert torch.equal(first, again)
