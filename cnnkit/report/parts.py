"""Draws the parts of a page one by one: where one fails, its sections say so, and the rest stands."""

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")


class Parts:
    """failures: why a section could not be drawn, by the section's id."""

    def __init__(self) -> None:
        self.failures: dict[str, str] = {}

    def draw(self, sections: str, part: Callable[[], T], instead: U) -> T | U:
        """What `part` gives, or `instead` where it fails. sections: their ids, with spaces between."""
        try:
            return part()
        except Exception as error:  # whatever it is: the numbers are what counts
            self.failures |= dict.fromkeys(sections.split(), reason(error))
            return instead


def reason(error: Exception) -> str:
    """An error in one line."""
    words = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
