"""The run directory: whole at any moment, enough to go on from and to measure again, refused when damaged."""

import errno
import json
import math
import os
import random
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from support import (
    SLOW_STEP,
    bitwise_equal,
    call,
    command,
    exit_code,
    finished_run,
    killed_by_the_clock,
    posix_signals,
    signalled_command,
    start,
)
from torch import Tensor

from cnnkit.api.functions import train as train_into
from cnnkit.config.load import config_text
from cnnkit.config.schema import Config
from cnnkit.data.dataset import ImageDataset, Splits
from cnnkit.data.prepare import load_data, load_splits
from cnnkit.errors import CnnkitError, Interrupted, RunError, TrainingError, UsageError
from cnnkit.events import EpochRecord, Event, Listener, Note, StepDone
from cnnkit.experiment import run_dir
from cnnkit.experiment.checkpoints import FEATURES, load_state, load_weights
from cnnkit.experiment.latest import latest_run
from cnnkit.experiment.measure import measure_split
from cnnkit.experiment.new_run import create_run
from cnnkit.experiment.run_dir import RunDir, open_run
from cnnkit.experiment.train import begin, prepare, run_experiment
from cnnkit.filenames import BEST, CURVES, LAST, LOCK, STATE, TESTED
from cnnkit.locks import alone_at
from cnnkit.nn.model import CNN, build_model
from cnnkit.report.confusion import draw_confusion
from cnnkit.tensor_files import load_tensors, save_tensors

