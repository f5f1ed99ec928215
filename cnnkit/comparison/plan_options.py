"""What `--tune` and `--shard` make of a study that is planned."""

from collections.abc import Sequence
from dataclasses import replace

from cnnkit.comparison.shards import Shard
from cnnkit.comparison.study import StudyPlan
from cnnkit.comparison.tuning import plan_tuning
from cnnkit.config.ranges import DEFAULT_KEYS
from cnnkit.errors import UsageError
from cnnkit.words import counted


def with_tuning(study: StudyPlan, points: int | None, keys: Sequence[str] = ()) -> StudyPlan:
    """The study, with each level tuned first. points: how many to try of each; None: no tuning.

    keys: to tune, dotted; without any `DEFAULT_KEYS`. Raises UsageError where that cannot be.
    """
    if points is None:
        if keys:
            raise UsageError("--tune-keys needs --tune: it names what is tuned")
        return study
    configs = [level.config for level in study.levels]
    return replace(
        study, tuning=plan_tuning(points, keys or DEFAULT_KEYS, configs, [*study.varied], study.metric)
    )


def with_shard(study: StudyPlan, shard: Shard | None) -> StudyPlan:
    """The study, of which only a share is run. Raises UsageError where it has none."""
    if shard is None:
        return study
    if shard.complaint:
        raise UsageError(shard.complaint)
    if study.min_seeds is not None:
        raise UsageError(f"--shard {shard} needs --seeds: no shard can know when the whole study is decided")
    if study.tuning:
        raise UsageError(f"--shard {shard} does not go with --tune: every shard would tune all values again")
    if shard.of > (trainings := len(study.levels) * study.seeds):
        raise UsageError(f"--shard {shard}: {counted(trainings, 'training')} make no {shard.of:,} shards")
    return replace(study, shard=shard)
