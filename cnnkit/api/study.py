"""`cnnkit.Study`: a comparison, and what it has kept."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cnnkit.api.drawn import Drawn, as_path
from cnnkit.api.notebook import embedded
from cnnkit.comparison import results
from cnnkit.comparison.executor import Executor
from cnnkit.comparison.function_call import Function
from cnnkit.comparison.function_runner import run_function
from cnnkit.comparison.function_study import FunctionStudy, is_of_function
from cnnkit.comparison.pair_records import PairResult
from cnnkit.comparison.probe_file import Probe
from cnnkit.comparison.records import StudyResults
from cnnkit.comparison.runner import run_study
from cnnkit.comparison.sentence import sentence
from cnnkit.comparison.study import StudyPlan
from cnnkit.comparison.study_file import load_study
from cnnkit.comparison.trials_table import trials_table
from cnnkit.comparison.verification import verify
from cnnkit.config.own_code import tell_of_changes
from cnnkit.errors import UsageError
from cnnkit.events import NoteListener, StudyListener, ignore
from cnnkit.filenames import RUNS, TRIALS
from cnnkit.nn.tried_apart import try_own_classes
from cnnkit.probe.measure import IMAGES
from cnnkit.probe.study import probe_study
from cnnkit.report.right import right_table
from cnnkit.tables import Table
from cnnkit.tracking.study import TrackedStudy


@dataclass(frozen=True)
class Study(Drawn):
    """A study's folder. In a notebook a study shows its report; `print` tells who wins.

    Whatever is read from it raises RunError where it is missing or damaged.
    """

    path: Path

    def __post_init__(self) -> None:
        if not is_of_function(self.path):
            load_study(self.path)  # raises UsageError where there is none

    @property
    def results(self) -> StudyResults:
        """Everything that `results.json` holds. Accuracies and differences are fractions."""
        return results.read_results(self.path)

    @property
    def pairs(self) -> list[PairResult]:
        """Every pair of levels: difference with interval, verdict, evidence."""
        return self.results.pairs

    def verify(self, deep: bool = False, *, root: str | Path | None = None) -> StudyResults:
        """Computes every number again from the kept files. Raises RunError where one differs.

        deep: also evaluates the kept weights again; root: where the images lie now. Raises DataError where
        they are missing.
        """
        return verify(self.path, deep, root=as_path(root))

    def probe(
        self,
        images: int = IMAGES,
        device: str | None = None,
        notify: NoteListener = ignore,
        *,
        root: str | Path | None = None,
    ) -> Probe:
        """Asks every network of the study why one wins, and keeps the figures in `probe.json`.

        images: of the test split, the same for all. device: instead of the configured one. Networks that
        were asked before are not asked again. `report()` shows what came out. root: where the images
        lie now. Raises UsageError where the
        study holds no networks, DataError where its images are missing.
        """
        return probe_study(self.path, images, device, notify, as_path(root))

    def table(self) -> Any:
        """A pandas frame with a row a trial: value, seed, state, accuracies, epochs, seconds, costs.

        The rows of `trials.csv`, made anew from the trials. Raises UsageError where pandas is missing.

        >>> study.table().groupby("level").accuracy.mean()  # doctest: +SKIP
        """
        return self.trials().frame()

    def trials(self) -> Table:
        """The same rows without pandas: `.rows`, `.columns`; `.write("a.csv")` keeps them."""
        return trials_table(self.path, self.results)

    def images(self, notify: NoteListener = ignore) -> Table:
        """A row a test image: with how many seeds each level was right on it; `.write("a.csv")` keeps it.

        Raises RunError where that is not known. notify: is told of trials whose predictions are missing.
        """
        return right_table(self.path, notify)

    def __str__(self) -> str:
        return sentence(self.results)

    def _repr_html_(self) -> str:
        return embedded(self.report())


def run_plan(
    plan: StudyPlan,
    folder: Path | None,
    *,
    name: str = "study",
    workers: int | None = None,
    executor: Literal["local", "ray"] = "local",
    ray_address: str | None = None,
    notify: StudyListener = ignore,
    tracked: TrackedStudy | None = None,
) -> Study:
    """Runs the trials that a folder does not hold yet; without one it is `runs/compare-<name>-<time>`.

    tracked: is told of the study, too.
    """
    _refuse_workers(workers)
    if executor not in ("local", "ray"):
        raise UsageError(f"executor: {executor!r}; expected 'local' or 'ray'")
    if executor == "ray" and workers is not None:
        raise UsageError("workers: a Ray cluster decides how many trials run side by side; leave it out")
    if executor == "local" and ray_address is not None:
        raise UsageError("ray_address: trials run on a cluster only with executor 'ray'")
    folder = folder or _new_folder(name)
    tell_of_changes([level.config for level in plan.levels], notify)
    try_own_classes([level.config.model for level in plan.levels], notify)
    told = tracked.at(folder, notify) if tracked else notify
    with _executor(plan, folder / TRIALS, workers, executor, ray_address) as chosen:
        run_study(plan, folder, chosen, told)
    return Study(folder)


def run_function_plan(
    function: Function,
    plan: FunctionStudy,
    folder: Path | None,
    *,
    workers: int | None = None,
    notify: StudyListener = ignore,
    tracked: TrackedStudy | None = None,
) -> Study:
    """Makes the calls that a folder does not hold yet; workers: None: 1, this process. tracked: as above."""
    _refuse_workers(workers)
    folder = folder or _new_folder(plan.key)
    told = tracked.at(folder, notify) if tracked else notify
    run_function(function, plan, folder, workers or 1, told)
    return Study(folder)


def with_page(study: Study, tracked: TrackedStudy | None) -> Study:
    """The study; where trackers are told of it its report is drawn, which they keep."""
    if tracked:
        tracked.files.append(study.report())
    return study


def _refuse_workers(workers: int | None) -> None:
    if workers is not None and workers < 1:
        raise UsageError(f"workers: {workers}; expected a number of 1 or more")


def _new_folder(name: str) -> Path:
    name = re.sub(r"[^A-Za-z0-9.]+", "-", name)
    return RUNS / f"compare-{name}-{time.strftime('%Y%m%d-%H%M%S')}"


@contextmanager
def _executor(
    plan: StudyPlan, home: Path, workers: int | None, executor: str, ray_address: str | None
) -> Iterator[Executor]:
    """Where trials run. home: the folder of their run directories."""
    if executor == "ray":
        from cnnkit.comparison.on_ray import RayExecutor, ray_cluster

        with ray_cluster(ray_address):
            yield RayExecutor(home)
    elif workers is None and plan.base.runtime.device.startswith("cuda"):
        from cnnkit.comparison.on_gpu import StackedExecutor

        yield StackedExecutor(home)
    else:
        from cnnkit.comparison.local import LocalExecutor

        yield LocalExecutor(home, workers)
