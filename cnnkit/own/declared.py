"""What an own class declares, read from its source: settings, channels, costs. The source is not run."""

import ast
import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnkit.errors import OwnCodeError
from cnnkit.own.formulas import computed, names_in
from cnnkit.own.names import Reference
from cnnkit.own.sources import source_of

KINDS: dict[str, type] = {"float": float, "int": int, "bool": bool, "str": str}
GIVEN = ("k", "channels")  # what cnnkit gives a class that asks for it; all else are settings
FORMULAS = ("weights", "products", "values_seen")
# The attributes that cnnkit reads, and the types of their values.
ATTRIBUTES: dict[str, tuple[type, ...]] = {
    "multiplies_channels": (int,),
    "parts": (tuple, list),
    "formula": (str,),
    **dict.fromkeys(FORMULAS, (str, int, type(None))),
    **dict.fromkeys(("no_negatives", "makes_negatives", "draws"), (bool,)),
}


@dataclass(frozen=True)
class Keyword:
    """A setting of an own class: a keyword argument. choices: the only values; empty: any of its kind."""

    name: str
    kind: type
    choices: tuple[Any, ...] = ()
    default: Any = None
    required: bool = False
    summary: str = ""

    @property
    def expected(self) -> str:
        if self.choices:
            return " or ".join(str(choice) for choice in self.choices)
        return {float: "a finite number", int: "a whole number", bool: "true or false", str: "text"}[
            self.kind
        ]

    def checked(self, value: object) -> Any:
        """The value as it is kept. Raises ValueError where it is none."""
        if self.choices:
            fits = any(value == choice and type(value) is type(choice) for choice in self.choices)
        elif self.kind is float:
            fits = type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]
        else:
            fits = type(value) is self.kind
        if not fits:
            raise ValueError(self.expected)
        return float(value) if self.kind is float and not self.choices else value  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)  # one object for a reference
class Declared:
    """summary: the first line of its docstring. asks: which of k and channels it is built with."""

    reference: Reference
    summary: str
    keywords: tuple[Keyword, ...]
    asks: tuple[str, ...]
    attributes: Mapping[str, Any]

    def entry(self, family: str) -> dict[str, Any]:
        """What an entry of any family says of the class. family: such as `pooling`."""
        return {
            "name": str(self.reference),
            "path": self.reference.place,
            "kind": self.reference.name,
            "summary": self.summary or f"an own {family}",
            "formula": self.attributes.get("formula", ""),
            "settings": self.keywords,
            "counted": self.attributes.get("products") is not None,
            "declared": self,
        }

    def cost(self, **numbers: Any) -> tuple[int, int]:
        """(weights, products for each value) by its formulas; 0 where there is none. Raises OwnCodeError."""
        weights, products = (self.number(formula, numbers) or 0 for formula in ("weights", "products"))
        return weights, products

    def number(self, formula: str, numbers: Mapping[str, Any]) -> int | None:
        """What the formula in an attribute comes to; None where there is none. Raises OwnCodeError."""
        text = self.attributes.get(formula)
        if text is None:
            return None
        numbers = {**{keyword.name: keyword.default for keyword in self.keywords}, **numbers}
        try:
            for name in names_in(str(text)):
                if name in numbers and numbers[name] is None:
                    raise ValueError(f"it depends on {name}, which has no default")
            return computed(str(text), numbers)
        except ValueError as error:
            raise OwnCodeError(f"{self.reference.shown}: {formula}: {error}") from error


