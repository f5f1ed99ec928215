"""`cnnkit runs delete` asks, removes what cnnkit wrote and nothing else, and keeps `latest` right."""

import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from rich.console import Console
from support import call, finished_run

from cnnkit.comparison.deleting import delete_kept, refuse_undeletable, size_of
from cnnkit.errors import UsageError
from cnnkit.experiment.latest import latest_run
from cnnkit.locks import alone_at

Capture = pytest.CaptureFixture[str]
STUDY = Path(__file__).parent / "kept" / "0.1.0" / "study"
MAX, AVG = Path("runs/max"), Path("runs/avg")


@pytest.fixture(scope="module")
def whole(shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_run(tmp_path_factory.mktemp("whole") / "run", shared_cache, "training.epochs=1")


@pytest.fixture(autouse=True)
def home(whole: Path, tmp_path: Path) -> None:
    """Two runs and a study; the newer run is the latest one."""
    for path, age in ((MAX, 100), (AVG, 0)):
        shutil.copytree(whole, path)
        time = (path / "config.yaml").stat().st_mtime - age
        os.utime(path / "config.yaml", (time, time))
    shutil.copytree(STUDY, "runs/study")
    Path("runs/latest").symlink_to("avg")


def files(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def answering(monkeypatch: pytest.MonkeyPatch, yes: bool) -> None:
    """A person at a terminal answers."""

    def confirm(*_: object, abort: bool, **__: object) -> None:
        if abort and not yes:
            raise typer.Abort

    monkeypatch.setattr(Console, "is_terminal", True)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(typer, "confirm", confirm)


@pytest.mark.parametrize("yes", [True, False])
def test_it_shows_what_goes_and_asks(yes: bool, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files(Path("runs"))
    answering(monkeypatch, yes)
    outcome = call(capsys, "runs", "delete", "max", "runs/study")
    shown = " ".join(outcome.err.split())
    assert "runs/max: run, finished, " in shown
    assert "runs/study: study, finished, " in shown
    assert outcome.code == (0 if yes else 1)
    assert (before == files(Path("runs"))) != yes
    assert [MAX.exists(), Path("runs/study").exists(), AVG.exists()] == [not yes, not yes, True]


def test_where_nobody_can_answer_nothing_is_deleted_without_yes(capsys: Capture) -> None:
    before = files(Path("runs"))
    outcome = call(capsys, "runs", "delete", "max")
    assert (outcome.code, "--yes deletes without asking" in outcome.err) == (2, True)
    assert files(Path("runs")) == before
    assert call(capsys, "runs", "delete", "max", "max", "--yes").out == "deleted: runs/max\n"
    assert not MAX.exists()


def test_all_names_are_looked_at_before_anything_is_deleted(capsys: Capture) -> None:
    outcome = call(capsys, "runs", "delete", "max", "mux", "--yes")
    assert (outcome.code, "did you mean runs/max?" in outcome.err) == (2, True)
    assert (MAX / "result.json").is_file()


def test_latest_names_the_newest_that_is_left(capsys: Capture) -> None:
    assert call(capsys, "runs", "delete", "study", "--yes").code == 0
    assert str(Path("runs/latest").readlink()) == "avg"
    assert call(capsys, "runs", "delete", "avg", "--yes").code == 0
    assert (str(Path("runs/latest").readlink()), latest_run()) == ("max", MAX)
    assert call(capsys, "runs", "delete", "max", "--yes").code == 0
    assert not os.path.lexists("runs/latest")


def test_a_run_in_which_a_process_works_is_refused(capsys: Capture) -> None:
    with alone_at(MAX, "run"):
        outcome = call(capsys, "runs", "delete", "avg", "max", "--yes")
    assert (outcome.code, f"process {os.getpid()} is at the run in runs/max" in outcome.err) == (2, True)
    assert (AVG / "result.json").is_file()


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine.txt").write_text("mine")
    shutil.copytree(MAX, outside / "run")
    (MAX / "own").symlink_to(outside)
    (MAX / "best.safetensors").unlink()
    (MAX / "best.safetensors").symlink_to(outside / "mine.txt")
    Path("runs/gone").symlink_to(outside)
    before = files(outside)
    assert delete_kept(refuse_undeletable(MAX)) == []
    for name, told in (("latest", "is a link, and none is followed"), ("gone/run", "leads out of runs")):
        with pytest.raises(UsageError, match=told):
            refuse_undeletable(Path(name))
    assert (MAX.exists(), files(outside)) == (False, before)


def test_what_cnnkit_did_not_write_stays(capsys: Capture) -> None:
    (MAX / "notes.txt").write_text("my notes")
    (MAX / "plots").mkdir()
    outcome = call(capsys, "runs", "delete", "max", "--yes")
    assert (outcome.code, "notes.txt and plots" in outcome.err) == (0, True)
    assert {path.name for path in MAX.iterdir()} == {"notes.txt", "plots"}


def test_everything_that_cnnkit_writes_into_a_run_is_known(capsys: Capture) -> None:
    assert call(capsys, "eval", MAX).code == 0
    assert call(capsys, "report", MAX).code == 0
    assert call(capsys, "play", MAX).code == 0
    assert call(capsys, "export", MAX, "--format", "torch", "--check", "2").code == 0
    size = sum(path.stat().st_size for path in MAX.rglob("*") if path.is_file() and path.name != ".lock")
    assert size_of(MAX) == size
    assert delete_kept(MAX) == []
    assert not MAX.exists()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("runs", "it holds no config.yaml"),
        ("mine", "is not of cnnkit"),
        ("other", "it holds no config.yaml"),
        ("runs/study/trials/{trial}", "is part of the study in"),
    ],
)
def test_what_is_no_run_of_cnnkit_is_refused(name: str, told: str, capsys: Capture) -> None:
    Path("mine").mkdir()
    Path("mine/config.yaml").write_text("port: 80\n")
    Path("other").mkdir()
    trial = next(Path("runs/study/trials").iterdir()).name
    before = files(Path())
    outcome = call(capsys, "runs", "delete", name.format(trial=trial), "--yes")
    assert (outcome.code, told in outcome.err) == (2, True)
    assert files(Path()) == before


def test_a_deletion_that_was_killed_leaves_an_unfinished_run_that_can_be_deleted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unlink, removed = Path.unlink, []

    def killed(path: Path, missing_ok: bool = False) -> None:
        if len(removed) == 3:
            raise KeyboardInterrupt
        removed.append(path.name)
        unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            delete_kept(MAX)
    assert removed[0] == "result.json"
    assert delete_kept(refuse_undeletable(MAX)) == []
