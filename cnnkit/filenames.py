"""Names of the files and folders that cnnkit keeps."""

from pathlib import Path

RUNS = Path("runs")
"""The folder, below the current one, of runs and studies that are given no other."""

# In a run directory. `eval-<split>.json` and `confusion-<split>.svg` are named in `experiment.measure`.
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
PROBE = "probe.json"
TRIALS = "trials"  # the folder of the trials' run directories
TUNING = "tuning"  # the folder of the trainings that only choose settings
LOCK = ".lock"

# In the run directory of a trial.
TRIAL = "trial.json"

# In both a study's folder and a run directory.
REPORT = "report.html"
PLAY = "play.html"
