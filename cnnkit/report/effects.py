"""The report of a study of several keys: a panel for each value of a key, and the interaction of two."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cnnkit.comparison.factors import means_at
from cnnkit.comparison.function_study import AnyStudy
from cnnkit.comparison.records import StudyResults
from cnnkit.comparison.sentence import winner_depends
from cnnkit.report.axes import Axis, Bar, Line, Mark, Panel, Tick, Written, accuracy_axis
from cnnkit.report.plots import MOST_WRITTEN, dashes_of
from cnnkit.stats import Interval
from cnnkit.words import listed, short_key

COLOURS = 8  # of the series
HIGHEST = 12.0  # place of a number, SVG units
BESIDE = 0.06  # how far marks at one value stand apart, in values


@dataclass(frozen=True)
class Together:
    """Two keys. panels: one for each value of the second. lines: their interaction, in one panel."""

    title: str
    answer: str
    panels: list[Panel]
    lines: Panel
    caption: str


def series_of(study: AnyStudy) -> dict[str, int]:
    """The number of each level's colour and marker. With several keys the first one gives the colour."""
    if not study.factors:
        return {name: i for i, name in enumerate([level.name for level in study.levels])}
    colours = -(-len(study.factors[0].values) // COLOURS) * COLOURS
    taken: dict[int, int] = {}
    series = {}
    for level in study.levels:
        first = level.combinations[0][0]
        series[level.name] = first + colours * taken.get(first, 0)
        taken[first] = taken.get(first, 0) + 1
    return series


def effects_view(study: AnyStudy, results: StudyResults) -> dict[str, object] | None:
    """None where one key is varied, or no seed has all combinations."""
    if not results.factors:
        return None
    names = study.factors[0].names
    return {
        "series": list(enumerate(names)),
        "series_of": {name: i for i, name in enumerate(names)},
        "factors": results.factors,
        "interactions": results.interactions,
        "together": [_together(study, results, given) for given in range(1, len(study.factors))],
        "once": [level.name for level in study.levels if len(level.combinations) > 1],
    }


def _together(study: AnyStudy, results: StudyResults, given: int) -> Together:
    first, other = study.factors[0], study.factors[given]
    key, on = short_key(first.key), short_key(other.key)
    means, measured = means_at(study, results, given), f"{results.measure}, %"
    every = [interval for row in means for interval in row]
    y_axis = accuracy_axis([i.mean for i in every], [end for i in every for end in (i.low, i.high)])
    panels = [
        _panel(f"{on} {value}: {measured}", first.names, [row[number] for row in means], y_axis)
        for number, value in enumerate(other.names)
    ]
    series = {name: number for number, name in enumerate(first.names)}
    others = [short_key(f.key) for f in study.factors if f not in (first, other)]
    averaged = f" averaged over {listed(others)}," if others else ""
    return Together(
        title=f"{key} and {on}",
        answer=winner_depends(results.dependence[given - 1], results),
        panels=panels,
        lines=lines_over(f"{measured}, against {on}", on, series, other.names, means, y_axis),
        caption=f"Mean {results.measure},{averaged} and its 95 % interval over the seeds, in one scale. Last "
        f"plot: where lines are parallel, {key} matters as much with each {on}; where they are not, this may "
        f"depend on {on}. Intervals of single means say little of differences, which are taken seed by "
        "seed: the sentence above tells what is known.",
    )


def _panel(title: str, names: Sequence[str], intervals: Sequence[Interval], y_axis: Axis) -> Panel:
    """A mark for each value of the first key, side by side."""
    panel = Panel(title, "", Axis(-0.6, len(names) - 0.4), y_axis)
    panel.x_ticks = [Tick(panel.x(number), name) for number, name in enumerate(names)]
    for number, (name, interval) in enumerate(zip(names, intervals, strict=True)):
        top = _mark(panel, number, panel.x(number), name, interval)
        if len(names) <= MOST_WRITTEN:
            panel.notes.append(
                Written(panel.x(number), max(round(top - 8, 1), HIGHEST), f"{interval.mean:.2%}"[:-1])
            )
    return panel


def lines_over(
    title: str,
    on: str,
    series: Mapping[str, int],
    others: Sequence[str],
    means: Sequence[Sequence[Interval | None]],
    y_axis: Axis,
) -> Panel:
    """A line for each name of `series` over the values on the x axis; means: a row a name, fractions."""
    panel = Panel(title, on, Axis(-0.4, len(others) - 0.6), y_axis)
    panel.x_ticks = [Tick(panel.x(number), value) for number, value in enumerate(others)]
    for place, ((name, number), row) in enumerate(zip(series.items(), means, strict=True)):
        aside = BESIDE * (place - (len(series) - 1) / 2)
        values = zip(others, row, strict=True)
        known = [(x + aside, value, found) for x, (value, found) in enumerate(values) if found]
        points = panel.points([x for x, *_ in known], [interval.mean * 100 for *_, interval in known])
        panel.lines.append(Line(number, points, dashes_of(number)))
        for x, value, interval in known:
            _mark(panel, number, panel.x(x), f"{name}, {value}", interval)
    return panel


def _mark(panel: Panel, series: int, x: float, name: str, interval: Interval) -> float:
    """Draws a mean and its interval; returns where the upper end lies."""
    top = panel.y(interval.mean * 100)
    panel.marks.append(Mark(series, x, top, False, f"{name}: {interval.mean:.2%}"))
    if interval.low is not None and interval.high is not None:
        top = panel.y(interval.high * 100)
        panel.bars.append(Bar(series, x, panel.y(interval.low * 100), top))
    return top
