"""Comparisons of a person's own function: how it is called, what it may return, and what is made of that."""

import functools
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support import call, keep_json, kept_json, posix_signals

import cnnkit
from cnnkit.comparison.function_call import Failed, code_of, name_of
from cnnkit.comparison.function_call import call as call_function
from cnnkit.comparison.function_study import FunctionTrial, load_function_study
from cnnkit.comparison.pair_records import APART, BETTER, BETTER_HERE
from cnnkit.comparison.records import StudyResults
from cnnkit.comparison.runner import StudyInterrupted
from cnnkit.comparison.study import plan_study
from cnnkit.comparison.verdicts import Observed, judge
from cnnkit.filenames import FAILURE, RESULT, RESULTS, STUDY, TRIALS
from cnnkit.image_error import default_margin

IMAGES = 2000
TRUTH = {"low": 0.80, "high": 0.90, "near": 0.898}
LEVELS = [*TRUTH]
NOISE = 0.002  # of an accuracy, between seeds


def right(level: str, seed: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which images are right: some are hard for all levels, and each training has its own luck."""
    hard = np.random.default_rng(0).random(IMAGES)
    luck = np.random.default_rng([seed, LEVELS.index(level)])
    share = TRUTH[level] + NOISE * luck.normal()
    return np.asarray(hard + 0.02 * luck.normal(size=IMAGES) < share)


def accuracy(level: str, seed: int) -> float:
    return float(right(level, seed).mean())


class Counted:
    """A function that remembers how it was called."""

    def __init__(self, function: Callable[[Any, int], Any] = right) -> None:
        self.function, self.calls = function, list[tuple[Any, int]]()
        functools.update_wrapper(self, function)

    def __call__(self, level: Any, seed: int) -> Any:
        self.calls.append((level, seed))
        return self.function(level, seed)


def compared(function: Callable[[Any, int], Any], levels: Any = LEVELS, **options: Any) -> cnnkit.Study:
    return cnnkit.compare(function, {"level": levels}, **{"out": "study", "progress": False, **options})


def trial_file(level: str, seed: int, name: str = RESULT) -> Path:
    (path,) = Path("study", TRIALS).glob(f"{level}-seed{seed}-*/{name}")
    return path


def results_of(**options: Any) -> StudyResults:
    return compared(right, **options).results


def test_what_each_call_returned_is_judged_as_the_trainings_of_cnnkit_are() -> None:
    results = results_of(seeds=6)
    answers = np.array([[right(level, seed) for seed in range(6)] for level in LEVELS])
    observed = Observed(LEVELS, answers.mean(2), np.zeros((3, 6), bool), answers, IMAGES)
    _, looks, pairs = judge(observed, default_margin(IMAGES) / 100)
    assert results.looks == looks
    assert results.pairs == pairs
    assert {level.name: level.accuracies for level in results.levels} == {
        level: [accuracy(level, seed) for seed in range(6)] for level in LEVELS
    }
    assert results.test_images == IMAGES
    error = float(answers[LEVELS.index("low")].mean(0).std(ddof=1)) / IMAGES**0.5
    assert next(x for x in results.levels if x.name == "low").sampling_error == pytest.approx(error)
    assert results.pair("high", "low").seen_from("high").verdict == BETTER


def test_it_is_called_until_the_leader_is_known_and_a_beaten_level_no_more() -> None:
    function = Counted()
    results = compared(function, margin=1.0).results
    assert results.decided
    assert len(function.calls) == len({*function.calls}) < 3 * 40
    longer = compared(function, out="longer", margin=0.01, max_seeds=8).results
    beaten = next(level for level in longer.levels if level.name == "low")
    assert beaten.beaten_after == len(beaten.seeds) < 8 == len(longer.best.seeds)


def test_it_ends_where_its_results_say_that_it_is_decided() -> None:
    """A difference of one image, the same with each seed, is not known better than by one image."""
    results = compared(lambda level, seed: [level == "high", *[True] * 99], margin=0.4).results
    assert [look.decided for look in results.looks] == [False] * (len(results.looks) - 1) + [True]
    assert len(results.seeds) > 4


def test_accuracies_alone_give_the_same_evidence_of_the_seeds_and_none_of_other_images() -> None:
    of_images = results_of(seeds=5, out="images")
    alone = compared(accuracy, seeds=5, out="alone", margin=of_images.margin).results
    for pair, other in zip(of_images.pairs, alone.pairs, strict=True):
        assert other.different == pytest.approx(pair.different, rel=1e-6)
        assert other.image_error is None
    assert alone.test_images == 0
    assert of_images.pair("high", "low").seen_from("high").verdict == BETTER
    assert alone.pair("high", "low").seen_from("high").verdict == BETTER_HERE
    assert "accuracies alone cannot tell" in str(cnnkit.open_study("alone"))
    assert "accuracies alone" not in str(cnnkit.open_study("images"))


@pytest.mark.parametrize(
    "returned",
    [
        lambda answers: answers,
        lambda answers: answers.tolist(),
        lambda answers: answers.astype(float),
        torch.from_numpy,
        lambda answers: torch.from_numpy(answers).to(torch.bfloat16),
    ],
)
def test_arrays_lists_and_tensors_mean_the_same(returned: Callable[[Any], Any]) -> None:
    answers = right("low", 0)
    answer = call_function(lambda level, seed: returned(answers), FunctionTrial("key", "low", "low", 0))
    assert not isinstance(answer, Failed)
    assert (answer.of_images() == answers).all()
    assert answer.accuracy == answers.mean()


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (None, "returned None"),
        ("0.97", "returned '0.97'"),
        (97.3, "That is 0.973"),
        (-0.1, "from 0 to 1"),
        (True, "returned True"),
        ([0.2, 0.9], "predictions == labels"),
        (np.arange(10), "shape"),
        (np.ones((2, 3), bool), r"shape \(2, 3\)"),
        ([], "returned \\[\\]"),
        (object(), "expected an accuracy"),
    ],
)
def test_what_is_no_answer_is_refused_with_the_level_and_the_seed(returned: Any, words: str) -> None:
    with pytest.raises(cnnkit.UsageError, match=words) as refused:
        compared(lambda level, seed: returned)
    assert "('low', 0)" in str(refused.value)


def test_an_accuracy_that_is_no_number_is_a_failed_call() -> None:
    results = compared(lambda level, seed: float("nan") if seed == 1 else 0.5, seeds=3).results
    assert {(trial.seed, trial.error) for trial in results.failed} == {
        (1, "<lambda> returned no number: nan")
    }


@pytest.mark.parametrize(
    "second", [lambda level, seed: right(level, seed)[1:], accuracy], ids=["fewer images", "an accuracy"]
)
def test_every_call_tells_of_the_same_images(second: Callable[[str, int], Any]) -> None:
    with pytest.raises(cnnkit.UsageError, match=r"'near', seed 1.*the same is needed of all"):
        compared(lambda level, seed: (second if (level, seed) == ("near", 1) else right)(level, seed))
    assert len(cnnkit.open_study("study").results.trials) == 5  # what came before is kept


def test_going_on_calls_nothing_twice_and_comes_to_the_same() -> None:
    function = Counted()
    compared(function, seeds=2)
    compared(function, ["low", "high"], seeds=4)  # no value and no seed is dropped
    study = compared(function, seeds=3)
    assert sorted(function.calls) == sorted((level, seed) for level in LEVELS for seed in range(4))
    assert without_times(study.results) == without_times(results_of(seeds=4, out="at once"))


def without_times(results: StudyResults) -> dict[str, Any]:
    told = results.to_dict()
    for one in (*told["levels"], *told["trials"]):
        del one["timing"]
    return told


def test_a_call_that_raises_keeps_its_traceback_and_is_made_again_the_next_time() -> None:
    def failing(level: str, seed: int) -> Any:
        if (level, seed) == ("high", 1):
            raise ValueError("the loss is nan")
        return right(level, seed)

    study = compared(failing, seeds=3)
    (failed,) = study.results.failed
    assert (failed.level, failed.seed, failed.error) == ("high", 1, "ValueError: the loss is nan")
    text = trial_file("high", 1, FAILURE).read_text()
    assert "Traceback" in text
    assert 'raise ValueError("the loss is nan")' in text
    assert "high failed in 1 of 3 trainings" in str(study)
    assert study.verify() == study.results
    again = Counted()
    functools.update_wrapper(again, failing)
    assert not compared(again, seeds=3).results.failed
    assert again.calls == [("high", 1)]


def test_a_function_that_always_raises_ends_soon() -> None:
    function = Counted(lambda level, seed: 1 / 0)
    study = compared(function)
    assert len(function.calls) <= 3 * len(LEVELS)
    assert "nothing to compare" in str(study)
    assert study.report().exists()


def test_the_margin_follows_from_the_number_of_images_before_anything_is_compared() -> None:
    def stopping(level: str, seed: int) -> Any:
        if (level, seed) != ("low", 0):
            raise KeyboardInterrupt
        return right(level, seed)[:400]

    with pytest.raises(cnnkit.Interrupted):
        compared(stopping)
    study = load_function_study(Path("study"))
    assert (study.images, study.margin, study.margin_given) == (400, 0.5, False)  # two images of 400
    assert compared(accuracy, seeds=2, out="alone").results.margin == 0.1
    assert compared(right, seeds=2, out="given", margin=0.3).results.margin == 0.3


def test_another_margin_later_leaves_a_trace() -> None:
    compared(right, seeds=3)
    results = compared(right, seeds=3, margin=2.0).results
    assert [earlier.margin for earlier in results.history] == [0.1]
    assert "The margin was changed" in str(cnnkit.open_study("study"))


def test_values_are_given_as_json_keeps_them() -> None:
    function = Counted(lambda level, seed: 0.5)
    compared(function, [0.1, None, {"lr": [1, 2]}, (3, 4)], seeds=1)
    assert [level for level, _ in function.calls] == [0.1, None, {"lr": [1, 2]}, [3, 4]]
    names = [level.name for level in cnnkit.open_study("study").results.levels]
    assert names == ["0.1", "null", '{"lr": [1, 2]}', "[3, 4]"]


@pytest.mark.parametrize(
    ("levels", "options", "words"),
    [
        (["a"], {}, "two values or more"),
        (["a", "a"], {}, "a is there twice"),
        ([1, "1"], {}, "1 is there twice"),
        ([right, "a"], {}, "cannot be kept as JSON"),
        ([float("nan"), 1], {}, "cannot be kept as JSON"),
        (LEVELS, {"margin": 0}, "margin"),
        (LEVELS, {"seeds": 0}, "at least one"),
        (LEVELS, {"min_seeds": 0}, "expected 2 or more"),
        (LEVELS, {"workers": 0}, "1 or more"),
        (LEVELS, {"match": "macs"}, "not a function"),
        (LEVELS, {"executor": "ray"}, "not a function"),
    ],
)
def test_what_makes_no_study_is_refused_before_the_first_call(
    levels: list[Any], options: dict[str, Any], words: str
) -> None:
    function = Counted()
    with pytest.raises(cnnkit.UsageError, match=words):
        compared(function, levels, **options)
    assert not function.calls
    assert not Path("study").exists()


def test_a_folder_of_another_study_or_of_something_else_is_refused(tmp_path: Path) -> None:
    compared(right, seeds=2)
    with pytest.raises(cnnkit.UsageError, match=r"its function is .*right, not .*accuracy"):
        compared(accuracy)
    with pytest.raises(cnnkit.UsageError, match="compares level, not size"):
        cnnkit.compare(right, {"size": LEVELS}, out="study", progress=False)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    with pytest.raises(cnnkit.UsageError, match="not empty"):
        compared(right, out="full")


def test_source_that_changes_between_two_calls_is_told_and_stays_told() -> None:
    def train(level: str, seed: int) -> float:
        return 0.5 + seed / 100

    first = train
    assert not compared(first, seeds=3).results.warnings

    def train(level: str, seed: int) -> float:  # type: ignore[no-redef]
        return 0.6 + seed / 100

    assert name_of(train) == name_of(first)
    assert code_of(train) != code_of(first)
    for _ in range(2):
        (warning,) = compared(train, seeds=4).results.warnings
        assert "source" in warning


def test_a_function_that_forgets_its_seed_is_asked_about_it() -> None:
    assert "use its seed?" in str(compared(lambda level, seed: TRUTH[level], seeds=3))
    assert "use its seed?" not in str(compared(right, seeds=3, out="other"))


def test_an_answer_that_is_damaged_is_told_and_its_call_made_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    compared(right, seeds=2)
    trial_file("low", 1).write_text("{}")
    function = Counted()
    compared(function, seeds=2, progress=True)
    assert function.calls == [("low", 1)]
    assert "low, seed 1, is called again" in capsys.readouterr().err


def test_verify_names_the_file_that_was_changed() -> None:
    study = compared(right, seeds=3)
    assert study.verify() == study.results
    kept = kept_json(trial_file("low", 1))
    keep_json(trial_file("low", 1), {**kept, "accuracy": 0.9})
    with pytest.raises(cnnkit.RunError, match=f"{re.escape(str(trial_file('low', 1)))}.*accuracy"):
        study.verify()
    keep_json(trial_file("low", 1), {**kept, **answers("high", 7)})
    with pytest.raises(cnnkit.RunError, match="low-seed1"):
        study.verify()
    with pytest.raises(cnnkit.UsageError, match="no weights"):
        study.verify(deep=True)


def answers(level: str, seed: int) -> dict[str, Any]:
    answer = call_function(right, FunctionTrial("level", level, level, seed))
    assert not isinstance(answer, Failed)
    return {"accuracy": answer.accuracy, "right": answer.right}


def test_a_damaged_plan_is_told_in_words() -> None:
    study = compared(right, seeds=2)
    kept = kept_json(Path("study", STUDY))
    for change in ({"margin": 0.0}, {"version": 9}, {"levels": kept["levels"][:1]}, {"seeds": 0}):
        keep_json(Path("study", STUDY), {**kept, **change})
        with pytest.raises(cnnkit.RunError, match=STUDY):
            study.verify()


def test_the_command_line_verifies_and_reports_it_and_says_how_to_go_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    compared(right, seeds=2)
    assert "of 6 trials" in call(capsys, "compare", "--verify", "study").out
    assert call(capsys, "report", "study").code == 0
    for options in (["--resume"], ["--config", "digits", "--vary", "model.dropout=0,0.5"]):
        refused = call(capsys, "compare", *options, "--out", "study")
        assert refused.code == 2
        assert "cnnkit.compare(…, out='study')" in refused.err


def test_processes_give_the_same_results_as_this_one() -> None:
    assert without_times(results_of(seeds=3, workers=2)) == without_times(results_of(seeds=3, out="here"))


def dying(level: str, seed: int) -> Any:
    if (level, seed) == ("high", 0):
        os._exit(3)
    return right(level, seed) if seed else None


def test_a_process_that_dies_costs_one_call_and_a_wrong_answer_there_is_refused_too() -> None:
    with pytest.raises(cnnkit.UsageError, match=r"dying\('near', 0\) returned None"):
        compared(dying, ["high", "near"], workers=2, seeds=1)


def test_a_call_whose_process_dies_twice_has_failed() -> None:
    results = compared(dying_at_0, seeds=1, workers=2).results
    assert [(trial.level, "its process was stopped" in str(trial.error)) for trial in results.failed] == [
        ("high", True)
    ]


def dying_at_0(level: str, seed: int) -> Any:
    return dying(level, seed or 1) if level != "high" else dying(level, seed)


def test_what_other_processes_cannot_load_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(cnnkit.UsageError, match="put it into a module"):
        compared(lambda level, seed: 0.5, workers=2)
    monkeypatch.setattr(right, "__module__", "__main__")
    with pytest.raises(cnnkit.UsageError, match="do not see right of this script"):
        compared(right, workers=2)


@posix_signals
def test_ctrl_c_keeps_what_has_ended_and_tells_the_verdict_so_far() -> None:
    def interrupted(level: str, seed: int) -> Any:
        if seed == 4:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        return right(level, seed)

    with pytest.raises(
        StudyInterrupted, match=r"cnnkit.compare\(…, out='study'\)\. So far: level "
    ) as stopped:
        compared(interrupted, margin=0.001)
    assert stopped.value.results == cnnkit.open_study("study").results
    assert stopped.value.results.seeds == [0, 1, 2, 3]
    assert kept_json(Path("study", RESULTS))["function"].endswith("interrupted")


def test_a_training_of_cnnkit_in_the_function_that_is_interrupted_is_no_failure() -> None:
    def interrupted(level: str, seed: int) -> float:
        if seed == 2:
            raise cnnkit.Interrupted("stopped and saved", signal.SIGINT)
        return accuracy(level, seed)

    with pytest.raises(StudyInterrupted, match="So far") as stopped:
        compared(interrupted)
    assert stopped.value.exit_code == 130
    assert not stopped.value.results.failed


class Trainer:
    def __call__(self, level: str, seed: int) -> float:
        return accuracy(level, seed)


def test_a_function_may_be_an_object_or_have_arguments_ahead() -> None:
    assert name_of(functools.partial(right, seed=3)) == name_of(right) == name_of(Counted())
    assert name_of(Trainer()) == f"{__name__}.Trainer"
    assert compared(Trainer(), seeds=2, workers=2).results.function == f"{__name__}.Trainer"


def sections(page: Path) -> dict[str, str]:
    """The text of each section of a report, without marks."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r'<section id="(\w+)">(.*?)</section>', text, re.DOTALL)
    assert [name for name, _ in found] == re.findall(r'<a href="#(\w+)">', text.partition("<nav")[2])
    return {name: re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", inner)) for name, inner in found}


def test_the_answer_of_the_report_is_that_of_the_study() -> None:
    study = compared(lambda level, seed: 0.01 * LEVELS.index(level), seeds=4)
    assert "by 1.00 points or more" in str(study)
    text = study.report().read_text(encoding="utf-8")
    (answer,) = re.findall(r"<h1>(.*?)</h1>", text)
    assert str(study).lower().startswith(answer.lower())


def test_where_every_call_failed_nothing_is_said_of_verdicts_and_seeds() -> None:
    def fails(level: str, seed: int) -> float:
        raise ValueError("no")

    study = compared(fails, seeds=2)
    assert "use its seed?" not in str(study)
    told = sections(study.report())
    assert [*told] == ["method", "warnings", "provenance"]
    assert "e-value" not in told["method"]


def test_the_report_shows_what_there_is_and_nothing_else() -> None:
    of_images, alone = compared(right, seeds=4), compared(accuracy, seeds=4, out="alone")
    told = sections(of_images.report())
    drawn = ["ranking", "seeds", "pairs", "growth", "costs", "gallery"]
    assert [*told] == [*drawn, "method", "warnings", "provenance"]
    told_alone = sections(alone.report())
    assert [*told_alone] == [name for name in told if name != "gallery"]
    assert "standard error of the images" in told["pairs"]
    assert "of the images" not in told_alone["pairs"]
    for level in of_images.results.levels:
        assert re.search(rf"{level.name} 4 seeds[^%]* {level.accuracy.mean:.3%}", told["ranking"])
    assert not re.search(r"None(?!:| of)|MACs|images/s|\bnan\b", "".join(told.values()))
    answers = np.array([[right(level, seed) for seed in range(4)] for level in LEVELS]).sum(1)
    apart = answers.max(0) - answers.min(0)
    order = [level.name for level in of_images.results.levels]
    first = int(np.argmax(apart))
    counts = " ".join(str(answers[LEVELS.index(name), first]) for name in order)
    assert f" {first:,} {counts} " in told["gallery"]
    assert f"On {(apart > 0).sum():,} test images" in told["gallery"]


RATES = {"slow": 0.80, "fast": 0.90}
SEVERAL = {"rate": [*RATES], "depth": [1, 2]}


def of_both(chosen: dict[str, Any], seed: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """A higher rate is better, by less if it is deep."""
    share = RATES[chosen["rate"]] - (0.05 if chosen == {"rate": "fast", "depth": 2} else 0.0)
    luck = np.random.default_rng([seed, len(chosen["rate"]), chosen["depth"]])
    return np.asarray(np.random.default_rng(0).random(IMAGES) + 0.02 * luck.normal(size=IMAGES) < share)


def test_a_function_of_several_keys_gets_the_value_of_each_and_effects_are_told() -> None:
    function = Counted(of_both)
    study = cnnkit.compare(function, SEVERAL, 6, "study", progress=False)
    results = study.results
    expected = [{"rate": rate, "depth": depth} for rate in RATES for depth in (1, 2)]
    assert [chosen for chosen, seed in function.calls if seed == 3] == expected
    assert [factor.key for factor in results.factors] == ["rate", "depth"]
    by_name = {level.name: level for level in results.levels}
    for rate in results.factors[0].levels:
        both = [by_name[f"{rate.name}, {depth}"].accuracies for depth in (1, 2)]
        assert rate.accuracies == pytest.approx(np.mean(both, 0))
    assert results.interactions[0].verdict == APART
    words = str(study)
    assert words.startswith("Averaged over depth, rate fast wins with ")
    assert "The best rate does not depend on depth" in words
    assert "How much the rate matters depends on depth." in words
    assert study.verify() == results
    assert study.report().is_file()


@pytest.mark.parametrize("function", [of_both, lambda chosen, seed: float(of_both(chosen, seed).mean())])
def test_the_report_of_a_function_of_several_keys_shows_main_effects(
    function: Callable[[dict[str, Any], int], Any],
) -> None:
    study = cnnkit.compare(function, SEVERAL, 6, "study", progress=False)
    page = study.report().read_text(encoding="utf-8")
    section = page[page.index('<section id="effects">') :].partition("</section>")[0]
    assert "could not be drawn" not in section
    for factor in study.results.factors:
        assert f"<th>{factor.key}</th>" in section
        for level in factor.levels:
            assert f"<b>{level.accuracy.mean:.3%}</b>" in section
    assert "best rate does not depend on depth" in section
    assert "accuracy, %, against depth" in section
    assert "beaten" not in page.partition("<main>")[2].partition('id="provenance"')[0]


def test_a_function_of_several_keys_is_called_until_its_effects_are_known_and_goes_on() -> None:
    function = Counted(of_both)
    results = cnnkit.compare(function, SEVERAL, out="study", margin=2, progress=False).results
    assert results.decided
    assert len(function.calls) == 4 * len(results.seeds) < 4 * 40
    again = Counted(of_both)
    more = {"rate": [*RATES], "depth": [1, 2, 3]}
    longer = cnnkit.compare(again, more, len(results.seeds), "study", progress=False).results
    assert {chosen["depth"] for chosen, _ in again.calls} == {3}
    assert [len(factor.levels) for factor in longer.factors] == [2, 3]


def test_a_combination_of_a_function_that_raises_makes_the_effects_unknown() -> None:
    def raises(chosen: dict[str, Any], seed: int) -> Any:
        return of_both(chosen, seed if chosen["depth"] == 1 or seed else 1 // seed)

    study = cnnkit.compare(raises, SEVERAL, 3, "study", progress=False)
    assert study.results.dependence[0].failed == ["slow, 2", "fast, 2"]
    assert "is not known, because slow, 2; and fast, 2 failed." in str(study)


@pytest.mark.parametrize(
    ("vary", "why"),
    [
        ({"a": [1, 2], "b": [3]}, "b: a comparison needs two values"),
        ({"a": [1, 1], "b": [3, 4]}, "a: 1 is there twice"),
        ({"a": ["x", "x, y"], "b": ["y, z", "z"]}, "x, y, z is there twice"),
        ({"a × b": [1, 2]}, "the name of a key"),
    ],
)
def test_several_keys_that_make_no_study_are_refused(vary: dict[str, Any], why: str) -> None:
    with pytest.raises(cnnkit.UsageError, match=re.escape(why)):
        cnnkit.compare(of_both, vary, 2, "study", progress=False)


def test_the_margin_of_a_function_is_that_of_as_many_images_of_a_configuration() -> None:
    def few(level: str, seed: int) -> list[bool]:
        return right(level, seed)[:360].tolist()

    digits = cnnkit.load_config("digits")
    assert digits.data.info.test_images == 360
    assert compared(few, seeds=2).results.margin == plan_study(digits, "model.dropout", [0, 0.5]).margin
