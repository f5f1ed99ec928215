"""What can go wrong, on one page.

    CnnkitError            exit code 1: the run failed
    ├── UsageError         exit code 2: the command line asks for what cannot be
    │   ├── ConfigError    exit code 2: the configuration does; holds every problem at once
    │   └── OwnCodeError   exit code 2: a person's own class cannot be used, or is not to be run
    ├── DataError          a data set is missing, damaged or does not fit
    │   ├── SourceError    a person's own images cannot be understood or used
    │   └── ChangedSource  they are not those that a configuration was written for
    ├── RunError           a run directory or checkpoint cannot be used
    ├── TrainingError      training cannot go on
    │   └── OutOfMemory    for want of memory
    ├── GpuFailed          the GPU no longer answers this process, whatever it does next
    ├── ImageError         a person's image cannot be used
    ├── DamagedFile        a file's bytes are not those that were written
    └── Interrupted        exit code 130 (Ctrl-C) or 143 (SIGTERM): stopped and saved

Each message says what is wrong, where, and what to do. None of them needs a traceback.
"""

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from traceback import walk_tb


class CnnkitError(Exception):
    """A mistake of the user or of the machine. The message needs no traceback."""

    exit_code = 1


class UsageError(CnnkitError):
    exit_code = 2


@dataclass(frozen=True)
class Place:
    """Where in a configuration something stands.

    source: a file, or `--set key=value`. row, column: counted from 1; 0: the source as a whole.
    line: the text of that row; empty where it is not to be shown.
    """

    source: str
    row: int = 0
    column: int = 0
    line: str = ""

    def __str__(self) -> str:
        return f"{self.source}:{self.row}:{self.column}" if self.row else self.source


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a configuration. key: dotted, may be empty."""

    place: Place
    key: str
    message: str
    remedy: str = ""

    @property
    def where(self) -> str:
        """`file:line:column`, or `--set key=value`."""
        return str(self.place)

    @property
    def line(self) -> str:
        """The source line with the mistake."""
        return self.place.line

    def __str__(self) -> str:
        text = ": ".join(part for part in (self.where, self.key, self.message) if part)
        if not self.line:
            return f"{text}; {self.remedy}" if self.remedy else text
        indent = len(self.line) - len(self.line.lstrip())
        caret = " " * (self.place.column - 1 - indent) + "^ " + self.remedy
        return f"{text}\n      {self.line.strip()}\n      {caret.rstrip()}"


class ConfigError(UsageError):
    """Every problem of one configuration."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class OwnCodeError(UsageError):
    pass


class DataError(CnnkitError):
    pass


class SourceError(DataError):
    pass


class ChangedSource(DataError):
    pass


class RunError(CnnkitError):
    pass


class TrainingError(CnnkitError):
    pass


class OutOfMemory(TrainingError):
    pass


class GpuFailed(CnnkitError):
    pass


# What torch's allocator says, and oneDNN. The latter says it for want of memory: shapes are checked before.
NO_MEMORY = ("allocate memory", "could not create a primitive", "could not create a memory object")
# How the allocator's message begins. Where memory lacks for the message, too, it ends after 15 letters.
ALLOCATOR = "[enforce fail at alloc_cpu"

# What CUDA says where a kernel broke off. After it, every call of the process fails.
GPU_LOST = (
    *("unspecified launch failure", "illegal memory access", "illegal instruction", "misaligned address"),
    *("device-side assert", "launch timed out", "uncorrectable ECC error"),
)


def lost_gpu(error: BaseException) -> bool:
    """Whether torch says by it that the process can no longer use its GPU."""
    return any(words in str(error) for words in GPU_LOST)


def tells_no_memory(error: BaseException) -> bool:
    """Whether torch or oneDNN says by its message that memory is short."""
    told = str(error)
    cut = len(told) >= 15 and ALLOCATOR.startswith(told)
    return cut or told.startswith(ALLOCATOR) or any(words in told for words in NO_MEMORY)


def lacks_memory(error: BaseException | None) -> bool:
    """Whether an exception, or one that it came from, was raised for want of memory.

    An import may then end in a SystemError which tells no cause.
    """
    while error is not None:
        of_import = isinstance(error, SystemError) and _raised_in_an_import(error)
        if of_import or isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
            return True
        if tells_no_memory(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _raised_in_an_import(error: BaseException) -> bool:
    files = (frame.f_code.co_filename for frame, _ in walk_tb(error.__traceback__))
    return any(file.startswith("<frozen importlib") for file in files)


class ImageError(CnnkitError):
    pass


class DamagedFile(CnnkitError):
    pass


class Interrupted(CnnkitError):
    """Training was stopped by a signal; what it had learned is saved."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number
