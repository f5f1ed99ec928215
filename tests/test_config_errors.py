"""Configurations that are wrong: every mistake told at once and in its place, never a traceback."""

import errno
import json
import os
import signal
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import Outcome, call

from cnnkit.config.load import LARGEST_FILE, config_text, load_config, parse_config
from cnnkit.config.schema import Config
from cnnkit.config.types import is_section
from cnnkit.errors import CnnkitError, ConfigError, Problem
from cnnkit.families.poolings import POOLINGS
from cnnkit.words import listed

KEYS = [
    f"{section}.{key}"
    for section, info in Config.model_fields.items()
    if is_section(info.annotation)
    for key in info.annotation.model_fields  # type: ignore[union-attr]
]
HUGE = "0x" + "f" * 5000
BOMB = "a0: &a0 [1]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 30))
CHAIN = "a0: &a0 [1]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 300))


def problems(text: str, *overrides: str) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "a.yaml", overrides)
    assert caught.value.exit_code == 2
    return caught.value.problems


def places(text: str, *overrides: str) -> set[tuple[str, str]]:
    return {(problem.where, problem.key) for problem in problems(text, *overrides)}


def refusal(path: str | Path) -> str:
    with pytest.raises(CnnkitError) as caught:
        load_config(path)
    assert caught.value.exit_code == 2
    return str(caught.value)


def survives(text: str, *overrides: str) -> None:
    """Either a configuration that can be written down and read again, or an error in words."""
    with suppress(CnnkitError):
        config = parse_config(text, "fuzz.yaml", overrides)
        assert parse_config(config_text(config)) == config


@contextmanager
def at_most(cpu_seconds: float) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"took more than {cpu_seconds} s of CPU time")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, cpu_seconds, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def test_an_error_reads_as_the_house_style_shows_it() -> None:
    text = "data:\n  root: null\n\n\n\nmodel:\n  pooling: mx\n"
    (problem,) = problems(text)
    assert str(problem) == (
        "a.yaml:7:12: model.pooling: unknown strategy 'mx'\n"
        "      pooling: mx\n"
        f"               ^ expected {listed(list(POOLINGS), 'or')}; did you mean 'max'?"
    )


def test_every_mistake_of_a_file_and_its_overrides_is_told_at_once_and_in_its_place() -> None:
    text = """\
data:
  dataset: mnits
  validation: -1
modle: {}
model:
  poling: max
  channels: [32, 0]
  dropout: .nan
  head: avg
  head: max
training:
  epochs: true
  seed: !!python/name:os.system x
  learning_rate: 0
  betas: [0.9, 1.0]
runtime: {device: gpu, threads: 1.5}
"""
    assert places(text, "model.activation=rellu", "training.gamma", "training.momentum=[") == {
        ("a.yaml:2:12", "data.dataset"),
        ("a.yaml:3:15", "data.validation"),
        ("a.yaml:4:1", "modle"),
        ("a.yaml:6:3", "model.poling"),
        ("a.yaml:7:18", "model.channels.1"),
        ("a.yaml:8:12", "model.dropout"),
        ("a.yaml:10:3", "model.head"),
        ("a.yaml:12:11", "training.epochs"),
        ("a.yaml:13:9", "training.seed"),
        ("a.yaml:14:18", "training.learning_rate"),
        ("a.yaml:15:16", "training.betas.1"),
        ("a.yaml:16:19", "runtime.device"),
        ("a.yaml:16:33", "runtime.threads"),
        ("--set model.activation=rellu", "model.activation"),
        ("--set training.gamma", ""),
        ("--set training.momentum=[", ""),
    }


def test_a_wrong_value_hides_no_wrong_pair_of_other_keys() -> None:
    named = {key for _, key in places("data: {validation: 60000}\ntraining: {epochs: 0}\n")}
    assert named == {"data.validation", "training.epochs"}


