"""Which keys act in a configuration: some do only beside certain values of others."""

from collections.abc import Callable, Sequence

from cnnkit.config.schema import Config
from cnnkit.families.optimizers import OPTIMIZERS
from cnnkit.families.schedules import SCHEDULES
from cnnkit.words import listed

SCENE = "data.scene"


def _optimizer(setting: str) -> Callable[[Config], str]:
    able = listed([name for name, entry in OPTIMIZERS.items() if setting in entry.settings])

    def why(config: Config) -> str:
        name = config.training.optimizer
        return "" if setting in OPTIMIZERS[name].settings else f"it is of the optimizer {able}, not of {name}"

    return why


def _gamma(config: Config) -> str:
    name = config.training.schedule
    able = listed([name for name, entry in SCHEDULES.items() if entry.takes_gamma])
    return "" if SCHEDULES[name].takes_gamma else f"it is of the schedule {able}, not of {name}"


def _saturation(config: Config) -> str:
    return "" if config.data.info.shape[0] == 3 else "these images are grey"


def _scene(config: Config) -> str:
    return "" if config.data.drawn else f"it is of small-object, and the images are {config.data.dataset}"


# Why nothing uses a key of a configuration; empty where something does.
CONDITIONAL: dict[str, Callable[[Config], str]] = {
    "training.weight_decay": _optimizer("weight_decay"),
    "training.momentum": _optimizer("momentum"),
    "training.betas": _optimizer("betas"),
    "training.gamma": _gamma,
    "data.augment.saturation": _saturation,
    SCENE: _scene,
}


def why_unused(config: Config, key: str) -> str:
    """Why nothing uses a dotted key in a configuration, in words; empty where something does."""
    known = SCENE if key.startswith(f"{SCENE}.") else key
    return CONDITIONAL[known](config) if known in CONDITIONAL else ""


def unused_in_all(configs: Sequence[Config], key: str) -> str:
    """Why none of some configurations uses a key, as the first of them has it; empty where one uses it."""
    reasons = [why_unused(config, key) for config in configs]
    return reasons[0] if all(reasons) else ""
