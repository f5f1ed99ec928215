"""The first layers find edges: how oriented each filter is after 1, 4 and 20 epochs, and was before."""

from collections.abc import Sequence

import torch
from torch import Tensor

import cnnkit
from cnnkit.words import counted, listed
from lessons.judged import Case, Judged, figures
from lessons.orientation import SOBEL, orientation_index, random_filters
from lessons.studies import Workshop, contrast, interval

NAME = "edges"
EPOCHS = (1, 4, 20)


def first_filters(model: torch.nn.Module) -> Tensor:
    """The first convolution's weights on the first channel of the image: (filters, K, K)."""
    convolution = next(module for module in model.modules() if isinstance(module, torch.nn.Conv2d))
    return convolution.weight.detach()[:, 0]


def indices(run: cnnkit.Run) -> tuple[Tensor, Tensor]:
    """Of each first filter of a run, trained and with its own initial weights: two of (filters,)."""
    trained, initial = first_filters(run.model()), first_filters(cnnkit.build_model(run.config))
    return orientation_index(trained), orientation_index(initial)


def judge(shop: Workshop, epochs: Sequence[int] = EPOCHS) -> Judged:
    """Three cases: the mean index of the trained filters minus that of the same filters at the start.

    details: the share of filters that are more oriented than 95 % of random ones.
    """
    base, seeds = shop.pick(("digits", 3), ("mnist", 5))
    # Nothing is held out: the last epoch's weights are kept, so the number of epochs is what its name says.
    runs = shop.compare("edges", base, {"data.validation": 0}, {"training.epochs": list(epochs)}, seeds)
    side = int(first_filters(next(iter(runs.runs.values())).model()).shape[-1])
    null = orientation_index(random_filters(side))
    beyond = float(null.quantile(0.95))
    cases, shares = [], []
    for count in epochs:
        after = runs.of(count, lambda run: float(indices(run)[0].mean()))
        before = runs.of(count, lambda run: float(indices(run)[1].mean()))
        share = runs.of(count, lambda run: 100 * float((indices(run)[0] > beyond).double().mean()))
        gain = interval(contrast((1, after), (-1, before)), len(epochs))
        cases.append(Case(f"after {counted(count, 'epoch')} − before", gain, "", above=0))
        beyond_noise = interval([*share.values()], len(epochs))
        shares.append(
            Case(f"filters beyond 95 % of random ones, {counted(count, 'epoch')}", beyond_noise, "%")
        )
    sobel = float(orientation_index(torch.tensor([SOBEL])))
    return Judged(
        NAME,
        "The first layers find edges",
        f"{base}, without validation images, {seeds} seeds; {side} × {side} filters of the first stage",
        f"orientation after {listed([*map(str, epochs)])} epochs minus before: {figures(cases)} "
        f"(random {null.mean():.2f}, Sobel {sobel:.2f})",
        cases,
        shares,
    )
