"""Kept files that are damaged, forged or hostile: named, in words, and never believed in silence."""

import contextlib
import json
import random
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY
from support import Here, Outcome, call, finished_run, keep_json, kept_json

from cnnkit.calibrator import Calibrator
from cnnkit.comparison.kept_runs import kept_runs
from cnnkit.comparison.results import rewritten
from cnnkit.comparison.runner import run_study
from cnnkit.comparison.study import StudyPlan, plan_study
from cnnkit.comparison.verification import verify
from cnnkit.config.load import parse_config
from cnnkit.errors import CnnkitError, RunError, UsageError
from cnnkit.experiment.checkpoints import load_weights, save_weights
from cnnkit.experiment.manifest import write_manifest
from cnnkit.experiment.run_dir import RunDir
from cnnkit.filenames import (
    BEST,
    CONFIG,
    ENVIRONMENT,
    FAILURE,
    LABELS,
    MANIFEST,
    METRICS,
    PREDICTIONS,
    REPORT,
    RESULT,
    RESULTS,
    STUDY,
    TRIAL,
    TRIALS,
)
from cnnkit.kept import LARGEST, parse_json
from cnnkit.report.page import write_report

Told = pytest.CaptureFixture[str]
Forge = Callable[[Path], None]
OF_STUDY = (STUDY, LABELS, RESULTS)
OF_TRIAL = (CONFIG, ENVIRONMENT, METRICS, BEST, PREDICTIONS, TRIAL, RESULT, MANIFEST)


DRAWN = 1  # of the damages of a file: a page takes as long as 20 checks


def small_plan() -> StudyPlan:
    """Two poolings, one seed, one epoch."""
    return plan_study(parse_config(TINY, "tiny", ["training.epochs=1"]), "model.pooling", ["max", "avg"], 1)