def test_a_wrong_value_hides_no_list_of_the_wrong_length_beside_it() -> None:
    named = {key for _, key in places("model: {kernel_sizes: [3], dropout: 2}\n")}
    assert named == {"model.kernel_sizes", "model.dropout"}


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("model:\n  channels: [8, 8]\n  kernel_sizes: [3]\n", "a.yaml:3:17"),
        ("model:\n  channels: [8]\n  pool_size: 99\n", "a.yaml:3:14"),
        ("model:\n  kernel_sizes: 99\n", "a.yaml:2:17"),
        ("data: {validation: 0}\ntraining: {monitor: loss}\n", "a.yaml:2:21"),
        ("model:\n  hidden: [999999999]\n", "a.yaml:2:11"),
        ("data:\n  validation: 60000\n", "a.yaml:2:15"),
        ("data:\n  crop: 14\n", "a.yaml:2:9"),
        ("data:\n  dataset: small-object\n  crop: 1\n", "a.yaml:3:9"),
        ("data:\n  dataset: small-object\n  folds: 5\n", "a.yaml:3:10"),
        ("data:\n  dataset: small-object\n  resample_test: true\n", "a.yaml:3:18"),
        ("data:\n  folds: 5\n  resample_test: true\n", "a.yaml:2:10"),
        ("data:\n  dataset: digits\n  validation: 100\n  folds: 200\n", "a.yaml:4:10"),
    ],
)
def test_keys_that_do_not_fit_together_are_told_in_their_place(text: str, where: str) -> None:
    assert {place for place, _ in places(text)} == {where}


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("training.epochs", "true 1.0 1.5 '5' null [5] {a} .nan .inf 0 -1 five 2001-01-01"),
        ("training.batch_size", "false 0 -1 .nan 256.0"),
        ("training.learning_rate", "true 0 -0.1 .nan .inf -.inf '0.1' fast null [0.1]"),
        ("training.seed", "-1 9223372036854775808 1.0 true null"),
        ("training.betas", "0.9 [0.9] [0.9,0.99,0.999] [0.9,1.0] [true,0.9] null"),
        ("training.warmup", "true 1.0 -0.1 .nan '0.1'"),
        ("training.early_stopping", "0 true 1.5"),
        ("training.optimizer", "Adam adm null 1 [adam]"),
        ("training.class_weights", "balance null 1 [none]"),
        ("training.monitor", "val_f1 null true [loss]"),
        ("model.channels", "32 [] [0] [true] [1.5] ['32'] null {a} [[32]]"),
        ("model.kernel_sizes", "0 true 2.5 [] [3,0] [3,x] null {a} three"),
        ("model.convolutions", "0 101 true 1.5 [] [1,0] null two"),
        ("model.pooling", "mx Max 3 true null [] [max,mx] [[max]] {max}"),
        ("model.pool_size", "0 -2 1.5 true [2,0] null"),
        ("model.hidden", "128 [0] [true] null"),
        ("model.dropout", "true 1 1.0 -0.1 .nan .inf '0.1' null [0.1]"),
        ("model.batch_norm", "1 0 'true' yes null"),
        ("data.validation", "true -1 1.0 -0.1 .nan '5000' null [1]"),
        ("data.root", "3 true [a]"),
        ("data.crop", "-1 true 1.5 null [2]"),
        ("data.folds", "1 0 true 2.0 five [5]"),
        ("data.resample_test", "1 null 'true' 0.2"),
        ("data.augment.rotate", "-1 181 true .nan .inf null"),
        ("data.augment.flip", "-0.1 1.1 true .nan null"),
        ("data.augment.saturation", "-0.1 1.1 true .nan null"),
        ("data.dataset", "MNIST null 1"),
        ("runtime.device", "gpu 'cuda:x' CPU 0 null"),
        ("runtime.threads", "0 true 1.5"),
        ("runtime.precision", "bfloat16 16 null"),
    ],
)
def test_a_value_that_is_none_of_the_key_s_is_refused_in_its_place(key: str, values: str) -> None:
    section, _, name = key.rpartition(".")
    before = "".join(f"{'  ' * i}{part}:\n" for i, part in enumerate(section.split(".")))
    indent = "  " * (section.count(".") + 1)
    for value in values.split():
        text = f"{before}{indent}{name}: {value}\n"
        lines, start = before.count("\n"), len(f"{indent}{name}: ")
        found = problems(text)
        assert {problem.key for problem in found} <= {key, f"{key}.0", f"{key}.1"}, value
        file, line, column = found[0].where.split(":")
        assert (file, int(line)) == ("a.yaml", lines + 1), value
        assert start < int(column) <= start + len(value), value


