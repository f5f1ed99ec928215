"""Part 7: warm trainings on a CUDA device, alone and 32 seeds together, against the recipe on the same card.

Its targets are meant for an H200. A process first trains once without being measured.
"""

import statistics

from benchmarks.parts import Contestant, Options, Part
from benchmarks.processes import python, run
from benchmarks.summary import Rows, Verdict, Verdicts, measured, percent, ratio, seconds, times
from benchmarks.training import FIRST_SEED, read_script

FAST, RECIPE, TOGETHER, ACCURATE = "fast", "recipe", "fast, 32 seeds together", "accurate"
SEEDS = {FAST: 10, RECIPE: 10, TOGETHER: 3, ACCURATE: 3}
COMMANDS = {
    FAST: ("benchmarks.warm", "--config", "fast"),
    RECIPE: ("benchmarks.reference_recipe", "--warm"),
    TOGETHER: ("benchmarks.warm", "--config", "fast", "--together", "32"),
    ACCURATE: ("benchmarks.warm", "--config", "accurate"),
}
MOST_SECONDS, LEAST_SPEEDUP, MOST_FOR_32_SEEDS = 0.05, 5.0, 4.0
LEAST_ACCURACY = {FAST: 0.99, ACCURATE: 0.997}
LOOK = "import sys, torch; sys.exit(not torch.cuda.is_available())"


def contestants(options: Options) -> list[Contestant]:
    missing = "torch finds no CUDA device" if run(python("-c", LOOK)).code else ""
    return [_contestant(name, options.repeats or SEEDS[name], missing) for name in SEEDS]


def _contestant(name: str, rounds: int, missing: str) -> Contestant:
    def command(number: int) -> list[str]:
        return python("-m", *COMMANDS[name], "--seed", str(FIRST_SEED + number))

    return Contestant(name, command, read_script, rounds, missing=missing)


def judge(rows: Rows) -> Verdicts:
    verdicts: Verdicts = {
        name: [Verdict("mean accuracy", rows[name].mean_accuracy, "≥", bound, percent)]
        for name, bound in LEAST_ACCURACY.items()
        if measured(rows, name)
    }
    if measured(rows, FAST):
        verdicts[FAST].append(Verdict("training", rows[FAST].median, "≤", MOST_SECONDS, seconds))
    if measured(rows, FAST, RECIPE):
        faster = ratio(rows, RECIPE, FAST)
        verdicts[FAST].append(Verdict("faster than recipe", faster, "≥", LEAST_SPEEDUP, times))
    if measured(rows, FAST, TOGETHER):
        training = ratio(rows, TOGETHER, FAST)
        whole, alone = (statistics.median(rows[name].column("whole_seconds")) for name in (TOGETHER, FAST))
        verdicts[TOGETHER] = [
            Verdict("training of 32 against one", training, "≤", MOST_FOR_32_SEEDS, times),
            Verdict("set-up, training and test", whole / alone, "≤", MOST_FOR_32_SEEDS, times),
        ]
    return verdicts


PART = Part("gpu", "Training on a GPU that is warm", contestants, judge)
