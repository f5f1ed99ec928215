"""`--verify --deep`: evaluates kept weights again on their images, makes hashes again, and compares."""

import functools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from cnnkit.calibration import calibration_error
from cnnkit.calibrator import Calibrator
from cnnkit.comparison.trial import Trial, data_hash, shared_hashes
from cnnkit.comparison.trial_records import facts_of
from cnnkit.config.images import DataConfig
from cnnkit.data.dataset import ImageDataset, Published
from cnnkit.data.prepare import load_data, load_splits
from cnnkit.data.sources import with_root
from cnnkit.errors import RunError
from cnnkit.events import ignore
from cnnkit.experiment.checkpoints import Weights, load_weights
from cnnkit.experiment.run_dir import RunDir, RunResult
from cnnkit.experiment.train import Setting
from cnnkit.filenames import BEST, CONFIG, PREDICTIONS, RESULT, TRIAL
from cnnkit.training.device import Placement, choose_device
from cnnkit.training.evaluation import Evaluation, evaluate, predict
from cnnkit.training.fitting import fit_calibrator, fit_temperature
from cnnkit.training.loop import training_sample
from cnnkit.version import __version__
from cnnkit.words import counted, listed

# How far another CPU may round apart: (difference of the log of two probabilities that tie, loss, relative).
# On MNIST bfloat16 and float32 differed by 0.016 and 0.0008, two batch sizes in float32 by 1e-7 in a
# probability.
APART = {"bf16": (0.05, 0.01), "float32": (0.001, 0.0001)}
TIED = 0.002  # the share of validation images that may be ties: no prediction of theirs is kept


def evaluate_again(runs: Sequence[RunDir], root: Path | None = None) -> Iterator[str]:
    """Evaluates the weights of runs again, and makes again what follows from configuration, data and seed.

    root: where the images lie now. Gives what was found, and what could not be checked, a sentence each.
    Raises RunError, with the file, where something is not what was kept, DataError without the images.
    """
    _images.cache_clear()  # the files may have changed since a verification before
    _hash_of_images.cache_clear()
    seen = [_seen_again(run, root) for run in runs]
    apart, hashed = sum(one.apart for one in seen), sum(one.hashed for one in seen)
    if apart:
        yield f"the weights, evaluated again, give all predictions but {apart}, which are ties up to rounding"
    else:
        yield f"the weights of {counted(len(runs), 'trial')}, evaluated again, give every prediction"
    yield "they give the calibrator, its errors and figures on training images again, where those are kept"
    if hashed:
        yield f"data, split, order, augmentation and initial weights have the hashes in {TRIAL}"
    if other := len(runs) - hashed:
        yield (
            f"not checked: the hashes in {TRIAL} of {counted(other, 'trial')}: another version of cnnkit or "
            "torch, or another processor, made them"
        )


class _Seen(NamedTuple):
    """Of one trial. apart: how many predictions are others, all of them ties up to rounding.

    hashed: whether the hashes of what trials share were made again.
    """

    apart: int
    hashed: bool


def _seen_again(run: RunDir, root: Path | None) -> _Seen:
    weights, config = load_weights(run.path), run.config
    if weights.config != config:
        raise RunError(f"{run.path / BEST} holds another configuration than {run.path / CONFIG}")
    placement = choose_device(config.runtime)
    with placement.in_force():
        splits = load_splits(config.data, config.training.seed, published=_images(config.data, root))
        hashed = _compare_hashes(run, Setting(placement, splits, 0.0), root)
        if len(splits.validation):
            again = _evaluated(weights, splits.validation, placement)
            _compare_figures(run, "val", again, placement)
            _compare_calibrator(run, weights, again, placement)
        if run.result.clean_train_loss is not None:  # 0.1.0 measured none
            sample = training_sample(splits.train, config.training.seed)
            _compare_figures(run, "clean_train", _evaluated(weights, sample, placement), placement)
        return _Seen(_compare_test(run, weights, splits.test.to(placement.device), placement), hashed)


def _evaluated(weights: Weights, images: ImageDataset, placement: Placement) -> Evaluation:
    return evaluate(weights.model, images.to(placement.device), placement, weights.calibrator)


def _compare_hashes(run: RunDir, setting: Setting, root: Path | None) -> bool:
    """False where another version of cnnkit or torch, or another processor, may make others."""
    made = [run.environment.get(name) for name in ("cnnkit", "torch", "device_name")]
    if made != [__version__, torch.__version__, setting.placement.name]:
        return False
    facts = facts_of(run)
    trial = Trial(facts.level, run.config, _hash_of_images(run.config.data, root))
    again = {"data": trial.data, **shared_hashes(trial, setting), "id": trial.id, "seed": trial.seed}
    kept = {**facts.hashes, "id": facts.id, "seed": facts.seed}
    if other := [name for name in again if kept.get(name) != again[name]]:
        raise RunError(f"{run.path / TRIAL}: what comes out again has another {listed(other)}")
    return True


