"""A small configuration to begin with, for a person's own images."""

from collections.abc import Sequence
from pathlib import Path

from cnnkit.config.own_images import HELD_OUT, usual_validation
from cnnkit.files import json_text
from cnnkit.listing import TEST, VALIDATION, Listing

LARGEST_SIDE = 64  # pixels: a small network learns from such images in minutes on a CPU
LEFT = 7  # cells: stages are added until the shorter side of the last grid is at most so long
CHANNELS = (32, 64, 128, 128, 256)  # of the stages
SEEN = 500_000  # training images that the network sees in all epochs together
EPOCHS = (5, 40)  # at least and at most
SMALL_SET = 5_000  # training images: below, smaller batches make enough steps


def fitting_size(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """(height, width), pixels, that images of these (width, height) are to be fitted to.

    Small images of one size keep it. Others become squares, or keep their shape where they all share it.
    """
    widths, heights = (sorted(sides) for sides in zip(*sizes, strict=True))
    width, height = widths[len(widths) // 2], heights[len(heights) // 2]
    if any(w * height != h * width for w, h in sizes):
        width = height = min(width, height)
    factor = min(1, LARGEST_SIDE / max(width, height))
    return max(4, round(height * factor)), max(4, round(width * factor))


def first_configuration(
    root: Path, listing: Listing, channels: int, size: tuple[int, int], train_images: int
) -> str:
    """YAML text. size: (height, width). train_images: before validation images are held out."""
    height, width = size
    small = train_images < SMALL_SET
    epochs = min(max(round(SEEN / train_images), EPOCHS[0]), EPOCHS[1])
    stages, shorter = 1, min(size) // 2
    while shorter > LEFT and stages < len(CHANNELS):
        stages, shorter = stages + 1, shorter // 2
    lines = [
        "data:",
        "  dataset: folder",
        f"  root: {json_text(str(root), None)}",
        f"  channels: {channels}",
        f"  size: {height if height == width else [height, width]}",
    ]
    if TEST not in listing.own_splits:
        lines.append("  test: 0.2              # held out to test on; the same images for each seed")
    if VALIDATION not in listing.own_splits:
        lines.append(_validation(train_images, len(listing.classes)))
    lines += [
        "  augment:",
        f"    translate: {max(1, min(size) // 16)}",
        "    # flip: 0.5          # if a mirrored image is still one of its class",
        "model:",
        f"  channels: {list(CHANNELS[:stages])}",
        "training:",
        f"  epochs: {epochs}",
        f"  batch_size: {64 if small else 128}",
        f"  learning_rate: {0.002 if small else 0.005}",
    ]
    return "\n".join(lines) + "\n"


def _validation(train_images: int, classes: int) -> str:
    held_out = usual_validation(train_images, classes)
    if held_out == HELD_OUT:
        return f"  validation: {HELD_OUT}        # of the training images, held out by the seed"
    if held_out:
        return f"  validation: {held_out}         # training images, held out by the seed: one of each class"
    return "  validation: 0          # too few images to hold some out: the last epoch is kept"
