"""How the evidence of a comparison grew, seed by seed: two plots, or words where there are few looks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cnnkit.comparison.records import LevelResult, LookResult, StudyResults
from cnnkit.report.axes import LEFT, RIGHT, WIDTH, Axis, Line, Mark, Panel, Tick, axis_over, short
from cnnkit.report.figures import evidence
from cnnkit.report.labels import ASIDE, LETTER, LINE, find_room, labels_at_ends
from cnnkit.report.plots import whole_ticks
from cnnkit.report.trained import fate
from cnnkit.sequential import ENOUGH
from cnnkit.words import counted, listed

FEWEST_DRAWN = 3  # looks: fewer are told in words
MOST_TOLD = 3  # levels, of more than 4
LEAST, MOST = 0.1, 1e6  # evidence that is drawn where it is: less lies at the bottom, more at the top
DASHED = "6 3"


@dataclass(frozen=True)
class Growth:
    """panels: none where there are too few looks for a plot; `caption` then tells them all.

    legend: whether the lines bear no names, because these find no room.
    """

    panels: list[Panel]
    caption: str
    legend: bool = False


@dataclass(frozen=True)
class PairGrowth:
    """The leader and one other level after each look. different, near: evidence of a difference, and of one
    that is less than the margin."""

    level: LevelResult
    different: list[float]
    near: list[float]


def growth_view(results: StudyResults, series: Mapping[str, int]) -> Growth:
    """results: with levels. series: each level's colour."""
    courses = _courses(results)
    if len(results.looks) < FEWEST_DRAWN:
        return Growth([], " ".join(_told(results, courses)))
    panels = [_evidence_panel(results, courses, series), _means_panel(results, series)]
    return Growth(panels, " ".join(_caption(results, courses)), not _named(results))


def _named(results: StudyResults) -> bool:
    """Whether each line bears its name."""
    return find_room([level.name for level in results.levels])


def _courses(results: StudyResults) -> list[PairGrowth]:
    """In the order of the ranks, without the leader."""
    places = {frozenset((pair.a, pair.b)): i for i, pair in enumerate(results.pairs)}
    courses = []
    for level in results.levels[1:]:
        pair = places[frozenset((level.name, results.best.name))]
        different = [look.different[pair] for look in results.looks]
        courses.append(PairGrowth(level, different, [look.equivalent[pair] for look in results.looks]))
    return courses


def _evidence_panel(results: StudyResults, courses: Sequence[PairGrowth], series: Mapping[str, int]) -> Panel:
    seeds = [look.seeds for look in results.looks]
    highest = max(value for course in courses for value in (*course.different, *course.near))
    y_axis = Axis(LEAST, min(max(highest, 5 * ENOUGH), MOST) * 1.3, log=True)
    panel = _panel(f"evidence, compared with {results.best.name}; 20 is enough", results, y_axis)
    panel.front = panel.points([panel.x_axis.low, panel.x_axis.high], [ENOUGH, ENOUGH])
    enough = Tick(panel.y(ENOUGH), f"{ENOUGH:g}")
    ticks = [Tick(panel.y(value), short(value)) for value in y_axis.ticks()]
    panel.y_ticks = [enough, *(tick for tick in ticks if abs(tick.place - enough.place) > LINE)]
    ends: list[Mark] = []
    for course in courses:
        number, name = series[course.level.name], course.level.name
        for values, dashes in ((course.different, "none"), (course.near, DASHED)):
            if dashes == "none" or values[-1] >= LEAST:
                drawn = [max(value, LEAST) for value in values]
                panel.lines.append(Line(number, panel.points(seeds, drawn), dashes))
                ends.append(Mark(number, panel.x(seeds[-1]), panel.y(drawn[-1]), False, name))
        _mark_beaten(panel, course.level, number, dict(zip(seeds, course.different, strict=True)))
    _end(panel, ends, _named(results))
    return panel


def _means_panel(results: StudyResults, series: Mapping[str, int]) -> Panel:
    """The mean of the seeds so far. A line ends with the last seed of its level."""
    names = _order(results)
    means = {name: _means(results, names.index(name)) for name in names}
    y_axis = axis_over([mean for of_level in means.values() for mean in of_level.values()])
    panel = _panel(f"mean {results.measure} so far, %", results, y_axis)
    ends: list[Mark] = []
    for level in results.levels:
        last = results.seeds.index(level.seeds[-1]) + 1
        own = {seeds: mean for seeds, mean in means[level.name].items() if seeds <= max(last, 2)}
        number = series[level.name]
        panel.lines.append(Line(number, panel.points([*own], [*own.values()]), "none"))
        if own:
            end = max(own)
            ends.append(Mark(number, panel.x(end), panel.y(own[end]), False, level.name))
        _mark_beaten(panel, level, number, means[level.name])
    _end(panel, ends, _named(results))
    return panel


def _order(results: StudyResults) -> list[str]:
    """The levels in the order of the study, which is that of a look's means."""
    return list(dict.fromkeys(name for pair in results.pairs for name in (pair.a, pair.b)))


