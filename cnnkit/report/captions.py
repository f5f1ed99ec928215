"""The report's captions: what each plot shows in this study, with its names and numbers."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnnkit.comparison.intervals import FEWEST_SEEDS, without_interval
from cnnkit.comparison.records import (
    BETTER,
    BETTER_HERE,
    EQUIVALENT,
    UNDECIDED,
    WORSE,
    WORSE_HERE,
    LevelResult,
    PairResult,
    StudyResults,
)
from cnnkit.config.geometry import Cells
from cnnkit.families.heads import HEADS
from cnnkit.report.heat import mistakes_alone
from cnnkit.report.plots import CostPoint, Curve, pareto_front
from cnnkit.stats import Interval
from cnnkit.words import counted, listed

MINUS = "−"


def points(value: float) -> str:
    """A difference of fractions in percentage points, with its sign."""
    text = f"{value * 100:+.3f}"
    return text.replace("-", MINUS) if float(text) else "0.000"


def percent_range(interval: Interval, seeds: int) -> str:
    """The ends of an interval of fractions, in percent, or why there is none."""
    return _range(interval, seeds, lambda end: f"{end * 100:.3f}")


def points_range(interval: Interval, seeds: int) -> str:
    """The ends of an interval of differences, in percentage points, or why there is none."""
    return _range(interval, seeds, points)


def _range(interval: Interval, seeds: int, text: Callable[[float], str]) -> str:
    if interval.low is None or interval.high is None:
        return without_interval(seeds)
    return f"{text(interval.low)} to {text(interval.high)}"


def evidence(e_value: float) -> str:
    """An e-value, as precise as it matters."""
    if e_value >= 1000:
        return "> 1,000"
    return f"{e_value:.0f}" if e_value >= 10 else f"{e_value:.1f}"


def seeds_needed(pair: PairResult, seeds: int) -> str:
    """How many seeds would decide an undecided pair; empty for a decided one, or where nobody can tell."""
    if pair.verdict != UNDECIDED or seeds < FEWEST_SEEDS:
        return ""
    needed = pair.seeds_needed
    if needed is None:
        return "too many seeds"
    if needed.high is None:
        return f"{needed.low:,} seeds or more"
    return f"about {needed.low:,} to {needed.high:,} seeds"


def dots_caption(results: StudyResults) -> str:
    levels = results.levels
    best, worst = levels[0], levels[-1]
    shaded = _any_interval([level.accuracy for level in levels])
    text = (
        f"Each mark is one training, measured on the {results.test_images:,} test images; the upright "
        f"line is their mean{', the shade its 95 % interval' if shaded else ''}. {best.name} averages "
        f"{best.accuracy.mean:.2%}, {worst.name} {worst.accuracy.mean:.2%}. "
    )
    sampling = max(level.sampling_error for level in levels) * 100
    spread = [level.seed_deviation for level in levels if level.seed_deviation is not None]
    if len(results.seeds) < FEWEST_SEEDS:
        return f"{text}How much it varies by chance is not known: an interval needs {FEWEST_SEEDS} seeds."
    low, high = min(spread) * 100, max(spread) * 100
    return (
        f"{text}From seed to seed the accuracy of a level varies by {low:.2f} to {high:.2f} points "
        "(standard deviation). Other test images would give another accuracy, too: by up to "
        f"{sampling:.2f} points (standard error), but for all levels in much the same way."
    )


def sizes_caption(levels: Sequence[LevelResult]) -> str:
    """levels: of a data set whose objects have sizes."""
    sized = [row for level in levels for row in level.by_object_size]
    bars = ", with its 95 % interval over the seeds" if _any_interval(sized) else ""
    text = f"Accuracy on the test scenes of each object size{bars}."
    rows = {level.name: sorted(level.by_object_size, key=lambda row: row.size) for level in levels}
    for index, which in ((0, "smallest"), (-1, "largest")):
        of_size = {name: of_level[index] for name, of_level in rows.items()}
        ranked = sorted(of_size, key=lambda name: -of_size[name].mean)
        told = [f"{name} {of_size[name].mean:.2%}" for name in ranked]
        text += f" At the {which}, {of_size[ranked[0]].size} pixels: {', '.join(told)}."
    return text


def _any_interval(intervals: Sequence[Interval]) -> bool:
    return any(interval.low is not None for interval in intervals)


def matrix_caption(results: StudyResults) -> str:
    verdicts = [pair.verdict for pair in results.pairs]
    here = sum(verdict in (BETTER_HERE, WORSE_HERE) for verdict in verdicts)
    parts = [
        f"{sum(verdict in (BETTER, WORSE) for verdict in verdicts)} really different",
        *([f"{here} different on these test images"] if here else []),
        f"{verdicts.count(EQUIVALENT)} equivalent within ±{results.margin:g} points",
        f"{verdicts.count(UNDECIDED)} undecided",
    ]
    interval = ", with its 95 % interval" if _any_interval([p.difference for p in results.pairs]) else ""
    text = (
        "Accuracy of the row minus that of the column, in percentage points: the mean of the differences "
        f"with each seed{interval}. Of {counted(len(verdicts), 'pair')}, {', '.join(parts)}."
    )
    widest = max(results.pairs, key=lambda pair: abs(pair.difference.mean))
    size = abs(widest.difference.mean) * 100
    return f"{text} The widest gap, {size:.2f} points, lies between {widest.a} and {widest.b}."


def cost_caption(costs: Mapping[str, Sequence[CostPoint]], same: Sequence[str]) -> str:
    """costs: per kind, the points. same: kinds in which no level differs, with the cost, in words."""
    sentences = [
        "Filled marks lie on the Pareto front: no other level is both as cheap and as accurate. "
        "Hollow marks are beaten: another level has a mean at least as high and costs no more. Bars, where "
        "there are any, are 95 % intervals, nested where costs are equal."
    ]
    for kind, of_kind in costs.items():
        front = pareto_front(of_kind)
        beaten = [point.name for point in of_kind if point not in front]
        sentence = f"By {kind}, the front is {listed([point.name for point in front])}"
        if beaten:
            sentence += f"; {listed(beaten)} {'is' if len(beaten) == 1 else 'are'} beaten"
        sentences.append(f"{sentence}.")
    if same:
        sentences.append(f"All levels cost the same by {listed(same)}.")
    return " ".join(sentences)


def curves_caption(curves: Sequence[Curve], what: str, seeds: int) -> str:
    """curves: of what is called `what`, fractions × 100."""
    ahead = max(curves, key=lambda curve: float(curve.mean[-1]))
    wide = max(curves, key=lambda curve: float(curve.high[-1] - curve.low[-1]))
    epochs = max(len(curve.mean) for curve in curves)
    text = f"Lines are means over {counted(seeds, 'seed')}; bands reach from the worst to the best seed. "
    if epochs == 1:
        text = (
            f"Each was trained for one epoch, so there is a point and no curve: the mean over "
            f"{counted(seeds, 'seed')}, with a bar from the worst to the best seed. "
        )
    text += f"At the end {ahead.name} has the highest {what}, {ahead.mean[-1]:.2f} %"
    if seeds > 1:
        reach = float(wide.high[-1] - wide.low[-1])
        text += f"; the seeds of {wide.name} lie furthest apart, {reach:.2f} points"
    return f"{text}."


def largest(matrix: NDArray[np.float64]) -> tuple[int, int]:
    """Row and column of the largest value."""
    row, column = np.unravel_index(int(matrix.argmax()), matrix.shape)
    return int(row), int(column)


def confusion_caption(
    confusions: Mapping[str, NDArray[np.float64]], names: Sequence[str], order: Sequence[str]
) -> str:
    """confusions: per level, mean counts a training (classes, classes), rows the truth. order: best first."""
    best = mistakes_alone(confusions[order[0]])
    row, column = largest(best)
    frequent = f"Most frequent: {names[row]} taken for {names[column]}, {best[row, column]:.1f} times."
    text = (
        f"The first map shows the mistakes of {order[0]} in a training (the mean). "
        f"{frequent if best.any() else 'It makes none.'} The other maps show how many more (vermillion, +) "
        f"or fewer (blue, {MINUS}) of each mistake a level makes."
    )
    for level in order[1:]:
        difference = mistakes_alone(confusions[level] - confusions[order[0]])
        row, column = largest(np.abs(difference))
        value = difference[row, column]
        if value:
            kind = "more" if value > 0 else "less"
            text += f" {level}: {names[row]} taken for {names[column]}, {abs(value):.1f} times {kind}."
    return text


def gallery_caption(shown: int, told_apart: int, clear: int, seeds: int) -> str:
    if seeds == 1:
        return (
            f"On {counted(told_apart, 'test image')} one level is right and another wrong; {shown} are "
            "shown. With one seed this may be chance: another training could change any of these answers."
        )
    return (
        f"On {counted(told_apart, 'test image')} one level is right with more seeds than another, on {clear} "
        f"with all {seeds} seeds while another is right with none. The {shown} with the largest differences "
        "are shown. Under each: with how many seeds each level is right, and its most frequent wrong answer."
    )


def filters_caption(count: Mapping[str, int], size: int, same_start: bool, seed: int) -> str:
    shown = sorted(set(count.values()))
    fewest = f"{shown[0]} to " if len(shown) > 1 else ""
    text = (
        f"The {fewest}{counted(shown[-1], 'filter')} of {size} × {size} weights of the first convolution, "
        f"before and after training with seed {seed}, both in one scale; vermillion is above 0, blue below. "
        "A map is drawn at every place of the image, with a scale of its own, before norm, activation and "
        "downsampling."
    )
    if same_start and len(count) > 1:
        text += (
            " Filters in the same place began with the same weights in every level (their hashes are equal): "
            "all differences come from training."
        )
    return text


def maps_caption(number: int, image: str, stages: Sequence[Mapping[str, Sequence[tuple[str, float]]]]) -> str:
    """stages: per stage and level, the parts and the strength of each, that of the convolution being 1."""
    told = []
    for number_of_stage, levels in enumerate(stages, 1):
        strengths = []
        for level, parts in levels.items():
            for part, strength in parts:
                name = part if len(levels) == 1 else level if len(parts) == 1 else f"{level} {part}"
                strengths.append(f"{name} {strength:.2f}")
        told.append(f"stage {number_of_stage}, {', '.join(strengths)}")
    return (
        f"Test image {number:,}, of class {image}. Downsampling keeps a part of the grid. Strength: the mean "
        "of the values that are left, without their sign, when that before is 1 "
        f"({'; '.join(told)}). More than 1 means that the dropped values were the weaker "
        "ones. Each map and what is left of it share one colour scale."
    )


class Hits(NamedTuple):
    """shown: of the images shown, those whose strongest cell holds some of the object. share: of all that
    were looked at. chance: the share of a cell drawn at random."""

    shown: int
    share: float
    chance: float


def evidence_caption(
    heads: Mapping[str, str], seed: int, cells: Sequence[Cells], left_out: Sequence[str]
) -> str:
    """What the colours are. heads: of each level drawn. left_out: levels without a grid."""
    pooled = "the scores that the dense layers give to its features alone"
    kept = "how much it changes the scores when all other cells are 0"
    keeping = {head for head in heads.values() if HEADS[head].keeps_cells}
    told = f"{pooled} ({listed(sorted(keeping))}: {kept})" if keeping else pooled
    if set(heads.values()) == keeping:
        told = kept
    sides, sees = (_span([getattr(c, name) for c in cells]) for name in ("side", "sees"))
    text = (
        f"The colour of a cell shows {told}: the true class's score minus the mean score of all classes. "
        "Vermillion speaks for the true class, blue against it. Each map has its own scale, up to the number "
        "after ±"
    )
    if len(set(heads.values())) > 1:
        text += ", because a head that averages needs larger scores than one that adds or takes the largest"
    text += (
        f". A cell covers {sides} pixels, and its features depend on {sees} pixels. These are the best "
        f"weights of seed {seed}."
    )
    if left_out:
        text += f" {listed(left_out)}: the grid is a single cell, so there is no map."
    return text


def hits_caption(hits: Mapping[str, Hits], shown: int, looked_at: int) -> str:
    """Whether the strongest cell is where the object is."""
    counts = {name: of_level.shown for name, of_level in hits.items()}
    where = (
        "The strongest cell has a solid frame, the object a dashed one. The cell covers part of the object"
    )
    if set(counts.values()) == {shown}:
        where += f" in all {shown} scenes shown"
    else:
        told = listed([f"{count} ({name})" for name, count in counts.items()])
        where += f" in {told} of the {shown} scenes shown"
    shares = listed([f"{of_level.share:.1%} ({name})" for name, of_level in hits.items()])
    chance = _span_percent([of_level.chance for of_level in hits.values()])
    return (
        f"{where}, and in {shares} of the first {looked_at} test scenes, whatever the answer is. "
        f"A cell chosen at random does so in {chance}."
    )


def _span(sides: Sequence[int]) -> str:
    low, high = min(sides), max(sides)
    return f"{low} × {low}" if low == high else f"{low} × {low} to {high} × {high}"


def _span_percent(shares: Sequence[float]) -> str:
    low, high = f"{min(shares):.0%}", f"{max(shares):.0%}"
    return low if low == high else f"{low} to {high}"