Tiny = Callable[..., Config]
FILES = {
    ".lock",
    "config.yaml",
    "environment.json",
    "metrics.jsonl",
    "best.safetensors",
    "last.safetensors",
    "state.pt",
    "curves.svg",
    "predictions.bin",
    "result.json",
    "manifest.json",
}
RESULT_KEYS = {
    "test_accuracy",
    "test_balanced_accuracy",
    "test_macro_f1",
    "test_loss",
    "val_accuracy",
    "best_epoch",
    "parameters",
    "macs",
    "train_seconds",
    "epochs",
    "seed",
    "device",
    "precision",
    "dataset",
    "train_images",
    "val_images",
    "test_images",
    "clean_train_accuracy",
    "clean_train_loss",
    "calibration",
}
METRIC_KEYS = {
    "epoch",
    "step",
    "learning_rate",
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
    "val_balanced_accuracy",
    "val_macro_f1",
    "seconds",
    "images_per_second",
    "clean_train_loss",
    "clean_train_accuracy",
    "temperature",
    "uniform_share",
}
# Every random stream is in use, and it takes long enough to be interrupted in the middle.
RESTLESS = (
    "model.dropout=0.5",
    "data.augment={rotate: 10}",
    "training.weight_averaging=0.9",
    "training.epochs=3",
)
STEPS_PER_EPOCH = 11  # of the tiny configuration: 1,293 images in batches of 128

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "end missing": lambda raw: raw[:-100],
    "nearly all missing": lambda raw: raw[:9],
    "empty": lambda raw: b"",
    "bytes changed": bytes.swapcase,
}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def finished(shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_run(tmp_path_factory.mktemp("finished") / "run", shared_cache)


@pytest.fixture
def own(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run that a test may spoil."""
    return shutil.copytree(finished, tmp_path / "own")


def json_of(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text())
    assert isinstance(content, dict)
    return content


def weights_of(run: Path, name: str = LAST) -> dict[str, Tensor]:
    """The tensors of the model, without what tells strange images."""
    tensors = load_tensors(run / name)[0]
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(FEATURES)}


def test_a_finished_run_holds_the_promised_files_and_no_others(
    tiny_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(capsys, "train", "--config", tiny_file, "--out", "run").code == 0
    assert {path.name for path in Path("run").iterdir()} == FILES


def test_the_result_holds_the_promised_keys(finished: Path) -> None:
    assert json_of(finished / "result.json").keys() >= RESULT_KEYS


def test_every_epoch_has_a_line_with_the_promised_keys(finished: Path) -> None:
    lines = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert all(line.keys() == METRIC_KEYS for line in lines)


def test_the_environment_names_versions_device_commit_and_command_line(finished: Path) -> None:
    environment = json_of(finished / "environment.json")
    assert environment["torch"] == torch.__version__
    assert environment.keys() >= {"cnnkit", "python", "device", "git_commit", "command", "threads"}


def test_the_result_agrees_with_the_metrics_and_the_weights(finished: Path, tiny: Tiny) -> None:
    result, metrics = json_of(finished / "result.json"), RunDir(finished).metrics()
    best = max(metrics, key=lambda record: (record.val_accuracy or 0, -(record.val_loss or math.inf)))
    assert (result["best_epoch"], result["val_accuracy"]) == (best.epoch, best.val_accuracy)
    assert result["train_seconds"] == pytest.approx(sum(record.seconds for record in metrics))
    model = load_weights(finished).model
    assert result["parameters"] == sum(weights.numel() for weights in model.parameters())
    data = tiny().data
    assert (result["train_images"], result["val_images"]) == (data.train_images, data.validation_images)
    assert result["test_images"] == data.info.test_images


def test_the_stored_configuration_is_the_one_that_was_trained(finished: Path, tiny: Tiny) -> None:
    config = tiny("runtime.threads=1")
    assert open_run(finished).config == config
    assert load_weights(finished / LAST).config == config
    assert (finished / "config.yaml").read_text() == config_text(config)


def test_a_weights_file_alone_measures_exactly_what_training_reported(finished: Path, tmp_path: Path) -> None:
    result = json_of(finished / "result.json")
    alone = tmp_path / "anywhere" / "renamed.safetensors"
    alone.parent.mkdir()
    shutil.copy(finished / BEST, alone)
    weights = load_weights(alone)
    measured = measure_split(weights, "test")
    told = (measured.evaluation.accuracy, measured.evaluation.loss)
    assert told == (result["test_accuracy"], result["test_loss"])
    assert json_of(alone.parent / "eval-renamed-test.json") == measured.to_dict()
    assert draw_confusion(measured) == alone.parent / "confusion-renamed-test.svg"
    assert (alone.parent / "confusion-renamed-test.svg").read_text().lstrip().startswith("<svg")


@pytest.mark.parametrize("choice", ["data.folds=5", "data.resample_test=true"])
def test_a_run_keeps_which_images_it_was_tested_on(tiny: Tiny, tmp_path: Path, choice: str) -> None:
    config = tiny("training.epochs=1", "training.seed=3", choice)
    run = create_run(config, "tiny", tmp_path / "run")
    result = run_experiment(config, run)
    tested = np.frombuffer(run.tested(), "<u4")
    whole = load_data(config.data).all
    assert torch.equal(
        whole[torch.from_numpy(tested.astype(np.int64))].images, load_splits(config.data, 3).test.images
    )
    right = np.frombuffer(run.predictions(), np.uint8) == whole.labels.numpy()[tested]
    assert (len(tested), right.mean()) == (result.test_images, result.test_accuracy)
    assert measure_split(load_weights(run.path), "test").evaluation.accuracy == result.test_accuracy
    (run.path / TESTED).write_bytes(tested[::-1].tobytes())
    with pytest.raises(RunError, match=f"{TESTED} is damaged or was changed"):
        run.tested()


def test_a_run_on_the_published_test_split_keeps_no_list_of_it(finished: Path) -> None:
    assert not (finished / TESTED).exists()


def test_validation_measures_exactly_what_the_best_epoch_recorded(own: Path) -> None:
    weights = load_weights(own)
    measured = measure_split(weights, "validation").evaluation
    assert measured.accuracy == json_of(own / "result.json")["val_accuracy"]


def test_test_images_steer_nothing_but_the_test_result(
    tiny: Tiny, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mislabelled(*arguments: Any) -> Splits:
        splits = load_splits(*arguments)
        wrong = ImageDataset(255 - splits.test.images, (splits.test.labels + 1) % 10, splits.info)
        return Splits(splits.train, splits.validation, wrong)

    monkeypatch.setattr("cnnkit.experiment.train.load_splits", mislabelled)
    config = tiny("runtime.threads=1")
    result = run_experiment(config, create_run(config, "tiny", tmp_path / "other"))
    for name in (BEST, LAST):
        assert bitwise_equal(weights_of(tmp_path / "other", name), weights_of(finished, name))
    before = json_of(finished / "result.json")
    assert result.best_epoch == before["best_epoch"]
    assert result.test_accuracy != before["test_accuracy"]


def test_no_test_image_is_seen_before_the_last_epoch_and_each_is_seen_once(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny("training.epochs=3")
    splits = load_splits(config.data, config.training.seed)
    train, test = ({image.numpy().tobytes() for image in part.images} for part in (splits.train, splits.test))
    seen: list[str] = []
    forward = CNN.forward

    def watched(model: CNN, images: Tensor) -> Tensor:
        if shown := sum(image.numpy().tobytes() in test - train for image in images):
            seen.append(f"{shown} test images")
        return forward(model, images)

    monkeypatch.setattr(CNN, "forward", watched)
    run_experiment(
        config,
        create_run(config, "tiny", tmp_path / "run"),
        lambda event: seen.append("epoch") if isinstance(event, EpochRecord) else None,
    )
    assert seen == ["epoch"] * 3 + [f"{len(splits.test)} test images"]


def test_the_seed_chooses_which_images_are_held_out(tiny: Tiny) -> None:
    def held_out(seed: int) -> Tensor:
        return prepare(tiny(f"training.seed={seed}")).splits.validation.images

    assert torch.equal(held_out(7), load_splits(tiny().data, 7).validation.images)
    assert not torch.equal(held_out(7), held_out(0))


def test_the_seed_chooses_the_initial_weights(tiny: Tiny) -> None:
    setting, info = prepare(tiny()), tiny().data.info
    initial = {
        seed: begin(tiny(f"training.seed={seed}"), setting.placement, setting.splits).model for seed in (0, 7)
    }
    for seed, model in initial.items():
        built = build_model(tiny().model, info, seed)
        for (name, weights), expected in zip(model.named_parameters(), built.parameters(), strict=True):
            assert torch.equal(weights, expected), name
    assert not torch.equal(next(initial[0].parameters()), next(initial[7].parameters()))


def test_the_kept_weights_are_those_of_the_best_epoch_and_they_are_tested(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accuracies = iter([1.0, 0.3, 0.0, 0.9, 1.0, 0.5])  # of training and validation images, by turns
    answers: dict[str, Any] = {"logits": torch.zeros(1, 2), "labels": torch.zeros(1, dtype=torch.int64)}
    answers["scores"] = SimpleNamespace(balanced_accuracy=0.5, macro_f1=0.5)
    monkeypatch.setattr(
        "cnnkit.training.loop.evaluate",
        lambda *_: SimpleNamespace(accuracy=next(accuracies), loss=1.0, **answers),
    )
    run = create_run(tiny("training.epochs=3"), "tiny", tmp_path / "run")
    after: list[dict[str, Tensor]] = []

    def look(event: Event) -> None:
        if isinstance(event, EpochRecord):
            after.append(weights_of(run.path, LAST))

    result = run_experiment(run.config, run, look)
    assert bitwise_equal(weights_of(run.path, BEST), after[1])
    assert bitwise_equal(weights_of(run.path, LAST), after[2])
    assert (result.best_epoch, result.val_accuracy) == (2, 0.9)
    weights = load_weights(run.path / BEST)
    measured = measure_split(weights, "test").evaluation
    assert measured.loss == result.test_loss


def test_a_state_of_another_configuration_is_refused(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own / "result.json").unlink()
    text = (own / "config.yaml").read_text()
    (own / "config.yaml").write_text(text.replace("learning_rate: 0.01", "learning_rate: 0.02"))
    with pytest.raises(RunError, match="another configuration"):
        load_state(open_run(own))
    outcome = call(capsys, "train", "--resume", own)
    assert outcome.code == 1
    assert "another configuration" in outcome.err


def test_weights_that_do_not_fit_their_configuration_are_refused(
    own: Path, tiny: Tiny, tmp_path: Path
) -> None:
    tensors, metadata = load_tensors(own / BEST)
    other = config_text(tiny("model.channels=[4, 9]"))
    save_tensors(tmp_path / "odd.safetensors", tensors, metadata | {"config": other})
    with pytest.raises(RunError, match="do not fit"):
        load_weights(tmp_path / "odd.safetensors")


def test_safetensors_of_others_are_refused_in_words(tmp_path: Path) -> None:
    save_tensors(tmp_path / "foreign.safetensors", {"weight": torch.zeros(2)}, {})
    with pytest.raises(RunError, match="not written by cnnkit"):
        load_weights(tmp_path / "foreign.safetensors")


@pytest.mark.parametrize("arguments", [("train", "--resume"), ("eval",)])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_checkpoint_is_named_with_what_to_do(
    own: Path,
    arguments: tuple[str, ...],
    damage: Callable[[bytes], bytes],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (own / "result.json").unlink()
    checkpoint = own / (BEST if arguments == ("eval",) else STATE)
    checkpoint.write_bytes(damage(checkpoint.read_bytes()))
    outcome = call(capsys, *arguments, own)
    assert outcome.code == 1
    assert f"{checkpoint} is damaged" in outcome.err
    assert re.search("delete|train again|go on", outcome.err)


@pytest.mark.parametrize("name", ["config.yaml", "result.json", "metrics.jsonl", "environment.json"])
@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"{", b"[1, 2]"])
def test_damaged_text_files_are_refused_in_words(own: Path, name: str, content: bytes) -> None:
    (own / name).write_bytes(content)
    run = open_run(own)
    readers: dict[str, Callable[[], object]] = {
        "config.yaml": lambda: run.config,
        "result.json": lambda: run.result,
        "metrics.jsonl": run.metrics,
        "environment.json": lambda: run.environment,
    }
    with pytest.raises(CnnkitError, match=name):
        readers[name]()


def test_a_folder_that_holds_something_is_never_written_into(tiny: Tiny, own: Path) -> None:
    before = {path: path.read_bytes() for path in own.iterdir()}
    with pytest.raises(UsageError, match="nothing is overwritten"):
        create_run(tiny(), "tiny", own)
    assert {path: path.read_bytes() for path in own.iterdir()} == before


def test_a_file_is_no_place_for_a_run(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="is a file"):
        create_run(tiny(), "tiny", tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("way", ["--out", "--resume"])
def test_a_run_that_is_being_trained_is_refused_with_the_process_that_trains_it(
    tiny_file: Path, own: Path, way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (own / "result.json").unlink()
    with alone_at(own, "run"):
        outcome = call(
            capsys, "train", *(("--config", tiny_file) if way == "--out" else ()), way, own, "--quiet"
        )
    assert outcome.code == 2
    assert f"process {os.getpid()} is at the run in {own}" in outcome.err
    assert not (own / "result.json").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
@pytest.mark.parametrize("kind", ["a folder", "a link", "no file"])
@pytest.mark.parametrize("command", ["train {tiny} --out mine", "compare {tiny} {vary} --out mine"])
def test_what_lies_in_the_place_of_the_lock_is_named_and_stays(
    tiny_file: Path, kind: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = Path("mine") / LOCK
    lock.parent.mkdir()
    if kind == "a folder":
        lock.mkdir()
    elif kind == "a link":
        lock.symlink_to("nowhere")
    else:
        os.mkfifo(lock)
    words = command.format(tiny=tiny_file, vary="--vary model.pooling=max,avg --seeds 1").split()
    outcome = call(capsys, *words)
    assert outcome.code == 2
    assert f"{lock} is {kind}" in outcome.err
    assert "remove it" in outcome.err
    assert os.path.lexists(lock)


def test_no_second_training_begins_between_the_first_look_at_a_folder_and_its_first_file(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, refused = run_dir.write_atomically, []

    def second(path: Path, content: bytes | str) -> None:
        if not refused:
            with pytest.raises(UsageError, match="is at the run in") as error:
                train_into(tiny("model.pooling=avg", "training.epochs=1"), "run", progress=False)
            refused.append(error)
        write(path, content)

    monkeypatch.setattr(run_dir, "write_atomically", second)
    trained = train_into(tiny("training.epochs=1"), "run", progress=False)
    assert refused
    assert trained.weights.config == trained.config == tiny("training.epochs=1")


def test_a_lock_that_a_killed_process_left_blocks_nothing(tiny: Tiny) -> None:
    Path("run").mkdir()
    Path("run/.lock").write_text("1\n")  # a process that lives
    assert train_into(tiny("training.epochs=1"), "run", progress=False).folder.finished


def test_what_is_tested_is_what_was_trained_here(tiny: Tiny, finished: Path, tmp_path: Path) -> None:
    run = create_run(tiny("training.epochs=1"), "tiny", tmp_path / "run")

    def foreign(event: Event) -> None:
        if isinstance(event, EpochRecord):
            shutil.copy(finished / BEST, run.path / BEST)

    with pytest.raises(RunError, match="not what was trained here"):
        run_experiment(run.config, run, foreign)
    assert not run.finished


def test_two_runs_of_one_second_get_two_folders_and_latest_is_the_newer(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "strftime", lambda *_: "20260102-030405")
    first, second = (create_run(tiny("model.pooling=avg"), "tiny") for _ in range(2))
    assert first.path == Path("runs/tiny-avg-20260102-030405")
    assert second.path != first.path
    assert latest_run() == second.path
    assert open_run(Path("runs/latest")).path == second.path.resolve()


def test_without_a_run_latest_says_how_to_train_one() -> None:
    with pytest.raises(UsageError, match="cnnkit train"):
        latest_run()


def test_a_run_without_weights_says_how_to_go_on(tiny: Tiny, tmp_path: Path) -> None:
    run = create_run(tiny(), "tiny", tmp_path / "run")
    with pytest.raises(RunError, match=f"--resume {run.path}"):
        load_weights(run.path)


def test_resuming_a_finished_run_prints_its_result_and_draws_only_what_is_missing(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = json_of(own / "result.json") | {"run": str(own)}  # where it is now
    for new in ({CURVES}, set()):  # it was killed before its curves were drawn; then it was not
        before = {path.name: path.stat().st_mtime_ns for path in own.iterdir()}
        outcome = call(capsys, "train", "--resume", own, "--json")
        assert json.loads(outcome.out) == result
        after = {path.name: path.stat().st_mtime_ns for path in own.iterdir()}
        assert after.keys() - before.keys() - {".lock"} == new
        before.pop(".lock", None)
        assert {name: after[name] for name in before} == before


def test_curves_that_cannot_be_drawn_hide_no_result(
    own: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RunError("metrics.jsonl is damaged")

    monkeypatch.setattr("cnnkit.report.curves.draw_curves", fail)
    outcome = call(capsys, "train", "--resume", own, "--json")
    assert outcome.code == 1
    assert json.loads(outcome.out)["test_loss"] == json_of(own / "result.json")["test_loss"]
    assert "metrics.jsonl is damaged" in outcome.err


def test_a_run_that_lacks_only_its_test_is_tested_and_nothing_more(own: Path, tiny: Tiny) -> None:
    before = json_of(own / "result.json")
    (own / "result.json").unlink()
    weights = weights_of(own)
    result = run_experiment(open_run(own).config, open_run(own))
    assert (result.test_loss, result.best_epoch) == (before["test_loss"], before["best_epoch"])
    assert bitwise_equal(weights_of(own), weights)


def test_going_on_with_other_threads_is_told(own: Path) -> None:
    (own / "result.json").unlink()
    environment = json_of(own / "environment.json")
    (own / "environment.json").write_text(json.dumps(environment | {"threads": 7}))
    told: list[Event] = []
    run_experiment(open_run(own).config, open_run(own), told.append)
    assert any("threads 7" in event.text for event in told if isinstance(event, Note))


def test_a_loss_that_is_not_finite_leaves_the_epoch_before_to_go_on_from(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny("training.epochs=3", "runtime.threads=1")
    shown = 0

    def spoil(images: Tensor, *_: object) -> Tensor:
        nonlocal shown
        shown += 1
        return images * (math.nan if shown == STEPS_PER_EPOCH + 5 else 1)

    monkeypatch.setattr("cnnkit.training.loop.augment", spoil)
    with pytest.raises(TrainingError, match="step 5 of epoch 2"):
        run_experiment(config, create_run(config, "tiny", tmp_path / "run"))
    run = open_run(tmp_path / "run")
    assert [record["epoch"] for record in load_state(run)["history"]] == [1]
    assert all(values.isfinite().all() for values in weights_of(run.path, BEST).values())


def test_a_full_disk_is_told_with_its_place_and_the_old_files_stay_whole(
    own: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (own / "result.json").unlink()
    before = {path.name: path.read_bytes() for path in own.iterdir()}

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    outcome = call(capsys, "train", "--resume", own)
    assert outcome.code == 1
    (own / ".lock").unlink()
    assert {path.name: path.read_bytes() for path in own.iterdir()} == before
    assert "No space left on device" in outcome.err
    assert str(own) in outcome.err


def ctrl_c_at(step: int, times: int) -> Listener:
    def press(event: Event) -> None:
        if isinstance(event, StepDone) and event.step == step:
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)

    return press


@posix_signals
@pytest.mark.parametrize(("times", "error"), [(1, Interrupted), (2, KeyboardInterrupt)])
def test_ctrl_c_saves_and_a_second_one_stops_at_once(
    tiny: Tiny, tmp_path: Path, times: int, error: type[BaseException]
) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    run = create_run(tiny(), "tiny", tmp_path / "run")
    with pytest.raises(error):
        run_experiment(run.config, run, ctrl_c_at(5, times))
    assert (run.path / STATE).is_file() == (times == 1)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_an_experiment_can_run_outside_of_the_main_thread(tiny: Tiny, finished: Path, tmp_path: Path) -> None:
    config = tiny("runtime.threads=1")
    run = create_run(config, "tiny", tmp_path / "run")
    thread = threading.Thread(target=run_experiment, args=(config, run))
    thread.start()
    thread.join()
    assert bitwise_equal(weights_of(run.path), weights_of(finished))


@pytest.fixture(scope="module")
def uninterrupted(shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nothing interrupts: what each interrupted one must end as."""
    return finished_run(tmp_path_factory.mktemp("uninterrupted") / "run", shared_cache, *RESTLESS)


def train_arguments(config: Path, out: Path) -> list[str]:
    sets = [word for override in ("runtime.threads=1", *RESTLESS) for word in ("--set", override)]
    return ["train", "--config", str(config), "--out", str(out), *sets]


def ends_as(run: Path, reference: Path) -> bool:
    """Whether weights, averages, metrics and result are those of the other run, times apart."""
    results = [json_of(folder / "result.json") for folder in (run, reference)]
    for result in results:
        for key in ("run", "train_seconds", "setup_seconds", "eval_seconds"):
            del result[key]
    records = [
        [(r.epoch, r.step, r.train_loss, r.val_loss) for r in RunDir(folder).metrics()]
        for folder in (run, reference)
    ]
    return (
        results[0] == results[1]
        and records[0] == records[1]
        and all(bitwise_equal(weights_of(run, name), weights_of(reference, name)) for name in (BEST, LAST))
    )


def test_a_crash_between_any_two_writes_leaves_what_ends_bitwise_equal(
    tiny: Tiny, tmp_path: Path, uninterrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny("runtime.threads=1", *RESTLESS)
    run = create_run(config, "tiny", tmp_path / "run")
    replace = Path.replace
    crashes: list[Path] = []

    def remember(aside: Path, target: Path) -> Path:
        crashes.append(shutil.copytree(run.path, tmp_path / f"{len(crashes)}-before-{target.name}"))
        return replace(aside, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", remember)
        run_experiment(config, run)
    assert len(crashes) > 3 * 3  # epochs, and at least weights, metrics and state
    for crash in crashes:
        run_experiment(open_run(crash).config, open_run(crash))
        assert ends_as(crash, uninterrupted), crash.name


KILLS = [
    # just before a file takes its place or after a step, which one -> epochs that can be relied on
    ("environment.json", 1, 0),
    ("step", STEPS_PER_EPOCH // 2, 0),
    ("best.safetensors", 1, 0),
    (STATE, 2, 1),  # the weights of epoch 2 are kept, its state is not
    ("step", STEPS_PER_EPOCH + 4, 2),
    (STATE, 1, 2),
    ("result.json", 1, 3),
    (CURVES, 1, 3),
]


def test_a_run_killed_in_each_epoch_and_between_its_writes_ends_bitwise_equal(
    tiny_file: Path, tmp_path: Path, uninterrupted: Path
) -> None:
    run, log = tmp_path / "run", tmp_path / "log"
    arguments = train_arguments(tiny_file, run)
    for at, moment, epochs in KILLS:
        process = start(signalled_command, signal.SIGKILL, at, moment, log, *arguments)
        assert exit_code(process) == -signal.SIGKILL, log.read_text()
        state = load_state(open_run(run)) if (run / STATE).exists() else {"history": []}
        assert len(state["history"]) == epochs, (at, moment)
        arguments = ["train", "--resume", str(run)]
    assert exit_code(start(command, log, *arguments)) == 0, log.read_text()
    assert ends_as(run, uninterrupted)
    assert (run / CURVES).is_file()


def test_a_run_killed_at_random_times_ends_bitwise_equal(
    tiny_file: Path, tmp_path: Path, uninterrupted: Path
) -> None:
    run, log = tmp_path / "run", tmp_path / "log"
    arguments = train_arguments(tiny_file, run)
    chance = random.Random(0)
    # In epochs after a process's first step: none is so late that an ending could come before it.
    for earliest, latest in [(0.1, 1.9), (1.1, 1.9), (0.1, 0.9)]:
        seconds = chance.uniform(earliest, latest) * STEPS_PER_EPOCH * SLOW_STEP
        process = start(killed_by_the_clock, seconds, log, *arguments)
        assert exit_code(process) == -signal.SIGKILL, log.read_text()
        arguments = ["train", "--resume", str(run)]
    assert exit_code(start(command, log, *arguments)) == 0, log.read_text()
    assert ends_as(run, uninterrupted)


@posix_signals
@pytest.mark.parametrize(
    ("number", "code", "step"),
    [
        (signal.SIGINT, 130, 4),
        (signal.SIGTERM, 143, STEPS_PER_EPOCH + 3),
        (signal.SIGINT, 130, STEPS_PER_EPOCH),
    ],
)
def test_a_signal_finishes_the_step_saves_and_says_how_to_go_on(
    tiny_file: Path, tmp_path: Path, uninterrupted: Path, number: signal.Signals, code: int, step: int
) -> None:
    run, log = tmp_path / "run", tmp_path / "log"
    process = start(signalled_command, number, "step", step, log, *train_arguments(tiny_file, run))
    assert exit_code(process) == code
    assert f"cnnkit train --resume {run}" in log.read_text()
    assert "Traceback" not in log.read_text()
    state = load_state(open_run(run))
    saved = len(state["history"]) * STEPS_PER_EPOCH + state["under_way"].get("step", 0)
    assert saved - step in (0, 1)  # a signal in an epoch's last step may find the next one begun
    assert exit_code(start(command, log, "train", "--resume", run)) == 0, log.read_text()
    assert ends_as(run, uninterrupted)


def test_going_on_removes_what_a_killed_process_was_writing(own: Path) -> None:
    (own / ".state.pt.abc.part").write_bytes(b"half")
    (own / "result.json").unlink()
    run_experiment(open_run(own).config, open_run(own))
    assert not list(own.glob(".*.part"))
