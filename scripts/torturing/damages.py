"""Part damages: a kept file is changed; a command then gives what it gave before, or names the file.

Hostile content (deep nesting, endless numbers, a pipe instead of a file) counts as damage, too.
"""

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from torturing import samples
from torturing.processes import Finished, Workshop
from torturing.samples import RESUME, RESUME_STUDY, RUN, STOPPED, STUDY, VERIFY, tensors, told
from torturing.tries import Attempt, Part

MEMORY = 3_000_000_000  # bytes beyond torch: a file of a few kB may not ask for more
PATIENCE = 40.0  # seconds
TEXTS = (".json", ".jsonl", ".yaml")
ADDED = re.compile(r"(eval|confusion)-|curves|report|environment|\.lock|failure")  # no claim rests on them


@dataclass(frozen=True)
class Target:
    """What is damaged. commands: each is tried. home: where the files lie, below the folder of a try."""

    make: Callable[[Workshop], Path]
    home: str
    commands: tuple[tuple[str, ...], ...]


PREDICT = ("predict", RUN, "seven.png", "--json")
WEIGHTS = "W.safetensors"
TARGETS = {
    "run": Target(
        samples.finished_run,
        RUN,
        (
            *(("eval", RUN, "--json"), ("eval", f"{RUN}/last.safetensors", "--json"), PREDICT),
            *(("report", RUN), RESUME),
        ),
    ),
    "stopped": Target(
        samples.stopped_run, STOPPED, (("train", "--resume", STOPPED, "--json"), ("report", STOPPED))
    ),
    "study": Target(samples.finished_study, STUDY, (("report", STUDY), VERIFY, RESUME_STUDY)),
    "weights": Target(
        samples.finished_run,
        WEIGHTS,
        (("eval", WEIGHTS, "--json"), ("predict", WEIGHTS, "seven.png", "--json")),
    ),
    "cache": Target(samples.finished_run, "cache", (("eval", RUN, "--json"),)),
}


def prepare(workshop: Workshop) -> Attempt:
    wanted: dict[tuple[str, ...], Any] = {}

    def attempt(random: Random, folder: Path) -> str:
        name = random.choice([*TARGETS])
        target = TARGETS[name]
        command = random.choice(target.commands)
        private = {"XDG_CACHE_HOME": str(folder / "cache")} if name == "cache" else {}
        if command not in wanted:
            with workshop.aside():
                before = workshop.run(_copy(workshop, target, folder), *command).check([0])
            wanted[command] = result_of(before, command, folder)
        _copy(workshop, target, folder)
        file = random.choice(_files(folder / target.home))
        raw = file.read_bytes()
        others = [other for other in _files(folder / target.home) if other != file]
        damage = random.choice([d for d in DAMAGES if _fits(d, file, others)])
        damage(random, file, others)
        workshop.commands.append(f"# {damage.__name__} {file.relative_to(folder)}")
        done = workshop.run(folder, *command, environment=private, memory=MEMORY, seconds=PATIENCE)
        same_bytes = command == VERIFY and file.is_file() and file.read_bytes() == raw
        return _judge(done, command, folder, wanted[command], file, same_bytes)

    return attempt


def _copy(workshop: Workshop, target: Target, folder: Path) -> Path:
    shutil.rmtree(folder)
    shutil.copytree(target.make(workshop), folder, symlinks=True)
    if target.home == "cache":
        shutil.copytree(workshop.cache, folder / "cache")
    return folder


def _files(home: Path) -> list[Path]:
    if home.is_file():
        return [home]
    return sorted(path for path in home.rglob("*") if path.is_file() and path.name != ".lock")


def _judge(
    done: Finished, command: tuple[str, ...], folder: Path, wanted: Any, file: Path, same_bytes: bool
) -> str:
    done.check([0, 1, 2])
    named = file.name in done.err + done.out or (
        command[0] == "report" and done.code == 0 and _names_more(folder / command[1], wanted, file.name)
    )
    if done.code:
        if not named and file.parent.name not in done.err:
            done.fail(f"{file.relative_to(folder)} is damaged, and the message does not name it")
        return "named"
    if command == VERIFY and not same_bytes and not ADDED.match(file.name):
        done.fail(f"{file.relative_to(folder)} is damaged, and --verify passes")
    if result_of(done, command, folder) == wanted:
        return "unchanged"
    if not named:
        done.fail(f"{file.relative_to(folder)} is damaged, and the result is another")
    return "named"


