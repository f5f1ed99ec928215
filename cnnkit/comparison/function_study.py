"""A study of a person's own function: `study.json` of it, and what each call leaves in its folder."""

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnkit.comparison.study_file import (
    combinations_complaint,
    folder_name,
    function_in,
    load_study,
    trial_folder,
)
from cnnkit.comparison.study_records import Earlier, FactorPlan, StudyFile, TrialEntry, varied_in
from cnnkit.errors import DamagedFile, RunError
from cnnkit.filenames import RESULT, STUDY
from cnnkit.kept import read_sealed, sha256
from cnnkit.records import Record
from cnnkit.stats import MOST_SEEDS

VERSION = 1


@dataclass(frozen=True)
class FunctionLevel(Record):
    """value: any JSON value, which the function is given; of several keys, each key's value.

    combinations: where several keys are varied, the one that this is: the number of each factor's value.
    """

    name: str
    value: Any
    combinations: list[list[int]] = field(default_factory=list)


@dataclass(frozen=True)
class FunctionTrial:
    """One call of the function. key: what is compared."""

    key: str
    level: str
    value: Any
    seed: int

    @property
    def id(self) -> str:
        return sha256(json.dumps([self.key, self.value, self.seed], sort_keys=True).encode())

    @property
    def folder(self) -> str:
        """Its folder's name in the study."""
        return folder_name(self.level, self.seed, self.id)


@dataclass(frozen=True)
class FunctionStudy(Record):
    """What `study.json` holds: the plan of a study of a function.

    function: its module and name. code: hashes of its source, the oldest first; several where it was changed
    while the study went on. seeds: how many; at most, where `min_seeds` is a number. margin: percentage
    points. margin_given: whether a person chose it; otherwise it follows from `images`, how many test images
    there are: None until the first call has returned, 0 where the function tells accuracies alone.
    history: what was decided with other margins, the oldest first. factors: the keys, where it is more than
    one; every combination of their values is then a level. of_table: nothing was called: `function` is the
    name of a table of numbers that other programs measured.
    """

    version: int
    function: str
    code: list[str]
    key: str
    levels: list[FunctionLevel]
    seeds: int
    min_seeds: int | None
    first_seed: int
    margin: float
    margin_given: bool
    images: int | None = None
    warnings: list[str] = field(default_factory=list)
    history: list[Earlier] = field(default_factory=list)
    factors: list[FactorPlan] = field(default_factory=list)
    of_table: bool = False

    @property
    def varied(self) -> dict[str, list[Any]]:
        """The values of each key."""
        return varied_in(self.key, self.levels, self.factors)

    @property
    def all_seeds(self) -> range:
        return range(self.first_seed, self.first_seed + self.seeds)

    def trials(self) -> Iterator[FunctionTrial]:
        """All levels of one seed before the next seed."""
        for seed, level in product(self.all_seeds, self.levels):
            yield FunctionTrial(self.key, level.name, level.value, seed)


@dataclass(frozen=True)
class Answer(Record):
    """`result.json` of a call: what the function returned.

    accuracy: a fraction. seconds: of the call; None where a table does not tell. images: how many test
    images. right: which of them were right, a bit an image, base64; images is 0 and right empty where the
    function told its accuracy alone.
    """

    level: str
    seed: int
    accuracy: float
    seconds: float | None
    images: int
    right: str

    def of_images(self) -> NDArray[np.bool_]:
        """(images,). Raises ValueError where `right` holds another number of images."""
        bits = np.frombuffer(base64.b64decode(self.right, validate=True), np.uint8)
        if len(bits) != -(-self.images // 8):
            raise ValueError(f"right holds {len(bits)} bytes for {self.images} images")
        return np.unpackbits(bits, count=self.images).astype(bool)


def packed(right: NDArray[np.bool_]) -> str:
    """What `Answer.right` holds of (images,) bool."""
    return base64.b64encode(np.packbits(right).tobytes()).decode()


def is_of_function(folder: Path) -> bool:
    return bool(function_in(folder))


def load_function_study(folder: Path) -> FunctionStudy:
    """Reads `study.json`. Raises RunError where it is damaged."""
    path = folder / STUDY
    try:
        study = read_sealed(path, FunctionStudy)
    except (DamagedFile, FileNotFoundError) as error:
        raise RunError(str(error)) from error
    names = {level.name for level in study.levels}
    if study.version != VERSION:
        complaint = f"it is of version {study.version}, and this cnnkit reads version {VERSION}"
    elif not 1 <= study.seeds <= MOST_SEEDS or not 0 < study.margin < 100 or (study.images or 0) < 0:
        complaint = f"{study.seeds} seeds, {study.images} images, a margin of {study.margin:g} points"
    elif len(names) < max(2, len(study.levels)):
        complaint = "a study has two levels or more, of different names"
    elif told := combinations_complaint(study.levels, study.factors):
        complaint = told
    else:
        return study
    raise RunError(f"{path} is damaged: {complaint}")


AnyStudy = StudyFile | FunctionStudy


def any_study(folder: Path) -> AnyStudy:
    """What `study.json` holds, whatever is compared. Raises as `load_study` does."""
    return load_function_study(folder) if is_of_function(folder) else load_study(folder)


def planned_trials(study: AnyStudy) -> Sequence[TrialEntry | FunctionTrial]:
    return study.trials if isinstance(study, StudyFile) else [*study.trials()]


def read_answer(folder: Path, trial: FunctionTrial) -> Answer | None:
    """What the function returned; None where it has not. folder: the study's.

    Raises RunError where the file is damaged.
    """
    path = trial_folder(folder, trial.folder) / RESULT
    try:
        answer = read_sealed(path, Answer)
        right = answer.of_images()
    except FileNotFoundError:
        return None
    except (DamagedFile, ValueError) as error:
        raise RunError(f"{path} is damaged: {error}") from error
    if (answer.level, answer.seed) != (trial.level, trial.seed):
        raise RunError(f"{path} is of {answer.level}, seed {answer.seed}")
    if not 0 <= answer.accuracy <= 1 or (len(right) and answer.accuracy != right.mean()):
        raise RunError(f"{path} is damaged: its accuracy is {answer.accuracy}")
    return answer
