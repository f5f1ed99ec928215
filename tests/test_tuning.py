"""Tuning: the same points for every level, chosen on validation images, without a look at the test split."""

import sys
from collections.abc import Iterator, Sequence
from math import log
from pathlib import Path
from typing import Any

import pytest
from support import Tiny, keep_json, kept_json

from cnnkit.comparison.local import LocalExecutor
from cnnkit.comparison.trial import Trial, data_hash, run_trial
from cnnkit.comparison.tuning import (
    PointResult,
    Tuning,
    best_point,
    kept_point,
    plan_tuning,
    seed_for_tuning,
    with_settings,
)
from cnnkit.comparison.tuning_trials import missing_trials, tuned_levels, tuning_trials
from cnnkit.comparison.widths import cost_of
from cnnkit.config.load import load_config, shipped_configs
from cnnkit.config.ranges import DEFAULT_KEYS, TUNABLE, Range
from cnnkit.config.schema import Config
from cnnkit.data.dataset import Published
from cnnkit.data.prepare import load_data
from cnnkit.errors import UsageError
from cnnkit.experiment.run_dir import create_run
from cnnkit.experiment.train import run_experiment
from cnnkit.families.optimizers import OPTIMIZERS
from cnnkit.filenames import CONFIG, FAILURE, LOCK, RESULT
from cnnkit.files import write_json
from cnnkit.kept import sealed
from cnnkit.stats import MOST_SEEDS

RATE, DECAY = "training.learning_rate", "training.weight_decay"


