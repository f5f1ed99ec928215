"""Parts 2, 4, 5 and 6: whole commands, in turn with `import torch` where they are measured against it."""

from collections.abc import Callable

from benchmarks.parts import Contestant, Options, Part, wall_seconds
from benchmarks.processes import Finished, cnnkit, python
from benchmarks.summary import (
    Rows,
    Sample,
    Verdict,
    Verdicts,
    difference,
    measured,
    megabytes,
    ratio,
    seconds,
    share,
    times,
)

IMPORT = "import torch"
HELP = "cnnkit --help"
FAST = "cnnkit train --config fast"
MNIST = "cnnkit train --config mnist, 1 epoch"
SEEDS = (1, 2, 4, 5, 8)
REPEATS = {"process": 10, "memory": 5, "comparison": 3, "help": 10}

MOST_ABOVE_IMPORT = 2.5  # seconds
MOST_MEMORY = 500e6  # bytes above `import torch`
MOST_HELP = 0.1  # of `import torch`
MOST_FOR_TWICE = 2.05  # times the cost
MOST_FOR_5_SEEDS = 45.0  # seconds

COMMANDS = {
    IMPORT: python("-c", "import torch"),
    HELP: cnnkit("--help"),
    FAST: cnnkit("train", "--config", "fast"),
    MNIST: cnnkit("train", "--config", "mnist", "--set", "training.epochs=1"),
}


def peak_memory(finished: Finished) -> Sample:
    return {"value": finished.peak, "seconds": finished.seconds}


def process_contestants(options: Options) -> list[Contestant]:
    return [_seconds(name, "process", options) for name in (IMPORT, FAST)]


def judge_process(rows: Rows) -> Verdicts:
    if not measured(rows, IMPORT, FAST):
        return {}
    above = difference(rows, FAST, IMPORT)
    return {FAST: [Verdict("above import torch", above, "≤", MOST_ABOVE_IMPORT, seconds)]}


def memory_contestants(options: Options) -> list[Contestant]:
    rounds = options.repeats or REPEATS["memory"]
    return [_whole(name, COMMANDS[name], peak_memory, rounds, "bytes") for name in (IMPORT, FAST, MNIST)]


def judge_memory(rows: Rows) -> Verdicts:
    def against_import(name: str) -> Verdict:
        return Verdict("above import torch", difference(rows, name, IMPORT), "≤", MOST_MEMORY, megabytes)

    return {name: [against_import(name)] for name in (FAST, MNIST) if measured(rows, IMPORT, name)}


def help_contestants(options: Options) -> list[Contestant]:
    return [_seconds(name, "help", options) for name in (IMPORT, HELP)]


def judge_help(rows: Rows) -> Verdicts:
    if not measured(rows, IMPORT, HELP):
        return {}
    return {HELP: [Verdict("of import torch", ratio(rows, HELP, IMPORT), "≤", MOST_HELP, share)]}


def comparison_contestants(options: Options) -> list[Contestant]:
    def command(count: int) -> list[str]:
        return cnnkit("compare-pooling", "--config", "fast", "--seeds", str(count), "--out", "study")

    rounds = options.repeats or REPEATS["comparison"]
    return [_whole(study(count), command(count), wall_seconds, rounds, "s") for count in SEEDS]


def judge_comparison(rows: Rows) -> Verdicts:
    verdicts: Verdicts = {}
    for count in SEEDS:
        half, twice = study(count // 2), study(count)
        if count % 2 == 0 and measured(rows, half, twice):
            cost = ratio(rows, twice, half)
            verdicts[twice] = [Verdict("for twice the seeds", cost, "≤", MOST_FOR_TWICE, times)]
    if measured(rows, study(5)):
        whole = rows[study(5)].median
        verdicts[study(5)] = [Verdict("whole process", whole, "≤", MOST_FOR_5_SEEDS, seconds)]
    return verdicts


def study(count: int) -> str:
    return f"4 poolings × {count} seed{'s' if count > 1 else ''}"


def _seconds(name: str, part: str, options: Options) -> Contestant:
    return _whole(name, COMMANDS[name], wall_seconds, options.repeats or REPEATS[part], "s")


def _whole(
    name: str, command: list[str], read: Callable[[Finished], Sample], rounds: int, unit: str
) -> Contestant:
    """The same command in every round."""
    return Contestant(name, lambda _: command, read, rounds, unit)


PROCESS = Part(
    "process", "The whole process, from typing it to the prompt", process_contestants, judge_process
)
MEMORY = Part("memory", "Peak resident memory", memory_contestants, judge_memory)
COMPARISON = Part(
    "comparison", "compare-pooling --config fast, whole process", comparison_contestants, judge_comparison
)
HELP_PART = Part("help", "cnnkit --help, whole process", help_contestants, judge_help, needs_data=False)
