"""What a tracker is told, and what one must be able to do."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

State = Literal["finished", "failed", "killed"]
Memory = dict[str, object]  # of a tracked run, JSON: what finds it again


class Refused(Exception):
    """The tracker will never take this message; the next ones it may."""


@dataclass(frozen=True)
class Message:
    """folder: of the run or study that it is about, by which it is known."""

    folder: str


@dataclass(frozen=True)
class Opened(Message):
    """The first message about a run. Others come after it.

    name: to be shown. parameters: dotted keys and plain values. tags: texts. parent: the folder of the study
    that it is a trial of. goes_on: whether what was tracked of this folder is of the same run.
    seconds: since 1970, when it began.
    """

    name: str
    parameters: Mapping[str, Any]
    tags: Mapping[str, str] = field(default_factory=dict)
    parent: str = ""
    goes_on: bool = False
    seconds: float = field(default_factory=time.time)


@dataclass(frozen=True)
class Row:
    """Numbers of one step. step: an epoch, or of a study a number of seeds. seconds: since 1970."""

    step: int
    values: Mapping[str, float]
    seconds: float


@dataclass(frozen=True)
class Scalars(Message):
    rows: Sequence[Row]


@dataclass(frozen=True)
class Confusion(Message):
    """counts: (classes, classes), rows are the truth."""

    counts: NDArray[np.float64]
    class_names: Sequence[str]


@dataclass(frozen=True)
class Filters(Message):
    """weights: (filters, C, K, K), C is 1 or 3."""

    weights: NDArray[np.float32]


@dataclass(frozen=True)
class Text(Message):
    """line: the most important, in plain words. markdown: all of it."""

    name: str
    line: str
    markdown: str


@dataclass(frozen=True)
class File(Message):
    path: str


@dataclass(frozen=True)
class Ended(Message):
    """seconds: since 1970."""

    state: State
    seconds: float = field(default_factory=time.time)


def escaped(text: str) -> str:
    """A text that Markdown shows as it is, also in a table."""
    return re.sub(r"([|*_<`])", r"\\\1", text)


class Tracked(Protocol):
    """One run in a tracker; made of what `Opened` tells.

    Each method may raise: Refused, where the message can never be taken; anything else is tried again later.
    A message may thus come twice, and a run that goes on is told of epochs that it has: it takes each once.
    """

    memory: Memory

    def __init__(self, opened: Opened, memory: Memory, parent: "Tracked | None") -> None:
        """memory: of the run that goes on; empty: a new one."""

    def scalars(self, rows: Sequence[Row]) -> None: ...

    def picture(self, name: str, png: bytes, size: tuple[int, int]) -> None:
        """size: width and height, pixels."""

    def text(self, name: str, line: str, markdown: str) -> None: ...

    def file(self, path: str) -> None: ...

    def end(self, state: State, seconds: float) -> None: ...
