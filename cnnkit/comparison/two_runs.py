"""Two runs, or two studies, side by side: what differs in configuration, surroundings and result."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnkit.comparison.function_study import any_study
from cnnkit.comparison.results import read_results
from cnnkit.comparison.study_records import StudyFile
from cnnkit.comparison.study_state import state_of
from cnnkit.config.load import flat, parse_config
from cnnkit.errors import UsageError
from cnnkit.experiment.run_dir import RunDir
from cnnkit.filenames import CONFIG, RESULTS, STUDY
from cnnkit.files import json_text
from cnnkit.records import Record
from cnnkit.stats import wilson_interval
from cnnkit.tables import Column, Table

OF_RESULT = (
    *("test_accuracy", "test_balanced_accuracy", "test_macro_f1", "test_loss", "test_images"),
    *("val_accuracy", "clean_train_accuracy", "best_epoch", "epochs", "train_seconds", "parameters", "macs"),
)
OF_STUDY = ("key", "metric", "margin", "match", "seeds", "min_seeds", "first_seed", "function")
PASSING = ("command", "started", "git_changes")  # of the surroundings: never the same twice
SEED = "training.seed"
OF_NO_EFFECT = (SEED, "data.root", "tracking")  # keys that are no choice whose effect is asked for
Pair = tuple[Any, Any]


@dataclass(frozen=True)
class SideBySide(Record):
    """kind: "run" or "study". The others: by key, what a and what b has; None where one has none.

    configuration, environment: only what differs. result: all figures that one of both has; accuracies are
    fractions. said: what to make of it, a sentence each.
    """

    a: str
    b: str
    kind: str
    configuration: dict[str, list[Any]]
    environment: dict[str, list[Any]]
    result: dict[str, list[Any]]
    said: list[str]

    def table(self) -> Table:
        """A row for each key: part, key, a, b; the first one names both."""
        columns = [Column(name, str) for name in ("part", "key", "a", "b")]
        rows = [["", "name", self.a, self.b]]
        for part in ("configuration", "environment", "result"):
            pairs = getattr(self, part).items()
            rows += [[part, key, *map(_as_text, pair)] for key, pair in pairs]
        return Table(columns, rows)


def side_by_side(first: Path, second: Path) -> SideBySide:
    """The folders of two runs, or of two studies.

    Raises UsageError where it is one of each kind, RunError where one is damaged.
    """
    if first.resolve() == second.resolve():
        raise UsageError(f"both names mean {first}; name two")
    is_study = (first / STUDY).is_file()
    if is_study != (second / STUDY).is_file():
        study, run = (first, second) if is_study else (second, first)
        raise UsageError(f"{study} is a study and {run} a run: name two of a kind")
    told = [(_study if is_study else _run)(path) for path in (first, second)]
    config, surroundings, result = zip(*told, strict=True)
    configuration = _differing(*config)
    return SideBySide(
        str(first),
        str(second),
        kind="study" if is_study else "run",
        configuration=configuration,
        environment=_differing(*surroundings),
        result=_pairs(*result),
        said=[] if is_study else list(_said(configuration, first, result)),
    )


def _pairs(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {key: [a.get(key), b.get(key)] for key in {**a, **b}}


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {key: [one, other] for key, (one, other) in _pairs(a, b).items() if one != other}


def _run(path: Path) -> tuple[dict[str, object], dict[str, object], dict[str, object]]:
    run = RunDir(path)
    surroundings: dict[str, object] = {}
    if run.finished:
        surroundings = {key: fact for key, fact in run.environment.items() if key not in PASSING}
    result: dict[str, object] = {"state": "failed" if run.failure else "unfinished"}
    if run.finished:
        kept = run.sealed_result
        interval = list(wilson_interval(kept.test_correct, kept.test_images))
        figures = {key: getattr(kept, key) for key in OF_RESULT[1:]}
        result = {"state": "finished", OF_RESULT[0]: kept.test_accuracy, "test_interval": interval, **figures}
        result["calibration_error"] = kept.calibration.error if kept.calibration else None
    return flat(run.config), surroundings, {key: value for key, value in result.items() if value is not None}


def _study(path: Path) -> tuple[dict[str, object], dict[str, object], dict[str, object]]:
    study = any_study(path)
    config = flat(parse_config(study.config, STUDY, kept=True)) if isinstance(study, StudyFile) else {}
    planned = {name: value for name in OF_STUDY if (value := getattr(study, name, None)) is not None}
    planned["levels"] = [level.name for level in study.levels]
    if isinstance(study, StudyFile) and study.shard:
        planned["shard"] = str(study.shard)
    results = read_results(path) if (path / RESULTS).is_file() else None
    result: dict[str, object] = {"state": state_of(path, study, results)}
    if results:
        result |= {"trainings": len(results.trials), "test_images": results.test_images}
        if results.levels:
            result |= {"best": results.best.name, "decided": results.decided}
        result |= {f"accuracy of {level.name}": level.accuracy.mean for level in results.levels}
    return {**planned, **config}, {}, result


def _said(
    configuration: Mapping[str, Any], first: Path, results: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    """What a difference between two single runs tells, and what would tell more."""
    if not all("test_accuracy" in result for result in results):
        return
    if "data.dataset" in configuration or results[0]["test_images"] != results[1]["test_images"]:
        yield "they were tested on other images: their accuracies do not compare"
        return
    points = 100 * abs(results[0]["test_accuracy"] - results[1]["test_accuracy"])
    keys = [key for key in configuration if key not in OF_NO_EFFECT]
    if not keys:
        by = "only the seed differs" if SEED in configuration else "nothing differs that affects the training"
        yield f"{by}: {points:.2f} points is what chance can make"
        return
    yield f"{points:.2f} points between two single runs may be chance; several seeds tell"
    if len(keys) == 1 and all(isinstance(value, str | int | float) for value in configuration[keys[0]]):
        values = ",".join(map(str, configuration[keys[0]]))
        config = shlex.quote(str(first / CONFIG))
        yield f"cnnkit compare {config} --vary {shlex.quote(f'{keys[0]}={values}')}"


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json_text(value, indent=None)
