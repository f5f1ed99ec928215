"""Tuning: the same points for every level, chosen on validation images, without a look at the test split."""

import re
import shutil
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from math import log
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY
from sources import for_shipped
from support import Here, Tiny, call, keep_json, kept_json
from test_folder import COLOURS, own, taken

import cnnkit
from cnnkit.cli.console_compare import print_comparison
from cnnkit.comparison.executor import Outcome
from cnnkit.comparison.going_on import planned_again
from cnnkit.comparison.local import LocalExecutor
from cnnkit.comparison.pair_records import EQUIVALENT, UNDECIDED
from cnnkit.comparison.plan_options import with_tuning
from cnnkit.comparison.records import StudyResults
from cnnkit.comparison.results import read_results
from cnnkit.comparison.runner import StudyInterrupted, run_study
from cnnkit.comparison.sentence import sentence
from cnnkit.comparison.study import StudyPlan, plan_study
from cnnkit.comparison.study_file import load_study
from cnnkit.comparison.trial import Trial, data_hash, run_trial
from cnnkit.comparison.trial_records import TrialFacts
from cnnkit.comparison.tuning import (
    PointResult,
    Tuned,
    Tuning,
    best_point,
    changes,
    kept_point,
    plan_tuning,
    seed_for_tuning,
    with_settings,
)
from cnnkit.comparison.tuning_trials import TuningRun, missing_trials, tuned_levels, tuning_trials
from cnnkit.comparison.validation_only import _setting
from cnnkit.comparison.verification import verify
from cnnkit.comparison.widths import cost_of
from cnnkit.config.load import config_text, load_config, parse_config, shipped_configs
from cnnkit.config.ranges import DEFAULT_KEYS, TUNABLE, Range
from cnnkit.config.schema import Config
from cnnkit.data.dataset import Published
from cnnkit.data.prepare import load_data, load_splits
from cnnkit.errors import RunError, UsageError
from cnnkit.events import PointDone, StudyEvent, TrialDone, TuningBegun
from cnnkit.experiment.new_run import create_run
from cnnkit.experiment.run_dir import RunDir, RunResult
from cnnkit.experiment.train import run_experiment
from cnnkit.families.optimizers import OPTIMIZERS
from cnnkit.filenames import CONFIG, FAILURE, LOCK, RESULT, STUDY, TRIAL, TRIALS, TUNING
from cnnkit.files import write_atomically, write_json
from cnnkit.kept import sealed
from cnnkit.report.page import write_report
from cnnkit.stats import MOST_SEEDS
from cnnkit.words import about

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
def test_every_value_that_may_be_tried_is_valid_and_costs_nothing(
    name: str, optimizer: str, tmp_path: Path
) -> None:
    config = load_config(name, [f"training.optimizer={optimizer}", *for_shipped(name, tmp_path)])
    for key, range_of in TUNABLE.items():
        for value in ends(range_of(config)):
            assert cost_of(with_settings(config, {key: value})) == cost_of(config)


@pytest.mark.parametrize("rate", [1e-30, 0.005, 5e37])
def test_learning_rates_lie_around_the_configured_one(tiny: Tiny, rate: float) -> None:
    config = tiny(f"{RATE}={rate}")
    values = TUNABLE[RATE](config)
    assert values.log
    assert (values.low, values.high) == (rate / 10, min(10 * rate, 1e38))
    assert all(values.low <= point[RATE] <= values.high for point in planned(config, 8).points)


def test_batches_are_no_larger_than_half_of_the_images(tiny: Tiny) -> None:
    config = tiny("training.batch_size=512")
    assert TUNABLE["training.batch_size"](config).choices == (
        128,
        256,
        512,
        config.data.train_images // 2,
    )


def test_the_first_point_is_the_configuration_itself(tiny: Tiny) -> None:
    keys = [key for key in TUNABLE if key != "data.augment.saturation"]  # of images in colour
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
        low = TUNABLE[RATE](config).low
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


@pytest.mark.parametrize("column", ["group", "split"])
def test_a_tuning_trial_has_the_images_of_a_run_where_some_belong_together(
    column: str, tmp_path: Path
) -> None:
    photos, rows = taken(tmp_path / "photos"), [f"path,label,{column}"]
    for name in COLOURS:
        for number in range(20):
            split = "val" if number < 4 else "test" if number < 8 else "train"
            rows.append(
                f"{name}/{number:02}.png,{name},{split if column == 'split' else name + str(number // 3)}"
            )
    (photos / "all.csv").write_text("\n".join(rows))
    shutil.copy(photos / "red" / "05.png", photos / "red" / "19.png")
    config = own(photos, "data.validation=0.25")
    mine, theirs = _setting(config, None).splits, load_splits(config.data, config.training.seed)
    assert torch.equal(mine.train.images, theirs.train.images)
    assert torch.equal(mine.validation.images, theirs.validation.images)


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


