"""What a shell offers when the TAB key is pressed: configurations, keys and their values, runs."""

import contextlib
import io
import os
import re
import sys
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import typer

from cnnkit.filenames import CONFIG, RUNS, STUDY

BREAKS = {"=", ":"}  # what bash takes for words of their own


def complete_config(incomplete: str) -> list[str]:
    """The shipped names, and YAML files."""
    files = (path for path in _paths(incomplete) if path.endswith(("/", ".yaml", ".yml")))
    return [*complete_shipped(incomplete), *files]


def complete_shipped(incomplete: str) -> list[str]:
    from cnnkit.config.load import shipped_configs

    return [name for name in shipped_configs() if name.startswith(incomplete)]


def complete_data_set(incomplete: str) -> list[str]:
    from cnnkit.families.datasets import published_names

    return [name for name in published_names() if name.startswith(incomplete)]


def complete_run(incomplete: str) -> list[str]:
    """The runs below `runs/`, the newest first, and the latest run; if there are none, every path."""
    return _runs(incomplete) or list(_paths(incomplete))


def complete_run_directory(incomplete: str) -> list[str]:
    """The same, without weights files; if there are none, every folder."""
    return _runs(incomplete) or complete_folder(incomplete)


def complete_study(incomplete: str) -> list[str]:
    return _folders_holding(STUDY, incomplete) or complete_folder(incomplete)


def complete_run_or_study(incomplete: str) -> list[str]:
    return [*_folders_holding(STUDY, incomplete), *_runs(incomplete)] or complete_folder(incomplete)


def complete_folder(incomplete: str) -> list[str]:
    return [path for path in _paths(incomplete) if path.endswith("/")]


def complete_study_or_folder(incomplete: str) -> list[str]:
    """The studies below `runs/`, the newest first, and every folder."""
    return [*_folders_holding(STUDY, incomplete), *complete_folder(incomplete)]


def _runs(incomplete: str) -> list[str]:
    """The runs below `runs/`, and the latest one where that lies elsewhere."""
    from cnnkit.errors import UsageError
    from cnnkit.experiment.latest import latest_run

    found = _folders_holding(CONFIG, incomplete)
    with contextlib.suppress(UsageError, OSError):
        if (latest := str(latest_run())).startswith(incomplete) and latest not in found:
            found.insert(0, latest)
    return found


def complete_set(incomplete: str) -> list[str]:
    """`KEY=`; when only one key is left, `KEY=VALUE` for each of its values."""
    from cnnkit.config.docs import example_values, key_names

    start, equals, _ = incomplete.partition("=")
    keys = [start] if equals else [key for key in key_names() if key.startswith(start)]
    if len(keys) > 1:
        return [f"{key}=" for key in keys]
    values = {key: example_values(key) for key in keys}
    for examples in values.values():
        if len(examples) < 2 and not equals:
            examples.insert(0, "")  # else bash would take a lone example for the only value
    return [f"{key}={value}" for key in keys for value in values[key]]


def complete_tracker(incomplete: str) -> list[str]:
    from cnnkit.families.trackers import TRACKERS

    return [name for name in TRACKERS if name.startswith(incomplete)]


def complete_vary(incomplete: str) -> list[str]:
    """The same; behind a comma, the values that are not named yet."""
    from cnnkit.config.docs import example_values

    key, _, named = incomplete.partition("=")
    if "," not in named:
        return complete_set(incomplete)
    return [f"{key}={values}" for values in _one_more(named, example_values(key))]


def complete_strategies(ctx: typer.Context, incomplete: str) -> list[str]:
    """Poolings, or with `--where head` heads, that are not named yet; first of all `all`."""
    from cnnkit.families.heads import HEADS
    from cnnkit.families.poolings import POOLINGS

    names = HEADS if ctx.params.get("where") == "head" else POOLINGS
    return _one_more(incomplete, names) + ["all"] * ("," not in incomplete)