class Poison:
    """Images that nobody may look at."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"the test split was asked for {name}")


def ends(values: Range) -> Sequence[float]:
    return values.choices or (values.low, values.high)


def planned(config: Config, count: int = 4, keys: Sequence[str] = DEFAULT_KEYS) -> Tuning:
    return plan_tuning(count, keys, [config], ["model.pooling"])


def levels(tiny: Tiny) -> dict[str, Config]:
    return {name: tiny(f"model.pooling={name}", "runtime.threads=1") for name in ("max", "avg")}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", shipped_configs())
def test_every_value_that_may_be_tried_is_valid_and_costs_nothing(name: str, optimizer: str) -> None:
    config = load_config(name, [f"training.optimizer={optimizer}"])
    for key, tunable in TUNABLE.items():
        for value in ends(tunable.range(config)):
            assert cost_of(with_settings(config, {key: value})) == cost_of(config)


@pytest.mark.parametrize("rate", [1e-30, 0.005, 5e37])
def test_learning_rates_lie_around_the_configured_one(tiny: Tiny, rate: float) -> None:
    config = tiny(f"{RATE}={rate}")
    values = TUNABLE[RATE].range(config)
    assert values.log
    assert (values.low, values.high) == (rate / 10, min(10 * rate, 1e38))
    assert all(values.low <= point[RATE] <= values.high for point in planned(config, 8).points)


def test_batches_are_no_larger_than_half_of_the_images(tiny: Tiny) -> None:
    config = tiny("training.batch_size=512")
    assert TUNABLE["training.batch_size"].range(config).choices == (
        128,
        256,
        512,
        config.data.train_images // 2,
    )


def test_the_first_point_is_the_configuration_itself(tiny: Tiny) -> None:
    keys = list(TUNABLE)
    config = tiny("training.optimizer=sgd", "training.schedule=step", "training.momentum=0.123")
    tuning = planned(config, 5, keys)
    assert tuning.keys == keys
    assert with_settings(config, tuning.points[0]) == config
    assert len(tuning.points) == 5
    assert all(list(point) == keys for point in tuning.points)


def test_the_points_fill_a_range_evenly(tiny: Tiny) -> None:
    """Of 8 points there is one in each eighth of the range: chance alone would do that in 1 of 400 cases."""
    for seed in range(5):
        config = tiny(f"training.seed={seed}")
        low = TUNABLE[RATE].range(config).low
        drawn = [point[RATE] for point in planned(config, 9).points[1:]]
        assert sorted(int(8 * log(rate / low, 100)) for rate in drawn) == [*range(8)]


def test_equal_seeds_draw_equal_points_and_other_seeds_others(tiny: Tiny) -> None:
    first, again, other = (planned(tiny(f"training.seed={seed}"), 6, [RATE, DECAY]) for seed in (0, 0, 1))
    assert first == again
    assert first.points[0] == other.points[0]
    assert not any(point in other.points for point in first.points[1:])


def test_no_point_is_tried_twice(tiny: Tiny) -> None:
    tuning = planned(tiny(), 30, ["training.weight_averaging"])
    assert sorted(point["training.weight_averaging"] for point in tuning.points) == [0.0, 0.9, 0.99, 0.999]


@pytest.mark.parametrize("first", [0, 5, 2**63 - MOST_SEEDS, 2**63 - 2])
def test_the_seed_of_tuning_is_valid_and_never_one_of_the_studys(tiny: Tiny, first: int) -> None:
    seed = seed_for_tuning(first)
    assert seed not in range(first, min(first + MOST_SEEDS, 2**63))
    assert with_settings(tiny(), {"training.seed": seed}).training.seed == seed


@pytest.mark.parametrize(
    ("count", "keys", "setting", "told"),
    [
        (1, [RATE], "", "--tune 1: expected 2 to 1,000 points"),
        (1001, [RATE], "", "--tune 1001"),
        (4, [], "", "name a key or more: training.learning_rate, "),
        (4, ["learning_rate"], "", "no such key; did you mean 'training.learning_rate'?"),
        (4, ["training.weight_dekay"], "", "did you mean 'training.weight_decay'?"),
        (4, ["model.hidden"], "", "model.hidden: it is not a key to tune; expected training.learning_rate"),
        (4, ["training"], "", "training: it is not a key to tune"),
        (4, ["xyzzy"], "", "there is no such key; expected training.learning_rate"),
        (4, ["model.pooling"], "", "model.pooling: it is what is compared"),
        (4, ["training.momentum"], "", "training.momentum: nothing uses it"),
        (4, [RATE, "training.gamma"], "", "training.gamma: nothing uses it"),
        (4, [RATE], "data.validation=0", "set data.validation"),
    ],
)
def test_what_cannot_be_tuned_is_refused_with_a_reason(
    tiny: Tiny, count: int, keys: list[str], setting: str, told: str
) -> None:
    with pytest.raises(UsageError) as refused:
        planned(tiny(*filter(None, [setting])), count, keys)
    assert told in str(refused.value)


def test_a_key_that_one_level_uses_can_be_tuned(tiny: Tiny) -> None:
    configs = [tiny(f"training.optimizer={name}") for name in ("adam", "sgd")]
    keys = ["training.momentum"]
    assert len(plan_tuning(3, keys, configs, ["training.optimizer"]).points) == 3


def test_without_optuna_the_message_says_how_to_get_it(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError, match=r"pip install 'cnnkit\[tune\]'"):
        planned(tiny())


def test_a_tuning_trial_measures_what_a_run_measures_and_never_asks_for_a_test_image(
    tiny: Tiny, tmp_path: Path
) -> None:
    config = tiny("training.epochs=3", "training.seed=1000", "model.dropout=0.3", "data.crop=1")
    published = load_data(config.data)
    poisoned = Published(published.train, Poison())  # type: ignore[arg-type]
    trial = Trial("max", config, "data", validation_only=True)
    run_trial(trial, tmp_path / "tuning", poisoned)
    found = kept_point(tmp_path / "tuning", trial.id)
    run = run_experiment(config, create_run(config, "tiny", tmp_path / "run"))
    assert found is not None
    assert (found.val_accuracy, found.val_loss) == (run.val_accuracy, run.val_loss)
    assert found.best_epoch == run.best_epoch
    assert {path.name for path in (tmp_path / "tuning").iterdir()} == {CONFIG, RESULT}


def test_worker_processes_run_the_missing_trials_alone_and_a_level_gets_the_best_of_its_points(
    tiny: Tiny, tmp_path: Path
) -> None:
    configs = levels(tiny)
    published = load_data(configs["max"].data)
    tuning = Tuning([RATE], 1000, [{RATE: 0.01}, {RATE: 1e38}])
    trials = tuning_trials(tuning, configs, data_hash(published))
    missing = missing_trials(trials, tmp_path)
    assert [(t.level, t.config.training.learning_rate) for t in missing] == [
        *(("max", 0.01), ("avg", 0.01), ("max", 1e38), ("avg", 1e38))
    ]
    assert {t.seed for t in missing} == {1000}
    outcomes = list(LocalExecutor(tmp_path).run(missing, published))
    failed = [outcome.trial for outcome in outcomes if outcome.error]
    assert {(t.level, t.config.training.learning_rate) for t in failed} == {("max", 1e38), ("avg", 1e38)}
    assert all((tmp_path / trial.folder / FAILURE).is_file() for trial in failed)
    assert missing_trials(trials, tmp_path) == [trials["max"][1], trials["avg"][1]]
    for tuned in tuned_levels(tuning, trials, tmp_path).values():
        assert (tuned.point, tuned.settings, tuned.gain) == (0, {RATE: 0.01}, 0)
        assert tuned.val_accuracies[1] is None
    assert {path.name for path in (tmp_path / trials["max"][0].folder).iterdir()} == {CONFIG, RESULT, LOCK}


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Path]:
    write_json(tmp_path / RESULT, sealed(PointResult("abc", 0.9, 0.3, 2, 1.5).to_dict()))
    assert kept_point(tmp_path, "abc") == PointResult("abc", 0.9, 0.3, 2, 1.5)
    return tmp_path


def test_a_damaged_or_foreign_result_is_trained_again(kept: Path) -> None:
    assert kept_point(kept, "abd") is None
    whole = kept_json(kept / RESULT)
    keep_json(kept / RESULT, {**whole, "val_accuracy": "high"})
    assert kept_point(kept, "abc") is None
    write_json(kept / RESULT, {**whole, "val_accuracy": 0.99, "checksum": "0"})
    assert kept_point(kept, "abc") is None


def point(accuracy: float, loss: float) -> PointResult:
    return PointResult("id", accuracy, loss, 1, 1.0)


@pytest.mark.parametrize(
    ("results", "chosen", "gain"),
    [
        ([point(0.9, 0.3), point(0.95, 0.4), point(0.92, 0.1)], 1, 0.05),
        ([point(0.9, 0.3), point(0.9, 0.2), point(0.9, 0.25)], 1, 0.0),  # equal accuracies: the least loss
        ([point(0.9, 0.3), point(0.9, 0.3), point(0.8, 0.1)], 0, 0.0),  # all equal: nothing is changed
        ([None, point(0.1, 2.3), None], 1, None),
        ([None, None, None], 0, None),
    ],
)
def test_the_best_point_is_of_the_best_validation_accuracy_then_of_the_least_loss(
    results: Sequence[PointResult | None], chosen: int, gain: float | None
) -> None:
    tuning = Tuning([RATE], 1000, [{RATE: rate} for rate in (0.1, 0.2, 0.3)])
    tuned = best_point(tuning, results)
    assert (tuned.point, tuned.settings) == (chosen, tuning.points[chosen])
    assert tuned.gain == (None if gain is None else pytest.approx(gain))
    assert tuned.val_accuracies == [result and result.val_accuracy for result in results]


def test_a_level_that_is_worse_only_at_the_others_learning_rate_gets_its_own(
    tiny: Tiny, tmp_path: Path
) -> None:
    best = {"max": 0.01, "avg": 0.05}  # planted
    tuning = planned(tiny(), 16)
    trials = tuning_trials(tuning, levels(tiny), "data")
    for level, of_level in trials.items():
        for trial in of_level:
            accuracy = 0.99 - abs(trial.config.training.learning_rate - best[level])
            result: dict[str, Any] = PointResult(trial.id, accuracy, 1.0, 1, 1.0).to_dict()
            write_json(tmp_path / trial.folder / RESULT, sealed(result))
    tuned = tuned_levels(tuning, trials, tmp_path)
    assert missing_trials(trials, tmp_path) == []
    assert tuned["max"].settings == {RATE: 0.01}
    nearest = min((p[RATE] for p in tuning.points), key=lambda rate: abs(rate - 0.05))
    assert tuned["avg"].settings == {RATE: nearest}
    assert tuned["avg"].gain == pytest.approx(0.04 - abs(nearest - 0.05))
