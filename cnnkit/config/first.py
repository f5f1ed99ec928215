"""A small configuration to begin with, for a person's own images."""

from collections.abc import Sequence
from pathlib import Path

from cnnkit.config.images import HELD_OUT, usual_validation
from cnnkit.files import json_text
from cnnkit.listing import TEST, VALIDATION, Listing

LARGEST_SIDE = 64  # pixels: a small network learns from such images in minutes on a CPU
LEFT = 7  # cells: stages are added until the shorter side of the last grid is at most so long
CHANNELS = (32, 64, 128, 128, 256)  # of the stages
SEEN = 400_000  # training images that the network sees in all epochs together
EPOCHS = (5, 100)  # at least and at most
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
        *_photos_are_changed(channels),
        "model:",
        f"  channels: {list(CHANNELS[:stages])}",
        *_photos_need_depth(channels, stages),
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


def _photos_are_changed(channels: int) -> list[str]:
    """What else is changed in images of colour; letters and digits must not be mirrored."""
    if channels == 1:
        return ["    # flip: 0.5          # if a mirrored image is still one of its class"]
    return [
        "    flip: 0.5            # 0 if a mirrored image is no longer one of its class",
        "    brightness: 0.2      # all three: by a factor from 0.8 to 1.2; 0 where light or colour tells",
        "    contrast: 0.2",
        "    saturation: 0.2",
    ]


def _photos_need_depth(channels: int, stages: int) -> list[str]:
    """Two convolutions a stage.

    On 360 coloured drawings of three shapes they had 91 % of the held-out images right, one a stage 78 % (one
    seed, 150 epochs, 2026-11-26).
    """
    if channels == 1 or stages == 1:
        return []
    return [f"  convolutions: {[1, *[2] * (stages - 1)]}", "  order: pooling_first   # less work"]
