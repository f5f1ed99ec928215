"""The report's captions: what each plot shows in this study, with its names and numbers."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cnnkit.comparison.pair_records import BETTER, BETTER_HERE, EQUIVALENT, UNDECIDED, WORSE, WORSE_HERE
from cnnkit.comparison.records import LevelResult, StudyResults
from cnnkit.report.figures import MINUS, told_seeds
from cnnkit.report.heat import mistakes_alone
from cnnkit.report.plots import CostPoint, Curve, pareto_front
from cnnkit.stats import Interval
from cnnkit.words import counted, isolated, listed, span


def dots_caption(results: StudyResults) -> str:
    levels = results.levels
    best, worst = levels[0], levels[-1]
    shaded = _any_interval([level.compared for level in levels])
    on_images = f", measured on {_test_images(results)}" if results.test_images else ""
    text = (
        f"Each mark is one training{on_images}; the upright "
        f"line is their mean{', the shade its 95 % interval' if shaded else ''}. {best.name} averages "
        f"{best.compared.mean:.2%}, {worst.name} {worst.compared.mean:.2%}. "
    )
    if any(level.beaten_after for level in levels):
        text += "Paler: a level that was beaten, that is worse than some other. "
    spread = [level.seed_deviation * 100 for level in levels if level.seed_deviation is not None]
    if spread:
        by = span(f"{min(spread):.2f}", f"{max(spread):.2f}")
        text += f"From seed to seed a level's {results.measure} varies by {by} points (standard deviation). "
    else:
        text += "With one seed each, how much a training varies by chance is not known. "
    sampling = [level.sampling_error * 100 for level in levels if level.sampling_error is not None]
    if not sampling:
        return f"{text}Other test images would give another {results.measure}, too; by how much is not known."
    others = results.these_images.replace("these", "Other")
    return (
        f"{text}{others} would give another {results.measure}, too: by up to {max(sampling):.2f} points "
        "(standard error), but for all levels in much the same way."
    )


def _test_images(results: StudyResults) -> str:
    if results.pool:
        return f"{results.test_images:,} of {results.pool:,} images, others with each seed"
    return f"the {results.test_images:,} test images"


def sizes_caption(levels: Sequence[LevelResult]) -> str:
    """levels: of a data set whose objects have sizes."""
    sized = [row for level in levels for row in level.by_object_size]
    bars = ", with its 95 % interval" if _any_interval(sized) else ""
    text = f"Accuracy on the test scenes of each object size, over each level's own seeds{bars}."
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
    counts = {
        "really different": sum(verdict in (BETTER, WORSE) for verdict in verdicts),
        f"different on {results.these_images}": sum(v in (BETTER_HERE, WORSE_HERE) for v in verdicts),
        f"equivalent within ±{results.margin:g} points": verdicts.count(EQUIVALENT),
        "undecided": verdicts.count(UNDECIDED),
    }
    parts = [f"{number} {'is' if number == 1 else 'are'} {what}" for what, number in counts.items() if number]
    interval = ""
    if _any_interval([pair.difference for pair in results.pairs]):
        interval = ", with the 95 % interval that makes the verdict"
    text = (
        f"{results.measure[0].upper()}{results.measure[1:]} of the row minus that of the column, in "
        "percentage points: the mean of the differences "
        f"with each seed that both have{interval}. "
        f"Of {counted(len(verdicts), 'pair')}, {listed(parts)}."
    )
    widest = max(results.pairs, key=lambda pair: abs(pair.difference.mean))
    size = abs(widest.difference.mean) * 100
    text += f" The widest gap, {size:.2f} points, lies between {widest.a} and {widest.b}."
    failing = [level.name for level in results.levels if level.failures]
    if failing:
        text += (
            f" Trainings of {listed(failing)} failed, so {'it is' if len(failing) == 1 else 'they are'} "
            "never called better or equivalent, whatever the evidence."
        )
    return text


def cost_caption(costs: Mapping[str, Sequence[CostPoint]], same: Sequence[str]) -> str:
    """costs: per kind, the points. same: kinds in which no level differs, with the cost, in words."""
    sentences = [
        "Filled marks lie on the Pareto front: no other level is both as cheap and as accurate. "
        "Hollow marks lie behind it: another level has a mean at least as high and costs no more. Means are "
        "over each level's own seeds; bars, where there are any, are their 95 % intervals, nested where "
        "costs are equal."
    ]
    for kind, of_kind in costs.items():
        front = [point.name for point in pareto_front(of_kind)]
        sentences.append(f"By {kind}, the front is {listed(front)}.")
    if same:
        sentences.append(f"All levels cost the same by {listed(same)}.")
    return " ".join(sentences)


def curves_caption(curves: Sequence[Curve], what: str, seeds: Sequence[int]) -> str:
    """curves: of what is called `what`, fractions × 100. seeds: those that all have; none: each its own."""
    ahead = max(curves, key=lambda curve: float(curve.mean[-1]))
    wide = max(curves, key=lambda curve: float(curve.high[-1] - curve.low[-1]))
    epochs = max(len(curve.mean) for curve in curves)
    over = _of_all(seeds) if seeds else "each level's own seeds"
    bands = "" if len(seeds) == 1 else "; bands reach from the worst to the best seed"
    text = f"Lines are means over {over}{bands}. "
    if epochs == 1:
        text = (
            f"Each was trained for one epoch, so there is a point and no curve: the mean over {over}"
            f"{bands.replace('bands reach', 'bars reach')}. "
        )
    text += f"At the end {ahead.name} has the highest {what}, {ahead.mean[-1]:.2f} %"
    if reach := float(wide.high[-1] - wide.low[-1]):
        text += f"; the seeds of {wide.name} lie furthest apart, {reach:.2f} points"
    return f"{text}."


def largest(matrix: NDArray[np.float64]) -> tuple[int, int]:
    """Row and column of the largest value."""
    row, column = np.unravel_index(int(matrix.argmax()), matrix.shape)
    return int(row), int(column)


def confusion_caption(
    confusions: Mapping[str, NDArray[np.float64]],
    names: Sequence[str],
    order: Sequence[str],
    seeds: Sequence[int],
) -> str:
    """confusions: per level, mean counts a training (classes, classes), rows the truth. order: best first.

    seeds: those that every level has.
    """
    names = [isolated(name) for name in names]
    best = mistakes_alone(confusions[order[0]])
    row, column = largest(best)
    frequent = f"Most frequent: {names[row]} taken for {names[column]}, {best[row, column]:.1f} times."
    text = (
        f"The first map shows the mistakes of {order[0]} in a training: the mean over {_of_all(seeds)}. "
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


def _of_all(seeds: Sequence[int]) -> str:
    one = len(seeds) == 1
    return (
        f"the {'one seed' if one else counted(len(seeds), 'seed')} that every level has ({told_seeds(seeds)})"
    )


def gallery_caption(shown: int, told_apart: int, clear: int, seeds: int, each: str) -> str:
    """seeds: with how many an image was tested at most; each: these, in words."""
    if seeds == 1:
        return (
            f"On {counted(told_apart, 'test image')} one level is right and another wrong; {shown} are "
            "shown. With one seed this may be chance: another training could change any of these answers."
        )
    return (
        f"On {counted(told_apart, 'test image')} one level is right with more seeds than another, on {clear} "
        f"with {each} while another is right with none. The {shown} with the largest differences are shown. "
        "Under each: with how many of the seeds that every level has it is right, and its most frequent "
        "wrong answer."
    )
