"""What a study's networks have learnt: filters, feature maps and evidence, of the first seed's weights."""

import contextlib
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from cnnkit.config.images import DataConfig
from cnnkit.data.dataset import ImageDataset
from cnnkit.errors import CnnkitError
from cnnkit.experiment.checkpoints import Weights, load_weights
from cnnkit.report.crops import crop_note, whole_image
from cnnkit.report.evidence import EvidenceView, evidence_view
from cnnkit.report.filters import draw_filters
from cnnkit.report.image_captions import filters_caption, maps_caption
from cnnkit.report.images import draw_stages, images_of, input_image, own_test_images, stage_maps
from cnnkit.report.trials import UNTESTED, Trials, gallery_view

SHOWN_CLASS = 7  # of the image whose feature maps are drawn: a seven has a corner and a slope
FIRST_WEIGHTS = tuple(f"stages.0.{layer}.convolution.weight" for layer in ("before.0", "downsampling"))


def images_view(trials: Trials) -> dict[str, object]:
    """Everything that needs the test images or the weights."""
    images, missing = images_of(trials.config, trials.labels if trials.labels.size else None)
    weights, first = first_weights(trials)
    test = own_test_images(trials.config.data, min(first.values(), default=0), images)
    networks = None
    if weights:
        number, same_start = _shown_image(trials, first), _same_start(trials, first)
        networks = networks_view(
            weights, trials.series, test, number, min(first.values()), same_start=same_start
        )
    return {
        "gallery": gallery_view(trials, images) if images is not None and trials.predicted else None,
        "networks": networks,
        "evidence": cropped_evidence(weights, trials.series, test, trials.config.data),
        "images_missing": missing,
    }


def first_weights(trials: Trials) -> tuple[dict[str, Weights], dict[str, int]]:
    """Per level, the best weights of its first seed, and that seed; without those that cannot be read.

    Where each seed has test images of its own, only levels of one seed can be shown the same ones.
    """
    weights: dict[str, Weights] = {}
    first: dict[str, int] = {}
    for level in trials.order:
        seeds = [seed for name, seed in sorted(trials.runs) if name == level]
        for seed in [s for s in trials.seeds[:1] if s in seeds] or seeds[:1]:
            with contextlib.suppress(CnnkitError, OSError):
                weights[level] = load_weights(trials.runs[level, seed].path)
                first[level] = seed
    if trials.config.data.redrawn:
        first = {level: seed for level, seed in first.items() if seed == min(first.values())}
    return {level: weights[level] for level in first}, first


def networks_view(
    weights: Mapping[str, Weights],
    series: Mapping[str, int],
    test: ImageDataset | None,
    number: int,
    seed: int,
    same_start: bool = False,
) -> dict[str, object]:
    """First filters, and the feature maps of test image `number`. weights, series: per level.

    test: before the crop.
    """
    data = next(iter(weights.values())).config.data
    crop, as_is, maps = data.crop, data.info.shown_as_is, {}
    if test is not None:
        one = test[[number]]
        seen = one.cropped(crop).images[0]
        maps = {name: stage_maps(w.model, seen) for name, w in weights.items()}
    filters, stages = draw_filters(weights, series, maps), draw_stages(weights, series, maps)
    caption = filters_caption(filters.counts, filters.size, same_start, seed, filters.in_colour)
    view = {"filters": filters, "stages": stages, "filters_caption": caption, "seen": None}
    if test is not None:
        truth = test.info.class_names[int(test.labels[number])]
        kept = [{level.name: level.kept for level in stage} for stage in stages]
        view["maps_caption"] = maps_caption(number, truth, kept)
        view["seen"] = input_image(seen, as_is)
        view["image"] = whole_image(one.images[0], crop, as_is)
        view |= {"crop": crop, "as_is": as_is}
    return view


def cropped_evidence(
    weights: Mapping[str, Weights], series: Mapping[str, int], test: ImageDataset | None, data: DataConfig
) -> EvidenceView | None:
    """The evidence on what the networks see of the test images, and what the crop took of those shown."""
    view = evidence_view(weights, series, None if test is None else test.cropped(data.crop))
    if view and test is not None:
        shown = test[[row.number for row in view.rows]].images
        return replace(view, crop_note=crop_note(shown, data.crop, data.info.shown_as_is))
    return view


def _same_start(trials: Trials, first: Mapping[str, int]) -> bool:
    """Whether the first layer of these trials began with the same weights."""
    weights = [trials.hashes[trial]["weights"] for trial in first.items()]
    return len({next((of[name] for name in FIRST_WEIGHTS if name in of), None) for of in weights}) == 1


def _shown_image(trials: Trials, first: Mapping[str, int]) -> int:
    """The first image of `SHOWN_CLASS` that all these trials get right; else the first of its class.

    Its number among the images that they were tested on.
    """
    if not trials.labels.size:
        return 0
    predictions = [trials.predictions[trial] for trial in first.items() if trial in trials.predictions]
    tested = np.all([kept != UNTESTED for kept in predictions], axis=0) if predictions else slice(None)
    labels = trials.labels[tested]
    of_class = labels == SHOWN_CLASS
    right = np.all([of_class, *(kept[tested] == labels for kept in predictions)], axis=0)
    return int((right if right.any() else of_class).argmax())
