"""YAML text ↔ `Config`: finding, reading, overriding, and errors that point at the line."""

import difflib
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML

from cnnkit.config.checks import Complaint, Inconsistent
from cnnkit.config.schema import UNION_TAGS, Config
from cnnkit.config.yaml_tree import KeyPath, YamlTree, dotted, short
from cnnkit.errors import ConfigError, Problem, UsageError

LIST_ERRORS = ("tuple_type", "too_short", "too_long", "missing")
LARGEST_FILE = 32_000  # bytes; larger ones take the parser seconds
SECTIONS = frozenset([*((name,) for name in Config.model_fields), ("data", "augment"), ("data", "scene")])
SCHEMA_LINE = "yaml-language-server:"


def load_config(source: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Reads a YAML file, or a shipped configuration by its name, with `key=value` overrides on top.

    Raises ConfigError with every problem found, each with file, line and column.
    """
    path = find_config(source)
    return parse_config(_read(path), str(path), overrides)


def parse_config(
    text: str, name: str = "config", overrides: Sequence[str] = (), flag: str = "--set"
) -> Config:
    """The configuration that a YAML text means.

    name, flag: what error messages call the text, and the option that the overrides came with.
    Raises ConfigError, with every problem at once.
    """
    tree = YamlTree(name, text)
    tree.read()
    for override in overrides:
        tree.override(override, SECTIONS, flag)
    config, problems = _validate(tree)
    problems = [*tree.problems, *problems]
    if config is None or problems:
        raise ConfigError(sorted(dict.fromkeys(problems), key=lambda problem: problem.position))
    return config


def config_text(config: Config) -> str:
    """The resolved YAML of a configuration; reading it gives the same configuration."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.width = 110
    yaml.allow_unicode = str(config.data.root).isprintable()  # a strange folder name is escaped
    out = io.StringIO()
    yaml.dump(config.model_dump(mode="json"), out)
    return out.getvalue()


def differing_keys(config: Config) -> dict[str, Any]:
    """The dotted keys whose values are not the defaults, with these values as JSON has them."""
    defaults = flat(Config())
    return {key: value for key, value in flat(config).items() if value != defaults[key]}


def flat(config: Config) -> dict[str, Any]:
    """Every dotted key of a configuration, with its value as JSON has it."""
    return dict(_flat(config.model_dump(mode="json"), ""))


def _flat(node: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _flat(value, f"{key}.{name}" if key else name)
    else:
        yield key, node


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
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    return target


def _read(path: Path) -> str:
    def refuse(message: str, remedy: str) -> ConfigError:
        return ConfigError([Problem(str(path), "", message, remedy)])

    try:
        if path.is_dir():
            raise refuse("is a directory, not a YAML file", "name a file in it")
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
        if len(raw) > LARGEST_FILE:
            raise refuse(f"is larger than {LARGEST_FILE // 1000} kB", "that is no configuration")
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refuse("is not UTF-8 text", f"byte {error.start} is the first that is not") from error
    except OSError as error:
        raise refuse(f"cannot be read: {error.strerror}", "check its name and permissions") from error
    if "\0" in text:
        raise refuse("is a binary file", "a configuration is YAML text")
    return text


def _validate(tree: YamlTree) -> tuple[Config | None, list[Problem]]:
    """The configuration, or what is wrong with it.

    Keys that are wrong are taken out and the rest is checked again, so that a wrong value hides no
    other mistake; what follows only from a key that was taken out is not told.
    """
    values = tree.values
    problems: list[Problem] = []
    wrong = {dotted(path) for path in tree.broken}
    while True:
        try:
            return Config.model_validate(values), problems
        except ValidationError as failure:
            paths: set[KeyPath] = set()
            for error in failure.errors():
                cause = error.get("ctx", {}).get("error")
                if isinstance(cause, Inconsistent):
                    for complaint in cause.complaints:
                        if not wrong & complaint.depends:
                            problems.append(_from_complaint(tree, complaint))
                        paths.add(tuple(complaint.key.split(".")))
                else:
                    path = _key_path(error["loc"], values)
                    if not any(path == other[: len(path)] for other in paths):
                        problems.append(_from_error(tree, error, path))
                    paths.add(path)
            remaining = values
            for path in paths:
                remaining = _without(remaining, path)
                wrong.add(dotted(path[: _depth(values, path)]))
            if remaining == values:
                return None, problems
            values = remaining


def _key_path(loc: tuple[int | str, ...], values: Any) -> KeyPath:
    """The keys of an error's place, without the names that pydantic gives to the choices of a union."""
    path: list[int | str] = []
    for part in loc:
        if isinstance(values, dict) and part in values:
            values = values[part]
        elif part in UNION_TAGS:
            continue
        path.append(part)
    return tuple(path)


def _depth(values: Any, path: KeyPath) -> int:
    """How many parts of a path are keys; the rest are places in a list."""
    depth = 0
    while depth < len(path) and isinstance(values, dict) and path[depth] in values:
        values = values[path[depth]]
        depth += 1
    return depth


def _without(values: dict[str, Any], path: KeyPath) -> dict[str, Any]:
    """The values without one key, untouched where it is not there."""
    head, rest = path[0], path[1:]
    if head not in values:
        return values
    if rest and isinstance(values[head], dict):
        return {key: _without(value, rest) if key == head else value for key, value in values.items()}
    return {key: value for key, value in values.items() if key != head}


def _from_complaint(tree: YamlTree, complaint: Complaint) -> Problem:
    where, line, column = tree.place(tuple(complaint.key.split(".")))
    return Problem(where, complaint.key, complaint.message, complaint.remedy, line, column)


def _from_error(tree: YamlTree, error: Any, path: KeyPath) -> Problem:
    message, remedy = _words(error, path)
    at_key = error["type"] == "extra_forbidden" and (*path, "") in tree.places
    where, line, column = tree.place((*path, "") if at_key else path)
    return Problem(where, dotted(path), message, remedy, line, column)


def _words(error: Any, path: KeyPath) -> tuple[str, str]:
    """What is wrong with one value, and what is expected, in the house's own words."""
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key {short(path[-1])!r}", _expected_key(path)
    if kind == "literal_error":
        options = [word.strip().strip("'") for word in context["expected"].replace(" or ", ", ").split(",")]
        noun = "strategy" if "pooling" in path else "value"
        return f"unknown {noun} {short(value)!r}", _expected(short(value), options)
    if kind == "string_pattern_mismatch" and path == ("runtime", "device"):
        return f"unknown device {short(value)!r}", "expected auto, cpu, mps, cuda or cuda:N"
    if kind in ("string_pattern_mismatch", "string_unicode"):
        return f"{short(value)!a} is not valid", "expected text that names a folder"
    if kind in LIST_ERRORS:
        what = "a value is missing" if kind == "missing" else f"{short(_yaml(value))} is not valid"
        return what, f"expected a list{' of 2 values' if 'betas' in path else ''}, such as {_example(path)}"
    if kind in ("model_type", "model_attributes_type"):
        return f"expected keys below it, not {short(value)!r}", f"one of {', '.join(_known_keys(path))}"
    expectation = (
        str(error["msg"])
        .replace("Input should be ", "")
        .replace("a valid ", "a ")
        .replace("a integer", "an integer")
    )
    return f"{short(_yaml(value))} is not valid", f"expected {expectation}"


def _yaml(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if value is None or isinstance(value, bool | str) else value


def _expected(word: str, options: Sequence[str]) -> str:
    listing = ", ".join(options[:-1]) + " or " + options[-1] if len(options) > 1 else "".join(options)
    close = difflib.get_close_matches(short(word), options, n=1, cutoff=0.5)
    return f"expected {listing}" + (f"; did you mean {close[0]!r}?" if close else "")


def _expected_key(path: KeyPath) -> str:
    """The keys there are where an unknown one stands; or where the same key does exist."""
    name = str(path[-1])
    homes = [f"{section}.{name}" for section in Config.model_fields if name in _known_keys((section,))]
    return f"did you mean {homes[0]!r}?" if homes else _expected(name, _known_keys(path[:-1]))


def _example(path: KeyPath) -> str:
    default: Any = Config()
    for part in path:
        default = getattr(default, str(part), default)
    return json.dumps(default)


def _known_keys(path: KeyPath) -> list[str]:
    section: Any = Config
    for part in path:
        section = section.model_fields[part].annotation
    return list(section.model_fields)
