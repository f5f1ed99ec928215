"""One trial: a training of a study, known by the hash of what it is made of."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from cnnkit.comparison.study_file import SHOWN, differences, folder_name, load_study, trial_folder
from cnnkit.comparison.trial_records import facts_of
from cnnkit.comparison.validation_only import train_for_validation
from cnnkit.config.images import DataConfig
from cnnkit.config.load import config_text, differing_keys
from cnnkit.config.schema import Config
from cnnkit.data.dataset import Published
from cnnkit.errors import CnnkitError, RunError, UsageError
from cnnkit.experiment.run_dir import RunDir
from cnnkit.experiment.train import Setting, prepare, run_experiment
from cnnkit.filenames import CONFIG, PREDICTIONS, RESULT, STUDY, TESTED, TRIAL
from cnnkit.files import write_atomically, write_json
from cnnkit.nn.model import build_model
from cnnkit.own.sources import Source, keep, receive
from cnnkit.random import generator_for
from cnnkit.tensor_files import fingerprint
from cnnkit.training.state import orders

HASHED_EPOCHS = 100  # 100,000 epochs took 43 s


@dataclass(frozen=True)
class Trial:
    """level: the factor's value, in words. data: `data_hash`, of what it is trained and tested on.

    kept_in: the name of its folder, if an older version named it differently.
    validation_only: it serves to choose settings, and never sees a test image. code: of its own classes, for
    another process or machine; what is in it may run.
    """

    level: str
    config: Config
    data: str
    kept_in: str = ""
    validation_only: bool = False
    code: tuple[Source, ...] = ()

    @property
    def seed(self) -> int:
        return self.config.training.seed

    @cached_property
    def id(self) -> str:
        """The hash of data, seed, and the keys that are not at their defaults.

        Where the data lie does not matter. A key that is added to the schema changes no id.
        """
        keys = differing_keys(self.config)
        keys.pop("data.root", None)
        return fingerprint([keys, self.seed, self.data])

    @property
    def folder(self) -> str:
        """Its folder's name in the study."""
        return self.kept_in or folder_name(self.level, self.seed, self.id)


def with_kept_folders(trials: Sequence[Trial], home: Path) -> list[Trial]:
    """The trials, each with the folder below `home` that holds it already, whatever its name is.

    Ids change between versions, so a kept trial is known by its configuration and the hash of its data.
    """
    named = {trial.folder for trial in trials}
    others = [run for run in map(RunDir, sorted(home.glob("*"))) if run.path.name not in named]
    kept = [(run.path.name, content) for run in others if (content := _content_of(run))]
    found = []
    for trial in trials:
        content = (_without_root(trial.config), trial.data)
        names = [] if (home / trial.folder).exists() else [name for name, other in kept if other == content]
        found.append(replace(trial, kept_in=names[0]) if names else trial)
    return found


def _content_of(run: RunDir) -> tuple[Config, str] | None:
    """(configuration, data hash) of a trial that is kept; None where it cannot be read."""
    with contextlib.suppress(CnnkitError):
        return _without_root(run.config), facts_of(run).hashes["data"]
    return None


def _without_root(config: Config) -> Config:
    """A configuration whose data lie in the default place: where they lie does not change a training."""
    return config.model_copy(update={"data": config.data.model_copy(update={"root": None})})


def data_hash(published: Published) -> str:
    """The hash of all images and labels that a configuration is trained and tested on."""
    if published.apart.same is not None:  # the pixels' own hashes: they are not read once more
        return fingerprint([published.apart.same, *(split.labels for split in published)])
    return fingerprint([[split.images, split.labels] for split in published])


def run_trial(trial: Trial, folder: Path, published: Published | None = None) -> None:
    """Trains into a folder, or resumes where a killed process stopped.

    published: the images, where the caller has them.
    Raises Interrupted, after saving, where Ctrl-C or SIGTERM arrives while it trains.
    """
    receive(trial.code)
    if trial.validation_only:
        train_for_validation(trial.config, trial.id, folder, published)
        return
    run = open_folder(trial, folder)
    setting = prepare(trial.config, published=published)
    write_trial_json(trial, folder, setting)
    run_experiment(trial.config, run, setting=setting, remember=False)
    run.forget_state()