def result_of(done: Finished, command: tuple[str, ...], folder: Path) -> Any:
    """What a command gave: JSON without times, the page, and the weights that it trained."""
    if command[0] == "report":
        return (folder / command[1] / "report.html").read_bytes()
    result = told(done.out)
    if "--resume" in command and command[0] == "train":
        return result, tensors(folder / command[2] / "best.safetensors")
    return result


def _names_more(home: Path, page: bytes, name: str) -> bool:
    """Whether a report names a file oftener than that of the undamaged one did."""
    return (home / "report.html").read_bytes().count(name.encode()) > page.count(name.encode())


Damage = Callable[[Random, Path, list[Path]], None]


def flip_a_bit(random: Random, file: Path, others: list[Path]) -> None:
    raw = bytearray(file.read_bytes())
    raw[random.randrange(len(raw))] ^= 1 << random.randrange(8)
    file.write_bytes(raw)


def flip_bits(random: Random, file: Path, others: list[Path]) -> None:
    for _ in range(random.randint(2, 40)):
        flip_a_bit(random, file, others)


def truncate(random: Random, file: Path, others: list[Path]) -> None:
    os.truncate(file, random.randrange(file.stat().st_size))


def empty(random: Random, file: Path, others: list[Path]) -> None:
    file.write_bytes(b"")


def delete(random: Random, file: Path, others: list[Path]) -> None:
    file.unlink()


def swap(random: Random, file: Path, others: list[Path]) -> None:
    """With another file of its name where there is one: the most believable mistake."""
    alike = [other for other in others if other.name == file.name] or others
    other = random.choice(alike)
    file.write_bytes(other.read_bytes())


def add(random: Random, file: Path, others: list[Path]) -> None:
    file.write_bytes(file.read_bytes() + random.randbytes(random.choice((1, 4096))))


def zero(random: Random, file: Path, others: list[Path]) -> None:
    raw = bytearray(file.read_bytes())
    start = random.randrange(len(raw))
    raw[start : start + 512] = bytes(len(raw[start : start + 512]))
    file.write_bytes(raw)


def make_a_folder(random: Random, file: Path, others: list[Path]) -> None:
    file.unlink()
    file.mkdir()


def make_a_pipe(random: Random, file: Path, others: list[Path]) -> None:
    file.unlink()
    os.mkfifo(file)


def link_to_itself(random: Random, file: Path, others: list[Path]) -> None:
    file.unlink()
    file.symlink_to(file.name)


HOSTILE = (
    "[" * 200_000,
    '{"a":' * 100_000,
    '"' + "x" * 4_000_000 + '"',
    "[1]",
    "null",
    '"text"',
    "\ud800",
    "{}",
)
VALUES = (
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "1000000000000",
    "-1",
    "0",
    '"text"',
    "null",
    "true",
    "[]",
    "1e-320",
)


def put_hostile_text(random: Random, file: Path, others: list[Path]) -> None:
    file.write_bytes(random.choice(HOSTILE).encode(errors="surrogatepass"))


def put_hostile_value(random: Random, file: Path, others: list[Path]) -> None:
    text = file.read_text()
    found = random.choice([*re.finditer(r"(?<=: )-?[\d.]+(e-?\d+)?", text)])
    file.write_text(text[: found.start()] + random.choice(VALUES) + text[found.end() :])


DAMAGES: tuple[Damage, ...] = (
    *(flip_a_bit, flip_bits, truncate, empty, delete, swap, add, zero),
    *(make_a_folder, make_a_pipe, link_to_itself, put_hostile_text, put_hostile_value),
)


def _fits(damage: Damage, file: Path, others: list[Path]) -> bool:
    if damage is swap:
        return bool(others)
    if damage in (put_hostile_text, put_hostile_value):
        return file.suffix in TEXTS
    return file.stat().st_size > 0 or damage not in (flip_a_bit, flip_bits, truncate, zero)


PART = Part("damages", "A kept file is damaged: unchanged, or named", prepare, 300)
