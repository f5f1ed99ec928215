"""What a person sees of a comparison: the sentence, then the ranked table."""

from collections.abc import Sequence

from cnnkit.api.progress import say
from cnnkit.cli.console import make_table, out, print_table
from cnnkit.comparison.records import LevelResult, StudyResults
from cnnkit.comparison.sentence import sentence
from cnnkit.stats import Interval
from cnnkit.words import counted


def print_comparison(results: StudyResults) -> None:
    """The sentence, the ranked table, and what a person should know besides."""
    say(out, sentence(results), "bold")
    out.print()
    ranked = make_table(
        results.key.rpartition(".")[2],
        *("accuracy, %", "to the best, points", "verdict", "parameters", "MACs", "training", "images/s"),
    )
    for level in results.levels:
        ranked.add_row(*_row(level))
    print_table(ranked)
    seeds = counted(len(results.seeds), "seed")
    legend = f"± and [ ]: 95 % intervals over {seeds}; training, images/s: medians"
    say(out, legend, "dim")
    for level in results.levels:
        if level.changed:
            say(out, f"{level.name}: {level.changed}", "dim")
    for trial in results.failed:
        say(out, f"{trial.level} seed {trial.seed} failed: {trial.error}", "red")


def _row(level: LevelResult) -> Sequence[str]:
    to_best, timing = level.to_best, level.timing
    return (
        level.name,
        _accuracy(level.accuracy),
        _difference(to_best.difference) if to_best else "",
        to_best.verdict if to_best else "the best",
        f"{level.parameters:,}",
        f"{level.macs / 1e6:.1f} M",
        f"{timing.train_seconds:.1f} s",
        f"{timing.images_per_second:,.0f}",
    )


def _accuracy(interval: Interval) -> str:
    """In percent, with the reach of its 95 % interval where there are seeds enough for one."""
    reach = "" if interval.low is None else f" ± {(interval.mean - interval.low) * 100:.3f}"
    return f"{interval.mean * 100:.3f}{reach}"


def _difference(interval: Interval) -> str:
    """In percentage points, with its 95 % interval, which need not be symmetric."""
    mean, low, high = interval.mean, interval.low, interval.high
    reach = "" if low is None or high is None else f" [{low * 100:+.3f}, {high * 100:+.3f}]"
    return f"{mean * 100:+.3f}{reach}"
