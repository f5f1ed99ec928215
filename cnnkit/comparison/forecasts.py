"""What the trainings of a study will cost, told before they begin."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from cnnkit.comparison.executor import Executor
from cnnkit.comparison.local import workers_for
from cnnkit.comparison.study import StudyPlan
from cnnkit.comparison.validation_only import forecast_of
from cnnkit.data.dataset import Published
from cnnkit.errors import CnnkitError
from cnnkit.processes import available_cpus
from cnnkit.training.idle_cores import IdleCores, busy_in_words
from cnnkit.training.memory import free_bytes
from cnnkit.words import counted, gigabytes


@dataclass(frozen=True)
class StudyForecast:
    """About what trainings cost, from the first steps of each level's network.

    seconds: by level, how much longer each of its trainings makes the study. workers: how many processes
    train at once. memory: bytes that one of them takes at most; None where the system does not tell.
    """

    seconds: Mapping[str, float]
    workers: int
    memory: int | None

    def too_large(self, free: float) -> str:
        """What a person should know where the workers need more than `free` bytes; else empty."""
        needed = self.workers * (self.memory or 0)
        if needed <= free:
            return ""
        fewer = "; try fewer --workers" if self.workers > 1 else ""
        return (
            f"{counted(self.workers, 'worker')} may need {gigabytes(needed)} of memory, and "
            f"{gigabytes(free)} are free{fewer}"
        )


def forecast_study(study: StudyPlan, executor: Executor, published: Published) -> StudyForecast | None:
    """The forecast; None with Ray, because other machines train at another speed."""
    runtime = study.base.runtime
    if runtime.device == "auto":
        return None
    workers = getattr(executor, "workers", None) or workers_for(runtime)
    with contextlib.suppress(CnnkitError):
        costs = {level.name: forecast_of(level.config, published) for level in study.levels}
        memory = max((cost.memory or 0 for cost in costs.values()), default=0)
        return StudyForecast(
            {name: cost.seconds / workers for name, cost in costs.items()}, workers, memory or None
        )
    return None


def of_this_machine(costs: StudyForecast, cores: IdleCores, device: str) -> list[str]:
    """What a person should know before trainings begin here. cores: counted from before the first steps."""
    if device != "cpu":
        return []
    told = [costs.too_large(free_bytes(torch.device(device)))]
    wanted = available_cpus()
    if (idle := cores.too_few(wanted)) is not None:
        told.append(busy_in_words(idle, wanted))
    return list(filter(None, told))