@pytest.mark.parametrize(
    "text",
    [
        "model: {channels: [0]}",
        "model: {kernel_sizes: [3, true]}",
        "training: {epochs: !!python/name:os.system x}",
        "training: {epochs: !!int x}",
        "model: &m {channels: *m}",
        "!custom {model: {}}",
        "data: {dataset: digits, validation: 10%}",
        "data: {dataset: digitz, validation: 59000}",
        "model: {channels: [8, 8, 8, 8, 8], pool_size: x}",
        "model: {channels: [8], kernel_sizes: [3, x]}",
        "model: {pool_size: [14, 2], batch_norm: 3}\ntraining: {batch_size: 1}",
        "training: {batch_size: 1}\nmodel: {pool_size: [14, x]}",
        "data: {root: ''}",
    ],
)
def test_one_mistake_is_told_once(text: str) -> None:
    assert len(problems(text)) == 1


@pytest.mark.parametrize(
    ("text", "guess"),
    [
        ("modle: {}", "model"),
        ("model: {poling: max}", "pooling"),
        ("model: {kernel_size: 3}", "kernel_sizes"),
        ("model: {depth: 2}", "convolutions"),
        ("model: {pooling: averag}", "avg"),
        ("model: {activation: leakyrelu}", "leaky_relu"),
        ("model: {head: flaten}", "flatten"),
        ("training: {lerning_rate: 0.1}", "learning_rate"),
        ("training: {optimizer: adamm}", "adam"),
        ("training: {schedule: cosin}", "cosine"),
        ("data: {dataset: fashion_mnist}", "fashion-mnist"),
        ("data: {augment: {rotation: 3}}", "rotate"),
        ("data: {dataset: digit}", "digits"),
    ],
)
def test_a_near_miss_is_guessed(text: str, guess: str) -> None:
    (problem,) = problems(text)
    assert f"did you mean '{guess}'?" in problem.remedy


def test_a_word_near_nothing_is_not_guessed() -> None:
    (problem,) = problems("model: {pooling: zzzzzz}")
    assert "did you mean" not in str(problem)
    assert listed(list(POOLINGS), "or") in problem.remedy


@pytest.mark.parametrize(
    "text",
    [
        "model: {channels: 3}",
        "model: {channels: []}",
        "model: {kernel_sizes: []}",
        "training: {betas: 0.9}",
        "training: {betas: [0.9]}",
        "training: {betas: [0.9, 0.9, 0.9]}",
        "data: {validation: null}",
        r'data: {root: "\ud800"}',
    ],
)
def test_a_remedy_is_worded_for_yaml_and_not_for_python(text: str) -> None:
    (problem,) = problems(text)
    for word in ("tuple", "field required", "after validation", "raw data"):
        assert word not in problem.remedy.lower()


@pytest.mark.parametrize("root", ["''", r'"\0"'])
def test_a_root_that_is_no_folder_s_name_is_not_taken_for_a_device(root: str) -> None:
    (problem,) = problems(f"data: {{root: {root}}}")
    assert "device" not in problem.message
    assert "cuda" not in problem.remedy


def test_an_unknown_tracker_is_told_with_those_there_are_and_a_word_alone_with_a_list() -> None:
    (unknown,) = problems("tracking: [tensorbord]")
    assert (unknown.key, unknown.remedy) == (
        "tracking.0",
        "expected tensorboard or mlflow; did you mean 'tensorboard'?",
    )
    (alone,) = problems("tracking: mlflow")
    assert alone.remedy == 'expected a list, such as ["mlflow"]'


