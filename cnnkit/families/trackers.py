"""The programs that show many trainings at a glance, and which of them there are.

Another one is a module with a class that `cnnkit.tracking.messages.Tracked` describes, and a row here.
"""

from dataclasses import dataclass

from cnnkit.families.registry import Registry


@dataclass(frozen=True)
class Tracker:
    """name: the word in a configuration. path: `module:Class`, of a `Tracked`.

    library: the module that it needs, which is imported only in a process of its own. extra: of cnnkit, that
    installs the library. seconds: of a processor, about, until it has taken the beginning of a first run.
    """

    name: str
    path: str
    library: str
    extra: str
    seconds: float = 3.0


TRACKERS: Registry[Tracker] = Registry(
    "tracker",
    Tracker("tensorboard", "cnnkit.tracking.tensorboard:TensorBoardRun", "tensorboard", "tensorboard", 0.4),
    Tracker("mlflow", "cnnkit.tracking.mlflow:MlflowRun", "mlflow", "mlflow"),
)
