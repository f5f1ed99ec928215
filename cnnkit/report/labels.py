"""Where the names of a plot's marks find room: beside the mark, and as near to its height as they can."""

from collections.abc import Sequence

from cnnkit.report.axes import BOTTOM, HEIGHT, RIGHT, TOP, WIDTH, Label, Mark

LONGEST = 18  # letters of a name: one side of every mark has room for them
MOST_NAMED = 8  # levels: each may have two lines, whose names stand one below another
LETTER, LINE = 6.4, 13  # width and height of a letter, SVG units
ASIDE = 9  # from the middle of a mark to its name


def find_room(names: Sequence[str]) -> bool:
    """Whether there are not too many for a plot, and none is too long; if not, a legend names the marks."""
    return len(names) <= MOST_NAMED and all(len(name) <= LONGEST for name in names)


def labels_beside(marks: Sequence[Mark], names: Sequence[str]) -> list[Label]:
    """A label for each mark. The marks stay where they are: a label that finds no room moves up or down.

    names: that `find_room`, as in `labels_at_ends`.
    """
    put: list[Label] = []
    for mark, name in sorted(zip(marks, names, strict=True), key=lambda pair: pair[0].y):
        tried = [
            Label(mark.x, mark.y, mark.x + aside, mark.y + dy, anchor, name)
            for dy in _steps()
            for aside, anchor in ((ASIDE, "start"), (-ASIDE, "end"))
        ]
        within = [label for label in tried if _inside(label)]
        put.append(next((label for label in within if _free(label, put, marks)), within[0]))
    return put


def labels_at_ends(marks: Sequence[Mark], names: Sequence[str]) -> list[Label]:
    """A label on the right of each line's end, from top to bottom as the ends are, none over another."""
    ordered = sorted(zip(marks, names, strict=True), key=lambda pair: pair[0].y)
    heights: list[float] = []
    for mark, _ in ordered:
        heights.append(max(mark.y, heights[-1] + LINE) if heights else mark.y)
    lowest = HEIGHT - BOTTOM - LINE / 2
    for i in reversed(range(len(heights))):
        heights[i] = min(heights[i], lowest)
        lowest = heights[i] - LINE
    return [
        Label(mark.x, mark.y, mark.x + ASIDE, height, "start", name)
        for (mark, name), height in zip(ordered, heights, strict=True)
    ]


def _steps() -> list[float]:
    """0, then a line up, one down, two up …"""
    return [sign * step * LINE for step in range(20) for sign in ((1,) if step == 0 else (-1, 1))]


def _inside(label: Label) -> bool:
    low, high = _span(label)
    return low >= 0 and high <= WIDTH - RIGHT and TOP <= label.text_y <= HEIGHT - BOTTOM - LINE / 2


def _span(label: Label) -> tuple[float, float]:
    """Its left and its right end."""
    width = LETTER * len(label.text)
    return (
        (label.text_x - width, label.text_x)
        if label.anchor == "end"
        else (label.text_x, label.text_x + width)
    )


def _free(label: Label, put: Sequence[Label], marks: Sequence[Mark]) -> bool:
    """Whether it covers no other label and no mark."""
    low, high = _span(label)
    over_label = any(
        abs(label.text_y - other.text_y) < LINE and low < _span(other)[1] and _span(other)[0] < high
        for other in put
    )
    over_mark = any(abs(label.text_y - m.y) < LINE and low < m.x + 5 and m.x - 5 < high for m in marks)
    return not over_label and not over_mark
