"""Weights and training states: kept in a run directory, and loaded again."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from cnnkit import tensor_files
from cnnkit.calibrator import AS_TRAINED, Calibrator
from cnnkit.config.costs import layer_costs
from cnnkit.config.load import config_text, parse_config
from cnnkit.config.schema import Config
from cnnkit.errors import ConfigError, DamagedFile, RunError, UsageError
from cnnkit.experiment.manifest import read_checked
from cnnkit.experiment.no_run import did_you_mean
from cnnkit.experiment.run_dir import RunDir, open_run, resume_command
from cnnkit.filenames import BEST, CONFIG, LAST, OWN, STATE, WEIGHTS_SUFFIX
from cnnkit.kept import parse_json
from cnnkit.nn.model import CNN, build_model
from cnnkit.own.sources import learn, packed, unpack
from cnnkit.tensor_files import load_tensors, parse_tensors, save_tensors
from cnnkit.training.familiarity import Familiarity
from cnnkit.version import __version__

FEATURES = "features."  # of the names of tensors that are no part of the model


@dataclass(frozen=True)
class Weights:
    """A trained model and the configuration it was trained with. source: the file it came from.

    calibrator: makes probabilities of logits.
    familiarity: tells images that are unlike the training images; None in the files of 0.1.0 and of trials.
    """

    model: CNN
    config: Config
    source: Path
    calibrator: Calibrator = AS_TRAINED
    familiarity: Familiarity | None = None


def kept_config(path: Path) -> Config:
    """The configuration of a run directory, or of a weights file alone; raises as `load_weights` does."""
    if path.is_dir():
        return open_run(path).config
    file, _, metadata = _read_weights(path)
    return _config_in(metadata, file)


def learn_texts(metadata: Mapping[str, str], file: Path) -> None:
    """The text of the own classes of a weights or ONNX file is known from now on, and not run."""
    learn(file.parent)
    try:
        unpack(parse_json(metadata.get(OWN, "{}").encode()), file)
    except (DamagedFile, UnicodeError) as error:
        raise RunError(f"{file} is damaged: {error}") from error


def _config_in(metadata: Mapping[str, str], file: Path) -> Config:
    """The configuration that a weights file holds."""
    learn_texts(metadata, file)
    if "config" not in metadata:
        raise RunError(f"{file} was not written by cnnkit: its metadata holds no configuration")
    try:
        return parse_config(metadata["config"], str(file), kept=True)
    except ConfigError as error:
        raise RunError(f"the configuration in {file} is of another version of cnnkit:\n{error}") from error


def load_weights(path: Path) -> Weights:
    """The best weights of a run directory, or those of a weights file alone.

    Raises RunError where the file is damaged or does not fit its own configuration.
    """
    file, tensors, metadata = _read_weights(path)
    config = _config_in(metadata, file)
    if any(tensor.is_complex() or not tensor.isfinite().all() for tensor in tensors.values()):
        raise RunError(f"{file} is damaged: it holds numbers that are not finite; train again")
    about = {name: tensors.pop(name) for name in list(tensors) if name.startswith(FEATURES)}
    needed = sum(layer.parameters for layer in layer_costs(config.model, config.data.info))
    if needed > sum(tensor.numel() for tensor in tensors.values()):  # before memory is taken for them
        raise RunError(f"{file} is damaged: its weights do not fit its configuration")
    model = build_model(config.model, config.data.info, seed=0)
    last = model.dense[-1]
    assert isinstance(last, nn.Linear)
    try:
        model.load_state_dict(tensors)
        familiarity = _familiarity(about, last.in_features)
    except (RuntimeError, TypeError, ValueError) as error:
        raise RunError(f"{file} is damaged: its weights do not fit its configuration") from error
    return Weights(model, config, file, calibrator_in(metadata, file), familiarity)


def _read_weights(path: Path) -> tuple[Path, dict[str, Tensor], dict[str, str]]:
    """(the weights file, its tensors, its metadata) of a run directory, or of a weights file.

    Raises UsageError where there is none, RunError where it cannot be read.
    """
    file = path
    if path.is_dir():
        run = open_run(path)
        file = run.path / BEST
        if not file.is_file():
            failed = f"its training failed: {run.failure}" if run.failure else ""
            raise RunError(f"{path} has no weights; {failed or f'go on with it: {resume_command(path)}'}")
    try:
        if path.is_dir():
            tensors, metadata = parse_tensors(file, read_checked(file.parent, BEST))
        else:
            tensors, metadata = load_tensors(file)
    except FileNotFoundError as error:
        raise UsageError(f"{file}: no such run or weights file{did_you_mean(file)}") from error
    except DamagedFile as error:
        other = file.parent / LAST
        again = "train again" if file.suffix == WEIGHTS_SUFFIX else "name a run directory or a weights file"
        remedy = f", or measure {other} if that is whole" if other.exists() and other != file else ""
        raise RunError(f"{error}; {again}{remedy}") from error
    except OSError as error:
        raise RunError(f"{file} cannot be read: {error.strerror}") from error
    return file, tensors, metadata


def calibrator_in(metadata: Mapping[str, str], file: Path) -> Calibrator:
    """Raises RunError where its numbers are none, or beyond their bounds."""
    try:
        return Calibrator.from_dict(metadata)
    except DamagedFile as error:
        raise RunError(f"{file} is damaged: its {error}") from error


def _familiarity(tensors: Mapping[str, Tensor], width: int) -> Familiarity | None:
    """Raises TypeError where names are missing or unknown, ValueError where tensors do not fit."""
    fields = {name.removeprefix(FEATURES): tensor for name, tensor in tensors.items()}
    if not fields:
        return None
    known = Familiarity(**fields)
    if len(known.mean) != width:
        raise ValueError(f"features of {len(known.mean)} values, and the network has {width}")
    return known


def save_weights(
    run: RunDir,
    name: str,
    model: nn.Module,
    config: Config,
    calibrator: Calibrator,
    familiarity: Familiarity | None = None,
) -> None:
    """Writes weights with their configuration in the file's metadata: the file alone can be measured.

    calibrator: of these weights.
    """
    metadata = {"cnnkit": __version__, "config": config_text(config), **calibrator.texts()}
    if own := config.model.own_classes:
        metadata[OWN] = json.dumps(packed(own))
    known = {} if familiarity is None else familiarity.tensors()
    about = {FEATURES + key: tensor for key, tensor in known.items()}
    save_tensors(run.path / name, {**model.state_dict(), **about}, metadata)


def save_state(run: RunDir, state: Mapping[str, Any], config: Config) -> None:
    """Writes what `Training.restore` needs."""
    tensor_files.save_state(run.path / STATE, {"config": config_text(config), "training": state})


def load_state(run: RunDir) -> dict[str, Any]:
    """What `Training.restore` needs. Raises RunError where it is damaged or of another configuration."""
    path = run.path / STATE
    try:
        content = tensor_files.load_state(path)
    except DamagedFile as error:
        raise RunError(
            f"{error}; its weights may still be measured: cnnkit eval {run.path}, "
            "but to go on, train again into another folder"
        ) from error
    if parse_config(str(content.get("config")), str(path), kept=True) != run.config:
        raise RunError(
            f"{path} belongs to another configuration than {run.path / CONFIG}; "
            "put the configuration back as it was, or train again into another folder"
        )
    return content.get("training", {})  # type: ignore[no-any-return]
