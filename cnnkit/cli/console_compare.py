"""What a person sees of a comparison: the sentence, then the ranked table."""

from cnnkit.api.progress import say
from cnnkit.cli.console import make_table, out, print_table
from cnnkit.comparison.intervals import FEWEST_SEEDS, Unvarying, informative
from cnnkit.comparison.pair_records import THE_BEST, pair_in
from cnnkit.comparison.records import FactorResult, LevelResult, MarginalResult, StudyResults
from cnnkit.comparison.sentence import sentence
from cnnkit.comparison.tuning import changes
from cnnkit.stats import Interval
from cnnkit.words import counted, short_key

SHORTEST = 0.05  # seconds of a training: less, as of a table's rows, would be told as 0.0


def print_comparison(results: StudyResults) -> None:
    """The sentence, the ranked table, and what a person should know besides."""
    say(out, sentence(results), "bold")
    results = informative(results)
    if results.levels:
        out.print()
        for factor in results.factors if not results.shard else ():
            _print_effects(factor, results.measure)
        _print_ranking(results)
    for trial in results.failed:
        say(out, f"{trial.level} seed {trial.seed} failed: {trial.error}", "red")


def _print_effects(factor: FactorResult, measure: str) -> None:
    rows = [_standing(level, factor, measure) for level in factor.levels]
    table = make_table(short_key(factor.key), *rows[0])
    for level, row in zip(factor.levels, rows, strict=True):
        table.add_row(level.name, *row.values())
    print_table(table)
    out.print()


def _print_ranking(results: StudyResults) -> None:
    rows = [_row(level, results) for level in results.levels]
    shown = [title for title in rows[0] if any(row[title] for row in rows)]
    ranked = make_table("combination" if results.factors else short_key(results.key), *shown)
    for level, row in zip(results.levels, rows, strict=True):
        ranked.add_row(level.name, *(row[title] for title in shown))
    print_table(ranked)
    say(out, _legend(results), "dim")
    for level in results.levels:
        if level.changed:
            say(out, f"{level.name}: {level.changed}", "dim")
        if level.tuned and results.tuning:
            say(out, f"{level.name} tuned: {changes(results.tuning, level.tuned)}", "dim")


def _standing(
    level: LevelResult | MarginalResult, ranked: StudyResults | FactorResult, measure: str
) -> dict[str, str]:
    """measure: what is compared; where that is not accuracy, accuracy stands beside it."""
    to_best = level.to_best
    shared = pair_in(ranked.pairs, level.name, ranked.levels[0].name).seeds if to_best else 0
    return {
        "seeds": str(len(level.seeds)),
        f"{measure}, %": in_percent(level.compared, len(level.seeds)),
        "accuracy, %": in_percent(level.accuracy, len(level.seeds)),
        "to the best, points": in_percent(to_best.difference, shared, "+") if to_best else "",
        "verdict": to_best.verdict if to_best else THE_BEST,
    }


def _row(level: LevelResult, results: StudyResults) -> dict[str, str]:
    """What each column tells of a level; what is not known of any level is left out of the table."""
    timing = level.timing
    return {
        **_standing(level, results, results.measure),
        **({"verdict": ""} if results.shard else {}),
        "parameters": "" if level.parameters is None else f"{level.parameters:,}",
        "MACs": "" if level.macs is None else f"{level.macs / 1e6:.1f} M",
        "training": f"{timing.train_seconds:.1f} s" if (timing.train_seconds or 0.0) >= SHORTEST else "",
        "images/s": "" if timing.images_per_second is None else f"{timing.images_per_second:,.0f}",
    }


def _legend(results: StudyResults) -> str:
    medians = "; training: median seconds" if results.function else "; training, images/s: medians"
    if all((level.timing.train_seconds or 0.0) < SHORTEST for level in results.levels):
        medians = ""
    seeds = sorted({len(level.seeds) for level in results.levels})
    if seeds[-1] < FEWEST_SEEDS:
        over = f"{seeds[0]} to " if len(seeds) > 1 else ""
        means = f"means over {over}{counted(seeds[-1], 'seed')}"
        return f"{means}; a 95 % interval needs {FEWEST_SEEDS}{medians}"
    differences = [level.to_best.difference for level in results.levels if level.to_best]
    few = any(one.low is None and not isinstance(one, Unvarying) for one in differences)
    none = " (none stands where seeds are too few)" if few else ""
    return f"± and [ ]: 95 % intervals; those to the best hold for all pairs together{none}{medians}"


def in_percent(interval: Interval, seeds: int, sign: str = "", digits: int = 3) -> str:
    """A mean times 100, with its 95 % interval if that tells something; not as ± if it ends at 0 or 100 %."""
    mean, low, high = (
        None if value is None else f"{value * 100 + 0.0:{sign}.{digits}f}"
        for value in (interval.mean, interval.low, interval.high)
    )
    if interval.low is None or interval.high is None:
        return f"{mean}" if sign or seeds < FEWEST_SEEDS else f"{mean} each"
    if sign or interval.low <= 0 or interval.high >= 1:
        return f"{mean} [{low}, {high}]"
    return f"{mean} ± {(interval.high - interval.mean) * 100:.{digits}f}"
