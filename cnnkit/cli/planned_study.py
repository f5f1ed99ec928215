"""The study that options ask for."""

from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from cnnkit.cli.study_options import ExecutorName, Request
from cnnkit.errors import UsageError

if TYPE_CHECKING:
    from cnnkit.comparison.study import StudyPlan
    from cnnkit.config.schema import Config


def planned(request: Request, base: "Config | None", varied: dict[str, list[Any]]) -> "StudyPlan":
    """The study that is asked for; what is not said is as it was planned, or the default.

    Raises UsageError where the folder holds another study, or more than is asked for.
    """
    from cnnkit.comparison.going_on import (
        as_planned,
        planned_again,
        refuse_another_study,
        refuse_fewer,
        with_added,
    )
    from cnnkit.comparison.plan_options import with_shard, with_tuning
    from cnnkit.comparison.shards import shard_of
    from cnnkit.comparison.study import plan_study
    from cnnkit.comparison.study_file import load_study
    from cnnkit.filenames import STUDY

    shard = None if request.shard is None else shard_of(request.shard)
    kept = None
    if request.out is not None and (request.resume or (request.out / STUDY).exists()):
        kept = load_study(request.out)
    given: dict[str, Any] = {"here": request.executor is ExecutorName.local}
    if base is not None:
        given["base"] = base
    elif kept is not None:
        given["base"] = kept.base_at(request.root)
    if request.resume and kept and varied and {*varied} <= {*kept.varied}:
        varied = with_added(kept.varied, varied)
    if varied:
        given |= as_planned(varied)
    for name in ("seeds", "min_seeds", "max_seeds", "margin", "match", "metric"):
        if (value := getattr(request, name)) is not None:
            given[name] = value.value if isinstance(value, Enum) else value
    another = not request.resume and kept and [*varied] != [*kept.varied]  # which is refused later
    tuned_keys = [key.strip() for key in (request.tune_keys or "").split(",") if key.strip()]
    if kept is None or another:
        return with_shard(with_tuning(plan_study(**given), request.tune, tuned_keys), shard)
    plan = with_tuning(planned_again(kept, **given), request.tune, tuned_keys)
    assert request.out is not None
    plan = plan if request.resume else with_shard(replace(plan, shard=None), shard)
    refuse_another_study(plan, request.out)
    refuse_fewer(kept, plan, request.out)
    return plan


def factors_of(vary: list[str]) -> dict[str, list[Any]]:
    """`model.dropout=0,0.25` -> its key, and the values that YAML reads there; the same for each."""
    from cnnkit.config.yaml_tree import read_flow_list

    factors: dict[str, list[Any]] = {}
    for one in vary:
        key, equals, values = one.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--vary {one}: expected KEY=A,B,… such as model.dropout=0,0.25,0.5")
        if key.strip() in factors:
            raise UsageError(f"--vary {one}: {key.strip()} is varied already; give all values at once")
        factors[key.strip()] = read_flow_list(values, f"--vary {one}")
    return factors
