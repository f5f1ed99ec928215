"""A comparison's result in a sentence."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cnnkit.comparison.pair_records import (
    APART,
    APART_HERE,
    BETTER,
    BETTER_HERE,
    EQUIVALENT,
    FEWEST_TOLD,
    NOT_KNOWN,
    UNDECIDED,
    WORSE,
    WORSE_HERE,
    PairResult,
    SeedRange,
    pair_in,
)
from cnnkit.comparison.records import DependenceResult, LevelResult, MarginalResult, StudyResults
from cnnkit.scores import ACCURACY, METRICS
from cnnkit.sequential import ENOUGH
from cnnkit.words import TIMES, counted, listed, short_key

Levels = Sequence[LevelResult | MarginalResult]
FAR = 4.0  # standard errors from the choice of images: enough for a hundred pairs


def sentence(results: StudyResults) -> str:
    """Which level wins, by how much, and whether that is real; and if not, what would tell.

    That each level was tuned is told; and if the margin was changed after results were known, that, with what
    was decided before.
    """
    return " ".join([verdict_alone(results), *how_tuned(results), *changes_of_the_margin(results)])


def how_tuned(results: StudyResults) -> list[str]:
    """A sentence where each level was tuned; else nothing."""
    if results.tuning and results.levels:
        each = "Each combination" if TIMES in results.key else "Each"
        return [f"{each} was tuned first, {results.tuning}, on validation images."]
    return []


def _seeds_without_effect(results: StudyResults) -> Iterator[str]:
    """A person's function may forget its seed: then nothing is known of other trainings."""
    accuracies = [level.accuracies for level in results.levels]
    if results.function and accuracies and all(len(a) > 1 and len({*a}) == 1 for a in accuracies):
        ask = "were they other trainings?" if results.of_table else f"does {results.function} use its seed?"
        yield f" Every seed gave the same accuracies: {ask}"


def changes_of_the_margin(results: StudyResults) -> list[str]:
    """A sentence where the margin was changed after results were known, with what was decided before."""
    told = [(earlier.margin, len(earlier.seeds), earlier.sentence) for earlier in results.history]
    before = [
        f"With ±{margin:g} points and {counted(seeds, 'seed')}: “{words}”"
        for margin, seeds, words in dict.fromkeys(told)
    ]
    return ["The margin was changed after the results were known.", *before] if before else []


@dataclass(frozen=True)
class Ranking:
    """What is told in one sentence: a study of one key, or one of several keys. seeds: how many."""

    study: StudyResults
    key: str
    levels: Levels
    pairs: Sequence[PairResult]
    within: bool
    seeds: int

    def pair(self, level: str) -> PairResult:
        """The best and another level."""
        return pair_in(self.pairs, self.levels[0].name, level)

    def seeds_would_tell(self, level: str) -> bool:
        """Whether more seeds, on these images, would tell the best from a level on other images, too."""
        pair = self.pair(level)
        return pair.image_error is not None and abs(pair.difference.mean) > FAR * pair.image_error


def verdict_alone(results: StudyResults) -> str:
    failures = "".join([*_failures(results), *_seeds_without_effect(results)])
    if results.shard:
        verdict = "the verdict comes from all shards together, by cnnkit compare --merge"
        return f"Shard {results.shard} of a study; these figures are its own, and {verdict}.{failures}"
    if not results.levels:
        return f"No two values have finished a training: there is nothing to compare yet.{failures}"
    if TIMES in results.key:
        return f"{several_keys(results)}{failures}"
    return f"{_who_leads(_ranking(results, results.key))}{failures}"


def _ranking(results: StudyResults, key: str) -> Ranking:
    """Of all levels. key: what they are values of."""
    return Ranking(results, key, results.levels, results.pairs, results.within, len(results.seeds))


