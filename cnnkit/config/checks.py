"""What must hold between the keys of a configuration, and the shapes that follow from it.

Checked before any data is touched. Nothing here imports torch.
"""

import math
from collections.abc import Iterator
from itertools import pairwise

from cnnkit.config.images import DataConfig, SceneConfig
from cnnkit.config.model import ModelConfig
from cnnkit.config.training import TrainingConfig
from cnnkit.config.types import OF_OWN_IMAGES, Complaint
from cnnkit.families.activations import ACTIVATIONS
from cnnkit.families.datasets import DatasetInfo
from cnnkit.families.heads import HEADS
from cnnkit.families.poolings import POOLINGS
from cnnkit.own.names import shown
from cnnkit.words import counted, listed

LARGEST_LAYER = 100_000_000  # weights; 400 MB in float32, four times that while Adam trains it
SPLIT_KEYS = frozenset({"data.dataset", "data.validation", "data.folds", "data.scene.train_images"})
REDRAWN_KEYS = frozenset({"data.dataset", "data.folds", "data.resample_test"})
CROP_KEYS = frozenset({"data.dataset", "data.crop"})
GRID_KEYS = CROP_KEYS | {"data.scene.size", "model.channels", "model.kernel_sizes", "model.pool_size"}
SIGN_KEYS = frozenset({"model.pooling", "model.head", "model.activation", "model.order"})
ONLY_POSITIVE = "takes only values of 0 or more, and"
LAYER_KEYS = GRID_KEYS | {"model.convolutions", "model.pooling", "model.head", "model.hidden"}


def complaints_about(data: DataConfig, model: ModelConfig, training: TrainingConfig) -> Iterator[Complaint]:
    info = data.info
    yield from _own_image_complaints(data)
    yield from _scene_complaints(data.scene)
    yield from _redrawn_complaints(data, info)
    yield from _split_complaints(data, info, training)
    if complaints := list(_crop_complaints(data, info)):
        yield from complaints  # what follows from a grid that is not there would only confuse
    else:
        yield from _signs_of_poolings(model)
        yield from _signs_of_head(model)
        yield from grid_complaints(model, info.shape)
        yield from _layer_complaints(model, info, training.batch_size)


def _own_image_complaints(data: DataConfig) -> Iterator[Complaint]:
    for key, field in type(data).model_fields.items():
        of_own = OF_OWN_IMAGES in field.metadata
        if of_own and not data.own and getattr(data, key) != field.default:
            yield Complaint(
                f"data.{key}",
                f"is for your own images, and these are of {data.dataset}",
                "leave it out, or set data.dataset: folder",
                frozenset({"data.dataset", f"data.{key}"}),
            )
    if data.own and data.crop:
        yield Complaint("data.crop", "is not for your own images", "choose data.size and data.fit", CROP_KEYS)


def _signs_of_poolings(model: ModelConfig) -> Iterator[Complaint]:
    """Of poolings that take no negative values, where they would get some."""
    positive = ACTIVATIONS[model.activation].no_negatives
    able = listed([name for name, activation in ACTIVATIONS.items() if activation.no_negatives], "or")
    for name in dict.fromkeys(s.pooling for s in model.stages if POOLINGS[s.pooling].no_negatives):
        if any(stage.pools_first for stage in model.stages if stage.pooling == name):
            made = "with order: pooling_first it comes before the activation"
            remedy = "activation_first"
        elif not positive:
            made, remedy = f"{shown(model.activation)} gives it others", f"the activation {able}"
        else:
            continue
        words = f"{shown(name)} {ONLY_POSITIVE} {made}"
        yield Complaint("model.pooling", words, f"choose {remedy}, or another pooling", SIGN_KEYS)


def _signs_of_head(model: ModelConfig) -> Iterator[Complaint]:
    """Of a head that takes no negative values, where it would get some."""
    positive = ACTIVATIONS[model.activation].no_negatives
    last, head = model.stages[-1], model.head_choice.name
    negative = not last.pools_first and POOLINGS[last.pooling].makes_negatives
    if HEADS[head].no_negatives and (negative or not positive):
        maker, other = (last.pooling, "pooling") if negative else (model.activation, "activation")
        maker, head = shown(maker), shown(head)
        words = f"choose another {other} or another head"
        yield Complaint("model.head", f"{head} {ONLY_POSITIVE} {maker} gives it others", words, SIGN_KEYS)


def _crop_complaints(data: DataConfig, info: DatasetInfo) -> Iterator[Complaint]:
    if data.crop and data.drawn:
        yield Complaint(
            "data.crop", f"would cut through the scenes of {data.dataset}", "leave it 0", CROP_KEYS
        )
    elif data.crop and min(info.shape[1:]) <= 1:
        yield Complaint(
            "data.crop",
            f"{data.crop} pixels off each side leave nothing of an image",
            "cut off fewer",
            CROP_KEYS,
        )


def _scene_complaints(scene: SceneConfig) -> Iterator[Complaint]:
    for key, side in (("object_sizes", max(scene.object_sizes)), ("clutter_size", scene.clutter_size)):
        if side > scene.size:
            yield Complaint(
                f"data.scene.{key}",
                f"{side} pixels do not fit into a scene of {scene.size}",
                "make data.scene.size larger",
                frozenset({"data.scene.size", f"data.scene.{key}"}),
            )


