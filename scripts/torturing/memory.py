"""Part memory: networks that do not fit into the memory there is: refused or told in words."""

import json
import re
from pathlib import Path
from random import Random
from typing import Any

from torturing.processes import Workshop
from torturing.samples import CONFIG, RUN, STUDY
from torturing.tries import Attempt, Part

PATIENCE = 60.0  # seconds
WEIGHTS = "W.safetensors"
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("config", "check", CONFIG),
    ("summary", "--config", CONFIG),
    *[("train", "--config", CONFIG, "--out", RUN, "--json")] * 2,
    *[("eval", WEIGHTS, "--json")] * 2,
    (
        *("compare", "--config", CONFIG, "--vary", "model.pooling=max,avg", "--seeds", "1"),
        *("--workers", "1", "--out", STUDY, "--json"),
    ),
)
WORDS = re.compile(r"memory|GB|fit|finite|larger|weights|too |no layer|same network", re.IGNORECASE)


def prepare(workshop: Workshop) -> Attempt:
    def attempt(random: Random, folder: Path) -> str:
        text = json.dumps(large_config(random), indent=1)
        (folder / CONFIG).write_text(text)
        memory = random.choice((20, 60, 150, 400, 1000)) * 1_000_000
        command = random.choice(COMMANDS)
        if WEIGHTS in command and not _small_file_of_a_large_network(folder / WEIGHTS, text):
            command = COMMANDS[0]
        workshop.commands.append(f"# {memory:,} bytes beyond torch; {CONFIG}: {text}")
        done = workshop.run(folder, *command, memory=memory, seconds=PATIENCE)
        if done.code is None and command[0] in ("train", "compare"):
            return "still training"
        done.check([0, 1, 2])
        if done.code and not WORDS.search(done.err):
            done.fail("does not tell that memory is short")
        return "told" if done.code else "done"

    return attempt


def large_config(random: Random) -> dict[str, Any]:
    """A network of up to 100 million weights a layer, or large batches."""
    return {
        "data": {"dataset": "digits", "validation": 0.1},
        "model": {
            "channels": [random.choice((16, 64, 512, 4000)), random.choice((64, 512, 2000))],
            "pool_size": random.choice((1, 2)),
            "hidden": [random.choice((16, 1000, 9000))] * random.choice((1, 2, 20)),
            "head": random.choice(("flatten", "avg")),
        },
        "training": {"epochs": 1, "batch_size": random.choice((32, 256, 1293))},
        "runtime": {"device": "cpu", "threads": 1, "precision": "float32"},
    }


def _small_file_of_a_large_network(file: Path, config: str) -> bool:
    """A whole weights file without weights, whose network asks for gigabytes; False where that is refused."""
    from cnnkit.config.load import config_text, parse_config
    from cnnkit.errors import ConfigError
    from cnnkit.tensor_files import save_tensors

    try:
        text = config_text(parse_config(config))
    except ConfigError:
        return False
    save_tensors(file, {}, {"cnnkit": "0", "config": text})
    return True


PART = Part("memory", "Networks that do not fit: told in words", prepare, 40)
