"""`runs/latest` names the run that was trained last; commands without a run take it, and say so."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support import call, finished_run

import cnnkit
from cnnkit.comparison.trial import Trial, run_trial
from cnnkit.config.schema import Config
from cnnkit.errors import UsageError
from cnnkit.experiment.latest import latest_run
from cnnkit.experiment.new_run import create_run
from cnnkit.filenames import RESULT, RUNS, TRIALS

Tiny = Callable[..., Config]
Capture = pytest.CaptureFixture[str]
LATEST = RUNS / "latest"


@pytest.fixture(scope="module")
def run(shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, for every test to read."""
    return finished_run(tmp_path_factory.mktemp("finished") / "run", shared_cache, "training.epochs=1")


@pytest.fixture(params=[True, False], ids=["links", "no links"])
def links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the file system has symbolic links."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no links here")

    if not request.param:
        monkeypatch.setattr(Path, "symlink_to", refuse)
    return bool(request.param)


@pytest.mark.usefixtures("links")
def test_the_latest_run_is_the_newest_wherever_it_lies(
    tiny: Tiny, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "run"
    for out in (None, Path("mine"), Path("runs/x"), elsewhere, None):
        run = create_run(tiny(), "tiny", out)
        assert latest_run() == run.path
        assert cnnkit.open_run("runs/latest").folder.path.resolve() == run.path.resolve()


def test_from_python_a_run_elsewhere_makes_no_folder_for_latest(tiny: Tiny, tmp_path: Path) -> None:
    cnnkit.train(tiny("training.epochs=1"), "mine", progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_training_that_cannot_begin_makes_none_either(
    tiny_file: Path, tmp_path: Path, capsys: Capture
) -> None:
    assert call(capsys, "train", tiny_file, "--device", "cuda:99", "--out", "mine").code == 2
    assert list(tmp_path.iterdir()) == [tiny_file]


@pytest.mark.usefixtures("links")
def test_where_the_latest_run_is_gone_the_newest_that_is_left_is_the_latest(tiny: Tiny) -> None:
    first, second = (create_run(tiny(), name) for name in ("one", "two"))
    create_run(tiny(), "tiny", Path("mine"))
    shutil.rmtree("mine")
    assert latest_run() == second.path
    shutil.rmtree(second.path)
    assert latest_run() == first.path
    shutil.rmtree(first.path)
    with pytest.raises(UsageError, match="cnnkit train"):
        latest_run()


def test_a_trial_of_a_study_is_no_latest_run(tiny: Tiny) -> None:
    run_trial(Trial("max", tiny("training.epochs=1"), "data"), RUNS / "compare" / TRIALS / "one")
    with pytest.raises(UsageError, match="cnnkit train"):
        latest_run()


def test_a_run_in_a_folder_called_latest_hides_no_newer_one(tiny: Tiny) -> None:
    """0.1.0 took `--out runs/latest`."""
    old = create_run(tiny(), "tiny").path
    LATEST.unlink()
    old.rename(LATEST)
    new = create_run(tiny(), "new")
    assert latest_run() == new.path
    with pytest.raises(UsageError, match="name of the newest run"):
        create_run(tiny(), "tiny", LATEST)


def test_a_run_that_is_gone_on_with_is_the_latest(run: Path, tiny: Tiny, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "interrupted")
    (tmp_path / "interrupted" / RESULT).unlink()
    create_run(tiny(), "newer")
    cnnkit.open_run("interrupted").resume(progress=False)
    assert latest_run() == Path("interrupted")


def test_what_takes_the_latest_run_says_which_that_is(
    tiny_file: Path, picture: Path, capsys: Capture
) -> None:
    assert call(capsys, "train", tiny_file, "--quiet", "--out", "mine").code == 0
    for line in (("eval", "--json"), ("predict", picture, picture, "--json")):
        outcome = call(capsys, *line)
        assert outcome.code == 0
        assert "the latest run: mine\n" in outcome.err
        assert "mine" not in outcome.out or line[0] == "eval"
    assert len(json.loads(outcome.out)["predictions"]) == 2
    assert call(capsys, "report", "runs/latest").code == 0


def test_predict_tells_runs_from_images(run: Path, picture: Path, tmp_path: Path, capsys: Capture) -> None:
    unnamed = picture.rename(tmp_path / "digit")  # without a suffix
    weights = shutil.copy(run / "best.safetensors", tmp_path / "weights")
    for line in ((run, unnamed), (weights, unnamed), (run / "best.safetensors", unnamed)):
        assert call(capsys, "predict", *line).code == 0
    assert "there is no run" in call(capsys, "predict", unnamed).err
    assert "there is no run" in call(capsys, "predict", "missing.png").err
    assert "no run directory" in call(capsys, "predict", tmp_path, unnamed).err
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"damaged")
    assert "damaged.safetensors" in call(capsys, "predict", damaged, unnamed).err


def test_training_says_how_to_see_its_report_and_writes_it_at_once_when_asked(
    tiny_file: Path, capsys: Capture
) -> None:
    line = ("train", tiny_file, "--set", "training.epochs=1", "--out")
    outcome = call(capsys, *line, "a b")
    assert outcome.out.endswith("to look at: cnnkit report 'a b'\n")
    assert not Path("a b/report.html").exists()
    outcome = call(capsys, *line, "now", "--report")
    assert outcome.out.endswith(f"to look at: {Path('now/report.html')}\n")
    assert Path("now/report.html").is_file()
    outcome = call(capsys, *line, "json", "--report", "--json")
    assert json.loads(outcome.out)["run"] == "json"
    assert Path("json/report.html").is_file()
    assert call(capsys, "train", "--resume", "now", "--report").code == 0