def _who_leads(ranking: Ranking) -> str:
    best, *others = ranking.levels
    measure = "" if ranking.study.measure == METRICS[ACCURACY] else f" {ranking.study.measure}"
    key, value = short_key(ranking.key), f"{best.compared.mean:.2%}{measure}"
    told = {
        verdict: [other for other in others if other.to_best and other.to_best.verdict == verdict]
        for verdict in TEXTS
    }
    told[BETTER] += [level for level in told[UNDECIDED] if _is_ahead_but_fails(level)]
    told[UNDECIDED] = [
        level for level in told[UNDECIDED] if not _beaten(level) and not _is_ahead_but_fails(level)
    ]
    beaten = [
        level for level in others if _beaten(level) and level.to_best and level.to_best.verdict == UNDECIDED
    ]
    if len(told[WORSE]) == len(others):
        lead = _worse(told[WORSE], ranking, all_of="every other")
        return f"{key} {best.name} wins with {value}: {lead}."
    parts = [text(told[verdict], ranking) for verdict, text in TEXTS.items() if told[verdict]]
    if beaten:  # by another than the leader, with which they were not compared for long
        parts.append(f"{_are(beaten)} worse than another")
    if ranking.within and told[UNDECIDED]:
        parts.insert(0, f"no other is better by {ranking.study.margin:g} points or more")
    return f"{key} {best.name} is ahead with {value}: " + "; ".join(parts) + "."


def _is_ahead_but_fails(level: LevelResult | MarginalResult) -> bool:
    low = level.to_best.difference.low if level.to_best else None
    return level.failures > 0 and low is not None and low > 0


def _beaten(level: LevelResult | MarginalResult) -> bool:
    return isinstance(level, LevelResult) and level.beaten_after is not None


def several_keys(results: StudyResults) -> str:
    """Each key's main effects, and whether the winner of the first depends on the others."""
    if not results.factors:
        unknown = "Main effects are not known: no seed has been trained with every combination."
        return f"{_who_leads(_ranking(results, 'combination'))} {unknown}"
    told = []
    for number, factor in enumerate(results.factors):
        within, seeds = factor.within >= ENOUGH, len(factor.levels[0].seeds)
        ranking = Ranking(results, factor.key, factor.levels, factor.pairs, within, seeds)
        others = listed([short_key(other.key) for other in results.factors if other is not factor])
        told.append(f"Averaged over {others}, {_who_leads(ranking)}")
        if number == 0:
            told += [winner_depends(one, results) for one in results.dependence]
    return " ".join(told)


def winner_depends(one: DependenceResult, results: StudyResults) -> str:
    """Whether the winner depends on another key, and whether differences do."""
    key, on = short_key(one.key), short_key(one.on)
    best = [*dict.fromkeys(one.leaders.values())]
    places = [f"{leader} with {value}" for value, leader in one.leaders.items()]
    leaders = listed(places) if len(best) > 1 else f"{best[0]} with each"
    names = listed(one.everywhere) if one.everywhere else ""
    verb = "is" if len(one.everywhere) == 1 else "are"
    within = f"{names} {verb} with each the best, or less than {results.margin:g} points behind"
    if one.failed:
        answer = f"Whether the best {key} depends on {on} is not known, because {listed(one.failed)} failed."
    elif one.depends:
        rest = f"; but {within}" if names else ""
        answer = f"On {results.these_images} the best {key} depends on {on}: {leaders}{rest}."
    elif names:
        answer = f"The best {key} does not depend on {on}: on {results.these_images} {within}."
    else:
        answer = f"Whether the best {key} depends on {on} is undecided: now it is {leaders}."
    return " ".join([answer, *_differences_depend(one, results)])


def _differences_depend(one: DependenceResult, results: StudyResults) -> Iterator[str]:
    key, on = short_key(one.key), short_key(one.on)
    verdicts = {two.verdict for two in results.interactions if {two.key, two.on} == {one.key, one.on}}
    if verdicts & {APART, APART_HERE}:
        here = "" if APART in verdicts else f", on {results.these_images}"
        yield f"How much the {key} matters depends on {on}{here}."
    elif NOT_KNOWN in verdicts:
        yield f"Whether differences depend on {on} is not known either."
    elif verdicts == {EQUIVALENT}:
        yield f"Differences are the same with each {on}, within ±{results.margin:g} points."