def open_folder(trial: Trial, folder: Path) -> RunDir:
    """Prepares the run directory of an unfinished trial: removes an old result, writes the configuration."""
    run = RunDir(folder)
    (folder / RESULT).unlink(missing_ok=True)
    keep(trial.config.model.own_classes, folder)
    if not _holds_configuration_of(run, trial):
        write_atomically(folder / CONFIG, config_text(trial.config))
    return run


def write_trial_json(trial: Trial, folder: Path, setting: Setting) -> None:
    """Writes `trial.json`: which trial it is, and the hashes of what it shares."""
    facts = {"level": trial.level, "seed": trial.seed, "id": trial.id}
    write_json(folder / TRIAL, {**facts, "hashes": {"data": trial.data, **shared_hashes(trial, setting)}})


def is_finished(folder: Path, data: DataConfig) -> bool:
    """Whether a finished trial is there, with all that a comparison reads of it. data: which it has.

    Raises RunError where one has finished and is damaged since.
    """
    run = RunDir(folder)
    if not run.finished:
        return False
    run.check()
    facts_of(run)
    images = data.info.test_images
    if run.result and (found := len(run.predicted(data.info.classes))) != images:
        raise RunError(f"{folder / PREDICTIONS} holds {found:,} predictions, not {images:,}")
    if data.redrawn and (found := len(run.tested())) != 4 * images:
        raise RunError(f"{folder / TESTED} holds {found:,} bytes, not {4 * images:,}")
    return True


def refuse_changed(folder: Path, data: str) -> None:
    """Raises RunError where going on would train anew, in silence, what a study has trained already.

    data: the hash of the images at hand. A `study.json` of 0.1.0 has no checksum: it is compared with the
    configurations of its trials.
    """
    if not (folder / STUDY).exists():
        return
    study = load_study(folder)
    changed = [] if study.labels else list(dict.fromkeys(told for _, told in differences(study, folder)))
    if changed:
        raise RunError(
            f"{folder / STUDY} was changed since its trials were run; put it back as it was:\n  "
            + "\n  ".join(changed[:SHOWN])
        )
    for entry in study.trials:
        run = RunDir(trial_folder(folder, entry.folder))
        with contextlib.suppress(RunError):
            if run.finished and facts_of(run).hashes["data"] != data:
                raise UsageError(
                    f"the images at hand are not those that {run.path} was trained on, and every trial would "
                    "be trained anew: bring those images, or name another folder with --out"
                )


def shared_hashes(trial: Trial, setting: Setting) -> dict[str, object]:
    """Hashes of what trials of one seed share: split, data order, augmentation, initial weights by layer.

    Order and augmentation of an epoch follow from the seed and the epoch alone: the first ones tell.
    """
    config, splits, seed, device = trial.config, setting.splits, trial.seed, setting.placement.device
    epochs = range(1, min(config.training.epochs, HASHED_EPOCHS) + 1)
    size, shown = config.training.batch_size, config.training.shown_of(len(splits.train))
    order = (orders(shown, size, seed, epoch, device) for epoch in epochs)
    model = build_model(config.model, splits.info, seed)
    tested = [] if splits.tested is None else [splits.tested]
    validation = splits.validation
    held_out = validation.rows if config.data.own else validation.images
    return {
        "split": fingerprint([held_out, validation.labels, *tested]),
        "order": fingerprint(order),
        "augmentation": fingerprint(
            generator_for(seed, "augmentation", epoch, device=device).get_state() for epoch in epochs
        ),
        "weights": {name: fingerprint(weights) for name, weights in model.named_parameters()},
    }


def _holds_configuration_of(run: RunDir, trial: Trial) -> bool:
    with contextlib.suppress(CnnkitError):  # a damaged configuration is written again
        return _without_root(run.config) == _without_root(trial.config)
    return False
