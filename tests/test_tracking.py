"""Trackers are told all of a training, and never stop one."""

import json
import math
import os
import queue
import subprocess
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support import SIGKILL, Here, Tiny, kept_json, posix_signals

import cnnkit
from cnnkit.api.functions import train
from cnnkit.api.run import Run
from cnnkit.api.study import run_plan
from cnnkit.comparison.levels import levels_of
from cnnkit.comparison.runner import run_study
from cnnkit.comparison.sentence import sentence
from cnnkit.comparison.study import plan_study
from cnnkit.comparison.trial import Trial
from cnnkit.config.load import config_text, flat, parse_config
from cnnkit.config.schema import Config
from cnnkit.errors import TrainingError, UsageError
from cnnkit.events import EpochRecord, Listener, Note, TrialDone
from cnnkit.families.trackers import TRACKERS, Tracker
from cnnkit.filenames import PREDICTIONS, RESULT, STUDY
from cnnkit.stats import MOST_SEEDS
from cnnkit.tracking import delivery, taker
from cnnkit.tracking.delivery import Deliveries
from cnnkit.tracking.messages import Ended, Message, Opened, Refused, Row, Scalars, Text
from cnnkit.tracking.pictures import CELL, LETTER, LONGEST_NAME, MARGIN, confusion_picture, filters_picture
from cnnkit.tracking.run import tracked_before
from cnnkit.tracking.study import tracked_study, verdict

# A whole tracker in one file, which keeps what it is told in `fake.jsonl` of the run directory.
FAKE = """
import json, os, time
from pathlib import Path

class Fake:
    def __init__(self, opened, memory, parent):
        self.folder, self.memory = Path(opened.folder), {"known": "yes"}
        going_on = opened.goes_on and bool(memory)
        self._told("opened", opened.name, dict(opened.parameters), parent and str(parent.folder), going_on)

    def scalars(self, rows):
        if os.environ.get("FAKE") == "hangs":
            time.sleep(1000)
        for row in rows:
            self._told("row", row.step, dict(row.values))

    def picture(self, name, png, size):
        (self.folder / f"fake-{name}.png").write_bytes(png)
        self._told("picture", name, size)

    def text(self, name, line, markdown):
        self._told("text", name, line, markdown)

    def file(self, path):
        self._told("file", Path(path).name)

    def end(self, state, seconds):
        self._told("end", state)

    def _told(self, *what):
        if os.environ.get("FAKE") == "fails":
            raise ConnectionError("nobody answers")
        if os.environ.get("FAKE") == "dies":
            os._exit(3)
        with (self.folder / "fake.jsonl").open("a") as file:
            print(json.dumps(what), file=file)
"""


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, all that can be delivered is."""
    monkeypatch.setattr(delivery, "QUIET", 100.0)
    monkeypatch.setattr(delivery, "LONGEST", 100.0)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A third tracker, which the file `one_file.py` makes."""
    folder = tmp_path / "third"
    folder.mkdir()
    (folder / "one_file.py").write_text(FAKE)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setitem(TRACKERS._entries, "fake", Tracker("fake", "one_file:Fake", "one_file", "fake"))


def told(folder: Path, kind: str) -> list[list[Any]]:
    """What the fake tracker was told of a run, of one kind."""
    file = folder / "fake.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return [what for name, *what in lines if name == kind]


def notes(into: list[str]) -> Listener:
    return lambda event: into.append(event.text) if isinstance(event, Note) else None


def values_of(record: EpochRecord) -> set[float]:
    return {record.train_loss, record.val_accuracy, record.learning_rate, record.images_per_second}  # type: ignore[arg-type]


