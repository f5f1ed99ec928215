"""One study on many machines: its shards, trained apart and merged, are what one machine makes of it."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY
from support import (
    SIGKILL,
    Here,
    bash_scripts,
    call,
    exit_code,
    keep_json,
    kept_json,
    own_pooling_file,
    posix_signals,
    start,
)
from test_comparison import without_timing

import cnnkit
from cnnkit.comparison.kept_runs import kept_runs
from cnnkit.comparison.merging import merge_studies
from cnnkit.comparison.plan_options import with_shard
from cnnkit.comparison.records import StudyResults
from cnnkit.comparison.runner import run_study
from cnnkit.comparison.shards import Shard
from cnnkit.comparison.study import StudyPlan, plan_study
from cnnkit.comparison.verification import verify
from cnnkit.config.load import parse_config, with_own_test_images
from cnnkit.errors import UsageError
from cnnkit.experiment.manifest import write_manifest
from cnnkit.filenames import BEST, FAILURE, PREDICTIONS, RESULT, RESULTS, STUDY, TRIALS, TRIALS_TABLE
from cnnkit.files import write_json
from cnnkit.own import sources as own_sources

Capture = pytest.CaptureFixture[str]
LEVELS = ["max", "avg"]
TUNING = {"keys": [], "seed": 1, "points": [{}], "monitor": "accuracy"}


def planned(
    seeds: int = 3, *overrides: str, folds: int | None = None, redrawn: bool = False, **of: Any
) -> StudyPlan:
    base = parse_config(TINY, "tiny", ["training.epochs=1", *overrides])
    base = with_own_test_images(base, folds, redrawn)
    return plan_study(base, "model.pooling", of.pop("levels", LEVELS), seeds, **of)


def train(plan: StudyPlan, folder: Path, shard: tuple[int, int] | None = None) -> StudyResults:
    plan = with_shard(plan, Shard(*shard) if shard else None)
    return run_study(plan, folder, Here(folder / TRIALS))


def train_shards(plan: StudyPlan, folder: Path, of: int) -> list[Path]:
    for number in range(1, of + 1):
        train(plan, folder / str(number), (number, of))
    return [folder / str(number) for number in range(1, of + 1)]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    """`one`, a study of three seeds on one machine, and `S`, its three shards. No test may change them."""
    folder = tmp_path_factory.mktemp("shards")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared_cache))
        train(planned(), folder / "one")
        train_shards(planned(), folder / "S", 3)
    return folder


@pytest.fixture
def shards(kept: Path, tmp_path: Path) -> list[Path]:
    """S/1, S/2, S/3 in the current folder."""
    shutil.copytree(kept / "S", tmp_path / "S")
    return [Path("S") / str(number) for number in (1, 2, 3)]


def merged(paths: Sequence[Path], out: Path = Path("S/all")) -> tuple[StudyResults, str]:
    """(results, what was told)."""
    told: list[str] = []
    results = merge_studies(paths, out, lambda note: told.append(note.text))
    return results, "\n".join(told)


def same(one: Path, other: Path) -> bool:
    """Whether two studies are the same, bit for bit, but for times and dates."""
    plans = [kept_json(folder / STUDY) for folder in (one, other)]
    results = [without_timing(kept_json(folder / RESULTS)) for folder in (one, other)]
    files = [
        {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob(name))}
        for folder in (one, other)
        for name in (BEST, PREDICTIONS, "tested.bin", "labels.bin", "config.yaml", "trial.json", FAILURE)
    ]
    half = len(files) // 2
    return plans[0] == plans[1] and results[0] == results[1] and files[:half] == files[half:]


@pytest.mark.parametrize(("seeds", "of"), [(16, 16), (5, 3), (3, 3), (2, 3), (2, 4), (1, 2), (7, 1)])
def test_each_trial_is_in_one_shard_and_those_of_a_seed_together_where_there_are_seeds_enough(
    seeds: int, of: int
) -> None:
    plan = planned(seeds)
    parts = [
        [(level.name, config.training.seed) for level, config in with_shard(plan, Shard(n + 1, of)).trials()]
        for n in range(of)
    ]
    whole = [(level.name, config.training.seed) for level, config in plan.trials()]
    assert sorted(trial for part in parts for trial in part) == sorted(whole)
    assert max(map(len, parts)) - min(map(len, parts)) <= (len(LEVELS) if of <= seeds else 1)
    if of <= seeds:
        assert all(len({seed for _, seed in part}) * len(LEVELS) == len(part) for part in parts)
        for number, part in enumerate(parts, 1):  # more seeds, later, move none
            more = with_shard(planned(seeds + 5), Shard(number, of)).trials()
            assert {*part} <= {(level.name, config.training.seed) for level, config in more}


@pytest.mark.parametrize(
    "plan",
    [
        lambda: planned(2, folds=4),
        lambda: planned(2, redrawn=True),
        lambda: planned(2, beside={"model.dropout": [0, 0.5]}),
        lambda: planned(2, metric="macro_f1", match="parameters", levels=["concat", "max"]),
    ],
    ids=["folds", "resampled test", "several keys", "macro F1 and matched"],
)
def test_shards_of_every_kind_of_study_are_merged_to_what_one_machine_makes(
    plan: Callable[[], StudyPlan], tmp_path: Path
) -> None:
    train(plan(), tmp_path / "one")
    merged(train_shards(plan(), tmp_path, 3))
    assert same(tmp_path / "one", tmp_path / "S/all")
    verify(tmp_path / "S/all", deep=True)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 1, 2, 0, 2)])
def test_shards_in_any_order_and_twice_are_what_one_machine_makes(
    kept: Path, shards: list[Path], order: tuple[int, ...]
) -> None:
    _, told = merged([shards[number] for number in order])
    assert told == ""
    assert same(kept / "one", Path("S/all"))
    before = {path: path.stat().st_mtime_ns for path in Path("S/all").rglob("*") if path.is_file()}
    merged([*shards, Path("S/all")])  # as `S/*` has it the second time
    assert same(kept / "one", Path("S/all"))
    assert {path for path, at in before.items() if path.stat().st_mtime_ns != at} == {
        Path("S/all") / name for name in (STUDY, RESULTS, TRIALS_TABLE, "labels.bin", ".lock")
    }


def test_what_is_missing_is_told_and_the_told_commands_train_it(
    kept: Path, shards: list[Path], capsys: Capture
) -> None:
    (trial, _) = sorted((shards[1] / TRIALS).iterdir())
    shutil.rmtree(trial)
    told = call(capsys, "compare", "--merge", *shards[:2], "--out", "S/all")
    assert told.code == 0
    assert "shard 3/3 is missing: 2 trainings (max seed 2, avg seed 2)" in told.err
    assert "shard 2/3 lacks 1 training (avg seed 1)" in told.err
    of_shard, of_all = re.findall(r"by: cnnkit (.*)", told.err)
    assert call(capsys, *shlex.split(of_shard), "--workers", 1).code == 0
    assert "shard 2/3" not in call(capsys, "compare", "--merge", *shards[:2], "--out", "S/all").err
    assert call(capsys, *shlex.split(of_all), "--workers", 1).code == 0
    assert same(kept / "one", Path("S/all"))


def test_more_seeds_come_later(kept: Path, shards: list[Path], tmp_path: Path, capsys: Capture) -> None:
    merged(shards)
    train(planned(5), shards[0], (1, 3))
    _, told = merged([Path("S/1")])
    assert "shard 2/3 is missing: 2 trainings (max seed 4, avg seed 4)" in told
    _, told = merged(shards)
    (command,) = re.findall(r"train them by: cnnkit (compare --resume --out S/2.*)", told)
    assert call(capsys, *shlex.split(command), "--workers", 1).code == 0
    merged(shards)
    assert call(capsys, "compare", "--resume", "--seeds", 6, "--out", "S/all", "--workers", 1).code == 0
    train(planned(6), tmp_path / "six")
    assert same(tmp_path / "six", Path("S/all"))


OTHERS: dict[str, tuple[Callable[[], StudyPlan], str]] = {
    "configuration": (lambda: planned(3, "training.epochs=2"), "training.epochs is 1 in S/1 and 2"),
    "precision": (lambda: planned(3, "runtime.precision=bf16"), "precision is float32 in S/1 and bf16"),
    "margin": (lambda: planned(margin=2.0), "margin is .* in S/1 and 2.0 in other"),
    "values": (lambda: planned(levels=["max", "stride"]), "pooling is max, avg in S/1 and max, stride"),
    "metric": (lambda: planned(metric="macro_f1"), "metric is accuracy in S/1 and macro_f1 in other"),
    "images": (lambda: planned(folds=4), "data.folds is None in S/1 and 4 in other"),
    "first seed": (lambda: planned(3, "training.seed=7"), "training.seed is 0 in S/1 and 7"),
}  # fmt: skip


@pytest.mark.parametrize("other", OTHERS)
def test_shards_of_another_study_are_refused_with_what_differs(other: str, shards: list[Path]) -> None:
    plan, told = OTHERS[other]
    train(with_shard(plan(), Shard(2, 3)), Path("other"), (2, 3))
    with pytest.raises(UsageError, match=told):
        merged([shards[0], Path("other")])
    assert not Path("S/all").exists()
    merged(shards)
    with pytest.raises(UsageError, match=told.replace("S/1", "S/all")):
        merged([Path("other")])


def change(folder: Path, file: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes a JSON file in every trial of a study, and the manifests with it."""
    for trial in (folder / TRIALS).iterdir():
        content = kept_json(trial / file)
        change(content)
        write_json(trial / file, content)
        (trial / "manifest.json").unlink()


