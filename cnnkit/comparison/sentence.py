"""A comparison's result in a sentence."""

import math
from collections.abc import Iterator, Sequence

from cnnkit.comparison.intervals import FEWEST_SEEDS
from cnnkit.comparison.records import EQUIVALENT, UNDECIDED, WORSE, LevelResult, StudyResults
from cnnkit.words import counted, listed


def sentence(results: StudyResults) -> str:
    """Which level wins, by how much, and whether that is real; and if not, what would tell.

    If the margin was changed after results were known, that is told with what was decided before.
    """
    return " ".join([_sentence(results), *_changes_of_the_margin(results)])


def _changes_of_the_margin(results: StudyResults) -> Iterator[str]:
    if results.history:
        yield "The margin was changed after the results were known."
    told = [(earlier.margin, len(earlier.seeds), earlier.sentence) for earlier in results.history]
    for margin, seeds, words in dict.fromkeys(told):
        yield f"With ±{margin:g} points and {counted(seeds, 'seed')}: “{words}”"


def _sentence(results: StudyResults) -> str:
    if not results.levels:
        return "No seed has been trained for every level: there is nothing to compare yet."
    best, *others = results.levels
    key = results.key.rpartition(".")[2]
    told = {verdict: [o for o in others if o.to_best and o.to_best.verdict == verdict] for verdict in ORDER}
    if len(told[WORSE]) == len(others):
        least = -max(other.to_best.difference.mean for other in others if other.to_best) * 100
        lead = f"{least:.2f} points or more ahead of every other, and that is real"
        return f"{key} {best.name} wins with {best.accuracy.mean:.2%}: {lead}."
    parts = [text(told[verdict], results) for verdict, text in ORDER.items() if told[verdict]]
    return f"{key} {best.name} is ahead with {best.accuracy.mean:.2%}: " + "; ".join(parts) + "."


def _worse(levels: Sequence[LevelResult], results: StudyResults) -> str:
    return f"it is really better than {_names(levels)}"


def _equivalent(levels: Sequence[LevelResult], results: StudyResults) -> str:
    verb = "is" if len(levels) == 1 else "are"
    return f"{_names(levels)} {verb} as good, within ±{results.margin:g} points"


def _undecided(levels: Sequence[LevelResult], results: StudyResults) -> str:
    return f"whether it is better than {_names(levels)} is undecided, {_what_would_tell(levels, results)}"


def _what_would_tell(levels: Sequence[LevelResult], results: StudyResults) -> str:
    if (seeds := len(results.seeds)) < FEWEST_SEEDS:
        return f"and {counted(seeds, 'seed')} {'is' if seeds == 1 else 'are'} too few to tell"
    needed = {level.name: results.pair(results.best.name, level.name).seeds_needed for level in levels}
    if not any(needed.values()):
        return "and no number of seeds would tell soon"
    if len(set(needed.values())) == 1:
        return f"about {needed[levels[0].name]:,} seeds would tell"
    (first, number), *others = sorted(needed.items(), key=lambda pair: pair[1] or math.inf)
    told = [f"{n:,} for {name}" if n else f"no number soon for {name}" for name, n in others]
    return f"about {number:,} seeds would tell for {first}, {listed(told)}"


ORDER = {WORSE: _worse, EQUIVALENT: _equivalent, UNDECIDED: _undecided}


def _names(levels: Sequence[LevelResult]) -> str:
    return listed([level.name for level in levels])
