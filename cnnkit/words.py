"""Pieces of sentences: lists and plurals."""

import re
import unicodedata
from collections.abc import Sequence

TIMES = " × "  # between keys that are varied together

# Of a terminal, without tab and newline; and those that turn the direction of writing.
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """The text with `\\x1b` and the like in place of control characters: a terminal would obey them."""
    return CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def isolated(name: str) -> str:
    """A name that does not turn the sentence around it, where it is written from right to left."""
    turns = any(unicodedata.bidirectional(letter) in ("R", "AL", "AN") for letter in name)
    return f"\u2068{name}\u2069" if turns else name


def listed(names: Sequence[str], last: str = "and") -> str:
    """`a, b and c`; with semicolons where a name has a comma: `max, first; and avg, second`."""
    comma, before = ("; ", "; ") if any(", " in name for name in names) else (", ", " ")
    return names[0] if len(names) == 1 else f"{comma.join(names[:-1])}{before}{last} {names[-1]}"


def short_key(key: str) -> str:
    """The last part of a dotted key: `pooling` of `model.pooling`; of several keys `pooling × order`."""
    return TIMES.join(part.rpartition(".")[2] for part in key.split(TIMES))


def about(seconds: float, most: float | None = None) -> str:
    """`about 40 s`, `about 3 minutes`, `about 2.5 hours`; with a most, `about 40 s to 3 minutes`."""
    least, longest = _duration(seconds), _duration(seconds if most is None else most)
    return f"about {span(least, longest)}"


def span(low: str, high: str) -> str:
    """`2 to 5`, or `2` where both are alike."""
    return low if low == high else f"{low} to {high}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 90 * 60 else f"{seconds / 3600:.1f} hours"


def gigabytes(number: float) -> str:
    """Of bytes: `1.3 GB`."""
    return f"{number / 1e9:,.1f} GB"


def in_one_line(name: str) -> str:
    """A name of someone else's, whose line breaks cannot pass for lines of ours."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in name)


def first_lines(lines: Sequence[str], most: int, indent: str = "  ") -> str:
    """The first so many, one below the other, then `and 7 more`."""
    more = [f"and {len(lines) - most:,} more"] if len(lines) > most else []
    return "\n".join(f"{indent}{line}" for line in [*lines[:most], *more])


def counted(number: int, noun: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
