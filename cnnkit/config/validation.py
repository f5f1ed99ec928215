"""Values that know their place → `Config`, or every problem in our own words."""

import json
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from cnnkit.config.choices import NO_NAME, NOT_OWN, UNKNOWN_NAME, UNKNOWN_SETTING, WRONG_SETTING
from cnnkit.config.schema import Config
from cnnkit.config.suggestions import guess, nearest_key
from cnnkit.config.types import UNION_TAGS, Inconsistent
from cnnkit.config.yaml_tree import KeyPath, YamlTree, dotted, short
from cnnkit.errors import Problem, UsageError
from cnnkit.words import listed

LIST_ERRORS = ("tuple_type", "too_short", "too_long", "missing")
EXAMPLES: dict[object, object] = {  # of lists that are empty by default
    **{"size": [32, 32], "classes": ["cat", "dog"], "images": [400, 50, 100]},
    "tracking": ["mlflow"],
}
EXPECTED = {  # by pydantic's type of the error, with the values of its context
    "int_type": "an integer",
    "float_type": "a number",
    "bool_type": "a boolean",
    "string_type": "a string",
    "literal_error": "{expected}",
    "finite_number": "a finite number",
    "greater_than": "greater than {gt:.19g}",
    "greater_than_equal": "greater than or equal to {ge:.19g}",
    "less_than": "less than {lt:.19g}",
    "less_than_equal": "less than or equal to {le:.15g}",
}


def validate(tree: YamlTree) -> tuple[Config | None, list[Problem]]:
    """The configuration, or what is wrong with it.

    Keys that are wrong are taken out of the tree's values and the rest is checked again, so that a wrong
    value hides no other mistake; what follows only from a key that was taken out is not told.
    """
    problems: list[Problem] = []
    wrong = {dotted(path) for path in tree.broken}
    while True:
        try:
            return Config.model_validate(tree.values), problems
        except ValidationError as failure:
            paths: set[KeyPath] = set()
            for error in failure.errors():
                paths |= _note(tree, error, paths, wrong, problems)
            taken_out = {dotted(key) for path in paths if (key := _take_out(tree.values, path))}
            if not taken_out:
                return None, problems
            wrong |= taken_out


def refusal_of(path: KeyPath, value: object) -> str:
    """What is wrong with a value of one key, in words; empty where it may be the value."""
    values: Any = value
    for part in reversed(path):
        values = {part: values}
    try:
        Config.model_validate(values)
    except ValidationError as failure:
        return ", ".join(_words(failure.errors()[0], path))
    return ""


def known_trackers(names: Sequence[str], option: str) -> list[str]:
    """Each once. option: what they were given as. Raises UsageError where no configuration would take one."""
    for name in names:
        if refusal := refusal_of(("tracking",), [name]):
            raise UsageError(f"{option}{name}: {refusal}")
    return list(dict.fromkeys(names))


def _note(
    tree: YamlTree, error: Any, before: set[KeyPath], wrong: set[str], problems: list[Problem]
) -> set[KeyPath]:
    """Adds the problems that an error of pydantic tells of; returns the key paths that it is about."""
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, Inconsistent):
        for complaint in cause.complaints:
            if not wrong & complaint.depends:
                place = tree.place(tuple(complaint.key.split(".")))
                problems.append(Problem(place, complaint.key, complaint.message, complaint.remedy))
        return {tuple(complaint.key.split(".")) for complaint in cause.complaints}
    whole = _key_path(error["loc"], tree.values)
    path = (*whole, *error.get("ctx", {}).get("below", ()))
    if not any(path == other[: len(path)] for other in before):
        unknown = error["type"] in ("extra_forbidden", UNKNOWN_SETTING) and path in tree.key_places
        place = tree.key_places[path] if unknown else tree.place(path)
        problems.append(Problem(place, dotted(path), *_words(error, path)))
    return {whole if error["type"] in (UNKNOWN_NAME, NOT_OWN) else path}  # without its name a choice is none


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


def _take_out(values: dict[str, object], path: KeyPath) -> KeyPath:
    """Removes the innermost key of a path, and returns its path; empty where it is not there."""
    section: Any = values
    for depth, part in enumerate(path, 1):
        if part not in section:
            return ()
        if depth == len(path) or not isinstance(section[part], dict):
            del section[part]
            return path[:depth]
        section = section[part]
    return ()


def _words(error: Any, path: KeyPath) -> tuple[str, str]:
    """What is wrong with one value, and what is expected."""
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    for part in context.get("below", ()):
        value = value[part]
    if kind == "extra_forbidden":
        return f"unknown key {short(path[-1])!r}", _expected_key(path)
    if kind == UNKNOWN_NAME:
        noun = "strategy" if "pooling" in path else "value"
        if value is None:
            return f"there is no {noun}", _expected("", context["names"])
        return f"unknown {noun} {short(value)!r}", _expected(short(value), context["names"])
    if kind == UNKNOWN_SETTING:
        return f"unknown key {short(path[-1])!r}", _expected(str(path[-1]), context["keys"])
    if kind == WRONG_SETTING:
        return f"{short(_yaml(value))} is not valid", f"expected {context['expected']}"
    if kind == NOT_OWN:
        return context["words"], context["remedy"]
    if kind == NO_NAME:
        return (
            f"{short(value)} has no name",
            "such as {name: top, t: 5}" if "head" in path else "such as {name: soft, beta: 2}",
        )
    if kind == "string_pattern_mismatch" and path == ("runtime", "device"):
        return f"unknown device {short(value)!r}", "expected auto, cpu, mps, cuda or cuda:N"
    if kind in ("string_pattern_mismatch", "string_unicode"):
        return f"{short(value)!a} is not valid", "expected text that names a folder"
    if kind in LIST_ERRORS:
        what = "a value is missing" if kind == "missing" else f"{short(_yaml(value))} is not valid"
        of_two = " of 2 values" if {"betas", "size"} & {*path} else ""
        return what, f"expected a list{of_two}, such as {_example(path)}"
    if kind in ("model_type", "model_attributes_type"):
        return f"expected keys below it, not {short(value)!r}", f"one of {', '.join(_known_keys(path))}"
    expected = EXPECTED[kind].format_map(context) if kind in EXPECTED else error["msg"]
    return f"{short(_yaml(value))} is not valid", f"expected {expected}"


def _yaml(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if value is None or isinstance(value, bool | str) else value


def _expected(word: str, options: Sequence[str]) -> str:
    return f"expected {listed(options, 'or')}{guess(short(word), options)}"


def _expected_key(path: KeyPath) -> str:
    """The keys there are where an unknown one stands; or the key that is meant, if it stands elsewhere."""
    expected = f"expected {listed(_known_keys(path[:-1]), 'or')}"
    if (meant := nearest_key(dotted(path))) is None:
        return expected
    home, _, name = meant.rpartition(".")
    return f"{expected}; did you mean {name!r}?" if home == dotted(path[:-1]) else f"did you mean {meant!r}?"


def _example(path: KeyPath) -> str:
    default: Any = Config()
    for part in path:
        default = getattr(default, str(part), default)
    return json.dumps(default or next((EXAMPLES[part] for part in path if part in EXAMPLES), default))


def _known_keys(path: KeyPath) -> list[str]:
    section: Any = Config
    for part in path:
        section = section.model_fields[part].annotation
    return list(section.model_fields)
