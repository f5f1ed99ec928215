"""Going on with what a study's folder holds: nothing of it is dropped, and no other study is put there."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cnnkit.comparison.function_study import AnyStudy
from cnnkit.comparison.results import read_results
from cnnkit.comparison.sentence import verdict_alone
from cnnkit.comparison.study import MAX_SEEDS, StudyPlan, plan_study, seeds_option
from cnnkit.comparison.study_file import has_ended, load_study
from cnnkit.comparison.study_records import Earlier, StudyFile, name_of
from cnnkit.config.load import flat
from cnnkit.errors import UsageError
from cnnkit.filenames import LOCK, RESULT, STUDY, TRIALS
from cnnkit.files import PART
from cnnkit.words import listed


def refuse_another_study(study: StudyPlan, folder: Path) -> None:
    """Raises UsageError where a folder holds another study, or something else."""
    if (folder / STUDY).exists():
        if differences := _differences(load_study(folder), study):
            raise UsageError(
                f"{folder} holds another study ({'; '.join(differences)}); nothing is overwritten: "
                "name another folder with --out"
            )
    else:
        refuse_something_else(folder)


def refuse_something_else(folder: Path) -> None:
    """Raises UsageError where a folder without a study is not empty."""
    if folder.exists() and (not folder.is_dir() or any(not _is_leftover(p) for p in folder.iterdir())):
        raise UsageError(f"{folder} is not empty and holds no study; name another folder with --out")


def refuse_fewer(kept: StudyFile, study: StudyPlan, folder: Path) -> None:
    """Raises UsageError where fewer seeds or values are asked for than the folder holds."""
    if study.seeds < (held := seeds_held(kept, folder)):
        option = seeds_option(study.min_seeds)
        raise UsageError(
            f"{option} {study.seeds}: the study in {folder} has {held}, and none is dropped; "
            f"give a larger number to add some, or leave {option} out"
        )
    left_out = [
        name_of(value)
        for key, values in kept.varied.items()
        for value in values
        if value not in study.varied.get(key, [])
    ]
    if left_out:
        raise UsageError(
            f"{folder} compares {listed(left_out)} too, and no value is dropped: name every value, "
            "or go on with --resume and name none, or only those to add; for fewer values name another "
            "folder with --out"
        )


def _is_leftover(path: Path) -> bool:
    """What a killed process leaves of a study that it sets up: lock, parts of files, empty folders."""
    if path.is_dir() and not path.is_symlink():
        return not any(path.iterdir())
    return path.name == LOCK or (path.name.startswith(".") and path.suffix == PART)


def planned_again(kept: StudyFile, **changes: Any) -> StudyPlan:
    """The study that `study.json` tells of. changes: what `plan_study` is given instead."""
    plan: dict[str, Any] = {
        "base": kept.base(),
        **as_planned(kept.varied),
        "margin": kept.margin,
        "match": kept.match,
        "metric": kept.metric,
    }
    until_decided = {"min_seeds", "max_seeds"} & {*changes}
    if kept.min_seeds is not None:
        plan |= {"min_seeds": kept.min_seeds, "max_seeds": kept.seeds}
    elif until_decided:
        plan |= {"max_seeds": max(kept.seeds, MAX_SEEDS)}
    else:
        plan |= {"seeds": kept.seeds}
    return replace(plan_study(**{**plan, **changes}), shard=kept.shard)


def as_planned(varied: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Keys and their values as `plan_study` takes them."""
    (key, values), *others = varied.items()
    return {"key": key, "values": values, "beside": dict(others)}


def union(kept: Mapping[str, list[Any]], more: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """The values of each kept key, then those that are new."""
    return {
        key: values + [value for value in more.get(key, []) if value not in values]
        for key, values in kept.items()
    }


def with_added(kept: Mapping[str, list[Any]], named: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """The values of each key where a study goes on with some named: new ones alone are added to those kept.

    Others are as named, which may leave some out: `refuse_fewer`.
    """
    more = {key: values for key, values in named.items() if all(one not in kept[key] for one in values)}
    added = union(kept, more)
    return {**kept, **named, **{key: added[key] for key in more}}


def seeds_held(kept: StudyFile, folder: Path) -> int:
    """How many seeds a study has: those planned, or where it ends once it is decided, those tried."""
    if kept.min_seeds is None:
        return kept.seeds
    tried = [entry.seed for entry in kept.trials if has_ended(folder, entry.folder)]
    return max(tried, default=kept.first_seed - 1) - kept.first_seed + 1


def with_kept(study: StudyPlan, folder: Path) -> StudyPlan:
    """The study together with what its folder holds of it already: no seed and no value is dropped.

    The values that the folder holds come first, so that the budget that others are matched to stays. What
    they were tuned to stays, too, and others are tuned over the same points.
    """
    if not (folder / STUDY).exists():
        return study
    kept = load_study(folder)
    varied = union(kept.varied, study.varied)
    seeds = max(seeds_held(kept, folder), study.seeds)
    # `study.base` is settled already, or is left to the machines that run the trials: hence not `here`.
    plan = plan_study(
        study.base,
        seeds=seeds,
        margin=study.margin,
        match=study.match,
        metric=study.metric,
        here=False,
        **as_planned(varied),
    )
    tuned = {level.name: level.tuned for level in kept.levels}
    return replace(
        plan,
        min_seeds=study.min_seeds,
        shard=study.shard,
        history=history_with(kept, study.margin, folder),
        tuning=kept.tuning,
        levels=tuple(level.with_tuned(tuned.get(level.name)) for level in plan.levels),
    )


def history_with(kept: AnyStudy, margin: float, folder: Path) -> tuple[Earlier, ...]:
    """What was decided with other margins than this one: a margin that is changed later leaves a trace.

    Where `results.json` is gone, the trials that are there tell what could be known.
    """
    if margin == kept.margin or not any(folder.glob(f"{TRIALS}/*/{RESULT}")):
        return tuple(kept.history)
    before = read_results(folder)
    if not before.levels or before.margin != kept.margin:  # nothing was decided with the margin that is left
        return tuple(kept.history)
    return (*kept.history, Earlier(before.margin, before.seeds, verdict_alone(before)))


def _differences(kept: StudyFile, study: StudyPlan) -> list[str]:
    """What makes two studies two: more values, more seeds or another margin do not.

    The factor is left out of the configurations: each level has its own value of it. So is where images lie.
    """
    before, now = (
        {
            **{"key": of.key, "match": of.match, "metric": of.metric, "shard": str(of.shard or "none")},
            **{"tuning": tuning, **flat(config)},
        }
        for of, tuning, config in (
            (kept, str(kept.tuning or "none"), kept.base()),
            (study, str(study.tuning or kept.tuning or "none"), study.base),
        )
    )
    return [
        f"{name} is {before[name]} there and {now[name]} here"
        for name in now
        if name not in study.varied and name != "data.root" and before[name] != now[name]
    ]
