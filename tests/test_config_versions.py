"""Old work stays good: a kept text means what it meant when it was written."""

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from support import call

from cnnkit.config import versions
from cnnkit.config.load import config_text, differing_keys, load_config, parse_config
from cnnkit.config.schema import Config
from cnnkit.errors import ConfigError
from cnnkit.experiment.checkpoints import load_weights
from cnnkit.experiment.run_dir import open_run

KEPT = Path(__file__).parent / "kept" / "0.1.0"
DIGITS = "data: {dataset: digits, validation: 0.1}\n"


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "a.yaml")
    (problem,) = caught.value.problems
    return str(problem)


@pytest.fixture
def _changed_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if two versions had followed, which changed one default twice and another once."""
    monkeypatch.setattr(versions, "VERSION", 2)
    former: dict[int, dict[str, Any]] = {
        0: {"model.batch_norm": False, "training.momentum": 0.1},
        1: {"training.momentum": 0.5, "data.augment.zoom": 0.2},
    }
    monkeypatch.setattr(versions, "FORMER_DEFAULTS", former)


def settings(text: str, kept: bool = True, overrides: tuple[str, ...] = ()) -> tuple[bool, float, float]:
    config = parse_config(text, overrides=overrides, kept=kept)
    return config.model.batch_norm, config.training.momentum, config.data.augment.zoom


def test_a_kept_text_begins_with_the_schema_version() -> None:
    text = config_text(Config())
    assert text.splitlines()[0] == "schema: 2"
    assert parse_config(text) == parse_config(text, kept=True) == Config()


@pytest.mark.usefixtures("_changed_defaults")
def test_a_key_that_a_kept_text_does_not_name_has_the_default_of_its_version() -> None:
    assert settings(DIGITS) == (False, 0.1, 0.2)
    assert settings("schema: 1\n" + DIGITS) == (True, 0.5, 0.2)
    assert settings("schema: 2\n" + DIGITS) == (True, 0.9, 0.0)


@pytest.mark.usefixtures("_changed_defaults")
def test_a_key_that_a_kept_text_names_stays_as_it_says() -> None:
    assert settings(DIGITS + "model: {batch_norm: true}\ntraining: {momentum: 0.3}\n") == (True, 0.3, 0.2)
    assert settings("model: {channels: [8]}\n", overrides=("model.batch_norm=true",)) == (True, 0.1, 0.2)


@pytest.mark.usefixtures("_changed_defaults")
def test_a_person_s_own_file_has_today_s_defaults_unless_it_names_a_version() -> None:
    assert settings(DIGITS, kept=False) == (True, 0.9, 0.0)
    assert settings("schema: 0\n" + DIGITS, kept=False) == (False, 0.1, 0.2)


@pytest.mark.usefixtures("_changed_defaults")
def test_a_wrong_section_of_an_old_text_is_still_told_in_its_place() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config("model: 3\ntraining: {momentum: x}\n", "a.yaml", kept=True)
    assert [problem.where for problem in caught.value.problems] == ["a.yaml:1:8", "a.yaml:2:22"]


def test_a_text_of_a_newer_version_is_refused_with_what_to_do() -> None:
    message = refusal("model: {}\nschema: 7\n")
    assert message.startswith("a.yaml:2:9: schema: version 7 was written by a newer cnnkit")
    assert "install" in message


@pytest.mark.parametrize("version", ["one", "-1", "1.0", "true", "null", "[1]"])
def test_a_version_that_is_none_is_refused(version: str) -> None:
    assert "a whole number up to 2" in refusal(f"schema: {version}\n")


def test_an_override_of_the_version_is_an_unknown_key() -> None:
    with pytest.raises(ConfigError, match="unknown key 'schema'"):
        parse_config("{}", overrides=["schema=0"])


def test_differing_keys_are_those_that_are_not_the_default_and_the_version() -> None:
    assert differing_keys(Config()) == {"schema": 2}
    config = parse_config(
        DIGITS, overrides=["model.channels=[8, 9]", "training.epochs=5", "data.augment.zoom=0.1"]
    )
    differing = differing_keys(config)
    assert differing == {
        "data.augment.zoom": 0.1,
        "data.dataset": "digits",
        "data.validation": 0.1,
        "model.channels": [8, 9],
        "schema": 2,
    }
    assert list(differing) == sorted(differing)
    assert json.loads(json.dumps(differing)) == differing


def test_configurations_that_mean_different_things_differ_in_their_keys() -> None:
    first, second = (parse_config(DIGITS, overrides=[f"model.pooling={p}"]) for p in ("avg", "stride"))
    assert differing_keys(first) != differing_keys(second)


@pytest.mark.parametrize("run", ["run", "interrupted"])
def test_a_run_that_0_1_0_kept_is_read_as_it_was_written(run: str) -> None:
    text = (KEPT / run / "config.yaml").read_text(encoding="utf-8")
    assert "schema" not in text
    assert (
        open_run(KEPT / run).config
        == parse_config(text, kept=True)
        == load_config(KEPT / run / "config.yaml")
    )


def test_weights_that_0_1_0_kept_are_read_with_their_configuration() -> None:
    file = KEPT / "run" / "best.safetensors"
    with safe_open(file, "pt") as content:
        assert "schema" not in content.metadata()["config"]
    assert load_weights(file).config == open_run(KEPT / "run").config


def test_what_config_show_prints_is_every_key_without_a_version(capsys: pytest.CaptureFixture[str]) -> None:
    shown = call(capsys, "config", "show", "--config", "digits").out
    assert "schema" not in shown
    assert config_text(load_config("digits")) == f"schema: 2\n{shown}"


@pytest.mark.parametrize("text", [DIGITS, "schema: 1\n" + DIGITS])
def test_what_an_earlier_version_kept_pools_first_and_goes_on_so(text: str) -> None:
    before = parse_config(text, kept=True)
    assert before.model.order == "pooling_first"
    assert [stage.pools_first for stage in before.model.stages] == [True, True]
    again = parse_config(config_text(before), kept=True)
    assert again == before
    assert parse_config("schema: 2\n" + DIGITS, kept=True).model.order == "activation_first"
    assert parse_config(DIGITS).model.order == "activation_first"
