"""Studies of several keys: what is trained, when they end, and what is told of effects."""

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY
from numpy.typing import NDArray
from support import Here, call, keep_json, kept_json

import cnnkit
from cnnkit.api.study_progress import StudyProgress
from cnnkit.cli.console_compare import print_comparison
from cnnkit.comparison.course import GIVEN_UP, Course
from cnnkit.comparison.factors import Effects, design_of, judge_factors, judge_for, means_at
from cnnkit.comparison.going_on import planned_again, refuse_another_study, refuse_fewer, with_added
from cnnkit.comparison.pair_records import (
    APART,
    APART_HERE,
    EQUIVALENT,
    NOT_KNOWN,
    UNDECIDED,
    WORSE,
    WORSE_HERE,
)
from cnnkit.comparison.plan_options import with_tuning
from cnnkit.comparison.records import StudyResults
from cnnkit.comparison.results import analyse, read_results
from cnnkit.comparison.runner import run_study
from cnnkit.comparison.sentence import sentence
from cnnkit.comparison.study import StudyPlan, plan_study
from cnnkit.comparison.study_file import load_study
from cnnkit.comparison.trial import Trial
from cnnkit.comparison.verdicts import Observed, judge
from cnnkit.comparison.verification import verify
from cnnkit.config.load import parse_config
from cnnkit.config.schema import Config
from cnnkit.errors import RunError, UsageError
from cnnkit.events import Forecast, StudyBegun, StudyEvent, TuningBegun
from cnnkit.experiment.run_dir import RunDir
from cnnkit.filenames import RESULTS, STUDY, TRIALS
from cnnkit.report.page import write_report
from cnnkit.stats import Interval

Tiny = Callable[..., Config]
POOLINGS, DROPOUTS = ["stride", "max", "avg"], [0.0, 0.5]
VARIED = {"key": "model.pooling", "values": POOLINGS, "beside": {"model.dropout": DROPOUTS}}
TWO_DROPOUTS = {"model.dropout": DROPOUTS}
CROSSING = {"stride": (0.90, 0.90), "max": (0.96, 0.93), "avg": (0.93, 0.96)}
SAME_WINNER = {"stride": (0.90, 0.90), "max": (0.96, 0.95), "avg": (0.93, 0.92)}


def planned(tiny: Tiny, *overrides: str, **options: Any) -> StudyPlan:
    return plan_study(tiny("training.epochs=1", *overrides), **{**VARIED, "margin": 0.5, **options})


def noise(level: str, seed: int) -> float:
    return 0.001 * float(np.random.default_rng([seed, *level.encode()]).normal())


def truth_of(level: str, truth: dict[str, tuple[float, float]]) -> float:
    pooling, dropout = level.split(", ")
    return truth[pooling][dropout == "0.5"]


def ran(
    study: StudyPlan, truth: dict[str, tuple[float, float]], fails: Callable[[Trial], bool] = lambda _: False
) -> tuple[list[Trial], Course]:
    """What a study would train if its accuracies were these, and its course."""
    trials = [Trial(level.name, config, "data") for level, config in study.trials()]
    course = Course(study, trials, 1e-4, judge_for(study.to_file(), 1e-4))
    trained = []
    for batch in course.batches(None):
        for trial in batch:
            trained.append(trial)
            known = truth_of(trial.level, truth) + noise(trial.level, trial.seed)
            list(course.ended(trial, None if fails(trial) else known))
    return trained, course


def told(
    study: StudyPlan,
    truth: dict[str, tuple[float, float]],
    seeds: int,
    images: NDArray[np.bool_] | None = None,
    failed: Mapping[str, Sequence[int]] = MappingProxyType({}),
) -> StudyResults:
    """Results, as far as the sentence needs them, of so many seeds. failed: the seeds of a level that did."""
    plan = study.to_file()
    accuracies = np.array(
        [
            [truth_of(level.name, truth) + noise(level.name, seed) for seed in range(seeds)]
            for level in plan.levels
        ]
    )
    names = [level.name for level in plan.levels]
    failing = np.array([[seed in failed.get(name, ()) for seed in range(seeds)] for name in names])
    observed = Observed(names, np.where(failing, np.nan, accuracies), failing, images, 10_000)
    looks, effects = judge_factors(plan, observed, range(seeds), judge(observed, plan.margin / 100)[1])
    return results_of(plan.key, plan.margin, looks, effects)


