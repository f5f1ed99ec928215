"""The schema and what is told from it: defaults, cross-field checks, JSON Schema, shipped files, commands."""

import json
import math
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from ruamel.yaml import YAML
from sources import for_shipped
from support import call

from cnnkit.config import load as config_file
from cnnkit.config.checks import LARGEST_LAYER
from cnnkit.config.docs import json_schema, keys_table
from cnnkit.config.load import config_text, load_config, parse_config
from cnnkit.config.model import ModelConfig
from cnnkit.config.schema import Config
from cnnkit.config.types import is_section
from cnnkit.errors import ConfigError
from cnnkit.families.datasets import DATASETS
from cnnkit.families.poolings import POOLINGS

CONFIGS = sorted((Path(__file__).resolve().parent.parent / "configs").glob("*.yaml"))
shipped_file = pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
Command = Callable[..., tuple[int, str, str]]

KEYS = """
data.dataset = 'mnist'
data.root = None
data.channels = None
data.size = None
data.fit = 'cover'
data.test = 0.2
data.test_seed = 0
data.duplicates = 'drop'
data.damaged = 'refuse'
data.classes = None
data.images = None
data.fingerprint = None
data.validation = 5000
data.crop = 0
data.folds = None
data.resample_test = False
data.augment.rotate = 0.0
data.augment.translate = 0.0
data.augment.zoom = 0.0
data.augment.flip = 0.0
data.augment.brightness = 0.0
data.augment.contrast = 0.0
data.augment.saturation = 0.0
data.augment.erase = 0.0
data.scene.source = 'mnist'
data.scene.size = 56
data.scene.object_sizes = (8, 12, 16, 20, 28)
data.scene.position = 'anywhere'
data.scene.clutter = 8
data.scene.clutter_size = 8
data.scene.train_images = 20000
data.scene.test_images = 10000
model.channels = (32, 64)
model.kernel_sizes = 3
model.convolutions = 1
model.pooling = 'max'
model.pool_size = 2
model.order = 'activation_first'
model.head = 'flatten'
model.hidden = (128,)
model.dropout = 0.25
model.feature_dropout = 0.0
model.activation = 'relu'
model.batch_norm = True
training.epochs = 5
training.hardest = 1.0
training.batch_size = 256
training.optimizer = 'adam'
training.learning_rate = 0.005
training.schedule = 'one_cycle'
training.warmup = None
training.gamma = 0.7
training.weight_decay = 0.0
training.momentum = 0.9
training.betas = (0.9, 0.999)
training.label_smoothing = 0.0
training.class_weights = 'none'
training.gradient_clip = None
training.weight_averaging = 0.0
training.monitor = 'accuracy'
training.early_stopping = None
training.seed = 0
runtime.device = 'auto'
runtime.precision = 'auto'
runtime.threads = None
runtime.record_steps = True
runtime.deterministic = False
tracking = ()
"""

CONTRACT = """
data:
  dataset: mnist
  root: null
  validation: 5000
  augment: {rotate: 0, translate: 0, zoom: 0}
model:
  channels: [32, 64]
  kernel_sizes: [5, 3]
  pooling: max
  pool_size: 2
  head: flatten
  hidden: [128]
  dropout: 0.25
  feature_dropout: 0.0
  activation: relu
  batch_norm: true
training:
  epochs: 5
  batch_size: 256
  optimizer: adam
  learning_rate: 0.005
  seed: 0
runtime:
  device: auto
  precision: auto
  threads: null
  deterministic: false
"""


@pytest.fixture
def cnnkit(capsys: pytest.CaptureFixture[str]) -> Command:
    """`cnnkit("config", "list")`: exit code, standard output, standard error."""
    return lambda *arguments: astuple(call(capsys, *arguments))


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def on_digits(*overrides: str) -> Config:
    return parse_config("data: {dataset: digits, validation: 100}\nmodel: {kernel_sizes: 1}", "d", overrides)


def refused(*overrides: str) -> set[str]:
    """The keys that an error names."""
    with pytest.raises(ConfigError) as caught:
        on_digits(*overrides)
    return {problem.key for problem in caught.value.problems}


