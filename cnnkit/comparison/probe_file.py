"""`probe.json`, the figures that `cnnkit probe` finds: how they are kept, and whose they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cnnkit.comparison.study_file import StudyFile, trial_folder
from cnnkit.filenames import BEST, PROBE
from cnnkit.kept import read_kept, read_sealed, sha256
from cnnkit.records import Record
from cnnkit.words import counted

VERSION = 1


@dataclass(frozen=True)
class ProbedTrial(Record):
    """weights: the hash of the file that was asked. figures: by name; fractions.

    field: how much a cell in the middle of the last maps depends on each pixel of the square that it could
    see, row by row, in 255ths of the most.
    """

    level: str
    seed: int
    weights: str
    figures: Mapping[str, float]
    field: list[list[int]]


@dataclass(frozen=True)
class Probe(Record):
    """What `probe.json` holds. images: how many test images were to be asked. asked: how many there were."""

    version: int
    images: int
    asked: int
    trials: list[ProbedTrial]

    @property
    def told(self) -> str:
        """Who was asked what, in words."""
        networks = counted(len(self.trials), "network")
        if self.asked < self.images:
            return f"{networks} were asked all {self.asked:,} test images"
        return f"{networks} were asked the same {counted(self.asked, 'test image')}, chosen at random"


def read_probe(folder: Path) -> Probe | None:
    """What a study's `probe.json` holds; None where it was not probed. Raises DamagedFile, with the file."""
    try:
        return read_sealed(folder / PROBE, Probe)
    except FileNotFoundError:
        return None


def of_other_weights(probe: Probe, folder: Path, study: StudyFile) -> list[ProbedTrial]:
    """Trials whose weights are others now than when they were asked, or are missing."""
    kept = {}
    for entry in study.trials:
        weights = trial_folder(folder, entry.folder) / BEST
        if weights.is_file():
            kept[entry.level, entry.seed] = sha256(read_kept(weights, any_size=True))
    return [trial for trial in probe.trials if kept.get((trial.level, trial.seed)) != trial.weights]
