"""A comparison's result in a sentence."""

from collections import Counter
from collections.abc import Iterator, Sequence

from cnnkit.comparison.intervals import FEWEST_SEEDS
from cnnkit.comparison.records import (
    BETTER,
    BETTER_HERE,
    EQUIVALENT,
    UNDECIDED,
    WORSE,
    WORSE_HERE,
    LevelResult,
    StudyResults,
)
from cnnkit.words import counted, listed


def sentence(results: StudyResults) -> str:
    """Which level wins, by how much, and whether that is real; and if not, what would tell.

    That each level was tuned is told; and if the margin was changed after results were known, that, with what
    was decided before.
    """
    return " ".join([verdict_alone(results), *how_tuned(results), *changes_of_the_margin(results)])


def how_tuned(results: StudyResults) -> list[str]:
    """That each level was tuned; empty if not."""
    if results.tuning and results.levels:
        return [f"Each was tuned first, {results.tuning}, on validation images."]
    return []


def _seeds_without_effect(results: StudyResults) -> Iterator[str]:
    """A person's function may forget its seed: then nothing is known of other trainings."""
    accuracies = [level.accuracies for level in results.levels]
    if results.function and all(len(a) > 1 and len({*a}) == 1 for a in accuracies):
        yield f" Every seed gave the same accuracies: does {results.function} use its seed?"


def changes_of_the_margin(results: StudyResults) -> list[str]:
    """That the margin was changed after results were known, and what was decided before; empty if not."""
    told = [(earlier.margin, len(earlier.seeds), earlier.sentence) for earlier in results.history]
    before = [
        f"With ±{margin:g} points and {counted(seeds, 'seed')}: “{words}”"
        for margin, seeds, words in dict.fromkeys(told)
    ]
    return ["The margin was changed after the results were known.", *before] if before else []


def verdict_alone(results: StudyResults) -> str:
    if not results.levels:
        return "No two values have finished a training: there is nothing to compare yet."
    best, *others = results.levels
    key, accuracy = results.key.rpartition(".")[2], f"{best.accuracy.mean:.2%}"
    told = {
        verdict: [other for other in others if other.to_best and other.to_best.verdict == verdict]
        for verdict in TEXTS
    }
    undecided = told[UNDECIDED]
    told[UNDECIDED] = [level for level in undecided if level.beaten_after is None]
    beaten = [
        level
        for level in others
        if level.beaten_after and level.to_best and level.to_best.verdict == UNDECIDED
    ]
    failures = "".join([*_failures(results), *_seeds_without_effect(results)])
    if len(told[WORSE]) == len(others):
        lead = _worse(told[WORSE], results, all_of="every other")
        return f"{key} {best.name} wins with {accuracy}: {lead}.{failures}"
    parts = [text(told[verdict], results) for verdict, text in TEXTS.items() if told[verdict]]
    if beaten:  # by another than the leader, with which they were not compared for long
        parts.append(f"{_names(beaten)} {'is' if len(beaten) == 1 else 'are'} worse than another")
    if results.within and told[UNDECIDED]:
        parts.insert(0, f"no other is better by {results.margin:g} points or more")
    return f"{key} {best.name} is ahead with {accuracy}: " + "; ".join(parts) + f".{failures}"


def _worse(levels: Sequence[LevelResult], results: StudyResults, all_of: str = "") -> str:
    return f"it is better than {all_of or _names(levels)} by {_least_lead(levels)}"


def _worse_here(levels: Sequence[LevelResult], results: StudyResults) -> str:
    here = f"it is better than {_names(levels)} on {results.these_images}, by {_least_lead(levels)}: "
    if results.test_images:
        more = results.these_images.replace("these", "more")
        return f"{here}{more} would tell whether on others too, more seeds would not"
    return here + "whether on others too, accuracies alone cannot tell"


def _least_lead(levels: Sequence[LevelResult]) -> str:
    """How far the best is ahead of each of them at least: the nearest end of their intervals."""
    high = [o.to_best.difference.high for o in levels if o.to_best and o.to_best.difference.high is not None]
    least = -max(high, default=0.0) * 100
    if least < 0.0005:
        return "a little"
    return f"{least:.2f} points or more" if least >= 0.005 else f"{least:.3f} points or more"


def _equivalent(levels: Sequence[LevelResult], results: StudyResults) -> str:
    verb = "is" if len(levels) == 1 else "are"
    return f"{_names(levels)} {verb} as good, within ±{results.margin:g} points on {results.these_images}"


def _better(levels: Sequence[LevelResult], results: StudyResults) -> str:
    verb = "is" if len(levels) == 1 else "are"
    return f"{_names(levels)} {verb} more accurate where it does not fail"


def _undecided(levels: Sequence[LevelResult], results: StudyResults) -> str:
    return f"whether it is better than {_names(levels)} is undecided, {_what_would_tell(levels, results)}"


def _what_would_tell(levels: Sequence[LevelResult], results: StudyResults) -> str:
    """A range for all of them together: how many seeds in all would decide the first, and the last."""
    if (seeds := len(results.seeds)) < FEWEST_SEEDS:
        return f"and {counted(seeds, 'seed')} {'is' if seeds == 1 else 'are'} too few to tell"
    needed = [results.pair(results.best.name, level.name).seeds_needed for level in levels]
    known = [one for one in needed if one]
    if not known:
        return "and no number of seeds would tell soon"
    low, high = min(one.low for one in known), max(one.high or 0 for one in known)
    if len(known) < len(needed) or any(one.high is None for one in known):
        return f"{low:,} seeds or more would tell"
    return f"about {low:,} seeds would tell" if low == high else f"about {low:,} to {high:,} seeds would tell"


def _failures(results: StudyResults) -> Iterator[str]:
    """Levels whose trainings failed: they are never called better or as good."""
    failed = Counter(trial.level for trial in results.failed)
    tried = Counter(trial.level for trial in results.trials)
    for name, failures in failed.items():
        yield f" {name} failed in {failures} of {counted(tried[name], 'training')}."


TEXTS = {
    WORSE: _worse,
    WORSE_HERE: _worse_here,
    EQUIVALENT: _equivalent,
    BETTER: _better,
    BETTER_HERE: _better,
    UNDECIDED: _undecided,
}


def _names(levels: Sequence[LevelResult]) -> str:
    return listed([level.name for level in levels])
