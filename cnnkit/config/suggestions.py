"""Did you mean …? The key or the name that a person had in mind when they wrote another."""

import difflib
from collections.abc import Collection, Iterator
from typing import Any

from cnnkit.config.schema import Config
from cnnkit.config.types import is_section

# Other usual words for keys and values; compared as `_plain` leaves them.
KEYS = {
    "lr": "training.learning_rate",
    "rate": "training.learning_rate",
    "bs": "training.batch_size",
    "batch": "training.batch_size",
    "epoch": "training.epochs",
    "iterations": "training.epochs",
    "optim": "training.optimizer",
    "scheduler": "training.schedule",
    "lrschedule": "training.schedule",
    "wd": "training.weight_decay",
    "l2": "training.weight_decay",
    "ema": "training.weight_averaging",
    "patience": "training.early_stopping",
    "classweight": "training.class_weights",
    "metric": "training.monitor",
    "clip": "training.gradient_clip",
    "gradclip": "training.gradient_clip",
    "smoothing": "training.label_smoothing",
    "subset": "training.hardest",
    "pruning": "training.hardest",
    "randomseed": "training.seed",
    "channels": "model.channels",  # images have them, too
    "filters": "model.channels",
    "width": "model.channels",
    "kernel": "model.kernel_sizes",
    "kernelsize": "model.kernel_sizes",
    "filtersize": "model.kernel_sizes",
    "depth": "model.convolutions",
    "convs": "model.convolutions",
    "convolution": "model.convolutions",
    "pool": "model.pooling",
    "strategy": "model.pooling",
    "downsampling": "model.pooling",
    "stride": "model.pool_size",
    "poolsizes": "model.pool_size",
    "act": "model.activation",
    "nonlinearity": "model.activation",
    "bn": "model.batch_norm",
    "batchnormalization": "model.batch_norm",
    "batchnormalisation": "model.batch_norm",
    "dropoutrate": "model.dropout",
    "dropout2d": "model.feature_dropout",
    "units": "model.hidden",
    "dense": "model.hidden",
    "hiddenunits": "model.hidden",
    "dataset": "data.dataset",
    "datadir": "data.root",
    "folder": "data.root",
    "val": "data.validation",
    "validationsplit": "data.validation",
    "rotation": "data.augment.rotate",
    "shift": "data.augment.translate",
    "translation": "data.augment.translate",
    "scale": "data.augment.zoom",
    "mirror": "data.augment.flip",
    "hflip": "data.augment.flip",
    "horizontalflip": "data.augment.flip",
    "erasing": "data.augment.erase",
    "randomerasing": "data.augment.erase",
    "cutout": "data.augment.erase",
    "cpu": "runtime.device",
    "gpu": "runtime.device",
    "dtype": "runtime.precision",
    "numthreads": "runtime.threads",
    "trackers": "tracking",
    "loggers": "tracking",
    "reportto": "tracking",
}
NAMES = {
    "average": "avg",
    "mean": "avg",
    "maximum": "max",
    "strided": "stride",
    "concatenate": "concat",
    "swish": "silu",
    "fashion": "fashion-mnist",
    "fp32": "float32",
    "float": "float32",
    "bfloat16": "bf16",
    "onecyclelr": "one_cycle",
    "cosineannealing": "cosine",
    "gap": "avg",
    "center": "centre",
    "valloss": "loss",
    "valaccuracy": "accuracy",
}


def nearest_name(word: str, names: Collection[str]) -> str | None:
    """The name that is meant by a word: the same in other letters, another word for it, or one like it."""
    plain = {_plain(name): name for name in names}
    meant = _plain(word)
    for suffix in ("", "pool", "pooling"):
        stem = meant.removesuffix(suffix)
        if (found := plain.get(_plain(NAMES.get(stem, stem)))) is not None:
            return found
    close = difflib.get_close_matches(meant, plain, n=1, cutoff=0.5)
    return plain[close[0]] if close else None


def guess(word: str, names: Collection[str]) -> str:
    """`; did you mean 'max'?`; empty where no name is near."""
    meant = nearest_name(word, names)
    return f"; did you mean {meant!r}?" if meant else ""


def nearest_key(key: str) -> str | None:
    """The whole key that is meant by one that there is not: by its last part, another word, or likeness.

    Of several with that last part it is the one in the section that was written.
    """
    home, _, last = key.rpartition(".")
    by_last: dict[str, list[str]] = {}
    for one in dotted_keys():
        by_last.setdefault(_plain(one.rpartition(".")[2]), []).append(one)
    meant = _plain(last)
    if meant not in by_last:
        if other := KEYS.get(meant):
            return other
        close = difflib.get_close_matches(meant, by_last, n=1, cutoff=0.7)
        if not close:
            return None
        meant = close[0]
    beside = [one for one in by_last[meant] if one.rpartition(".")[0] == home]
    return beside[0] if beside else KEYS.get(meant, by_last[meant][0])


def dotted_keys(section: Any = Config, prefix: str = "") -> Iterator[str]:
    """Every key, sections too, those above before those below."""
    for name, field in section.model_fields.items():
        yield f"{prefix}{name}"
        if is_section(field.annotation):
            yield from dotted_keys(field.annotation, f"{prefix}{name}.")


def _plain(word: str) -> str:
    """Letters and digits alone, small."""
    return "".join(letter for letter in word.lower() if letter.isalnum())