def point(accuracy: float, loss: float, trial_id: str = "id") -> PointResult:
    return PointResult(trial_id, accuracy, loss, 1, 1.0)


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
    folders = ["first", "second", "third"]
    tuned = best_point(tuning, results, folders)
    assert tuned.folders == folders
    assert (tuned.point, tuned.settings) == (chosen, tuning.points[chosen])
    assert tuned.gain == (None if gain is None else pytest.approx(gain))
    assert tuned.val_accuracies == [result and result.val_accuracy for result in results]


BEST_RATE = {"max": 0.001, "avg": 0.008}  # planted
ERRORS = 0.02  # at the best rate


class Planted:
    """Trains nothing: a level is the less accurate the farther its learning rate is from its best one.

    A tenth of it or ten times it costs 20 points. Each level and seed makes its mistakes by chance.
    """

    seeds_at_once = None

    def __init__(self, home: Path) -> None:
        self.home = home
        self.trained: list[Trial] = []

    def one_by_one(self, home: Path) -> "Planted":
        another = Planted(home)
        another.trained = self.trained
        return another

    def run(self, trials: Iterable[Trial], published: Published) -> Generator[Outcome]:
        for trial in trials:
            self.trained.append(trial)
            rate = trial.config.training.learning_rate
            errors = ERRORS + 0.2 * abs(log(rate / BEST_RATE[trial.level], 10))
            folder = self.home / trial.folder
            write_atomically(folder / CONFIG, config_text(trial.config))
            if trial.validation_only:
                write_json(folder / RESULT, sealed(point(1 - errors, 1.0, trial.id).to_dict()))
            else:
                self._finish(RunDir(folder), trial, published, errors)
            yield Outcome(trial, None)

    def _finish(self, run: RunDir, trial: Trial, published: Published, errors: float) -> None:
        labels = published.test.labels
        generator = torch.Generator().manual_seed(1000 * trial.seed + len(trial.level) + ord(trial.level[0]))
        wrong = torch.rand(len(labels), generator=generator) < errors
        predictions = torch.where(wrong, (labels + 1) % 10, labels)
        hashes = {"data": trial.data, "split": "", "order": "", "augmentation": "", "weights": {}}
        write_json(run.path / TRIAL, TrialFacts(trial.level, trial.seed, trial.id, hashes).to_dict())  # type: ignore[arg-type]
        run.write_predictions(predictions, 10)
        right = 1 - wrong.double().mean().item()
        facts = (1, 1, 1.0, 1.0, trial.seed, "cpu", "float32", 1, "digits", 1, 1, len(labels), 1, 1, 1.0)
        run.keep_result(RunResult(str(run.path), right, 0.1, 0.9, 0.1, *facts))


def planted(tiny: Tiny, folder: Path, tune: int | None) -> tuple[StudyResults, list[Trial]]:
    executor = Planted(folder / TRIALS)
    study = plan_study(tiny(f"{RATE}=0.001"), "model.pooling", ["max", "avg"], 8, 2.0)
    return run_study(with_tuning(study, tune), folder, executor), executor.trained


def test_a_value_that_is_worse_only_at_the_others_learning_rate_is_not_worse_when_both_are_tuned(
    tiny: Tiny, tmp_path: Path
) -> None:
    untuned, trained = planted(tiny, tmp_path / "untuned", None)
    assert untuned.pair("max", "avg").seen_from("avg").verdict == "worse"
    assert (untuned.tuning, untuned.best.tuned, len(trained)) == (None, None, 16)
    tuned, trained = planted(tiny, tmp_path / "tuned", 16)
    assert tuned.pair("max", "avg").verdict in (EQUIVALENT, UNDECIDED)
    assert abs(tuned.pair("max", "avg").difference.mean) < 0.02
    first, rest = trained[:32], trained[32:]
    assert all(trial.validation_only for trial in first)
    assert not any(trial.validation_only for trial in rest)
    assert tuned.tuning is not None
    for level in ("max", "avg"):
        assert [t.config.training.learning_rate for t in first if t.level == level] == [
            settings[RATE] for settings in tuned.tuning.points
        ]
        nearest = min((p[RATE] for p in tuned.tuning.points), key=lambda r: abs(log(r / BEST_RATE[level])))
        assert {t.config.training.learning_rate for t in rest if t.level == level} == {nearest}
    assert {trial.seed for trial in first}.isdisjoint(trial.seed for trial in rest)
    told = "Each was tuned first, over 16 points of training.learning_rate, on validation images."
    assert sentence(tuned).endswith(told)
    assert "tuned" not in sentence(untuned)


