"""`import cnnkit`: what a person calls from Python."""

import doctest
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY

import cnnkit
import cnnkit.api.functions
import cnnkit.api.run
import cnnkit.api.study
from cnnkit.calibrator import calibrator_of
from cnnkit.experiment.checkpoints import load_weights
from cnnkit.tensor_files import load_tensors, save_tensors
from cnnkit.training.fitting import fit_calibrator

PUBLIC = [
    *("CnnkitError", "Config", "ConfigError", "DamagedFile", "DataError", "EpochRecord", "Measured"),
    *("GpuFailed", "ImageDataset", "ImageError", "ImageInfo", "Interrupted", "OutOfMemory"),
    *("Prediction", "Run"),
    *("RunError", "RunResult", "Splits", "Study", "StudyResults", "TrainingError", "UsageError"),
    *("__version__", "build_model", "compare", "load_config", "load_images", "merge"),
    *("open_run", "open_study"),
    "train",
]


@pytest.fixture
def config(tmp_path: Path) -> cnnkit.Config:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return cnnkit.load_config(path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> cnnkit.Run:
    folder = tmp_path_factory.mktemp("api")
    (folder / "tiny.yaml").write_text(TINY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared_cache))
        return cnnkit.train(cnnkit.load_config(folder / "tiny.yaml"), folder / "run", progress=False)


def test_the_public_names_are_these_and_each_can_be_had() -> None:
    assert sorted(cnnkit.__all__) == sorted(PUBLIC)
    assert all(getattr(cnnkit, name) is not None for name in PUBLIC)
    assert set(PUBLIC) <= set(dir(cnnkit))


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'tarin'"):
        _ = cnnkit.tarin


def test_import_cnnkit_loads_nothing_but_itself() -> None:
    heavy = "{'torch', 'numpy', 'pydantic', 'ruamel', 'rich', 'typer', 'scipy', 'PIL'}"
    code = f"import sys, cnnkit; sys.exit(bool({heavy} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_loading_a_configuration_from_python_loads_no_torch() -> None:
    code = "import sys, cnnkit as c; c.load_config('digits'); c.Config(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "function",
    [getattr(cnnkit, name) for name in PUBLIC if inspect.isfunction(getattr(cnnkit, name))],
)
def test_the_example_of_each_function_runs(
    function: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if getattr(function, "__name__", "") in ("open_run", "open_study"):
        cnnkit.train(cnnkit.load_config("digits", {"training.epochs": 1}), "runs/one", progress=False)
        one = cnnkit.load_config("digits", {"training.epochs": 1})
        cnnkit.compare(one, {"model.pooling": ["max", "avg"]}, 1, "studies/a", progress=False)
    (test,) = doctest.DocTestFinder(recurse=False).find(
        function, globs={"cnnkit": cnnkit, "torch": torch, "np": np}
    )
    assert test.examples
    outcome = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test)
    assert outcome.failed == 0, capsys.readouterr().out


def test_overrides_may_be_a_dictionary_or_texts() -> None:
    one = cnnkit.load_config("digits", {"model.pooling": ["max", "avg"], "training.gradient_clip": None})
    other = cnnkit.load_config("digits", ["model.pooling=[max, avg]", "training.gradient_clip=null"])
    assert one == other
    assert one.model.pooling == ("max", "avg")


def test_a_wrong_override_names_its_key() -> None:
    with pytest.raises(cnnkit.ConfigError, match="unknown strategy 'mx'"):
        cnnkit.load_config("digits", {"model.pooling": "mx"})


def test_a_run_tells_its_result_its_epochs_and_its_configuration(
    run: cnnkit.Run, config: cnnkit.Config
) -> None:
    assert run.config == config
    assert run.result.epochs == len(run.metrics) == 2
    assert run.result.test_images == 360
    assert run.metrics[-1].val_accuracy == run.result.val_accuracy or run.result.best_epoch == 1


def test_the_model_of_a_run_has_the_accuracy_that_the_run_tells(run: cnnkit.Run) -> None:
    test = cnnkit.load_images(run.config).test
    with torch.inference_mode():
        predicted = run.model()(test.images).argmax(1)
    assert (predicted == test.labels).float().mean().item() == pytest.approx(run.result.test_accuracy)


def test_evaluating_again_gives_the_test_result_and_keeps_it(run: cnnkit.Run) -> None:
    assert run.evaluate("test").accuracy == run.result.test_accuracy
    measured = run.evaluate("test").evaluation
    assert measured.calibration() == run.result.calibration
    assert (run.path / "eval-test.json").is_file()


