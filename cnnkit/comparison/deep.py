"""`--verify --deep`: evaluates kept weights again, and compares with what was kept of their test."""

import functools
import math
from collections.abc import Sequence

import torch

from cnnkit.config.schema import DataConfig
from cnnkit.data.dataset import ImageDataset
from cnnkit.data.prepare import load_data
from cnnkit.data.sources import with_own_root
from cnnkit.errors import RunError
from cnnkit.events import ignore
from cnnkit.experiment.checkpoints import load_weights
from cnnkit.experiment.measure import measure
from cnnkit.experiment.run_dir import RunDir
from cnnkit.filenames import BEST, CONFIG, PREDICTIONS, RESULT
from cnnkit.training.device import choose_device
from cnnkit.training.evaluation import predict
from cnnkit.words import counted

# How far another CPU may round apart: (difference of the log of two probabilities that tie, loss, relative).
# On MNIST bfloat16 and float32 differed by 0.016 and 0.0008, two batch sizes in float32 by 1e-7 in a
# probability.
APART = {"bf16": (0.05, 0.01), "float32": (0.001, 0.0001)}


def evaluate_again(runs: Sequence[RunDir]) -> str:
    """Evaluates the weights of runs on their test images; returns what was found, in a sentence.

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
    weights, result, config = load_weights(run.path), run.result, run.config
    if weights.config != config:
        raise RunError(f"{run.path / BEST} holds another configuration than {run.path / CONFIG}")
    placement = choose_device(config.runtime)
    tie, loss = APART["bf16" if "bf16" in (result.precision, placement.precision) else "float32"]
    with placement.in_force():
        test = _test_images(config.data).cropped(config.data.crop).to(placement.device)
        again = measure(weights, test, placement)
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
    if not math.isclose(again.loss, result.test_loss, rel_tol=loss, abs_tol=1e-6):
        raise RunError(f"{run.path / RESULT}: test_loss is {result.test_loss}, and {again.loss} comes out")
    return len(others)


@functools.lru_cache(maxsize=1)  # the trials of a study share them
def _test_images(data: DataConfig) -> ImageDataset:
    return load_data(with_own_root(data, ignore)).test