def study_of(tiny: Tiny, values: Sequence[str] = ("max", "avg"), tune: int | None = 3) -> StudyPlan:
    plan = plan_study(tiny("training.epochs=1"), "model.pooling", values, 2)
    return with_tuning(plan, tune)


@pytest.fixture(scope="module")
def tuned_once(shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tuned study of two levels: none may change it."""
    folder = tmp_path_factory.mktemp("tuned") / "study"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared_cache))
        run_study(study_of(lambda *o: parse_config(TINY, "tiny", o)), folder, Here(folder / TRIALS))
    return folder


@pytest.fixture
def tuned(tuned_once: Path, tmp_path: Path) -> Path:
    shutil.copytree(tuned_once, tmp_path / "study")
    return tmp_path / "study"


def test_every_trial_has_the_settings_that_its_level_was_tuned_to(tuned: Path) -> None:
    study, results = load_study(tuned), read_results(tuned)
    assert study.tuning == results.tuning
    assert study.tuning is not None
    assert len(study.tuning.points) == 3
    for level in study.levels:
        assert level.tuned == next(r.tuned for r in results.levels if r.name == level.name)
        assert level.tuned is not None
        assert level.tuned.val_accuracies[level.tuned.point] == max(filter(None, level.tuned.val_accuracies))
        kept = [RunDir(tuned / TRIALS / t.folder).config for t in study.trials if t.level == level.name]
        assert {config.training.learning_rate for config in kept} == {level.tuned.settings[RATE]}
    assert any(level.tuned.point for level in study.levels if level.tuned)  # or else nothing is shown


def test_a_tuned_study_verifies_and_says_that_it_chose_again(tuned: Path) -> None:
    told: list[str] = []
    verify(tuned, told=told.append)
    assert any(one.startswith("the settings of each level are the best of those tried") for one in told)


def tuning_folder(study: Path) -> Path:
    level = load_study(study).levels[1]
    assert level.tuned is not None
    return study / TUNING / level.tuned.folders[1]


def make_it_better(study: Path) -> None:
    path = tuning_folder(study) / RESULT
    keep_json(path, {**kept_json(path), "val_accuracy": 1.0})


def remove_it(study: Path) -> None:
    (tuning_folder(study) / RESULT).unlink()


def train_it_otherwise(study: Path) -> None:
    path = tuning_folder(study) / CONFIG
    path.write_text(path.read_text().replace("epochs: 1", "epochs: 2"))


def claim_other_settings(study: Path) -> None:
    content = kept_json(study / STUDY)
    content["levels"][0]["tuned"]["settings"][RATE] = 0.5
    keep_json(study / STUDY, content)


@pytest.mark.parametrize("change", [make_it_better, remove_it, train_it_otherwise, claim_other_settings])
def test_a_changed_tuning_does_not_verify(tuned: Path, change: Callable[[Path], None]) -> None:
    change(tuned)
    with pytest.raises(RunError):
        verify(tuned)


@pytest.mark.parametrize(
    "tuned_to", [{"point": 7}, {"folders": ["../../trials", "b", "c"]}, {"val_accuracies": []}]
)
def test_a_study_file_whose_tuning_cannot_be_is_refused(tuned: Path, tuned_to: dict[str, Any]) -> None:
    content = kept_json(tuned / STUDY)
    content["levels"][0]["tuned"] |= tuned_to
    keep_json(tuned / STUDY, content)
    with pytest.raises(RunError, match="is damaged"):
        load_study(tuned)


def heard(study: StudyPlan, folder: Path) -> list[StudyEvent]:
    events: list[StudyEvent] = []
    run_study(study, folder, Here(folder / TRIALS), events.append)
    return events


def test_what_is_tuned_is_not_tuned_again_and_another_value_gets_the_same_points(
    tiny: Tiny, tuned: Path
) -> None:
    before = load_study(tuned)
    assert not [e for e in heard(study_of(tiny, tune=None), tuned) if isinstance(e, PointDone | TrialDone)]
    assert load_study(tuned).levels == before.levels
    events = heard(study_of(tiny, ("max", "avg", "stride"), tune=None), tuned)
    assert [(e.level, e.point) for e in events if isinstance(e, PointDone)] == [
        ("stride", i) for i in range(3)
    ]
    assert {e.level for e in events if isinstance(e, TrialDone)} == {"stride"}
    after = load_study(tuned)
    assert after.tuning == before.tuning
    assert after.levels[:2] == before.levels
    assert after.levels[2].tuned is not None
    verify(tuned)


def test_a_study_is_not_tuned_afterwards_or_otherwise(tiny: Tiny, tuned: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"tuning is over 3 points of .* there and over 4 points of .* here"):
        run_study(study_of(tiny, tune=4), tuned, Here(tuned / TRIALS))
    run_study(study_of(tiny, tune=None), tmp_path / "plain", Here(tmp_path / "plain" / TRIALS))
    with pytest.raises(UsageError, match="tuning is none there and over 3 points"):
        run_study(study_of(tiny), tmp_path / "plain", Here(tmp_path / "plain" / TRIALS))


def test_a_tuning_that_is_interrupted_goes_on_where_it_stopped(
    tiny: Tiny, tuned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, done = tmp_path / "interrupted", []

    def stop(event: StudyEvent) -> None:
        done.append(event)
        if isinstance(event, PointDone) and event.point == 1:
            raise KeyboardInterrupt(2)

    with pytest.raises(StudyInterrupted) as stopped:
        run_study(study_of(tiny), folder, Here(folder / TRIALS), stop)
    print_comparison(stopped.value.results)
    assert "there is nothing to compare yet" in capsys.readouterr().out
    assert write_report(folder).is_file()
    assert [level.tuned for level in load_study(folder).levels] == [None, None]
    before = [event for event in done if isinstance(event, PointDone)]
    events = heard(planned_again(load_study(folder)), folder)
    after = [event for event in events if isinstance(event, PointDone)]
    assert len(before) + len(after) == 6
    assert {(e.level, e.point) for e in before}.isdisjoint((e.level, e.point) for e in after)
    assert [level.tuned for level in load_study(folder).levels] == [
        level.tuned for level in load_study(tuned).levels
    ]


def test_a_level_whose_points_all_fail_stays_as_it_is_configured(tiny: Tiny, tmp_path: Path) -> None:
    def fails(trial: Trial) -> str:
        return "no luck" if trial.validation_only and trial.level == "avg" else ""

    run_study(study_of(tiny), tmp_path, Here(tmp_path / TRIALS, fails))
    _, avg = load_study(tmp_path).levels
    assert avg.tuned is not None
    assert (avg.tuned.point, avg.tuned.val_accuracies, avg.tuned.gain) == (0, [None] * 3, None)
    text = write_report(tmp_path).read_text(encoding="utf-8")
    assert "every point failed, so nothing was changed" in text


def test_where_seeds_choose_their_images_the_report_does_not_say_that_tuning_saw_none(
    shared_cache: Path, tmp_path: Path
) -> None:
    study = study_of(lambda *o: parse_config(TINY, "tiny", [*o, "data.resample_test=true"]))
    run_study(study, tmp_path, Here(tmp_path / TRIALS))
    text = write_report(tmp_path).read_text(encoding="utf-8")
    assert "it learned from images that other seeds test on" in text
    assert "no test image was looked at" not in text


def test_the_report_shows_each_point_and_marks_what_was_chosen(tuned: Path) -> None:
    text = write_report(tuned).read_text(encoding="utf-8")
    assert "no test image was looked at" in text
    section = text.partition('<section id="tuning">')[2].partition("</section>")[0]
    study = load_study(tuned)
    for level in study.levels:
        assert level.tuned is not None
        for number, accuracy in enumerate(level.tuned.val_accuracies):
            assert accuracy is not None
            shown = f"{accuracy:.2%}"
            assert (f"<b>{shown}</b>" if number == level.tuned.point else f">{shown}<") in section
    assert section.count("as configured") == 1
    assert "Each was tuned first, over 3 points of training.learning_rate, on validation images." in text
    study_json = kept_json(tuned / STUDY)
    keep_json(
        tuned / STUDY,
        {
            **study_json,
            "tuning": None,
            "levels": [{**level, "tuned": None} for level in study_json["levels"]],
        },
    )
    assert '<section id="tuning">' not in write_report(tuned).read_text(encoding="utf-8")


def test_trials_and_time_are_told_before_anything_trains(tiny: Tiny, tmp_path: Path) -> None:
    events = heard(study_of(tiny), tmp_path / "new")
    begun = events[0]
    assert isinstance(begun, TuningBegun)
    assert (begun.trainings, begun.finished) == (6, 0)
    assert begun.what == "max, avg, each over 3 points of training.learning_rate"
    assert begun.seconds is not None
    assert begun.seed_seconds is not None
    assert begun.seconds == pytest.approx(3 * begun.seed_seconds)
    plan = study_of(tiny)
    elsewhere = replace(plan, base=tiny("runtime.device=auto"))
    run = TuningRun(elsewhere, tmp_path / "elsewhere", "data")
    assert run.begun(Here(tmp_path), load_data(plan.base.data)).seconds is None


@pytest.mark.usefixtures("undrawn")
def test_the_command_tunes_and_tells_what_that_gained(
    tiny_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = f"{RATE}, {DECAY}"
    small = ("--set", "training.epochs=1", "--strategies", "max,avg", "--seeds", "2")
    options = ("--config", tiny_file, *small, "--tune", "2", "--tune-keys", keys, "--out", "study")
    told = call(capsys, "compare-pooling", *options)
    assert told.code == 0
    assert re.search(
        r"^tuning first: max, avg, each over 2 points of training.learning_rate and training.weight_decay, "
        r"on validation images alone: 4 trainings, about .+; then about .+ for each seed$",
        told.err,
        re.MULTILINE,
    )
    assert len(re.findall(r"^(max|avg) +point [01] .*% on validation images", told.err, re.MULTILINE)) == 4
    assert len(re.findall(r"^(max|avg) tuned: .* on validation images", told.out, re.MULTILINE)) == 2
    again = call(capsys, "compare-pooling", *options)
    assert (again.code, re.findall(r"point \d", again.err)) == (0, [])
    refused = call(capsys, "compare", "--resume", "--out", "study", "--tune", "3")
    assert refused.code == 2
    assert "--tune does not go with --resume: a study goes on as it was tuned" in refused.err


def test_python_tunes_too(tiny: Tiny, tmp_path: Path) -> None:
    vary = {"model.pooling": ["max", "avg"]}
    with pytest.raises(UsageError, match="--tune-keys needs --tune"):
        cnnkit.compare(tiny(), vary, 2, tune_keys=[RATE], progress=False)
    study = cnnkit.compare(
        tiny("training.epochs=1"), vary, 2, tmp_path / "s", tune=2, tune_keys=[DECAY], progress=False
    )
    assert study.results.tuning is not None
    assert study.results.tuning.keys == [DECAY]


@pytest.mark.parametrize(
    ("tuned", "told"),
    [
        (
            Tuned(1, {RATE: 0.02}, [0.9, 0.95], []),
            "learning_rate 0.01 → 0.02: 95.00% on validation images, 90.00% before",
        ),
        (
            Tuned(0, {RATE: 0.01}, [0.9, None], []),
            "nothing was better than what is configured, 90.00% on validation images",
        ),
        (
            Tuned(1, {RATE: 0.02}, [None, 0.95], []),
            "learning_rate 0.01 → 0.02: 95.00% on validation images, failed before",
        ),
        (Tuned(0, {RATE: 0.01}, [None, None], []), "every point failed, so nothing was changed"),
    ],
)
def test_what_tuning_changed_is_told_in_words(tuned: Tuned, told: str) -> None:
    assert changes(Tuning([RATE], 1000, [{RATE: 0.01}, {RATE: 0.02}]), tuned) == told


@pytest.mark.parametrize(
    ("rates", "chosen", "told"),
    [
        ([0.02, 0.01, 0.04, 0.03], 1, "0.02 → 0.01 (the lowest tried): "),
        ([0.02, 0.01, 0.04, 0.03], 2, "0.02 → 0.04 (the highest tried): "),
        ([0.02, 0.01, 0.04, 0.03], 3, "0.02 → 0.03: "),
        ([0.02, 0.01], 1, "0.02 → 0.01: "),  # of two each is an end
    ],
)
def test_a_setting_at_an_end_of_what_was_tried_is_told(rates: list[float], chosen: int, told: str) -> None:
    tuning = Tuning([RATE], 1000, [{RATE: rate} for rate in rates])
    tuned = Tuned(chosen, tuning.points[chosen], [0.9] * len(rates), [])
    assert changes(tuning, tuned).startswith(f"learning_rate {told}")


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.2, "about 1 s"), (89, "about 89 s"), (100, "about 2 minutes"), (5400, "about 1.5 hours")],
)
def test_a_time_is_told_in_words(seconds: float, told: str) -> None:
    assert about(seconds) == told