@functools.lru_cache(maxsize=256)
def declared(named: Reference) -> Declared:
    """What the class of a reference with a hash declares. Raises OwnCodeError where it cannot be used."""
    source = source_of(named)
    try:
        tree = ast.parse(source.text)
    except SyntaxError as error:
        line = f"\n      {error.text.strip()}" if error.text else ""
        raise OwnCodeError(f"{source.origin}:{error.lineno}: {error.msg}{line}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise OwnCodeError(f"{source.origin} cannot be read as Python: {error}") from error
    _refuse_files_beside(named, tree)
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    if named.name not in classes:
        there = f"its classes are {', '.join(classes)}" if classes else "there is no class in it"
        raise OwnCodeError(f"{source.origin} has no class {named.name} at its top; {there}")
    return _Reader(named, classes).read()


def _refuse_files_beside(named: Reference, tree: ast.Module) -> None:
    """A run keeps the one file: what lies beside it would be gone, or another, when the run is opened."""
    if not named.is_file:
        return
    folder = Path(named.place).parent
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = ["." * node.level] if node.level else [node.module or ""]
        for name in names:
            first = name.partition(".")[0]
            lies = [path for path in (f"{first}.py", f"{first}/__init__.py") if (folder / path).is_file()]
            if not first or lies:
                beside = lies[0] if first else "its own package"
                raise OwnCodeError(
                    f"{named.place} imports {beside}, which a run would not keep: put all of it into one "
                    f"file, or install it as a package and name package.module:{named.name}"
                )


class _Reader:
    def __init__(self, named: Reference, classes: Mapping[str, ast.ClassDef]) -> None:
        self.named = named
        self.classes = classes

    def read(self) -> Declared:
        lineage = list(self._lineage(self.named.name))
        attributes: dict[str, object] = {}
        for node in reversed(lineage):
            attributes |= self._attributes(node)
        begins = (f for node in lineage for f in node.body if isinstance(f, ast.FunctionDef))
        init = next((f for f in begins if f.name == "__init__"), None)
        asks, keywords = ((), ()) if init is None else self._arguments(init)
        summary = (ast.get_docstring(lineage[0]) or "").strip().partition("\n")[0].strip()
        parts, times = attributes.get("parts"), attributes.get("multiplies_channels", 1)
        if isinstance(parts, tuple | list) and parts and len(parts) != times:
            words = f"parts names {len(parts)} maps, and multiplies_channels is {times}: each part has a name"
            raise self._refusal(lineage[0].lineno, words)
        for formula in FORMULAS:
            self._refuse_text_in(formula, attributes.get(formula), keywords, lineage[0].lineno)
        return Declared(self.named, summary, keywords, asks, attributes)

    def _refuse_text_in(self, of: str, formula: object, keywords: tuple[Keyword, ...], line: int) -> None:
        texts = {keyword.name for keyword in keywords if keyword.kind is str}
        for name in names_in(formula) & texts if isinstance(formula, str) else ():
            raise self._refusal(line, f"{of} is a formula of numbers, and {name} is text")

    def _lineage(self, name: str, seen: tuple[str, ...] = ()) -> Iterator[ast.ClassDef]:
        """The class, then those of the same file that it is derived from."""
        if name in seen or name not in self.classes:
            return
        yield self.classes[name]
        for base in self.classes[name].bases:
            if isinstance(base, ast.Name):
                yield from self._lineage(base.id, (*seen, name))

    def _refusal(self, line: int, words: str) -> OwnCodeError:
        return OwnCodeError(f"{source_of(self.named).origin}:{line}: {self.named.name}: {words}")

    def _attributes(self, node: ast.ClassDef) -> Iterator[tuple[str, Any]]:
        for line in node.body:
            targets = line.targets if isinstance(line, ast.Assign) else []
            if isinstance(line, ast.AnnAssign) and line.value is not None:
                targets = [line.target]
            for target in targets:
                if isinstance(target, ast.Name) and target.id in ATTRIBUTES:
                    yield target.id, self._attribute(target.id, line)

    def _attribute(self, name: str, line: Any) -> Any:
        try:
            value = ast.literal_eval(line.value)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            value = ...
        kinds = ATTRIBUTES[name]
        fits = isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
        if name == "parts":
            fits = fits and all(isinstance(part, str) for part in value)
            value = tuple(value) if fits else value
        if name == "multiplies_channels":
            fits = fits and 1 <= value <= 1000
        if not fits:
            what = " or ".join("a formula" if k is str and name in FORMULAS else k.__name__ for k in kinds)
            raise self._refusal(line.lineno, f"{name} is to be written out, as {what}: it is read, not run")
        return value

    def _arguments(self, init: ast.FunctionDef) -> tuple[tuple[str, ...], tuple[Keyword, ...]]:
        plain = [*init.args.posonlyargs, *init.args.args][1:]
        if any(argument in init.args.posonlyargs for argument in plain):
            raise self._refusal(init.lineno, "arguments are given by their names: leave out the /")
        given = [*init.args.defaults][-len(plain) :] if plain else []
        defaults: list[ast.expr | None] = [*[None] * (len(plain) - len(given)), *given]
        pairs = [*zip(plain, defaults, strict=True)]
        pairs += zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True)
        asks = tuple(argument.arg for argument, _ in pairs if argument.arg in GIVEN)
        return asks, tuple(self._keyword(a, default) for a, default in pairs if a.arg not in GIVEN)

    def _keyword(self, argument: ast.arg, default: ast.expr | None) -> Keyword:
        name, line = argument.arg, argument.lineno
        kind, choices = self._kind(name, line, argument.annotation)
        if name == "name":
            raise self._refusal(line, "a setting cannot be called name: choose another word")
        if default is None:
            return Keyword(name, kind, choices, required=True)
        keyword = Keyword(name, kind, choices)
        try:
            value = keyword.checked(ast.literal_eval(default))
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
            words = f"the default of {name} is to be written out, as {keyword.expected}"
            raise self._refusal(line, words) from error
        return Keyword(name, kind, choices, value)

    def _kind(self, name: str, line: int, annotation: ast.expr | None) -> tuple[type, tuple[Any, ...]]:
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            try:
                annotation = ast.parse(annotation.value, mode="eval").body
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                annotation = None
        if isinstance(annotation, ast.Name) and annotation.id in KINDS:
            return KINDS[annotation.id], ()
        if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value).endswith("Literal"):
            inner = annotation.slice
            parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            values = tuple(part.value for part in parts if isinstance(part, ast.Constant))
            if len(values) == len(parts) and all(type(value) in KINDS.values() for value in values):
                return type(values[0]), values
        raise self._refusal(
            line,
            f"{name} has no annotation that is a setting's: write {name}: float, int, bool, str or "
            f"Literal[…]. cnnkit itself gives {' and '.join(GIVEN)} alone",
        )
