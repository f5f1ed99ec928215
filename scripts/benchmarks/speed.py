"""Part 3: images per second at evaluation and prediction, a process a figure."""

from benchmarks.parts import Contestant, Options, Part, last_line_of_json
from benchmarks.processes import python
from benchmarks.summary import Rows, Verdicts

REPEATS = 3
CONFIGS = ("fast", "mnist")
WAYS = ("evaluation", "prediction", "one-by-one")  # one-by-one: prediction in batches of 1


def contestants(options: Options) -> list[Contestant]:
    def contestant(config: str, what: str) -> Contestant:
        command = python("-m", "benchmarks.throughput", "--config", config, "--what", what)
        rounds = options.repeats or REPEATS
        return Contestant(f"{config}, {what}", lambda _: command, last_line_of_json, rounds, "images/s")

    return [contestant(config, what) for config in CONFIGS for what in WAYS]


def no_target(_: Rows) -> Verdicts:
    return {}


PART = Part("speed", "Images per second on the test split, warm", contestants, no_target)
