"""Which options of a command exclude or need each other, and why: tables, which tests walk over."""

from collections.abc import Iterator
from typing import Any

CONFIGURATION = ("CONFIG", "--config", "--set")
REDRAWN = ("--folds", "--resample-test")
STUDIES = [
    ("--seeds", ("--min-seeds", "--max-seeds"), "exactly so many are trained, whatever comes out"),
    ("--folds", ("--resample-test",), "a seed tests on its fold, or on a split that it draws"),
    ("--resume", REDRAWN, "a study goes on with the test images that it was planned with"),
    ("--resume", CONFIGURATION, "a study goes on with the configuration that it was planned with"),
    ("--resume", ("--match",), "the networks of a study stay as wide as they were planned"),
    ("--resume", ("--metric",), "a study goes on with the metric that it was planned with"),
    ("--resume", ("--tune", "--tune-keys"), "a study goes on as it was tuned"),
    ("--resume", ("--shard",), "a study goes on as the shard that it was planned as"),
    ("--shard", ("--tune", "--tune-keys"), "every shard would tune all values again"),
    ("--executor ray", ("--workers",), "the cluster decides how many trials run side by side"),
    ("--executor local", ("--ray-address",), "trials run on a cluster only with --executor ray"),
]
# By command: an option, others that it does not go with, and the reason. `--option value` stands for an
# option that has this value, even by default.
EXCLUDES: dict[str, list[tuple[str, tuple[str, ...], str]]] = {
    "train": [
        ("--resume", CONFIGURATION, "a run goes on with the configuration that it began with"),
        ("--resume", ("--out",), "a run goes on in its own folder"),
        ("--resume", ("--yes",), "a run that goes on is not asked about"),
    ],
    "eval": [("--data", ("--root",), "other images are measured, and those of the run are not looked at")],
    "export": [("--format torch", ("--int8",), "only ONNX files are quantised")],
    "compare": STUDIES,
    "compare-pooling": [
        *STUDIES,
        ("--resume", ("--where",), "a study goes on in the place that it was planned for"),
        ("--resume", ("--orders",), "a study goes on with the keys that it was planned with"),
    ],
}
# By command: an option that goes with no other one but these, and the reason.
ALONE: dict[str, list[tuple[str, tuple[str, ...], str]]] = {
    "compare": [
        (
            "--verify",
            ("--json", "--deep", "--root", "--trust"),
            "it computes a finished study again, and trains nothing",
        ),
        (
            "--merge",
            ("CONFIG", "--verify", "--out", "--json"),
            "it joins shards, and trains nothing",
        ),
    ],
    "data": [("--cache", ("--clear", "--json"), "it tells what is kept of all images")],
}

# By command: an option that does nothing without another one, or one of two, and the reason.
WHERE_IT_LIES = ("--resume", "--out", "a study goes on in its folder")
WHAT_IT_KEPT = ("--deep", "--verify", "it evaluates the weights that a study has kept")
WHERE_IMAGES_LIE = ("--root", "--resume", "a new one has data.root")
WHERE_THEY_LIE = ("--root", "--resume or --verify", "a new one has data.root")
WHAT_IS_SHARED_OUT = ("--shard", "--seeds", "no shard can know when the whole study is decided")
WHAT_IS_TUNED = ("--tune-keys", "--tune", "it names what is tuned")
NEEDS = {
    "train": [WHERE_IMAGES_LIE, ("--trust", "--resume", "the code that you name yourself runs without it")],
    "compare": [
        *(WHERE_IT_LIES, WHERE_THEY_LIE, WHAT_IT_KEPT, WHAT_IS_TUNED, WHAT_IS_SHARED_OUT),
        ("--merge", "--out", "the whole study gets a folder of its own"),
    ],
    "compare-pooling": [WHERE_IT_LIES, WHERE_IMAGES_LIE, WHAT_IS_TUNED, WHAT_IS_SHARED_OUT],
    "data": [("--clear", "--cache", "it empties the cache")],
}
# By command: an option that takes all words up to the next option, as a shell gives them for `S/*`.
TAKES_ALL = {"compare": "--merge"}


def exclusions_of(command: Any) -> Iterator[tuple[str, str, str]]:
    """Every pair of options of a command that exclude each other, with the reason."""
    for one, allowed, why in ALONE.get(command.name, []):
        for parameter in command.params:
            name = parameter.opts[0] if parameter.param_type_name == "option" else parameter.metavar
            if name not in (one, *allowed):
                yield one, name, why
    for one, others, why in EXCLUDES.get(command.name, []):
        for other in others:
            yield one, other, why


def told(one: str, other: str, why: str) -> str:
    """The sentence that refuses a pair."""
    return f"{other} does not go with {one}: {why}; leave out {other}"
