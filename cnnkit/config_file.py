"""YAML text ↔ `Config`: reading, overriding, and errors that point at the line.

The YAML is composed to a tree of nodes with positions and never constructed, so that no tag can run
code, and turned into plain values here under a budget, so that no alias can explode.
"""

import difflib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from cnnkit.config import UNION_TAGS, Config, Inconsistent
from cnnkit.errors import ConfigError, Problem, UsageError

LARGEST_FILE = 1_000_000  # bytes
LARGEST_TREE = 10_000  # values, aliases followed
SCHEMA_LINE = "yaml-language-server:"
SCALAR_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "timestamp")}
Path_ = tuple[str | int, ...]


def load_config(source: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Reads a YAML file, or a shipped configuration by its name, with `key=value` overrides on top.

    Raises ConfigError with every problem found, each with file, line and column.
    """
    path = find_config(source)
    return parse_config(_read(path), str(path), overrides)


def parse_config(text: str, name: str = "config", overrides: Sequence[str] = ()) -> Config:
    """The configuration that a YAML text means. name: what error messages call it."""
    tree = _Tree(name, text)
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


def json_schema() -> str:
    """The JSON Schema that editors check and complete a configuration with."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


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


def keys_table() -> str:
    """Every key with its values, default and one line of documentation, in Markdown."""
    rows = ["| key | values | default | what it is |", "|---|---|---|---|"]
    rows += [
        f"| `{key}` | {_values(field_schema)} | `{_flow(default)}` | {documentation} |"
        for key, field_schema, default, documentation in _keys(Config, "")
    ]
    return "\n".join(rows) + "\n"


def _keys(section: Any, prefix: str) -> Iterator[tuple[str, dict[str, Any], Any, str]]:
    properties = section.model_json_schema()["properties"]
    for name, info in section.model_fields.items():
        if hasattr(info.annotation, "model_fields"):
            yield from _keys(info.annotation, f"{prefix}{name}.")
        else:
            default = getattr(section(), name)
            yield f"{prefix}{name}", properties[name], default, info.description


def _values(schema: dict[str, Any]) -> str:
    """What a value may be, in words, from its JSON Schema."""
    if "oneOf" in schema or "anyOf" in schema:
        return " or ".join(_values(part) for part in schema.get("oneOf") or schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        items = schema.get("items") or schema["prefixItems"][0]
        return f"list of {_values(items)}" if "enum" not in items else "list of them"
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {schema[name]}" for name, sign in bounds.items() if schema.get(name, 2**63) < 2**63]
    kind = {"number": "number", "integer": "whole number", "string": "text", "boolean": "true or false"}
    return " ".join([kind.get(schema["type"], schema["type"]), ", ".join(limits)]).strip()


def _flow(value: Any) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value).replace('"', "")


def _read(path: Path) -> str:
    def refuse(message: str, remedy: str) -> ConfigError:
        return ConfigError([Problem(str(path), "", message, remedy)])

    try:
        if path.is_dir():
            raise refuse("is a directory, not a YAML file", "name a file in it")
        if path.stat().st_size > LARGEST_FILE:
            raise refuse(f"is larger than {LARGEST_FILE // 1_000_000} MB", "that is no configuration")
        raw = path.read_bytes()[: LARGEST_FILE + 1]
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refuse("is not UTF-8 text", f"byte {error.start} is the first that is not") from error
    except OSError as error:
        raise refuse(f"cannot be read: {error.strerror}", "check its name and permissions") from error
    if "\0" in text:
        raise refuse("is a binary file", "a configuration is YAML text")
    return text


@dataclass
class _Tree:
    """Plain values, and where in the text each key and value stands."""

    name: str
    text: str
    values: dict[str, Any] = field(default_factory=dict)
    places: dict[Path_, tuple[str, str, int]] = field(default_factory=dict)  # where, line, column
    problems: list[Problem] = field(default_factory=list)
    budget: int = LARGEST_TREE

    def read(self) -> None:
        node = self._compose(self.text, self.name)
        if isinstance(node, MappingNode):
            self.values = self._value(node, (), ())
        elif node is not None:
            self._complain(node, (), "expected `key: value` lines at the top", "see `cnnkit config list`")
        elif not self.problems:
            self.problems.append(
                Problem(self.name, "", "the file is empty", "`cnnkit config copy mnist` makes one")
            )

    def override(self, text: str) -> None:
        """Puts one `dotted.key=value` on top of what is there."""
        key, equals, value = text.partition("=")
        where = f"--set {text}"
        path = tuple(key.strip().split("."))
        if not equals or not all(path):
            self.problems.append(Problem(where, "", "expected KEY=VALUE", "such as model.pooling=avg"))
            return
        fragment = _Tree(where, value, budget=self.budget)
        node = fragment._compose(value, where)
        parsed = None if node is None else fragment._value(node, path, ())
        if fragment.problems:
            self.problems += fragment.problems
            return
        target = self.values
        for part in path[:-1]:
            below = target.get(part)
            target[part] = dict(below) if isinstance(below, dict) else {}
            target = target[part]
        target[path[-1]] = parsed
        self.places = {k: v for k, v in self.places.items() if k[: len(path)] != path}
        self.places[path] = (where, "", 0)

    def place(self, path: Path_) -> tuple[str, str, int]:
        """Where a key path stands, or the nearest above it that stands anywhere."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        return (self.name, "", 0)

    def _compose(self, text: str, name: str) -> Node | None:
        try:
            return YAML(typ="safe", pure=True).compose(text)  # type: ignore[no-any-return]
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            message = " ".join(str(part) for part in (error.context, error.problem) if part)
            where, line, column = self._position(mark) if mark else (name, "", 0)
            self.problems.append(Problem(where, "", f"not YAML: {message}", "", line, column))
        except (YAMLError, ValueError) as error:
            first = str(error).strip().splitlines()[0]
            self.problems.append(Problem(name, "", f"not YAML: {first}"))
        except RecursionError:
            self.problems.append(Problem(name, "", "nested too deeply"))
        return None

    def _position(self, mark: Any) -> tuple[str, str, int]:
        if self.name.startswith("--set "):
            return (self.name, "", 0)
        lines = self.text.splitlines()
        line = lines[mark.line] if mark.line < len(lines) else ""
        return (f"{self.name}:{mark.line + 1}:{mark.column + 1}", line[:200], min(mark.column, 200))

    def _complain(self, node: Node, path: Path_, message: str, remedy: str = "") -> None:
        where, line, column = self._position(node.start_mark)
        self.problems.append(Problem(where, _dotted(path), message, remedy, line, column))

    def _value(self, node: Node, path: Path_, above: tuple[int, ...]) -> Any:
        """The plain value of a node; None, with a problem noted, where it has none."""
        self.budget -= 1
        self.places.setdefault(path, self._position(node.start_mark))
        if id(node) in above:
            self._complain(node, path, "an anchor that contains itself", "write the value out")
        elif self.budget < 0:
            if self.budget == -1:
                self._complain(node, path, f"aliases repeat it to over {LARGEST_TREE:,} values")
        elif isinstance(node, MappingNode) and _tag(node) == "tag:yaml.org,2002:map":
            return self._mapping(node, path, (*above, id(node)))
        elif isinstance(node, SequenceNode) and _tag(node) == "tag:yaml.org,2002:seq":
            return [self._value(item, (*path, i), (*above, id(node))) for i, item in enumerate(node.value)]
        elif isinstance(node, ScalarNode) and _tag(node) in SCALAR_TAGS:
            return self._scalar(node, path)
        else:
            self._complain(node, path, f"the tag {_short(_tag(node))} is not allowed", "write a plain value")
        return None

    def _mapping(self, node: MappingNode, path: Path_, above: tuple[int, ...]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, ScalarNode) else None
            if key is None:
                self._complain(key_node, path, "a key must be a plain word")
            elif key in values:
                first = self.places[(*path, key)][0].split(":")[-2:-1]
                line = f", first on line {first[0]}" if first else ""
                self._complain(key_node, (*path, key), f"duplicate key{line}", "keep one of them")
            else:
                self.places[(*path, key, "")] = self._position(key_node.start_mark)
                values[key] = self._value(value_node, (*path, key), above)
        return values

    def _scalar(self, node: ScalarNode, path: Path_) -> Any:
        if _tag(node) == "tag:yaml.org,2002:timestamp":
            return node.value
        try:
            return YAML(typ="safe", pure=True).constructor.construct_object(node)
        except (ValueError, YAMLError, OverflowError):
            self._complain(node, path, f"{_short(node.value)!r} is no value of its tag {_tag(node)}")
            return None


def _tag(node: Node) -> str:
    return str(node.tag)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _dotted(path: Path_) -> str:
    return ".".join(str(part) for part in path if part != "")


def _unique(problems: list[Problem]) -> list[Problem]:
    return list(dict.fromkeys(problems))


def _validate(tree: _Tree) -> tuple[Config | None, list[Problem]]:
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


def _problems(tree: _Tree, error: Any) -> Iterator[Problem]:
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
    yield Problem(where, _dotted(path), message, remedy, line, column)


def _words(error: Any, path: Path_) -> tuple[str, str]:
    """What is wrong with one value, and what is expected, in the house's own words."""
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "extra_forbidden":
        known = _known_keys(path[:-1])
        return f"unknown key {_short(path[-1])!r}", _expected(str(path[-1]), known)
    if kind == "literal_error":
        options = [word.strip().strip("'") for word in context["expected"].replace(" or ", ", ").split(",")]
        noun = "strategy" if "pooling" in path else "value"
        return f"unknown {noun} {_short(value)!r}", _expected(str(value), options)
    if kind == "string_pattern_mismatch":
        return f"unknown device {_short(value)!r}", "expected auto, cpu, mps, cuda or cuda:N"
    if kind in ("model_type", "model_attributes_type"):
        return f"expected keys below it, not {_short(value)!r}", f"one of {', '.join(_known_keys(path))}"
    expectation = (
        str(error["msg"])
        .replace("Input should be ", "")
        .replace("a valid ", "a ")
        .replace("a integer", "an integer")
    )
    return f"{_short(_yaml(value))} is not valid", f"expected {expectation}"


def _yaml(value: object) -> str:
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def _expected(word: str, options: Sequence[str]) -> str:
    listing = ", ".join(options[:-1]) + " or " + options[-1] if len(options) > 1 else "".join(options)
    close = difflib.get_close_matches(word[:60], options, n=1, cutoff=0.5)
    return f"expected {listing}" + (f"; did you mean {close[0]!r}?" if close else "")


def _known_keys(path: Path_) -> list[str]:
    section: Any = Config
    for part in path:
        section = section.model_fields[part].annotation
    return list(section.model_fields)
