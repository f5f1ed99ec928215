"""A configuration under Lightning, as "Lightning in 15 minutes" and its learning-rate scheduler docs say.

A LightningModule, torchvision's MNIST with ToTensor, DataLoader, Trainer.fit, OneCycleLR stepping with the
steps; Trainer as it comes, its log included. Image files: torchvision's ImageFolder, RandomCrop with padding
and RandomHorizontalFlip; as many workers as Lightning itself suggests, which live on. Time: from the first
epoch's begin to the last one's end. See peer_settings.py for what is taken over.
"""

from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from lightning.fabric.utilities import suggested_max_num_workers
from torch import Tensor
from torch.utils.data import DataLoader

from benchmarks import reference
from benchmarks.peer_settings import Peer, peer_from_arguments

OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


class Classifier(L.LightningModule):
    def __init__(self, peer: Peer) -> None:
        super().__init__()
        self.peer = peer
        self.model = peer.network()

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, labels = batch
        smoothing = self.peer.config.training.label_smoothing
        loss = F.cross_entropy(self.model(images), labels, label_smoothing=smoothing)
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self) -> Any:
        training = self.peer.config.training
        optimizer = OPTIMIZERS[self.peer.optimizer](
            self.parameters(),
            lr=training.learning_rate,
            betas=training.betas,
            weight_decay=training.weight_decay,
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=training.learning_rate,
            total_steps=int(self.trainer.estimated_stepping_batches),
            pct_start=self.peer.warmup,
            cycle_momentum=False,
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Stopwatch(L.Callback):
    def __init__(self) -> None:
        self.clock = reference.Clock()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.clock.start()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.clock.stop()


def main() -> None:
    peer, stopwatch = peer_from_arguments(), Stopwatch()
    train, _ = peer.data_sets()
    workers = suggested_max_num_workers(1) if peer.config.data.own else 0
    loader = DataLoader(
        train,
        batch_size=peer.config.training.batch_size,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    classifier = Classifier(peer)
    trainer = L.Trainer(max_epochs=peer.epochs, callbacks=[stopwatch])
    trainer.fit(classifier, train_dataloaders=loader)
    peer.print_result(stopwatch.clock.seconds, peer.test_accuracy(classifier.model), L.__version__)


if __name__ == "__main__":
    main()
