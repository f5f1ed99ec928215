"""Part fuzz: configurations by chance, from the schema. What `config check` takes trains, and costs as told.

What it refuses has a line and exit code 2. Some are no configurations but hostile YAML.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from torturing.processes import Finished, Workshop
from torturing.samples import CONFIG, RUN, tensors
from torturing.tries import Attempt, Part

MEMORY = 4_000_000_000  # bytes beyond torch
PATIENCE = 60.0  # seconds
MOST_MACS, MOST_PARAMETERS = 1_000_000, 1_000_000  # of a network that is trained here, not only counted
HOSTILE, WILD = 0.1, 0.12  # shares: of texts that are no configurations, and of values that are extreme
STEEP = 0.25  # share with a learning rate of any size: curves of many decades
BASE: dict[str, Any] = {
    "data": {"dataset": "digits", "validation": 0.1},
    "model": {"channels": [4, 8], "hidden": [16]},
    "training": {"epochs": 1, "batch_size": 256},
    "runtime": {"device": "cpu", "threads": 1, "precision": "float32"},
}
EXTREME: tuple[Any, ...] = (
    *(0, 1, -1, 2**31, 2**63, 2**64, 10**12, 10**400, 1e-320, 1e-40, 1e39, 1e300, 0.5, -0.0, 1 - 1e-16),
    *("", "max", "[", "1", None, True, [], [[]], {}, [1, 2, 3], [0], {"a": 1}, "\x07", "x" * 5000),
)
TEXTS = (
    *("[" * 15_000, "{a: " * 5_000, "a: &a [*a]", "- " * 10_000, "? " * 10_000, "\ufeff", "\x00", "\x1b[31m"),
    *("!!python/object/apply:os.system [true]", "model: !!set {a, b}", "<<: *x", "a: 1\na: 2", "\t- a"),
    *("a: &x [1]\nb: [*x, *x]", "model: {channels: !!binary aGFsbG8=}", "--- 1\n--- 2", "%YAML 9.9\n---\n{}"),
    *("training: {seed: 0x7f, epochs: 0o17}", "training: {seed: 1_000, epochs: .inf}", "1: 2", "null", "'"),
    *("model: {channels: [" + "1, " * 9_000 + "1]}", "training: {seed: " + "9" * 20_000 + "}", "a: |\n\x85"),
    *(
        "training: {learning_rate: .nan}",
        "training: {learning_rate: 1e400}",
        "? [a, b]\n: c",
        "data: 2001-01-01",
    ),
)


def prepare(workshop: Workshop) -> Attempt:
    schema = json.loads(workshop.run(workshop.new_folder("schema"), "config", "schema").check([0]).out)
    keys = list(_keys(schema, schema))

    def attempt(random: Random, folder: Path) -> str:
        text = random.choice(TEXTS) if random.random() < HOSTILE else config_by_chance(random, schema, keys)
        (folder / CONFIG).write_text(text, encoding="utf-8")
        workshop.commands.append(f"# {CONFIG}: {text[:400]!r}")
        checked = workshop.run(folder, "config", "check", CONFIG, seconds=PATIENCE, memory=MEMORY)
        if checked.check([0, 2]).code == 2:
            if not re.search(rf"{CONFIG}:\d+:\d+", checked.err) and text not in TEXTS:
                checked.fail("refused without the line")
            return "refused"
        return _costs_and_training(workshop, folder)

    return attempt


def _costs_and_training(workshop: Workshop, folder: Path) -> str:
    options: dict[str, Any] = {"seconds": PATIENCE, "memory": MEMORY}
    costs = json.loads(
        workshop.run(folder, "summary", "--config", CONFIG, "--json", **options).check([0]).out
    )
    shown = workshop.run(folder, "config", "show", "--config", CONFIG, **options).check([0])
    if not re.search("dataset: digits", shown.out) or _is_large(costs):
        return "only counted"
    done = workshop.run(
        folder,
        *("train", "--config", CONFIG, "--out", RUN, "--json", "--set", "training.epochs=2"),
        **options,
    ).check([0, 1, 2])
    if done.code:
        if not re.search(r"CUDA|MPS|finite|memory|device", done.err):
            done.fail("accepted, but not trained")
        return "refused when it trains"
    _check_costs(done, folder, costs)
    workshop.run(folder, "report", RUN, **options).check([0])
    return "trained and reported"


def _is_large(costs: dict[str, Any]) -> bool:
    return bool(costs["macs"] > MOST_MACS or costs["parameters"] > MOST_PARAMETERS)


def _check_costs(done: Finished, folder: Path, costs: dict[str, Any]) -> None:
    kept = tensors(folder / RUN / "best.safetensors")
    parameters = sum(len(raw) // 4 for name, raw in kept.items() if name.endswith(("weight", "bias")))
    if parameters != costs["parameters"]:
        done.fail(f"{parameters:,} parameters are kept, summary tells of {costs['parameters']:,}")


def config_by_chance(random: Random, schema: dict[str, Any], keys: list[tuple[tuple[str, ...], Any]]) -> str:
    """A small configuration with up to four keys drawn anew, each valid or extreme, a key a line."""
    config = json.loads(json.dumps(BASE))
    if random.random() < STEEP:
        config["training"]["learning_rate"] = 10 ** random.uniform(-6, 12)
    for path, of_key in random.sample(keys, random.randint(1, 4)):
        section = config
        for name in path[:-1]:
            section = section.setdefault(name, {})
        wild = random.random() < WILD
        section[path[-1]] = random.choice(EXTREME) if wild else value_by_chance(random, schema, of_key)
    return json.dumps(config, indent=1)


def value_by_chance(random: Random, schema: dict[str, Any], of_key: dict[str, Any]) -> Any:
    """A value that the schema allows: most are small, some lie at its bounds."""
    if "anyOf" in of_key:
        return value_by_chance(random, schema, random.choice(of_key["anyOf"]))
    if "enum" in of_key:
        return random.choice(of_key["enum"])
    kind = of_key.get("type")
    if kind == "array":
        return _array(random, schema, of_key)
    if kind in ("integer", "number"):
        return _number(random, of_key, whole=kind == "integer")
    if kind == "boolean":
        return random.random() < 0.5
    if kind == "string":
        return random.choice(("cpu", "auto", "cuda", "nowhere", "ü/ö", "a b"))
    return None


def _array(random: Random, schema: dict[str, Any], of_key: dict[str, Any]) -> list[Any]:
    if "prefixItems" in of_key:
        return [value_by_chance(random, schema, item) for item in of_key["prefixItems"]]
    length = random.choice((of_key.get("minItems", 0), 1, 2, 2, 3, 5))
    return [value_by_chance(random, schema, of_key["items"]) for _ in range(length)]


def _number(random: Random, of_key: dict[str, Any], whole: bool) -> int | float:
    low = of_key.get("minimum", of_key.get("exclusiveMinimum", 0))
    high = of_key.get("maximum", of_key.get("exclusiveMaximum", 10**9))
    if random.random() < 0.15:
        return random.choice((low, high))  # type: ignore[no-any-return]
    if whole:
        return random.randint(low, min(high, low + random.choice((1, 4, 16, 64, 4000))))
    if random.random() < 0.3:  # any order of magnitude
        return min(float(high), low + 10 ** random.uniform(-12, 12))  # type: ignore[no-any-return]
    return random.uniform(low, min(high, low + random.choice((1.0, 0.1, 1e-4, 30.0))))


def _keys(
    schema: dict[str, Any], section: dict[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, of_key in section["properties"].items():
        if "$ref" in of_key:
            inner = schema["$defs"][of_key["$ref"].rpartition("/")[2]]
            yield from _keys(schema, inner, (*path, name))
        else:
            yield (*path, name), of_key


PART = Part("fuzz", "Configurations by chance: refused with a line, or trained as counted", prepare, 400)
