"""How much of a comparison was trained, in words."""

from collections.abc import Iterator

from cnnkit.comparison.function_study import AnyStudy
from cnnkit.comparison.records import LevelResult, StudyResults
from cnnkit.comparison.study_records import StudyFile
from cnnkit.words import counted, listed


def trainings(study: AnyStudy, results: StudyResults) -> str:
    """How many trainings and seeds there are, how many were planned, and whether the study was stopped."""
    return " ".join(_trainings(study, results))


def _trainings(study: AnyStudy, results: StudyResults) -> Iterator[str]:
    levels, ended, failed = len(study.levels), len(results.trials), len(results.failed)
    planned = levels * study.seeds
    several = isinstance(study, StudyFile) and bool(study.factors)
    failures = f", of which {failed} failed" if failed else ""
    if study.min_seeds is None:
        plan = f"{counted(levels, 'network' if several else 'level')} × {counted(study.seeds, 'seed')}"
        done = counted(ended, "training") if ended == planned else f"{ended:,} of {planned:,} trainings"
        yield f"{plan}: {done}{failures}."
        if ended < planned and not results.of_table:
            yield "The others are missing: the study was stopped."
        return
    seeds = counted(len(results.seeds), "seed")
    yield f"{counted(ended, 'training')}{failures}, {seeds}; at most {planned:,} were planned."
    if results.levels and not results.decided:
        unknown = "the effects were" if several else "the best was"
        if len(results.seeds) == study.seeds:
            yield f"After the most seeds planned {unknown} not {'all ' if several else ''}known."
        else:
            yield f"The study was stopped before {unknown} known."


def fate(level: LevelResult) -> str:
    """Whether a level was beaten, and how many of its trainings failed; empty: neither."""
    beaten = f"beaten after {counted(level.beaten_after, 'seed')}" if level.beaten_after else ""
    return ", ".join(filter(None, [beaten, f"{level.failures} failed" if level.failures else ""]))


def seeds_of_levels(study: AnyStudy, results: StudyResults) -> str:
    """How many seeds the levels have, in sentences."""
    ranked = [level.name for level in results.levels]
    others = [level.name for level in study.levels if level.name not in ranked]
    if not others:
        return _seeds_of_ranked(results)
    absent = "it is" if len(others) == 1 else "they are"
    return f"{listed(others)} finished no training, so {absent} not here. {_seeds_of_ranked(results)}"


def _seeds_of_ranked(results: StudyResults) -> str:
    seeds = {len(level.seeds) for level in results.levels}
    if len(seeds) == 1:
        return f"Every level here has {counted(seeds.pop(), 'seed')}."
    return (
        f"Levels have {min(seeds)} to {max(seeds)} seeds: a mean is over a level's own seeds, a difference "
        "over the seeds that both have. The best is first; the others follow in the order of their "
        f"{results.measure}, as it would be over the same seeds."
    )
