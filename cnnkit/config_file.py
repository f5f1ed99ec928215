"""YAML text ↔ `Config`: finding, reading, overriding, and errors that point at the line."""

import difflib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML

from cnnkit.config import UNION_TAGS, Config
from cnnkit.config_checks import Inconsistent
from cnnkit.errors import ConfigError, Problem, UsageError
from cnnkit.yaml_tree import KeyPath, YamlTree, dotted, short

LARGEST_FILE = 100_000  # bytes
SCHEMA_LINE = "yaml-language-server:"


def load_config(source: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Reads a YAML file, or a shipped configuration by its name, with `key=value` overrides on top.

    Raises ConfigError with every problem found, each with file, line and column.
    """
    path = find_config(source)
    return parse_config(_read(path), str(path), overrides)


def parse_config(text: str, name: str = "config", overrides: Sequence[str] = ()) -> Config:
    """The configuration that a YAML text means. name: what error messages call it."""
    tree = YamlTree(name, text)
    tree.read()
    for override in overrides:
        tree.override(override)
    config, problems = _validate(tree)
    if config is None or tree.problems:
        raise ConfigError(_unique([*tree.problems, *problems]))
    return config


def config_text(config: Config) -> str:
    """The resolved YAML of a configuration; reading it gives the same configuration."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.width = 110
    out = io.StringIO()
    yaml.dump(config.model_dump(mode="json"), out)
    return out.getvalue()


def shipped_configs() -> dict[str, Path]:
    """The configurations that travel with cnnkit, by name."""
    here = Path(__file__).resolve().parent
    folder = here / "configs" if (here / "configs").is_dir() else here.parent / "configs"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_config(source: str | Path) -> Path:
    """A file's path, or the shipped configuration of that name."""
    path = Path(source)
    try:
        if path.exists():
            return path
    except (OSError, ValueError) as error:
        raise UsageError(f"{str(source)!r} is no file name: {error}") from error
    shipped = shipped_configs()
    if str(source) in shipped:
        return shipped[str(source)]
    close = difflib.get_close_matches(str(source), shipped, n=1)
    guess = f"did you mean {close[0]!r}? " if close else ""
    raise UsageError(
        f"{source}: no such file, and no shipped configuration of that name; "
        f"{guess}shipped are {', '.join(shipped)}"
    )


def headline(path: Path) -> str:
    """The first comment of a shipped configuration that is not the schema's line: what it is for."""
    lines = (line.lstrip("# ").strip() for line in path.read_text(encoding="utf-8").splitlines())
    return next(line for line in lines if line and not line.startswith(SCHEMA_LINE))


def copy_config(name: str, target: Path) -> Path:
    """Copies a shipped configuration; its schema line then names the installed schema's place.

    Raises UsageError where there is no such configuration or the target exists.
    """
    shipped = shipped_configs()
    if name not in shipped:
        raise UsageError(f"no shipped configuration is called {name!r}; there are {', '.join(shipped)}")
    if target.is_dir():
        target = target / f"{name}.yaml"
    if target.exists():
        raise UsageError(f"{target} exists, and nothing is overwritten; name another file")
    schema = (shipped[name].parent / "schema.json").as_uri()
    text = shipped[name].read_text(encoding="utf-8").replace("./schema.json", schema)
    target.write_text(text, encoding="utf-8")
    return target


def _read(path: Path) -> str:
    def refuse(message: str, remedy: str) -> ConfigError:
        return ConfigError([Problem(str(path), "", message, remedy)])

    try:
        if path.is_dir():
            raise refuse("is a directory, not a YAML file", "name a file in it")
        if path.stat().st_size > LARGEST_FILE:
            raise refuse(f"is larger than {LARGEST_FILE // 1000} kB", "that is no configuration")
        raw = path.read_bytes()[: LARGEST_FILE + 1]
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refuse("is not UTF-8 text", f"byte {error.start} is the first that is not") from error
    except OSError as error:
        raise refuse(f"cannot be read: {error.strerror}", "check its name and permissions") from error
    if "\0" in text:
        raise refuse("is a binary file", "a configuration is YAML text")
    return text


def _unique(problems: list[Problem]) -> list[Problem]:
    return list(dict.fromkeys(problems))


def _validate(tree: YamlTree) -> tuple[Config | None, list[Problem]]:
    """The configuration, or what is wrong with it: first per key, then between the keys."""
    values = tree.values
    problems: list[Problem] = []
    while True:
        try:
            return Config.model_validate(values), problems
        except ValidationError as failure:
            found = [problem for error in failure.errors() for problem in _problems(tree, error)]
            problems += found
            unknown = [e["loc"] for e in failure.errors() if e["type"] == "extra_forbidden"]
            if len(unknown) < len(failure.errors()) or not unknown:
                return None, problems
            tree.problems += found  # go on without the unknown keys: the others may not fit together
            for path in unknown:
                values = _without(values, path)


def _without(values: Mapping[str, Any], path: tuple[Any, ...]) -> dict[str, Any]:
    head, *rest = path
    if not rest:
        return {key: value for key, value in values.items() if key != head}
    return {k: _without(v, tuple(rest)) if k == head else v for k, v in values.items()}


def _problems(tree: YamlTree, error: Any) -> Iterator[Problem]:
    path = tuple(part for part in error["loc"] if part not in UNION_TAGS)
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, Inconsistent):
        for key, message, remedy in cause.problems:
            where, line, column = tree.place(tuple(key.split(".")))
            yield Problem(where, key, message, remedy, line, column)
        return
    message, remedy = _words(error, path)
    at = (*path, "") if error["type"] == "extra_forbidden" and (*path, "") in tree.places else path
    where, line, column = tree.place(at)
    yield Problem(where, dotted(path), message, remedy, line, column)


def _words(error: Any, path: KeyPath) -> tuple[str, str]:
    """What is wrong with one value, and what is expected, in the house's own words."""
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "extra_forbidden":
        known = _known_keys(path[:-1])
        return f"unknown key {short(path[-1])!r}", _expected(str(path[-1]), known)
    if kind == "literal_error":
        options = [word.strip().strip("'") for word in context["expected"].replace(" or ", ", ").split(",")]
        noun = "strategy" if "pooling" in path else "value"
        return f"unknown {noun} {short(value)!r}", _expected(str(value), options)
    if kind == "string_pattern_mismatch":
        return f"unknown device {short(value)!r}", "expected auto, cpu, mps, cuda or cuda:N"
    if kind in ("model_type", "model_attributes_type"):
        return f"expected keys below it, not {short(value)!r}", f"one of {', '.join(_known_keys(path))}"
    expectation = (
        str(error["msg"])
        .replace("Input should be ", "")
        .replace("a valid ", "a ")
        .replace("a integer", "an integer")
    )
    return f"{short(_yaml(value))} is not valid", f"expected {expectation}"


def _yaml(value: object) -> str:
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def _expected(word: str, options: Sequence[str]) -> str:
    listing = ", ".join(options[:-1]) + " or " + options[-1] if len(options) > 1 else "".join(options)
    close = difflib.get_close_matches(word[:60], options, n=1, cutoff=0.5)
    return f"expected {listing}" + (f"; did you mean {close[0]!r}?" if close else "")


def _known_keys(path: KeyPath) -> list[str]:
    section: Any = Config
    for part in path:
        section = section.model_fields[part].annotation
    return list(section.model_fields)