def test_what_is_measured_and_loaded_prints_as_a_line(run: cnnkit.Run) -> None:
    measured, images = run.evaluate("test"), cnnkit.load_images(run.config)
    right = f"{measured.evaluation.correct} of 360 right, {measured.accuracy:.2%}"
    assert right in repr(measured)
    assert "train=ImageDataset(1293 images, (1, 8, 8), 10 classes)" in repr(images)
    assert len(repr(measured)) < 300 > len(repr(images))


def test_the_calibrator_is_fitted_on_the_validation_images_and_travels_with_each_weights_file(
    run: cnnkit.Run,
) -> None:
    on_validation = run.evaluate("validation").evaluation
    fitted = fit_calibrator(on_validation.logits, on_validation.labels)
    alone = cnnkit.open_run(run.path / "last.safetensors").weights
    of_best = calibrator_of(run.metrics[run.result.best_epoch - 1])
    assert run.weights.calibrator == of_best
    assert (of_best.temperature, of_best.uniform_share) == pytest.approx(
        (fitted.temperature, fitted.uniform_share), rel=1e-6
    )
    assert alone.calibrator == calibrator_of(run.metrics[-1])
    assert run.result.calibration is not None
    assert calibrator_of(run.result.calibration) == run.weights.calibrator


def test_the_result_tells_the_clean_training_figures_of_the_kept_epoch(run: cnnkit.Run) -> None:
    record = run.metrics[run.result.best_epoch - 1]
    on_train = run.evaluate("train").evaluation  # of so few images all are measured
    told = (run.result.clean_train_accuracy, run.result.clean_train_loss)
    assert told == (record.clean_train_accuracy, record.clean_train_loss)
    assert told == (on_train.accuracy, pytest.approx(on_train.loss, rel=1e-6))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("temperature", value) for value in ("hot", "nan", "-1", "0", "1e9")),
        *(("uniform_share", value) for value in ("even", "nan", "-0.1", "1")),
    ],
)
def test_weights_with_a_calibrator_that_is_none_are_damaged(
    run: cnnkit.Run, tmp_path: Path, name: str, value: str
) -> None:
    tensors, metadata = load_tensors(run.path / "best.safetensors")
    save_tensors(tmp_path / "other.safetensors", tensors, {**metadata, name: value})
    with pytest.raises(cnnkit.RunError, match=f"is damaged: its {name}: "):
        load_weights(tmp_path / "other.safetensors")


def test_an_unknown_split_is_a_usage_error(run: cnnkit.Run) -> None:
    with pytest.raises(cnnkit.UsageError, match="train, validation or test"):
        run.evaluate("tset")


def test_a_tensor_and_the_model_predict_alike(run: cnnkit.Run) -> None:
    images = cnnkit.load_images(run.config).test.images[:5]
    predictions = run.predict(images)
    shares = run.weights.calibrator.probabilities(run.model()(images))
    for prediction, of_image in zip(predictions, shares, strict=True):
        assert prediction.best == str(int(of_image.argmax()))
        assert prediction.probabilities[0] == pytest.approx(of_image.max().item(), rel=1e-4)
        assert sum(prediction.probabilities) == pytest.approx(1, abs=1e-5)
        assert list(prediction.probabilities) == sorted(prediction.probabilities, reverse=True)


def test_images_of_another_shape_are_refused_in_words(run: cnnkit.Run) -> None:
    with pytest.raises(cnnkit.ImageError, match=r"\(1, 8, 8\)"):
        run.predict(torch.zeros(2, 3, 8, 8))


def test_a_weights_file_alone_is_enough_to_predict_and_to_measure(run: cnnkit.Run, tmp_path: Path) -> None:
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes((run.path / "best.safetensors").read_bytes())
    opened = cnnkit.open_run(alone)
    assert opened.config == run.config
    assert opened.evaluate("test").evaluation.accuracy == run.result.test_accuracy
    with pytest.raises(cnnkit.UsageError, match="is a file"):
        _ = opened.result


def test_a_run_that_is_not_there_is_a_usage_error_when_it_is_opened(tmp_path: Path) -> None:
    with pytest.raises(cnnkit.UsageError, match="nothing"):
        cnnkit.open_run(tmp_path / "nothing")
    with pytest.raises(cnnkit.UsageError, match="holds no study"):
        cnnkit.open_study(tmp_path)


