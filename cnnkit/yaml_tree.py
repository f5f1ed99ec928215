"""YAML text → plain values that know where in the text they stand.

The YAML is composed to a tree of nodes with positions and never constructed, so that no tag can run
code, and turned into plain values here under a budget, so that no alias can explode.
"""

from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from cnnkit.errors import Problem

LARGEST_TREE = 10_000  # values, aliases followed
SCALAR_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "timestamp")}
KeyPath = tuple[str | int, ...]


@dataclass
class YamlTree:
    """Plain values, and where in the text each key and value stands."""

    name: str
    text: str
    values: dict[str, Any] = field(default_factory=dict)
    places: dict[KeyPath, tuple[str, str, int]] = field(default_factory=dict)  # where, line, column
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
        fragment = YamlTree(where, value, budget=self.budget)
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

    def place(self, path: KeyPath) -> tuple[str, str, int]:
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

    def _complain(self, node: Node, path: KeyPath, message: str, remedy: str = "") -> None:
        where, line, column = self._position(node.start_mark)
        self.problems.append(Problem(where, dotted(path), message, remedy, line, column))

    def _value(self, node: Node, path: KeyPath, above: tuple[int, ...]) -> Any:
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
            self._complain(node, path, f"the tag {short(_tag(node))} is not allowed", "write a plain value")
        return None

    def _mapping(self, node: MappingNode, path: KeyPath, above: tuple[int, ...]) -> dict[str, Any]:
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

    def _scalar(self, node: ScalarNode, path: KeyPath) -> Any:
        if _tag(node) == "tag:yaml.org,2002:timestamp":
            return node.value
        try:
            return YAML(typ="safe", pure=True).constructor.construct_object(node)
        except (ValueError, YAMLError, OverflowError):
            self._complain(node, path, f"{short(node.value)!r} is no value of its tag {_tag(node)}")
            return None


def _tag(node: Node) -> str:
    return str(node.tag)


def short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def dotted(path: KeyPath) -> str:
    return ".".join(str(part) for part in path if part != "")
