"""cnnkit: build, train and compare small convolutional networks.

    import cnnkit

    config = cnnkit.load_config("digits", {"model.pooling": "avg"})
    run = cnnkit.train(config, out="runs/avg")
    print(run.result.test_accuracy)

Everything in `__all__` is loaded when it is first used, so `import cnnkit` itself takes no time.
"""

from cnnkit.version import __version__

TYPE_CHECKING = False  # typing itself takes 5 ms to import, in which Ctrl-C would show a traceback
if TYPE_CHECKING:
    from typing import Any

    from cnnkit.api.configuration import load_config
    from cnnkit.api.functions import (
        build_model,
        compare,
        load_images,
        merge,
        open_run,
        open_study,
        train,
    )
    from cnnkit.api.run import Run
    from cnnkit.api.study import Study
    from cnnkit.comparison.records import StudyResults
    from cnnkit.config.schema import Config
    from cnnkit.data.dataset import ImageDataset, Splits
    from cnnkit.errors import (
        CnnkitError,
        ConfigError,
        DamagedFile,
        DataError,
        GpuFailed,
        ImageError,
        Interrupted,
        OutOfMemory,
        RunError,
        TrainingError,
        UsageError,
    )
    from cnnkit.events import EpochRecord
    from cnnkit.experiment.measure import Measured, Prediction
    from cnnkit.experiment.run_dir import RunResult
    from cnnkit.families.datasets import ImageInfo

__all__ = [
    "CnnkitError",
    "Config",
    "ConfigError",
    "DamagedFile",
    "DataError",
    "EpochRecord",
    "GpuFailed",
    "ImageDataset",
    "ImageError",
    "ImageInfo",
    "Interrupted",
    "Measured",
    "OutOfMemory",
    "Prediction",
    "Run",
    "RunError",
    "RunResult",
    "Splits",
    "Study",
    "StudyResults",
    "TrainingError",
    "UsageError",
    "__version__",
    "build_model",
    "compare",
    "load_config",
    "load_images",
    "merge",
    "open_run",
    "open_study",
    "train",
]

# The module of each of them, where it is not cnnkit.errors.
_MODULES = {
    "cnnkit.api.configuration": ("load_config",),
    "cnnkit.api.functions": (
        "build_model",
        "compare",
        "load_images",
        "merge",
        "open_run",
        "open_study",
        "train",
    ),
    "cnnkit.api.run": ("Run",),
    "cnnkit.api.study": ("Study",),
    "cnnkit.comparison.records": ("StudyResults",),
    "cnnkit.config.schema": ("Config",),
    "cnnkit.data.dataset": ("ImageDataset", "Splits"),
    "cnnkit.events": ("EpochRecord",),
    "cnnkit.experiment.measure": ("Measured", "Prediction"),
    "cnnkit.experiment.run_dir": ("RunResult",),
    "cnnkit.families.datasets": ("ImageInfo",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> "Any":
    """Loads a public name when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module 'cnnkit' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_MODULE_OF.get(name, "cnnkit.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
