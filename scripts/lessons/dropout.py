"""A larger dropout generalises better and fits worse; dropout is like augmentation."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from cnnkit.words import counted
from lessons.judged import Case, Judged, figures
from lessons.studies import Trained, Workshop, contrast, interval, test_accuracy, training_loss

DROPOUT, AUGMENTATION = "dropout", "augmentation"
RATES = (0.0, 0.5)
TEST, LOSS = "test accuracy", "training loss"
MEASURES = {TEST: test_accuracy, LOSS: training_loss}
UNITS = {TEST: "points", LOSS: "nats"}
PLAIN = {"data.augment": {"rotate": 0.0, "translate": 0.0, "zoom": 0.0}, "training.label_smoothing": 0.0}


class Size(NamedTuple):
    """How many images are trained on, how often and in which batches; held_out: what leaves so many."""

    images: int
    epochs: int
    batch: int
    held_out: int


QUICK = (Size(200, 30, 64, 1237), Size(600, 20, 64, 837), Size(1300, 10, 64, 137))
FULL = (
    Size(1000, 20, 32, 59_000),
    Size(6000, 10, 64, 54_000),
    Size(55_000, 4, 256, 5000),
)  # 640 to 940 steps


def train_at(shop: Workshop, size: Size, more: Mapping[str, Any], name: str = DROPOUT) -> Trained:
    """Both rates of dropout on so many training images."""
    base, seeds = shop.pick(("digits", 8), ("fast", 8))
    setting = {
        "data.validation": size.held_out,
        "training.epochs": size.epochs,
        "training.batch_size": size.batch,
    }
    overrides = PLAIN | setting | dict(more)
    return shop.compare(f"{name}-{size.images}", base, overrides, {"model.dropout": list(RATES)}, seeds)


def setting_of(shop: Workshop) -> str:
    """What is trained, in words."""
    base, seeds = shop.pick(("digits", 8), ("fast", 8))
    return f"{base} without label smoothing, {counted(seeds, 'seed')}"


def judge_dropout(shop: Workshop) -> Judged:
    """Six cases: for each of three sizes of the training set, the test accuracy and the training loss."""
    sizes = shop.pick(QUICK, FULL)
    cases: dict[str, list[Case]] = {TEST: [], LOSS: []}
    for size in sizes:
        runs = train_at(shop, size, {})
        for what, measure in MEASURES.items():
            without, with_it = (runs.of(rate, measure) for rate in RATES)
            step = runs.step if what == TEST else 0.0
            change = interval(contrast((1, with_it), (-1, without)), 2 * len(sizes), step)
            cases[what].append(Case(f"{what}, {size.images:,} images", change, UNITS[what], above=0))
    trained_on = ", ".join(f"{size.images:,}" for size in sizes)
    return Judged(
        DROPOUT,
        "A larger dropout generalises better and fits worse",
        f"dropout 0.5 − 0, {setting_of(shop)}, and without augmentation; {epochs_of(sizes)}",
        f"0.5 minus 0, {trained_on} images: test accuracy {figures(cases[TEST])} points, "
        f"training loss {figures(cases[LOSS], 3)} nats",
        [*cases[TEST], *cases[LOSS]],
    )


def epochs_of(sizes: tuple[Size, ...]) -> str:
    """Epochs and batches, in words."""
    return ", ".join(
        f"{size.images:,} training images for {size.epochs} epochs in batches of {size.batch}"
        for size in sizes
    )


def judge_augmentation(shop: Workshop) -> Judged:
    """Five cases on the smallest training set: each alone on test and training images, and both together."""
    size = shop.pick(QUICK, FULL)[0]
    shift = shop.pick(0.7, 2.0)
    moved = {"data.augment": {"rotate": 10.0, "translate": shift, "zoom": 0.1}}
    plain, augmented = train_at(shop, size, {}), train_at(shop, size, moved, AUGMENTATION)
    cases = []
    for what, measure in MEASURES.items():
        neither, dropout = (plain.of(rate, measure) for rate in RATES)
        augmentation, both = (augmented.of(rate, measure) for rate in RATES)
        step = plain.step if what == TEST else 0.0
        for name, values in ((DROPOUT, dropout), (AUGMENTATION, augmentation)):
            change = interval(contrast((1, values), (-1, neither)), 5, step)
            cases.append(Case(f"{what}, {name} alone − neither", change, UNITS[what], above=0))
        if what == TEST:
            less = contrast((1, both), (-1, dropout), (-1, augmentation), (1, neither))
            cases.append(Case(f"{what}, both − the sum of each", interval(less, 5, step), "points", below=0))
    tests, losses = ([case for case in cases if case.name.startswith(what)] for what in MEASURES)
    return Judged(
        AUGMENTATION,
        "Dropout is like augmentation",
        f"dropout 0.5, turns to 10°, shifts to {shift:g} pixels and zooms to 10 %; {setting_of(shop)}; "
        f"{epochs_of((size,))}",
        f"gain of dropout, augmentation, both beyond their sum, {size.images:,} images: {figures(tests)} "
        f"points; training loss {figures(losses, 3)} nats",
        cases,
    )