@pytest.fixture(scope="module")
def finished_study(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    """The small plan. No test may change it: copy it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared_cache))
        folder = tmp_path_factory.mktemp("damage") / "study"
        plan = plan_study(
            parse_config(TINY, "tiny", ["training.epochs=1"]), "model.pooling", ["max", "avg"], 1
        )
        run_study(plan, folder, Here(folder / TRIALS))
    return folder


@pytest.fixture
def study(finished_study: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished_study, tmp_path / "study", symlinks=True))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    return finished_run(tmp_path_factory.mktemp("damage") / "run", shared_cache, "training.epochs=1")


def trial_of(study: Path, number: int = 0) -> Path:
    return sorted((study / TRIALS).iterdir())[number]


@contextlib.contextmanager
def damaged(path: Path, content: bytes) -> Iterator[None]:
    before = path.read_bytes()
    path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(before)


def flips(path: Path, number: int = 5) -> Iterator[bytes]:
    """The file with one bit flipped, at places that are the same in every test."""
    raw, draw = path.read_bytes(), random.Random(path.name)
    for _ in range(number):
        place = draw.randrange(len(raw))
        yield raw[:place] + bytes([raw[place] ^ 1 << draw.randrange(8)]) + raw[place + 1 :]


def told_or_equal(outcome: Outcome, name: str, folder: Path, page: str) -> bool:
    """Whether a report names the damaged file, or is the one of the undamaged folder."""
    if outcome.code == 0:
        return (folder / REPORT).read_text(encoding="utf-8") == page
    drawn = (folder / REPORT).read_text(encoding="utf-8")
    return outcome.code == 1 and name in outcome.err and (drawn == page or name in drawn)


@pytest.fixture(scope="module")
def pages(
    finished_study: Path, finished: Path, shared_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """The pages of the study and of the run before anything is damaged, by the name of the folder."""
    home = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared_cache))
        return {
            name: write_report(Path(shutil.copytree(folder, home / name))).read_text(encoding="utf-8")
            for name, folder in (("study", finished_study), ("run", finished))
        }


@pytest.mark.parametrize("name", OF_STUDY + OF_TRIAL)
def test_one_flipped_bit_in_a_study_is_named_by_report_and_by_verify(
    study: Path, name: str, pages: dict[str, str], capsys: Told
) -> None:
    (study / REPORT).write_text(pages["study"], encoding="utf-8")
    path = study / name if name in OF_STUDY else trial_of(study) / name
    for number, content in enumerate(flips(path)):
        with damaged(path, content):
            if number < DRAWN:
                assert told_or_equal(call(capsys, "report", study), name, study, pages["study"]), content
            told = call(capsys, "compare", "--verify", study)
            assert told.code == 1
            assert name in told.err


@pytest.mark.parametrize("name", OF_TRIAL[:5] + OF_TRIAL[6:])
def test_one_flipped_bit_in_a_run_is_named_by_report_and_by_resume(
    run: Path, name: str, pages: dict[str, str], capsys: Told
) -> None:
    (run / REPORT).write_text(pages["run"], encoding="utf-8")
    for number, content in enumerate(flips(run / name)):
        with damaged(run / name, content):
            if number < DRAWN:
                assert told_or_equal(call(capsys, "report", run), name, run, pages["run"]), content
            told = call(capsys, "train", "--resume", run)
            assert told.code == 1
            assert name in told.err
            assert "test accuracy" not in told.out


@pytest.mark.parametrize("name", OF_STUDY + OF_TRIAL)
@pytest.mark.usefixtures("trials_here", "undrawn")
def test_resume_of_a_damaged_study_names_the_file_and_mends_it_or_stops(
    study: Path, name: str, capsys: Told
) -> None:
    path = study / name if name in OF_STUDY else trial_of(study) / name
    path.write_bytes(next(flips(path)))
    anew = rewritten(study) if name in (LABELS, RESULTS) else []
    told = call(capsys, "compare", "--resume", "--out", study, "--workers", 1)
    assert name in told.err + "".join(anew)
    assert told.code == (1 if name == STUDY else 0)
    if told.code == 0:
        assert call(capsys, "compare", "--verify", study).code == 0
        assert rewritten(study) == []


def test_a_page_names_damaged_files_wherever_their_folder_lies(run: Path, capsys: Told) -> None:
    (run / RESULT).write_bytes(next(flips(run / RESULT)))
    call(capsys, "report", run)
    before = (run / REPORT).read_text(encoding="utf-8")
    run.rename("f")  # a letter that stands in the sentence, too
    told = call(capsys, "report", "f")
    assert (told.code, Path("f", REPORT).read_text(encoding="utf-8")) == (1, before)
    assert f"<li>{RESULT} is damaged or was changed: it has another hash than in {MANIFEST}</li>" in before


def test_a_run_of_this_version_without_its_manifest_is_damaged(
    run: Path, tmp_path: Path, capsys: Told
) -> None:
    shutil.copytree(run, tmp_path / "other")
    (run / MANIFEST).unlink()
    result = run / RESULT
    result.write_text(re.sub('"test_accuracy": [0-9.]+', '"test_accuracy": 0.99', result.read_text()))
    for command in (["train", "--resume", run], ["report", run], ["runs", run, tmp_path / "other"]):
        told = call(capsys, *command)
        assert told.code == 1
        assert f"{MANIFEST} is missing" in " ".join(told.err.split())
        assert "99" not in told.out
    (listed,) = kept_runs(run)
    assert (listed.state, listed.accuracy) == ("damaged", None)
    assert f"{MANIFEST} is missing" in listed.reason


def test_a_run_whose_result_is_gone_is_told_and_ends_again(run: Path, capsys: Told) -> None:
    """A crash between the last two files leaves the same."""
    (run / RESULT).unlink()
    told = call(capsys, "report", run)
    assert told.code == 1
    assert f"{RESULT} is missing; cnnkit train --resume" in " ".join(told.err.split())


def test_the_weights_of_a_run_are_read_once(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, names = Path.read_bytes, []

    def counted_read(path: Path) -> bytes:
        names.append(path.name)
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", counted_read)
    monkeypatch.setattr("cnnkit.tensor_files.safe_open", None)  # the other way to read them
    load_weights(run)
    assert names.count(BEST) == 1


def test_what_is_added_later_is_not_in_the_manifest(run: Path, capsys: Told) -> None:
    assert call(capsys, "eval", run).code == 0
    assert call(capsys, "report", run).code == 0
    named = json.loads((run / MANIFEST).read_text())["files"]
    assert {*named} == {CONFIG, ENVIRONMENT, METRICS, BEST, PREDICTIONS, RESULT}
    assert call(capsys, "train", "--resume", run).code == 0


# --- forged: every hash fits ------------------------------------------------------------------------


def forge_result(**values: Any) -> Forge:
    def forge(trial: Path) -> None:
        result = json.loads((trial / RESULT).read_text()) | values
        raw = json.dumps(result).encode()
        write_manifest(trial, raw)
        (trial / RESULT).write_bytes(raw)

    return forge


def forge_predictions(trial: Path) -> None:
    """Every test image right: 100 % told, and the weights say less."""
    (trial / PREDICTIONS).write_bytes((trial.parent.parent / LABELS).read_bytes())
    forge_result(test_accuracy=1.0, test_balanced_accuracy=1.0, test_macro_f1=1.0)(trial)


def forge_configuration(trial: Path) -> None:
    text = (trial / CONFIG).read_text()
    (trial / CONFIG).write_text(text.replace("learning_rate: 0.01", "learning_rate: 0.02"))
    forge_result()(trial)


def forge_cost(trial: Path) -> None:
    """Only `study.json` tells it."""
    path = trial.parent.parent / STUDY
    content = kept_json(path)
    content["levels"][0]["macs"] += 1
    keep_json(path, content)


def forge_results_of(study: Path) -> None:
    """Writes `results.json` again, from files that were forged."""
    from cnnkit.comparison.results import analyse

    keep_json(study / RESULTS, analyse(study).to_dict())


@pytest.mark.parametrize(
    ("forge", "told"),
    [
        (forge_result(val_accuracy=0.999), rf"{RESULT}: val_accuracy"),
        (forge_result(val_loss=0.001), rf"{RESULT}: val_loss"),
        (forge_result(epochs=9, best_epoch=9), rf"{METRICS} holds 1 epoch"),
        (forge_result(train_seconds=0.001), rf"{RESULT}: train_seconds"),
        (forge_result(parameters=1), rf"^\S+/{RESULT}: parameters is 1, and \d+ comes out again$"),
        (forge_result(macs=1), rf"^\S+/{RESULT}: macs is 1, and \d+ comes out again$"),
        (forge_cost, rf"max has .* in {STUDY}, and others by this configuration"),
        (forge_configuration, rf"{CONFIG}: training.learning_rate is 0.01 in {STUDY} and 0.02 in the trial"),
    ],
)
def test_verify_finds_what_does_not_follow_though_every_hash_fits(
    study: Path, forge: Forge, told: str
) -> None:
    forge(trial_of(study))
    forge_results_of(study)
    with pytest.raises(RunError, match=told):
        verify(study)


@pytest.mark.parametrize("score", ["test_balanced_accuracy", "test_macro_f1"])
def test_scores_that_the_predictions_do_not_give_are_found(study: Path, score: str) -> None:
    forge_result(**{score: 0.999})(trial_of(study))
    with pytest.raises(RunError, match=rf"{RESULT}: {score} is 0.999, and .* comes out of {PREDICTIONS}"):
        verify(study)


def test_a_deep_verify_finds_forged_predictions_that_a_shallow_one_cannot(study: Path, capsys: Told) -> None:
    assert call(capsys, "compare", "--verify", study, "--deep").code == 0
    forge_predictions(trial_of(study))
    forge_results_of(study)
    shallow = call(capsys, "compare", "--verify", study)
    assert shallow.code == 0
    assert "not checked: whether the weights give the predictions" in shallow.out
    deep = call(capsys, "compare", "--verify", study, "--deep")
    assert deep.code == 1
    assert PREDICTIONS in deep.err
    assert "not 100.00%" in deep.err


def test_a_deep_verify_finds_a_forged_validation_accuracy(study: Path, capsys: Told) -> None:
    run = RunDir(trial_of(study))
    run.write_metrics([replace(record, val_accuracy=1.0, val_loss=0.001) for record in run.metrics()])
    run.keep_result(replace(run.result, val_accuracy=1.0, val_loss=0.001, best_epoch=1))
    forge_results_of(study)
    assert call(capsys, "compare", "--verify", study).code == 0
    deep = call(capsys, "compare", "--verify", study, "--deep")
    assert deep.code == 1
    assert "val_loss is 0.001" in deep.err


def forge_trial_json(key: str) -> Forge:
    def forge(trial: Path) -> None:
        content = json.loads((trial / TRIAL).read_text())
        hashes = content["hashes"]
        if key == "weights":
            hashes[key][next(iter(hashes[key]))] = "0" * 64
        elif key in hashes:
            hashes[key] = "0" * 64
        else:
            content[key] = "0" * 64
        (trial / TRIAL).write_text(json.dumps(content))
        forge_result()(trial)

    return forge


def forge_calibration(**values: Any) -> Forge:
    def forge(trial: Path) -> None:
        kept = json.loads((trial / RESULT).read_text())["calibration"]
        forge_result(calibration={**kept, **values})(trial)

    return forge


def forge_bins(trial: Path) -> None:
    """Each answer as sure as it is right."""
    bins = json.loads((trial / RESULT).read_text())["calibration"]["bins"]
    forge_calibration(bins=[{**one, "confidence": one["accuracy"]} for one in bins])(trial)


def forge_calibrator(factor: float, share: float) -> Forge:
    """In the weights and in the result alike."""

    def forge(trial: Path) -> None:
        weights = load_weights(trial)
        forged = Calibrator(factor * weights.calibrator.temperature, share)
        save_weights(RunDir(trial), BEST, weights.model, weights.config, forged, weights.familiarity)
        forge_calibration(**forged.to_dict())(trial)

    return forge


def forge_clean_figures(trial: Path) -> None:
    run, clean = RunDir(trial), {"clean_train_accuracy": 1.0}
    run.write_metrics([replace(record, **clean) for record in run.metrics()])
    run.keep_result(replace(run.result, **clean))


@pytest.mark.parametrize(
    ("forge", "told"),
    [
        *(
            (forge_trial_json(key), rf"{TRIAL}: what comes out again has another {key}$")
            for key in ("data", "split", "order", "augmentation", "weights", "id")
        ),
        (forge_calibrator(2, 0.0), rf"{BEST}: the temperature is"),
        (forge_calibrator(1, 0.2), rf"{BEST}: the (uniform share is 0.2|temperature is)"),
        (forge_calibration(temperature=1.5), rf"{RESULT}: the temperature is 1.5"),
        (forge_calibration(uniform_share=0.2), rf"{RESULT}: the uniform share is 0.2"),
        (forge_calibration(error=0.5), rf"{RESULT}: calibration.error tells of 0.5,"),
        (forge_calibration(error_before=0.5), rf"{RESULT}: calibration.error_before tells of 0.5,"),
        (forge_calibration(error_by_chance=0.5), rf"{RESULT}: calibration.error_by_chance tells of 0.5,"),
        (forge_bins, rf"{RESULT}: calibration.bins tells of 0.0,"),
        (forge_clean_figures, rf"{RESULT}: clean_train_accuracy is 1.0"),
    ],
)
def test_a_deep_verify_makes_again_what_a_shallow_one_says_that_it_did_not(
    study: Path, forge: Forge, told: str
) -> None:
    forge(trial_of(study))
    forge_results_of(study)
    sentences: list[str] = []
    verify(study, told=sentences.append)
    assert (
        f"not checked: calibration, figures on training images, and the hashes in {TRIAL}; --deep does"
        in sentences
    )
    with pytest.raises(RunError, match=told):
        verify(study, deep=True)


def test_hashes_that_another_version_made_are_not_judged(study: Path) -> None:
    """Nor those of another processor: initial weights may round differently there."""
    for trial in (study / TRIALS).iterdir():
        environment = json.loads((trial / ENVIRONMENT).read_text()) | {"torch": "2.0"}
        (trial / ENVIRONMENT).write_text(json.dumps(environment))
        forge_trial_json("weights")(trial)
    forge_results_of(study)
    sentences: list[str] = []
    verify(study, deep=True, told=sentences.append)
    assert any(f"not checked: the hashes in {TRIAL} of 2 trials" in sentence for sentence in sentences)
    assert not any("have the hashes in trial.json" in sentence for sentence in sentences)


def test_deep_goes_with_verify_alone(capsys: Told) -> None:
    assert call(capsys, "compare", "--deep", "--vary", "model.pooling=max,avg").code == 2


@pytest.mark.parametrize("checksum", [True, False])
def test_a_changed_digit_of_a_studys_configuration_trains_nothing(
    study: Path, checksum: bool, capsys: Told
) -> None:
    content = json.loads((study / STUDY).read_text())
    content["config"] = content["config"].replace("learning_rate: 0.01", "learning_rate: 0.02")
    if not checksum:  # as 0.1.0 kept it
        del content["checksum"], content["labels"]
    (study / STUDY).write_text(json.dumps(content))
    before = sorted(path.name for path in (study / TRIALS).iterdir())
    told = call(capsys, "compare", "--resume", "--out", study)
    assert told.code == 1
    assert f"{study / STUDY}" in told.err
    assert "training.learning_rate is 0.02 in study.json and 0.01 in the trial" in told.err
    assert sorted(path.name for path in (study / TRIALS).iterdir()) == before


# --- set up -----------------------------------------------------------------------------------------


class Killed(BaseException):
    pass


@pytest.mark.parametrize(
    ("again", "files", "written"),
    [
        ("anew", 0, False),  # there is nothing to resume
        *(("resume", files, False) for files in (1, 2, 3)),
        *(("anew", files, False) for files in (1, 2, 3)),
        *((again, 0, True) for again in ("resume", "anew")),  # a file is whole, and the next not begun
    ],
)
@pytest.mark.usefixtures("trials_here", "undrawn")
def test_a_study_that_is_killed_while_it_is_set_up_is_resumed_or_begun_anew(
    tiny_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Told,
    again: str,
    files: int,
    written: bool,
) -> None:
    """Killed at a file's renaming, before or after it; what was being written is left there."""
    folder, replace, count = tmp_path / "s", Path.replace, iter(range(99))
    plan = small_plan()

    def killing(aside: Path, target: Path) -> Path:
        if folder in target.parents and next(count) == files:
            if written:
                replace(aside, target)
            raise Killed
        return replace(aside, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killing)
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        with pytest.raises(Killed):
            run_study(plan, folder, Here(folder / TRIALS))
    if again == "anew":
        run_study(plan, folder, Here(folder / TRIALS))
    else:
        assert call(capsys, "compare", "--resume", "--out", folder, "--workers", 1).code == 0
    assert verify(folder)
    assert not list(folder.rglob("*.part"))


# --- names and links --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["/etc", "../..", "..", "", ".", "a/b", "a\\b", "a\nb", "a\0b"])
def test_a_trials_folder_that_lies_elsewhere_is_refused(study: Path, name: str, capsys: Told) -> None:
    content = kept_json(study / STUDY)
    content["trials"][0]["folder"] = name
    keep_json(study / STUDY, content)
    for command in (["report"], ["compare", "--verify"], ["compare", "--resume", "--out"]):
        told = call(capsys, *command, study)
        assert told.code == 1
        assert "is no name of a folder" in told.err


@pytest.mark.parametrize("name", [FAILURE, *OF_TRIAL])
def test_no_link_is_followed_out_of_a_trial(study: Path, tmp_path: Path, name: str, capsys: Told) -> None:
    path, secret = trial_of(study) / name, tmp_path / "secret"
    secret.write_text("top secret")
    path.unlink(missing_ok=True)
    path.symlink_to(secret)
    if name == FAILURE:
        (path.parent / RESULT).unlink()
        (study / RESULTS).unlink()
    told = call(capsys, "report", study)
    assert "top secret" not in told.err + (study / REPORT).read_text(encoding="utf-8")
    assert told.code == (0 if name == FAILURE else 1)
    assert name in told.err + (study / REPORT).read_text(encoding="utf-8")
    assert secret.read_text() == "top secret"


@pytest.mark.parametrize("whole", [True, False])
def test_a_linked_trials_folder_is_refused(study: Path, tmp_path: Path, whole: bool, capsys: Told) -> None:
    path = study / TRIALS if whole else trial_of(study)
    shutil.move(path, tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    for command in (["report"], ["compare", "--verify"], ["compare", "--resume", "--out"]):
        told = call(capsys, *command, study)
        assert told.code == 1
        assert "leads out of the study" in told.err
    assert "leads out of the study" in (study / REPORT).read_text(encoding="utf-8")


def test_eval_neither_makes_nor_fills_the_folder_that_a_weights_file_names(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Told
) -> None:
    from cnnkit.experiment.checkpoints import save_weights
    from cnnkit.experiment.run_dir import RunDir

    def no_network(*_: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("cnnkit.data.sources._fetch", no_network)
    evil = tmp_path / "evil"
    config = parse_config(TINY, "tiny", ["data.dataset=mnist", f"data.root={json.dumps(str(evil))}"])
    from cnnkit.nn.model import build_model

    model = build_model(config.model, config.data.info, 0)
    save_weights(RunDir(tmp_path), "a.safetensors", model, config, Calibrator())
    assert load_weights(tmp_path / "a.safetensors").config.data.root == str(evil)
    told = call(capsys, "eval", tmp_path / "a.safetensors")
    assert told.code == 1
    assert f"MNIST is not in {evil}, as was configured" in told.err
    assert "could not be fetched: no network" in told.err
    assert not evil.exists()


# --- hostile JSON and YAML --------------------------------------------------------------------------

HOSTILE: list[bytes] = [
    b"[" * 200_000,
    b'{"a":' * 200_000,
    b'{"version": NaN}',
    b'{"version": 1, "margin": Infinity}',
    b'{"version": 1e999}',
    b'{"version": ' + b"9" * 5000 + b"}",
    b"\xff\xfe{}",
    b"\0",
    b"",
    b"null",
    b'"text"',
    b"[]",
]


@pytest.mark.parametrize("name", [STUDY, RESULTS, TRIAL, RESULT, METRICS, ENVIRONMENT, MANIFEST])
@pytest.mark.parametrize("content", HOSTILE, ids=lambda raw: repr(raw[:20]))
def test_hostile_json_is_told_in_words(study: Path, name: str, content: bytes, capsys: Told) -> None:
    path = study / name if name in OF_STUDY else trial_of(study) / name
    path.write_bytes(content)
    with pytest.raises(RunError, match=re.escape(name)):
        verify(study)


def test_a_file_that_is_too_large_is_not_read(study: Path) -> None:
    with (study / STUDY).open("ab") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(RunError, match="more than 64 MB"):
        verify(study)


def leaves(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of every value below a JSON value."""
    yield path
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in pairs:
        yield from leaves(value, (*path, key))


def with_value(node: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    changed = node.copy()
    changed[path[0]] = with_value(node[path[0]], path[1:], value)
    return changed


VALUES: list[Any] = [None, True, -1, 10**12, 1e308, "", "x", "\ud7ff" * 9, [], [[]], {}, {"a": 1}, 0.5]


def mutants(path: Path, number: int) -> Iterator[dict[str, Any]]:
    """The content with one value changed to another, the same ones in every test; its checksum fits."""
    content, draw = kept_json(path), random.Random(path.name)
    places = [place for place in leaves(content) if place]
    for _ in range(number):
        yield with_value(content, draw.choice(places), draw.choice(VALUES))


@pytest.mark.parametrize("name", [STUDY, RESULTS, TRIAL, RESULT, METRICS, ENVIRONMENT, MANIFEST])
def test_json_with_other_values_gives_words_or_a_page(study: Path, name: str, capsys: Told) -> None:
    path = study / name if name in OF_STUDY else trial_of(study) / name
    if name not in OF_STUDY:
        (path.parent / MANIFEST).unlink(missing_ok=name != MANIFEST)  # else each change has another hash
    for content in mutants(path, 3) if path.exists() else ():
        with damaged(path, json.dumps(content).encode()):
            assert call(capsys, "report", study).code in (0, 1, 2), content
            with contextlib.suppress(CnnkitError):
                verify(study)


def test_a_configuration_of_megabytes_in_a_kept_file_is_refused(study: Path, capsys: Told) -> None:
    keep_json(study / STUDY, kept_json(study / STUDY) | {"config": "a: 1\n" * 800_000})
    told = call(capsys, "report", study)
    assert told.code == 2
    assert "is larger than 32 kB" in told.err


def test_numbers_that_a_study_cannot_have_are_refused(study: Path) -> None:
    whole = kept_json(study / STUDY)
    for changes in (
        {"seeds": 10**12},
        {"first_seed": -1},
        {"margin": 0},
        {"levels": []},
        {"object_sizes": [0]},
    ):
        keep_json(study / STUDY, whole | changes)
        with pytest.raises(RunError, match=f"{STUDY} is damaged"):
            verify(study)


def test_json_is_read_as_what_it_says() -> None:
    assert parse_json(b'{"a": [1, -2.5, "\xc3\xa4", null, true]}') == {"a": [1, -2.5, "ä", None, True]}


def test_other_images_than_those_of_a_study_are_refused_before_anything_is_trained(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cnnkit.comparison.runner.data_hash", lambda _: "other")
    plan = small_plan()
    with pytest.raises(UsageError, match="are not those that"):
        run_study(plan, study, Here(study / TRIALS))
