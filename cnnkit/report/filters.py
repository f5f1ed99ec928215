"""The first layer's filters: each before and after training, and the map that it makes of one image."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from cnnkit.experiment.checkpoints import Weights
from cnnkit.nn.model import CNN, build_model
from cnnkit.report.images import StageMaps, drawn_at_most, signed_image, stages_of, weights_image

COLOURS = ("red", "green", "blue")
OPEN_LINES, ROW = 18, 3  # of all levels, before a reader unfolds the others; cards beside one another


@dataclass(frozen=True)
class Line:
    """A level's filter. map: None where no image is at hand.

    channels: the trained weights on red, green and blue, with the colour's name.
    """

    series: int
    name: str
    untrained: str
    trained: str
    map: str | None
    channels: list[tuple[str, str]]


@dataclass(frozen=True)
class Card:
    """The filters that have the same place in the first layer of each level."""

    number: int
    lines: list[Line]


@dataclass(frozen=True)
class Level:
    """trained, untrained: weights (filters, C, K, K), as `first_filters` gives them."""

    series: int
    name: str
    trained: Tensor
    untrained: Tensor
    maps: StageMaps | None

    @property
    def strongest(self) -> float:
        return max(float(weights.abs().max()) for weights in (self.trained, self.untrained))

    def line(self, number: int) -> Line:
        """Both states of a filter share the level's scale; a map has its own."""
        trained, untrained = (self._filter(w[number]) for w in (self.trained, self.untrained))
        drawn = None
        if self.maps is not None:
            convolved = self.maps.convolved[number]
            drawn = signed_image(convolved, float(convolved.abs().max()))
        return Line(self.series, self.name, untrained, trained, drawn, self._channels(self.trained[number]))

    def _filter(self, weights: Tensor) -> str:
        """(C, K, K)."""
        if len(weights) == 3:
            return weights_image(weights, self.strongest)
        return signed_image(weights[0], self.strongest)

    def _channels(self, weights: Tensor) -> list[tuple[str, str]]:
        if len(weights) == 1:
            return []
        drawn = [signed_image(of_channel, self.strongest) for of_channel in weights]
        return list(zip(COLOURS, drawn, strict=True))


@dataclass(frozen=True)
class Filters:
    """cards: open ones and folded ones. left_out: how many filters of the largest layer are not drawn."""

    levels: list[Level]
    open: list[Card]
    folded: list[Card]
    left_out: int

    @property
    def counts(self) -> dict[str, int]:
        return {level.name: len(level.trained) for level in self.levels}

    @property
    def in_colour(self) -> bool:
        return self.levels[0].trained.shape[1] == len(COLOURS)

    @property
    def size(self) -> int:
        return self.levels[0].trained.shape[-1]


def draw_filters(
    weights: Mapping[str, Weights], series: Mapping[str, int], maps: Mapping[str, list[StageMaps]]
) -> Filters:
    """weights: per level. maps: of one image, per level; empty where none is at hand."""
    levels = [
        Level(
            series[name], name, first_filters(w.model), untrained_filters(w), maps[name][0] if maps else None
        )
        for name, w in weights.items()
    ]
    most = max(len(level.trained) for level in levels)
    cards = [
        Card(n, [level.line(n) for level in levels if n < len(level.trained)])
        for n in range(min(most, drawn_at_most(len(levels))))
    ]
    shown = max(ROW, OPEN_LINES // len(levels) // ROW * ROW)
    return Filters(levels, cards[:shown], cards[shown:], most - len(cards))


def first_filters(model: CNN) -> Tensor:
    """(filters, C, K, K): the first convolution's weights on red, green and blue, or on the first channel."""
    weights = stages_of(model)[0].first_convolution.weight.detach().float()
    return weights if weights.shape[1] == len(COLOURS) else weights[:, :1]


def untrained_filters(weights: Weights) -> Tensor:
    """What `first_filters` were before training: the seed gives the initial weights again."""
    config, info = weights.config, weights.model.info
    return first_filters(build_model(config.model, info, config.training.seed))
