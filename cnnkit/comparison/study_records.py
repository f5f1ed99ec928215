"""What `study.json` holds, typed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cnnkit.comparison.shards import Shard
from cnnkit.comparison.tuning import Tuned, Tuning
from cnnkit.comparison.widths import Match
from cnnkit.config.load import parse_config
from cnnkit.config.schema import Config
from cnnkit.data.sources import with_own_root, with_root
from cnnkit.events import ignore
from cnnkit.families.settings import Choice
from cnnkit.filenames import STUDY
from cnnkit.own.names import shown
from cnnkit.records import Record
from cnnkit.scores import ACCURACY

VERSION = 1
Plain = bool | int | float | str | None
Settings = dict[str, Plain]  # a name with its settings, such as {"name": "soft", "beta": 2.0}
Value = (
    Plain | Settings | list[Plain] | list[Plain | Settings] | list[list[Plain]]
)  # of a configuration's key


@dataclass(frozen=True)
class LevelPlan(Record):
    """A value of the factor and what its network costs. changed: what `--match` did to it, in words.

    combinations: where several keys are varied, those that are this network, with the number of each
    factor's value; `value` is then None.
    tuned: what tuning came to; None where there is none, or it has not ended.
    """

    name: str
    value: Value
    parameters: int
    macs: int
    changed: str
    combinations: list[list[int]] = field(default_factory=list)
    tuned: Tuned | None = None

    @property
    def settings(self) -> Mapping[str, Any]:
        """Those that tuning chose; none without it."""
        return self.tuned.settings if self.tuned else {}


@dataclass(frozen=True)
class FactorPlan(Record):
    """One of several keys that are varied together. values: of a function's key, any JSON values."""

    key: str
    values: list[Any]

    @property
    def names(self) -> list[str]:
        return [name_of(value) for value in self.values]


def varied_in(key: str, levels: Sequence[Any], factors: Sequence[FactorPlan]) -> dict[str, list[Value]]:
    """The values of each key. levels: with a `value` where there are no factors."""
    if not factors:
        return {key: [level.value for level in levels]}
    return {factor.key: factor.values for factor in factors}


def name_of(value: Value) -> str:
    """`max`, `0.5`, `soft(beta=2)`."""
    if isinstance(value, dict):
        settings = {
            key: each for key, each in value.items() if isinstance(each, float | str) and key != "name"
        }
        return str(Choice(str(value["name"]), settings))
    return shown(value) if isinstance(value, str) else json.dumps(value)


@dataclass(frozen=True)
class TrialEntry(Record):
    """One training of the study. folder: its name, below `trials`."""

    level: str
    seed: int
    folder: str


@dataclass(frozen=True)
class Earlier(Record):
    """What was decided before the margin was changed. margin: percentage points. seeds: those counted."""

    margin: float
    seeds: list[int]
    sentence: str


@dataclass(frozen=True)
class StudyFile(Record):
    """What `study.json` holds. margin: percentage points. config: YAML, with the study's first seed.

    history: what was decided with other margins, the oldest first.
    object_sizes: pixels; test image i holds an object of size i % len. Empty where objects have no sizes.
    labels: the hash of `labels.bin`; empty in a file of 0.1.0. seeds: how many; at most, where `min_seeds` is
    a number: the study then ends once it is decided, after so many at least. tuning: what every level is
    tuned over before. factors: the keys, where it is more than one. metric: what is compared, of `METRICS`.
    shard: the share of the trainings that this is; None: all.
    """

    version: int
    key: str
    seeds: int
    first_seed: int
    margin: float
    match: Match
    levels: list[LevelPlan]
    object_sizes: list[int]
    warnings: list[str]
    config: str
    trials: list[TrialEntry] = field(default_factory=list)
    history: list[Earlier] = field(default_factory=list)
    labels: str = ""
    min_seeds: int | None = None
    factors: list[FactorPlan] = field(default_factory=list)

    @property
    def varied(self) -> dict[str, list[Value]]:
        """The values of each key."""
        return varied_in(self.key, self.levels, self.factors)

    def settings_of(self, level: LevelPlan, place: int = 0) -> dict[str, Value]:
        """What a level sets the varied keys to. place: which of its combinations, where it has several."""
        if not self.factors:
            return {self.key: level.value}
        chosen = zip(self.factors, level.combinations[place], strict=True)
        return {factor.key: factor.values[number] for factor, number in chosen}

    tuning: Tuning | None = None
    metric: str = ACCURACY
    shard: Shard | None = None

    @property
    def all_seeds(self) -> range:
        return range(self.first_seed, self.first_seed + self.seeds)

    def base(self) -> Config:
        """The configuration that was varied; without its `data.root` if that does not hold the images.

        Raises ConfigError where it is damaged.
        """
        config = parse_config(self.config, STUDY, kept=True)
        return config.model_copy(update={"data": with_own_root(config.data, ignore)})

    def base_at(self, root: Path | None) -> Config:
        """The same, to go on with. root: where the images lie now; None: where they were.

        Raises DataError where a person's own images are not there.
        """
        config = self.base()
        return config.model_copy(update={"data": with_root(config.data, root, ignore)})
