"""The keys that `--tune` can try values of, and between which bounds.

The bounds of a rate surround the configuration's own value; those of a share hold what is usual.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cnnkit.config.schema import Config
from cnnkit.config.suggestions import dotted_keys, nearest_key
from cnnkit.config.types import LARGEST
from cnnkit.config.uses import unused_in_all
from cnnkit.errors import UsageError
from cnnkit.words import listed

Number = int | float
WIDTH = 10.0  # a learning rate is tried from a tenth of the configured one to ten times it
DEFAULT_KEYS = ("training.learning_rate",)


@dataclass(frozen=True)
class Range:
    """The values to try: from low to high, evenly or on a log scale; or some choices, all as likely."""

    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[Number, ...] = ()


def _around(own: float) -> Range:
    return Range(own / WIDTH, min(own * WIDTH, LARGEST), log=True)


def _weight_decays(config: Config) -> Range:
    own = config.training.weight_decay
    return _around(own) if own else Range(1e-5, 1e-2, log=True)


def _batch_sizes(config: Config) -> Range:
    """A quarter, half, once, twice and four times the configured size, at most half of the images."""
    own, most = config.training.batch_size, config.data.train_images // 2
    sizes = [own // 4, own // 2, own, 2 * own, 4 * own]
    return Range(choices=tuple(dict.fromkeys(min(max(2, size), max(2, most)) for size in sizes)))


def _evenly(high: float, low: float = 0.0) -> Callable[[Config], Range]:
    return lambda config: Range(low, high)


# Keys that can be tuned, and the values to try beside a configuration.
TUNABLE: dict[str, Callable[[Config], Range]] = {
    "training.learning_rate": lambda config: _around(config.training.learning_rate),
    "training.weight_decay": _weight_decays,
    "training.momentum": _evenly(0.99, low=0.5),
    "training.batch_size": _batch_sizes,
    "training.warmup": _evenly(0.5),
    "training.gamma": _evenly(0.95, low=0.4),
    "training.label_smoothing": _evenly(0.2),
    "training.gradient_clip": lambda config: Range(0.1, 10, log=True),
    "training.weight_averaging": lambda config: Range(choices=(0.0, 0.9, 0.99, 0.999)),
    "model.dropout": _evenly(0.6),
    "model.feature_dropout": _evenly(0.3),
    "data.augment.rotate": _evenly(20),
    "data.augment.translate": lambda config: Range(0, config.data.info.shape[-1] / 10),
    "data.augment.zoom": _evenly(0.2),
    "data.augment.flip": lambda config: Range(choices=(0.0, 0.5)),
    "data.augment.brightness": _evenly(0.4),
    "data.augment.contrast": _evenly(0.4),
    "data.augment.saturation": _evenly(0.4),
    "data.augment.erase": _evenly(0.5),
}


def ranges_of(keys: Sequence[str], configs: Sequence[Config], compared: Sequence[str]) -> dict[str, Range]:
    """The values to try of each key. configs: those that are compared. compared: the keys they differ in.

    Raises UsageError where there is no such key, nothing to tune about it, or no configuration uses it.
    """
    if not keys:
        raise UsageError(f"--tune-keys: name a key or more: {listed(list(TUNABLE), 'or')}")
    for key in keys:
        if reason := _refusal(key, configs, compared):
            raise UsageError(f"--tune-keys {key}: {reason}")
    return {key: TUNABLE[key](configs[0]) for key in keys}


def _refusal(key: str, configs: Sequence[Config], compared: Sequence[str]) -> str:
    if key in compared:
        return "it is what is compared; tune other keys"
    if key not in TUNABLE:
        meant = nearest_key(key)
        if meant in TUNABLE:
            return f"there is no such key; did you mean {meant!r}?"
        what = "it is not a key to tune" if key in dotted_keys() else "there is no such key"
        return f"{what}; expected {listed(list(TUNABLE), 'or')}"
    if reason := unused_in_all(configs, key):
        return f"nothing uses it in this configuration: {reason}; leave it out"
    return ""
