"""The command line: what each command answers, and that every mistake is told in words."""

import json
import os
import pty
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
import torch
import typer
from rich.console import Console
from support import call, command, commands, exit_code, finished_run, start

import cnnkit.api.progress
from cnnkit import __version__
from cnnkit.cli.app import app
from cnnkit.config.load import shipped_configs
from cnnkit.data.prepare import load_dataset
from cnnkit.experiment.run_dir import RunDir
from cnnkit.filenames import BEST, CONFIG, FAILURE, STUDY, TRIALS
from cnnkit.nn.model import CNN
from cnnkit.tensor_files import load_tensors, save_tensors

Capture = pytest.CaptureFixture[str]
STUDY_OPTIONS = {
    *(
        "--seeds",
        "--shard",
        "--min-seeds",
        "--max-seeds",
        "--folds",
        "--resample-test",
        "--match",
        "--metric",
        "--margin",
        "--tune",
        "--tune-keys",
        "--workers",
        "--executor",
        "--ray-address",
        "--play",
        "--track",
        "--out",
        "--resume",
        "--probe",
        "--root",
        "--yes",
        "-y",
        "--trust",
        "--json",
    )
}
COMMANDS = {
    "": {"--version", "--install-completion", "--show-completion"},
    "compare": {
        "named",
        "--config",
        "-c",
        "--set",
        "-s",
        "--vary",
        *STUDY_OPTIONS,
        "--verify",
        "--merge",
        "--deep",
    },
    "compare-pooling": {
        "named",
        "--config",
        "-c",
        "--set",
        "-s",
        "--strategies",
        "--where",
        "--orders",
        *STUDY_OPTIONS,
    },
    "report": {"folder", "--csv", "--csv-images", "--root", "--trust"},
    "probe": {"study", "--images", "--device", "--root", "--trust", "--json"},
    "play": {"named", "--out", "--root", "--float32", "--open"},
    "train": {
        *("named", "--config", "-c", "--set", "-s", "--out", "--resume", "--root", "--trust"),
        *("--device", "--report", "--play", "--track", "--json", "--yes", "-y", "--quiet", "-q"),
    },
    "eval": {"run", "--split", "--data", "--root", "--trust", "--csv", "--device", "--json"},
    "predict": {"files", "--top", "--save-seen", "--csv", "--trust", "--device", "--json"},
    "judge": {"table", "--margin", "--out", "--json"},
    "runs": set(),
    "runs list": {"folders", "--filter", "--sort", "--csv", "--json"},
    "runs delete": {"names", "--yes", "-y"},
    "export": {"run", "--format", "--out", "--pixels", "--check", "--int8", "--root", "--trust", "--json"},
    "summary": {"named", "--config", "-c", "--set", "-s", "--json"},
    "data": {"name", "--root", "--sheet", "--yaml", "--cache", "--clear", "--json"},
    "doctor": {"--json"},
    "pooling": set(),
    "pooling new": {"file"},
    "pooling list": set(),
    "pooling show": {"name"},
    "config": set(),
    "config list": set(),
    "config show": {"named", "--config", "-c", "--set", "-s"},
    "config schema": set(),
    "config keys": set(),
    "config copy": {"name", "path", "--config", "-c"},
    "config check": {"files", "--config", "-c"},
}
UNUSED = {  # by a training
    *("torchvision", "torch._dynamo", "torch._inductor", "sympy"),
    *("matplotlib", "PIL", "scipy", "sklearn", "cnnkit.comparison.results"),
}
HEAVY = {
    *("torch", "pydantic", "numpy", "ruamel", "matplotlib", "scipy", "sklearn"),
    *("rich.markdown", "rich.traceback", "markdown_it", "pygments", "attr", "asyncio"),
}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def run(shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, for every test to read."""
    return finished_run(tmp_path_factory.mktemp("finished") / "run", shared_cache)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A handwritten digit as an image file."""
    from PIL import Image

    _, test = load_dataset("digits", tmp_path)
    path = tmp_path / "digit.png"
    Image.fromarray(test.images[0, 0].numpy()).save(path)
    return path


def figures(text: str) -> list[float]:
    """The numbers in a text; a percentage becomes a fraction."""
    found = re.findall(r"(\d[\d,]*(?:\.\d+)?)(%?)", text)
    return [float(number.replace(",", "")) / (100 if percent else 1) for number, percent in found]


def pairs(text: str) -> dict[str, str]:
    """What is printed as a name and, two or more blanks later, a value."""
    lines = (line.split("  ", 1) for line in text.splitlines() if "  " in line)
    return {name: value.strip() for name, value in lines}


def wilson(correct: int, images: int) -> tuple[float, float]:
    from scipy.stats import binomtest  # not above: a process that reports its imports reads this file

    interval = binomtest(correct, images).proportion_ci(method="wilson")
    return interval.low, interval.high


def test_train_prints_the_figures_of_its_result(tiny_file: Path, capsys: Capture) -> None:
    outcome = call(capsys, "train", "--config", tiny_file, "--out", "mine")
    result, shown = RunDir(Path("mine")).result, pairs(outcome.out)
    accuracy = result.test_accuracy
    assert abs(accuracy - result.val_accuracy) > 0.001  # or else one could pass for the other
    low, high = wilson(round(accuracy * 360), 360)
    assert figures(shown["test accuracy"]) == pytest.approx([accuracy, 95, low, high], abs=1e-4)
    assert figures(shown["test loss"]) == pytest.approx([result.test_loss], abs=1e-4)
    best = [result.best_epoch, 2, result.val_accuracy, 144]
    assert figures(shown["best epoch"]) == pytest.approx(best, abs=1e-4)
    assert figures(shown["training"])[0] == pytest.approx(result.train_seconds, abs=0.1)
    assert shown["kept in"] == "mine"


def test_train_tells_the_figures_of_every_epoch_on_standard_error(tiny_file: Path, capsys: Capture) -> None:
    outcome = call(capsys, "train", "--config", tiny_file, "--set", "model.dropout=0.5", "--out", "mine")
    assert outcome.code == 0
    assert "on training images after each epoch, without dropout" in outcome.err
    for record in RunDir(Path("mine")).metrics():
        (line,) = (line for line in outcome.err.splitlines() if line.strip().startswith(f"{record.epoch}/2"))
        clean = (record.clean_train_loss, record.clean_train_accuracy, record.val_accuracy)
        told = [record.epoch, 2, *(figure for figure in clean if figure is not None)]
        assert figures(line)[:5] == pytest.approx(told, abs=1e-4)
        assert figures(line)[5] == pytest.approx(record.images_per_second, abs=1)
    assert "1/2" not in outcome.out


def test_train_with_json_prints_the_stored_result_alone(tiny_file: Path, capsys: Capture) -> None:
    outcome = call(capsys, "train", "--config", tiny_file, "--out", "mine", "--json")
    assert json.loads(outcome.out) == json.loads(Path("mine/result.json").read_text())
    assert "2/2" in outcome.err


@pytest.mark.parametrize("extra", [(), ("--json",)])
def test_quiet_leaves_nothing_but_the_result(
    tiny_file: Path, capsys: Capture, extra: tuple[str, ...]
) -> None:
    outcome = call(capsys, "train", "--config", tiny_file, "--quiet", *extra)
    assert (outcome.code, outcome.err) == (0, "")
    assert "accuracy" in outcome.out


def test_a_run_is_named_after_its_config_and_strategy_and_becomes_the_latest(
    tiny_file: Path, capsys: Capture
) -> None:
    for strategy in ("avg", "[max, avg]"):
        call(capsys, "train", "--config", tiny_file, "--set", f"model.pooling={strategy}", "--quiet")
    names = {path.name.rsplit("-", 2)[0] for path in Path("runs").iterdir() if not path.is_symlink()}
    assert names == {"tiny-avg", "tiny-max-avg"}
    assert Path("runs/latest").resolve().name.startswith("tiny-max-avg-")


def test_eval_gives_exactly_what_training_reported(run: Path, capsys: Capture) -> None:
    result = json.loads((run / "result.json").read_text())
    outcome = call(capsys, "eval", run, "--json")
    measured = json.loads(outcome.out)
    assert outcome.code == 0
    assert (measured["accuracy"], measured["loss"]) == (result["test_accuracy"], result["test_loss"])
    assert measured == json.loads((run / "eval-test.json").read_text())
    assert (run / "confusion-test.svg").is_file()


def test_report_without_a_folder_draws_the_latest_run(tiny_file: Path, capsys: Capture) -> None:
    call(capsys, "train", tiny_file, "--set", "training.epochs=1", "--out", "mine")
    outcome = call(capsys, "report")
    assert (outcome.code, outcome.out) == (0, f"{Path('mine/report.html')}\n")
    assert outcome.err == "the latest run: mine\n"


def test_eval_without_a_run_measures_the_latest(tiny_file: Path, capsys: Capture) -> None:
    for pooling in ("max", "avg"):
        trained = call(capsys, "train", "--config", tiny_file, "--set", f"model.pooling={pooling}", "--json")
    measured = json.loads(call(capsys, "eval", "--json").out)
    assert measured["loss"] == json.loads(trained.out)["test_loss"]


@pytest.mark.parametrize(("split", "images"), [("test", 360), ("validation", 144), ("train", 1293)])
def test_eval_counts_every_image_of_the_split_once(
    run: Path, capsys: Capture, split: str, images: int
) -> None:
    measured = json.loads(call(capsys, "eval", run, "--split", split, "--json").out)
    confusion = torch.tensor(measured["confusion"])
    assert measured["images"] == int(confusion.sum()) == images
    assert measured["accuracy"] == int(confusion.trace()) / images
    low, high = measured["accuracy_interval"]
    assert low < measured["accuracy"] < high
    for row in measured["classes"].values():
        assert row.keys() >= {"precision", "recall", "f1"}


def test_eval_prints_the_figures_that_it_keeps(run: Path, capsys: Capture) -> None:
    shown = pairs(call(capsys, "eval", run).out)
    kept = json.loads((run / "eval-test.json").read_text())
    accuracy, correct = kept["accuracy"], kept["correct"]
    expected = [accuracy, 95, *wilson(correct, 360), correct, 360]
    assert figures(shown["accuracy"]) == pytest.approx(expected, abs=1e-4)
    assert figures(shown["loss"]) == pytest.approx([kept["loss"]], abs=1e-4)
    told = kept["calibration"]
    assert told["error"] == kept["calibration_error"] != told["error_before"]
    in_order = [told["error"], told["temperature"], told["error_before"], told["error_by_chance"]]
    assert figures(shown["calibration error"]) == pytest.approx(in_order, abs=5e-3)


def test_without_validation_images_eval_says_that_no_temperature_was_fitted(
    tiny_file: Path, capsys: Capture
) -> None:
    once = ("--set", "data.validation=0", "--set", "training.epochs=1")
    trained = call(capsys, "train", "--config", tiny_file, "--out", "mine", *once)
    measured = call(capsys, "eval", "mine")
    for outcome in (trained, measured):
        assert "no temperature was fitted" in pairs(outcome.out)["calibration error"]


def test_eval_prints_the_scores_of_every_class_and_the_confusion_truth_by_row(
    run: Path, tmp_path: Path, capsys: Capture
) -> None:
    _, per_class, table = call(capsys, "eval", run).out.split("\n\n")
    confusion = torch.tensor([figures(line.replace("·", "0"))[1:] for line in table.splitlines()[1:]])
    truth = load_dataset("digits", tmp_path).test.labels.bincount()
    hits, taken = confusion.diagonal(), confusion.sum(0)
    assert not torch.equal(truth, taken)
    assert torch.equal(confusion.sum(1), truth.float())
    scores = torch.stack([hits / taken.clamp(min=1), hits / truth, 2 * hits / (truth + taken)], dim=1)
    assert per_class.split("\n")[0].split() == ["class", "images", "precision", "recall", "F1"]
    for digit, line in enumerate(per_class.splitlines()[1:]):
        expected = [digit, truth[digit].item(), *scores[digit].tolist()]
        assert figures(line) == pytest.approx(expected, abs=1e-4)
    assert json.loads((run / "eval-test.json").read_text())["confusion"] == confusion.tolist()


def test_weights_of_another_machine_are_measured_on_the_device_that_is_named(
    run: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    tensors, metadata = load_tensors(run / BEST)
    elsewhere = metadata["config"].replace("device: cpu", "device: cuda")
    save_tensors(tmp_path / "cuda.safetensors", tensors, metadata | {"config": elsewhere})
    assert call(capsys, "eval", tmp_path / "cuda.safetensors").code == 2
    outcome = call(capsys, "eval", tmp_path / "cuda.safetensors", "--device", "cpu", "--json")
    assert outcome.code == 0
    measured, result = json.loads(outcome.out), RunDir(run).result
    assert (measured["accuracy"], measured["loss"]) == (result.test_accuracy, result.test_loss)


def test_eval_in_a_folder_that_takes_no_files_still_measures(
    run: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("cnnkit.experiment.measure.write_json", refuse)
    outcome = call(capsys, "eval", run, "--json")
    assert (outcome.code, json.loads(outcome.out)["images"]) == (0, 360)
    assert "Read-only file system" in outcome.err


def test_predict_gives_every_class_its_share_best_first(run: Path, picture: Path, capsys: Capture) -> None:
    outcome = call(capsys, "predict", run, picture, "--top", 10, "--json")
    (answer,) = json.loads(outcome.out)["predictions"]
    shares = [row["probability"] for row in answer["top"]]
    assert outcome.code == 0
    assert sum(shares) == pytest.approx(1)
    assert shares == sorted(shares, reverse=True)
    assert {row["class"] for row in answer["top"]} == set("0123456789")


def test_predict_answers_for_the_good_files_beside_the_bad(
    run: Path, picture: Path, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "nothing").mkdir()
    bad = [tmp_path / "empty.png", tmp_path / "text.png", tmp_path / "missing.png", tmp_path / "nothing"]
    outcome = call(capsys, "predict", run, bad[0], picture, *bad[1:])
    assert outcome.code == 1
    assert str(picture) in outcome.out
    assert all(f"error: {path} " in outcome.err for path in bad)
    answers = json.loads(call(capsys, "predict", run, *bad, picture, "--json").out)["predictions"]
    assert [("top" in answer, "error" in answer) for answer in answers] == [
        *[(False, True)] * 4,
        (True, False),
    ]


def test_predict_tells_what_may_be_wrong_beside_the_answer(
    run: Path, tmp_path: Path, capsys: Capture
) -> None:
    from PIL import Image

    sheet = Image.new("L", (120, 60))
    for left in (20, 80):
        sheet.paste(255, (left, 10, left + 10, 50))
    sheet.save(tmp_path / "two.png")
    told = call(capsys, "predict", run, tmp_path / "two.png", "--json")
    (answer,) = json.loads(told.out)["predictions"]
    assert told.code == 0
    assert answer["top"]
    assert "2 objects in the picture" in answer["warnings"][0]
    plain = call(capsys, "predict", run, tmp_path / "two.png")
    assert "2 objects in the picture" in plain.err
    assert str(tmp_path / "two.png") in plain.out


def test_predict_keeps_what_the_network_saw_and_overwrites_nothing(
    run: Path, picture: Path, tmp_path: Path, capsys: Capture
) -> None:
    from PIL import Image

    (tmp_path / "other").mkdir()
    namesake = tmp_path / "other" / picture.name
    namesake.write_bytes(picture.read_bytes())
    seen = tmp_path / "seen"
    told = call(capsys, "predict", run, picture, namesake, "--save-seen", seen, "--json")
    answers = json.loads(told.out)["predictions"]
    assert [Path(answer["seen"]).name for answer in answers] == [
        f"{picture.stem}.png",
        f"{picture.stem}-2.png",
    ]
    for path in seen.iterdir():
        with Image.open(path) as image:
            assert (image.size, image.mode) == ((8, 8), "L")


def test_predict_answers_beside_names_that_are_too_long(
    run: Path, picture: Path, tmp_path: Path, capsys: Capture
) -> None:
    long = tmp_path / ("x" * 300 + ".png")
    longest = tmp_path / ("é" * 125 + ".png")
    longest.write_bytes(picture.read_bytes())
    told = call(capsys, "predict", run, long, picture, longest, "--save-seen", tmp_path / "seen", "--json")
    answers = json.loads(told.out)["predictions"]
    assert told.code == 1
    assert ["error" in answer for answer in answers] == [True, False, False]
    assert all(Path(answer["seen"]).is_file() for answer in answers[1:])


def test_summary_counts_the_parameters_that_training_reports(
    run: Path, tiny_file: Path, capsys: Capture
) -> None:
    result = json.loads((run / "result.json").read_text())
    summary = json.loads(call(capsys, "summary", "--config", tiny_file, "--json").out)
    for total in ("parameters", "macs"):
        assert summary[total] == result[total] == sum(layer[total] for layer in summary["layers"])


def test_summary_shows_a_row_a_layer_and_the_totals(tiny_file: Path, capsys: Capture) -> None:
    layers = json.loads(call(capsys, "summary", "--config", tiny_file, "--json").out)["layers"]
    text = call(capsys, "summary", "--config", tiny_file).out
    for layer in layers:
        assert layer["name"] in text
    assert f"{sum(layer['macs'] for layer in layers):,}" in text


def test_summary_obeys_overrides_and_knows_the_shipped_names(capsys: Capture) -> None:
    plain, stacked = (
        json.loads(call(capsys, "summary", "--config", "mnist", "--set", f"model.pooling={p}", "--json").out)
        for p in ("max", "concat")
    )
    assert stacked["macs"] > plain["macs"]


def test_data_says_how_many_images_there_are(capsys: Capture) -> None:
    assert "1,437 training and 360 test images" in call(capsys, "data", "digits").out


def test_data_checks_the_real_mnist(mnist_root: Path, capsys: Capture) -> None:
    outcome = call(capsys, "data", "mnist", "--root", mnist_root)
    assert "60,000 training and 10,000 test images" in outcome.out


USAGE: list[tuple[str, str]] = [
    ("train", "name a configuration"),
    ("train --config nosuch", "nosuch"),
    ("train --config mnits", "did you mean 'mnist'"),
    ("train --config {tiny} --resume {run}", "--resume"),
    ("train --resume {run} --set training.epochs=3", "--set"),
    ("train --resume {run} --out {tmp}/other", "--out"),
    ("train --resume {tmp}/nosuch", "nosuch"),
    ("train --resume {run}x", "did you mean {run}?"),
    ("train --config {tiny} --set training.epochs=0", "training.epochs"),
    ("train --config {tiny} --set training.epohcs=3", "did you mean 'epochs'"),
    ("train --config {tiny} --set epohcs=3", "did you mean 'training.epochs'"),
    ("train {tiny} --config digits", "two configurations are given"),
    ("train {tiny} --set runtime.device=cuda --device cpu", "--device cpu"),
    ("train --resume {run} --device cpu", "leave --device out"),
    ("train --resume {run} --track tensorboard", "leave --track out"),
    ("train --resume {run} --root {tmp}", "leave --root out"),
    ("train {tiny} again", "beside CONFIG"),
    ("train {tiny} --out runs/latest", "name of the newest run"),
    ("data digits --root {tmp}", "leave out --root"),
    ("config copy", "name a configuration"),
    ("config check", "name what to check"),
    ("train --config {tiny} --set nonsense", "nonsense"),
    ("train --config {tiny} --set model.kernel_sizes=[3,3,3]", "3 values for 2 stages"),
    ("train --config {tmp}", "is a directory"),
    ("train --config {tiny} --out {run}", "nothing is overwritten"),
    ("train --config {tiny} --nosuch", "--nosuch"),
    ("eval", "cnnkit train"),
    ("eval {run}x", "did you mean {run}?"),
    ("eval {tmp}", "no run directory"),
    ("eval {tmp}/nosuch", "nosuch does not exist"),
    ("eval {study}", "is a study; name one of its trials, such as {study}/trials/one, or see all of it"),
    ("predict {study} {tiny}", "is a study"),
    ("train --resume {study}", "is a study"),
    ("train --resume {tiny}", "is a file; name the run directory"),
    ("report {tmp}/nosuch", "does not exist"),
    ("report {tiny}", "is a file; name the folder of a comparison"),
    ("report", "name a run, or train one"),
    ("eval {run} --split tset", "Invalid value for '--split': 'tset' is not one of"),
    ("eval {run} --device gpu", "gpu"),
    ("eval {run} --device cuda:99", "cuda:99"),
    ("predict {run}", "IMAGE"),
    ("predict {run}x {tiny}", "did you mean {run}?"),
    ("predict {run} {tiny} --top 0", "--top"),
    ("predict {run} {tiny} --save-seen {tiny}", "name a folder"),
    ("summary", "name a configuration"),
    ("data nosuch", "fashion-mnist"),
    ("nosuch", "nosuch"),
    ("trian", "train"),
    ("config show --config {tiny} --set data.dataset=minst", "did you mean 'mnist'"),
    ("config copy nosuch", "nosuch"),
    ("config copy fats", "did you mean 'fast'?"),
    ("data mnits", "did you mean 'mnist'?"),
    ("pooling show maxx", "error: unknown strategy 'maxx'; expected stride"),
    ("summary {tiny} --set model.pooling=", "there is no strategy; expected stride"),
    ("compare-pooling {tiny} --strategies all,max", "all stands alone"),
    ("config check {tiny} nosuch", "nosuch"),
]
FAILURES: list[tuple[str, str]] = [
    ("eval {tiny}", "name a run directory or a weights file"),
    ("predict {run} {tiny}", "tiny.yaml"),
    ("train --config {tiny} --out {tiny}/below", "tiny.yaml"),
    ("train --config {tiny} --set training.optimizer=sgd --set training.learning_rate=1e30", "step"),
    ("train --config {tiny} --set data={{dataset: mnist, root: {tiny}, validation: 5000}}", "{tiny}"),
]


def words_of(line: str, **places: Path) -> list[str]:
    """The words of a command line; braces keep a YAML mapping in one word."""
    words: list[str] = []
    depth = 0
    for word in line.format(**places).split(" "):
        if depth:
            words[-1] += f" {word}"
        else:
            words.append(word)
        depth += word.count("{") - word.count("}")
    return words


@pytest.mark.parametrize(
    ("line", "told", "code"),
    [*((line, told, 2) for line, told in USAGE), *((line, told, 1) for line, told in FAILURES)],
)
def test_every_mistake_is_told_in_words_with_its_exit_code(
    line: str, told: str, code: int, run: Path, tiny_file: Path, tmp_path: Path, capsys: Capture
) -> None:
    study = tmp_path / "study"
    for file in (study / STUDY, study / TRIALS / "one" / CONFIG):
        file.parent.mkdir(parents=True)
        file.touch()
    places = {"run": run, "tiny": tiny_file, "tmp": tmp_path, "study": study}
    outcome = call(capsys, *words_of(line, **places))
    assert told.format(**places) in outcome.err
    assert "Traceback" not in outcome.err
    assert outcome.code == code
    assert "accuracy" not in outcome.out


def test_a_run_that_diverged_is_told_what_helps_and_not_to_go_on(tiny_file: Path, capsys: Capture) -> None:
    sgd = ("--set", "training.optimizer=sgd", "--set", "training.learning_rate=1e30")
    assert call(capsys, "train", tiny_file, *sgd, "--out", "mine").code == 1
    for line in (("eval", "mine"), ("predict", "mine", tiny_file), ("train", "--resume", "mine")):
        told = call(capsys, *line).err
        assert "training.gradient_clip" in told, line
        assert "cnnkit train --resume" not in told, line
    assert "go on with" not in call(capsys, "train", tiny_file, "--out", "mine").err
    assert call(capsys, "report", "mine").code == 0
    assert "training.gradient_clip" in Path("mine/report.html").read_text(encoding="utf-8")
    (Path("mine") / FAILURE).unlink()  # as a killed process leaves a run
    assert "cnnkit train --resume mine" in call(capsys, "eval", "mine").err


@pytest.mark.parametrize("root", ["~nosuchuser/data", r'"a\0b"', "x" * 5000])
def test_a_root_that_can_be_no_folder_is_told_in_words(root: str, tiny_file: Path, capsys: Capture) -> None:
    data = f"data={{dataset: mnist, validation: 5000, root: {root}}}"
    outcome = call(capsys, "train", "--config", tiny_file, "--set", data)
    assert outcome.code in (1, 2)
    assert "error: " in outcome.err


def test_cuda_where_there_is_none_is_refused_with_a_way_out(
    tiny_file: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    outcome = call(capsys, "train", "--config", tiny_file, "--set", "runtime.device=cuda")
    assert outcome.code == 2
    assert "no CUDA device" in outcome.err
    assert "--device cpu" in outcome.err


def test_a_refused_device_can_be_corrected_with_the_same_out(
    tiny_file: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    arguments = ("train", "--config", tiny_file, "--out", "mine", "--quiet")
    assert call(capsys, *arguments, "--set", "runtime.device=cuda").code == 2
    assert call(capsys, *arguments).code == 0


@pytest.mark.parametrize("arguments", [("eval", "{run}"), ("predict", "{run}", "{picture}")])
def test_memory_that_runs_out_while_measuring_is_told_in_words(
    run: Path, picture: Path, arguments: tuple[str, ...], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhaust(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(CNN, "forward", exhaust)
    outcome = call(capsys, *(word.format(run=run, picture=picture) for word in arguments))
    assert outcome.code == 1
    assert "memory" in outcome.err


def test_an_empty_validation_split_cannot_be_measured(tiny_file: Path, capsys: Capture) -> None:
    call(capsys, "train", "--config", tiny_file, "--set", "data.validation=0", "--out", "mine", "--quiet")
    outcome = call(capsys, "eval", "mine", "--split", "validation")
    assert outcome.code == 2
    assert "validation split is empty" in outcome.err


def test_ctrl_c_outside_of_training_exits_with_130(
    tiny_file: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cnnkit.experiment.train.load_splits", interrupt)
    outcome = call(capsys, "train", "--config", tiny_file)
    assert outcome.code == 130
    assert "Traceback" not in outcome.err


def test_commands_and_options_are_these_and_no_others() -> None:
    found = {
        path: {name for parameter in one.params for name in (*parameter.opts, *parameter.secondary_opts)}
        for path, one in commands(typer.main.get_command(app))
    }
    assert {path: names - {"--help"} for path, names in found.items()} == COMMANDS


def test_every_command_and_option_says_what_it_is_for() -> None:
    for path, one in commands(typer.main.get_command(app)):
        assert one.help, path
        for parameter in one.params:
            assert getattr(parameter, "help", None), (path, parameter.name)


def test_every_command_that_takes_a_configuration_takes_overrides() -> None:
    options = {
        path: {option for parameter in one.params for option in parameter.opts}
        for path, one in commands(typer.main.get_command(app))
    }
    taking = {path for path, names in options.items() if "--config" in names}
    taking -= {"config copy", "config check"}  # which take them as they are
    assert {"train", "summary", "config show"} <= taking
    assert {path for path in taking if "--set" not in options[path]} == set()


def python(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs Python code in a process of its own, whose output is a pipe."""
    kept = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR")}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        env=kept | environment,
        timeout=60,
        check=False,
    )


def test_the_version_is_the_packages(capsys: Capture) -> None:
    assert call(capsys, "--version").out == f"cnnkit {__version__}\n"


def test_help_and_version_load_nothing_heavy() -> None:
    code = """
import json, sys
from cnnkit.__main__ import main
lines, names = json.loads(sys.argv[1])
heavy = set(names)
for words in lines:
    sys.argv = ["cnnkit", *words]
    try:
        sys.exit(main())
    except SystemExit as end:
        assert end.code == 0, words
    assert not heavy & sys.modules.keys(), (words, heavy & sys.modules.keys())
    heavy -= {"pydantic"}  # some versions of typer import it for the options of a command
"""
    lines = [[*path.split(), "--help"] for path in COMMANDS] + [["--version"]]
    done = python(code, json.dumps([lines, sorted(HEAVY)]))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"cnnkit {__version__}\n")
    assert done.stdout.count("Usage:") == len(COMMANDS)


HELPED = (["--help"], ["train", "--help"], ["compare-pooling", "--help"], ["config", "--help"], [])


@pytest.mark.parametrize(
    ("environment", "lines"), [({}, HELPED), ({"FORCE_COLOR": "1", "COLUMNS": "80"}, HELPED[:2])]
)
def test_help_looks_as_typer_draws_it(environment: dict[str, str], lines: tuple[list[str], ...]) -> None:
    code = """
import sys, typer.main, typer.rich_utils
from cnnkit.cli.app import app
app(prog_name="cnnkit")
"""
    for words in lines:
        ours = python(RUN_MAIN, *words, **environment)
        theirs = python(code, *words, **environment)
        assert (ours.returncode, ours.stdout, ours.stderr) == (
            theirs.returncode,
            theirs.stdout,
            theirs.stderr,
        )
        assert "Usage:" in re.sub("\x1b.*?m", "", ours.stdout)
        assert ("\x1b" in ours.stdout) == bool(environment)


def test_what_help_leaves_unloaded_is_there_when_it_is_asked_for() -> None:
    code = """
import sys
from cnnkit.cli.help import import_help
import_help()
import rich.text, typer.rich_utils
assert not {"rich.markdown", "rich.traceback", "markdown_it"} & sys.modules.keys()
made = typer.rich_utils.Markdown("# seven")
caught = typer.rich_utils.Traceback.from_exception(ValueError, ValueError("seven"), None)
import rich.markdown, rich.traceback
assert type(made) is rich.markdown.Markdown
assert type(caught) is rich.traceback.Traceback
"""
    done = python(code)
    assert (done.returncode, done.stderr) == (0, "")


def imports_of(report: Path, log: Path, *arguments: object) -> None:
    """The modules that a command imports, written down by a process of its own."""
    try:
        command(log, *arguments)
    finally:
        report.write_text(json.dumps(sorted(sys.modules)))


def test_a_second_training_imports_only_what_it_needs(run: Path, tiny_file: Path, tmp_path: Path) -> None:
    report, log = tmp_path / "report", tmp_path / "log"
    arguments = ("train", "--config", tiny_file, "--out", tmp_path / "run", "--set", "runtime.threads=1")
    assert exit_code(start(imports_of, report, log, *arguments)) == 0, log.read_text()
    imported = set(json.loads(report.read_text()))
    assert "torch" in imported
    assert not imported & UNUSED
    assert {path.name for path in (tmp_path / "run").iterdir()} >= {"result.json", "curves.svg"}


RUN_MAIN = "import sys; from cnnkit.__main__ import main; sys.argv[0] = 'cnnkit'; sys.exit(main())"


@pytest.mark.parametrize(
    "arguments", [("config", "list"), ("train", "--config", "mnits"), ("train", "--nosuch")]
)
def test_a_pipe_gets_plain_text(arguments: tuple[str, ...]) -> None:
    done = python(RUN_MAIN, *arguments)
    assert done.stdout + done.stderr
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_a_terminal_gets_colours_unless_no_color_is_set(no_color: str, coloured: bool) -> None:
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "NO_COLOR": no_color}
    with subprocess.Popen(
        [sys.executable, "-c", RUN_MAIN, "train", "--config", "mnits"], stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        text = os.read(ours, 10_000).decode()
        process.wait()
    os.close(ours)
    assert "mean 'mnist'?" in text
    assert ("\x1b[1;31m" in text) == coloured


def test_a_reader_that_goes_away_is_no_error_worth_a_traceback() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", RUN_MAIN, "config", "keys"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


def test_a_terminal_sees_how_far_training_is_and_how_fast(
    tiny_file: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Console(file=StringIO(), force_terminal=True, width=120, stderr=True)
    monkeypatch.setattr(cnnkit.api.progress, "err", screen)
    outcome = call(capsys, "train", "--config", tiny_file, "--out", "mine")
    assert isinstance(screen.file, StringIO)
    assert outcome.code == 0
    last = screen.file.getvalue().rpartition("epoch 2/2, step 11/11")[2]
    found = re.search(r"loss (\S+), (\S+)%, (\S+) images/s .* left", last)
    assert found
    record = RunDir(Path("mine")).metrics()[-1]
    shown = [float(word.replace(",", "")) for word in found.groups()]
    assert shown[:2] == pytest.approx([record.train_loss, 100 * record.train_accuracy], abs=0.01)
    assert shown[2] == pytest.approx(record.images_per_second, rel=0.1)


def test_shell_completion_offers_the_shipped_configurations() -> None:
    words = {"COMP_WORDS": "cnnkit\ntrain\n--config\n", "COMP_CWORD": "3"}
    done = python(RUN_MAIN, _CNNKIT_COMPLETE="complete_bash", **words)
    assert set(shipped_configs()) <= set(done.stdout.split()), done.stderr
