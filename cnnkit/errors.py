"""What can go wrong, on one page.

    CnnkitError            exit code 1: the run failed
    ├── UsageError         exit code 2: the command line asks for what cannot be
    │   └── ConfigError    exit code 2: the configuration does; holds every problem at once
    ├── DataError          a data set is missing, damaged or does not fit
    ├── RunError           a run directory or checkpoint cannot be used
    ├── TrainingError      training cannot go on
    │   └── OutOfMemory    for want of memory
    ├── ImageError         a person's image cannot be used
    ├── DamagedFile        a file's bytes are not those that were written
    └── Interrupted        exit code 130 (Ctrl-C) or 143 (SIGTERM): stopped and saved

Each message says what is wrong, where, and what to do. None of them needs a traceback.
"""

from collections.abc import Sequence
from dataclasses import dataclass


class CnnkitError(Exception):
    """A mistake of the person or of the machine, told in words."""

    exit_code = 1


class UsageError(CnnkitError):
    exit_code = 2


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a configuration.

    where: `file:line:column`, or `--set key=value`. key: dotted, may be empty.
    line: the source line with the mistake, column: 0-based place of the caret in it.
    """

    where: str
    key: str
    message: str
    remedy: str = ""
    line: str = ""
    column: int = 0

    @property
    def position(self) -> tuple[int, int, int]:
        """To sort by: what is about the whole file, then line and column, then overrides as given."""
        if self.where.startswith("--"):
            return (2, 0, 0)
        numbers = self.where.rsplit(":", 2)[1:]
        if len(numbers) == 2 and all(number.isdecimal() for number in numbers):
            return (1, int(numbers[0]), int(numbers[1]))
        return (0, 0, 0)

    def __str__(self) -> str:
        text = ": ".join(part for part in (self.where, self.key, self.message) if part)
        if not self.line:
            return f"{text}; {self.remedy}" if self.remedy else text
        indent = len(self.line) - len(self.line.lstrip())
        caret = " " * (self.column - indent) + "^ " + self.remedy
        return f"{text}\n      {self.line.strip()}\n      {caret.rstrip()}"


class ConfigError(UsageError):
    """Every problem of one configuration."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class DataError(CnnkitError):
    pass


class RunError(CnnkitError):
    pass


class TrainingError(CnnkitError):
    pass


class OutOfMemory(TrainingError):
    pass


class ImageError(CnnkitError):
    pass


class DamagedFile(CnnkitError):
    pass


class Interrupted(CnnkitError):
    """Training was stopped by a signal; what it had learned is saved."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number