@pytest.mark.parametrize("key", ["one", "each", "count", "fraction", "model_fields", "<<", "''", "1", "~"])
@pytest.mark.parametrize("section", ["", "model: "])
def test_an_unknown_key_is_refused_whatever_its_name(section: str, key: str) -> None:
    (problem,) = problems(f"{section}{{{key}: 1}}")
    name = key.strip("'")
    assert problem.message == f"unknown key {name!r}"
    assert problem.where == f"a.yaml:1:{len(section) + 2}"
    assert (section.strip(": ") + "." + name).strip(".") == problem.key


def test_a_duplicate_key_names_the_line_of_the_first() -> None:
    (problem,) = problems("model:\n  pooling: max\n  head: avg\n  pooling: max\n")
    assert (problem.where, problem.key) == ("a.yaml:4:3", "model.pooling")
    assert "line 2" in problem.message


@pytest.mark.parametrize("text", ["model: {}\nmodel: {}", "data: {augment: {zoom: 0, zoom: 0}}"])
def test_a_duplicate_key_is_refused_even_if_both_say_the_same(text: str) -> None:
    assert "duplicate" in problems(text)[0].message


def test_an_empty_value_is_told_on_its_own_line() -> None:
    (problem,) = problems("training:\n  epochs:\n  seed: 1\n")
    assert (problem.where.split(":")[1], problem.key) == ("2", "training.epochs")


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
def test_any_line_break_counts_lines(line_break: str) -> None:
    (problem,) = problems(line_break.join(["# one", "model:", "  # three", "  pooling: mx", ""]))
    assert problem.where == "a.yaml:4:12"
    assert problem.line == "  pooling: mx"


@pytest.mark.parametrize("character", ["\u2028", "\x85", "é", "🙂"])
def test_the_line_that_is_shown_is_the_line_that_is_named(character: str) -> None:
    (problem,) = problems(f"data: {{root: 'a{character}b'}}\nmodel: {{pooling: mx}}\n")
    assert (problem.where, problem.line) == ("a.yaml:2:18", "model: {pooling: mx}")


def test_a_byte_order_mark_moves_no_column(tmp_path: Path) -> None:
    (tmp_path / "bom.yaml").write_bytes("model: {pooling: mx}".encode("utf-8-sig"))
    assert refusal("bom.yaml").startswith("bom.yaml:1:18: model.pooling")


@pytest.mark.parametrize("lead", ["", "      ", "root: long" + "g" * 150 + ", "])
def test_the_caret_stands_under_the_value(lead: str) -> None:
    text = f"model:\n  {{{lead}pooling: mx}}" if "root" not in lead else f"{{{lead}model: {{pooling: mx}}}}"
    problem = next(p for p in problems(text) if p.key == "model.pooling")
    _, shown, caret = str(problem).splitlines()
    assert shown[caret.index("^") :].startswith("mx")


@pytest.mark.parametrize(
    "text",
    [
        "model: [1, 2",
        "model: {pooling: max",
        "model:\n\tpooling: max",
        "model: 'max",
        "a: 1\n---\nb: 2",
        "a: *missing",
        "? [a]\n: 1",
        "%YAML 9.9\n---\n{}",
        "a: b: c",
        "@",
        "a: 1\n b: 2",
    ],
)
def test_what_is_not_yaml_is_told_with_line_and_column(text: str) -> None:
    (first, *_) = problems(text)
    file, line, column = first.where.split(":")
    assert file == "a.yaml"
    assert 1 <= int(line) <= text.count("\n") + 1
    assert int(column) >= 1


@pytest.mark.parametrize(
    "text", ["", " \n\n", "# only a comment\n", "---\n", "null", "3", "words", "- a", "[]"]
)
def test_a_file_without_keys_is_refused(text: str) -> None:
    assert len(problems(text)) == 1


@pytest.mark.parametrize("section", ["model", "data.augment"])
@pytest.mark.parametrize("value", ["3", "max", "[a]", "null", "true"])
def test_a_section_that_is_no_mapping_is_refused(section: str, value: str) -> None:
    (problem,) = problems(section.replace(".", ": {") + f": {value}" + "}" * section.count("."))
    assert problem.key == section
    assert "expected keys" in problem.message


