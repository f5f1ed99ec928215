"""A person's own function: what it is called, and what it returned, in one of two forms."""

import contextlib
import functools
import hashlib
import inspect
import math
import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnkit.comparison.function_study import Answer, FunctionTrial, packed
from cnnkit.comparison.local import INTERRUPTED, told_failure
from cnnkit.errors import Interrupted, UsageError

Function = Callable[[Any, int], Any]
EXPECTED = (
    "expected an accuracy from 0 to 1, or for each test image whether it was right: one row of true and "
    "false, such as predictions == labels"
)


@dataclass(frozen=True)
class Failed:
    """Why a call failed: the reason in its first line, then a traceback."""

    text: str

    @property
    def reason(self) -> str:
        return self.text.partition("\n")[0]


def bare(function: Function) -> Any:
    """What was written: without decorators and arguments that are given ahead; of an object its class."""
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    return function if hasattr(function, "__qualname__") else type(function)


def name_of(function: Function) -> str:
    """Its module and name."""
    plain = bare(function)
    return f"{plain.__module__}.{plain.__qualname__}"


def code_of(function: Function) -> str:
    """The hash of its source; empty where that is not to be had."""
    with contextlib.suppress(OSError, TypeError):
        return hashlib.sha256(inspect.getsource(bare(function)).encode()).hexdigest()
    return ""


def call(function: Function, trial: FunctionTrial) -> Answer | Failed:
    """Calls the function. An exception in it, or an accuracy that is no number, is a failure.

    Raises UsageError where it returns something else than it should, and Interrupted.
    """
    started = time.perf_counter()
    try:
        returned = function(trial.value, trial.seed)
    except Interrupted:
        raise
    except Exception as error:
        return Failed("".join(told_failure(error)))
    return _answer(returned, trial, time.perf_counter() - started, bare(function).__name__)


def _answer(returned: Any, trial: FunctionTrial, seconds: float, name: str) -> Answer | Failed:
    values = _array(returned)
    wrong = f"{name}({trial.value!r}, {trial.seed}) returned {_shown(returned)}; {EXPECTED}"
    if values is None or values.ndim > 1 or values.dtype.kind not in "biuf":
        raise UsageError(wrong)
    if values.ndim == 0:
        accuracy = float(values)
        if math.isnan(accuracy):
            return Failed(f"{name} returned no number: {accuracy}")
        if values.dtype.kind == "b" or not 0 <= accuracy <= 1:
            percent = f"; in percent? That is {accuracy / 100:g}" if 1 < accuracy <= 100 else ""
            raise UsageError(wrong + percent)
        return Answer(trial.level, trial.seed, accuracy, seconds, 0, "")
    if not np.isin(values, (0, 1)).all() or not len(values):
        raise UsageError(wrong)
    right = values.astype(bool)
    return Answer(trial.level, trial.seed, float(right.mean()), seconds, len(right), packed(right))


def _array(returned: Any) -> Any:
    """As NumPy has it, also where a tensor lies on a GPU; None where it is no array of numbers."""
    with contextlib.suppress(Exception):  # whatever a stranger's class does
        if hasattr(returned, "detach"):
            returned = returned.detach().cpu().tolist()
        return np.asarray(returned)
    return None


def _shown(returned: Any) -> str:
    kind = type(returned).__name__
    shape = getattr(returned, "shape", None)
    if shape:
        return f"{kind} of shape {tuple(shape)}"
    text = repr(returned)
    return text if len(text) <= 40 else f"{kind} {text[:40]}…"


def for_processes(function: Function) -> Callable[[FunctionTrial], Any]:
    """The function as a worker process takes it. Raises UsageError where it cannot be sent there."""
    remedy = "put it into a module, and import it from there, or leave workers out"
    if bare(function).__module__ == "__main__":
        raise UsageError(
            f"workers: other processes do not see {bare(function).__name__} of this script; {remedy}"
        )
    try:
        return functools.partial(call_pickled, pickle.dumps(function))
    except Exception as error:
        raise UsageError(
            f"workers: the function cannot be sent to other processes ({error}); {remedy}"
        ) from error


def call_pickled(pickled: bytes, trial: FunctionTrial) -> Answer | Failed | UsageError | str:
    """What `call` gives or raises, in a worker process; INTERRUPTED where a signal stops it."""
    try:
        return call(_unpickled(pickled), trial)
    except Interrupted:
        return INTERRUPTED
    except UsageError as error:
        return error


@functools.lru_cache(maxsize=1)
def _unpickled(pickled: bytes) -> Function:
    try:
        function: Function = pickle.loads(pickled)
    except Exception as error:
        raise UsageError(f"workers: another process cannot load the function: {error}") from error
    return function