def _apart(result: RunResult, placement: Placement) -> tuple[float, float]:
    return APART["bf16" if "bf16" in (result.precision, placement.precision) else "float32"]


def _compare_figures(run: RunDir, of: str, again: Evaluation, placement: Placement) -> None:
    """Loss and accuracy of images whose predictions are not kept. So many as may be ties may differ.

    of: what the names of the figures begin with.
    """
    loss, accuracy = (getattr(run.result, f"{of}_{name}") for name in ("loss", "accuracy"))
    _compare_loss(run, f"{of}_loss", loss, again.loss, _apart(run.result, placement)[1])
    right = round((accuracy or 0.0) * again.images)
    if abs(right - again.correct) > max(1, TIED * again.images):
        raise RunError(f"{run.path / RESULT}: {of}_accuracy is {accuracy}, and {again.accuracy} comes out")


def _compare_calibrator(run: RunDir, weights: Weights, validation: Evaluation, placement: Placement) -> None:
    kept, apart = weights.calibrator, _apart(run.result, placement)[0]
    if kept.temperature is None and run.result.calibration is None:
        return  # 0.1.0 fitted none
    if not kept.uniform_share:  # 0.3 and before fitted the temperature alone
        again = Calibrator(fit_temperature(validation.logits, validation.labels))
    else:
        again = fit_calibrator(validation.logits, validation.labels)
    for name, value in vars(again).items():
        before = getattr(kept, name)
        if before is None or not math.isclose(before, value, rel_tol=apart, abs_tol=apart / 10):
            raise RunError(f"{run.path / BEST}: the {_words(name)} is {before}, and {value} comes out")


def _words(name: str) -> str:
    return name.replace("_", " ")


def _compare_calibration(run: RunDir, weights: Weights, again: Evaluation, placement: Placement) -> None:
    """An image whose confidence rounds into another bin changes an error by up to 2 of all images."""
    kept, found = run.result.calibration, again.calibration()
    if kept is None:
        return
    for name, now in vars(weights.calibrator).items():
        if (before := getattr(kept, name)) != now:
            raise RunError(f"{run.path / RESULT}: the {_words(name)} is {before}, and {now} in {BEST}")
    allowed = _apart(run.result, placement)[1] + 2 / again.images
    expected = {
        "error": (kept.error, found.error),
        "error_before": (kept.error_before, found.error_before),
        "error_by_chance": (kept.error_by_chance, found.error_by_chance),
        "bins": (calibration_error(kept.bins), found.error),
        "bins_before": (calibration_error(kept.bins_before), found.error_before),
    }
    for name, (before, now) in expected.items():
        if abs(before - now) > allowed:
            raise RunError(f"{run.path / RESULT}: calibration.{name} tells of {before}, and {now} comes out")


def _compare_test(run: RunDir, weights: Weights, test: ImageDataset, placement: Placement) -> int:
    """How many predictions are others, all of them ties up to rounding."""
    result, again = run.result, _evaluated(weights, test, placement)
    tie, loss = _apart(result, placement)
    kept = torch.from_numpy(run.predicted(test.info.classes))
    if len(kept) != len(test):
        raise RunError(f"{run.path / PREDICTIONS} holds {len(kept):,} predictions, not {len(test):,}")
    others = (again.predictions != kept).nonzero()[:, 0]
    if len(others):
        shares = predict(weights.model, test[others].images, placement).cpu().clamp(min=1e-30).log()
        gaps = shares.max(1).values - shares.gather(1, kept[others, None])[:, 0]
        if far := int((gaps > tie).sum()):
            raise RunError(
                f"{run.path / PREDICTIONS}: {counted(far, 'prediction')} of {len(test):,} are not what "
                f"{BEST} gives: that is right for {again.accuracy:.2%}, not {result.test_accuracy:.2%}"
            )
    _compare_loss(run, "test_loss", result.test_loss, again.loss, loss)
    _compare_calibration(run, weights, again, placement)
    return len(others)


def _compare_loss(run: RunDir, name: str, kept: float | None, again: float, relative: float) -> None:
    if kept is None or not math.isclose(again, kept, rel_tol=relative, abs_tol=1e-6):
        raise RunError(f"{run.path / RESULT}: {name} is {kept}, and {again} comes out")


@functools.lru_cache(maxsize=1)  # the trials of a study share them
def _images(data: DataConfig, root: Path | None) -> Published:
    return load_data(with_root(data, root, ignore))


@functools.lru_cache(maxsize=1)
def _hash_of_images(data: DataConfig, root: Path | None) -> str:
    return data_hash(_images(data, root))
