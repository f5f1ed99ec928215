"""The runs and studies of a folder, and what each came to."""

import datetime
import json
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from cnnkit.comparison.function_study import is_of_function
from cnnkit.comparison.results import read_results
from cnnkit.comparison.study_file import load_study
from cnnkit.config.docs import key_names
from cnnkit.config.load import parse_config
from cnnkit.config.schema import Config
from cnnkit.errors import CnnkitError, UsageError
from cnnkit.experiment.run_dir import RunDir
from cnnkit.filenames import CONFIG, RESULTS, STUDY, TRIALS, TUNING
from cnnkit.records import Record
from cnnkit.tables import Column, Table
from cnnkit.words import listed


@dataclass(frozen=True)
class KeptRun(Record):
    """One run or study. kind: "run" or "study". date: local, of its last change, ISO 8601.

    strategy: the poolings; of a study the keys that it varies. accuracy: of a run on its test images, of a
    study the mean of its best value; a fraction. seconds: of training; None of a study. state: finished,
    unfinished, failed or damaged.
    """

    name: str
    kind: str
    date: str
    data: str
    strategy: str
    accuracy: float | None
    seconds: float | None
    state: str


COLUMNS = {"accuracy": float, "seconds": float}  # the others are texts
SORTED_BY = tuple(field.name for field in fields(KeptRun))


def kept_runs(folder: Path, filters: Sequence[str] = (), by: str = "date") -> list[KeptRun]:
    """What lies below a folder, the trials of studies left out; the last one by `by` comes last.

    filters: `key=value` of the configuration; all must hold, and studies of a person's own function hold
    none. by: a field of `KeptRun`; what is unknown comes last. Raises UsageError where the folder, a key
    or a field does not exist.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder")
    if by not in SORTED_BY:
        raise UsageError(f"there is nothing called {by!r} to sort by; expected {listed(SORTED_BY, 'or')}")
    wanted = dict(map(_wanted, filters))
    found = [one for path in _folders(folder) if (one := _kept(path, folder, wanted))]
    return sorted(found, key=lambda one: _order(operator.attrgetter(by)(one)))


def table_of(runs: Sequence[KeptRun]) -> Table:
    """A row for each."""
    columns = [Column(name, COLUMNS.get(name, str)) for name in SORTED_BY]
    return Table(columns, ([getattr(run, name) for name in SORTED_BY] for run in runs))


def _order(value: Any) -> tuple[bool, Any]:
    return value is None, value


def _folders(folder: Path) -> Iterator[Path]:
    for name in (CONFIG, STUDY):
        for file in folder.rglob(name):
            inside = file.relative_to(folder).parts
            if (
                TRIALS not in inside
                and TUNING not in inside
                and not any(p.is_symlink() for p in file.parents)
            ):
                yield file.parent


def _wanted(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or key not in key_names():
        raise UsageError(
            f"--filter {text}: expected KEY=VALUE with a key of the configuration, such as model.pooling=avg"
        )
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _holds(config: Config, wanted: Mapping[str, Any]) -> bool:
    content = config.model_dump(mode="json")
    for key, value in wanted.items():
        found: Any = content
        for part in key.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        if found != value:
            return False
    return True


def _kept(path: Path, below: Path, wanted: Mapping[str, Any]) -> KeptRun | None:
    """None where a filter does not hold."""
    is_study = (path / STUDY).is_file()
    try:
        config, told = _study(path) if is_study else _run(path)
    except CnnkitError:
        config, told = None, {"state": "damaged"}
    if wanted and (config is None or not _holds(config, wanted)):
        return None
    changed = max(file.stat().st_mtime for file in path.iterdir() if file.is_file())
    unknown: dict[str, Any] = {"data": "", "strategy": "", "accuracy": None, "seconds": None}
    return KeptRun(
        name=str(path.relative_to(below)),
        kind="study" if is_study else "run",
        date=datetime.datetime.fromtimestamp(changed).isoformat(" ", "seconds"),
        **{**unknown, **told},
    )


def _run(path: Path) -> tuple[Config, dict[str, Any]]:
    run = RunDir(path)
    told: dict[str, Any] = {"data": run.config.data.info.title, "strategy": run.config.model.strategy}
    if run.finished:
        result = run.result
        told |= {"accuracy": result.test_accuracy, "seconds": result.train_seconds, "state": "finished"}
    else:
        told["state"] = "failed" if run.failure else "unfinished"
    return run.config, told


def _study(path: Path) -> tuple[Config | None, dict[str, Any]]:
    config, told = None, dict[str, Any](state="unfinished")
    if not is_of_function(path):
        study = load_study(path)
        config = parse_config(study.config, STUDY, kept=True)
        told |= {"data": config.data.info.title, "strategy": study.key}
    if (path / RESULTS).is_file():
        results = read_results(path)
        best = max((level.accuracy.mean for level in results.levels), default=None)
        told |= {"accuracy": best, "state": "finished", "strategy": results.key}
    return config, told
