"""What a study's networks have learnt: filters, feature maps and evidence, of the first seed's weights."""

import contextlib
from collections.abc import Mapping
from typing import Any

from cnnkit.data.dataset import ImageDataset
from cnnkit.errors import CnnkitError
from cnnkit.experiment.checkpoints import Weights, load_weights
from cnnkit.report.captions import filters_caption, maps_caption
from cnnkit.report.evidence import evidence_view
from cnnkit.report.images import draw_networks, images_of, ink_image
from cnnkit.report.trials import Trials, gallery_view

SHOWN_CLASS = 7  # of the image whose feature maps are drawn: a seven has a corner and a slope
FIRST_WEIGHTS = "stages.0.downsampling.convolution.weight"


def images_view(trials: Trials) -> dict[str, Any]:
    """Everything that needs the test images or the weights."""
    test, missing = images_of(trials.config, trials.labels if trials.labels.size else None)
    weights, first = _first_weights(trials)
    networks = None
    if weights:
        number, same_start = _shown_image(trials, first), _same_start(trials, first)
        networks = networks_view(
            weights, trials.series, test, number, min(first.values()), same_start=same_start
        )
    return {
        "gallery": gallery_view(trials, test) if test is not None and trials.predicted else None,
        "networks": networks,
        "evidence": evidence_view(weights, trials.series, test),
        "images_missing": missing,
    }


def _first_weights(trials: Trials) -> tuple[dict[str, Weights], dict[str, int]]:
    """Per level, the best weights of its first seed, and that seed; without those that cannot be read."""
    weights: dict[str, Weights] = {}
    first: dict[str, int] = {}
    for level in trials.order:
        seeds = [seed for name, seed in sorted(trials.runs) if name == level]
        for seed in [s for s in trials.seeds[:1] if s in seeds] or seeds[:1]:
            with contextlib.suppress(CnnkitError, OSError):
                weights[level] = load_weights(trials.runs[level, seed].path)
                first[level] = seed
    return weights, first


def networks_view(
    weights: Mapping[str, Weights],
    series: Mapping[str, int],
    test: ImageDataset | None,
    number: int,
    seed: int,
    same_start: bool = False,
) -> dict[str, Any]:
    """First filters, and the feature maps of test image `number`. weights, series: per level."""
    drawn = draw_networks(weights, series, None if test is None else test.images[number])
    counts = {name: filters.count for _, name, filters in drawn.filters}
    caption = filters_caption(counts, drawn.filters[0][2].size, same_start, seed)
    view = {"filters": drawn.filters, "stages": drawn.stages, "filters_caption": caption}
    if test is not None:
        names = test.info.class_names
        truth = names[int(test.labels[number])]
        view["maps_caption"] = maps_caption(number, truth, drawn.kept)
        view["image"] = ink_image(test.images[number])
    return view


def _same_start(trials: Trials, first: Mapping[str, int]) -> bool:
    """Whether the first layer of these trials began with the same weights."""
    return (
        len({trials.hashes[level, seed]["weights"].get(FIRST_WEIGHTS) for level, seed in first.items()}) == 1
    )


def _shown_image(trials: Trials, first: Mapping[str, int]) -> int:
    """The first image of `SHOWN_CLASS` that all these trials get right; else the first of its class."""
    if not trials.labels.size:
        return 0
    of_class = trials.labels == SHOWN_CLASS
    right = of_class.copy()
    for trial in first.items():
        if trial in trials.predictions:
            right &= trials.predictions[trial] == trials.labels
    return int((right if right.any() else of_class).argmax())
