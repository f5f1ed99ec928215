"""`probe.json`, the figures that `cnnkit probe` finds: how they are kept, and whose they are."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cnnkit.comparison.study_file import trial_folder
from cnnkit.comparison.study_records import StudyFile
from cnnkit.errors import DamagedFile
from cnnkit.filenames import BEST, PROBE
from cnnkit.kept import read_kept, read_sealed, sha256
from cnnkit.records import Record
from cnnkit.words import counted, listed

VERSION = 1


@dataclass(frozen=True)
class Field(Record):
    """How much a cell in the middle of the last maps depends on each pixel of the square that it could see.

    strengths: row by row, in 255ths of the most. top, left: of the square, in the image. image: its height
    and width, pixels.
    """

    top: int
    left: int
    image: tuple[int, int]
    strengths: list[list[int]]


@dataclass(frozen=True)
class ProbedTrial(Record):
    """weights: the hash of the file that was asked. figures: by name; fractions."""

    level: str
    seed: int
    weights: str
    figures: Mapping[str, float]
    field: Field


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
        count = len(self.trials)
        networks = f"{counted(count, 'network')} {'was' if count == 1 else 'were'} asked"
        if self.asked < self.images:
            return f"{networks} all {self.asked:,} test images"
        return f"{networks} the same {counted(self.asked, 'test image')}, chosen at random"


def read_probe(folder: Path) -> Probe | None:
    """What a study's `probe.json` holds; None where it was not probed. Raises DamagedFile, with the file."""
    try:
        return read_sealed(folder / PROBE, Probe)
    except FileNotFoundError:
        return None


def probe_left(folder: Path, study: StudyFile) -> tuple[Probe | None, list[str]]:
    """What was found of the weights that lie in a study now, and what is wrong with the rest, in words.

    None where the study was not probed, or nothing of it is left.
    """
    try:
        probe = read_probe(folder)
    except DamagedFile as error:
        return None, [f"{error}; cnnkit probe asks the networks again"]
    others = of_other_weights(probe, folder, study) if probe else []
    if probe is None or not others:
        return probe, []
    names = listed([f"{trial.level} with seed {trial.seed}" for trial in others])
    told = f"{folder / PROBE} has figures of other weights than those that lie here now, which are left out: "
    left = [trial for trial in probe.trials if trial not in others]
    return replace(probe, trials=left) if left else None, [f"{told}{names}; cnnkit probe asks these again"]


def of_other_weights(probe: Probe, folder: Path, study: StudyFile) -> list[ProbedTrial]:
    """Trials whose weights are others now than when they were asked, or are missing."""
    kept = {}
    for entry in study.trials:
        weights = trial_folder(folder, entry.folder) / BEST
        if weights.is_file():
            kept[entry.level, entry.seed] = sha256(read_kept(weights, any_size=True))
    return [trial for trial in probe.trials if kept.get((trial.level, trial.seed)) != trial.weights]
