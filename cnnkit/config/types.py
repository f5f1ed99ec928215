"""Kinds of values that several keys share, and what all sections of a configuration have in common."""

from typing import Annotated, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

T = TypeVar("T")
LARGEST = 1e38  # float32 holds it; 1e39 would be infinite there, and fail only while it trains


class Section(BaseModel):
    """Frozen and strict: unknown keys, booleans for numbers, NaN and infinities are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Complaint(NamedTuple):
    """A key that does not go with the others. depends: the keys that this follows from."""

    key: str
    message: str
    remedy: str
    depends: frozenset[str]


class Inconsistent(ValueError):
    """Keys that are fine alone but not together."""

    def __init__(self, complaints: list[Complaint]) -> None:
        self.complaints = complaints
        super().__init__("; ".join(f"{c.key}: {c.message}; {c.remedy}" for c in complaints))


def is_section(kind: object) -> bool:
    """Whether a key of this type holds keys."""
    return hasattr(kind, "model_fields")


Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Probability = Annotated[float, Field(ge=0, lt=1)]
NonNegative = Annotated[float, Field(ge=0, le=LARGEST)]
Positive = Annotated[float, Field(gt=0, le=LARGEST)]
Listed = Annotated[tuple[T, ...], Field(strict=False)]
OF_OWN_IMAGES = "of a person's own images"  # marks a key that says nothing of published images
OfOwnImages = Annotated[T, OF_OWN_IMAGES]


def _one_or_each(value: object) -> str:
    return "each" if isinstance(value, list | tuple) else "one"


OneOrEach = Annotated[
    Annotated[T, Tag("one")]
    | Annotated[Annotated[tuple[T, ...], Field(strict=False, min_length=1)], Tag("each")],
    Discriminator(_one_or_each),
]


def _count_or_fraction(value: object) -> str:
    return "fraction" if isinstance(value, float) else "count"


CountOrFraction = Annotated[
    Annotated[Annotated[int, Field(ge=0)], Tag("count")]
    | Annotated[Annotated[float, Field(ge=0, lt=1)], Tag("fraction")],
    Discriminator(_count_or_fraction),
]
Counts = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(strict=False, min_length=3, max_length=3)]
Side = Annotated[int, Field(ge=4, le=1024)]
Sides = Annotated[
    Annotated[Side, Tag("one")] | Annotated[Annotated[tuple[Side, Side], Field(strict=False)], Tag("each")],
    Discriminator(_one_or_each),
]
UNION_TAGS = frozenset({"one", "each", "count", "fraction"})
