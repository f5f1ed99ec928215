"""What a pooling or a head may be told beside its name: `Setting`, and `Choice`, a name with its settings."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cnnkit.own.declared import Keyword
from cnnkit.own.names import shown

LEARNED = "learned"  # the value of a setting that training finds


@dataclass(frozen=True)
class Setting:
    """A number that a configuration may give, such as `beta` of `{name: soft, beta: 2}`.

    least, most: its range. whole: whether it counts something.
    learnable: whether it may be `learned`: one number for each feature map, which begins at `default`.
    """

    name: str
    default: float
    summary: str
    least: float = 0.0
    most: float = 1000.0
    whole: bool = False
    learnable: bool = False

    @property
    def expected(self) -> str:
        """The values it may have, in words."""
        kind = "whole number" if self.whole else "number"
        return f"a {kind} from {self.least:g} to {self.most:g}" + f", or {LEARNED}" * self.learnable

    def checked(self, value: object) -> float | str:
        """The value as it is kept. Raises ValueError where it is none."""
        if self.learnable and value == LEARNED:
            return LEARNED
        number = isinstance(value, int if self.whole else int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or not self.least <= value <= self.most:  # type: ignore[arg-type, operator]
            raise ValueError(self.expected)
        return int(value) if self.whole else float(value)  # type: ignore[call-overload, arg-type]


AnySetting = Setting | Keyword


@dataclass(frozen=True)
class Choice:
    """An entry of a registry by its name, and the settings that differ from their defaults."""

    name: str
    settings: Mapping[str, float | str] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((self.name, *sorted(self.settings.items(), key=str)))

    def __str__(self) -> str:
        told = ", ".join(
            f"{key}={value if isinstance(value, str | bool) else format(value, 'g')}"
            for key, value in self.settings.items()
        )
        return f"{shown(self.name)}({told})" if told else shown(self.name)

    @property
    def plain(self) -> Any:
        """As a configuration writes it: a name, or a mapping."""
        return {"name": self.name, **self.settings} if self.settings else self.name

    @property
    def learned(self) -> int:
        """How many of the settings are found by training."""
        return list(self.settings.values()).count(LEARNED)


def choice_of(value: "str | Choice") -> Choice:
    return value if isinstance(value, Choice) else Choice(value)