@pytest.mark.parametrize(
    ("file", "key", "told"),
    [
        ("trial.json", "data", "the hash of the images is .* in S/1/trials/.* and other in S/2/trials/"),
        ("environment.json", "torch", "the version of torch is .* and other in S/2/trials/"),
        ("environment.json", "cnnkit", "the version of cnnkit is .* and other in S/2/trials/"),
    ],
)
def test_shards_of_other_images_or_versions_are_refused(
    shards: list[Path], file: str, key: str, told: str
) -> None:
    change(shards[1], file, lambda content: content.get("hashes", content).update({key: "other"}))
    with pytest.raises(UsageError, match=told):
        merged(shards)
    assert not Path("S/all").exists()


def test_a_study_that_cannot_be_merged_is_refused_in_words(shards: list[Path], tmp_path: Path) -> None:
    content = kept_json(shards[0] / STUDY)
    for changed, told in (
        ({"min_seeds": 2, "shard": None}, "only studies with --seeds"),
        (
            {"tuning": TUNING},
            "tuned its values first",
        ),
    ):
        keep_json(shards[0] / STUDY, {**content, **changed})
        with pytest.raises(UsageError, match=told):
            merged(shards)
    cnnkit.compare(lambda value, seed: 0.5, {"a": [1, 2]}, seeds=1, out="own", progress=False)
    for paths, out, told in (
        ([Path("own")], "S/all", "of a function of your own"),
        ([shards[1]], "S/2", "no study to merge"),
        ([shards[1]], "S/3", "S/3 is shard 3/3 of a study"),
        ([Path("nowhere")], "S/all", "no such folder"),
        ([tmp_path], "S/all", "no study to merge"),
        ([shards[1]], "S", "not empty and holds no study"),
    ):
        with pytest.raises(UsageError, match=told):
            merged(paths, Path(out))
    shutil.rmtree(shards[1] / TRIALS)
    with pytest.raises(UsageError, match="nothing to merge yet"):
        merged([shards[1]])
    assert not Path("S/all").exists()