def results_of(key: str, margin: float, looks: Sequence[Any], effects: Effects) -> StudyResults:
    class AnyLevel:
        accuracies = (0.0, 1.0)

    return StudyResults(
        version=2,
        key=key,
        margin=margin,
        match="none",
        warnings=[],
        test_images=10_000,
        seeds=list(range(looks[-1].seeds)),
        levels=[AnyLevel()],  # type: ignore[list-item]
        pairs=[],
        looks=list(looks),
        trials=[],
        factors=effects.main,
        interactions=effects.interactions,
        dependence=effects.dependence,
    )


def test_every_combination_is_a_level_with_its_own_configuration(tiny: Tiny) -> None:
    study = planned(tiny)
    assert len(study.levels) == 6
    for level in study.levels:
        ((pooling, dropout),) = level.combinations
        assert level.name == f"{POOLINGS[pooling]}, {DROPOUTS[dropout]}"
        assert (level.config.model.pooling, level.config.model.dropout) == (
            POOLINGS[pooling],
            DROPOUTS[dropout],
        )
    assert study.key == "model.pooling × model.dropout"


def test_two_ways_to_write_a_value_are_refused(tiny: Tiny) -> None:
    with pytest.raises(UsageError, match=r"and max train the same network here"):
        plan_study(tiny(), "model.pooling", ["max", ["max", "max"]], beside={"model.dropout": [0, 0.5]})


