"""The levels of a study: the values of one key, or every combination of the values of several."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from cnnkit.comparison.study_records import FactorPlan, name_of
from cnnkit.comparison.tuning import Tuned, with_settings
from cnnkit.comparison.widths import Cost, cost_of
from cnnkit.config.load import SECTIONS, config_text, parse_config
from cnnkit.config.model import PER_STAGE
from cnnkit.config.schema import Config
from cnnkit.config.uses import CONDITIONAL, unused_in_all, why_unused
from cnnkit.errors import ConfigError, UsageError
from cnnkit.families.poolings import POOLINGS
from cnnkit.families.settings import Choice


@dataclass(frozen=True)
class Level:
    """One value of the factor, and the configuration that has it, with the study's first seed.

    changed: what `--match` did to it, in words. combinations: as in `LevelPlan`; `named` is then its name.
    tuned: where its tuning has ended; `config` then has the settings that were chosen.
    """

    value: Any
    config: Config
    cost: Cost
    changed: str = ""
    combinations: tuple[tuple[int, ...], ...] = ()
    named: str = ""
    tuned: Tuned | None = None

    @property
    def name(self) -> str:
        return self.named or name_of(self.value)

    def with_tuned(self, tuned: Tuned | None) -> "Level":
        if tuned is None:
            return self
        return replace(self, config=with_settings(self.config, tuned.settings), tuned=tuned)


def levels_of(base: Config, key: str, values: Sequence[Any]) -> list[Level]:
    """A level for each value of one key. Raises UsageError where they make no study."""
    levels: list[Level] = []
    for value in values:
        config = _configured(base, {key: value})
        level = Level(value_at(config, key), config, cost_of(config))
        for other in levels:
            if spelled_out(config) == spelled_out(other.config):
                unused = why_unused(config, key)
                raise UsageError(f"{key}: {_twice(level.name, other.name, unused)}")
        levels.append(level)
    refuse_one_value(key, values)
    return levels


def refuse_one_value(key: str, values: Sequence[Any]) -> None:
    if len(values) < 2:
        raise UsageError(f"{key}: a comparison needs two values or more, not {len(values)}")


def refusals(base: Config, varied: Mapping[str, Sequence[Any]], key: str) -> dict[Any, str]:
    """The names among a key's values that do not go with the rest, and why. varied: as in `combined`."""
    refused: dict[Any, str] = {}
    others = [[(other, value) for value in values] for other, values in varied.items() if other != key]
    for value, *settings in product(varied[key], *others):
        try:
            _configured(base, {key: value, **dict(settings)})
        except ConfigError as error:
            refused.setdefault(value, error.problems[0].message)
    return refused


def _configured(base: Config, settings: Mapping[str, Any]) -> Config:
    """Raises UsageError where a key holds keys."""
    text = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in settings.items()]
    config = parse_config(config_text(base), "configuration", text, flag="")
    for key in settings:
        if tuple(key.split(".")) in SECTIONS:
            raise UsageError(f"{key}: it holds keys, not a value; name one of them")
    return config


def combined(base: Config, varied: Mapping[str, Sequence[Any]]) -> tuple[list[FactorPlan], list[Level]]:
    """(the factors, a level for each network of their combinations).

    Combinations that are one network, such as `stride` before and after its activation, are one level: it is
    trained once for a seed. Raises UsageError where they make no study.
    """
    for key, values in varied.items():
        refuse_one_value(key, values)
    resolved: dict[tuple[int, str], Any] = {}
    levels: list[Level] = []
    for numbers in product(*(range(len(values)) for values in varied.values())):
        settings = {key: values[i] for i, (key, values) in zip(numbers, varied.items(), strict=True)}
        config = _configured(base, settings)
        for number, key in zip(numbers, varied, strict=True):
            resolved[number, key] = value_at(config, key)
        same = [i for i, level in enumerate(levels) if spelled_out(level.config) == spelled_out(config)]
        if same:
            known = levels[same[0]]
            levels[same[0]] = replace(known, combinations=(*known.combinations, numbers))
        else:
            levels.append(Level(None, config, cost_of(config), combinations=(numbers,)))
    factors = [
        FactorPlan(key, [resolved[i, key] for i in range(len(values))]) for key, values in varied.items()
    ]
    for axis, factor in enumerate(factors):
        _refuse_twice(axis, factor, levels)
    return factors, [replace(level, named=_name(level, factors)) for level in levels]


def _refuse_twice(axis: int, factor: FactorPlan, levels: Sequence[Level]) -> None:
    """Raises UsageError where two values of a factor make the same networks, whatever the others are."""
    network = {numbers: i for i, level in enumerate(levels) for numbers in level.combinations}
    made: dict[tuple[int, ...], str] = {}
    for number, name in enumerate(factor.names):
        networks = tuple(network[numbers] for numbers in sorted(network) if numbers[axis] == number)
        if networks in made:
            unused = unused_in_all([level.config for level in levels], factor.key)
            raise UsageError(f"{factor.key}: {_twice(name, made[networks], unused)}")
        made[networks] = name


def _twice(name: str, other: str, unused: str) -> str:
    """unused: why nothing uses the key; empty where something does."""
    if name == other:
        return f"{name} is there twice"
    return f"{name} and {other} train the same network here" + (f": {unused}" if unused else "")


def _name(level: Level, factors: Sequence[FactorPlan]) -> str:
    """`max, before`; of one network in several combinations `stride, before/after`."""
    own = zip(*level.combinations, strict=True)
    return ", ".join(
        "/".join(factor.names[number] for number in dict.fromkeys(numbers))
        for factor, numbers in zip(factors, own, strict=True)
    )


def spelled_out(config: Config) -> dict[str, object]:
    """Equal for two ways to write one network, such as `max` and `[max, max]`, or both orders with k = 1.

    Without keys that nothing uses there: networks that differ only in these are the same.
    """
    settings = config.model_dump()
    per_stage = [f"model.{name}" for name in ("channels", *PER_STAGE)]
    for key in (*per_stage, *(key for key in CONDITIONAL if why_unused(config, key))):
        *sections, name = key.split(".")
        node = settings
        for section in sections:
            node = node[section]
        del node[name]
    stages = [
        replace(stage, choice=Choice(""), pools_first=False)
        if stage.pool_size == 1 and POOLINGS[stage.pooling].keeps_one_value
        else stage
        for stage in config.model.stages
    ]
    return {**settings, "stages": stages}


def value_at(config: Config, key: str) -> Any:
    """The value of a dotted key."""
    node: Any = config.model_dump(mode="json")
    for part in key.split("."):
        node = node[part]
    return node
