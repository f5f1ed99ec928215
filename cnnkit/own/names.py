"""What names an own class: `my_pool.py:Quantile`, `package.module:Quantile`, and the same with a hash."""

import re
from dataclasses import dataclass

DIGITS = 32  # of the hash, hexadecimal
PATTERN = r"^.+:[A-Za-z_]\w*(@[0-9a-f]{32})?$"  # of the text that a configuration holds
_PARTS = re.compile(
    r"(?:(?P<alias>[\w.-]+)=)?(?P<place>[^=@]+):(?P<name>[A-Za-z_]\w*)(?:@(?P<hash>[0-9a-f]{32}))?"
)


@dataclass(frozen=True)
class Reference:
    """place: a file that ends in .py, from the current folder on, or a module. name: of the class in it.

    hash: of the file's bytes; empty where a person wrote none. alias: what a package calls it, else empty.
    """

    place: str
    name: str
    hash: str = ""
    alias: str = ""

    @property
    def is_file(self) -> bool:
        return self.place.endswith(".py")

    @property
    def shown(self) -> str:
        """As a person names it."""
        return self.alias or f"{self.place}:{self.name}"

    def __str__(self) -> str:
        """As a configuration is kept: with the hash, so that it can mean no other code."""
        alias = f"{self.alias}=" if self.alias else ""
        return f"{alias}{self.place}:{self.name}" + (f"@{self.hash}" if self.hash else "")


def reference(text: object) -> Reference | None:
    """What a text names; None where it is no own class's name."""
    found = _PARTS.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    return Reference(found["place"], found["name"], found["hash"] or "", found["alias"] or "")


def shown(name: str) -> str:
    """A name without the hash and the place that a person did not write; any other text as it is."""
    named = reference(name)
    return named.shown if named and named.hash else name


def in_file_names(name: str) -> str:
    """A name for a folder: of an own class its own name."""
    named = reference(name)
    return (named.alias or named.name) if named else name