@pytest.mark.parametrize(
    "text",
    [
        "training: {seed: !!python/object/apply:os.mkdir [trap]}",
        "training: !!python/object/apply:os.mkdir [trap]",
        "!!python/object/apply:os.mkdir [trap]",
        "!!python/object/new:os.mkdir {args: [trap]}",
        "model: {channels: [!!python/object/apply:os.mkdir [trap]]}",
        "data: {root: !!python/name:os.mkdir trap}",
        "data: {root: !!python/module:os trap}",
        "data: {root: !custom trap}",
        "data: {root: !!binary dHJhcA==}",
        "data: {augment: !!set {zoom}}",
        "%TAG ! tag:yaml.org,2002:python/\n---\ndata: {root: !object/apply:os.mkdir [trap]}",
    ],
)
def test_a_tag_that_could_run_code_runs_none_and_is_refused(text: str, tmp_path: Path) -> None:
    for overrides in ([], ["training.epochs=2"]):
        assert any(word in problems(text, *overrides)[0].message for word in ("tag", "expected `key: value`"))
    assert not (tmp_path / "trap").exists()


def test_a_tag_in_an_override_runs_no_code(tmp_path: Path) -> None:
    (problem,) = problems("{}", "data.root=!!python/object/apply:os.mkdir [trap]")
    assert "tag" in problem.message
    assert not (tmp_path / "trap").exists()


@pytest.mark.parametrize(
    "text", ["a: &a [*a]", "model: &a {pooling: *a}", "&a {model: *a}", "model: &a {b: [{c: *a}]}"]
)
def test_an_anchor_that_contains_itself_is_refused(text: str) -> None:
    for overrides in ([], ["training.epochs=2"]):
        assert any("contains itself" in problem.message for problem in problems(text, *overrides))


@pytest.mark.parametrize("text", [BOMB, CHAIN], ids=["bomb", "chain"])
def test_aliases_that_explode_are_refused_before_they_do(text: str) -> None:
    with at_most(cpu_seconds=10):
        assert any("alias" in problem.message for problem in problems(text))


def test_a_long_list_without_aliases_is_not_blamed_on_aliases() -> None:
    text = f"model: {{hidden: [{'1,' * 10_001}]}}"
    assert "alias" not in str(problems(text)[0]).splitlines()[0]


def test_an_alias_says_again_what_its_anchor_says() -> None:
    config = parse_config("model: {channels: &two [8, 9], hidden: *two}")
    assert config.model.hidden == config.model.channels


def test_an_anchor_may_be_given_again() -> None:
    config = parse_config("model: {channels: &a [8, 8]}\ntraining: {betas: &a [0.5, 0.5]}")
    assert config.training.betas == (0.5, 0.5)


@pytest.mark.parametrize("depth", [10, 100, 180, 240, 300, 600])
@pytest.mark.parametrize("inside", ["{}", "model: {{channels: {}}}"])
@pytest.mark.parametrize(("start", "end"), [("[", "]"), ("{a: ", "}"), ("[{a: ", "}]")])
def test_deep_nesting_is_refused_in_words(inside: str, start: str, end: str, depth: int) -> None:
    assert problems(inside.format(start * depth + end * depth))


@pytest.mark.parametrize("depth", [100, 1_000, 15_000])
def test_deep_nesting_of_blocks_and_overrides_is_refused_in_words(depth: int) -> None:
    assert problems("- " * depth + "1")
    assert problems("{}", "model.channels=" + "[" * depth)
    assert problems("{}", ".".join(["a"] * min(depth, 2_000)) + "=1")


def test_an_override_s_memory_grows_no_faster_than_its_key() -> None:
    peaks = []
    for depth in (500, 1_000):
        tracemalloc.start()
        problems("{}", ".".join(["a"] * depth) + "=1")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 3 * peaks[0]


