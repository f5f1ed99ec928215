"""Part 1: seconds of training and test accuracy, a process a seed, of cnnkit, the references and the peers.

No accuracy is chosen on the test split: cnnkit keeps the best epoch by its validation images, the recipe and
the peers their last. The examples script alone stops by test accuracy, as its target says.
"""

import importlib.util
import json
from collections.abc import Callable

from benchmarks.parts import Contestant, Options, Part, last_line_of_json
from benchmarks.processes import Finished, cnnkit, python
from benchmarks.summary import Row, Rows, Sample, Verdict, Verdicts, measured, percent, ratio, times

SEEDS = 10
FIRST_SEED = 1000  # fresh: settings were chosen with small ones, on validation images
SEEDS_OF_LONG = {"accurate": 3}
CONFIGS = ("fast", "mnist", "accurate")
REFERENCES = ("recipe", "examples")
PEERS = ("lightning", "fastai", "keras")
NAMES = ("fast", *REFERENCES, *PEERS, "mnist", "accurate")

LEAST_ACCURACY = {"fast": 0.99, "mnist": 0.994, "accurate": 0.997}
MOST_TIMES_RECIPE = {"mnist": 1.0, "accurate": 8.0}
LEAST_SPEEDUP = {"recipe": 10.0, "examples": 100.0}


def contestants(options: Options) -> list[Contestant]:
    return [
        Contestant(name, _command(name), _reader(name), seeds_of(name, options), missing=_missing(name))
        for name in NAMES
    ]


def seeds_of(name: str, options: Options) -> int:
    """How many seeds: as many as asked for by name, or for all, of the long ones no more than their own."""
    wanted = SEEDS if options.seeds is None else options.seeds
    return options.seeds_of.get(name, min(wanted, SEEDS_OF_LONG.get(name, wanted)))


def judge(rows: Rows) -> Verdicts:
    verdicts: Verdicts = {}
    for name in filter(lambda name: measured(rows, name), CONFIGS):
        row = rows[name]
        verdicts[name] = [Verdict("mean accuracy", row.mean_accuracy, "≥", LEAST_ACCURACY[name], percent)]
        if name in MOST_TIMES_RECIPE and measured(rows, "recipe"):
            longer = ratio(rows, name, "recipe")
            verdicts[name].append(Verdict("of recipe's time", longer, "≤", MOST_TIMES_RECIPE[name], times))
    for name, bound in LEAST_SPEEDUP.items():
        if measured(rows, name, "fast") and not (name == "examples" and _fell_short(rows[name])):
            faster = ratio(rows, name, "fast")
            verdicts["fast"].append(Verdict(f"faster than {name}", faster, "≥", bound, times))
    return verdicts


def _fell_short(row: Row) -> bool:
    """Of what it should stop at: the time of all its epochs is then no time to get there."""
    return row.mean_accuracy < LEAST_ACCURACY["fast"]


def read_result(finished: Finished) -> Sample:
    """From what `cnnkit train --json` prints."""
    result = json.loads(finished.out)
    kept = ("test_accuracy", "val_accuracy", "epochs", "precision", "threads", "device", "setup_seconds")
    return {"value": result["train_seconds"], **{key: result[key] for key in kept}}


def read_script(finished: Finished) -> Sample:
    """From the last line of a reference or a peer."""
    result = last_line_of_json(finished)
    return {"value": result.pop("train_seconds"), **result}


def _command(name: str) -> Callable[[int], list[str]]:
    def command(number: int) -> list[str]:
        seed = FIRST_SEED + number
        if name in CONFIGS:
            options = ("--set", f"training.seed={seed}", "--json", "--quiet", "--out", "run")
            return cnnkit("train", "--config", name, *options)
        kind = "peer" if name in PEERS else "reference"
        return python("-m", f"benchmarks.{kind}_{name}", "--seed", str(seed))

    return command


def _reader(name: str) -> Callable[[Finished], Sample]:
    return read_result if name in CONFIGS else read_script


def _missing(name: str) -> str:
    return not_installed(name) if name in PEERS else ""


def not_installed(*packages: str) -> str:
    """Why a contestant that needs these cannot take part, or nothing."""
    absent = any(importlib.util.find_spec(package) is None for package in packages)
    return "not installed: pip install 'cnnkit[peers]'" if absent else ""


PART = Part("training", "Training to a test accuracy", contestants, judge)
