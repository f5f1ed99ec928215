"""Captions of filters, feature maps and evidence maps, with their names and numbers."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cnnkit.config.model import Cells
from cnnkit.families.heads import HEADS
from cnnkit.words import counted, listed, span

IN_COLOUR = (
    "weights of 0 are grey, and more red, green or blue means a larger weight on that colour. Below a "
    "filter its trained weights on each colour, where vermillion is above 0, blue below"
)


def filters_caption(
    count: Mapping[str, int], size: int, same_start: bool, seed: int, in_colour: bool = False
) -> str:
    shown = sorted(set(count.values()))
    fewest = f"{shown[0]} to " if len(shown) > 1 else ""
    text = (
        f"The {fewest}{counted(shown[-1], 'filter')} of {size} × {size}{' × 3' if in_colour else ''} weights "
        f"of the first convolution, before and after training with seed {seed}, both in one scale; "
        f"{IN_COLOUR if in_colour else 'vermillion is above 0, blue below'}. "
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
    """stages: per stage and level, the parts and the strength of each, that before downsampling being 1."""
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
    heads: Mapping[str, str], seed: int, cells: Sequence[Cells], left_out: Sequence[str], as_is: bool = False
) -> str:
    """What the colours are. heads: of each level drawn. left_out: levels without a grid.

    as_is: the image has colours of its own, so that they lie over it in grey.
    """
    pooled = "the scores that the dense layers give to its features alone"
    kept = "how much it changes the scores when all other cells are 0"
    keeping = {head for head in heads.values() if HEADS[head].keeps_cells}
    told = f"{pooled} ({listed(sorted(keeping))}: {kept})" if keeping else pooled
    if set(heads.values()) == keeping:
        told = kept
    sides, sees = (_span([getattr(c, name) for c in cells], "{0} × {0}") for name in ("side", "sees"))
    depend = f"{sees} pixels" if all(c.sees for c in cells) else "pixels whose number is not known"
    text = (
        f"The colour of a cell shows {told}: the true class's score minus the mean score of all classes. "
        f"Vermillion speaks for the true class, blue against it{', laid over the image in grey' * as_is}. "
        "Each map has its own scale, up to the number after ±"
    )
    if len(set(heads.values())) > 1:
        text += ", because a head that averages needs larger scores than one that adds or takes the largest"
    text += (
        f". A cell covers {sides} pixels, and its features depend on {depend}. These are the best "
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
    chance = _span([of_level.chance for of_level in hits.values()], "{:.0%}")
    return (
        f"{where}, and in {shares} of the first {looked_at} test scenes, whatever the answer is. "
        f"A cell chosen at random does so in {chance}."
    )


def _span(values: Sequence[float], form: str) -> str:
    return span(form.format(min(values)), form.format(max(values)))
