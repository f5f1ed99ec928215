"""Which images are tested on and which are held out for validation: stratified, fixed by the seed."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from cnnkit.config.images import DataConfig
from cnnkit.data.dataset import Published
from cnnkit.errors import DataError
from cnnkit.random import generator_for, number_for


class Shares(NamedTuple):
    """Indices of the images of one run.

    tested: into all published images, the training split first, where the seed chooses the test images;
    None: the test split is tested on. train, validation: into the same images, or into the training split.
    """

    train: Tensor
    validation: Tensor
    tested: Tensor | None


def shares_of(config: DataConfig, published: Published, seed: int) -> Shares:
    """The images of a run. Those that are tested on do not depend on `data.validation`.

    Where `data.duplicates` says so, validation images that equal a test image are left out, and training
    images that equal one of the others. Raises DataError where no validation image is left.
    """
    train, test = published
    apart, labels = published.apart, torch.cat([train.labels, test.labels]).cpu()
    tested, others = torch.arange(len(train), len(labels)), torch.arange(len(train))
    if config.redrawn:
        tested, others = redrawn_test_and_rest(config, labels, seed, apart.groups)
    if apart.validation is not None and not config.redrawn:
        validation, rest = apart.validation, _all_but(apart.validation, len(train))
    elif apart.groups is not None:
        validation, rest = held_out_groups(config, labels[others], apart.groups[others], seed)
    else:
        validation, rest = held_out_and_rest(config, labels[others], seed)
    validation, rest = others[validation], others[rest]
    if apart.same is not None and config.duplicates != "keep":
        validation = _without_equal(validation, tested, apart.same)
        rest = _without_equal(rest, torch.cat([validation, tested]), apart.same)
    return Shares(rest, validation, tested if config.redrawn else None)


def _without_equal(images: Tensor, judged: Tensor, same: Tensor) -> Tensor:
    """Those of the images that equal none that is judged. same: (N,) equal numbers of equal images."""
    left = images[~torch.isin(same[images], same[judged])]
    if len(images) and not len(left):
        raise DataError(
            f"each of {len(images):,} images to train or validate on equals, pixel by pixel, one that is "
            "judged later; name splits that have no image in common, or set data.duplicates: keep"
        )
    return left


def _all_but(some: Tensor, count: int) -> Tensor:
    mask = torch.ones(count, dtype=torch.bool)
    mask[some] = False
    return mask.nonzero()[:, 0]


def redrawn_test_and_rest(
    config: DataConfig, labels: Tensor, seed: int, groups: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """(test images, rest): sorted indices. labels: of all published images, the training split first.

    K seeds from a multiple of K on test every image once, but for fewer than K images. groups: (N,), of these
    images; the rest then holds no image of a group that is tested on.
    """
    if groups is not None:
        return _redrawn_by_group(config, labels, groups, seed)
    if not config.folds:
        return split_stratified(labels, config.info.test_images, generator_for(seed, "test"))
    partition, fold = divmod(seed, config.folds)
    tested = folds_of(labels, config.folds, generator_for(partition, "folds", config.folds))[fold]
    return tested, _all_but(tested, len(labels))


def _redrawn_by_group(config: DataConfig, labels: Tensor, groups: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """As `redrawn_test_and_rest`, with as many test images as without groups.

    The images are laid out group by group, so that a stretch of so many of them is a fold. Of a group on its
    border a part is tested on, and the other part is in neither. Raises DataError where nothing is left.
    """
    from cnnkit.listing import some

    size = len(labels) // config.folds if config.folds else config.info.test_images
    if config.folds:
        partition, fold = divmod(seed, config.folds)
        number = number_for(partition, "folds", config.folds)
    else:
        fold, number = 0, number_for(seed, "test")
    order = _in_folds(labels, groups, len(labels) / size, number, (fold + 1) * size)
    tested = order[fold * size : (fold + 1) * size].sort().values
    rest = (~torch.isin(groups, groups[tested])).nonzero()[:, 0]
    if missing := set(labels.tolist()) - set(labels[rest].tolist()):
        names = some(config.info.class_names[label] for label in sorted(missing))
        raise DataError(
            f"some groups are too large: where seed {seed} tests on {size:,} images, nothing of {names} is "
            "left to learn from; name smaller groups, or leave out data.folds and data.resample_test"
        )
    return tested, rest


def _in_folds(labels: Tensor, groups: Tensor, folds: float, number: int, needed: int) -> Tensor:
    """(N,) the images in an order in which groups stay together, and each of so many stretches is like all.

    One share of the groups after the other is held out of what is left, until `needed` images are. number:
    draws them. 2,500 groups take 0.1 s a share.
    """
    from cnnkit.listing import held_out_by_group

    left, order = torch.arange(len(labels)), []
    while folds > 1 and len(labels) - len(left) < needed:
        held = held_out_by_group(labels[left].numpy(), groups[left].numpy(), 1 / folds, number)
        mask = torch.from_numpy(held)
        order.append(_together(left[mask], groups))
        left, folds = left[~mask], folds - 1
    return torch.cat([*order, _together(left, groups)])


def refuse_large_groups(config: DataConfig, published: Published, seeds: Sequence[int]) -> None:
    """Raises DataError where a seed that draws its test images by groups has nothing of a class to learn."""
    if config.redrawn and published.apart.groups is not None:
        labels = torch.cat([split.labels for split in published]).cpu()
        for seed in seeds:
            redrawn_test_and_rest(config, labels, seed, published.apart.groups)


def _together(images: Tensor, groups: Tensor) -> Tensor:
    return images[groups[images].argsort(stable=True)]


def folds_of(labels: Tensor, folds: int, generator: torch.Generator) -> Tensor:
    """(folds, images of each): sorted indices, none twice. Each fold has its share of a class, to within one.

    All folds are equally large: fewer images than there are folds are in none.
    """
    order = torch.randperm(len(labels), generator=generator)
    classes = torch.randperm(int(labels.max()) + 1, generator=generator)  # the last one is left over
    order = order[classes[labels[order]].argsort(stable=True)]
    size = len(labels) // folds
    return order[: size * folds].view(size, folds).T.sort(1).values


def held_out_and_rest(config: DataConfig, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """(validation, training): indices into the images that are not tested on and have these labels."""
    return split_stratified(labels, config.validation_images, generator_for(seed, "split"))


def held_out_groups(config: DataConfig, labels: Tensor, groups: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """(validation, training): as `held_out_and_rest`, with no group in both; about as many images."""
    from cnnkit.listing import held_out_by_group

    share, number = config.validation_images / len(labels), number_for(seed, "split")
    mask = torch.from_numpy(held_out_by_group(labels.numpy(), groups.numpy(), share, number))
    return mask.nonzero()[:, 0], (~mask).nonzero()[:, 0]


def split_stratified(labels: Tensor, held_out: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(held out, rest): sorted indices. Each class keeps its share of the images, to within one image."""
    classes = labels.bincount()
    exact = classes.double() * held_out / len(labels)
    quota = exact.floor().long()
    quota[(exact - quota).argsort(descending=True, stable=True)[: held_out - int(quota.sum())]] += 1
    mask = torch.zeros(len(labels), dtype=torch.bool)
    for label, count in enumerate(quota.tolist()):
        members = (labels == label).nonzero()[:, 0]
        mask[members[torch.randperm(len(members), generator=generator)[:count]]] = True
    return mask.nonzero()[:, 0], (~mask).nonzero()[:, 0]
