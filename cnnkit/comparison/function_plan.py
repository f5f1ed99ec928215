"""What a study of a person's own function plans, and how it goes on with what its folder holds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from cnnkit.comparison.function_call import Function, bare, code_of, name_of
from cnnkit.comparison.function_study import (
    VERSION,
    FunctionLevel,
    FunctionStudy,
    is_of_function,
    load_function_study,
)
from cnnkit.comparison.going_on import history_with, refuse_something_else, union
from cnnkit.comparison.levels import refuse_one_value
from cnnkit.comparison.study import (
    MAX_SEEDS,
    MIN_SEEDS,
    most_seeds,
    refuse_margin,
    seeds_option,
    warnings_of_power,
)
from cnnkit.comparison.study_file import has_ended
from cnnkit.comparison.study_records import FactorPlan
from cnnkit.errors import DamagedFile, UsageError
from cnnkit.filenames import STUDY
from cnnkit.image_error import default_margin
from cnnkit.kept import parse_json
from cnnkit.words import TIMES

FEWEST_SEEDS = 2
ACCURACY_ALONE = 0  # test images, where the function does not tell of each


def plan_function(
    function: Function,
    key: str,
    values: Sequence[Any],
    seeds: int | None = None,
    margin: float | None = None,
    *,
    min_seeds: int | None = None,
    max_seeds: int = MAX_SEEDS,
    beside: Mapping[str, Sequence[Any]] | None = None,
) -> FunctionStudy:
    """A study that can be run. Seeds, margin and `beside`: as `plan_study` takes them.

    margin: None: `default_margin` of as many test images as the first call tells of.
    Raises UsageError where the values, the seeds or the margin make no study.
    """
    if min_seeds is None:
        min_seeds = max(2, min(MIN_SEEDS, max_seeds))
    most = most_seeds(0, seeds, min_seeds, max_seeds)
    if margin is not None:
        refuse_margin(margin)
    varied = {key: values, **(beside or {})}
    factors, levels = _combined(varied)
    study = FunctionStudy(
        version=VERSION,
        function=name_of(function),
        code=[code] if (code := code_of(function)) else [],
        key=TIMES.join(varied),
        levels=levels,
        factors=factors,
        seeds=most,
        min_seeds=min_seeds if seeds is None else None,
        first_seed=0,
        margin=default_margin(ACCURACY_ALONE) if margin is None else margin,
        margin_given=margin is not None,
    )
    return replace(study, warnings=_warnings(study))


def plan_table(
    name: str,
    levels: Sequence[str],
    seeds: Sequence[int],
    images: int,
    margin: float | None,
    warnings: Sequence[str],
) -> FunctionStudy:
    """A study of numbers that other programs measured. name: of the table. seeds: they follow each other.

    images: how many test images the table tells of, 0 where it holds accuracies. Raises UsageError where the
    levels, the seeds or the margin make no study.
    """
    most = most_seeds(seeds[0], len(seeds), FEWEST_SEEDS, MAX_SEEDS)
    if margin is not None:
        refuse_margin(margin)
    return FunctionStudy(
        version=VERSION,
        function=name,
        code=[],
        key="level",
        levels=_levels("level", levels),
        seeds=most,
        min_seeds=None,
        first_seed=seeds[0],
        margin=default_margin(images) if margin is None else margin,
        margin_given=margin is not None,
        images=images,
        warnings=[*warnings_of_power(len(levels), most, ""), *warnings],
        of_table=True,
    )


def _combined(varied: Mapping[str, Sequence[Any]]) -> tuple[list[FactorPlan], list[FunctionLevel]]:
    """(the factors, none where it is one key; a level for each combination of values).

    Raises UsageError where they make no study.
    """
    of_keys = {key: _levels(key, values) for key, values in varied.items()}
    if len(of_keys) == 1:
        return [], next(iter(of_keys.values()))
    factors = [FactorPlan(key, [level.value for level in levels]) for key, levels in of_keys.items()]
    levels = []
    for numbers in product(*(range(len(of_key)) for of_key in of_keys.values())):
        chosen = {key: of_key[number] for number, (key, of_key) in zip(numbers, of_keys.items(), strict=True)}
        name = ", ".join(level.name for level in chosen.values())
        value = {key: level.value for key, level in chosen.items()}
        levels.append(FunctionLevel(name, value, [list(numbers)]))
    _refuse_twice(TIMES.join(varied), levels)
    return factors, levels


def _levels(key: str, values: Sequence[Any]) -> list[FunctionLevel]:
    """Of one key. Raises UsageError where they are none, or too few."""
    if TIMES in key:
        raise UsageError(f"{key!r}: the name of a key holds no {TIMES!r}, which stands between two keys")
    levels = [_level(key, value) for value in values]
    _refuse_twice(key, levels)
    refuse_one_value(key, levels)
    return levels


def _refuse_twice(key: str, levels: Sequence[FunctionLevel]) -> None:
    names = [level.name for level in levels]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"{key}: {twice[0]} is there twice")


def _level(key: str, value: Any) -> FunctionLevel:
    """The value as `study.json` gives it back, so that each call gets the same one."""
    try:
        kept = parse_json(json.dumps({"value": value}, allow_nan=False).encode())["value"]
    except (TypeError, ValueError, RecursionError, DamagedFile) as error:
        raise UsageError(
            f"{key}: {value!r} cannot be kept as JSON ({error}); give its name, and let the function choose"
        ) from error
    name = kept if isinstance(kept, str) else json.dumps(kept, ensure_ascii=False)
    return FunctionLevel(name, kept)


def _warnings(study: FunctionStudy) -> list[str]:
    found = list(warnings_of_power(len(study.levels), study.seeds, seeds_option(study.min_seeds)))
    if len(study.code) > 1:
        found.append(
            f"the source of {study.function} was changed while the study went on: what it returned before "
            "is kept; name another folder to call it anew"
        )
    return found


def with_kept(study: FunctionStudy, folder: Path, function: Function) -> FunctionStudy:
    """The study together with what its folder holds of it already: no seed and no value is dropped.

    Raises UsageError where the folder holds another study, or something else.
    """
    if not (folder / STUDY).exists():
        refuse_something_else(folder)
        return study
    kept = _kept(study, folder, bare(function).__qualname__)
    factors, levels = _combined(union(kept.varied, study.varied))
    margin = study.margin if study.margin_given else kept.margin
    before = kept.code if kept.images is not None else []  # of what has returned nothing none is kept
    joined = replace(
        study,
        code=before + [code for code in study.code if code not in before[-1:]],
        levels=levels,
        factors=factors,
        seeds=max(study.seeds, seeds_tried(kept, folder)),
        margin=margin,
        margin_given=study.margin_given or kept.margin_given,
        images=kept.images,
        history=list(history_with(kept, margin, folder)),
    )
    return replace(joined, warnings=_warnings(joined))


def _kept(study: FunctionStudy, folder: Path, name: str) -> FunctionStudy:
    """What `study.json` holds. name: of the function; the module of a script that is imported is another."""
    if not is_of_function(folder):
        raise UsageError(f"{folder} holds a study of a configuration; name another folder with out")
    kept = load_function_study(folder)
    differing = []
    if not kept.function.endswith(f".{name}"):
        differing.append(f"its function is {kept.function}, not {study.function}")
    if kept.key != study.key:
        differing.append(f"it compares {kept.key}, not {study.key}")
    if differing:
        raise UsageError(
            f"{folder} holds another study ({'; '.join(differing)}); nothing is overwritten: "
            "name another folder with out"
        )
    return kept


def seeds_tried(study: FunctionStudy, folder: Path) -> int:
    """How many seeds, from the first on, the function was called with."""
    tried = [trial.seed for trial in study.trials() if has_ended(folder, trial.folder)]
    return max(tried, default=study.first_seed - 1) + 1 - study.first_seed