HOSTILE = [
    HUGE,
    f"-{HUGE}",
    f"[{HUGE}]",
    f"[{HUGE}, {HUGE}]",
    "9" * 4300,
    f"[{'9' * 3000}, {'9' * 3000}]",
    "9" * 5000,
    "1e999",
    "-1e999",
    "1e-999",
    ".nan",
    "!!bool maybe",
    "!!int ''",
    "!!int '-'",
    "!!float ''",
    "!!float x",
    "!!float -",
    "!!null x",
    "!!timestamp x",
    "!!str",
    "! x",
    "!<x> y",
    "!!map []",
    "!!seq {}",
    r'"\UFFFFFFFF"',
    r'"\U00110000"',
    r'"\ud800"',
    r'"\0"',
    "'[/red]'",
    "'%s {} {0}'",
    "2001-99-99",
    "0b2",
    "0o9",
    "1_000",
    "_",
    "<<",
    "=",
    "~",
    "- -",
    "{}",
    "[[[]]]",
    "{? a}",
    "{[a]: b}",
    "&a *a",
    "|",
    "*a",
    "'",
]


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: value[:20])
def test_no_hostile_value_of_any_key_is_a_traceback(value: str) -> None:
    for key in KEYS:
        section, _, name = key.partition(".")
        survives(f"{section}:\n  {name}: {value}\n")
    survives("{}", f"training.seed={value}")
    survives(value, "training.epochs=2")


@pytest.mark.parametrize("number", [HUGE, "9" * 3000], ids=["hexadecimal", "decimal"])
@pytest.mark.parametrize("key", ["channels", "hidden", "kernel_sizes"])
def test_an_absurdly_long_number_is_told_in_its_place(key: str, number: str) -> None:
    found = problems(f"model:\n  {key}: [{number}, {number}]\n")
    assert all(problem.where.startswith("a.yaml:2:") and problem.key for problem in found)


YAML_TEXT = st.text("[]{}:,-#&*!|>'\"%@`?\\ \n\taelmox019.+_~<=/\u2028é", max_size=40)
names = (
    st.sampled_from([*KEYS, *(key.partition(".")[2] for key in KEYS), *Config.model_fields])
    | st.sampled_from(["one", "each", "count", "fraction", "augment", "<<", "a.b", ".", "? x"])
    | st.text(max_size=8).map(json.dumps)
)
scalars = (
    st.sampled_from(HOSTILE)
    | st.integers().map(str)
    | st.floats().map(str)
    | st.text(max_size=20).map(json.dumps)
    | YAML_TEXT
)


def flow(values: dict[str, str]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in values.items()) + "}"


structures = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(names, inner, max_size=4).map(flow)
    ),
    max_leaves=12,
)
documents = st.dictionaries(
    st.sampled_from(list(Config.model_fields)) | names,
    structures | st.dictionaries(names, structures, max_size=4).map(flow),
    max_size=4,
).map(lambda parts: "".join(f"{key}: {value}\n" for key, value in parts.items()))
overrides = st.lists(
    st.text(max_size=30) | YAML_TEXT | st.builds("{}={}".format, names, structures), max_size=3
)
fuzz = settings(deadline=None, max_examples=150)


@fuzz
@given(st.text() | YAML_TEXT)
def test_no_text_is_a_traceback(text: str) -> None:
    survives(text)


@fuzz
@given(documents, overrides)
def test_no_nested_document_is_a_traceback(text: str, sets: list[str]) -> None:
    survives(text, *sets)


@fuzz
@given(overrides)
def test_no_override_is_a_traceback(sets: list[str]) -> None:
    survives("data: {dataset: digits, validation: 0.1}\nmodel: {channels: [8, 8]}", *sets)


@fuzz
@given(st.data())
def test_no_edit_of_a_right_file_is_a_traceback(data: st.DataObject) -> None:
    text = config_text(Config())
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
    survives(text[:start] + data.draw(YAML_TEXT) + text[min(end, start + 9) :])


@fuzz
@given(content=st.binary() | documents.map(str.encode) | st.text().map(lambda text: text.encode("utf-16")))
def test_no_bytes_in_a_file_are_a_traceback(content: bytes) -> None:
    path = Path("fuzz.yaml")
    path.write_bytes(content)
    with suppress(CnnkitError):
        load_config(path)


