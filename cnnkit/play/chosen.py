"""Which networks a page shows: those of runs, or of a study each level's first seed."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cnnkit.comparison.function_study import is_of_function
from cnnkit.comparison.sentence import verdict_alone
from cnnkit.comparison.study_file import load_study, no_networks
from cnnkit.config.model import ModelConfig
from cnnkit.errors import UsageError
from cnnkit.experiment.checkpoints import Weights, kept_config, load_weights
from cnnkit.experiment.latest import followed, latest_run
from cnnkit.experiment.run_dir import open_run
from cnnkit.filenames import CONFIG, RUNS, STUDY
from cnnkit.play.networks import refuse_own_code
from cnnkit.report.damage import results_left
from cnnkit.report.effects import series_of
from cnnkit.report.networks import first_weights
from cnnkit.report.trials import open_trials

# The chapters that a varied key is about.
CHAPTER_OF = {
    "model.kernel_sizes": "filter",
    "model.pool_size": "filter",
    "model.activation": "activation",
    "model.pooling": "pooling",
    "model.order": "pooling",
    "model.head": "bear",
    "model.dropout": "dropout",
    "model.feature_dropout": "dropout",
    "model.hidden": "dense",
}


@dataclass(frozen=True)
class Chosen:
    """weights: by the name that the page shows. series: of each, the number of its colour and marker.

    left_out: why a network is not on the page, by its name. unfinished: the names of those whose training has
    not ended: what is shown are their best weights so far. title: what was trained, in words.
    measured: by chapter, the sentence that a study measured. seed: of the first network.
    """

    title: str
    weights: Mapping[str, Weights]
    series: Mapping[str, int]
    left_out: Mapping[str, str] = field(default_factory=dict)
    measured: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    unfinished: Sequence[str] = ()

    def remarks(self) -> list[str]:
        """What a person must know of the networks: a sentence each, without its full stop."""
        unfinished = "its training is not finished: these are its best weights so far"
        return [
            *(f"{name} is not on this page: {why}" for name, why in self.left_out.items()),
            *(f"{name}: {unfinished}" for name in self.unfinished),
        ]


def latest() -> Path:
    """The run or the study in `runs` that was begun last. Raises UsageError where there is neither."""
    studies = [path.parent for path in RUNS.glob(f"*/{STUDY}")]
    try:
        found = [latest_run(), *studies]
    except UsageError as error:
        if not studies:
            raise UsageError(
                f"there is no run or study in {RUNS} here yet; name one, or make one in a minute: "
                "cnnkit compare-pooling digits --seeds 1"
            ) from error
        found = studies
    return max(found, key=_begun)


def _begun(path: Path) -> float:
    kept = [path / name for name in (STUDY, CONFIG) if (path / name).is_file()]
    return max((file.stat().st_mtime for file in kept), default=0.0)


def chosen(paths: Sequence[Path]) -> Chosen:
    """The networks of one study's folder, or of runs. Raises UsageError where a path is neither."""
    paths = [followed(path) for path in paths]
    studies = [path for path in paths if (path / STUDY).is_file()]
    if not studies:
        return _of_runs(paths)
    if len(paths) > 1:
        raise UsageError(f"{studies[0]} is a study; name it alone, or name runs")
    return _of_study(studies[0])


def _of_runs(paths: Sequence[Path]) -> Chosen:
    configs = dict(zip(_names_of(paths), map(kept_config, paths), strict=True))
    lost = _with_own_code({name: config.model for name, config in configs.items()})
    weights = {
        name: load_weights(path) for name, path in zip(configs, paths, strict=True) if name not in lost
    }
    title = " and ".join(dict.fromkeys(config.data.info.title for config in configs.values()))
    seed = next(iter(configs.values())).training.seed
    going_on = [
        name
        for name, path in zip(configs, paths, strict=True)
        if path.is_dir() and not open_run(path).finished
    ]
    shown = _travelling(title, weights, {name: i for i, name in enumerate(configs)}, seed, lost)
    return replace(shown, unfinished=[name for name in going_on if name in shown.weights])


def _with_own_code(models: Mapping[str, ModelConfig]) -> dict[str, str]:
    """By name, why a page cannot compute a network."""
    lost = {}
    for name, model in models.items():
        try:
            refuse_own_code(model)
        except UsageError as error:
            lost[name] = str(error)
    return lost


def _names_of(paths: Sequence[Path]) -> list[str]:
    """The folders' own names; with what tells them apart before, where two have the same."""
    names = [os.path.realpath(path).rpartition(os.sep)[2] for path in paths]
    if len({*names}) == len(names):
        return names
    whole = [str(path) for path in paths]
    if len({*whole}) < len(whole):
        raise UsageError(f"{next(name for name in whole if whole.count(name) > 1)} is named twice")
    return whole


def _of_study(folder: Path) -> Chosen:
    if is_of_function(folder):
        raise UsageError(f"{folder} compares {no_networks(folder)}: there are no networks to show")
    study, (results, _) = load_study(folder), results_left(folder)
    trials = open_trials(folder, study, study.base(), results)
    weights, seeds = first_weights(trials)
    names = [level.name for level in study.levels]
    lost = {name: "it has no weights that can be read" for name in names if name not in weights}
    own = _with_own_code({level: run.config.model for (level, _), run in trials.runs.items()})
    if not weights and not own:
        raise UsageError(f"{folder} holds no network that has been trained; go on with the study first")
    in_order = {name: weights[name] for name in names if name in weights}
    sentence = verdict_alone(results) if results.levels else ""
    measured = {CHAPTER_OF[key]: sentence for key in study.varied if key in CHAPTER_OF and sentence}
    title = study.base().data.info.title
    return _travelling(
        title, in_order, series_of(study), min(seeds.values(), default=0), lost | own, measured
    )


def _travelling(
    title: str,
    weights: Mapping[str, Weights],
    series: Mapping[str, int],
    seed: int,
    lost: Mapping[str, str] | None = None,
    measured: Mapping[str, str] | None = None,
) -> Chosen:
    """Leaves out, with the reason, what a page cannot compute."""
    left_out = dict(lost or {})
    able = {name: each for name, each in weights.items() if name not in left_out}
    if not able:
        raise UsageError("no network is left to show: " + "; ".join(f"{n}: {w}" for n, w in left_out.items()))
    return Chosen(title, able, series, left_out, measured or {}, seed)
