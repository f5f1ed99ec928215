"""YAML text → plain values that know where in the text they stand.

The YAML is composed to a tree of nodes with positions and never constructed, so that no tag can run
code, and turned into plain values here under a budget, so that no alias can explode.
"""

import bisect
import re
import warnings
from collections.abc import Set
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from cnnkit.errors import ConfigError, Problem

LARGEST_TREE = 10_000  # values, aliases followed
DEEPEST_KEY = 3  # parts, as in data.augment.zoom
LARGEST_INTEGER = 1_000  # bits
LONGEST_SHOWN = 200  # characters of a line
TAG = "tag:yaml.org,2002:"
SCALAR_TAGS = {TAG + name for name in ("null", "bool", "int", "float", "str", "timestamp")}
KeyPath = tuple[str | int, ...]
Place = tuple[str, str, int]  # `file:line:column` or `--set key=value`, the line, the caret's column


class _Broken(Exception):
    """A value that is not plain; its problem is noted already."""


class _TooLarge(Exception):
    """Of no use to read on; its problem is noted already."""


@dataclass
class YamlTree:
    """The values of a text. broken: the keys whose values could not be read."""

    name: str
    text: str
    values: dict[str, Any] = field(default_factory=dict)
    places: dict[KeyPath, Place] = field(default_factory=dict)  # (…, key, ""): of the key itself
    problems: list[Problem] = field(default_factory=list)
    broken: set[KeyPath] = field(default_factory=set)
    in_file: bool = True

    def __post_init__(self) -> None:
        self.text = re.sub("\r\n?", "\n", self.text)
        self._line_starts = [0, *(match.end() for match in re.finditer("\n", self.text))]
        self._constructor = YAML(typ="safe", pure=True).constructor
        self._seen: dict[int, Node] = {}
        self._visits = 0

    def read(self) -> None:
        node = self._compose()
        if isinstance(node, MappingNode):
            parsed = self._read_node(node, ())
            self.values = parsed if isinstance(parsed, dict) else {}
        elif node is not None:
            self._complain(node, (), "expected `key: value` lines at the top", "see `cnnkit config list`")
        elif not self.problems:
            remedy = "`cnnkit config copy mnist` makes one"
            self.problems.append(Problem(self.name, "", "the file is empty", remedy))

    def override(self, text: str, sections: Set[KeyPath], flag: str) -> None:
        """Puts one `dotted.key=value` on top of what is there.

        sections: the keys that hold keys. flag: the option that it came with.
        """
        key, equals, value = text.partition("=")
        where: Place = (f"{flag} {text}", "", 0)
        path = tuple(key.strip().split("."))
        if not equals or not all(path):
            self.problems.append(Problem(where[0], "", "expected KEY=VALUE", "such as model.pooling=avg"))
            return
        if len(path) > DEEPEST_KEY:
            self.problems.append(Problem(where[0], "", f"no key has more than {DEEPEST_KEY} parts"))
            return
        fragment = YamlTree(where[0], value, in_file=False)
        node = fragment._compose()
        parsed = None if node is None else fragment._read_node(node, path)
        self.problems += fragment.problems
        self.broken |= fragment.broken
        if not fragment.problems and (target := self._section_of(path, where, sections)) is not None:
            target[str(path[-1])] = parsed
            self.places = {k: v for k, v in self.places.items() if k[: len(path)] != path}
            self.places[path] = where

    def place(self, path: KeyPath) -> Place:
        """Where a key path stands, or the nearest above it that stands anywhere."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        return (self.name, "", 0)

    def complain_of(self, path: KeyPath, message: str, remedy: str) -> None:
        """Notes a problem of the value at a key path."""
        where, line, column = self.place(path)
        self.problems.append(Problem(where, dotted(path), message, remedy, line, column))

    def _section_of(self, path: KeyPath, where: Place, sections: Set[KeyPath]) -> dict[str, Any] | None:
        """The mapping that holds a key, made where it is missing; None where a wrong value is in its way."""
        target = self.values
        for depth, part in enumerate(path[:-1], 1):
            below = target.get(str(part))
            if not isinstance(below, dict):
                if below is not None and path[:depth] in sections:
                    return None
                self.places[path[:depth]] = where
                below = target[str(part)] = {}
            target = below
        return target

    def _compose(self) -> Node | None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of an anchor that is given again, which YAML 1.2 allows
                return YAML(typ="safe", pure=True).compose(self.text)  # type: ignore[no-any-return]
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            message = " ".join(str(part) for part in (error.context, error.problem) if part)
            where, line, column = self._position(mark) if mark else (self.name, "", 0)
            self.problems.append(Problem(where, "", f"not YAML: {message}", "", line, column))
        except RecursionError:
            self.problems.append(Problem(self.name, "", "nested too deeply"))
        except Exception as error:  # the parser fails in its own ways on numbers and escapes out of range
            first = str(error).strip().splitlines()[:1] or [type(error).__name__]
            self.problems.append(Problem(self.name, "", f"not YAML: {first[0]}"))
        return None

    def _position(self, mark: Any) -> Place:
        if not self.in_file:
            return (self.name, "", 0)
        row = bisect.bisect_right(self._line_starts, mark.index) - 1
        column = mark.index - self._line_starts[row]
        line = self.text[self._line_starts[row] :].partition("\n")[0]
        shown = (line[:LONGEST_SHOWN], column) if column < LONGEST_SHOWN else ("", 0)
        return (f"{self.name}:{row + 1}:{column + 1}", *shown)

    def _complain(self, node: Node, path: KeyPath, message: str, remedy: str = "") -> None:
        where, line, column = self._position(node.start_mark)
        self.problems.append(Problem(where, dotted(path), message, remedy, line, column))

    def _refuse(self, node: Node, path: KeyPath, message: str, remedy: str = "") -> _Broken:
        self._complain(node, path, message, remedy)
        return _Broken()

    def _read_node(self, node: Node, path: KeyPath) -> Any:
        try:
            return self._value(node, path, ())
        except RecursionError:
            self.problems.append(Problem(self.name, "", "nested too deeply"))
        except (_Broken, _TooLarge):
            self.broken.add(path)
        return None

    def _value(self, node: Node, path: KeyPath, above: tuple[int, ...]) -> Any:
        aliased = id(node) in self._seen
        self._seen[id(node)] = node
        self._visits += 1
        self.places.setdefault(path, self._position(node.start_mark))
        if id(node) in above:
            raise self._refuse(node, path, "an anchor that contains itself", "write the value out")
        if self._visits > LARGEST_TREE:
            cause = "aliases repeat it to" if aliased else "it holds"
            self._complain(node, path, f"{cause} over {LARGEST_TREE:,} values")
            raise _TooLarge
        if isinstance(node, MappingNode) and node.tag == TAG + "map":
            return self._mapping(node, path, (*above, id(node)))
        if isinstance(node, SequenceNode) and node.tag == TAG + "seq":
            return [self._value(item, (*path, i), (*above, id(node))) for i, item in enumerate(node.value)]
        if isinstance(node, ScalarNode) and node.tag in SCALAR_TAGS:
            return self._scalar(node, path)
        raise self._refuse(node, path, f"the tag {short(node.tag)} is not allowed", "write a plain value")

    def _mapping(self, node: MappingNode, path: KeyPath, above: tuple[int, ...]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode) or not _is_text(key_node.value):
                raise self._refuse(key_node, path, "a key must be a plain word")
            below = (*path, key_node.value)
            if (*below, "") in self.places:
                line = self.places[(*below, "")][0].removeprefix(self.name).split(":")[1:2]
                first = f", first on line {line[0]}" if line else ""
                self._complain(key_node, below, f"duplicate key{first}", "keep one of them")
                continue
            self.places[(*below, "")] = self._position(key_node.start_mark)
            if value_node.start_mark.index == value_node.end_mark.index:
                self.places[below] = self.places[(*below, "")]  # an empty value stands at its key
            try:
                values[key_node.value] = self._value(value_node, below, above)
            except _Broken:
                self.broken.add(below)
        return values

    def _scalar(self, node: ScalarNode, path: KeyPath) -> Any:
        if node.tag == TAG + "timestamp":
            return node.value
        kind = str(node.tag).removeprefix(TAG)
        try:
            value = self._constructor.construct_object(node)
        except Exception as error:  # as above: `!!int ''` and its like
            raise self._refuse(node, path, f"{short(node.value)!r} is no {kind}") from error
        if isinstance(value, int) and value.bit_length() > LARGEST_INTEGER:
            raise self._refuse(node, path, f"{short(node.value)} is too large a number")
        return value


def short(value: object) -> str:
    """The text of a value, cut where it would fill the screen."""
    try:
        text = str(value)
    except (ValueError, RecursionError):  # Python refuses to write out numbers of over 4300 digits
        return "a value too large to show"
    return text if len(text) <= 60 else text[:57] + "..."


def _is_text(word: str) -> bool:
    """Whether a word can be written down: YAML's escapes can also make halves of characters."""
    return not any("\ud800" <= character <= "\udfff" for character in word)


def dotted(path: KeyPath) -> str:
    return ".".join(str(part) for part in path if part != "")


def read_flow_list(text: str, where: str) -> list[Any]:
    """`0, [5, 3], max` -> the values that YAML reads in [0, [5, 3], max]. Raises ConfigError."""
    tree = YamlTree(where, f"[{text}]", in_file=False)
    node = tree._compose()
    values = None if node is None else tree._read_node(node, ())
    if tree.problems:
        raise ConfigError(tree.problems)
    return values if isinstance(values, list) else []
