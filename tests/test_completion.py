"""What bash offers when TAB is pressed. It takes `=` for a word of its own, and replaces what follows it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support import call

from cnnkit.config.docs import key_names
from cnnkit.config.load import shipped_configs
from cnnkit.experiment.new_run import create_run
from cnnkit.families.poolings import POOLINGS

Offered = Callable[..., list[str]]
POOLING = [f"model.pooling={name}" for name in POOLINGS]


@pytest.fixture
def offered(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Offered:
    """`offered("train --set model.p")`: what bash is told for the last of these words."""

    def ask(line: str) -> list[str]:
        words = ["cnnkit", *line.split(" ")]
        monkeypatch.setenv("_CNNKIT_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", "\n".join(words))
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
        return call(capsys).out.splitlines()

    return ask


@pytest.mark.parametrize("command", ["train", "compare", "compare-pooling", "summary", "config show"])
def test_configurations_are_offered_as_argument_and_as_option(command: str, offered: Offered) -> None:
    Path("mine.yaml").touch()
    Path("notes.txt").touch()
    for start in ("", "--config "):
        assert set(offered(f"{command} {start}")) == {*shipped_configs(), "mine.yaml"}
    assert offered(f"{command} mi") == ["mine.yaml"]
    assert offered(f"{command} --config = fas") == ["fashion", "fast"]


@pytest.mark.parametrize(("command", "own"), [("check", ["mine.yaml"]), ("copy", [])])
def test_config_check_and_copy_offer_what_they_take(command: str, own: list[str], offered: Offered) -> None:
    Path("mine.yaml").touch()
    assert offered(f"config {command} m") == ["mnist", *own]


@pytest.mark.parametrize("option", ["train --set", "train digits -s", "compare digits --vary"])
def test_keys_are_offered_and_the_values_of_the_only_key_that_is_left(option: str, offered: Offered) -> None:
    assert offered(f"{option} ") == [f"{key}=" for key in key_names()]
    assert offered(f"{option} model.pooling") == POOLING
    assert offered(f"{option} model.pooling =") == list(POOLINGS)
    assert offered(f"{option} model.pooling = a") == ["avg"]
    assert offered(f"{option} runtime.det") == ["runtime.deterministic=true", "runtime.deterministic=false"]
    assert offered(f"{option} training.ep") == ["training.epochs=", "training.epochs=5"]
    assert offered(f"{option} model.hid") == ["model.hidden="]
    assert offered(f"{option} nothing") == []


def test_behind_a_comma_the_values_are_offered_that_are_not_named_yet(offered: Offered) -> None:
    assert offered("compare digits --vary model.pooling = avg,") == [
        f"avg,{name}" for name in POOLINGS if name != "avg"
    ]
    assert offered("compare digits --vary model.pooling = avg,max,conc") == ["avg,max,concat"]


def test_poolings_heads_and_keys_to_tune_are_offered_that_are_not_named_yet(offered: Offered) -> None:
    others = [name for name in POOLINGS if name != "max"]
    assert offered("compare-pooling --strategies ") == [*POOLINGS, "all"]
    assert offered("compare-pooling digits --strategies max,") == [f"max,{name}" for name in others]
    assert offered("compare-pooling --strategies my_pool.py : Mine,gat") == ["Mine,gated"]
    assert offered("compare-pooling --where head --strategies gem,att") == ["gem,attention"]
    assert offered("compare digits --tune-keys training.learning_rate,model.dr") == [
        "training.learning_rate,model.dropout"
    ]


def test_devices_columns_and_poolings_are_offered(offered: Offered) -> None:
    Path("my_pool.py").touch()
    assert offered("train digits --device ") == ["auto", "cpu", "cuda", "mps"]
    assert offered("pooling show m") == [*(name for name in POOLINGS if name[0] == "m"), "my_pool.py"]
    assert "accuracy" in offered("runs --sort ")


def test_a_shell_that_keeps_the_word_whole_is_offered_whole_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_CNNKIT_COMPLETE", "complete_zsh")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "cnnkit train --set model.pooling=a")
    assert "model.pooling=avg" in call(capsys).out


@pytest.mark.parametrize("line", ["eval ", "report ", "predict ", "train --resume "])
def test_runs_are_offered_the_newest_first(line: str, offered: Offered, tiny: Callable[..., object]) -> None:
    older, newer = (str(create_run(tiny(), name).path) for name in ("older", "newer"))  # type: ignore[arg-type]
    os.utime(Path(older) / "config.yaml", (0, 0))
    assert [run for run in offered(line) if run != "runs/latest"] == [newer, older]
    assert offered(f"{line}runs/older") == [older]
    away = create_run(tiny(), "away", Path("away")).path  # type: ignore[arg-type]
    assert offered(line)[0] == str(away)
    Path("elsewhere").mkdir()
    assert offered(f"{line}else") == ["elsewhere/"]


@pytest.mark.parametrize("line", ["compare --verify ", "report ", "compare --resume --out "])
def test_studies_are_offered(line: str, offered: Offered) -> None:
    Path("runs/compare-one").mkdir(parents=True)
    Path("runs/compare-one/study.json").touch()
    assert offered(line)[0] == "runs/compare-one"


FOLDERS = (
    *("train digits --out ", "train --resume ", "compare --resume --out ", "compare --verify ", "report "),
    *("predict a.png --save-seen ", "data mnist --root "),
)


@pytest.mark.parametrize("line", FOLDERS)
def test_where_a_folder_is_wanted_no_file_is_offered(line: str, offered: Offered) -> None:
    Path("notes.txt").touch()
    Path("mine").mkdir()
    assert offered(line) == ["mine/"]


def test_runs_offers_its_commands_and_what_the_first_word_may_name(offered: Offered) -> None:
    Path("runs/compare-one").mkdir(parents=True)
    Path("runs/compare-one/study.json").touch()
    assert offered("runs ") == ["list", "delete", "runs/compare-one"]
    assert offered("runs d") == ["delete"]
    for line in ("runs r", "runs runs/compare-one r", "runs delete r"):
        assert offered(line) == ["runs/compare-one"]
