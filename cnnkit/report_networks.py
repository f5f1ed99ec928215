"""What a study's networks have learnt: filters, feature maps and evidence, of the first seed's weights."""

import contextlib
from collections.abc import Mapping
from typing import Any

from cnnkit.data import ImageDataset
from cnnkit.errors import CnnkitError
from cnnkit.report_evidence import evidence_view
from cnnkit.report_images import Networks, draw_networks, images_of, ink_image
from cnnkit.report_trials import Trials, gallery_view
from cnnkit.report_words import filters_caption, maps_caption
from cnnkit.runs import Weights, load_weights

SHOWN_CLASS = 7  # of the image whose feature maps are drawn: a seven has a corner and a slope
FIRST_WEIGHTS = "stages.0.downsampling.convolution.weight"


def images_view(trials: Trials) -> dict[str, Any]:
    """Everything that needs the test images or the weights."""
    test, missing = images_of(trials.config, trials.labels)
    weights, first = _first_weights(trials)
    return {
        "gallery": gallery_view(trials, test) if test is not None and trials.predicted else None,
        "networks": _networks(trials, weights, first, test) if weights else None,
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


def _networks(
    trials: Trials, weights: Mapping[str, Weights], first: Mapping[str, int], test: ImageDataset | None
) -> dict[str, Any]:
    """First filters, and one image's feature maps."""
    image = None
    if test is not None:
        number = _shown_image(trials, first)
        image = test.images[number]
    drawn = draw_networks(weights, trials.series, image)
    view = networks_captions(drawn, min(first.values()), _same_start(trials, first))
    if image is not None:
        truth = trials.config.data.info.class_names[int(trials.labels[number])]
        view |= {"maps_caption": maps_caption(number, truth, drawn.kept), "image": ink_image(image)}
    return view


def networks_captions(drawn: Networks, seed: int, same_start: bool) -> dict[str, Any]:
    counts = {name: filters.count for _, name, filters in drawn.filters}
    size = drawn.filters[0][2].size
    caption = filters_caption(counts, size, same_start, seed)
    return {"filters": drawn.filters, "stages": drawn.stages, "filters_caption": caption}


def _same_start(trials: Trials, first: Mapping[str, int]) -> bool:
    """Whether the first layer of these trials began with the same weights."""
    return (
        len({trials.hashes[level, seed]["weights"].get(FIRST_WEIGHTS) for level, seed in first.items()}) == 1
    )


def _shown_image(trials: Trials, first: Mapping[str, int]) -> int:
    """The first image of `SHOWN_CLASS` that all these trials get right; else the first of its class."""
    of_class = trials.labels == SHOWN_CLASS
    right = of_class.copy()
    for trial in first.items():
        if trial in trials.predictions:
            right &= trials.predictions[trial] == trials.labels
    return int((right if right.any() else of_class).argmax())
