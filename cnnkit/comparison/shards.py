"""A study in shares, each for another machine: which trainings a share has."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cnnkit.errors import UsageError
from cnnkit.records import Record


@dataclass(frozen=True)
class Shard(Record):
    """One of `of` shares of the trainings of a study. number: counted from 1."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @property
    def complaint(self) -> str:
        """What no share is; empty where there is nothing."""
        return (
            ""
            if 1 <= self.number <= self.of
            else f"shard {self}: the first number counts from 1 to the second"
        )


def shard_of(text: str) -> Shard:
    """`3/16` -> the third of 16 shares. Raises UsageError where a text names none."""
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    if not found or (shard := Shard(*map(int, found.groups()))).complaint:
        raise UsageError(
            f"--shard {text}: expected NUMBER/OF, counted from 1, such as 3/16 for the third of 16 shares"
        )
    return shard


def given_shard(numbers: Sequence[int] | None) -> Shard | None:
    """`(3, 16)` -> the same. Raises UsageError where these are no numbers of a shard."""
    if numbers is None:
        return None
    if not isinstance(numbers, tuple | list):
        raise UsageError(f"shard: {numbers!r}; expected two numbers, such as (3, 16)")
    return shard_of("/".join(map(str, numbers)))


def number_of(turn: int, levels: int, seeds: int, of: int) -> int:
    """Which of so many shares a training is in. turn: of the study, all levels of a seed before the next.

    A share has whole seeds: levels are compared by seed, so what is compared comes from one machine. A
    machine that is slower, or rounds otherwise, then affects all levels alike, and a share that is lost
    takes seeds with it, not one side of many pairs. Where there are more shares than seeds, trainings are
    dealt out one by one. More seeds, later, leave each training where it is, as long as this stays the case.
    """
    return (turn // levels if of <= seeds else turn) % of + 1