def fits(value: Any, schema: Any, root: Any) -> bool:
    """Whether a JSON Schema allows a value; the words of the draft that ours uses."""
    if "$ref" in schema:
        return fits(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "oneOf" in schema:
        return sum(fits(value, part, root) for part in schema["oneOf"]) == 1
    if "anyOf" in schema:
        return any(fits(value, part, root) for part in schema["anyOf"])
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
    kinds |= {"number": int | float, "integer": int}
    if not isinstance(value, kinds[schema["type"]]) or (type(value) is bool and schema["type"] != "boolean"):
        return False
    if schema["type"] == "object":
        parts = schema["properties"]
        return all(key in parts and fits(part, parts[key], root) for key, part in value.items())
    if schema["type"] == "array":
        sized = schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
        items = schema.get("prefixItems") or [schema["items"]] * len(value)
        return sized and all(fits(*pair, root) for pair in zip(value, items, strict=True))
    if schema["type"] == "string":
        allowed = schema.get("enum", [value])
        return value in allowed and bool(re.search(schema.get("pattern", ""), value))
    return schema["type"] in ("boolean", "null") or (
        schema.get("minimum", value) <= value <= schema.get("maximum", value)
        and schema.get("exclusiveMinimum", value - 1) < value < schema.get("exclusiveMaximum", value + 1)
    )


def test_no_key_or_default_changes_unnoticed() -> None:
    now = [f"{key} = {value!r}" for key, value in flat(Config().model_dump())]
    assert now == KEYS.split("\n")[1:-1]


def test_the_contract_s_example_is_read_value_for_value() -> None:
    config = dict(flat(parse_config(CONTRACT).model_dump(mode="json")))
    expected = dict(flat(YAML(typ="safe").load(CONTRACT)))
    assert {key: config[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("data.dataset", ("mnist", "fashion-mnist", "kmnist", "qmnist", "emnist-letters", "cifar10", "svhn")),
        ("model.pooling", ("stride", "max", "avg", "concat")),
        ("model.head", ("flatten", "avg", "max", "concat")),
        ("model.activation", ("relu", "leaky_relu", "gelu", "silu", "tanh")),
        ("training.optimizer", ("sgd", "adam", "adamw")),
        ("runtime.device", ("auto", "cpu", "cuda", "cuda:1", "mps")),
    ],
)
def test_every_name_of_the_contract_is_accepted(key: str, names: tuple[str, ...]) -> None:
    for name in names:
        config = parse_config("{}", overrides=[f"{key}={name}"])
        assert dict(flat(config.model_dump()))[key] == name


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Config().training.epochs = 9  # type: ignore[misc]


def test_equal_configurations_have_equal_hashes() -> None:
    assert hash(parse_config(CONTRACT)) == hash(parse_config(CONTRACT))


@pytest.mark.parametrize("key", ["kernel_sizes", "convolutions", "pooling", "pool_size"])
def test_one_value_means_the_same_for_every_stage(key: str) -> None:
    value = getattr(Config().model, key)
    spread = json.dumps([value] * 2)
    assert on_digits(f"model.{key}={spread}").model.stages == on_digits(f"model.{key}={value}").model.stages


@pytest.mark.parametrize("key", ["kernel_sizes", "convolutions", "pooling", "pool_size"])
@pytest.mark.parametrize("n", [1, 3])
def test_a_list_of_another_length_than_channels_is_refused(key: str, n: int) -> None:
    value = json.dumps([getattr(Config().model, key)] * n)
    assert refused(f"model.{key}={value}") == {f"model.{key}"}


def test_the_strategy_of_unequal_stages_is_told_from_first_to_last() -> None:
    assert on_digits("model.pooling=[max, avg]").model.strategy == "max-avg"
    assert on_digits("model.pooling=[max, avg]").model.strategies == "max/avg"
    assert on_digits("model.pooling=[avg, avg]").model.strategies == "avg"
    assert on_digits("model.pooling=[avg, avg]").model.strategy == "avg"


@pytest.mark.parametrize("strategy", POOLINGS)
def test_every_strategy_leaves_grids_of_28_14_7(strategy: str) -> None:
    model = ModelConfig.model_validate({"pooling": strategy})
    assert model.grids((1, 28, 28)) == [(28, 28), (14, 14), (7, 7)]


@pytest.mark.parametrize("head", ["flatten", "avg", "max", "concat"])
@pytest.mark.parametrize("strategy", POOLINGS)
def test_head_features_follow_the_formula(strategy: str, head: str) -> None:
    model = ModelConfig.model_validate({"channels": [4, 6], "pooling": strategy, "head": head})
    channels = 12 if strategy == "concat" else 6
    per_channel = {"flatten": 2 * 3, "avg": 1, "max": 1, "concat": 2}[head]
    assert model.head_features((1, 8, 12)) == channels * per_channel


def every_weight_sees_a_pixel(kernel: int, grid: int) -> bool:
    before = (kernel - 1) // 2
    return all(any(0 <= p + tap - before < grid for p in range(grid)) for tap in range(kernel))


@pytest.mark.parametrize("kernel", range(1, 20))
@pytest.mark.parametrize("stage", [1, 2])
def test_a_kernel_is_refused_exactly_when_a_weight_of_it_never_sees_a_pixel(kernel: int, stage: int) -> None:
    sizes = [kernel, 1] if stage == 1 else [1, kernel]
    if every_weight_sees_a_pixel(kernel, grid=8 if stage == 1 else 4):
        on_digits(f"model.kernel_sizes={sizes}")
    else:
        assert refused(f"model.kernel_sizes={sizes}") == {"model.kernel_sizes"}


@pytest.mark.parametrize(
    ("channels", "pool_size", "fine"),
    [
        ([1] * 3, 2, True),
        ([1] * 4, 2, False),
        ([1], 8, True),
        ([1], 9, False),
        ([1] * 2, [2, 4], True),
        ([1] * 2, [2, 5], False),
        ([1] * 9, 1, True),
    ],
)
@pytest.mark.parametrize("strategy", POOLINGS)
def test_a_grid_below_1_is_refused(channels: list[int], pool_size: object, fine: bool, strategy: str) -> None:
    overrides = (f"model.channels={channels}", f"model.pool_size={pool_size}", f"model.pooling={strategy}")
    if fine:
        on_digits(*overrides)
    else:
        assert refused(*overrides) == {"model.pool_size"}


@pytest.mark.parametrize("hidden", ["[1000000000]", "[20000, 20000]", "[128, 9999999]"])
def test_a_dense_layer_of_absurd_size_is_refused(hidden: str) -> None:
    assert refused(f"model.hidden={hidden}") == {"model.hidden"}


def test_the_largest_dense_layer_is_the_largest_that_is_accepted() -> None:
    seen = on_digits().model.head_features(DATASETS["digits"].shape)
    on_digits(f"model.hidden=[{LARGEST_LAYER // seen}]")
    assert refused(f"model.hidden=[{LARGEST_LAYER // seen + 1}]") == {"model.hidden"}


def test_a_convolution_of_absurd_size_is_refused() -> None:
    assert "model.channels" in refused("model.channels=[20000, 20000]")


def test_the_second_convolution_of_a_stage_may_be_the_one_of_absurd_size() -> None:
    side = math.isqrt(LARGEST_LAYER) + 1
    wide = (f"model.channels=[{side}]", "model.kernel_sizes=1", "model.head=avg", "model.hidden=[]")
    assert on_digits(*wide).model.channels == (side,)
    assert refused(*wide, "model.convolutions=2") == {"model.channels"}


@pytest.mark.parametrize(
    "setting",
    [
        *(
            "channels=1",
            "size=12",
            "fit=contain",
            "test=0.3",
            "test_seed=1",
            "duplicates=keep",
            "damaged=skip",
        ),
        *("classes=[a,b]", "images=[9,0,3]", f"fingerprint='{'0' * 64}'"),
    ],
)
def test_what_only_own_images_have_is_refused_of_published_ones(setting: str) -> None:
    assert refused(f"data.{setting}") == {f"data.{setting.partition('=')[0]}"}


@pytest.mark.parametrize("validation", [1437, 1430, 60_000, 0.999])
def test_a_validation_split_that_leaves_too_little_to_train_on_is_refused(validation: float) -> None:
    assert refused(f"data.validation={validation}") == {"data.validation"}


@pytest.mark.parametrize("validation", [1, 9, 0.001])
def test_a_validation_split_too_small_for_one_image_per_class_is_refused(validation: float) -> None:
    assert refused(f"data.validation={validation}") == {"data.validation"}


@pytest.mark.parametrize(("validation", "held"), [(0, 0), (0.0, 0), (144, 144), (0.1, 144), (1427, 1427)])
def test_images_and_fractions_hold_out_what_they_say(validation: float, held: int) -> None:
    data = on_digits(f"data.validation={validation}").data
    assert (data.validation_images, data.train_images) == (held, 1437 - held)


def test_early_stopping_without_validation_images_is_refused() -> None:
    assert refused("data.validation=0", "training.early_stopping=2") == {"training.early_stopping"}


def test_batch_norm_over_single_values_is_refused() -> None:
    single = ("training.batch_size=1", "model.pool_size=[4, 2]")
    assert refused(*single) == {"training.batch_size"}
    on_digits(*single, "model.batch_norm=false")


def test_keys_that_do_not_fit_together_are_all_named_at_once() -> None:
    wrong = ("data.validation=1437", "model.pool_size=9", "model.kernel_sizes=99", "model.channels=[99999]")
    expected = {"data.validation", "model.pool_size", "model.kernel_sizes", "model.channels"}
    assert expected <= refused(*wrong)


def test_an_override_means_what_the_same_line_in_the_file_means() -> None:
    text = "data: {dataset: digits, validation: 0.2}\nmodel: {channels: [8], kernel_sizes: [5]}"
    overrides = ["data.dataset=digits", "data.validation=0.2", "model.channels=[8]", "model.kernel_sizes=[5]"]
    assert parse_config("{}", overrides=overrides) == parse_config(text)


def test_an_override_changes_its_key_and_no_other() -> None:
    before, after = (dict(flat(on_digits(*o).model_dump())) for o in ((), ("data.augment.zoom=0.2",)))
    assert {key for key in before if before[key] != after[key]} == {"data.augment.zoom"}


def test_the_last_override_of_a_key_counts() -> None:
    assert on_digits("training.epochs=3", "training.epochs=4").training.epochs == 4


def test_an_override_of_a_section_replaces_the_section() -> None:
    assert on_digits("model={channels: [7], kernel_sizes: 1}").model == ModelConfig(
        channels=(7,), kernel_sizes=1
    )


@settings(deadline=None, max_examples=60)
@given(
    root=st.none() | st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1),
    learning_rate=st.floats(min_value=0, max_value=1e38, exclude_min=True),
    dropout=st.floats(min_value=0, max_value=1, exclude_max=True),
    validation=st.integers(10, 50_000) | st.floats(0.01, 0.99),
    pooling=st.sampled_from(list(POOLINGS)) | st.tuples(*[st.sampled_from(list(POOLINGS))] * 2),
    seed=st.integers(0, 2**63 - 1),
    warmup=st.none() | st.floats(0, 0.99),
)
def test_the_resolved_yaml_reads_back_as_the_same_configuration(
    root: str | None,
    learning_rate: float,
    dropout: float,
    validation: float,
    pooling: object,
    seed: int,
    warmup: float | None,
) -> None:
    config = Config.model_validate(
        {
            "data": {"root": root, "validation": validation},
            "model": {"dropout": dropout, "pooling": pooling},
            "training": {"learning_rate": learning_rate, "seed": seed, "warmup": warmup},
        }
    )
    assert parse_config(config_text(config)) == config