def test_a_damaged_trial_is_named_and_left_out_and_taken_where_it_is_whole(
    kept: Path, shards: list[Path]
) -> None:
    shutil.copytree(shards[0], "S/copy")
    (trial, other) = sorted((shards[0] / TRIALS).iterdir())
    (trial / BEST).write_bytes((trial / BEST).read_bytes()[:-1] + b"x")
    (other / "trial.json").write_text("{}")
    _, told = merged(shards)
    assert f"{trial / BEST} is damaged" in told
    assert f"{other / 'trial.json'} is damaged" in told
    assert told.count("left out") == 2
    assert "shard 1/3 lacks 2 trainings (max seed 0, avg seed 0)" in told
    assert not (Path("S/all") / TRIALS / trial.name).exists()
    merged([Path("S/copy"), *shards])
    assert same(kept / "one", Path("S/all"))
    (Path("S/all") / TRIALS / trial.name / PREDICTIONS).write_bytes(b"x")  # healed from a shard
    merged([Path("S/copy")])
    assert same(kept / "one", Path("S/all"))


def test_a_link_out_of_a_shard_is_not_followed(shards: list[Path]) -> None:
    (trial, _) = sorted((shards[0] / TRIALS).iterdir())
    trial.rename("elsewhere")
    trial.symlink_to(Path("elsewhere").resolve())
    Path("secret").write_text("s")
    (second,) = [path for path in (shards[0] / TRIALS).iterdir() if not path.is_symlink()]
    (second / "note").symlink_to(Path("secret").resolve())
    _, told = merged(shards)
    assert f"{trial} is a link that leads out of the study" in told
    taken = Path("S/all") / TRIALS
    assert not (taken / trial.name).exists()
    assert (taken / second.name / RESULT).is_file()
    assert not (taken / second.name / "note").exists()


