"""Names of the files and folders that cnnkit keeps."""

from pathlib import Path

RUNS = Path("runs")
"""The folder, below the current one, of runs and studies that are given no other."""

# In a run directory.
CONFIG = "config.yaml"
ENVIRONMENT = "environment.json"
IMAGES = "images.json"
METRICS = "metrics.jsonl"
RESULT = "result.json"
BEST, LAST, STATE = "best.safetensors", "last.safetensors", "state.pt"
PREDICTIONS = "predictions.bin"
TESTED = "tested.bin"
MANIFEST = "manifest.json"
FAILURE = "failure.txt"  # why a training cannot go on
CURVES = "curves.svg"
WEIGHTS_SUFFIX = ".safetensors"
ONNX_SUFFIX = ".onnx"

# In a study's folder.
STUDY, RESULTS = "study.json", "results.json"
TRIALS_TABLE = "trials.csv"
LABELS = "labels.bin"
GROUPS = "groups.bin"
PROBE = "probe.json"
TRIALS = "trials"  # the folder of the trials' run directories
TUNING = "tuning"  # the folder of the trainings that only choose settings
LOCK = ".lock"

# In the run directory of a trial.
TRIAL = "trial.json"

# In both a study's folder and a run directory.
REPORT = "report.html"
PLAY = "play.html"
OWN = "own"  # the folder of copies of a person's own code
EVENT_FILES = "tb"  # the folder of TensorBoard's

# In the cache, of prepared images: one name with each of these endings.
PIXELS, SHAPES, HASHES, KEYS = ".pixels", ".shapes", ".hashes", ".keys"
WHOLE = ".json"  # written last: all images are there
SHEET = ".png"
PREPARED = (WHOLE, KEYS, SHEET, HASHES, SHAPES, PIXELS)  # as they are removed: WHOLE first
LOCK_SUFFIX = ".lock"


def evaluation_file(measured: str) -> str:
    """Of a run directory. measured: a split, or the name of another source."""
    return f"eval-{measured}.json"


def confusion_picture(measured: str) -> str:
    """The one beside `evaluation_file`."""
    return f"confusion-{measured}.svg"


def tracker_file(tracker: str) -> str:
    """What finds a tracked run or study again in a tracker."""
    return f"tracked-{tracker}.json"
