"""`cnnkit.load_config`, in a file of its own: a configuration is read and checked without torch."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnkit.config import load
from cnnkit.config.schema import Config


def load_config(source: str | Path, overrides: Mapping[str, Any] | Sequence[str] = ()) -> Config:
    """Reads a YAML file, or a shipped configuration by its name.

    overrides: dotted keys and values on top, or texts `key=value` as `--set` takes them.
    Raises ConfigError with every problem at once, UsageError where there is no such file.

    >>> cnnkit.load_config("digits", {"model.pooling": "avg"}).model.pooling
    'avg'
    """
    if isinstance(overrides, Mapping):
        overrides = [
            f"{key}={json.dumps(value, default=_plain, ensure_ascii=False)}"
            for key, value in overrides.items()
        ]
    return load.load_config(source, overrides)


def _plain(value: Any) -> Any:
    """A path as text, and a number of NumPy's as Python's."""
    return value.item() if hasattr(value, "item") else str(value)
