"""Did you mean …? In a file, behind --set and behind --vary, for keys and for values."""

from pathlib import Path

import pytest
from support import call

from cnnkit.config.docs import example_values, key_names
from cnnkit.config.suggestions import KEYS, NAMES, nearest_key, nearest_name

Capture = pytest.CaptureFixture[str]
KEY_MEANT = [
    ("pooling", "model.pooling"),
    ("lr", "training.learning_rate"),
    ("training.lr", "learning_rate"),
    ("Learning-Rate", "training.learning_rate"),
    ("model.Pooling", "pooling"),
    ("training.dropout", "model.dropout"),
    ("rotate", "data.augment.rotate"),
    ("epohcs", "training.epochs"),
    ("augment", "data.augment"),
]
VALUE_MEANT = [
    ("model.activation", "Relu", "relu"),
    ("model.activation", "LeakyReLU", "leaky_relu"),
    ("model.activation", "swish", "silu"),
    ("model.pooling", "MAX", "max"),
    ("model.pooling", "AveragePooling", "avg"),
    ("training.optimizer", "AdamW", "adamw"),
    ("training.schedule", "onecycle", "one_cycle"),
]


@pytest.mark.parametrize(("written", "meant"), KEY_MEANT)
def test_a_key_is_guessed_by_its_last_part_and_by_other_words_for_it(
    written: str, meant: str, capsys: Capture
) -> None:
    for line in (("config", "show", "digits", "--set"), ("compare", "digits", "--vary")):
        assert f"did you mean {meant!r}?" in call(capsys, *line, f"{written}=1").err
    *sections, name = written.split(".")
    Path("wrong.yaml").write_text("".join(f"{section}:\n  " for section in sections) + f"{name}: 1\n")
    assert f"did you mean {meant!r}?" in call(capsys, "config", "check", "wrong.yaml").err


@pytest.mark.parametrize(("key", "written", "meant"), VALUE_MEANT)
def test_a_value_is_guessed_in_any_spelling(key: str, written: str, meant: str, capsys: Capture) -> None:
    for line in (("config", "show", "digits", "--set"), ("compare", "digits", "--vary")):
        assert f"did you mean {meant!r}?" in call(capsys, *line, f"{key}={written}").err


def test_every_key_is_found_by_its_last_part_in_capitals_and_every_other_word_leads_to_a_key() -> None:
    names = key_names()
    for key in names:
        last = key.rpartition(".")[2]
        assert nearest_key(key.removesuffix(last) + last.upper()) == key
        found = nearest_key(last.upper()) or ""
        assert found in names
        assert found.rpartition(".")[2] == last
    assert nearest_key("channels") == "model.channels"
    sections = {key.rpartition(".")[0] for key in names if "." in key}
    assert set(KEYS.values()) <= {*names, *sections}
    assert {nearest_key(word) for word in KEYS} <= {*names, *sections}
    values = {value for key in names for value in example_values(key)}
    assert set(NAMES.values()) <= values


def test_a_word_that_is_like_nothing_is_not_guessed() -> None:
    assert nearest_key("zzzz") is None
    assert nearest_name("zzzz", ["max", "avg"]) is None
