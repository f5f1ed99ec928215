"""What is compared: factors (configuration keys and their values), and seeds to repeat each value over."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, get_args

from cnnkit.comparison.levels import Level, combined, levels_of
from cnnkit.comparison.shards import Shard, number_of
from cnnkit.comparison.study_records import (
    VERSION,
    Earlier,
    FactorPlan,
    LevelPlan,
    StudyFile,
    TrialEntry,
    varied_in,
)
from cnnkit.comparison.tuning import Tuning
from cnnkit.comparison.verdicts import fewest_seeds
from cnnkit.comparison.widths import TOLERANCE, Cost, Match, cost_of, match_width
from cnnkit.config.costs import not_counted
from cnnkit.config.load import config_text
from cnnkit.config.schema import Config
from cnnkit.errors import UsageError
from cnnkit.image_error import default_margin
from cnnkit.scores import ACCURACY, METRICS
from cnnkit.stats import MOST_SEEDS
from cnnkit.training.device import choose_device
from cnnkit.words import TIMES, counted, listed

MIN_SEEDS, MAX_SEEDS = 3, 40  # of a study that ends once it is decided
SHARED = (
    *("training.seed", "data.dataset", "data.root", "data.scene", "data.crop"),
    *("data.folds", "data.resample_test"),
    *("runtime.device", "runtime.threads"),
    "tracking",
)


@dataclass(frozen=True)
class StudyPlan:
    """A key, its values and the seeds. key: dotted. margin: percentage points.

    seeds: how many; at most, where `min_seeds` is a number: the study then ends once it is decided, after so
    many at least. history: what was decided with other margins, the oldest first. tuning: what every level is
    tuned over before the seeds that count. factors: the keys that
    are varied together; empty where it is one. Every combination is then a level. metric: what is compared.
    of_images: warnings that the images give once they are there. shard: the share that is run; None: all.
    """

    key: str
    levels: tuple[Level, ...]
    seeds: int
    margin: float
    match: Match
    base: Config
    min_seeds: int | None = None
    history: tuple[Earlier, ...] = ()
    factors: tuple[FactorPlan, ...] = ()
    metric: str = ACCURACY
    of_images: tuple[str, ...] = ()
    shard: Shard | None = None

    @property
    def varied(self) -> dict[str, list[Any]]:
        """The values of each key."""
        return varied_in(self.key, self.levels, self.factors)

    tuning: Tuning | None = None

    @property
    def untuned(self) -> list[Level]:
        """The levels whose settings have to be chosen before their trials are known."""
        return [level for level in self.levels if self.tuning and not level.tuned]

    @property
    def all_seeds(self) -> range:
        first = self.base.training.seed
        return range(first, first + self.seeds)

    @property
    def object_sizes(self) -> list[int]:
        """Pixels: test image i holds an object of size i % len. Empty for data sets without sizes."""
        return list(self.base.data.object_sizes)

    def trials(self) -> Iterator[tuple[Level, Config]]:
        """All levels of one seed before the next seed, so that a machine that gets slower affects all levels.

        The costliest of a seed comes first, so that no core waits long for the last trial. On a GPU, where
        the seeds of a level train together, they are gathered by level again. Of a level that is still to
        be tuned there are none, and of a shard only its own.
        """
        known = [level for level in self.levels if level not in self.untuned]
        costliest_first = sorted(known, key=lambda level: -level.cost.macs)
        for turn, (seed, level) in enumerate(product(self.all_seeds, costliest_first)):
            number = self.shard and number_of(turn, len(known), self.seeds, self.shard.of)
            if self.shard and number != self.shard.number:
                continue
            training = level.config.training.model_copy(update={"seed": seed})
            yield level, level.config.model_copy(update={"training": training})

    def warnings(self) -> list[str]:
        """What a person should know before waiting for the result, and again when reading it."""
        power = warnings_of_power(len(self.levels), self.seeds, seeds_option(self.min_seeds))
        return [
            *power,
            *self._warnings_of_splits(),
            *self._warnings_of_cost(),
            *self._warnings_of_stacks(),
            *self.of_images,
        ]

    def _warnings_of_stacks(self) -> Iterator[str]:
        alone = [level.name for level in self.levels if not level.config.model.stacks]
        if alone and self.base.runtime.device.startswith("cuda"):
            yield (
                f"{listed(alone)}: beside others a network would not be quite the same, so that on a GPU its "
                "seeds are trained one by one"
            )

    def _warnings_of_splits(self) -> Iterator[str]:
        data, folds = self.base.data, self.base.data.folds
        if data.redrawn and data.info.writers_apart:
            yield (
                f"in the published splits of {data.info.title} nobody writes in both; in those that a seed "
                "draws writers do, and accuracies are higher"
            )
        if folds and self.min_seeds is None and (self.seeds % folds or self.all_seeds[0] % folds):
            seeds = counted(self.seeds, "seed")
            yield f"{seeds} from {self.all_seeds[0]} on do not test each image equally often in {folds} folds"

    def _warnings_of_cost(self) -> Iterator[str]:
        own = dict.fromkeys(name for level in self.levels for name in not_counted(level.config.model))
        if own:
            yield f"the multiply-accumulates of {listed([*own])} itself are not known: none are counted"
        for kind, unit in (("parameters", "parameters"), ("macs", "multiply-accumulates")):
            ranked = sorted(self.levels, key=lambda level: getattr(level.cost, kind))
            ratio = getattr(ranked[-1].cost, kind) / getattr(ranked[0].cost, kind)
            if ratio > 1 + 2 * TOLERANCE:
                remedy = f"; --match {kind} makes them equal" if self.match == "none" else ""
                yield f"{ranked[-1].name} has {ratio:.2f} times the {unit} of {ranked[0].name}{remedy}"

    def to_file(self, trials: Sequence[TrialEntry] = ()) -> StudyFile:
        """What `study.json` holds of it."""
        levels = [
            LevelPlan(
                level.name,
                level.value,
                *level.cost,
                level.changed,
                [list(one) for one in level.combinations],
                level.tuned,
            )
            for level in self.levels
        ]
        return StudyFile(
            version=VERSION,
            key=self.key,
            seeds=self.seeds,
            first_seed=self.base.training.seed,
            margin=self.margin,
            match=self.match,
            levels=levels,
            object_sizes=self.object_sizes,
            warnings=self.warnings(),
            config=config_text(self.base),
            trials=list(trials),
            history=list(self.history),
            min_seeds=self.min_seeds,
            factors=list(self.factors),
            tuning=self.tuning,
            metric=self.metric,
            shard=self.shard,
        )


def warnings_of_power(levels: int, seeds: int, option: str) -> Iterator[str]:
    """option: which sets the number of seeds; empty: none does."""
    needed = fewest_seeds(levels)
    if seeds < needed:
        remedy = f" ({option} {needed})" if option else ""
        yield (
            f"with {counted(seeds, 'seed')} no pair of {levels} can be "
            f"called better or worse, whatever comes out; that takes {needed}{remedy}"
        )


def seeds_option(min_seeds: int | None) -> str:
    """The option that sets how many seeds a study has at most. min_seeds: as a study has it."""
    return "--seeds" if min_seeds is None else "--max-seeds"


def plan_study(
    base: Config,
    key: str,
    values: Sequence[Any],
    seeds: int | None = None,
    margin: float | None = None,
    match: Match = "none",
    here: bool = True,
    *,
    min_seeds: int | None = None,
    max_seeds: int = MAX_SEEDS,
    beside: Mapping[str, Sequence[Any]] | None = None,
    metric: str = ACCURACY,
) -> StudyPlan:
    """A study that can be run. values: of the key, as YAML would read them.

    beside: further keys and their values; every combination is then trained.

    seeds: exactly so many; None: until the study is decided, between `min_seeds` (None: `MIN_SEEDS`, or as
    many as there are folds) and `max_seeds`.
    margin: percentage points; None: `default_margin` of the number of test images. metric: what decides, of
    `METRICS`.
    Device, precision and threads are settled for every trial alike: the weights of a trial then do not
    depend on who runs it. Where the configuration names no threads it is one on a CPU, so that as many
    trials as there are cores run side by side. here: False where other machines run the trials (Ray);
    device and precision then stay as configured, and the machine that runs a trial settles them.
    Raises UsageError where the factor, its values, the seeds or the budget make no study.
    """
    if min_seeds is None:
        min_seeds = max(2, min(max(MIN_SEEDS, base.data.folds or 0), max_seeds))
    most = most_seeds(base.training.seed, seeds, min_seeds, max_seeds)
    if margin is None:
        margin = default_margin(base.data.info.test_images)
    if match not in get_args(Match):
        raise UsageError(f"--match {match}: expected {listed(get_args(Match), 'or')}")
    if metric not in METRICS:
        raise UsageError(f"--metric {metric}: expected {listed([*METRICS], 'or')}")
    refuse_margin(margin)
    varied = {key: values, **(beside or {})}
    _refuse_keys(key, *(beside or {}))
    base = base.model_copy(update={"tracking": ()})  # it says nothing of what is computed
    base = _settled(base) if here else _with_runtime(base, threads=base.runtime.threads or 1)
    factors, levels = ([], levels_of(base, key, values)) if len(varied) == 1 else combined(base, varied)
    if match != "none":
        levels = [levels[0], *(_matched(level, levels[0].cost, match) for level in levels[1:])]
    least = min_seeds if seeds is None else None
    named = TIMES.join(varied)
    study = StudyPlan(named, tuple(levels), most, margin, match, base, least)
    return replace(study, factors=tuple(factors), metric=metric)


def _refuse_keys(*keys: str) -> None:
    """Raises UsageError where a key cannot be varied, or not beside another."""
    for number, key in enumerate(keys):
        if any(key == shared or key.startswith(f"{shared}.") for shared in SHARED):
            raise UsageError(f"{key}: what is compared has to share it")
        for other in keys[:number]:
            if f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}."):
                raise UsageError(f"{key} and {other}: they set the same")


def refuse_margin(margin: float) -> None:
    """Raises UsageError where a number of percentage points is no margin."""
    if not 0 < margin < 100:
        raise UsageError(f"--margin {margin:g}: expected percentage points above 0, such as 0.1")


def most_seeds(first_seed: int, seeds: int | None, min_seeds: int, max_seeds: int) -> int:
    """Raises UsageError where the numbers of seeds make no study."""
    option, most = ("--max-seeds", max_seeds) if seeds is None else ("--seeds", seeds)
    if most < 1:
        raise UsageError(f"{option} {most}: a study needs at least one")
    if most > MOST_SEEDS or first_seed + most >= 2**63:
        raise UsageError(f"{option} {most} from seed {first_seed} on: {MOST_SEEDS} are the most")
    if seeds is None and max_seeds < 2:
        raise UsageError(f"--max-seeds {max_seeds}: a study that ends once it is decided needs 2 or more")
    if seeds is None and not 2 <= min_seeds <= max_seeds:
        raise UsageError(
            f"--min-seeds {min_seeds}: expected 2 or more, and at most --max-seeds, which is {max_seeds}"
        )
    return most


def _settled(base: Config) -> Config:
    placement, threads = choose_device(base.runtime), base.runtime.threads
    if threads is None:
        threads = 1 if placement.device.type == "cpu" else placement.threads
    return _with_runtime(base, device=str(placement.device), precision=placement.precision, threads=threads)


def _with_runtime(base: Config, **settled: str | int) -> Config:
    return base.model_copy(update={"runtime": base.runtime.model_copy(update=settled)})


def _matched(level: Level, budget: Cost, match: Match) -> Level:
    config = match_width(level.config, budget, match)
    before, after = list(level.config.model.channels), list(config.model.channels)
    changed = f"channels {before} → {after}" if before != after else ""
    return replace(level, config=config, cost=cost_of(config), changed=changed)