def _redrawn_complaints(data: DataConfig, info: DatasetInfo) -> Iterator[Complaint]:
    if not data.redrawn:
        return
    key = "data.folds" if data.folds else "data.resample_test"
    if data.drawn:
        yield Complaint(
            key,
            f"would test {data.dataset} on digits that it was trained on, in other scenes",
            "leave it out; data.scene.test_images gives more of them",
            REDRAWN_KEYS,
        )
    elif data.folds and data.resample_test:
        yield Complaint(key, "says otherwise than data.resample_test", "leave one of them out", REDRAWN_KEYS)
    elif info.test_images < info.classes:
        yield Complaint(
            key,
            f"{data.folds} folds of {info.images} images have too few for {info.classes} classes",
            f"use at most {info.images // info.classes}",
            REDRAWN_KEYS,
        )


def _split_complaints(data: DataConfig, info: DatasetInfo, training: TrainingConfig) -> Iterator[Complaint]:
    held, smallest = data.validation_images, info.classes
    if info.train_images < 2 * smallest and data.validation:
        yield Complaint(
            "data.validation",
            f"{info.train_images:,} images are too few to train on one of each of {smallest:,} classes "
            "and to hold out another",
            "set data.validation=0",
            SPLIT_KEYS,
        )
        return
    if data.train_images < smallest:
        yield Complaint(
            "data.validation",
            f"{held} of {info.train_images} images held out leave {max(0, data.train_images)} to train on",
            f"hold out at most {info.train_images - smallest}",
            SPLIT_KEYS,
        )
    few = training.shown_of(data.train_images)
    if few < smallest <= data.train_images:
        yield Complaint(
            "training.hardest",
            f"shows {counted(few, 'image')} of {data.train_images:,}, and there are {info.classes:,} classes",
            f"use at least {math.ceil(1000 * smallest / data.train_images) / 1000:g}",
            SPLIT_KEYS | {"training.hardest"},
        )
    if data.validation and held < smallest:
        yield Complaint(
            "data.validation",
            f"{counted(held, 'image')} cannot hold out one of each of {info.classes} classes",
            f"hold out at least {smallest}, or 0 for none",
            SPLIT_KEYS,
        )
    for key, used in (
        ("early_stopping", training.early_stopping),
        ("monitor", training.monitor != "accuracy"),
    ):
        if used and not data.validation:
            yield Complaint(
                f"training.{key}",
                "needs validation images",
                "set data.validation",
                SPLIT_KEYS | {f"training.{key}"},
            )


def grid_complaints(model: ModelConfig, shape: tuple[int, int, int]) -> Iterator[Complaint]:
    """What is wrong with the grids of images of shape (C, H, W), stage by stage."""
    for number, (grid, stage) in enumerate(zip(model.grids(shape), model.stages, strict=False), 1):
        smaller = min(grid)
        if stage.kernel_size > 2 * smaller - 1:
            yield Complaint(
                "model.kernel_sizes",
                f"stage {number}: a kernel of {stage.kernel_size} is larger than its padded grid; "
                f"on {grid[0]}×{grid[1]} the weights beyond {2 * smaller - 1} never see a pixel",
                f"use at most {2 * smaller - 1}",
                GRID_KEYS,
            )
        if smaller // stage.pool_size < 1:
            yield Complaint(
                "model.pool_size",
                f"stage {number} would shrink its {grid[0]}×{grid[1]} grid by {stage.pool_size} to below 1",
                "use fewer stages or a smaller pool_size",
                GRID_KEYS,
            )
            return


def _layer_complaints(model: ModelConfig, info: DatasetInfo, batch_size: int) -> Iterator[Complaint]:
    channels = info.shape[0]
    for number, stage in enumerate(model.stages, 1):
        widest = max(channels, stage.channels) if stage.convolutions > 1 else channels
        weights = widest * stage.channels * stage.kernel_size**2
        if weights > LARGEST_LAYER:
            yield Complaint(
                "model.channels",
                f"stage {number}'s convolution would have {weights:,} weights",
                f"stay below {LARGEST_LAYER:,}: fewer channels or a smaller kernel",
                LAYER_KEYS,
            )
        channels = stage.out_channels
    sizes = [model.head_features(info.shape), *model.hidden, info.classes]
    for inputs, outputs in pairwise(sizes):
        if inputs * outputs > LARGEST_LAYER:
            yield Complaint(
                "model.hidden",
                f"a dense layer from {inputs:,} to {outputs:,} units would have {inputs * outputs:,} weights",
                f"stay below {LARGEST_LAYER:,}: fewer units, fewer channels, or head: avg",
                LAYER_KEYS,
            )
    if batch_size == 1 and model.batch_norm and model.grids(info.shape)[-1] == (1, 1):
        yield Complaint(
            "training.batch_size",
            "batch normalisation has nothing to average over in one image whose grid is 1×1",
            "use at least 2, or batch_norm: false",
            GRID_KEYS | {"model.batch_norm", "training.batch_size"},
        )
