"""The commands and versions that a page was made by."""

import contextlib
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cnnkit.errors import RunError
from cnnkit.experiment.run_dir import RunDir


def provenance_of(runs: Iterable[RunDir]) -> dict[str, object]:
    """Command lines, oldest first, and versions, of the runs that have kept them."""
    environments = []
    for run in runs:
        with contextlib.suppress(RunError):
            environments.append(run.environment)
    environments.sort(key=lambda environment: str(environment.get("started", "")))
    return {"commands": _commands_of(environments), "versions": _versions_of(environments)}


def _commands_of(environments: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each command line once, in the order in which they were given."""
    commands = [shlex.join(map(str, e["command"])) for e in environments if e.get("command")]
    return list(dict.fromkeys(commands))


def _versions_of(environments: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Each fact with its value, or with several values if the trials differ in it."""
    keys = {"cnnkit": "cnnkit", "torch": "torch", "numpy": "numpy", "python": "Python"}
    keys |= {"platform": "platform", "device": "device", "device_name": "processor"}
    keys |= {"precision": "precision", "threads": "threads", "git_commit": "git commit"}
    rows = []
    for key, name in keys.items():
        values = dict.fromkeys(str(e[key]) for e in environments if e.get(key) is not None)
        changed = key == "git_commit" and any(e.get("git_changes") for e in environments)
        if values:
            rows.append((name, ", ".join(values) + (" (with changes not committed)" if changed else "")))
    return rows