def complete_tuned_keys(incomplete: str) -> list[str]:
    from cnnkit.config.ranges import TUNABLE

    return _one_more(incomplete, TUNABLE)


def complete_pooling(incomplete: str) -> list[str]:
    from cnnkit.families.poolings import POOLINGS

    return [*POOLINGS, *(path for path in _paths(incomplete) if path.endswith(("/", ".py")))]


def complete_device() -> list[str]:
    return ["auto", "cpu", "cuda", "mps"]


def complete_column() -> list[str]:
    from cnnkit.comparison.kept_runs import SORTED_BY

    return list(SORTED_BY)


def _one_more(named: str, names: Iterable[str]) -> list[str]:
    """named: `A,B,C`, of which C may be half a name: in its place each name that does not stand before it."""
    before, comma, _ = named.rpartition(",")
    return [before + comma + name for name in names if name not in before.split(",")]


def _folders_holding(name: str, incomplete: str) -> list[str]:
    """Folders below `runs/` that hold a file of this name, the newest first."""
    found = sorted(RUNS.glob(f"*/{name}"), key=lambda path: -path.stat().st_mtime)
    return [str(path.parent) for path in found if str(path.parent).startswith(incomplete)]


def _paths(incomplete: str) -> Iterator[str]:
    """Every path that begins so; a folder's ends with a slash."""
    folder, slash, start = incomplete.rpartition("/")
    for path in sorted(Path(folder + slash or ".").iterdir()):
        if path.name.startswith(start):
            yield f"{folder}{slash}{path.name}" + ("/" if path.is_dir() else "")


@contextlib.contextmanager
def in_words_of(shell: str) -> Iterator[None]:
    """Lets a shell complete words that hold `=`. shell: as the variable of the completion names it."""
    if shell == "complete_bash":
        with whole_words():
            yield
    elif shell in ("complete_zsh", "complete_fish"):
        with option_and_value('"' if shell == "complete_zsh" else ""):
            yield
    else:
        yield


@contextlib.contextmanager
def option_and_value(quote: str) -> Iterator[None]:
    """Lets zsh and fish complete `--set=KEY=VALUE`, which is one word to them: each is offered with `--set=`.

    quote: what stands before each that is offered, at the start of a line or behind `((`.
    """
    line, space, last = os.environ.get("_TYPER_COMPLETE_ARGS", "").rpartition(" ")
    option, equals, start = last.partition("=")
    if not equals or not option.startswith("--"):
        yield
        return
    os.environ["_TYPER_COMPLETE_ARGS"] = f"{line}{space}{option} {start}"
    output = sys.stdout
    with contextlib.redirect_stdout(io.StringIO()) as offered:
        try:
            yield
        finally:
            output.write(re.sub(rf"(?m)(^|\(\(){quote}(?=.)", rf"\g<0>{option}=", offered.getvalue()))


@contextlib.contextmanager
def whole_words() -> Iterator[None]:
    """Lets bash complete `KEY=VALUE` and `FILE:CLASS`: of each it makes three words, replacing the last."""
    words = os.environ["COMP_WORDS"].split("\n")[: int(os.environ["COMP_CWORD"]) + 1]
    joined, kept = [words[0]], ""
    for before, word in pairwise(words):
        if BREAKS & {before, word}:
            kept = joined[-1] + word * (word in BREAKS)
            joined[-1] += word
        else:
            kept = ""
            joined.append(word)
    if kept.startswith("--"):
        kept = kept.partition("=")[2]  # what is offered for `--set=KEY` is without the option
    output = sys.stdout
    os.environ.update(COMP_WORDS="\n".join(joined), COMP_CWORD=str(len(joined) - 1))
    with contextlib.redirect_stdout(io.StringIO()) as offered:
        try:
            yield
        finally:
            lines = [line.removeprefix(kept) for line in offered.getvalue().splitlines()]
            output.write("\n".join(lines))
