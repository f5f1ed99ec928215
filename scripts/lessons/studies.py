"""The trainings behind a claim: studies of cnnkit with a fixed number of seeds, and contrasts between them.

All studies use the same seeds from 0 on, so values are compared seed by seed, within a study and between two.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cnnkit
from cnnkit.additive import fit_pairs
from cnnkit.comparison.study_file import trial_folder
from cnnkit.comparison.study_records import name_of
from cnnkit.stats import CONFIDENCE, Interval, mean_interval

BySeed = Mapping[int, float]
UNKNOWN = Interval(float("nan"), None, None)

# `fast` shows only hard ones, and has settings that go with that.
EVERY_IMAGE = {"training.hardest": 1, "training.batch_size": 256, "training.learning_rate": 0.01}


@dataclass(frozen=True)
class Trained:
    """The finished trainings of one study: a run for each value and seed. path: the study's folder."""

    path: Path
    runs: dict[tuple[str, int], cnnkit.Run]

    @property
    def step(self) -> float:
        """What one test image counts, percent."""
        return 100 / next(iter(self.runs.values())).result.test_images

    def of(self, value: Any, measure: Callable[[cnnkit.Run], float]) -> dict[int, float]:
        """What is measured of each run of a value of the study's key, by seed."""
        return {
            seed: measure(run) for (level, seed), run in sorted(self.runs.items()) if level == name_of(value)
        }


@dataclass(frozen=True)
class Workshop:
    """Where the studies are kept, and how large they are. A study that is there already is not trained again.

    quick: digits and few seeds. folder: of all studies; quick and full ones have folders of their own.
    """

    folder: Path
    quick: bool = False
    workers: int | None = None
    progress: bool = False

    def pick(self, quick: Any, full: Any) -> Any:
        return quick if self.quick else full

    def compare(
        self,
        name: str,
        base: str | Path,
        overrides: Mapping[str, Any],
        vary: Mapping[str, Sequence[Any]],
        seeds: int,
        **options: Any,
    ) -> Trained:
        """Trains each value of one key with each seed. options: of `cnnkit.compare`."""
        config = cnnkit.load_config(base, {**(EVERY_IMAGE if base == "fast" else {}), **overrides})
        out = self.folder / self.pick("quick", "full") / name
        study = cnnkit.compare(
            config, vary, seeds, out, workers=self.workers, progress=self.progress, **options
        )
        return trained(study)


def trained(study: cnnkit.Study) -> Trained:
    """The finished trainings of a kept study."""
    finished = [trial for trial in study.results.trials if trial.error is None]
    return Trained(
        study.path,
        {(t.level, t.seed): cnnkit.open_run(trial_folder(study.path, t.folder)) for t in finished},
    )


def test_accuracy(run: cnnkit.Run) -> float:
    """In percent."""
    return 100 * run.result.test_accuracy


def training_loss(run: cnnkit.Run) -> float:
    """Mean cross-entropy on training images, nats, measured without dropout and augmentation."""
    loss = run.result.clean_train_loss
    assert loss is not None
    return loss


def contrast(*terms: tuple[float, BySeed]) -> list[float]:
    """The weighted sum of values, seed by seed, over the seeds that all terms have."""
    shared = set.intersection(*(set(values) for _, values in terms))
    return [sum(weight * values[seed] for weight, values in terms) for seed in sorted(shared)]


def interval(values: Sequence[float], together: int, resolution: float = 0.0) -> Interval:
    """Of the mean over seeds, 95 % for `together` intervals at once; UNKNOWN without values."""
    return mean_interval(values, resolution, together) if len(values) else UNKNOWN


def to_reference(levels: Sequence[BySeed], together: int, resolution: float = 0.0) -> list[Interval]:
    """Each level minus the first, over the seeds that both have; all levels together tell the noise.

    `cnnkit.additive.fit_pairs` fits level + seed; one that is noisier than the others has its own noise.
    The number of seeds was fixed before, so Student's t holds. UNKNOWN where there are no shared seeds.
    """
    from scipy.stats import t

    seeds = sorted(set().union(*levels))
    fit = fit_pairs([[level.get(seed, math.nan) for seed in seeds] for level in levels], resolution)
    intervals = []
    for pair in range(len(levels) - 1):  # the pairs of the first level come first
        n, df, mean = int(fit.seeds[pair]), int(fit.df[pair]), -float(fit.difference[pair])
        if n == 0 or df < 1:
            intervals.append(UNKNOWN)
            continue
        reach = float(t.isf((1 - CONFIDENCE) / 2 / together, df)) * math.sqrt(fit.variance[pair] / n)
        intervals.append(Interval(mean, mean - reach, mean + reach))
    return intervals
