"""Keys whose value is one of some names, which may still grow while the program runs.

`OneOf`: a name. `Chosen`: a name, or a mapping of a name and its settings.
"""

import contextlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from cnnkit.errors import OwnCodeError
from cnnkit.families.settings import LEARNED, Choice, choice_of
from cnnkit.own.names import PATTERN

# Types of errors. The context of the first holds `names`. `below` leads from the value to what is wrong.
UNKNOWN_NAME, NO_NAME = "unknown_name", "no_name"
UNKNOWN_SETTING, WRONG_SETTING = "unknown_setting", "wrong_setting"
NOT_OWN = "not_own"  # an own class that cannot be read; the context holds `words`
OWN_CLASS = {"type": "string", "pattern": PATTERN}  # the JSON Schema of its name


@dataclass(frozen=True, eq=False)
class OneOf:
    """Put into `Annotated[str, OneOf(names)]`. names: a registry, or a tuple of words.

    A `Literal` would fix the names when the schema is built; a registry's are asked at each validation. One
    that takes own classes finds them, too.
    """

    names: Collection[str]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._known)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, object]:
        plain: dict[str, object] = {"enum": list(self.names), "type": "string"}
        return {"anyOf": [plain, OWN_CLASS]} if _takes_own(self.names) else plain

    def _known(self, value: object) -> object:
        if isinstance(value, str) and value in self.names:
            return value
        if isinstance(value, str) and _takes_own(self.names):
            with contextlib.suppress(KeyError):
                return _canonical(self.names, value, ())
        raise PydanticCustomError(UNKNOWN_NAME, "expected one of {names}", {"names": list(self.names)})


@dataclass(frozen=True, eq=False)
class Chosen:
    """Put into `Annotated[str | Choice, Chosen(registry)]`: a name, or `{name: soft, beta: 2}`.

    registry: of entries that have `settings`. A value whose settings are all at their defaults is the name.
    """

    registry: Mapping[str, Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        plain = core_schema.plain_serializer_function_ser_schema(lambda value: choice_of(value).plain)
        return core_schema.no_info_plain_validator_function(self._known, serialization=plain)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, object]:
        with_settings = [_object(entry) for entry in self.registry.values() if entry.settings]
        own = {"type": "object", "properties": {"name": OWN_CLASS}, "required": ["name"]}
        plain = {"enum": list(self.registry), "type": "string"}
        return {"anyOf": [plain, OWN_CLASS, *with_settings, own]}

    def _known(self, value: object) -> object:
        if isinstance(value, Choice):
            value = value.plain
        given = value if isinstance(value, dict) else {"name": value}
        if "name" not in given:
            raise PydanticCustomError(NO_NAME, "expected a name", {"below": ()})
        below = ("name",) if given is value else ()
        try:
            name = _canonical(self.registry, given["name"], below)
        except KeyError as error:
            told: dict[str, object] = {"names": list(self.registry), "below": below}
            raise PydanticCustomError(UNKNOWN_NAME, "expected one of {names}", told) from error
        settings = {setting.name: setting for setting in self.registry[name].settings}
        for key in given:
            if key != "name" and key not in settings:
                told = {"below": (key,), "keys": ["name", *settings]}
                raise PydanticCustomError(UNKNOWN_SETTING, "unknown key", told)
        chosen = {}
        for key, setting in settings.items():
            if getattr(setting, "required", False) and key not in given:
                told = {"below": (), "words": f"{key} has no value", "remedy": f"expected {setting.expected}"}
                raise PydanticCustomError(NOT_OWN, "{words}", told)
            try:
                checked = setting.checked(given.get(key, setting.default))
            except ValueError as error:
                told = {"below": (key,), "expected": str(error)}
                raise PydanticCustomError(WRONG_SETTING, "expected {expected}", told) from error
            if checked != setting.default or getattr(setting, "required", False):
                chosen[key] = checked
        return Choice(name, chosen) if chosen else name


def _takes_own(names: Any) -> bool:
    return getattr(names, "takes_own", False)


def _canonical(registry: Any, name: object, below: tuple[str, ...]) -> str:
    """The name as it is kept. KeyError: there is none."""
    if not isinstance(name, str):
        raise KeyError(name)
    try:
        canonical: str = registry.canonical(name)
        registry[canonical]  # all of its source is read, and its mistakes are told
    except OwnCodeError as error:
        told = {"below": below, "words": str(error), "remedy": ""}
        raise PydanticCustomError(NOT_OWN, "{words}", told) from error
    return canonical


def _object(entry: Any) -> dict[str, object]:
    """The JSON Schema of a mapping that names this entry."""
    properties: dict[str, object] = {"name": {"const": entry.name}}
    for setting in entry.settings:
        kind = "integer" if setting.whole else "number"
        number = {"type": kind, "minimum": setting.least, "maximum": setting.most}
        values = {"anyOf": [number, {"const": LEARNED}]} if setting.learnable else number
        properties[setting.name] = {"description": setting.summary, "default": setting.default, **values}
    rest = {"properties": properties, "required": ["name"], "additionalProperties": False}
    return {"type": "object", **rest}
