"""What is wrong with keys that do not go together."""

from typing import NamedTuple


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
