"""Frozen dataclasses that are kept as JSON."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import Self

from cnnkit.errors import DamagedFile


class Record:
    """Gives a frozen dataclass `to_dict` and `from_dict`. Its fields may be records, too."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(allow_inf_nan=False)

    def to_dict(self) -> dict[str, object]:
        """Plain values, as `json.dumps` takes them."""
        return dataclasses.asdict(self)  # type: ignore[call-overload, no-any-return]

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """The record that `to_dict` gave. Keys that the record does not know are left out.

        Raises DamagedFile where a key is missing, or a value has another type or is not finite.
        """
        record: Self = validated(cls, content)
        return record


def validated(kind: Any, content: Any) -> Any:
    """The content as a value of a type. Raises DamagedFile where it does not fit it."""
    try:
        return _adapter(kind).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the content"
        raise DamagedFile(f"{place}: {first['msg']}") from error


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
