"""Scales the widths of a network to a budget, so that values are compared at equal cost."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from cnnkit.config.costs import layer_costs, not_counted
from cnnkit.config.schema import Config
from cnnkit.errors import UsageError
from cnnkit.words import listed

Match = Literal["none", "parameters", "macs"]
TOLERANCE = 0.03  # of the budget
WIDEST = 64.0  # times the configured width


class Cost(NamedTuple):
    """macs: multiply-accumulates for one image."""

    parameters: int
    macs: int


def cost_of(config: Config) -> Cost:
    """The cost of the network that a configuration describes."""
    rows = layer_costs(config.model, config.data.info)
    return Cost(sum(row.parameters for row in rows), sum(row.macs for row in rows))


def match_width(config: Config, budget: Cost, match: Match) -> Config:
    """The configuration whose cost is nearest to the budget; all `channels` are scaled by one factor.

    Raises UsageError where no width comes within `TOLERANCE` of it.
    """
    if match == "macs" and (own := not_counted(config.model)):
        raise UsageError(
            f"--match macs: the cost of {listed(own)} is not known; say so in the class, as in "
            'products = "k * k", or use --match parameters'
        )
    goal = getattr(budget, match)

    def miss(candidate: Config) -> float:
        share: float = getattr(cost_of(candidate), match) / goal
        return abs(share - 1)

    best = min(_widths_around(config, goal, match), key=miss)
    if miss(best) > TOLERANCE:
        raise UsageError(
            f"--match {match}: with pooling {config.model.strategies} and head {config.model.head_choice} no "
            f"width comes within {TOLERANCE:.0%} of {goal:,} {match}; the nearest, channels "
            f"{list(best.model.channels)}, has {getattr(cost_of(best), match):,}. "
            "Wider model.channels or fewer model.hidden units leave more to choose from"
        )
    return best


def _widths_around(config: Config, goal: int, match: Match) -> Iterator[Config]:
    """Bisects for the scale of all channels, then tries each stage a little narrower and wider."""
    low, high = 1 / min(config.model.channels) / 2, WIDEST
    for _ in range(20):
        middle = (low * high) ** 0.5
        candidate = _scaled(config, middle)
        yield candidate
        if getattr(cost_of(candidate), match) < goal:
            low = middle
        else:
            high = middle
    centre = _scaled(config, low).model.channels
    for stage in range(len(centre)):
        for change in (-2, -1, 1, 2):
            channels = [c + change * (i == stage) for i, c in enumerate(centre)]
            if channels[stage] >= 1:
                yield _with_channels(config, channels)


def _scaled(config: Config, scale: float) -> Config:
    return _with_channels(config, [max(1, round(c * scale)) for c in config.model.channels])


def _with_channels(config: Config, channels: list[int]) -> Config:
    model = config.model.model_copy(update={"channels": tuple(channels)})
    return config.model_copy(update={"model": model})
