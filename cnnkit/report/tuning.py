"""What the report of a comparison shows of `--tune`: how good each level was at each point."""

from collections.abc import Sequence
from dataclasses import dataclass

from cnnkit.comparison.study_records import StudyFile
from cnnkit.comparison.tuning import changes, setting_text, value_text
from cnnkit.scores import METRICS
from cnnkit.words import short_key


@dataclass(frozen=True)
class PointRow:
    """settings: in words. values: of each level on validation images, empty where training failed.

    chosen: for each level whether it got these settings. own: whether they are the configuration's.
    """

    settings: list[str]
    values: list[str]
    chosen: list[bool]
    own: bool


@dataclass(frozen=True)
class TuningTable:
    """keys: the columns of settings; levels: those of values. told: a sentence for each level.

    measure: what the values are, and best: the best of it, in words.
    """

    keys: list[str]
    levels: list[str]
    rows: list[PointRow]
    told: list[tuple[str, str]]
    seed: int
    measure: str
    best: str


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
            values=[
                "" if value is None else value_text(tuning.monitor, value, short=True)
                for value in (of_level.deciding[point] for _, of_level in tuned)
            ],
            chosen=[of_level.point == point for _, of_level in tuned],
            own=point == 0,
        )
        for point in order
    ]
    measure = METRICS.get(tuning.monitor, tuning.monitor)
    return TuningTable(
        keys=[short_key(key) for key in tuning.keys],
        levels=[name for name, _ in tuned],
        rows=rows,
        told=[(name, changes(tuning, of_level)) for name, of_level in tuned],
        seed=tuning.seed,
        measure=measure,
        best=f"lowest {measure}" if tuning.monitor == "loss" else f"best {measure}",
    )


def _size(values: Sequence[float | None]) -> list[float]:
    return [float("-inf") if value is None else value for value in values]
