"""configs/fast.yaml under fastai, as its "Pure PyTorch to fastai" says.

DataLoaders over torchvision's MNIST, Learner, fit_one_cycle, each as it comes. Time: the training passes;
the pass over validation images that fit makes after each epoch stays outside. See peer_settings.py for what
is taken over.
"""

from functools import partial
from typing import Any

import fastai
from fastai.callback.core import Callback
from fastai.callback.schedule import fit_one_cycle  # noqa: F401  gives Learner the method
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from fastai.optimizer import Adam
from torch import nn

from benchmarks import reference
from benchmarks.peer_settings import Peer, peer_from_arguments


class Stopwatch(Callback):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.clock = reference.Clock()

    def before_train(self) -> None:
        self.clock.start()

    def after_train(self) -> None:
        self.clock.stop()


def learner(peer: Peer, stopwatch: Stopwatch) -> Any:
    training = peer.config.training
    loaders = DataLoaders.from_dsets(*peer.data_sets(), bs=training.batch_size, device=reference.device())
    return Learner(
        loaders,
        peer.network(),
        loss_func=nn.CrossEntropyLoss(label_smoothing=training.label_smoothing),
        opt_func=partial(Adam, sqr_mom=training.betas[1], decouple_wd=peer.optimizer == "adamw"),
        cbs=[stopwatch],
    )


def main() -> None:
    peer, stopwatch = peer_from_arguments(), Stopwatch()
    training = peer.config.training
    learn = learner(peer, stopwatch)
    learn.fit_one_cycle(
        peer.epochs,
        training.learning_rate,
        pct_start=peer.warmup,
        moms=(training.betas[0],) * 3,
        wd=training.weight_decay,
    )
    peer.print_result(stopwatch.clock.seconds, peer.test_accuracy(learn.model), fastai.__version__)


if __name__ == "__main__":
    main()
