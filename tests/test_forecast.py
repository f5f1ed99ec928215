"""What a training will cost, told before it begins; and asking before it takes hours."""

import math
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import typer
from support import call

import cnnkit
from cnnkit.api.progress import TrainingProgress, err
from cnnkit.api.study_progress import StudyProgress
from cnnkit.cli import consent
from cnnkit.comparison.forecasts import StudyForecast, of_this_machine
from cnnkit.config.schema import Config
from cnnkit.events import Event, Forecast, StudyBegun
from cnnkit.experiment import forecast as module
from cnnkit.experiment.forecast import forecast
from cnnkit.experiment.train import prepare
from cnnkit.training.idle_cores import IdleCores

Tiny = Callable[..., Config]
Capture = pytest.CaptureFixture[str]
HOURS = Forecast(3 * 3600.0, 2_000_000_000)


def study_of(seconds: tuple[float, float] | None) -> StudyBegun:
    return StudyBegun("all", "cpu", 9, 0, True, [], seconds)


def test_seconds_are_those_of_all_steps_evaluations_and_the_test(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny("training.epochs=3", "training.batch_size=100", "data.validation=200")
    setting = prepare(config)
    monkeypatch.setattr(module, "_seconds_of_step", lambda *_: 10.0)
    monkeypatch.setattr(module, "_seconds_of_image", lambda *_: 0.01)
    train, validation, test = (len(getattr(setting.splits, name)) for name in ("train", "validation", "test"))
    steps = math.ceil(train / 100)
    expected = 3 * (10 * steps + 0.01 * (min(train, 2000) + validation)) + 0.01 * test
    assert forecast(config, setting).seconds == pytest.approx(expected)


@pytest.mark.parametrize(
    ("second", "epochs", "taken"),
    [(1.0, 1000, module.UNLIKE + module.STEPS), (0.01, 1, module.UNLIKE + module.STEPS), (0.01, 1000, 52)],
    ids=["slow steps", "a short training", "fast steps of a long training"],
)
def test_the_first_steps_are_not_timed_and_the_others_are_timed_as_long_as_it_pays(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, second: float, epochs: int, taken: int
) -> None:
    config = tiny(f"training.epochs={epochs}", "training.batch_size=16")
    setting, now = prepare(config), [0.0]
    step = module.steps_for

    def slow_at_first(*of: Any) -> Any:
        steps = step(*of)
        take = steps.take

        def timed(epoch: int, number: int) -> None:
            take(epoch, number)
            now[0] += 100.0 if number < module.UNLIKE else second

        steps.take = timed
        return steps

    monkeypatch.setattr(module, "steps_for", slow_at_first)
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    training = module.begin(config, setting.placement, setting.splits)
    assert module._seconds_of_step(training, setting) == pytest.approx(second)
    assert training.under_way is not None
    assert training.under_way.step == pytest.approx(taken, abs=1)


def test_a_training_is_what_it_is_without_a_forecast(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny("model.dropout=0.5")
    first = cnnkit.train(config, tmp_path / "told", progress=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cnnkit.api.functions.forecast", lambda *_: HOURS)
        second = cnnkit.train(config, tmp_path / "untold", progress=False)
    for one, other in zip(first.model().parameters(), second.model().parameters(), strict=True):
        assert torch.equal(one, other)


def test_it_is_told_before_the_training_begins(tiny: Tiny, tmp_path: Path) -> None:
    events: list[Event] = []
    cnnkit.train(tiny(), tmp_path / "run", progress=events.append)
    kinds = [type(event).__name__ for event in events]
    assert kinds.index("Forecast") < kinds.index("Begun")
    (told,) = (event for event in events if isinstance(event, Forecast))
    assert told.seconds > 0
    assert told.memory is None or told.memory > 10**8  # torch alone takes more


def test_time_and_memory_are_told_in_words(capsys: Capture) -> None:
    progress = TrainingProgress()
    progress(HOURS)
    progress(Forecast(40.0))
    assert capsys.readouterr().err.splitlines() == [
        "takes about 3.0 hours, with 2.0 GB of memory",
        "takes about 40 s",
    ]


@pytest.mark.parametrize(
    "command", ["train {tiny} --out own", "compare {tiny} --vary model.dropout=0,0.5 --seeds 2"]
)
def test_in_a_pipe_hours_are_warned_of(
    command: str, tiny_file: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consent, "LONG", 0.0)
    outcome = call(capsys, *command.format(tiny=tiny_file).split())
    assert outcome.code == 0
    assert re.search(r"^note: this takes about \d+ s$", outcome.err, re.MULTILINE)
    yes = call(capsys, *command.replace("own", "other").format(tiny=tiny_file).split(), "--yes")
    assert "note: this takes" not in yes.err


@pytest.mark.parametrize("event", [HOURS, study_of((7200.0, 9000.0))], ids=["run", "study"])
@pytest.mark.parametrize(("answer", "yes", "passed"), [(True, False, 1), (False, False, 0), (False, True, 1)])
def test_on_a_terminal_a_person_is_asked(
    event: Any, answer: bool, yes: bool, passed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, told = [], []

    def confirm(text: str, **_: object) -> None:
        asked.append(text)
        if not answer:
            raise typer.Abort

    monkeypatch.setattr(typer, "confirm", confirm)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(type(err), "is_terminal", True)
    listener = consent.asking(told.append, yes)
    try:
        listener(event)
    except typer.Abort:
        assert not answer
    assert len(asked) == (not yes)
    assert all("hours; go on?" in text for text in asked)
    assert len(told) == passed


def test_nobody_is_asked_about_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)  # asking it would fail
    told: list[object] = []
    listener = consent.asking(told.append, yes=False)
    for event in (
        Forecast(3599.0),
        study_of((60.0, 9000.0)),
        study_of(None),
    ):
        listener(event)
    assert len(told) == 3


# --- a study ----------------------------------------------------------------------------------------


def test_a_study_tells_the_memory_of_its_workers_and_warns_where_it_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    costs = StudyForecast({"max": 1.0}, workers=3, memory=2_000_000_000)
    assert costs.too_large(6e9) == ""
    assert costs.too_large(5.9e9) == (
        "3 workers may need 6.0 GB of memory, and 5.9 GB are free; try fewer --workers"
    )
    alone = replace(costs, workers=1)
    assert alone.too_large(1e9) == "1 worker may need 2.0 GB of memory, and 1.0 GB are free"
    assert replace(costs, memory=None).too_large(0.0) == ""


def test_a_study_on_a_busy_machine_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = StudyForecast({"max": 1.0}, workers=1, memory=None)
    monkeypatch.setattr("cnnkit.comparison.forecasts.available_cpus", lambda: 4)
    monkeypatch.setattr(IdleCores, "count", lambda *_: 3.0)
    told = ["this machine is busy: 3.0 of 4 cores are free, so this takes longer"]
    assert of_this_machine(costs, IdleCores(), "cpu") == told
    assert of_this_machine(costs, IdleCores(), "cuda:0") == []
    monkeypatch.setattr(IdleCores, "count", lambda *_: 3.9)
    assert of_this_machine(costs, IdleCores(), "cpu") == []


@pytest.mark.parametrize(
    ("workers", "memory", "told"),
    [
        (0, None, "all; cpu; about 9 s"),
        (1, 1_234_000_000, "all; cpu; about 9 s; 1 worker, with 1.2 GB of memory"),
        (2, 1_234_000_000, "all; cpu; about 9 s; 2 workers, with 1.2 GB of memory each"),
        (2, None, "all; cpu; about 9 s; 2 workers"),
    ],
)
def test_workers_and_their_memory_in_words(
    workers: int, memory: int | None, told: str, capsys: Capture
) -> None:
    begun = replace(study_of((9.0, 9.0)), workers=workers, memory=memory)
    with StudyProgress() as listener:
        listener(begun)
    assert capsys.readouterr().err.splitlines()[0] == told
