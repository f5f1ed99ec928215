"""What the report of a comparison shows of `--tune`: the accuracy of each level at each point."""

from collections.abc import Sequence
from dataclasses import dataclass

from cnnkit.comparison.study_file import StudyFile
from cnnkit.comparison.tuning import changes, setting_text, short_key


@dataclass(frozen=True)
class PointRow:
    """settings: in words. accuracies: of each level on validation images, None where training failed.

    chosen: for each level whether it got these settings. own: whether they are the configuration's.
    """

    settings: list[str]
    accuracies: list[float | None]
    chosen: list[bool]
    own: bool


@dataclass(frozen=True)
class TuningTable:
    """keys: the columns of settings; levels: those of accuracies. told: a sentence for each level."""

    keys: list[str]
    levels: list[str]
    rows: list[PointRow]
    told: list[tuple[str, str]]
    seed: int


def tuning_table(study: StudyFile) -> TuningTable | None:
    """The points in the order of the first key's values; None where no level has been tuned."""
    tuning = study.tuning
    tuned = [(level.name, level.tuned) for level in study.levels if level.tuned]
    if tuning is None or not tuned:
        return None
    order = sorted(range(len(tuning.points)), key=lambda point: _size(list(tuning.points[point].values())))
    rows = [
        PointRow(
            settings=[setting_text(value) for value in tuning.points[point].values()],
            accuracies=[of_level.val_accuracies[point] for _, of_level in tuned],
            chosen=[of_level.point == point for _, of_level in tuned],
            own=point == 0,
        )
        for point in order
    ]
    return TuningTable(
        keys=[short_key(key) for key in tuning.keys],
        levels=[name for name, _ in tuned],
        rows=rows,
        told=[(name, changes(tuning, of_level)) for name, of_level in tuned],
        seed=tuning.seed,
    )


def _size(values: Sequence[float | None]) -> list[float]:
    return [float("-inf") if value is None else value for value in values]