@fuzz
@given(st.text(st.characters()))
def test_no_name_of_a_file_is_a_traceback(name: str) -> None:
    with suppress(CnnkitError):
        load_config(name)


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("modle.pooling=avg", "modle"),
        ("model.poling=avg", "model.poling"),
        ("model.pooling=mx", "model.pooling"),
        ("model.channels.0=3", "model.channels"),
        ("training=3", "training"),
        ("model.kernel_sizes=99", "model.kernel_sizes"),
        ("model={channels: [8], pooling: mx}", "model.pooling"),
    ],
)
def test_a_wrong_override_is_blamed_itself(override: str, key: str) -> None:
    (problem,) = problems("model:\n  channels: [8]\n", override)
    assert (problem.where, problem.key) == (f"--set {override}", key)


@pytest.mark.parametrize("override", ["", "=", "=3", "model.pooling", ".=1", "model.=1", ".pooling=max"])
def test_an_override_that_is_no_key_and_value_is_refused(override: str) -> None:
    (problem,) = problems("{}", override)
    assert "KEY=VALUE" in problem.message


def test_a_right_override_mends_a_wrong_value() -> None:
    assert parse_config("model: {pooling: mx}", overrides=["model.pooling=avg"]).model.strategy == "avg"


def test_an_override_below_a_wrong_section_hides_it_not() -> None:
    assert places("model: 3\n", "model.pooling=avg") == {("a.yaml:1:8", "model")}


def test_a_duplicate_key_in_an_override_is_told_without_a_line() -> None:
    (problem,) = problems("{}", "model={pooling: max, pooling: avg}")
    assert problem.message == "duplicate key"


def test_a_missing_file_names_the_shipped_configurations() -> None:
    message = refusal("absent.yaml")
    assert "absent.yaml" in message
    assert "mnist" in message


def test_a_directory_is_no_configuration(tmp_path: Path) -> None:
    assert "directory" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b"\n \n", "empty"),
        (b"\x89PNG\r\n\x1a\n\0\0", "UTF-8"),
        (b"data: {}\0", "binary"),
        ("data: {root: \xe9}".encode("latin-1"), "UTF-8"),
        ("data: {}".encode("utf-16"), "UTF-8"),
        (b"#" * (LARGEST_FILE + 1), "larger"),
    ],
)
def test_a_file_that_is_no_text_of_a_sane_size_is_refused_by_name(content: bytes, word: str) -> None:
    Path("odd.yaml").write_bytes(content)
    message = refusal("odd.yaml")
    assert message.startswith("odd.yaml")
    assert word in message


def test_a_file_as_large_as_allowed_is_answered_soon() -> None:
    Path("large.yaml").write_text(f"model: {{hidden: [{'1,' * (LARGEST_FILE // 2 - 20)}]}}")
    with at_most(cpu_seconds=60):
        refusal("large.yaml")


@pytest.mark.skipif(not Path("/dev/fd").is_dir(), reason="needs /dev/fd")
def test_a_pipe_that_gives_more_than_a_file_may_hold_is_refused() -> None:
    reading, writing = os.pipe()

    def pour() -> None:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(b"data: {}\n" + b"#" * (LARGEST_FILE + 1))

    thread = threading.Thread(target=pour)
    thread.start()
    try:
        assert "larger" in refusal(f"/dev/fd/{reading}")
    finally:
        os.close(reading)
        thread.join()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused() -> None:
    Path("secret.yaml").touch(mode=0)
    assert "permissions" in refusal("secret.yaml")


def test_a_file_that_the_system_does_not_hand_out_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    Path("secret.yaml").write_text("model: {pooling: max}")
    monkeypatch.setattr(Path, "open", refuse)
    message = refusal("secret.yaml")
    assert message.startswith("secret.yaml")
    assert "Permission denied" in message
    assert "permissions" in message


def test_the_command_prints_what_the_library_says_and_exits_with_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("odd.yaml").write_text("model: {pooling: '[/red] [bold]'}")
    printed = call(capsys, "config", "show", "--config", "odd.yaml")
    assert printed == Outcome(2, "", f"error: {refusal('odd.yaml')}\n")
