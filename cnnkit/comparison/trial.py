"""One trial: a training of a study, known by the hash of what it is made of."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnkit.config.load import config_text
from cnnkit.config.schema import Config
from cnnkit.data.dataset import Published
from cnnkit.errors import RunError
from cnnkit.experiment.run_dir import RunDir
from cnnkit.experiment.train import Setting, prepare, run_experiment
from cnnkit.filenames import CONFIG, PREDICTIONS, RESULT, TRIAL
from cnnkit.files import write_atomically, write_json
from cnnkit.nn.model import build_model
from cnnkit.random import stream
from cnnkit.tensor_files import fingerprint
from cnnkit.training.batches import orders


@dataclass(frozen=True)
class Trial:
    """level: the factor's value, in words. data: `data_hash`, of what it is trained and tested on."""

    level: str
    config: Config
    data: str

    @property
    def seed(self) -> int:
        return self.config.training.seed

    @property
    def id(self) -> str:
        """The hash of configuration, seed and data; where the data lie does not matter."""
        settings = self.config.model_dump(mode="json")
        settings["data"].pop("root")
        return fingerprint([settings, self.data])

    @property
    def folder(self) -> str:
        """Its folder's name in the study."""
        level = re.sub(r"[^A-Za-z0-9.]+", "-", self.level).strip("-.")
        return f"{level}-seed{self.seed}-{self.id[:12]}"


def data_hash(published: Published) -> str:
    """The hash of all images and labels that a configuration is trained and tested on."""
    return fingerprint([[split.images, split.labels] for split in published])


def run_trial(trial: Trial, folder: Path, published: Published | None = None) -> None:
    """Trains into a folder, or goes on where a killed process stopped.

    published: the images, where the caller has them.
    Raises Interrupted, after saving, where Ctrl-C or SIGTERM arrives while it trains.
    """
    run = open_folder(trial, folder)
    setting = prepare(trial.config, published=published)
    write_facts(trial, folder, setting)
    run_experiment(trial.config, run, setting=setting)
    run.forget_state()


def open_folder(trial: Trial, folder: Path) -> RunDir:
    """Readies the run directory of a trial that is not whole: an old result goes, its configuration comes."""
    run = RunDir(folder)
    (folder / RESULT).unlink(missing_ok=True)
    if not _begun(run, trial):
        write_atomically(folder / CONFIG, config_text(trial.config))
    return run


def write_facts(trial: Trial, folder: Path, setting: Setting) -> None:
    """Writes `trial.json`: which trial it is, and the hashes of what it shares."""
    facts = {"level": trial.level, "seed": trial.seed, "id": trial.id}
    write_json(folder / TRIAL, {**facts, "hashes": {"data": trial.data, **shared_hashes(trial, setting)}})


def is_whole(folder: Path, test_images: int) -> bool:
    """Whether a finished trial is there, with all that a comparison reads of it."""
    try:
        hashes = json.loads((folder / TRIAL).read_text(encoding="utf-8"))["hashes"]
        return bool(hashes and RunDir(folder).result) and (folder / PREDICTIONS).stat().st_size == test_images
    except (OSError, ValueError, KeyError, TypeError, RunError):
        return False


def shared_hashes(trial: Trial, setting: Setting) -> dict[str, Any]:
    """What trials of one seed share: hashes of split, data order, augmentation, initial weights by layer."""
    config, splits, seed, device = trial.config, setting.splits, trial.seed, setting.placement.device
    epochs = range(1, config.training.epochs + 1)
    size = config.training.batch_size
    order = [orders(len(splits.train), size, stream(seed, "order", epoch, device=device)) for epoch in epochs]
    model = build_model(config.model, splits.info, seed)
    return {
        "split": fingerprint([splits.validation.images, splits.validation.labels]),
        "order": fingerprint(order),
        "augmentation": fingerprint(
            [stream(seed, "augmentation", epoch, device=device).get_state() for epoch in epochs]
        ),
        "weights": {name: fingerprint(weights) for name, weights in model.named_parameters()},
    }


def _begun(run: RunDir, trial: Trial) -> bool:
    return (run.path / CONFIG).is_file() and run.config == trial.config