@pytest.mark.usefixtures("fake")
def test_a_third_tracker_in_one_file_is_told_all_of_a_training(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny("tracking=[fake]")
    run, home = train(config, "run", progress=False), tmp_path / "run"
    ((name, parameters, parent, going_on),) = told(home, "opened")
    expected = {key: value for key, value in flat(config).items() if key != "tracking"}
    assert (name, parameters, parent, going_on) == ("run", expected, None, False)
    *epochs, (step, result) = told(home, "row")
    assert [step for step, _ in epochs] == [1, 2]
    for (_, values), record in zip(epochs, run.metrics, strict=True):
        assert values_of(record) <= {*values.values()}
        assert values["loss/train"] == record.train_loss
        assert values["balanced_accuracy/val"] == record.val_balanced_accuracy
    assert (step, result["test/accuracy"], result["test/loss"]) == (
        2,
        run.result.test_accuracy,
        run.result.test_loss,
    )
    assert [picture for picture, _ in told(home, "picture")] == ["confusion", "filters"]
    names, confusion = config.data.info.class_names, run.evaluate().evaluation.confusion.double().numpy()
    first = next(weight for weight in run.weights.model.parameters() if weight.dim() == 4)
    assert (home / "fake-confusion.png").read_bytes() == confusion_picture(confusion, names).png
    assert (home / "fake-filters.png").read_bytes() == filters_picture(first.detach().numpy()).png
    assert told(home, "end") == [["finished"]]


@pytest.mark.usefixtures("fake")
def test_a_run_that_goes_on_is_told_on_in_the_same_tracked_run(tiny: Tiny, tmp_path: Path) -> None:
    def stop(event: object) -> None:
        if isinstance(event, EpochRecord):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tiny("tracking=[fake]"), "run", progress=stop)
    assert told(tmp_path / "run", "end") == [["killed"]]
    Run(Path("run")).resume(progress=False)
    assert [going_on for *_, going_on in told(tmp_path / "run", "opened")] == [False, True]
    assert told(tmp_path / "run", "end") == [["killed"], ["finished"]]


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("fails", ["nobody answers; the training goes on", "could not be delivered"]),
        ("dies", ["its process has ended too early"]),
        ("hangs", ["it takes too long; what it has not taken is dropped"]),
    ],
)
def test_a_tracker_that_fails_dies_or_hangs_is_told_once_and_changes_nothing(
    how: str, words: list[str], tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE", how)
    monkeypatch.setattr(delivery, "QUIET", 1.0 if how == "hangs" else 100.0)
    heard: list[str] = []
    tracked = train(tiny("tracking=[fake]"), "tracked", progress=notes(heard))
    plain = train(tiny(), "plain", progress=False)
    assert (tracked.path / PREDICTIONS).read_bytes() == (plain.path / PREDICTIONS).read_bytes()
    assert [a.train_loss for a in tracked.metrics] == [b.train_loss for b in plain.metrics]
    of_tracker = [note for note in heard if note.startswith("fake: ")]
    assert len(of_tracker) == len(words)
    assert all(word in note for word, note in zip(words, of_tracker, strict=True))


def test_a_tracker_whose_library_is_missing_is_told_and_the_training_goes_on(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "is_installed", lambda _: False)
    heard: list[str] = []
    run = train(tiny("tracking=[mlflow]", "training.epochs=1"), "run", progress=notes(heard))
    assert run.result.epochs == 1
    assert [note for note in heard if "pip install 'cnnkit[mlflow]'" in note]


@pytest.mark.usefixtures("fake")
def test_what_finds_no_room_in_the_queue_is_dropped_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE", "hangs")
    monkeypatch.setattr(delivery, "QUIET", 1.0)
    monkeypatch.setattr(delivery, "SILENT", 0.1)
    monkeypatch.setattr(delivery, "MOST_WAITING", 2)
    heard: list[str] = []
    deliveries = delivery.Deliveries(["fake"], notes(heard))
    row = Row(1, {"a" * 100_000: 1.0}, 0.0)  # more than a pipe holds
    deliveries.tell(Opened(str(tmp_path), "a", {}), *[Scalars(str(tmp_path), [row])] * 20)
    deliveries.close()
    assert heard[0] == "waiting for fake to take the rest"
    assert "messages could not be delivered" in heard[-1]


@pytest.mark.usefixtures("fake")
def test_a_training_that_fails_is_told_as_failed(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(TrainingError):
        train(tiny("tracking=[fake]", "training.learning_rate=1e30"), "run", progress=False)
    assert told(tmp_path / "run", "end") == [["failed"]]


class Recording:
    """A tracked run in this process. down: raises so many times before it takes anything."""

    down = 0
    taken: list[Any]

    def __init__(self, opened: Opened, memory: dict[str, Any], parent: Any) -> None:
        self.memory = {"id": opened.name, "before": memory.get("id")}

    def scalars(self, rows: list[Row]) -> None:
        if Recording.down:
            Recording.down -= 1
            raise ConnectionError("no\nserver")
        Recording.taken.append([row.step for row in rows])

    def text(self, name: str, line: str, markdown: str) -> None:
        raise Refused("too long")

    def end(self, state: str, seconds: float) -> None:
        Recording.taken.append(state)


@pytest.fixture
def recorded() -> Iterator[Callable[[int, list[Message]], list[dict[str, Any]]]]:
    """Messages are taken while nothing is there for so many tries; what the process tells is returned."""
    Recording.taken = []

    def take(down: int, messages: list[Message]) -> list[dict[str, Any]]:
        Recording.down = down
        answers: list[dict[str, Any]] = []
        waiting: queue.Queue[Message | None] = queue.Queue()
        for message in (*messages, None):
            waiting.put(message)
        taker.run(taker.Taker("own", Recording, answers.append), waiting, again=0.0)  # type: ignore[arg-type]
        return answers

    return take


Take = Callable[[int, list[Message]], list[dict[str, Any]]]


def test_numbers_that_wait_are_taken_together_and_a_refused_message_holds_up_no_other(
    recorded: Take, tmp_path: Path
) -> None:
    home = str(tmp_path)
    rows = [Scalars(home, [Row(step, {}, 0.0)]) for step in (1, 2, 3)]
    answers = recorded(0, [Opened(home, "a", {}), *rows, Text(home, "long", "", ""), Ended(home, "finished")])
    assert Recording.taken == [[1, 2, 3], "finished"]
    assert [answer for answer in answers if "taken" not in answer] == [{"told": "too long"}, {"lost": 1}]
    assert taker.kept_memory(tmp_path, "own") == {"id": "a", "before": None, "ended": True}
    recorded(0, [Opened(home, "b", {}, goes_on=True)])
    assert taker.kept_memory(tmp_path, "own")["before"] == "a"


def test_what_is_not_taken_waits_and_is_counted_where_it_never_is(recorded: Take, tmp_path: Path) -> None:
    home = str(tmp_path)
    answers = recorded(1, [Opened(home, "a", {}), Scalars(home, [Row(1, {}, 0.0)])])
    assert [answer for answer in answers if "taken" not in answer] == [{"told": "no server"}, {"lost": 1}]
    assert Recording.taken == []


def test_what_failed_is_tried_again_while_messages_come(tmp_path: Path) -> None:
    Recording.taken, Recording.down = [], 2
    own = taker.Taker("own", Recording, lambda _: None)  # type: ignore[arg-type]
    own.waiting.extend([Opened(str(tmp_path), "a", {}), Scalars(str(tmp_path), [Row(1, {}, 0.0)])])
    assert [own.take_all(), own.take_all(), own.take_all()] == [False, False, True]
    assert Recording.taken == [[1]]


@pytest.mark.parametrize("held", [1, taker.MOST_HELD, taker.MOST_HELD + 1])
def test_a_tracker_that_has_used_its_share_takes_nothing_until_the_end_or_much_waits(
    held: int, tmp_path: Path
) -> None:
    Recording.taken, seen = [], list[int]()
    own = taker.Taker("own", Recording, lambda _: None)  # type: ignore[arg-type]
    waiting: queue.Queue[Message | None] = queue.Queue()
    for _ in range(held):
        waiting.put(Opened(str(tmp_path), "a", {}))
    rests = iter([0.001] * 3)

    def rest() -> float:
        left = next(rests, None)
        if left is None and not seen:
            seen.append(len(own.runs))
            waiting.put(None)
        return left or 1000.0

    taker.run(own, waiting, rest)
    assert seen == [held > taker.MOST_HELD]
    assert (len(own.runs), len(own.waiting)) == (1, 0)


def test_a_share_is_of_the_time_since_the_training_began(monkeypatch: pytest.MonkeyPatch) -> None:
    now, used = 1000.0, 3.0
    monkeypatch.setattr(taker, "time", SimpleNamespace(monotonic=lambda: now, process_time=lambda: used))
    rest = taker.resting(0.02, age=100.0)
    assert rest() == pytest.approx(3.0 / 0.02 - 100.0)
    now += 49.0
    assert rest() == pytest.approx(1.0)
    now += 2.0
    assert rest() == 0.0


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("share", [1e-9, math.inf])
def test_a_short_training_is_told_at_its_end_and_a_long_one_before(
    share: float, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, before, started = tmp_path / "run", list[bool](), list[bool]()

    def start(*command: Any, **given: Any) -> subprocess.Popen[bytes]:
        started.append(True)
        return subprocess.Popen(*command, **given)

    monkeypatch.setattr(delivery, "SHARE", share)
    monkeypatch.setattr(delivery, "subprocess", SimpleNamespace(Popen=start, PIPE=subprocess.PIPE))

    def listen(event: object) -> None:
        if isinstance(event, EpochRecord) and event.epoch == 2:
            latest = time.monotonic() + (0.0 if share < 1 else 100.0)
            while not told(home, "row") and time.monotonic() < latest:
                time.sleep(0.02)
            before.append(bool(told(home, "opened")))
            assert started == [True] * (share > 1)

    train(tiny("tracking=[fake]"), "run", progress=listen)
    assert before == [share > 1]
    assert [step for step, _ in told(home, "row")] == [1, 2, 2]
    assert told(home, "end") == [["finished"]]


OUTLIVED = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
open({named!r}, "w").write(str(child.pid))
time.sleep(100)
"""


@pytest.mark.usefixtures("fake")
@posix_signals
def test_what_a_killed_tracker_has_started_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child of its process holds the pipe that answers come through."""
    named = tmp_path / "child"
    monkeypatch.setattr(delivery, "TAKER", OUTLIVED.format(named=str(named)))
    monkeypatch.setattr(delivery, "SHARE", math.inf)  # the process starts at once
    for name in ("LONGEST", "KILLED", "SILENT"):
        monkeypatch.setattr(delivery, name, 0.1)
    heard = list[str]()
    deliveries = Deliveries(["fake"], notes(heard))
    latest = time.monotonic() + 100.0
    while not (named.exists() and named.read_text()) and time.monotonic() < latest:
        time.sleep(0.02)
    deliveries.close()
    os.kill(int(named.read_text()), SIGKILL)  # raises where it has ended
    assert "it takes too long; what it has not taken is dropped" in heard[-1]


def test_tracking_changes_no_identity_and_no_plan(tiny: Tiny) -> None:
    plain, tracked = tiny(), tiny("tracking=[tensorboard, mlflow]")
    assert Trial("a", plain, "data").id == Trial("a", tracked, "data").id
    plans = [plan_study(one, "model.dropout", [0, 0.5], 2) for one in (plain, tracked)]
    assert plans[0].to_file() == plans[1].to_file()
    with pytest.raises(UsageError, match="tracking: what is compared has to share it"):
        plan_study(plain, "tracking", [[], ["mlflow"]], 2)


def test_a_text_of_an_older_version_has_no_trackers(tiny: Tiny) -> None:
    older = "".join(line for line in config_text(tiny()).splitlines(True) if "tracking" not in line)
    assert parse_config(older, kept=True) == tiny()
    assert [one.config.tracking for one in levels_of(tiny(), "model.dropout", [0, 0.5])] == [(), ()]


def compare(config: Config, seeds: int, folder: Path, heard: list[str] | None = None) -> None:
    plan = plan_study(config, "model.dropout", [0, 0.5], seeds)
    with tracked_study(config.tracking, folder, notes([] if heard is None else heard)) as tracked:
        assert tracked is not None
        study = run_plan(plan, folder, tracked=tracked)
        tracked.files.append(study.report())


@pytest.mark.usefixtures("fake", "trials_here")
def test_a_comparison_is_a_run_with_the_verdict_and_one_for_each_trial(tiny: Tiny, tmp_path: Path) -> None:
    home, heard = tmp_path / "study", list[str]()
    compare(tiny("tracking=[fake]", "training.epochs=1"), 2, home, heard)
    ((name, parameters, parent, _),) = told(home, "opened")
    assert (name, parent, parameters["varied"], parameters["seeds"]) == ("study", None, "model.dropout", 2)
    results = cnnkit.open_study(home).results
    assert told(home, "text") == [["verdict", sentence(results), verdict(results)]]
    assert told(home, "file") == [["results.json"], ["report.html"]]
    numbers = {key: value for _, values in told(home, "row") for key, value in values.items()}
    best = results.best
    assert numbers[f"result/{best.name}/mean"] == numbers[f"mean/{best.name}"] == best.accuracy.mean
    pair = results.pairs[0]
    assert numbers[f"result/{pair.a} - {pair.b}/mean"] == pair.difference.mean
    trials = sorted((home / "trials").iterdir())
    assert len(trials) == 4
    for trial in trials:
        ((_, parameters, parent, _),) = told(trial, "opened")
        assert parent == str(home)
        assert parameters["training.seed"] == cnnkit.open_run(trial).config.training.seed
        (_, epoch), (_, result) = told(trial, "row")
        assert epoch["loss/train"] == cnnkit.open_run(trial).metrics[0].train_loss
        assert result["test/accuracy"] == cnnkit.open_run(trial).result.test_accuracy
        assert told(trial, "end") == [["finished"]]
    assert not [note for note in heard if "tracker" in note or note.startswith("fake: ")]
    assert "tracking: []" in json.loads((home / STUDY).read_text())["config"]


@pytest.mark.usefixtures("fake", "trials_here")
def test_a_study_that_goes_on_tells_what_was_not_told(tiny: Tiny, tmp_path: Path) -> None:
    home = tmp_path / "study"
    config = tiny("training.epochs=1")
    with tracked_study([], None, notes([])) as tracked:
        assert tracked is None
    run_plan(plan_study(config, "model.dropout", [0, 0.5], 1), home)
    tracked_config = config.model_copy(update={"tracking": ("fake",)})
    compare(tracked_config, 1, home)
    trials = sorted((home / "trials").iterdir())
    assert [len(told(trial, "opened")) for trial in trials] == [1, 1]
    compare(tracked_config, 2, home)
    trials = sorted((home / "trials").iterdir())
    assert [len(told(trial, "opened")) for trial in trials] == [1, 1, 1, 1]
    assert [going_on for *_, going_on in told(home, "opened")] == [False, True]


def guessed(optimizer: str, seed: int) -> list[bool]:
    if seed == 1 and optimizer == "adamw":
        raise ValueError("no luck")
    return [optimizer == "adamw", *[seed % 2 == 0] * 9]


@pytest.mark.usefixtures("fake")
def test_a_study_of_a_function_is_a_run_with_its_verdict_and_one_for_each_call(tmp_path: Path) -> None:
    home = tmp_path / "own"
    vary = {"optimizer": ["sgd", "adamw"]}
    study = cnnkit.compare(guessed, vary, seeds=3, out=home, track=["fake"], progress=False)
    ((name, parameters, _, _),) = told(home, "opened")
    assert (name, parameters["varied"], parameters["levels"]) == ("own", "optimizer", ["sgd", "adamw"])
    assert parameters["function"].endswith("guessed")
    assert told(home, "text") == [["verdict", sentence(study.results), verdict(study.results)]]
    assert told(home, "file") == [["results.json"], ["report.html"]]
    trials = {(trial.level, trial.seed): home / "trials" / trial.folder for trial in study.results.trials}
    assert len(trials) == 6
    for (level, seed), trial in trials.items():
        ((_, parameters, parent, _),) = told(trial, "opened")
        assert (parameters["optimizer"], parameters["seed"], parent) == (level, seed, str(home))
        failed = (level, seed) == ("adamw", 1)
        returned = [] if failed else [sum(guessed(level, seed)) / 10]
        assert [values["test/accuracy"] for _, values in told(trial, "row")] == returned
        assert told(trial, "end") == [["failed" if failed else "finished"]]
    cnnkit.compare(guessed, vary, seeds=4, out=home, progress=False)
    assert [len(told(trial, "opened")) for trial in trials.values()] == [1, 1, 1, 2, 1, 1]
    assert len([*home.glob("trials/*/fake.jsonl")]) == 8


def test_a_tracker_that_is_none_is_refused_before_anything_is_written(tiny: Tiny, tmp_path: Path) -> None:
    for of in (tiny(), guessed):
        with pytest.raises(UsageError, match=r"track=mlfow: .*did you mean"):
            cnnkit.compare(of, {"model.dropout": [0, 0.5]}, out="study", track=["mlfow"], progress=False)
    assert not (tmp_path / "study").exists()


@pytest.mark.usefixtures("fake", "trials_here")
def test_each_training_of_tune_is_told_once_below_the_comparison(tiny: Tiny, tmp_path: Path) -> None:
    home = tmp_path / "study"
    config = tiny("training.epochs=1")
    vary = {"model.dropout": [0, 0.5]}

    def trained(seeds: int, track: list[str]) -> None:
        cnnkit.compare(config, vary, seeds, home, tune=2, workers=1, track=track, progress=False)

    trained(1, ["fake"])
    points = sorted((home / "tuning").iterdir())
    assert len(points) == 4
    for point in points:
        ((_, parameters, parent, _),) = told(point, "opened")
        kept = kept_json(point / RESULT)
        assert (parent, parameters["training.seed"] >= MOST_SEEDS) == (str(home), True)
        ((step, values),) = told(point, "row")
        assert (step, values["accuracy/val"]) == (kept["best_epoch"], kept["val_accuracy"])
        assert not any("test" in name for name in values)
        assert told(point, "end") == [["finished"]]
    assert len(told(home, "opened")) == 1
    (points[0] / "tracked-fake.json").unlink()  # as if the tracker had been down
    trained(2, [])
    assert [len(told(point, "opened")) for point in points] == [2, 1, 1, 1]


def test_a_run_that_is_finished_is_not_tracked_afterwards(tiny: Tiny) -> None:
    run = train(tiny("training.epochs=1"), "run", progress=False)
    with pytest.raises(UsageError, match="is finished: no tracker is told of it now"):
        run.resume(progress=False, track=["tensorboard"])
    assert run.resume(progress=False) == run.result


def told_parameters(home: Path) -> dict[str, Any]:
    """The configuration of a study that the fake tracker was told."""
    ((_, parameters, _, _),) = told(home, "opened")
    return {key: value for key, value in parameters.items() if "." in key}


@pytest.mark.usefixtures("fake")
def test_a_trial_that_fails_is_told_with_its_reason(tiny: Tiny, tmp_path: Path) -> None:
    config, home = tiny("training.epochs=1"), tmp_path / "study"
    plan = plan_study(config, "training.learning_rate", [0.01, 0.5], 1)
    failing = Here(home / "trials", lambda trial: "lost" * (trial.config.training.learning_rate == 0.5))
    with tracked_study(["fake"], None, notes([])) as tracked:
        assert tracked is not None
        run_study(plan, home, failing, tracked.at(home, notes([])))
    (failed,) = [trial for trial in (home / "trials").iterdir() if told(trial, "end") == [["failed"]]]
    assert told(failed, "text") == [["failure", "lost", "lost"]]
    ((_, parameters, _, _),) = told(failed, "opened")
    assert parameters == {**told_parameters(home), "training.learning_rate": 0.5, "training.seed": 0}


@pytest.mark.usefixtures("fake")
def test_a_study_that_is_killed_before_a_tracker_begins_goes_on_with_it(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "SHARE", 1e-9)
    home, remembered = tmp_path / "study", list[list[str]]()

    def listen(event: object) -> None:
        if isinstance(event, TrialDone):
            remembered.append([*tracked_before(home), *told(home, "opened")])

    with tracked_study(["fake"], None, notes([])) as tracked:
        assert tracked is not None
        plan = plan_study(tiny("training.epochs=1"), "model.dropout", [0, 0.5], 1)
        run_study(plan, home, Here(home / "trials"), tracked.at(home, listen))
    assert remembered == [["fake"], ["fake"]]
    assert [going_on for *_, going_on in told(home, "opened")] == [False]


def test_a_confusion_is_drawn_with_a_cell_for_each_pair_and_filters_in_rows_of_eight() -> None:
    from PIL import Image

    counts = np.array([[5.0, 0.0, 0.0], [4.0, 1.0, 0.0], [0.0, 0.0, 5.0]])
    names = ["a", "a name that is long", "c"]
    png, size = confusion_picture(counts, names)
    picture = Image.open(BytesIO(png))
    assert picture.size == size
    left = 2 * MARGIN + LETTER * LONGEST_NAME
    colours = [picture.getpixel((left + CELL * column + 3, left + CELL + 3)) for column in range(3)]
    assert colours == [(213, 94, 0), (222, 226, 230), (255, 255, 255)]
    many = confusion_picture(np.eye(100), [str(n) for n in range(100)])
    assert many.size == (600, 600)
    weights = np.zeros((20, 1, 5, 5), np.float32)
    weights[9, 0, 0, 0] = -2.0
    drawn = Image.open(BytesIO(filters_picture(weights).png))
    assert drawn.size == (6 + 8 * 61, 6 + 3 * 61)
    assert drawn.getpixel((6 + 61 + 1, 6 + 61 + 1)) == (0, 114, 178)
    in_colour = Image.open(BytesIO(filters_picture(np.zeros((1, 3, 3, 3), np.float32)).png))
    assert in_colour.getpixel((10, 10)) == (128, 128, 128)