def test_a_folder_that_holds_something_is_not_trained_into(run: cnnkit.Run) -> None:
    with pytest.raises(cnnkit.UsageError, match="not empty"):
        cnnkit.train(run.config, run.path)


def test_a_loop_of_ones_own_learns_with_plain_modules_and_tensors(config: cnnkit.Config) -> None:
    images = cnnkit.load_images(config)
    model = cnnkit.build_model(config, images.train)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    losses = []
    for _ in range(12):
        chosen = torch.arange(256)
        loss = torch.nn.functional.cross_entropy(
            model(images.train.images[chosen]), images.train.labels[chosen]
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_a_model_takes_a_given_shape_and_number_of_classes(config: cnnkit.Config) -> None:
    model = cnnkit.build_model(config, shape=(3, 20, 16), classes=7)
    assert model(torch.zeros(2, 3, 20, 16)).shape == (2, 7)
    with pytest.raises(cnnkit.UsageError, match="below 1"):
        cnnkit.build_model(config, shape=(3, 3, 3))


def test_training_images_give_a_model_their_mean_and_deviation(config: cnnkit.Config) -> None:
    images = cnnkit.load_images(config).train
    model = cnnkit.build_model(config, images)
    shown = model.normalize(images.images)
    assert shown.mean().item() == pytest.approx(0, abs=1e-4)
    assert shown.std().item() == pytest.approx(1, abs=1e-3)


def test_progress_is_silent_where_it_is_told_to_be_and_calls_a_function_where_one_is_given(
    config: cnnkit.Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cnnkit.train(config, tmp_path / "silent", progress=False)
    assert capsys.readouterr() == ("", "")
    events: list[object] = []
    cnnkit.train(config, tmp_path / "told", progress=events.append)
    assert sum(isinstance(event, cnnkit.EpochRecord) for event in events) == 2


def test_a_comparison_from_python_is_the_one_of_the_command_line(
    config: cnnkit.Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = cnnkit.compare(
        config, {"model.pooling": ["max", "avg"]}, seeds=2, out=tmp_path / "study", progress=False
    )
    assert {level.name for level in study.results.levels} == {"max", "avg"}
    assert [(pair.a, pair.b) for pair in study.pairs] == [("max", "avg")]
    assert study.verify() == study.results
    assert cnnkit.open_study(tmp_path / "study").results == study.results
    assert "pooling" in str(study)


def test_a_comparison_of_nothing_is_refused(config: cnnkit.Config) -> None:
    with pytest.raises(cnnkit.UsageError, match="vary is empty"):
        cnnkit.compare(config, {})


def test_a_run_shows_its_report_in_a_notebook(run: cnnkit.Run) -> None:
    shown = run._repr_html_()
    assert shown.startswith("<iframe srcdoc=")
    assert "Learning curves" in shown
    assert '"' not in shown.split('srcdoc="')[1].split('" width')[0]


@pytest.mark.slow
def test_a_script_without_a_main_guard_compares_once(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import cnnkit\n"
        "print('begun', flush=True)\n"
        "config = cnnkit.load_config('digits', {'training.epochs': 1})\n"
        "study = cnnkit.compare(config, {'model.pooling': ['max', 'avg']}, 1, 'study', progress=False)\n"
        "print(len(study.results.levels), 'levels')\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.stdout, done.returncode) == ("begun\n2 levels\n", 0), done.stderr


@pytest.mark.parametrize(
    ("vary", "options", "told"),
    [
        ({}, {}, "vary is empty"),
        ({"model.pooling": "max"}, {}, "are a list"),
        ({"model.pooling": ["max", "avg"]}, {"workers": 0}, "1 or more"),
        ({"model.pooling": ["max", "avg"]}, {"executor": "slurm"}, "'local' or 'ray'"),
        ({"model.pooling": ["max", "avg"]}, {"match": "mac"}, "none, parameters or macs"),
    ],
)
def test_a_comparison_that_cannot_be_is_refused_in_words(
    config: cnnkit.Config, tmp_path: Path, vary: dict[str, Any], options: dict[str, Any], told: str
) -> None:
    with pytest.raises(cnnkit.UsageError, match=told):
        cnnkit.compare(config, vary, 1, tmp_path / "study", progress=False, **options)
    assert not (tmp_path / "study").exists()


def test_wrong_inputs_of_a_run_are_refused_in_words(run: cnnkit.Run) -> None:
    with pytest.raises(cnnkit.UsageError, match="unknown device 'gpu'"):
        run.evaluate(device="gpu")
    with pytest.raises(cnnkit.ImageError, match="multiply them by 255"):
        run.predict(torch.rand(2, 1, 8, 8))


def test_an_array_predicts_what_its_tensor_predicts(run: cnnkit.Run) -> None:
    images = cnnkit.load_images(run.config).test.images[:3]
    assert run.predict(images.numpy()) == run.predict(images)


def test_a_path_may_be_the_value_of_a_key(tmp_path: Path) -> None:
    assert cnnkit.load_config("digits", {"data.root": tmp_path}).data.root == str(tmp_path)


def test_a_run_that_went_on_is_measured_with_its_new_weights(
    config: cnnkit.Config, run: cnnkit.Run, tmp_path: Path
) -> None:
    def stop_after_an_epoch(event: object) -> None:
        if isinstance(event, cnnkit.EpochRecord):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cnnkit.train(config, tmp_path / "run", progress=stop_after_an_epoch)
    stopped = cnnkit.open_run(tmp_path / "run")
    before = stopped.evaluate("test").evaluation.accuracy
    stopped.resume(progress=False)
    assert stopped.evaluate("test").evaluation.accuracy == stopped.result.test_accuracy != before


def test_a_weights_file_shows_itself_plainly_in_a_notebook(run: cnnkit.Run, tmp_path: Path) -> None:
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes((run.path / "best.safetensors").read_bytes())
    assert cnnkit.open_run(alone)._repr_html_() is None


@pytest.mark.parametrize(
    ("options", "told"), [({"classes": 0}, "at least 2"), ({"shape": (8, 8)}, "channels, height, width")]
)
def test_a_model_that_cannot_be_is_refused_in_words(
    config: cnnkit.Config, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(cnnkit.UsageError, match=told):
        cnnkit.build_model(config, **options)


def test_images_of_other_channels_than_the_shape_give_no_pixel_statistics(config: cnnkit.Config) -> None:
    with pytest.raises(cnnkit.UsageError, match="1 channel, the shape 3"):
        cnnkit.build_model(config, cnnkit.load_images(config).train, shape=(3, 8, 8))


def test_values_of_numpy_and_any_letters_may_stand_in_overrides() -> None:
    config = cnnkit.load_config("digits", {"training.epochs": np.int64(3), "data.root": "/é😀"})
    assert (config.training.epochs, config.data.root) == (3, "/é😀")


def test_the_settings_of_a_run_do_not_reach_what_follows_it(config: cnnkit.Config, tmp_path: Path) -> None:
    torch.set_num_threads(2)
    own = {"threads": 1, "deterministic": True}
    changed = config.model_copy(update={"runtime": config.runtime.model_copy(update=own)})
    run = cnnkit.train(changed, tmp_path / "run", progress=False)
    assert run.result.threads == 1
    run.evaluate("validation")
    run.predict(cnnkit.load_images(config).test.images[:1])
    assert torch.get_num_threads() == 2
    assert not torch.are_deterministic_algorithms_enabled()
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"seeds": 2, "min_seeds": 5}, "min_seeds: not with seeds"),
        ({"seeds": 2, "min_seeds": 2, "max_seeds": 40}, "min_seeds and max_seeds: not with seeds"),
        ({"seeds": 2.5}, "seeds: 2.5; expected a whole number"),
        ({"max_seeds": "8"}, "max_seeds: '8'; expected a whole number"),
        ({"tune": 2.0}, "tune: 2.0; expected a whole number"),
        ({"workers": True}, "workers: True; expected a whole number"),
        ({"margin": "0.1"}, "margin: '0.1'; expected a number"),
    ],
)
@pytest.mark.parametrize("what", ["configuration", "function"])
def test_options_that_do_nothing_or_are_no_numbers_are_refused(
    config: cnnkit.Config, options: dict[str, Any], told: str, what: str
) -> None:
    compared = config if what == "configuration" else lambda value, seed: 0.5
    with pytest.raises(cnnkit.UsageError, match=re.escape(told)):
        cnnkit.compare(compared, {"model.dropout": [0, 0.5]}, out="study", **options)
    assert not Path("study").exists()


def test_numbers_of_numpy_are_numbers() -> None:
    study = cnnkit.compare(lambda value, seed: 0.5, {"a": [1, 2]}, np.int64(2), "study", progress=False)
    assert study.results.seeds == [0, 1]
