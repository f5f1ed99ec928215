"""Keys whose value is one of some names, which may still grow while the program runs.

`OneOf`: a name. `Chosen`: a name, or a mapping of a name and its settings.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from cnnkit.families.settings import LEARNED, Choice, choice_of

# Types of errors. The context of the first holds `names`. `below` leads from the value to what is wrong.
UNKNOWN_NAME, NO_NAME = "unknown_name", "no_name"
UNKNOWN_SETTING, WRONG_SETTING = "unknown_setting", "wrong_setting"


@dataclass(frozen=True, eq=False)
class OneOf:
    """Put into `Annotated[str, OneOf(names)]`. names: a registry, or a tuple of words.

    A `Literal` would fix the names when the schema is built; a registry's are asked at each validation.
    """

    names: Collection[str]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._known)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"enum": list(self.names), "type": "string"}

    def _known(self, value: object) -> object:
        if isinstance(value, str) and value in self.names:
            return value
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
    ) -> dict[str, Any]:
        with_settings = [_object(entry) for entry in self.registry.values() if entry.settings]
        return {"anyOf": [{"enum": list(self.registry), "type": "string"}, *with_settings]}

    def _known(self, value: object) -> object:
        if isinstance(value, Choice):
            value = value.plain
        given = value if isinstance(value, dict) else {"name": value}
        if "name" not in given:
            raise PydanticCustomError(NO_NAME, "expected a name", {"below": ()})
        name = given["name"]
        if not isinstance(name, str) or name not in self.registry:
            below = ("name",) if given is value else ()
            told: dict[str, Any] = {"names": list(self.registry), "below": below}
            raise PydanticCustomError(UNKNOWN_NAME, "expected one of {names}", told)
        settings = {setting.name: setting for setting in self.registry[name].settings}
        for key in given:
            if key != "name" and key not in settings:
                told = {"below": (key,), "keys": ["name", *settings]}
                raise PydanticCustomError(UNKNOWN_SETTING, "unknown key", told)
        chosen = {}
        for key, setting in settings.items():
            try:
                checked = setting.checked(given.get(key, setting.default))
            except ValueError as error:
                told = {"below": (key,), "expected": str(error)}
                raise PydanticCustomError(WRONG_SETTING, "expected {expected}", told) from error
            if checked != setting.default:
                chosen[key] = checked
        return Choice(name, chosen) if chosen else name


def _object(entry: Any) -> dict[str, Any]:
    """The JSON Schema of a mapping that names this entry."""
    properties: dict[str, Any] = {"name": {"const": entry.name}}
    for setting in entry.settings:
        kind = "integer" if setting.whole else "number"
        number = {"type": kind, "minimum": setting.least, "maximum": setting.most}
        values = {"anyOf": [number, {"const": LEARNED}]} if setting.learnable else number
        properties[setting.name] = {"description": setting.summary, "default": setting.default, **values}
    rest = {"properties": properties, "required": ["name"], "additionalProperties": False}
    return {"type": "object", **rest}
