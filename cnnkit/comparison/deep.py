"""`--verify --deep`: evaluates kept weights again on the validation and the test images, and compares."""

import functools
import math
from collections.abc import Sequence

import torch

from cnnkit.config.schema import DataConfig
from cnnkit.data.dataset import ImageDataset, Published
from cnnkit.data.prepare import load_data, load_splits
from cnnkit.data.sources import with_own_root
from cnnkit.errors import RunError
from cnnkit.events import ignore
from cnnkit.experiment.checkpoints import Weights, load_weights
from cnnkit.experiment.measure import measure
from cnnkit.experiment.run_dir import RunDir, RunResult
from cnnkit.filenames import BEST, CONFIG, PREDICTIONS, RESULT
from cnnkit.training.device import Placement, choose_device
from cnnkit.training.evaluation import Evaluation, predict
from cnnkit.words import counted

# How far another CPU may round apart: (difference of the log of two probabilities that tie, loss, relative).
# On MNIST bfloat16 and float32 differed by 0.016 and 0.0008, two batch sizes in float32 by 1e-7 in a
# probability.
APART = {"bf16": (0.05, 0.01), "float32": (0.001, 0.0001)}
TIED = 0.002  # the share of validation images that may be ties: no prediction of theirs is kept


def evaluate_again(runs: Sequence[RunDir]) -> str:
    """Evaluates the weights of runs again; returns what was found, in a sentence.

    Raises RunError, with the file, where predictions or loss are not those that were kept.
    """
    apart = [_evaluate_again(run) for run in runs]
    if not sum(apart):
        return f"the weights of {counted(len(runs), 'trial')}, evaluated again, give every prediction"
    return (
        f"the weights, evaluated again, give all predictions but {sum(apart)}, which are ties up to rounding"
    )


def _evaluate_again(run: RunDir) -> int:
    """How many predictions are others, all of them ties up to rounding."""
    weights, config = load_weights(run.path), run.config
    if weights.config != config:
        raise RunError(f"{run.path / BEST} holds another configuration than {run.path / CONFIG}")
    placement = choose_device(config.runtime)
    with placement.in_force():
        splits = load_splits(config.data, config.training.seed, published=_images(config.data))
        if len(splits.validation):
            _compare_validation(
                run, measure(weights, splits.validation.to(placement.device), placement), placement
            )
        return _compare_test(run, weights, splits.test.to(placement.device), placement)


def _apart(result: RunResult, placement: Placement) -> tuple[float, float]:
    return APART["bf16" if "bf16" in (result.precision, placement.precision) else "float32"]


def _compare_validation(run: RunDir, again: Evaluation, placement: Placement) -> None:
    """No predictions of validation images are kept: as many as may be ties may differ."""
    result = run.result
    _compare_loss(run, "val_loss", result.val_loss, again.loss, _apart(result, placement)[1])
    right = round((result.val_accuracy or 0.0) * again.images)
    if abs(right - again.correct) > max(1, TIED * again.images):
        raise RunError(
            f"{run.path / RESULT}: val_accuracy is {result.val_accuracy}, and {again.accuracy} comes out"
        )


def _compare_test(run: RunDir, weights: Weights, test: ImageDataset, placement: Placement) -> int:
    """How many predictions are others, all of them ties up to rounding."""
    result, again = run.result, measure(weights, test, placement)
    tie, loss = _apart(result, placement)
    kept = torch.frombuffer(bytearray(run.predictions()), dtype=torch.uint8).long()
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
    return len(others)


def _compare_loss(run: RunDir, name: str, kept: float | None, again: float, relative: float) -> None:
    if kept is None or not math.isclose(again, kept, rel_tol=relative, abs_tol=1e-6):
        raise RunError(f"{run.path / RESULT}: {name} is {kept}, and {again} comes out")


@functools.lru_cache(maxsize=1)  # the trials of a study share them
def _images(data: DataConfig) -> Published:
    return load_data(with_own_root(data, ignore))
