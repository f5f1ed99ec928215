"""YAML text → plain values that know where in the text they stand.

The YAML is composed to a tree of nodes with positions and never constructed, so that no tag can run
code, and turned into plain values here under a budget, so that no alias can explode.
"""

import re
import warnings
from collections.abc import Set
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from cnnkit.errors import ConfigError, Place, Problem

LARGEST_TREE = 10_000  # values, aliases followed
DEEPEST_KEY = 3  # parts, as in data.augment.zoom
LARGEST_INTEGER = 1_000  # bits
LONGEST_SHOWN = 200  # characters of a line
TAG = "tag:yaml.org,2002:"
SCALAR_TAGS = {TAG + name for name in ("null", "bool", "int", "float", "str", "timestamp")}
KeyPath = tuple[str | int, ...]


class _Unreadable(Exception):
    """A value that cannot be used; its problem is noted already."""


class _TooLarge(_Unreadable):
    """A tree of which no more is read."""


@dataclass
class YamlTree:
    """The values of a text. in_file: whether its places have rows and columns; an override's do not.

    broken: the keys whose values could not be read.
    """

    name: str
    text: str
    in_file: bool = True
    values: dict[str, object] = field(default_factory=dict)
    places: dict[KeyPath, Place] = field(default_factory=dict)  # of the values
    key_places: dict[KeyPath, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    broken: set[KeyPath] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.text = re.sub("\r\n?", "\n", self.text)
        self._constructor = YAML(typ="safe", pure=True).constructor
        self._seen: set[int] = set()
        self._visits = 0

    def read(self) -> None:
        """Fills `values`; notes the problems."""
        node = self._compose()
        if isinstance(node, MappingNode):
            self.values = self._read_node(node, ()) or {}
        elif node is not None:
            message = "expected `key: value` lines at the top"
            self._complain(self._place(node.start_mark), (), message, "see `cnnkit config list`")
        elif not self.problems:
            self._complain(Place(self.name), (), "the file is empty", "`cnnkit config copy mnist` makes one")

    def override(self, text: str, sections: Set[KeyPath], flag: str) -> None:
        """Puts one `dotted.key=value` on top of what is there.

        sections: the keys that hold keys. flag: the option that it came with, if any.
        """
        key, equals, value = text.partition("=")
        place, path = Place(f"{flag} {text}".strip()), tuple(key.strip().split("."))
        if not equals or not all(path):
            self._complain(place, (), "expected KEY=VALUE", "such as model.pooling=avg")
            return
        if len(path) > DEEPEST_KEY:
            self._complain(place, (), f"no key has more than {DEEPEST_KEY} parts")
            return
        fragment = YamlTree(place.source, value, in_file=False)
        parsed = fragment.parse(path)
        self.problems += fragment.problems
        self.broken |= fragment.broken
        if not fragment.problems and (section := self._section_of(path, place, sections)) is not None:
            section[path[-1]] = parsed
            self.places = {k: v for k, v in self.places.items() if k[: len(path)] != path}
            self.places[path] = place

    def parse(self, path: KeyPath = ()) -> Any:
        """The value of the whole text, which is that of a key path. None where it cannot be read."""
        node = self._compose()
        return None if node is None else self._read_node(node, path)

    def place(self, path: KeyPath) -> Place:
        """Where a key path stands, or the nearest above it that stands anywhere."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        return Place(self.name)

    def complain_of(self, path: KeyPath, message: str, remedy: str) -> None:
        """Notes a problem of the value at a key path."""
        self._complain(self.place(path), path, message, remedy)

    def _section_of(self, path: tuple[str, ...], place: Place, sections: Set[KeyPath]) -> Any:
        """The mapping that holds a key, made where it is missing; None where a wrong value is in its way."""
        target = self.values
        for depth, part in enumerate(path[:-1], 1):
            below = target.get(part)
            if not isinstance(below, dict):
                if below is not None and path[:depth] in sections:
                    return None
                self.places[path[:depth]] = place
                below = target[part] = {}
            target = below
        return target

    def _compose(self) -> Node | None:
        try:
            return _composed(self.text)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            message = " ".join(str(part) for part in (error.context, error.problem) if part)
            self._complain(self._place(mark) if mark else Place(self.name), (), f"not YAML: {message}")
        except RecursionError:
            self._complain(Place(self.name), (), "nested too deeply")
        except Exception as error:  # the parser fails in its own ways on numbers and escapes out of range
            first = str(error).strip().splitlines()[:1] or [type(error).__name__]
            self._complain(Place(self.name), (), f"not YAML: {first[0]}")
        return None

    def _place(self, mark: Any) -> Place:
        """The parser's own rows would count line breaks that editors do not, such as U+2028."""
        if not self.in_file:
            return Place(self.name)
        start = self.text.rfind("\n", 0, mark.index) + 1
        row, column = self.text.count("\n", 0, mark.index) + 1, mark.index - start + 1
        line = self.text[start : start + LONGEST_SHOWN].partition("\n")[0]
        return Place(self.name, row, column, line if column <= LONGEST_SHOWN else "")

    def _complain(self, place: Place, path: KeyPath, message: str, remedy: str = "") -> None:
        self.problems.append(Problem(place, dotted(path), message, remedy))

    def _refuse(self, node: Node, path: KeyPath, message: str, remedy: str = "") -> _Unreadable:
        self._complain(self._place(node.start_mark), path, message, remedy)
        return _Unreadable()

    def _read_node(self, node: Node, path: KeyPath) -> Any:
        try:
            return self._value(node, path, ())
        except RecursionError:
            self._complain(Place(self.name), (), "nested too deeply")
        except _Unreadable:
            self.broken.add(path)
        return None

    def _value(self, node: Node, path: KeyPath, above: tuple[int, ...]) -> Any:
        aliased = id(node) in self._seen
        self._seen.add(id(node))
        self._visits += 1
        self.places.setdefault(path, self._place(node.start_mark))
        if id(node) in above:
            raise self._refuse(node, path, "an anchor that contains itself", "write the value out")
        if self._visits > LARGEST_TREE:
            cause = "aliases repeat it to" if aliased else "it holds"
            raise _TooLarge from self._refuse(node, path, f"{cause} over {LARGEST_TREE:,} values")
        if isinstance(node, MappingNode) and node.tag == TAG + "map":
            return self._mapping(node, path, (*above, id(node)))
        if isinstance(node, SequenceNode) and node.tag == TAG + "seq":
            return [self._value(item, (*path, i), (*above, id(node))) for i, item in enumerate(node.value)]
        if isinstance(node, ScalarNode) and node.tag in SCALAR_TAGS:
            return self._scalar(node, path)
        raise self._refuse(node, path, f"the tag {short(node.tag)} is not allowed", "write a plain value")

    def _mapping(self, node: MappingNode, path: KeyPath, above: tuple[int, ...]) -> dict[str, object]:
        values: dict[str, object] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode) or not _is_text(key_node.value):
                raise self._refuse(key_node, path, "a key must be a plain word")
            below, place = (*path, key_node.value), self._place(key_node.start_mark)
            if first := self.key_places.get(below):
                told = f", first on line {first.row}" if first.row else ""
                self._complain(place, below, f"duplicate key{told}", "keep one of them")
                continue
            self.key_places[below] = place
            if value_node.start_mark.index == value_node.end_mark.index:
                self.places[below] = place  # an empty value stands at its key
            try:
                values[key_node.value] = self._value(value_node, below, above)
            except _TooLarge:
                raise
            except _Unreadable:
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


@lru_cache(maxsize=64)  # a run reads its own configuration five times, and the parser takes 5 ms each time
def _composed(text: str) -> Node | None:
    """The tree of nodes, which nobody may change. Raises what the parser raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an anchor that is given again, which YAML 1.2 allows
        return YAML(typ="safe", pure=True).compose(text)  # type: ignore[no-any-return]


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
    values = tree.parse()
    if tree.problems:
        raise ConfigError(tree.problems)
    return values if isinstance(values, list) else []