def test_a_failed_training_is_merged_as_one_and_gives_way_to_a_whole_one(
    kept: Path, shards: list[Path]
) -> None:
    shutil.copytree(shards[0], "S/again")
    (trial, _) = sorted((shards[0] / TRIALS).iterdir())
    (trial / RESULT).unlink()
    (trial / FAILURE).write_text("no memory")
    results, told = merged(shards)
    assert [(one.seed, one.error) for one in results.failed] == [(0, "no memory")]
    assert told == ""
    merged([Path("S/again")])
    (Path("S/all") / TRIALS / trial.name / FAILURE).unlink(missing_ok=True)
    assert same(kept / "one", Path("S/all"))


def test_two_different_trainings_of_one_trial_are_told_of(shards: list[Path]) -> None:
    """The one that is taken does not depend on the order in which they are named."""
    shutil.copytree(shards[0], "S/9")
    for place in (0, 1):
        (trial, other) = (sorted((Path("S") / of / TRIALS).iterdir())[place] for of in ("9", "2"))
        for name in (PREDICTIONS, RESULT):
            shutil.copy(other / name, trial / name)
        write_manifest(trial, (trial / RESULT).read_bytes())
    _, told = merged([Path("S/9"), *shards])
    assert (
        len(re.findall(r"S/9/trials/\S+ predicts otherwise than S/1/trials/\S+, which is taken", told)) == 2
    )


def _killed_merge(copies: int) -> None:
    """A merge that is killed in the middle of a copy, after so many whole ones."""
    copy = shutil.copy2
    left = iter(range(copies))

    def dying(source: str, target: str) -> object:
        if next(left, None) is None:
            os.kill(os.getpid(), SIGKILL)
        return copy(source, target)

    shutil.copytree.__defaults__ = tuple(  # type: ignore[attr-defined]
        dying if one is copy else one
        for one in shutil.copytree.__defaults__  # type: ignore[attr-defined]
    )
    merge_studies([Path("S/1"), Path("S/2"), Path("S/3")], Path("S/all"))


@posix_signals
def test_a_merge_that_is_killed_is_repeated_or_resumed(
    kept: Path, shards: list[Path], capsys: Capture
) -> None:
    assert exit_code(start(_killed_merge, 25)) == -SIGKILL
    assert list(Path("S/all").glob(".*.part"))
    shutil.copytree("S/all", "resumed")
    merged(shards)
    assert same(kept / "one", Path("S/all"))
    assert not list(Path("S/all").glob(".*.part"))
    assert call(capsys, "compare", "--resume", "--out", "resumed", "--workers", 1).code == 0
    assert same(kept / "one", Path("resumed"))
    assert not list(Path("resumed").glob(".*.part"))