@pytest.mark.parametrize(
    "root", [" a ", "null", "1", "1.5", "a: b # c", "'\"", "é", "a\nb", "\t", "\x85", "\u2028", "🙂"]
)
def test_any_folder_name_survives_being_written_down(root: str) -> None:
    config = Config.model_validate({"data": {"root": root}})
    assert parse_config(config_text(config)) == config


def test_the_table_of_keys_has_a_documented_row_for_each_key_with_its_default() -> None:
    rows = [line.strip("| ").split(" | ") for line in keys_table().splitlines()[2:]]
    defaults = dict(flat(json.loads(Config().model_dump_json())))
    written = {row[0].strip("`"): YAML(typ="safe").load(row[2].strip("`")) for row in rows}
    assert written == defaults
    assert all(len(row) == 4 and len(row[3]) > 5 for row in rows)


def test_the_json_schema_describes_every_key_and_allows_no_other() -> None:
    schema = json.loads(json_schema())
    sections = [schema, *schema["$defs"].values()]
    properties = [part for section in sections for part in section["properties"].values()]
    assert all(section["additionalProperties"] is False for section in sections)
    assert all(part["description"] for part in properties)
    holding_keys = [field for field in Config.model_fields.values() if is_section(field.annotation)]
    assert len(properties) == len(KEYS.split("\n")[1:-1]) + len(holding_keys) + 2


