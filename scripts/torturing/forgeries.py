"""Part forgeries: numbers of a study are changed. `--verify` names a plain change, `--deep` a careful one.

A careful forger recomputes hashes and results; a plain one does not.
"""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

from torturing.processes import Finished, Workshop
from torturing.samples import STUDY, VERIFY, finished_study
from torturing.sealing import as_json, change, recompute_results
from torturing.tries import Attempt, Part

DEEP = (*VERIFY, "--deep")
CAREFUL = 0.5  # share of the tries
# What the weights, the data and the plan tell again; times, for one, nobody can.
CLAIMED = (
    "test_accuracy",
    "test_balanced_accuracy",
    "test_macro_f1",
    "test_loss",
    "val_accuracy",
    "val_loss",
    "clean_train_accuracy",
    "clean_train_loss",
    "temperature",
    "uniform_share",
    "best_epoch",
    "parameters",
    "macs",
    "seed",
)


def prepare(workshop: Workshop) -> Attempt:
    made = finished_study(workshop)
    deep = workshop.run(made, *DEEP).code == 0

    def attempt(random: Random, folder: Path) -> str:
        shutil.copytree(made / STUDY, folder / STUDY)
        careful = random.random() < CAREFUL
        forge = random.choice(CAREFULLY if careful else PLAINLY)
        file = forge(random, folder / STUDY, _sealed if careful else _plainly)
        workshop.commands.append(f"# {forge.__name__}{', hashes recomputed' if careful else ''}: {file}")
        if careful and not deep:
            return "not asked: there is no --deep"
        if careful and not recompute_results(folder / STUDY):
            return "seen when results are computed"
        done = workshop.run(folder, *(DEEP if careful else VERIFY))
        return _judge(done, file)

    return attempt


def _judge(done: Finished, file: str) -> str:
    done.check([0, 1, 2])
    if done.code == 0:
        done.fail(f"{file} is forged, and it passes")
    if Path(file).name not in done.err:
        done.fail(f"{file} is forged, and the message does not name it")
    return "named"


Write = Callable[[Path, bytes, Path], None]
Forge = Callable[[Random, Path, Write], str]


def _plainly(file: Path, content: bytes, home: Path) -> None:
    file.write_bytes(content)


_sealed: Write = change


def result_number(random: Random, home: Path, write: Write) -> str:
    file = _of_a_trial(random, home, "result.json")
    names = CLAIMED if write is _sealed else ()
    return _number_in(random, home, file, write, names)


def metrics_number(random: Random, home: Path, write: Write) -> str:
    return _number_in(random, home, _of_a_trial(random, home, "metrics.jsonl"), write)


def trial_number(random: Random, home: Path, write: Write) -> str:
    return _digit_in(random, home, _of_a_trial(random, home, "trial.json"), write)


def study_number(random: Random, home: Path, write: Write) -> str:
    return _number_in(random, home, home / "study.json", write)


def results_number(random: Random, home: Path, write: Write) -> str:
    return _number_in(random, home, home / "results.json", write)


def config_of_a_trial(random: Random, home: Path, write: Write) -> str:
    return _digit_in(random, home, _of_a_trial(random, home, "config.yaml"), write)


def config_of_the_study(random: Random, home: Path, write: Write) -> str:
    file = home / "study.json"
    content = json.loads(file.read_text())
    content["config"] = _another_digit(random, content["config"])
    write(file, as_json(content), home)
    return file.name


def labels(random: Random, home: Path, write: Write) -> str:
    return _byte_in(random, home, home / "labels.bin", write)


def one_prediction(random: Random, home: Path, write: Write) -> str:
    return _byte_in(random, home, _of_a_trial(random, home, "predictions.bin"), write)


def all_right(random: Random, home: Path, write: Write) -> str:
    """Predictions that are all right, and a result that tells so."""
    file = _of_a_trial(random, home, "predictions.bin")
    write(file, (home / "labels.bin").read_bytes(), home)
    result = file.with_name("result.json")
    scores = ("test_accuracy", "test_balanced_accuracy", "test_macro_f1")
    content = {**json.loads(result.read_text()), **dict.fromkeys(scores, 1.0)}
    write(result, as_json(content), home)
    return str(file.relative_to(home))


def better_validation(random: Random, home: Path, write: Write) -> str:
    """A validation accuracy, alike in the result and the metrics."""
    file = _of_a_trial(random, home, "result.json")
    content, metrics = json.loads(file.read_text()), file.with_name("metrics.jsonl")
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    content["val_accuracy"] = lines[content["best_epoch"] - 1]["val_accuracy"] = 1.0
    write(metrics, "".join(json.dumps(line) + "\n" for line in lines).encode(), home)
    write(file, as_json(content), home)
    return str(file.relative_to(home))


def other_weights(random: Random, home: Path, write: Write) -> str:
    """The weights of the trial beside it, with another seed and the same network."""
    file = _of_a_trial(random, home, "best.safetensors")
    level = file.parent.name.partition("-seed")[0]
    others = [path for path in home.glob(f"trials/{level}-*/best.safetensors") if path != file]
    write(file, random.choice(others).read_bytes(), home)
    return str(file.relative_to(home))


CAREFULLY: tuple[Forge, ...] = (
    *(result_number, all_right, better_validation, other_weights, config_of_a_trial, config_of_the_study),
    *(one_prediction, trial_number),
)
PLAINLY: tuple[Forge, ...] = (
    *(result_number, metrics_number, trial_number, study_number, results_number, config_of_a_trial),
    *(config_of_the_study, labels, one_prediction, all_right, better_validation, other_weights),
)


def _of_a_trial(random: Random, home: Path, name: str) -> Path:
    return random.choice(sorted(home.glob(f"trials/*/{name}")))


def _number_in(random: Random, home: Path, file: Path, write: Write, names: tuple[str, ...] = ()) -> str:
    """Changes one number of a JSON file: of those with these names, or any."""
    text = file.read_text()
    named = "|".join(names) or r"\w+"
    found = random.choice([*re.finditer(rf'(?<!\w)"({named})": (-?[\d.]+(?:e-?\d+)?)', text)])
    value = json.loads(found.group(2))
    forged = value + random.choice((1, -1)) if isinstance(value, int) else value * random.choice((1.01, 0.5))
    forged = 0.25 if forged == value else forged
    write(file, (text[: found.start(2)] + json.dumps(forged) + text[found.end(2) :]).encode(), home)
    return str(file.relative_to(home))


def _digit_in(random: Random, home: Path, file: Path, write: Write) -> str:
    write(file, _another_digit(random, file.read_text()).encode(), home)
    return str(file.relative_to(home))


def _another_digit(random: Random, text: str) -> str:
    """Changes one digit that stands in a number; the schema's version stays."""
    found = random.choice([*re.finditer(r"(?<=[ \[.\d\"a-f])\d(?=[\d.,\]}\n\"a-f])", text)][1:])
    digit = random.choice([d for d in "123456789" if d != found.group()])
    return text[: found.start()] + digit + text[found.end() :]


def _byte_in(random: Random, home: Path, file: Path, write: Write) -> str:
    raw = bytearray(file.read_bytes())
    place = random.randrange(len(raw))
    raw[place] = (raw[place] + random.randint(1, 9)) % 10
    write(file, bytes(raw), home)
    return str(file.relative_to(home))


PART = Part("forgeries", "Numbers are forged: --verify or --verify --deep names them", prepare, 200)