def test_the_command_line_takes_what_a_shell_makes_of_a_pattern(
    kept: Path, shards: list[Path], capsys: Capture
) -> None:
    Path("S/slurm-1.out").touch()
    expanded = sorted(str(path) for path in Path("S").iterdir())
    done = call(capsys, "compare", "--merge", *expanded, "--out", "S/all")
    assert done.code == 0
    assert done.err == "without S/slurm-1.out: there is no study.json in it\n"
    assert "to look at: S/all/report.html" in done.out
    assert same(kept / "one", Path("S/all"))
    assert call(capsys, "compare", "--out", "other", "--json", "--merge", "S/[123]").code == 0
    assert same(kept / "one", Path("other"))
    assert call(capsys, "compare", "--verify", "S/all", "--deep").code == 0
    refused = call(capsys, "compare", "digits", "--merge", *expanded, "--out", "third")
    assert (refused.code, "digits does not go with --merge" in refused.err) == (2, True)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--seeds", 3, "--shard", "0/16"], "--shard 0/16: expected"),
        (["--seeds", 3, "--shard", "17/16"], "--shard 17/16: expected"),
        (["--seeds", 3, "--shard", "a/b"], "--shard a/b: expected NUMBER/OF, counted from 1, such as 3/16"),
        (["--seeds", 3, "--shard", "7/7"], "6 trainings make no 7 shards"),
        (["--shard", "1/2"], "--shard needs --seeds"),
        (["--min-seeds", 2, "--shard", "1/2"], "--shard needs --seeds"),
        (["--seeds", 3, "--tune", 2, "--shard", "1/2"], "--tune does not go with --shard"),
    ],
)
def test_a_shard_that_cannot_be_is_refused_in_words(
    options: list[object], told: str, capsys: Capture
) -> None:
    line = ["compare-pooling", "digits", "--strategies", "max,avg", "--out", "study"]
    refused = call(capsys, *line, *options)
    assert (refused.code, told in refused.err) == (2, True), refused.err
    assert not Path("study").exists()


def test_python_refuses_the_same(tmp_path: Path) -> None:
    config = cnnkit.load_config("digits")
    for options, told in (
        ({"shard": (1, 2)}, "needs --seeds"),
        ({"shard": (3, 2), "seeds": 2}, "expected NUMBER/OF"),
        ({"shard": 3, "seeds": 2}, "expected two numbers, such as"),
        ({"shard": (1, 2), "seeds": 2, "tune": 2}, "does not go with --tune"),
    ):
        with pytest.raises(UsageError, match=told):
            cnnkit.compare(config, {"model.pooling": LEVELS}, out="study", progress=False, **options)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="not a function"):
        cnnkit.compare(lambda value, seed: 0.5, {"a": [1, 2]}, seeds=2, shard=(1, 2), out="study")
    assert not Path("study").exists()


def test_a_shard_gives_no_verdict_and_stays_that_shard(tmp_path: Path, capsys: Capture) -> None:
    Path("tiny.yaml").write_text(TINY)
    line = ["compare-pooling", "tiny.yaml", "--strategies", "max,avg", "--set", "training.epochs=1"]
    shard = [*line, "--seeds", 4, "--shard", "2/2", "--out", "study", "--workers", 1]
    done = call(capsys, *shard)
    assert done.code == 0
    assert "Shard 2/2 of a study; these figures are its own" in done.out
    assert done.out.count("verdict") == 1  # and no column of that name
    assert not Path("study/report.html").exists()
    assert sorted(one["seed"] for one in kept_json(Path("study") / RESULTS)["trials"]) == [1, 1, 3, 3]
    for others in (["--shard", "1/2"], []):
        refused = call(capsys, *line, "--seeds", 4, *others, "--out", "study")
        assert (refused.code, "shard is 2/2 there and" in refused.err) == (2, True)
    assert call(capsys, "compare", "--resume", "--seeds", 6, "--out", "study", "--workers", 1).code == 0
    assert sorted(one["seed"] for one in kept_json(Path("study") / RESULTS)["trials"]) == [1, 1, 3, 3, 5, 5]
    assert "Shard 2/2 of a study" in Path(cnnkit.open_study("study").report()).read_text()
    verify(Path("study"))


