"""Pieces of sentences: lists and plurals."""

from collections.abc import Sequence

TIMES = " × "  # between keys that are varied together


def listed(names: Sequence[str], last: str = "and") -> str:
    """`a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {last} {names[-1]}"


def short_key(key: str) -> str:
    """The last part of a dotted key: `pooling` of `model.pooling`; of several keys `pooling × order`."""
    return TIMES.join(part.rpartition(".")[2] for part in key.split(TIMES))


def counted(number: int, noun: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
