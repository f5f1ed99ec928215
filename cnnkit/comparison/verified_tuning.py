"""`--verify` for `--tune`: chooses the settings of each level again, from what its trainings left behind."""

from collections.abc import Iterator
from pathlib import Path

from cnnkit.comparison.study_file import trained_otherwise, trial_folder
from cnnkit.comparison.study_records import LevelPlan, StudyFile
from cnnkit.comparison.tuning import best_point, kept_point
from cnnkit.errors import CnnkitError
from cnnkit.experiment.run_dir import RunDir
from cnnkit.filenames import CONFIG, STUDY, TUNING


def untrue_tuning(folder: Path, study: StudyFile) -> Iterator[str]:
    """Where the settings of a level are not what its trainings tell, or they were trained otherwise."""
    for level in study.levels:
        if study.tuning and level.tuned:
            folders = [trial_folder(folder, name, TUNING) for name in level.tuned.folders]
            again = best_point(study.tuning, [kept_point(one) for one in folders], level.tuned.folders)
            if again != level.tuned:
                told = f"{level.name} is tuned to {level.tuned.settings} by {level.tuned.deciding}"
                yield (
                    f"{folder / STUDY}: {told}, and {again.settings} by {again.deciding} comes out of "
                    f"{folder / TUNING}"
                )
            for point, one in enumerate(folders):
                yield from _trained_otherwise(study, level, point, one)


def _trained_otherwise(study: StudyFile, level: LevelPlan, point: int, folder: Path) -> Iterator[str]:
    assert study.tuning is not None
    try:
        config = RunDir(folder).config
    except CnnkitError as error:
        yield str(error)
        return
    for told in trained_otherwise(study, level, study.tuning.points[point], study.tuning.seed, config):
        yield f"{folder / CONFIG}: {told} here"