def test_an_own_pooling_is_merged_without_running_its_code(tmp_path: Path, capsys: Capture) -> None:
    own = own_pooling_file(tmp_path / "own.py")
    paths = train_shards(planned(2, levels=["max", own]), tmp_path / "S", 2)
    own_sources._trusted.clear()
    (tmp_path / "own.py").write_text("raise SystemExit('it ran')")
    _, told = merged(paths)
    assert told == ""
    assert (tmp_path / "S/all/own/own.py").read_bytes() == (paths[0] / "own/own.py").read_bytes()
    shutil.rmtree(paths[1])
    shutil.rmtree("S/all")
    _, told = merged(paths[:1])
    assert told.endswith("--resume --out S/all --trust")
    (command,) = re.findall(r"here by: cnnkit (.*)", told)
    assert call(capsys, *shlex.split(command), "--workers", 1).code == 0
    verify(tmp_path / "S/all", deep=True)


WRAPPER = f"""#!/bin/bash
exec {shlex.quote(sys.executable)} -m cnnkit "$@"
"""


@bash_scripts
@pytest.mark.slow
def test_the_job_script_of_the_documents_trains_and_merges_a_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its body, as it stands, once for each task of its array, with a smaller study."""
    document = (Path(__file__).parent.parent / "scripts" / "README.md").read_text()
    section = document[document.index("## A Slurm array") :]
    (script,) = re.findall(r"^```sh\n(#!.*?)^```", section, re.MULTILINE | re.DOTALL)[:1]
    (merge,) = re.findall(r"--wrap '(.*)'", section)
    (tasks,) = re.findall(r"^#SBATCH --array=1-(.*)$", script, re.MULTILINE)
    assert script.count(tasks) == script.count(f"--seeds {tasks}") + script.count(f"ID/{tasks}") + 1 == 3
    script = script.replace(tasks, "2").replace("compare-pooling fast", "compare-pooling tiny.yaml")
    Path("tiny.yaml").write_text(TINY)
    bin_folder = tmp_path / "cnnkit" / ".venv" / "bin"
    bin_folder.mkdir(parents=True)
    (bin_folder / "activate").write_text(f"PATH={shlex.quote(str(bin_folder))}:$PATH")
    (bin_folder / "cnnkit").write_text(WRAPPER)
    (bin_folder / "cnnkit").chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path))
    Path("study.sh").write_text(script)
    for task in ("1", "2"):
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", task)
        subprocess.run(["bash", "study.sh"], check=True, capture_output=True)
    monkeypatch.setenv("PATH", f"{bin_folder}{os.pathsep}{os.environ['PATH']}")
    done = subprocess.run(["bash", "-c", merge], check=True, capture_output=True, text=True)
    assert done.stderr == ""
    assert "S/all/report.html" in done.stdout
    assert len(verify(Path("S/all")).trials) == 8


def test_the_list_of_studies_tells_a_shard_and_what_a_merge_lacks(tmp_path: Path) -> None:
    def states() -> dict[str, str]:
        return {run.name: run.state for run in kept_runs(tmp_path)}

    train(planned(), tmp_path / "one", (1, 2))
    merge_studies([tmp_path / "one"], tmp_path / "all")
    assert states() == {"one": "shard 1/2", "all": "4 of 6 trials"}
    shutil.rmtree(next((tmp_path / "one" / TRIALS).iterdir()))
    (tmp_path / "one" / RESULTS).unlink()
    assert states()["one"] == "shard 1/2, 3 of 4 trials"
    train(planned(), tmp_path / "two", (2, 2))
    merge_studies([tmp_path / "two"], tmp_path / "all")
    assert states()["all"] == "finished"
