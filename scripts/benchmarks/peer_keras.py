"""A configuration under Keras with torch behind it, as its "Simple MNIST convnet" says.

Sequential, compile and fit over NumPy images (N, H, W, 1) and one-hot labels; CosineDecay with a warm-up
is its one cycle. Its "same" padding at stride 2 begins a pixel later than cnnkit's; batch normalisation has
torch's momentum, for Keras's own takes longer than an epoch to settle. Time: the epochs of fit. See
peer_settings.py for what is taken over.

Image files: image_dataset_from_directory in the format that needs no TensorFlow, and RandomFlip,
RandomTranslation and Rescaling as the first layers, as "Image classification from scratch" says. In that
format Keras 3.15 gives the images of all epochs in one order, whatever `shuffle` is.
"""

import os

os.environ["KERAS_BACKEND"] = "torch"

from pathlib import Path
from typing import Any

import keras
import numpy as np
import torch
from keras import layers

from benchmarks import reference
from benchmarks.peer_settings import Peer, peer_from_arguments
from cnnkit.config.model import ModelConfig, StageConfig
from cnnkit.data.dataset import ImageDataset

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


def network(peer: Peer) -> Any:
    """(N, H, W, C), 0 … 1, or 0 … 255 where they come from files, -> (N, classes) logits."""
    model, info = peer.config.model, peer.config.data.info
    mean, std = (values.tolist() for values in peer.pixels)
    parts = [keras.Input((*info.shape[1:], info.shape[0]))]
    parts += _augmentation(peer) if peer.config.data.own else []
    parts.append(layers.Normalization(mean=mean, variance=np.square(std)))
    for stage in model.stages:
        parts += _stage(stage, model)
    parts.append(HEADS[model.head_choice.name]())
    for units in model.hidden:
        parts += [*_dropout(model), layers.Dense(units, activation=model.activation)]
    return keras.Sequential([*parts, *_dropout(model), layers.Dense(info.classes)])


def _augmentation(peer: Peer) -> list[Any]:
    """Mirrored and shifted with black edges, and scaled to 0 … 1."""
    _, height, width = peer.config.data.info.shape
    shift = layers.RandomTranslation(peer.shift / height, peer.shift / width, fill_mode="constant")
    return [layers.RandomFlip("horizontal"), shift, layers.Rescaling(1 / 255)]


def _stage(stage: StageConfig, model: ModelConfig) -> list[Any]:
    parts = []
    for number in range(1, stage.convolutions + 1):
        last = number == stage.convolutions
        stride = stage.pool_size if last and stage.pooling == "stride" else 1
        size, bias = stage.kernel_size, not model.batch_norm
        parts.append(layers.Conv2D(stage.channels, size, strides=stride, padding="same", use_bias=bias))
        activated = [layers.BatchNormalization(momentum=0.9, epsilon=1e-5)] if model.batch_norm else []
        activated.append(layers.Activation(model.activation))
        pooled = [POOLINGS[stage.pooling](stage.pool_size)] if last and stage.pooling != "stride" else []
        parts += [*pooled, *activated] if stage.pools_first else [*activated, *pooled]
    return parts


def _dropout(model: ModelConfig) -> list[Any]:
    return [layers.Dropout(model.dropout)] if model.dropout else []


def compiled(peer: Peer) -> Any:
    training = peer.config.training
    warmup = round(peer.warmup * peer.steps)
    schedule = keras.optimizers.schedules.CosineDecay(
        peer.first_rate, peer.steps - warmup, warmup_target=training.learning_rate, warmup_steps=warmup
    )
    model, (beta_1, beta_2) = network(peer), training.betas
    model.compile(
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=training.label_smoothing),
        optimizer=OPTIMIZERS[peer.optimizer](
            schedule, beta_1=beta_1, beta_2=beta_2, weight_decay=training.weight_decay or None
        ),
        metrics=["accuracy"],
    )
    return model


def arrays(split: ImageDataset) -> tuple[Any, Any]:
    """(N, H, W, 1) float32, 0 … 1, and one-hot (N, 10)."""
    pixels = np.expand_dims(split.images[:, 0].numpy().astype("float32") / 255, -1)
    return pixels, keras.utils.to_categorical(split.labels.numpy(), 10)


def files(peer: Peer) -> tuple[Any, Any]:
    """Batches of the training images without those held out, and of the test images."""
    data, training = peer.config.data, peer.config.training

    def batches(folder: Path, **options: Any) -> Any:
        return keras.utils.image_dataset_from_directory(
            str(folder),
            label_mode="categorical",
            class_names=list(data.info.class_names),
            color_mode="rgb" if data.info.shape[0] == 3 else "grayscale",
            batch_size=training.batch_size,
            image_size=data.info.shape[1:],
            format="grain",
            seed=peer.seed,
            **options,
        )

    share = (data.validation_images + 0.5) / data.info.train_images  # Keras rounds down
    train = batches(peer.folder, validation_split=share, subset="training")
    return train, batches(peer.folder.with_name("test"), shuffle=False)


def main() -> None:
    peer, stopwatch = peer_from_arguments(), Stopwatch()
    keras.utils.set_random_seed(peer.seed)
    model, fit = compiled(peer), {"epochs": peer.epochs, "callbacks": [stopwatch]}
    if peer.config.data.own:
        train, test = files(peer)
        model.fit(train, **fit)
        _, accuracy = model.evaluate(test, verbose=0)
    else:
        chosen = peer.shown
        x, y = arrays(peer.published.train[torch.tensor(chosen)])
        model.fit(x, y, batch_size=peer.config.training.batch_size, **fit)
        _, accuracy = model.evaluate(*arrays(peer.published.test), verbose=0)
    peer.print_result(stopwatch.clock.seconds, accuracy, keras.__version__)


if __name__ == "__main__":
    main()
