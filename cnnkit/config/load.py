"""YAML text ↔ `Config`: finding, reading, overriding, and errors that point at the line."""

import difflib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from cnnkit.config import versions
from cnnkit.config.schema import Config
from cnnkit.config.suggestions import guess
from cnnkit.config.types import is_section
from cnnkit.config.validation import validate
from cnnkit.config.yaml_tree import YamlTree
from cnnkit.errors import ConfigError, Place, Problem, UsageError
from cnnkit.filenames import CONFIG, ENVIRONMENT
from cnnkit.own.sources import learn, trust

LARGEST_FILE = 32_000  # bytes
_TOP = [(name,) for name, field in Config.model_fields.items() if is_section(field.annotation)]
SECTIONS = frozenset([*_TOP, ("data", "augment"), ("data", "scene")])
SCHEMA_LINE = "yaml-language-server:"
SCHEMA_FILE = "cnnkit.schema.json"  # beside a copy of a shipped configuration


def load_config(source: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Reads a YAML file, or a shipped configuration by its name, with `key=value` overrides on top.

    A run's `config.yaml` means what it meant when it was written. Own classes that a person's own
    configuration names may run from now on; those of a run may not.
    Raises ConfigError with every problem found, each with file, line and column.
    """
    path = find_config(source)
    of_run = path.name == CONFIG and (path.parent / ENVIRONMENT).exists()
    if of_run:
        learn(path.parent)
    config = parse_config(text := _read(path), str(path), overrides, kept=of_run)
    # A name with a hash was written by cnnkit, whatever lies beside the file: it is no person's own words.
    trust(named for named in config.model.own_classes if named.hash not in text)
    return config


def parse_config(
    text: str,
    name: str = "config",
    overrides: Sequence[str] = (),
    flag: str = "--set",
    kept: bool = False,
) -> Config:
    """The configuration that a YAML text means.

    name, flag: what error messages call the text, and the option that the overrides came with.
    kept: whether cnnkit wrote the text. If it then has no schema version, it has the meaning of 0.1.0.
    Raises ConfigError, with every problem at once.
    """
    if len(text) > LARGEST_FILE:  # larger ones take the parser seconds
        raise ConfigError([too_large(name)])
    tree = YamlTree(name, text)
    tree.read()
    versions.apply_version(tree, kept)
    for override in overrides:
        tree.override(override, SECTIONS, flag)
    config, problems = validate(tree)
    problems = [*tree.problems, *problems]
    if config is None or problems:
        each_once = dict.fromkeys(problems)
        raise ConfigError(
            sorted(each_once, key=lambda p: (p.place.source != name, p.place.row, p.place.column))
        )
    return config


def config_text(config: Config) -> str:
    """The text to keep: the schema version, then every key. Any later version reads the same from it."""
    return f"{versions.KEY}: {versions.VERSION}\n{resolved_yaml(config)}"


def differing_keys(config: Config) -> dict[str, object]:
    """The keys that count and are not at their defaults, and `schema`, the version of these defaults.

    Keys are dotted and sorted; values are those of JSON. A key that is added to the schema changes nothing.
    """
    defaults = flat(Config())
    differing = {key: value for key, value in flat(config).items() if value != defaults[key]}
    differing.pop("tracking", None)  # it changes nothing that is computed
    return dict(sorted({**differing, versions.KEY: versions.VERSION}.items()))


def resolved_yaml(config: Config, width: int = 110) -> str:
    """Every key of a configuration with its value, as YAML in lines of at most so many columns."""
    values = json.dumps(config.model_dump(mode="json"))
    return _yaml(values, width, unicode=str(config.data.root).isprintable())  # else its name is escaped


@lru_cache(maxsize=64)  # a run writes its own configuration five times
def _yaml(values: str, width: int, unicode: bool) -> str:
    """JSON as YAML. unicode: whether letters beyond ASCII are written as they are."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.width = width
    yaml.allow_unicode = unicode
    out = io.StringIO()
    yaml.dump(json.loads(values), out)
    return out.getvalue()


def flat(config: Config) -> dict[str, Any]:
    """Every dotted key of a configuration, with its value as JSON has it."""
    return dict(_dotted_items(config.model_dump(mode="json")))


def _dotted_items(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if (*prefix.split(".")[:-1], key) in SECTIONS:
            yield from _dotted_items(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def shipped_configs() -> dict[str, Path]:
    """The configurations that travel with cnnkit, by name."""
    here = Path(__file__).resolve().parent.parent
    folder = here / "configs" if (here / "configs").is_dir() else here.parent / "configs"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_config(source: str | Path) -> Path:
    """A file's path, or the shipped configuration of that name; raises UsageError where there is neither."""
    path, shipped = Path(source), shipped_configs()
    try:
        if path.exists() and not (path.is_dir() and str(source) in shipped):
            return path
    except (OSError, ValueError) as error:
        raise UsageError(f"{str(source)!r} is no file name: {error}") from error
    if str(source) in shipped:
        return shipped[str(source)]
    close = difflib.get_close_matches(str(source), shipped, n=1)
    guess = f"did you mean {close[0]!r}? " if close else ""
    raise UsageError(
        f"{source}: no such file, and no shipped configuration of that name; "
        f"{guess}shipped are {', '.join(shipped)}"
    )


def with_own_test_images(base: Config, folds: int | None, resample_test: bool) -> Config:
    """The configuration whose seeds choose their test images: `--folds`, or `--resample-test`.

    Raises ConfigError where its data set has no such splits, UsageError where both are asked for.
    """
    if folds is not None and resample_test:
        raise UsageError(
            "folds and a test split that is drawn anew exclude each other: leave one of them out"
        )
    if folds is not None:
        return parse_config(config_text(base), "configuration", [f"data.folds={folds}"], flag="--folds")
    if resample_test:
        changed = ["data.resample_test=true"]
        return parse_config(config_text(base), "configuration", changed, flag="--resample-test")
    return base


def headline(path: Path) -> str:
    """The first comment of a shipped configuration that is not the schema's line: what it is for."""
    lines = (line.lstrip("# ").strip() for line in path.read_text(encoding="utf-8").splitlines())
    return next(line for line in lines if line and not line.startswith(SCHEMA_LINE))


def copy_config(name: str, target: Path) -> Path:
    """Copies a shipped configuration, and the schema to `cnnkit.schema.json` beside it.

    The schema line names that file by its name alone, so that both can go to another machine together.
    Raises UsageError where there is no such configuration or the target exists.
    """
    shipped = shipped_configs()
    if name not in shipped:
        raise UsageError(
            f"no shipped configuration is called {name!r}; there are {', '.join(shipped)}"
            f"{guess(name, shipped)}"
        )
    if target.is_dir():
        target = target / f"{name}.yaml"
    if target.exists():
        raise UsageError(f"{target} exists, and nothing is overwritten; name another file")
    text = shipped[name].read_text(encoding="utf-8").replace("schema.json", SCHEMA_FILE, 1)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    schema = shipped[name].with_name("schema.json").read_text(encoding="utf-8")
    (target.parent / SCHEMA_FILE).write_text(schema, encoding="utf-8")
    return target


def too_large(name: str) -> Problem:
    return Problem(Place(name), "", f"is larger than {LARGEST_FILE // 1000} kB", "that is no configuration")


def _read(path: Path) -> str:
    def refuse(message: str, remedy: str) -> ConfigError:
        return ConfigError([Problem(Place(str(path)), "", message, remedy)])

    try:
        if path.is_dir():
            raise refuse("is a directory, not a YAML file", "name a file in it")
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
        if len(raw) > LARGEST_FILE:
            raise ConfigError([too_large(str(path))])
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refuse("is not UTF-8 text", f"byte {error.start} is the first that is not") from error
    except OSError as error:
        raise refuse(f"cannot be read: {error.strerror}", "check its name and permissions") from error
    if "\0" in text:
        raise refuse("is a binary file", "a configuration is YAML text")
    return text
