"""The runs and studies of a folder, and what each came to."""

import contextlib
import datetime
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from cnnkit.comparison.function_study import any_study
from cnnkit.comparison.levels import value_at
from cnnkit.comparison.results import read_results
from cnnkit.comparison.study_file import function_in, load_study
from cnnkit.comparison.study_records import StudyFile
from cnnkit.comparison.study_state import state_of
from cnnkit.comparison.tuning import with_settings
from cnnkit.config.docs import key_names
from cnnkit.config.load import parse_config
from cnnkit.config.schema import Config
from cnnkit.config.suggestions import nearest_key
from cnnkit.config.yaml_tree import YamlTree
from cnnkit.errors import CnnkitError, ConfigError, DamagedFile, UsageError
from cnnkit.experiment.latest import LATEST, followed
from cnnkit.experiment.no_run import did_you_mean, what_is_no_run
from cnnkit.experiment.run_dir import RunDir
from cnnkit.filenames import BEST, CONFIG, OWN, RESULTS, RUNS, STUDY, TRIALS, TUNING
from cnnkit.kept import read_kept
from cnnkit.own.sources import Source
from cnnkit.records import Record
from cnnkit.tables import Column, Table
from cnnkit.words import listed

Told = dict[str, Any]  # fields of a `KeptRun`


@dataclass(frozen=True)
class KeptRun(Record):
    """One run or study. kind: "run" or "study". date: local, of its last change, ISO 8601.

    data: of a study of a function or a table its name. strategy: the poolings; of a study the keys that it
    varies. accuracy: of a run on its test images, of a study the mean of its best value; a fraction.
    seconds: of training; None of a study. state: finished, unfinished, failed or damaged, or of a study as
    `state_of` tells. reason: why it failed or is damaged, in short; also what is damaged of a finished one
    although its numbers are whole.
    """

    name: str
    kind: str
    date: str
    data: str
    strategy: str
    accuracy: float | None
    seconds: float | None
    state: str
    reason: str


COLUMNS = {"accuracy": float, "seconds": float}  # the others are texts
SORTED_BY = tuple(field.name for field in fields(KeptRun))


