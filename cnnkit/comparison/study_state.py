"""How far a study has come, in words: for lists of studies."""

from pathlib import Path

from cnnkit.comparison.course import GIVEN_UP
from cnnkit.comparison.function_study import AnyStudy, FunctionStudy, planned_trials
from cnnkit.comparison.records import StudyResults
from cnnkit.comparison.study_file import has_ended
from cnnkit.comparison.study_records import StudyFile

FINISHED, UNFINISHED = "finished", "unfinished"


def state_of(folder: Path, study: AnyStudy, results: StudyResults | None) -> str:
    """`finished`, `5 of 12 trials`, `5 of at most 120 trials`, `shard 3/16` or `shard 3/16, 5 of 12 trials`.

    results: None: they are not kept yet, and the folders of the trials are looked at; where all have ended
    the study is `unfinished`.
    """
    planned, whole = planned_trials(study), False
    if results is None:
        ended = {(one.level, one.seed) for one in planned if has_ended(folder, one.folder)}
    else:
        ended = {(trial.level, trial.seed) for trial in results.trials}
        whole = _nothing_left(study, results, ended)
    most = "" if study.min_seeds is None else "at most "
    how_many = f"{len(ended):,} of {most}{len(planned):,} trials"
    parts = [] if whole else [how_many if len(ended) < len(planned) else UNFINISHED]
    if isinstance(study, StudyFile) and study.shard:
        parts.insert(0, f"shard {study.shard}")
    return ", ".join(parts) or FINISHED


def _nothing_left(study: AnyStudy, results: StudyResults, ended: set[tuple[str, int]]) -> bool:
    """Whether no training is needed any more, as `Course` has it, from what was known at the last look."""
    if isinstance(study, FunctionStudy) and study.of_table:
        return True  # what the table does not hold never comes
    going = {level.name for level in study.levels}
    if study.min_seeds is not None:
        enough = bool(results.looks) and results.looks[-1].seeds >= study.min_seeds
        if results.decided and enough:
            return True
        known = {level.name for level in results.levels}
        beaten = {level.name for level in results.levels if level.beaten_after is not None}
        failures = [trial.level for trial in results.failed]
        going -= {name for name in going - known if failures.count(name) >= GIVEN_UP}
        going -= beaten if enough and not study.factors else set()
        if len(going) < (len(study.levels) if study.factors else 2):
            return True
    return all(one.level not in going or (one.level, one.seed) in ended for one in planned_trials(study))