def test_a_network_in_two_combinations_is_trained_once_and_counts_in_both(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_dropout_of_stride(config: Config) -> dict[str, Any]:
        settings = config.model_dump()
        if config.model.pooling == "stride":
            settings["model"]["dropout"] = None
        return settings

    monkeypatch.setattr("cnnkit.comparison.levels.spelled_out", without_dropout_of_stride)
    study = planned(tiny)
    assert study.levels[0].name == "stride, 0.0/0.5"
    assert design_of(study.to_file().levels).networks.tolist() == [[0, 0], [1, 2], [3, 4]]
    assert len([*study.trials()]) == 5 * study.seeds


def test_no_combination_is_dropped_and_the_end_is_when_the_effects_are_decided(tiny: Tiny) -> None:
    trained, course = ran(planned(tiny), CROSSING)
    assert course.decided
    seeds = course.looked_at
    assert 3 <= seeds < 12
    assert sorted((t.level, t.seed) for t in trained) == sorted(
        (level.name, seed) for level in course.study.levels for seed in range(seeds)
    )


def test_a_combination_that_always_fails_ends_the_study(tiny: Tiny) -> None:
    trained, course = ran(planned(tiny), CROSSING, fails=lambda trial: trial.level == "max, 0.5")
    assert course.over
    assert not course.decided
    assert max(trial.seed for trial in trained) + 1 == GIVEN_UP


def test_the_sentence_tells_where_another_value_wins(tiny: Tiny) -> None:
    words = sentence(told(planned(tiny), CROSSING, 8))
    assert "the best pooling depends on dropout: max with 0.0 and avg with 0.5" in words
    assert "How much the pooling matters depends on dropout" in words
    assert words.startswith("Averaged over dropout, pooling ")
    assert "Averaged over pooling, dropout " in words


def test_the_sentence_tells_that_the_same_value_wins(tiny: Tiny) -> None:
    words = sentence(told(planned(tiny), SAME_WINNER, 8))
    assert (
        "The best pooling does not depend on dropout: on these test images max is with each the best, or "
        "less than 0.5 points behind." in words
    )
    assert "depends on dropout:" not in words


def test_with_few_seeds_the_sentence_decides_nothing(tiny: Tiny) -> None:
    words = sentence(told(planned(tiny), CROSSING, 2))
    assert "Whether the best pooling depends on dropout is undecided: now it is max with 0.0" in words
    assert "is undecided: now it is max with each." in sentence(told(planned(tiny), SAME_WINNER, 2))


def test_differences_that_are_the_same_are_called_so(tiny: Tiny) -> None:
    additive = {"stride": (0.90, 0.91), "max": (0.95, 0.96), "avg": (0.93, 0.94)}
    results = told(planned(tiny), additive, 12)
    assert {two.verdict for two in results.interactions} == {EQUIVALENT}
    assert "Differences are the same with each dropout, within ±0.5 points." in sentence(results)


def test_an_interaction_that_other_images_may_not_have_is_told_of_these(tiny: Tiny) -> None:
    study, generator = planned(tiny), np.random.default_rng(1)
    share = np.array([truth_of(level.name, CROSSING) for level in study.levels])
    few = generator.random((6, 1, 300)) < share[:, None, None]
    few = np.repeat(few, 8, axis=1)
    many = np.broadcast_to(np.linspace(0, 1, 10_000, endpoint=False) < share[:, None, None], (6, 8, 10_000))
    of_few = {two.verdict for two in told(study, CROSSING, 8, few).interactions}
    of_many = {two.verdict for two in told(study, CROSSING, 8, many).interactions}
    assert APART_HERE in of_few
    assert APART in of_many


@pytest.fixture(scope="module")
def study_folder(shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study of 3 × 2 combinations and 3 seeds, for every test to read."""
    folder = tmp_path_factory.mktemp("several") / "study"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared_cache))
        plan = plan_study(tiny_config("training.epochs=1"), **VARIED, seeds=3)
        run_study(plan, folder, Here(folder / TRIALS))
    return folder


def tiny_config(*overrides: str) -> Config:
    return parse_config(TINY, "tiny", ["runtime.threads=1", *overrides])


def test_marginal_means_are_means_over_the_other_key(study_folder: Path) -> None:
    results = read_results(study_folder)
    by_name = {level.name: level for level in results.levels}
    pooling, dropout = results.factors
    for level in pooling.levels:
        both = [by_name[f"{level.name}, {value}"].accuracies for value in DROPOUTS]
        assert level.accuracies == pytest.approx(np.mean(both, 0))
    for level in dropout.levels:
        three = [by_name[f"{value}, {level.name}"].accuracies for value in POOLINGS]
        assert level.accuracies == pytest.approx(np.mean(three, 0))
    means = means_at(load_study(study_folder), results, 1)
    for pool, row in zip(POOLINGS, means, strict=True):
        for value, interval in zip(DROPOUTS, row, strict=True):
            assert interval.mean == pytest.approx(by_name[f"{pool}, {value}"].accuracy.mean)


def test_a_study_of_several_keys_is_verified_and_reported(study_folder: Path) -> None:
    assert verify(study_folder).factors == read_results(study_folder).factors
    page = write_report(study_folder).read_text(encoding="utf-8")
    assert page.count("dropout 0.0: accuracy, %</h3>") == 1
    assert page.count("dropout 0.5: accuracy, %</h3>") == 1
    assert "accuracy, %, against dropout" in page
    assert "No combination was left out" not in page  # the seeds were fixed
    assert "were varied together" in page
    sections = re.findall(r'<section id="([^"]+)">', page)
    assert sections.index("effects") < sections.index("ranking")
    assert page.count("★</span> the best") == 3  # of each key, and of the combinations


def test_no_combination_is_called_beaten_in_a_report(study_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    shutil.copytree(study_folder, folder)
    content = kept_json(folder / RESULTS)
    for level in content["levels"][1:]:
        level["beaten_after"] = 2
    keep_json(folder / RESULTS, content)
    page = write_report(folder).read_text(encoding="utf-8")
    assert "beaten" not in page.partition("<main>")[2].partition('id="provenance"')[0]


def test_a_changed_effect_is_found(study_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    shutil.copytree(study_folder, folder)
    content = kept_json(folder / RESULTS)
    content["interactions"][0]["difference"]["mean"] += 0.01
    keep_json(folder / RESULTS, content)
    with pytest.raises(RunError, match=r"interactions\[0\]\.difference\.mean"):
        verify(folder)


def test_a_study_file_whose_levels_are_not_all_combinations_is_damaged(
    study_folder: Path, tmp_path: Path
) -> None:
    content = kept_json(study_folder / STUDY)
    content["levels"][0]["combinations"] = [[0, 1]]
    keep_json(tmp_path / STUDY, content)
    with pytest.raises(RunError, match="not all combinations"):
        load_study(tmp_path)


def test_a_study_of_several_keys_is_planned_again_as_it_was(study_folder: Path) -> None:
    kept = load_study(study_folder)
    again = planned_again(kept)
    assert again.to_file(kept.trials) == replace(kept, labels="")
    refuse_another_study(again, study_folder)
    with pytest.raises(UsageError, match="compares avg too"):
        refuse_fewer(kept, planned_again(kept, values=["stride", "max"]), study_folder)
    with pytest.raises(UsageError, match="key is "):
        refuse_another_study(planned_again(kept, beside={}), study_folder)


def test_a_value_more_trains_its_combinations_alone(
    study_folder: Path, tmp_path: Path, shared_cache: Path
) -> None:
    folder = tmp_path / "study"
    shutil.copytree(study_folder, folder)
    before = {path.name for path in (folder / TRIALS).iterdir()}
    plan = planned_again(load_study(folder), beside={"model.dropout": [*DROPOUTS, 0.25]})
    results = run_study(plan, folder, Here(folder / TRIALS))
    assert len({path.name for path in (folder / TRIALS).iterdir()} - before) == 3 * 3
    assert [len(factor.levels) for factor in results.factors] == [3, 3]
    assert analyse(folder).factors == results.factors


def test_several_keys_on_the_command_line_and_in_python(
    tiny_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["compare", tiny_file, "--set", "training.epochs=1", "--seeds", 2, "--workers", 1]
    vary = ["--vary", "model.pooling=max,avg", "--vary", "model.dropout=0,0.5"]
    outcome = call(capsys, *line, *vary, "--out", tmp_path / "study")
    assert outcome.code == 0
    assert "(max, avg) × (0.0, 0.5), 4 networks" in outcome.err
    for heading in (" pooling ", " dropout ", " combination "):
        assert f"\n{heading}" in outcome.out
    again = cnnkit.compare(
        load_study(tmp_path / "study").base(),
        {"model.pooling": ["max", "avg"], "model.dropout": [0, 0.5]},
        2,
        tmp_path / "study",
        progress=False,
    )
    assert [factor.key for factor in again.results.factors] == ["model.pooling", "model.dropout"]


def test_the_time_that_it_takes_is_told_before_anything_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of two workers; the fewest seeds are two."""
    monkeypatch.setattr("cnnkit.comparison.forecasts.workers_for", lambda _: 2)
    monkeypatch.setattr(
        "cnnkit.comparison.forecasts.forecast_of",
        lambda config, _: Forecast(120.0 if config.model.pooling == "max" else 60.0, 7),
    )
    plan = plan_study(
        tiny_config("training.epochs=1"),
        "model.pooling",
        ["max", "avg"],
        beside=TWO_DROPOUTS,
        margin=50,
        min_seeds=2,
        max_seeds=3,
    )
    events: list[StudyEvent] = []
    run_study(plan, tmp_path, Here(tmp_path / TRIALS), events.append)
    begun = events[0]
    assert isinstance(begun, StudyBegun)
    a_seed = (2 * 120 + 2 * 60) / 2
    assert begun.seconds == (2 * a_seed, 3 * a_seed)
    assert (begun.workers, begun.memory) == (2, 7)
    StudyProgress()(begun)
    assert "1 thread a trial; about 6 minutes to 9 minutes" in capsys.readouterr().err
    events.clear()
    run_study(plan, tmp_path, Here(tmp_path / TRIALS), events.append)
    assert [event.seconds for event in events if isinstance(event, StudyBegun)] == [None]


@pytest.mark.usefixtures("undrawn")
def test_the_order_is_varied_beside_the_pooling_and_stride_has_none(
    tiny_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["compare-pooling", tiny_file, "--strategies", "stride,max", "--orders", "--seeds", 2]
    outcome = call(capsys, *line, "--set", "training.epochs=1", "--out", tmp_path / "study", "--workers", 1)
    assert outcome.code == 0
    study, results = load_study(tmp_path / "study"), read_results(tmp_path / "study")
    names = ["stride, activation_first/pooling_first", "max, activation_first", "max, pooling_first"]
    assert [level.name for level in study.levels] == names
    assert len(results.trials) == 3 * 2
    by_name = {level.name: level for level in results.levels}
    (order,) = results.factors[1].pairs
    max_alone = by_name[names[1]].accuracy.mean - by_name[names[2]].accuracy.mean
    assert order.difference.mean == pytest.approx(max_alone / 2)  # of stride the difference is 0
    resumed = call(capsys, "compare-pooling", "--resume", "--out", tmp_path / "study")
    assert resumed.code == 0
    assert "6 of 6 trials are there already" in resumed.err


@pytest.mark.usefixtures("undrawn")
def test_going_on_may_name_one_of_the_keys(
    study_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "study"
    shutil.copytree(study_folder, folder)
    line = ["compare", "--resume", "--out", folder]
    assert "compares avg too" in call(capsys, *line, "--vary", "model.pooling=stride,max").err
    assert "key is " in call(capsys, *line, "--vary", "model.hidden=[8],[16]").err
    assert call(capsys, *line, "--vary", "model.dropout=0,0.5").code == 0


@pytest.mark.usefixtures("undrawn")
def test_going_on_with_a_new_value_alone_adds_it(
    study_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], trials_here: None
) -> None:
    folder = tmp_path / "study"
    shutil.copytree(study_folder, folder)
    before = {path.name for path in (folder / TRIALS).iterdir()}
    assert call(capsys, "compare", "--resume", "--out", folder, "--vary", "model.dropout=0.25").code == 0
    assert load_study(folder).varied == {"model.pooling": POOLINGS, "model.dropout": [*DROPOUTS, 0.25]}
    assert len({path.name for path in (folder / TRIALS).iterdir()} - before) == 3 * 3


def test_values_that_a_study_has_are_kept_where_new_ones_are_named() -> None:
    kept: dict[str, list[Any]] = {"a": [1, 2], "b": ["x", "y"]}
    assert with_added(kept, {"a": [3]}) == {"a": [1, 2, 3], "b": ["x", "y"]}
    assert with_added(kept, {"a": [2, 3], "b": ["z"]}) == {"a": [2, 3], "b": ["x", "y", "z"]}


@pytest.mark.parametrize("truth", [CROSSING, SAME_WINNER], ids=["crossing", "same winner"])
def test_what_rests_on_a_combination_that_failed_is_not_known(
    tiny: Tiny, truth: dict[str, tuple[float, float]]
) -> None:
    whole, results = (told(planned(tiny), truth, 12, failed=f) for f in ({}, {"max, 0.5": [3]}))
    assert not {two.verdict for two in whole.interactions} & {UNDECIDED, NOT_KNOWN}
    for two, known in zip(results.interactions, whole.interactions, strict=True):
        rests_on = "max" in two.values and "0.5" in two.others
        assert two.failed == (["max, 0.5"] if rests_on else [])
        assert two.verdict == (NOT_KNOWN if rests_on else known.verdict)
    (depends,), words = results.dependence, sentence(results)
    assert (depends.depends, depends.everywhere) == (False, [])
    assert "Whether the best pooling depends on dropout is not known, because max, 0.5 failed." in words
    for factor, failing in zip(results.factors, ("max", "0.5"), strict=True):
        assert {level.name: level.failures for level in factor.levels if level.failures} == {failing: 1}
        assert factor.levels[0].name != failing
        assert factor.within == 0
        for pair in factor.pairs:
            assert failing not in (pair.a, pair.b) or pair.seen_from(failing).verdict in (
                UNDECIDED,
                WORSE,
                WORSE_HERE,
            )


def test_equal_differences_are_not_called_so_where_a_combination_failed(tiny: Tiny) -> None:
    additive = {"stride": (0.90, 0.91), "max": (0.95, 0.96), "avg": (0.93, 0.94)}
    results = told(planned(tiny), additive, 12, failed={"stride, 0.0": [1]})
    assert {two.verdict for two in results.interactions} == {EQUIVALENT, NOT_KNOWN}
    words = sentence(results)
    assert "Whether differences depend on dropout is not known either." in words
    assert "Differences are the same" not in words


def test_a_value_whose_trainings_failed_is_not_called_undecided_for_want_of_seeds(tiny: Tiny) -> None:
    near = {"stride": (0.90, 0.90), "max": (0.9301, 0.9301), "avg": (0.93, 0.93)}
    words = sentence(told(planned(tiny), near, 12, failed={"max, 0.5": [3]}))
    assert "whether it is better than max is not known, because trainings failed" in words
    assert "as good" not in words.partition("The best")[0].partition("Averaged over pooling")[0]


def test_a_combination_that_failed_once_does_not_keep_a_study_from_its_end(tiny: Tiny) -> None:
    trained, course = ran(planned(tiny), CROSSING, fails=lambda t: (t.level, t.seed) == ("max, 0.5", 1))
    assert course.over
    assert max(trial.seed for trial in trained) < 12


def test_a_study_with_a_combination_that_always_fails_ends_and_tells_what_the_others_came_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = plan_study(tiny_config("training.epochs=1"), "model.pooling", ["max", "avg"], beside=TWO_DROPOUTS)
    always = Here(tmp_path / TRIALS, lambda trial: "out of memory" if trial.level == "max, 0.5" else "")
    results = run_study(plan, tmp_path, always)
    assert len(results.failed) == GIVEN_UP
    assert not results.factors
    words = sentence(results)
    assert words.startswith(f"combination {results.best.name} ")
    assert "Main effects are not known: no seed has been trained with every combination." in words
    assert words.endswith(" max, 0.5 failed in 3 of 3 trainings.")
    print_comparison(results)
    assert "nothing to compare" not in capsys.readouterr().out
    assert write_report(tmp_path).is_file()


def test_a_failed_training_that_is_made_again_makes_the_answers_known(tmp_path: Path) -> None:
    plan = plan_study(
        tiny_config("training.epochs=1"), "model.pooling", ["max", "avg"], 2, beside=TWO_DROPOUTS
    )
    once = Here(tmp_path / TRIALS, lambda t: "killed" if (t.level, t.seed) == ("max, 0.5", 1) else "")
    assert run_study(plan, tmp_path, once).dependence[0].failed == ["max, 0.5"]
    assert "because max, 0.5 failed" in sentence(read_results(tmp_path))
    assert run_study(plan, tmp_path, Here(tmp_path / TRIALS)).dependence[0].failed == []


def test_each_combination_is_tuned_over_the_same_points_and_that_is_verified(tmp_path: Path) -> None:
    rate, orders = "training.learning_rate", ["activation_first", "pooling_first"]
    base = tiny_config("training.epochs=1")
    plan = plan_study(base, "model.pooling", ["stride", "avg"], 2, beside={"model.order": orders})
    events: list[StudyEvent] = []
    results = run_study(with_tuning(plan, 3), tmp_path, Here(tmp_path / TRIALS), events.append)
    study, begun = load_study(tmp_path), next(e for e in events if isinstance(e, TuningBegun))
    names = ["stride, activation_first/pooling_first", *(f"avg, {order}" for order in orders)]
    assert begun.what == f"{'; '.join(names)}; each over 3 points of {rate}"
    assert begun.trainings == 3 * 3
    for level in study.levels:
        assert level.tuned is not None
        reached = level.tuned.val_accuracies
        assert reached[level.tuned.point] == max(filter(None, reached))
        kept = [RunDir(tmp_path / TRIALS / t.folder).config for t in study.trials if t.level == level.name]
        assert {config.training.learning_rate for config in kept} == {level.tuned.settings[rate]}
    assert "Each combination was tuned first, over 3 points of training.learning_rate" in sentence(results)
    assert verify(tmp_path) == results
    assert "tuned" in write_report(tmp_path).read_text(encoding="utf-8")


def test_a_key_that_is_varied_is_not_tuned(tiny: Tiny) -> None:
    with pytest.raises(UsageError, match=r"model\.dropout"):
        with_tuning(planned(tiny), 3, ["model.dropout"])


@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_the_order_of_a_pooling_of_single_values_makes_no_second_network(tiny: Tiny, pooling: str) -> None:
    """k = 1 in both stages; as the outputs of both networks show."""
    orders = ["activation_first", "pooling_first"]
    first, second = (
        cnnkit.build_model(
            tiny("model.pool_size=1", f"model.pooling={pooling}", f"model.order={order}")
        ).eval()
        for order in orders
    )
    images = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 255
    torch.testing.assert_close(first(images), second(images))
    with pytest.raises(UsageError, match="pooling_first and activation_first train the same network here"):
        plan_study(tiny("model.pool_size=1", f"model.pooling={pooling}"), "model.order", orders)


def test_concat_of_single_values_has_other_norms_in_the_other_order(tiny: Tiny) -> None:
    orders = ["activation_first", "pooling_first"]
    study = plan_study(
        tiny("model.pool_size=1"), "model.pooling", ["max", "concat"], beside={"model.order": orders}
    )
    assert [len(level.combinations) for level in study.levels] == [2, 1, 1]


def test_the_legend_tells_how_many_seeds_the_fewest_and_the_most_are(
    study_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = read_results(study_folder)
    levels = [
        replace(level, seeds=level.seeds[:number], accuracies=level.accuracies[:number])
        for level, number in zip(results.levels, [2, 2, 1, 2, 2, 2], strict=True)
    ]
    print_comparison(replace(results, levels=levels))
    assert "means over 1 to 2 seeds; a 95 % interval needs 3" in capsys.readouterr().out
    print_comparison(replace(results, levels=levels[:2]))
    assert "means over 2 seeds; a 95 % interval needs 3" in capsys.readouterr().out


def test_the_legend_says_why_an_interval_is_missing(
    study_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = read_results(study_folder)
    three = [replace(level, seeds=[0, 1, 2], accuracies=[0.9, 0.8, 0.7]) for level in results.levels]
    for ends, told in (((None, None), True), ((-0.1, 0.2), False)):
        to_best = [
            replace(level, to_best=level.to_best and replace(level.to_best, difference=Interval(-0.1, *ends)))
            for level in three
        ]
        print_comparison(replace(results, levels=to_best))
        shown = " ".join(capsys.readouterr().out.split())
        assert ("none stands where seeds are too few" in shown) == told


def test_what_compare_pooling_refuses_names_no_option_that_was_not_typed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for line in (["stride", "--orders"], ["stride"], ["max,max"], ["mx,max"], ["[,max"]):
        told = call(capsys, "compare-pooling", "digits", "--strategies", *line)
        assert told.code == 2
        assert "--vary" not in told.err
    assert "--strategies [,max: not YAML" in told.err
