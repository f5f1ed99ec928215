"""What a person sees of images of their own, and of the cache."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cnnkit.api.progress import err, say
from cnnkit.cli.console import make_table, out, print_pairs, print_table, print_warning
from cnnkit.listing import words_of_passed
from cnnkit.words import counted, first_lines, span

if TYPE_CHECKING:
    from cnnkit.data.cache import Kept
    from cnnkit.data.inspection import Inspection

MOST_CLASSES = 30  # rows of the table
NAMED = 10  # files that a list names


def print_inspection(found: "Inspection") -> None:
    """Two lines, a table of classes and splits, what the images are like, and what to look at."""
    from cnnkit.data.equal_images import that_equal, words_of_labels

    for line in found.lines:
        say(out, line)
    out.print()
    _print_classes(found)
    out.print()
    print_pairs(_properties(found))
    if across := found.equal[1]:
        print_warning(
            f"{that_equal(across, 'training image')}, pixel by pixel, an image of the validation or test "
            f"split; data.duplicates: {found.config.duplicates}"
        )
    if found.contradicting:
        pairs = [" and ".join(found.listing.paths[row] for row in pair) for pair in found.contradictions]
        print_warning(_with_first(words_of_labels(found.contradicting), pairs))
    _print_near(found)
    if damaged := found.prepared.damaged:
        _print_damaged([damaged[i] for i in sorted(damaged)])
    for warning in found.listing.warnings:
        print_warning(warning)


def _print_damaged(complaints: list[str]) -> None:
    cannot = f"{counted(len(complaints), 'image')} cannot be read"
    print_warning(_with_first(f"{cannot}; mend or remove them, or set data.damaged: skip", complaints))


def _print_classes(found: "Inspection") -> None:
    from cnnkit.data.inspection import SPLITS

    table = make_table("class", *SPLITS)
    names = found.listing.classes
    shown = MOST_CLASSES if len(names) > MOST_CLASSES + 1 else len(names)
    for name, counts in zip(names[:shown], found.counts.T.tolist(), strict=False):
        table.add_row(name, *(f"{count:,}" for count in counts))
    print_table(table)
    if rest := found.counts[:, shown:].sum(0).tolist():
        each = span(f"{min(rest):,}", f"{max(rest):,}")
        say(out, f" and {len(rest):,} more classes, of {each} images each")


def _properties(found: "Inspection") -> dict[str, str]:
    channels, height, width = found.config.source.shape
    rows = {}
    if sizes := found.sizes():
        three = ("smallest", "median", "largest")
        told = ", ".join(f"{name} {sizes[name][0]:,} × {sizes[name][1]:,}" for name in three)
        total = int(found.counts.sum())
        rows["sizes"] = f"{told} (width × height); {sizes['not_square']:,} of {total:,} not square"
        rows["modes"] = ", ".join(f"{count:,} {mode}" for mode, count in found.modes().items())
    colours = "grey" if channels == 1 else "colour"
    rows["for the network"] = f"{width} × {height} in {colours}, data.fit: {found.config.fit}"
    if found.equal[0]:
        rows["equal images"] = f"{found.equal[0]:,} equal an earlier one of their split"
    passed = words_of_passed(found.listing.passed_over)
    return rows | ({"passed over": passed} if passed else {})


def _print_near(found: "Inspection") -> None:
    if not found.near:
        return
    some, judged = found.judged
    sampled = "" if some == judged else f" ({some:,} of {judged:,} were looked at)"
    equal = "image nearly equals" if len(found.near) == 1 else "images nearly equal"
    told = (
        f"{len(found.near):,} validation or test {equal} a training image{sampled}: mirrored, moved, "
        "compressed or the like; accuracy then tells less about new images"
    )
    print_warning(_with_first(told, [f"{pair.train} and {pair.judged}" for pair in found.near]))


def _with_first(text: str, names: Sequence[str]) -> str:
    return f"{text}\n{first_lines(names, NAMED)}"


def print_kept(text: str, aside: bool) -> None:
    """aside: on standard error, since standard output is JSON."""
    say(err if aside else out, text)


def print_cache(folder: Path, kept: Sequence["Kept"]) -> None:
    if not kept:
        say(out, f"nothing is prepared in {folder}")
        return
    table = make_table("prepared images of", "size", "last used")
    for one in kept:
        table.add_row(one.source, _size(one.bytes), time.strftime("%Y-%m-%d", time.localtime(one.used)))
    print_table(table)
    say(out, f"{_size(sum(one.bytes for one in kept))} in {folder}; --clear removes them")


def print_cleared(folder: Path, kept: Sequence["Kept"], left: Sequence[tuple["Kept", str]]) -> None:
    gone = sum(one.bytes for one in kept) - sum(one.bytes for one, _ in left)
    say(out, f"{_size(gone)} removed from {folder}")
    for one, reason in left:
        print_warning(f"{one.source} stays: {reason}")


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
