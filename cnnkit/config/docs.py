"""What a configuration may say, told from the schema: for editors, for the README."""

import json
from collections.abc import Iterator
from typing import Any

from cnnkit.config.choices import OWN_CLASS
from cnnkit.config.schema import Config
from cnnkit.config.types import is_section

NO_LIMIT = 10**9  # a bound so high that the table leaves it out


def json_schema() -> str:
    """The JSON Schema that editors check and complete a configuration with."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}
    # pydantic says oneOf for its unions, but 0 is both a count and a fraction
    return json.dumps(schema, indent=2, ensure_ascii=False).replace('"oneOf"', '"anyOf"') + "\n"


def keys_table() -> str:
    """Every key with its values, default and one line of documentation, in Markdown."""
    rows = ["| key | values | default | what it is |", "|---|---|---|---|"]
    rows += [f"| `{key}` | {values} | `{default}` | {what} |" for key, values, default, what in key_rows()]
    return "\n".join(rows) + "\n"


def key_rows() -> list[tuple[str, str, str, str]]:
    """(key, values, default, documentation) of every key; names in the values stand in backquotes."""
    return [
        (key, _values(field_schema), _flow(default), documentation)
        for key, field_schema, default, documentation in _keys(Config, "")
    ]


def key_names() -> list[str]:
    """Every key, dotted."""
    return [key for key, *_ in _keys(Config, "")]


def example_values(key: str) -> list[str]:
    """The values that a key may have, where they have names; else its default. Empty for a list."""
    for name, schema, default, _ in _keys(Config, ""):
        if name == key:
            choices = [value for part in _parts(schema) or [schema] for value in part.get("enum", ())]
            if schema.get("type") == "boolean":
                choices = ["true", "false"]
            plain = not isinstance(default, tuple)
            return choices or [_flow(default)] * plain
    return []


def _parts(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The alternatives of a value that may be of several kinds."""
    alternatives = schema.get("oneOf") or schema.get("anyOf") or []
    return [part for one in alternatives for part in _parts(one) or [one]]


def _keys(section: Any, prefix: str) -> Iterator[tuple[str, dict[str, Any], Any, str]]:
    properties = section.model_json_schema()["properties"]
    for name, info in section.model_fields.items():
        if is_section(info.annotation):
            yield from _keys(info.annotation, f"{prefix}{name}.")
        else:
            default = getattr(section(), name)
            yield f"{prefix}{name}", properties[name], default, info.description


def _values(schema: dict[str, Any], beside: bool = False) -> str:
    """What a value may be, in words, from its JSON Schema. beside: whether other kinds are told beside it."""
    if parts := _parts(schema):
        return " or ".join(_values(part, beside=True) for part in parts)
    if schema == OWN_CLASS:
        return "`file.py:Class`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        items = schema.get("items") or schema["prefixItems"][0]
        if beside and any("enum" in part for part in _parts(items) or [items]):
            return "list of them"
        fewest, most = schema.get("minItems", 0), schema.get("maxItems")
        length = f"{fewest} " if fewest == most else ""
        return f"list of {length}{_values(items).replace('number', 'numbers', 1)}"
    if schema.get("type") == "object":  # a name with its settings
        name, *settings = schema["properties"].items()
        if name[1] == OWN_CLASS:
            return "{name: file.py:Class, …: …}"
        return f"{{name: {name[1]['const']}, {', '.join(f'{key}: …' for key, _ in settings)}}}"
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [
        f"{sign} {schema[name]}" for name, sign in bounds.items() if schema.get(name, NO_LIMIT) < NO_LIMIT
    ]
    kind = {"number": "number", "integer": "whole number", "string": "text", "boolean": "true or false"}
    return " ".join([kind.get(schema["type"], schema["type"]), ", ".join(limits)]).strip()


def _flow(value: Any) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value).replace('"', "")