@pytest.mark.parametrize(
    "text",
    [
        CONTRACT,
        *(path.read_text(encoding="utf-8") for path in CONFIGS),
        "{}",
        "data: {validation: 0}",
        "data: {validation: 0.1}",
        "data: {root: some/where}",
        "model: {kernel_sizes: 5, pooling: [max, avg], pool_size: [2, 3], hidden: []}",
        "training: {warmup: 0.1, gradient_clip: 1, early_stopping: 3}",
        "runtime: {device: 'cuda:1', threads: 2}",
    ],
)
def test_an_editor_accepts_what_cnnkit_accepts(text: str, tmp_path: Path) -> None:
    parse_config(text, overrides=for_shipped("photos" if "dataset: folder" in text else "", tmp_path))
    schema = json.loads(json_schema())
    assert fits(YAML(typ="safe").load(text), schema, schema)


@pytest.mark.parametrize(
    "text",
    [
        "modle: {}",
        "model: {poling: max}",
        "model: {pooling: mx}",
        "model: {pooling: [max, mx]}",
        "model: {channels: []}",
        "model: {channels: 32}",
        "model: {kernel_sizes: 0}",
        "model: {dropout: 1.0}",
        "model: {batch_norm: 1}",
        "training: {epochs: true}",
        "training: {learning_rate: 0}",
        "training: {betas: [0.9]}",
        "training: {seed: -1}",
        "runtime: {device: gpu}",
        "data: {validation: -1}",
        "data: {validation: null}",
    ],
)
def test_an_editor_refuses_what_cnnkit_refuses(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_config(text)
    schema = json.loads(json_schema())
    assert not fits(YAML(typ="safe").load(text), schema, schema)


def test_the_shipped_schema_is_the_current_one() -> None:
    assert (CONFIGS[0].parent / "schema.json").read_text(encoding="utf-8") == json_schema()


def test_the_five_promised_configurations_are_shipped() -> None:
    assert {path.stem for path in CONFIGS} >= {"mnist", "fast", "digits", "fashion", "kmnist"}


@shipped_file
def test_a_shipped_file_is_found_by_name_and_by_path(path: Path, tmp_path: Path) -> None:
    own = for_shipped(path.stem, tmp_path)
    assert load_config(path.stem, own) == load_config(path, own)


def test_photos_without_a_folder_says_how_to_name_it(cnnkit: Command) -> None:
    code, _, err = cnnkit("train", "--config", "photos")
    assert code == 2
    assert "name their folder: data.root=FOLDER" in err


@shipped_file
def test_a_shipped_file_s_head_gives_schema_command_and_what_to_expect(path: Path) -> None:
    first, *lines = path.read_text(encoding="utf-8").splitlines()
    head = "\n".join(line for line in lines if line.startswith("#"))
    assert first == "# yaml-language-server: $schema=./schema.json"
    assert re.search(rf"cnnkit (train|compare-pooling --where head) --config configs/{path.name}", head)
    assert re.search(r"\d\d(\.\d+)? ?%|Not measured yet", head)


@pytest.mark.parametrize(
    ("name", "dataset"),
    [
        ("mnist", "mnist"),
        ("fast", "mnist"),
        ("digits", "digits"),
        ("fashion", "fashion-mnist"),
        ("kmnist", "kmnist"),
    ],
)
def test_a_shipped_configuration_trains_on_what_its_name_says(name: str, dataset: str) -> None:
    assert load_config(name).data.dataset == dataset


def test_fast_is_one_epoch() -> None:
    assert load_config("fast").training.epochs == 1


def test_an_installed_package_finds_the_configurations_inside_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = tmp_path / "cnnkit" / "configs"
    inside.mkdir(parents=True)
    (inside / "mine.yaml").write_text("training: {epochs: 2}")
    monkeypatch.setattr(config_file, "__file__", str(tmp_path / "cnnkit" / "config" / "load.py"))
    assert load_config("mine").training.epochs == 2


def test_checking_a_configuration_never_imports_torch() -> None:
    code = (
        "import sys; from cnnkit.config.load import load_config; from cnnkit.config.docs import keys_table; "
        "load_config('digits'); keys_table(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_config_list_gives_each_shipped_name_a_line_with_words(cnnkit: Command) -> None:
    code, out, _ = cnnkit("config", "list")
    lines = [line.split(maxsplit=1) for line in out.splitlines()]
    assert code == 0
    assert [name for name, _ in lines] == [path.stem for path in CONFIGS]


def test_config_show_prints_every_key_with_its_resolved_value(cnnkit: Command) -> None:
    code, out, _ = cnnkit("config", "show", "--config", "digits", "--set", "model.pooling=[avg, concat]")
    expected = load_config("digits", ["model.pooling=[avg, concat]"])
    shown = dict(flat(YAML(typ="safe").load(out)))
    assert code == 0
    assert shown == dict(flat(expected.model_dump(mode="json")))
    assert parse_config(out) == expected


def test_config_schema_and_keys_print_what_the_library_gives(cnnkit: Command) -> None:
    assert cnnkit("config", "schema") == (0, json_schema(), "")
    assert cnnkit("config", "keys") == (0, keys_table(), "")


def test_config_copy_makes_a_file_that_means_the_same(cnnkit: Command, tmp_path: Path) -> None:
    code, out, err = cnnkit("config", "copy", "mnist")
    assert (code, out) == (0, "mnist.yaml\n")
    assert "cnnkit.schema.json" in err
    assert load_config(tmp_path / "mnist.yaml") == load_config(CONFIGS[0].parent / "mnist.yaml")


def test_a_copy_s_schema_line_leads_to_the_schema_on_another_machine_too(
    cnnkit: Command, tmp_path: Path
) -> None:
    cnnkit("config", "copy", "digits", tmp_path / "here" / "own.yaml")
    there = (tmp_path / "here").rename(tmp_path / "there")
    address = (there / "own.yaml").read_text(encoding="utf-8").splitlines()[0].partition("$schema=")[2]
    assert address == "./cnnkit.schema.json"
    assert (there / address).read_text(encoding="utf-8") == json_schema()


def test_config_copy_into_a_folder_keeps_the_name(cnnkit: Command, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert cnnkit("config", "copy", "digits", "folder")[0] == 0
    assert load_config(tmp_path / "folder" / "digits.yaml") == load_config("digits")


def test_config_copy_overwrites_nothing(cnnkit: Command, tmp_path: Path) -> None:
    (tmp_path / "mnist.yaml").write_text("mine")
    code, out, err = cnnkit("config", "copy", "mnist")
    assert (code, out) == (2, "")
    assert "mnist.yaml exists" in err
    assert (tmp_path / "mnist.yaml").read_text() == "mine"


def test_config_copy_of_an_unknown_name_names_the_known_ones(cnnkit: Command, tmp_path: Path) -> None:
    code, _, err = cnnkit("config", "copy", "mnits")
    assert code == 2
    assert all(path.stem in err for path in CONFIGS)
    assert not list(tmp_path.iterdir())


def test_config_check_tells_right_files_from_wrong_ones(cnnkit: Command, tmp_path: Path) -> None:
    (tmp_path / "first.yaml").write_text("model: {pooling: mx}")
    (tmp_path / "second.yaml").write_text("training: {epochs: 0}")
    code, out, err = cnnkit("config", "check", "first.yaml", "digits", "second.yaml", "absent.yaml")
    assert (code, out) == (2, "digits: fine\n")
    assert "first.yaml:1:18: model.pooling" in err
    assert "second.yaml:1:20: training.epochs" in err
    assert "absent.yaml: no such file" in err


def test_config_check_of_right_files_exits_with_0(cnnkit: Command) -> None:
    whole = [path for path in CONFIGS if path.stem != "photos"]  # it waits for the folder of the images
    code, out, err = cnnkit("config", "check", *whole)
    assert (code, err) == (0, "")
    assert out.count(": fine\n") == len(whole)


@pytest.mark.parametrize(
    "arguments",
    [
        ("show",),
        ("show", "--config"),
        ("show", "--config", "absent.yaml"),
        ("show", "--config", "digits", "--set", "model.pooling"),
        ("show", "--config", "digits", "--set", "model.pooling=mx"),
        ("show", "--config", "."),
        ("check",),
        ("check", "absent.yaml"),
        ("copy",),
        ("copy", "absent"),
        ("draw",),
    ],
    ids=" ".join,
)
def test_bad_usage_of_config_says_so_on_standard_error_alone_and_exits_with_2(
    cnnkit: Command, arguments: tuple[str, ...]
) -> None:
    code, out, err = cnnkit("config", *arguments)
    assert (code, out) == (2, "")
    assert err.strip()
    assert "Traceback" not in err


def test_a_mistyped_shipped_name_is_guessed(cnnkit: Command) -> None:
    code, _, err = cnnkit("config", "show", "--config", "mnits")
    assert code == 2
    assert "did you mean 'mnist'?" in err