def kept_runs(folder: Path, filters: Sequence[str] = (), by: str = "date") -> list[KeptRun]:
    """What lies below a folder, the trials of studies left out; the last one by `by` comes last.

    filters: `key=value` of the configuration, the value in YAML. All must hold: of a study for one of the
    networks that it compares; studies of a person's own function hold none. by: a field of `KeptRun`; what
    is unknown comes last. Raises UsageError where the folder, a key or a field does not exist.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder")
    if by not in SORTED_BY:
        raise UsageError(f"there is nothing called {by!r} to sort by; expected {listed(SORTED_BY, 'or')}")
    wanted = dict(map(_wanted, filters))
    found = [one for path in _folders(folder) if (one := _kept(path, folder, wanted))]
    return sorted(found, key=lambda one: ((value := getattr(one, by)) is None, value))


def table_of(runs: Sequence[KeptRun]) -> Table:
    """A row for each."""
    columns = [Column(name, COLUMNS.get(name, str)) for name in SORTED_BY]
    return Table(columns, ([getattr(run, name) for name in SORTED_BY] for run in runs))


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
        near = nearest_key(key) if equals else None
        meant = f"; did you mean {near}?" if near else ", such as model.pooling=avg"
        raise UsageError(f"--filter {text}: expected KEY=VALUE with a key of the configuration{meant}")
    tree = YamlTree(f"--filter {text}", value, in_file=False)
    wanted = tree.parse(tuple(key.split(".")))
    if tree.problems:
        raise ConfigError(tree.problems)
    return key, wanted


def _holds(path: Path, config: Config, wanted: Mapping[str, Any]) -> bool:
    """Whether a run, or one level of a study, has these values."""
    if not (path / STUDY).is_file():
        return _has(config, wanted)
    study = load_study(path)
    return any(
        _has(with_settings(config, {**study.settings_of(level, place), **level.settings}), wanted)
        for level in study.levels
        for place in range(max(1, len(level.combinations)))
    )


def _has(config: Config, wanted: Mapping[str, Any]) -> bool:
    with contextlib.suppress(KeyError, TypeError):  # a key of something that is left out
        return all(value_at(config, key) == value for key, value in wanted.items())
    return False


def is_kept(path: Path) -> bool:
    """Whether a folder is that of a run or a study."""
    return any((path / name).is_file() for name in (CONFIG, STUDY))


def told_of_none(named: Path) -> str:
    """What a name is that is none of a run or a study, and a name that is near."""
    near = did_you_mean(named) or did_you_mean(RUNS / named)
    where = "" if os.path.lexists(named) or named.is_absolute() else f", nor does {RUNS / named}"
    return f"{named} {what_is_no_run(named)}{where}{near}"


def named_run(named: Path) -> Path:
    """The folder of a run or a study that is named by its path, or by its name in `runs/`; links followed.

    Raises UsageError where there is none.
    """
    for path in (named, RUNS / named):
        target = Path(os.path.relpath(followed(path).resolve())) if path.name == LATEST.name else path
        if is_kept(target):
            return target
    raise UsageError(told_of_none(named))


def kept_run(path: Path, name: str) -> KeptRun:
    """What is told of one run or study. name: what it is called."""
    return _told(path, name)[1]


def _kept(path: Path, below: Path, wanted: Mapping[str, Any]) -> KeptRun | None:
    """None where a filter does not hold."""
    config, run = _told(path, str(path.relative_to(below)))
    return None if wanted and (config is None or not _holds(path, config, wanted)) else run


def _told(path: Path, name: str) -> tuple[Config | None, KeptRun]:
    """The configuration, None where it cannot be read, and all the rest."""
    is_study = (path / STUDY).is_file()
    config: Config | None = None
    told: Told = {}
    try:
        config, told = _study(path) if is_study else _run(path)
    except CnnkitError as error:
        told = {"state": "damaged", "reason": short_reason(error, path)}
    unknown: Told = {"data": "", "strategy": "", "accuracy": None, "seconds": None, "reason": ""}
    kind = "study" if is_study else "run"
    return config, KeptRun(name=name, kind=kind, date=_changed(path), **{**unknown, **told})


def _changed(path: Path) -> str:
    """When a file of the folder was last changed, its lock left out."""
    times = [path.stat().st_mtime]
    files = [file for file in path.iterdir() if file.is_file() and not file.name.startswith(".")]
    with contextlib.suppress(OSError):  # a training renames its files
        times = [file.stat().st_mtime for file in files] or times
    return datetime.datetime.fromtimestamp(max(times)).isoformat(" ", "seconds")


def short_reason(error: Exception, path: Path) -> str:
    """The first line of a message, without the folder that it speaks of."""
    return next(iter(str(error).splitlines()), "").replace(f"{path}/", "")


def _run(path: Path) -> tuple[Config, Told]:
    run = RunDir(path)
    config, reason = _config_of(run)
    told: Told = {"data": config.data.info.title, "strategy": config.model.strategy}
    if run.finished:
        result = run.sealed_result
        told |= {"accuracy": result.test_accuracy, "seconds": result.train_seconds, "state": "finished"}
    elif run.failure:
        told |= {"state": "failed", "reason": run.failure}
    else:
        told["state"] = "unfinished"
    return config, {"reason": reason, **told}


def _config_of(run: RunDir) -> tuple[Config, str]:
    """The configuration, and what is wrong with the copies of own code, which the weights hold, too."""
    try:
        config = run.config
    except ConfigError:
        if not (run.path / OWN).is_dir() or not _held_by_weights(run):
            raise
        config = run.config  # the text that the weights hold is known now
    copies = _copies(run.path)
    lost = sorted(named.shown for named in config.model.own_classes if named.hash not in copies)
    if not lost:
        return config, ""
    held = "; the weights hold its text" if _held_by_weights(run) else ""
    return config, f"no whole copy of {listed(lost)} in {OWN}/{held}"


def _held_by_weights(run: RunDir) -> bool:
    """Whether the weights can be read; the text of own code in them is known from then on."""
    from cnnkit.experiment.checkpoints import kept_config

    with contextlib.suppress(CnnkitError):
        kept_config(run.path / BEST)
        return True
    return False


def _copies(path: Path) -> set[str]:
    """The hashes of the files of own code that a run keeps."""
    found = set()
    for file in (path / OWN).glob("*.py"):
        with contextlib.suppress(DamagedFile, FileNotFoundError):
            found.add(Source(read_kept(file), str(file)).hash)
    return found


def _study(path: Path) -> tuple[Config | None, Told]:
    config, study = None, any_study(path)
    told = Told(data=function_in(path), strategy=study.key)
    if isinstance(study, StudyFile):
        try:
            config = parse_config(study.config, STUDY, kept=True)
            told["data"] = config.data.info.title
        except ConfigError as error:
            if not (path / OWN).is_dir():
                raise
            told["reason"] = short_reason(error, path)  # its code is missing; its numbers do not need it
    results = read_results(path) if (path / RESULTS).is_file() else None
    if results:
        told["accuracy"] = max((level.accuracy.mean for level in results.levels), default=None)
    return config, {**told, "state": state_of(path, study, results)}
