"""`OneOf`: a key whose value is one of some names, which may still grow while the program runs."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

UNKNOWN_NAME = "unknown_name"  # type of the error, whose context holds `names`


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
