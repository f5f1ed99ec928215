"""What a person sees of a comparison: the sentence, then the ranked table."""

from collections.abc import Sequence

from cnnkit.api.progress import say
from cnnkit.cli.console import make_table, out, print_table
from cnnkit.comparison.intervals import FEWEST_SEEDS, informative
from cnnkit.comparison.records import FactorResult, LevelResult, MarginalResult, StudyResults, pair_in
from cnnkit.comparison.sentence import sentence
from cnnkit.stats import Interval
from cnnkit.words import counted, short_key

STANDING = ("seeds", "accuracy, %", "to the best, points", "verdict")


def print_comparison(results: StudyResults) -> None:
    """The sentence, the ranked table, and what a person should know besides."""
    say(out, sentence(results), "bold")
    results = informative(results)
    if results.levels:
        out.print()
        for factor in results.factors:
            _print_effects(factor)
        _print_ranking(results)
    for trial in results.failed:
        say(out, f"{trial.level} seed {trial.seed} failed: {trial.error}", "red")


def _print_effects(factor: FactorResult) -> None:
    table = make_table(short_key(factor.key), *STANDING)
    for level in factor.levels:
        table.add_row(*_standing(level, factor))
    print_table(table)
    out.print()


def _print_ranking(results: StudyResults) -> None:
    name = "combination" if results.factors else short_key(results.key)
    ranked = make_table(name, *STANDING, "parameters", "MACs", "training", "images/s")
    for level in results.levels:
        ranked.add_row(*_row(level, results))
    print_table(ranked)
    say(out, _legend(results), "dim")
    for level in results.levels:
        if level.changed:
            say(out, f"{level.name}: {level.changed}", "dim")


def _standing(level: LevelResult | MarginalResult, ranked: StudyResults | FactorResult) -> Sequence[str]:
    to_best = level.to_best
    shared = pair_in(ranked.pairs, level.name, ranked.levels[0].name).seeds if to_best else 0
    return (
        level.name,
        str(len(level.seeds)),
        _told(level.accuracy, len(level.seeds)),
        _told(to_best.difference, shared, "+") if to_best else "",
        to_best.verdict if to_best else "the best",
    )


def _row(level: LevelResult, results: StudyResults) -> Sequence[str]:
    timing = level.timing
    return (
        *_standing(level, results),
        f"{level.parameters:,}",
        f"{level.macs / 1e6:.1f} M",
        f"{timing.train_seconds:.1f} s",
        f"{timing.images_per_second:,.0f}",
    )


def _legend(results: StudyResults) -> str:
    medians = "training, images/s: medians"
    if (seeds := max(len(level.seeds) for level in results.levels)) < FEWEST_SEEDS:
        return f"means over {counted(seeds, 'seed')}; a 95 % interval needs {FEWEST_SEEDS}; {medians}"
    return f"± and [ ]: 95 % intervals; those to the best hold for all pairs together; {medians}"


def _told(interval: Interval, seeds: int, sign: str = "") -> str:
    """A mean times 100, with its 95 % interval if that tells something; not as ± if it ends at 0 or 100 %."""
    mean, low, high = (
        None if value is None else f"{value * 100 + 0.0:{sign}.3f}"
        for value in (interval.mean, interval.low, interval.high)
    )
    if interval.low is None or interval.high is None:
        return f"{mean}" if seeds < FEWEST_SEEDS else f"{mean} each"
    if sign or interval.low <= 0 or interval.high >= 1:
        return f"{mean} [{low}, {high}]"
    return f"{mean} ± {(interval.high - interval.mean) * 100:.3f}"
