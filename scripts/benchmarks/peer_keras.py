"""configs/fast.yaml under Keras with torch behind it, as its "Simple MNIST convnet" says.

Sequential, compile and fit over NumPy images (N, H, W, 1) and one-hot labels; CosineDecay with a warm-up
is its one cycle. Its "same" padding at stride 2 begins a pixel later than cnnkit's; batch normalisation has
torch's momentum, for Keras's own takes longer than an epoch to settle. Time: the epochs of fit. See
peer_settings.py for what is taken over.
"""

import os

os.environ["KERAS_BACKEND"] = "torch"

from typing import Any

import keras
import numpy as np
import torch
from keras import layers

from benchmarks import reference
from benchmarks.peer_settings import Peer, peer_from_arguments
from cnnkit.config.schema import ModelConfig, StageConfig
from cnnkit.data.dataset import ImageDataset
from cnnkit.data.prepare import load_dataset
from cnnkit.data.sources import data_root
from cnnkit.families.datasets import DatasetInfo

OPTIMIZERS = {"adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW}
POOLINGS = {"max": layers.MaxPooling2D, "avg": layers.AveragePooling2D}
HEADS = {"flatten": layers.Flatten, "avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}


class Stopwatch(keras.callbacks.Callback):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.clock = reference.Clock()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.clock.start()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.clock.stop()


def network(model: ModelConfig, info: DatasetInfo) -> Any:
    """(N, H, W, 1), 0 … 1 -> (N, classes) logits."""
    normalization = layers.Normalization(mean=reference.MEAN, variance=reference.STD**2)
    parts = [keras.Input((*info.shape[1:], 1)), normalization]
    for stage in model.stages:
        parts += _stage(stage, model)
    parts.append(HEADS[model.head_choice.name]())
    for units in model.hidden:
        parts += [*_dropout(model), layers.Dense(units, activation=model.activation)]
    return keras.Sequential([*parts, *_dropout(model), layers.Dense(info.classes)])


def _stage(stage: StageConfig, model: ModelConfig) -> list[Any]:
    parts = []
    for number in range(1, stage.convolutions + 1):
        last = number == stage.convolutions
        stride = stage.pool_size if last and stage.pooling == "stride" else 1
        size, bias = stage.kernel_size, not model.batch_norm
        parts.append(layers.Conv2D(stage.channels, size, strides=stride, padding="same", use_bias=bias))
        if last and stage.pooling != "stride":
            parts.append(POOLINGS[stage.pooling](stage.pool_size))
        if model.batch_norm:
            parts.append(layers.BatchNormalization(momentum=0.9, epsilon=1e-5))
        parts.append(layers.Activation(model.activation))
    return parts


def _dropout(model: ModelConfig) -> list[Any]:
    return [layers.Dropout(model.dropout)] if model.dropout else []


def compiled(peer: Peer) -> Any:
    training = peer.config.training
    warmup = round(peer.warmup * peer.steps)
    schedule = keras.optimizers.schedules.CosineDecay(
        peer.first_rate, peer.steps - warmup, warmup_target=training.learning_rate, warmup_steps=warmup
    )
    model = network(peer.config.model, peer.config.data.info)
    model.compile(
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=training.label_smoothing),
        optimizer=OPTIMIZERS[peer.optimizer](
            schedule, *training.betas, weight_decay=training.weight_decay or None
        ),
        metrics=["accuracy"],
    )
    return model


def arrays(split: ImageDataset) -> tuple[Any, Any]:
    """(N, H, W, 1) float32, 0 … 1, and one-hot (N, 10)."""
    pixels = np.expand_dims(split.images[:, 0].numpy().astype("float32") / 255, -1)
    return pixels, keras.utils.to_categorical(split.labels.numpy(), 10)


def main() -> None:
    peer, stopwatch = peer_from_arguments(), Stopwatch()
    keras.utils.set_random_seed(peer.seed)
    published = load_dataset("mnist", data_root(None))
    train, test = (split.cropped(peer.config.data.crop) for split in published)
    chosen = peer.training_order()[: peer.config.data.train_images]
    model = compiled(peer)
    x, y = arrays(train[torch.tensor(chosen)])
    model.fit(x, y, batch_size=peer.config.training.batch_size, epochs=peer.epochs, callbacks=[stopwatch])
    _, accuracy = model.evaluate(*arrays(test), verbose=0)
    reference.print_result(
        stopwatch.clock.seconds, accuracy, precision="float32", epochs=peer.epochs, version=keras.__version__
    )


if __name__ == "__main__":
    main()
