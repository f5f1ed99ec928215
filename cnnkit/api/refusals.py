"""What `cnnkit.compare` is given, checked before anything heavy is imported."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

from cnnkit.errors import ChangedSource, UsageError

OF_CONFIGURATIONS = {  # the options that say nothing of a function, and their defaults
    "match": "none",
    "metric": "accuracy",
    "executor": "local",
    "ray_address": None,
    "tune": None,
    "tune_keys": (),
    "folds": None,
    "resample_test": False,
    "shard": None,
}


def values_of(vary: Mapping[str, Sequence[Any]], tune_keys: Sequence[str]) -> dict[str, list[Any]]:
    """The values of each key. Raises UsageError where there are none, or a text stands in place of a list."""
    if not vary:
        raise UsageError("a comparison varies a key, or several: vary is empty")
    if any(isinstance(values, str) for values in vary.values()):
        raise UsageError('the values to compare are a list, such as {"model.pooling": ["max", "avg"]}')
    if isinstance(tune_keys, str):
        raise UsageError('tune_keys is a list, such as ["training.learning_rate"]')
    return {key: list(values) for key, values in vary.items()}


def limits_of(
    seeds: int | None, min_seeds: int | None, max_seeds: int | None, margin: float | None
) -> dict[str, object]:
    """Those that are given. Raises UsageError where they do not go together, or are no numbers."""
    given: dict[str, object] = {**whole(seeds=seeds, min_seeds=min_seeds, max_seeds=max_seeds)}
    if "seeds" in given and len(given) > 1:
        others = " and ".join(name for name in given if name != "seeds")
        raise UsageError(f"{others}: not with seeds, which trains exactly so many, whatever comes out")
    if margin is None:
        return given
    if not isinstance(margin, Real):
        raise UsageError(f"margin: {margin!r}; expected a number of percentage points, such as 0.1")
    return {**given, "margin": float(margin)}


def whole(**numbers: Any) -> dict[str, int]:
    """Those that are not None, by their names. Raises UsageError where one is no whole number."""
    given = {name: number for name, number in numbers.items() if number is not None}
    for name, number in given.items():
        if not isinstance(number, Integral) or isinstance(number, bool):
            raise UsageError(f"{name}: {number!r}; expected a whole number")
    return {name: int(number) for name, number in given.items()}


def refuse_of_function(**options: Any) -> None:
    """Raises UsageError where an option is given that says nothing of a function."""
    if given := [name for name, value in options.items() if value != OF_CONFIGURATIONS[name]]:
        remedy = ""
        if "metric" in given:
            remedy = "; a function tells no classes: return the score itself in place of its accuracy"
        raise UsageError(f"{', '.join(given)}: for a configuration, not a function{remedy}")


@contextlib.contextmanager
def anew() -> Iterator[None]:
    """Tells who trains anew, in a `with` block, how to take a person's own images as they are now."""
    try:
        yield
    except ChangedSource as error:
        raise ChangedSource(f"{error}, or set data.images=null to take those of now") from error
