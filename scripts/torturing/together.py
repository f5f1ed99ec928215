"""Part together: two commands at one folder. One is refused in words, or both give what one alone gives.

The first is stopped at a tick, the second runs to its end, the first goes on: no clock is asked.
"""

import functools
import json
import signal
from pathlib import Path
from random import Random

from torturing import samples
from torturing.processes import Failure, Finished, Workshop, ticks_of
from torturing.samples import COMPARE, RUN, TRAIN, leftovers, told, with_config
from torturing.tries import Attempt, Part

OTHER = ("--set", "training.seed=1")
RUNS = 0.75  # share of the tries with two trainings; the others have two comparisons
TWICE = ((TRAIN, samples.finished_run), (COMPARE, samples.finished_study))
SECONDS = 30.0  # in which a command must end while another is stopped


def prepare(workshop: Workshop) -> Attempt:
    def attempt(random: Random, folder: Path) -> str:
        with_config(folder)
        command, make = TWICE[0 if random.random() < RUNS else 1]
        tick = random.randint(1, ticks_of(make(workshop)))
        second = (*command, *random.choice(((), OTHER)))
        ends = _both(workshop, folder, command, second, tick, at_once=random.random() < 0.3)
        return _judge(folder, ends, _alone(workshop, command))

    return attempt


@functools.cache
def _alone(workshop: Workshop, command: tuple[str, ...]) -> dict[str, object]:
    """What each of the two gives in a folder of its own, by the seed's option."""
    results = {}
    for options in ((), OTHER):
        folder = with_config(workshop.new_folder("alone"))
        with workshop.aside():
            done = workshop.run(folder, *command, *options).check([0])
        results[" ".join(options)] = told(done.out)
    return results


def _both(
    workshop: Workshop,
    folder: Path,
    command: tuple[str, ...],
    second: tuple[str, ...],
    tick: int,
    at_once: bool,
) -> list[Finished]:
    stops: dict[int, list[int]] = {} if at_once else {tick: [signal.SIGSTOP]}
    workshop.commands.append(f"# {'at once' if at_once else f'the first stops at tick {tick}'}")
    first = workshop.start(folder, *command, signals=stops, label="1")
    ends = [] if at_once else [workshop.wait(first)]
    other = workshop.wait(workshop.start(folder, *second, label="2"), SECONDS)
    if not ends or ends[0].stopped:
        first.signal(signal.SIGCONT)
        ends = [workshop.wait(first)]
    return [*ends, other]


def _judge(folder: Path, ends: list[Finished], alone: dict[str, object]) -> str:
    for done in ends:
        done.check([0, 1, 2])
    whole = [done for done in ends if done.code == 0]
    if not whole:
        raise Failure("both were refused: " + " | ".join(done.err.strip() for done in ends))
    for done in whole:
        wanted = alone[" ".join(OTHER) if "training.seed=1" in done.command else ""]
        if told(done.out) != wanted:
            done.fail("prints another result than alone")
    if left := leftovers(folder):
        raise Failure(f"{', '.join(left)} is left behind")
    if ends[0].command.startswith("cnnkit train") and len(whole) == 2:
        raise Failure("both trained into one folder, and both ended with exit code 0")
    if (folder / RUN).is_dir():
        _check_run(folder / RUN, whole[0])
    return "one was refused" if len(whole) == 1 else "both have the same study"


def _check_run(run: Path, winner: Finished) -> None:
    """The folder holds the run of the one that ended well, and no file of the other."""
    seed = 1 if "training.seed=1" in winner.command else 0
    kept = json.loads((run / "result.json").read_text())
    if kept["seed"] != seed or f"seed: {seed}" not in (run / "config.yaml").read_text():
        winner.fail("the folder holds the other's configuration or result")
    if samples.timeless(kept) != told(winner.out):
        winner.fail("the folder holds another result than was printed")


PART = Part("together", "Two commands at one folder: one wins whole", prepare, 60)
