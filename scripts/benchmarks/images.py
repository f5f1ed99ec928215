"""Part 8: a network in colour, trained on image files: configs/cifar10.yaml beside two peers.

The folder holds train/CLASS/FILE and test/CLASS/FILE, such as CIFAR-10 as JPEGs. Time: the training epochs.
cnnkit reads prepared images; how long preparing takes is a row of its own, measured with an empty cache. The
peers decode every file in every epoch, as their loaders do.
"""

import json
from collections.abc import Callable
from pathlib import Path

from benchmarks.parts import Contestant, Options, Part, last_line_of_json
from benchmarks.processes import Finished, cnnkit, python
from benchmarks.summary import Rows, Sample, Verdict, Verdicts, measured, percent, ratio, seconds, times
from benchmarks.training import FIRST_SEED, not_installed, read_result, read_script

CONFIG = "cifar10"
PREPARING = "cifar10, preparing"
PEERS = {"lightning": ("lightning",), "keras": ("keras", "grain")}  # packages that they need
SEEDS, REPEATS = 3, 3

LEAST_ACCURACY, MOST_SECONDS, LEAST_SPEEDUP = 0.85, 300.0, 3.0


def contestants(options: Options) -> list[Contestant]:
    folder, absent = options.folder or Path(), "" if options.folder else "no images: --folder FOLDER"
    preparing = python("-m", "benchmarks.preparing", "--folder", str(folder))
    rounds = options.repeats or REPEATS

    def seeds(name: str) -> int:
        return options.seeds_of.get(name, SEEDS if options.seeds is None else options.seeds)

    def peer(name: str) -> Contestant:
        command = _peer(name, folder, options.peer_epochs)
        return Contestant(
            name, command, read_peer, seeds(name), missing=absent or not_installed(*PEERS[name])
        )

    return [
        Contestant(CONFIG, _training(folder), read_result, seeds(CONFIG), missing=absent),
        *map(peer, PEERS),
        Contestant(PREPARING, lambda _: preparing, last_line_of_json, rounds, missing=absent),
    ]


def overrides(folder: Path) -> tuple[str, ...]:
    """What makes the shipped configuration train on a folder."""
    return ("data.dataset=folder", f"data.root={json.dumps(str(folder))}")


def _training(folder: Path) -> Callable[[int], list[str]]:
    def command(number: int) -> list[str]:
        keys = (*overrides(folder), f"training.seed={FIRST_SEED + number}")
        set_ = [word for key in keys for word in ("--set", key)]
        return cnnkit("train", "--config", CONFIG, *set_, "--json", "--quiet", "--out", "run")

    return command


def _peer(name: str, folder: Path, epochs: int | None) -> Callable[[int], list[str]]:
    shortened = ("--epochs", str(epochs)) if epochs else ()

    def command(number: int) -> list[str]:
        seed = ("--seed", str(FIRST_SEED + number))
        return python("-m", f"benchmarks.peer_{name}", *seed, "--folder", str(folder), *shortened)

    return command


def read_peer(finished: Finished) -> Sample:
    """Of a shortened training the seconds are scaled to all epochs, and its accuracy is no result."""
    sample = read_script(finished)
    if sample["epochs"] != sample["of_epochs"]:
        sample["value"] *= sample["of_epochs"] / sample["epochs"]
        sample["scaled_to"] = sample["of_epochs"]
        del sample["test_accuracy"]
    return sample


def judge(rows: Rows) -> Verdicts:
    if not measured(rows, CONFIG):
        return {}
    row = rows[CONFIG]
    return {
        CONFIG: [
            Verdict("mean accuracy", row.mean_accuracy, "≥", LEAST_ACCURACY, percent),
            Verdict("training", row.median, "≤", MOST_SECONDS, seconds),
            *(
                Verdict(f"faster than {peer}", ratio(rows, peer, CONFIG), "≥", LEAST_SPEEDUP, times)
                for peer in PEERS
                if measured(rows, peer)
            ),
        ]
    }


PART = Part("images", "Training on image files, in colour", contestants, judge, needs_data=False)