def _worse(levels: Levels, ranking: Ranking, all_of: str = "") -> str:
    return f"it is better than {all_of or _names(levels)} by {_least_lead(levels)}"


def _worse_here(levels: Levels, ranking: Ranking) -> str:
    """Where a level is far behind, only seeds are too few: more of them would tell as well."""
    far = [level for level in levels if ranking.seeds_would_tell(level.name)]
    near = [level for level in levels if level not in far]
    if not ranking.study.test_images:
        told = [(levels, "whether on others too, accuracies alone cannot tell")]
    else:
        more = ranking.study.these_images.replace("these", "more")
        told = [
            (near, f"{more} would tell whether on others too, more seeds would not"),
            (far, f"more seeds or {more} would tell whether on others too"),
        ]
    return "; ".join(
        f"it is better than {_names(some)} on {ranking.study.these_images}{_by_how_much(some)}: {what}"
        for some, what in told
        if some
    )


def _by_how_much(levels: Levels) -> str:
    """Empty where few seeds tell that there is a difference, but not how large it is."""
    known = [level for level in levels if level.to_best and level.to_best.difference.high is not None]
    return f", by {_least_lead(levels)}" if len(known) == len(levels) else ""


def _least_lead(levels: Levels) -> str:
    """By how much the best is ahead of each other level at least: the nearest end of the intervals."""
    high = [o.to_best.difference.high for o in levels if o.to_best and o.to_best.difference.high is not None]
    least = -max(high, default=0.0) * 100
    if least < 0.0005:
        return "a little"
    digits = 2 if least >= 0.01 else 3
    return f"{math.floor(least * 10**digits + 1e-9) / 10**digits:.{digits}f} points or more"


def _equivalent(levels: Levels, ranking: Ranking) -> str:
    study = ranking.study
    return f"{_are(levels)} as good, within ±{study.margin:g} points on {study.these_images}"


def _better(levels: Levels, ranking: Ranking) -> str:
    more = "more accurate" if ranking.study.measure == METRICS[ACCURACY] else "better"
    return f"{_are(levels)} {more} where it does not fail"


def _undecided(levels: Levels, ranking: Ranking) -> str:
    """Where trainings failed, of a level or of the best, more seeds would not tell."""
    failing = [level for level in levels if level.failures or ranking.levels[0].failures]
    others = [level for level in levels if level not in failing]
    told = []
    if others:
        told.append(f"than {_names(others)} is undecided, {_what_would_tell(others, ranking)}")
    if failing:
        told.append(f"than {_names(failing)} is not known, because trainings failed")
    return "; ".join(f"whether it is better {one}" for one in told)


def _what_would_tell(levels: Levels, ranking: Ranking) -> str:
    """A range for all of them together: how many seeds in all would decide the first, and the last."""
    if (seeds := ranking.seeds) < FEWEST_TOLD:
        few = f"{counted(seeds, 'seed')} {'is' if seeds == 1 else 'are'} too few"
        return f"and {few} to tell how many would decide"
    needed = [ranking.pair(level.name).seeds_needed for level in levels]
    known = [one for one in needed if one]
    if not known:
        return "and no number of seeds would tell soon"
    highest = [one.high for one in needed if one and one.high is not None]
    all_soon = len(highest) == len(needed)
    return f"{SeedRange(min(one.low for one in known), max(highest) if all_soon else None)} would tell"


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


def _names(levels: Levels) -> str:
    return listed([level.name for level in levels])


def _are(levels: Levels) -> str:
    return f"{_names(levels)} {'is' if len(levels) == 1 else 'are'}"