def _means(results: StudyResults, level: int) -> dict[int, float]:
    """Per number of seeds, percent; without those looks at which the level had no accuracy."""
    means = {look.seeds: look.means[level] for look in results.looks}
    return {seeds: 100 * mean for seeds, mean in means.items() if mean is not None}


def _panel(title: str, results: StudyResults, y_axis: Axis) -> Panel:
    """Over the seeds of all looks, with room on the right for the longest name, if the lines bear names."""
    first, last = results.looks[0].seeds, results.looks[-1].seeds
    longest = max(len(level.name) for level in results.levels) if _named(results) else 0
    room = (ASIDE + LETTER * longest) / (WIDTH - LEFT - RIGHT)
    low = first - 0.03 * (last - first)
    panel = Panel(title, "seeds", Axis(low, low + (last - low) / (1 - room)), y_axis)
    panel.x_ticks = [Tick(panel.x(seeds), str(seeds)) for seeds in whole_ticks(first, last)]
    return panel


def _mark_beaten(panel: Panel, level: LevelResult, series: int, values: Mapping[int, float]) -> None:
    """values: per number of seeds, where the level's line is."""
    after = level.beaten_after
    if after is not None and after in values:
        place = panel.x(after), panel.y(max(values[after], panel.y_axis.low))
        panel.marks.append(Mark(series, *place, True, f"{level.name}: {fate(level)}"))


def _end(panel: Panel, ends: Sequence[Mark], named: bool) -> None:
    """A mark at each line's end, and beside it its name, if there is room."""
    panel.marks += ends
    if named:
        panel.labels += labels_at_ends(ends, [mark.title for mark in ends])


def _told(results: StudyResults, courses: Sequence[PairGrowth]) -> Iterator[str]:
    """One or two looks, or none."""
    if not results.looks:
        yield "One seed says nothing of chance, so there is no evidence yet: it begins with the second seed."
        return
    for i, look in enumerate(results.looks):
        different = _strongest({course.level.name: course.different[i] for course in courses})
        near = _strongest({course.level.name: course.near[i] for course in courses})
        yield (
            f"After {counted(look.seeds, 'seed')} the evidence of a difference from {results.best.name} was "
            f"{different}, and that of less than {results.margin:g} points {near}."
        )
    yield "Evidence of 20 is enough. From the fourth seed on it is drawn as a plot."


def _strongest(values: Mapping[str, float]) -> str:
    """Evidence by level, in words: of many levels only the strongest."""
    names = sorted(values, key=lambda name: -values[name])
    shown, others = (names, []) if len(names) <= MOST_TOLD + 1 else (names[:MOST_TOLD], names[MOST_TOLD:])
    told = [f"{evidence(values[name])} for {name}" for name in shown]
    if others:
        told.append(f"at most {evidence(values[others[0]])} for the {len(others)} others")
    return listed(told)


def _caption(results: StudyResults, courses: Sequence[PairGrowth]) -> Iterator[str]:
    best, margin, last = results.best.name, results.margin, results.looks[-1]
    different = [_reached(results, course.level, course.different) for course in courses]
    near = [_reached(results, c.level, c.near) for c in courses if c.near[-1] >= LEAST]
    dashed = f"Dashed: that it differs from {best} by less than {margin:g} points. " if near else ""
    yield (
        f"First plot{', solid lines' if near else ''}: the evidence that a level differs from {best}. "
        f"{dashed}Evidence of 20 is enough. What is once known stays known: each line shows the most "
        "evidence so far, and never falls. "
        f"After {_seeds(last)} the evidence of a difference is {listed(different)}."
    )
    some = f"That of less than {margin:g} points is {listed(near)}" if near else ""
    if len(near) < len(courses):
        less = f"less than {LEAST:g} for {'the others' if near else 'every level'} and not drawn"
        some = f"{some}, {less}" if some else f"That of less than {margin:g} points is {less}"
    yield f"{some}."
    enough = "which is enough" if last.within >= ENOUGH else "which is not enough"
    yield (
        f"The evidence that no other level is better than {best} by {margin:g} points or more is "
        f"{evidence(last.within)}, {enough}."
    )
    yield f"Second plot: the mean {results.measure} over the seeds that a level had by then."
    beaten = [level for level in results.levels if level.beaten_after]
    if beaten:
        told = [f"{level.name} after {counted(level.beaten_after or 0, 'seed')}" for level in beaten]
        yield f"Hollow marks show where a level was beaten, that is worse than some other: {listed(told)}."


def _reached(results: StudyResults, level: LevelResult, values: Sequence[float]) -> str:
    """The evidence at the end, and after how many seeds it was enough."""
    enough = next((look for look, e in zip(results.looks, values, strict=True) if e >= ENOUGH), None)
    since = f" (enough after {_seeds(enough)})" if enough else ""
    return f"{evidence(values[-1])} for {level.name}{since}"


def _seeds(look: LookResult) -> str:
    return counted(look.seeds, "seed")
