"""Tries own classes in a process of its own, which may hang or die without harm."""

import base64
import contextlib
import faulthandler
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cnnkit.config.model import ModelConfig
from cnnkit.errors import OwnCodeError
from cnnkit.events import Note, NoteListener, ignore
from cnnkit.nn.tried import ACTIVATION, HEAD, POOLING, Case, problem_of, seconds_against_max
from cnnkit.own.code import refuse_untrusted
from cnnkit.own.names import Reference, reference, shown
from cnnkit.own.sources import Source, know, source_of, trust

LIMIT = 30.0  # seconds for a class
START = 120.0  # more for Python and torch to be loaded
SLOW = 1.5  # times the seconds of max, from which on it is told
_fine: set[str] = set()  # what was tried in this process already


def cases_in(models: Iterable[ModelConfig]) -> list[Case]:
    """The own classes of some networks, each with what it is given there, once."""
    cases: dict[str, Case] = {}
    for model in models:
        for stage in model.stages:
            _add(cases, POOLING, stage.choice.name, stage.choice.settings, stage.pool_size, stage.channels)
        head = model.head_choice
        _add(cases, HEAD, head.name, head.settings, 2, model.stages[-1].out_channels)
        _add(cases, ACTIVATION, model.activation, {}, 2, 4)
    return [*cases.values()]


def _add(cases: dict[str, Case], family: str, name: str, settings: Any, k: int, channels: int) -> None:
    if reference(name):
        case = Case(family, name, dict(settings), k, min(channels, 8))
        cases[_key(case)] = case


def _key(case: Case) -> str:
    return json.dumps(asdict(case), sort_keys=True)


def try_own_classes(models: Iterable[ModelConfig], notify: NoteListener = ignore) -> None:
    """Tries the own classes of networks on small inputs; tells how slow they are.

    Raises OwnCodeError, in words, where one cannot be trained with, or is not to be run.
    """
    cases = [case for case in cases_in(models) if _key(case) not in _fine]
    for case in cases:
        refuse_untrusted(_named(case))
    if not cases:
        return
    slowest: dict[str, float] = {}
    for case, (problem, times) in zip(cases, _answers(cases), strict=True):
        if problem:
            raise OwnCodeError(f"{shown(case.name)} cannot be trained with: {problem}")
        _fine.add(_key(case))
        slowest[shown(case.name)] = max(times or 0.0, slowest.get(shown(case.name), 0.0))
    for name, times in slowest.items():
        if times > SLOW:
            notify(Note(f"{name} takes {times:.2g} times the seconds of max pooling"))


def _named(case: Case) -> Reference:
    named = reference(case.name)
    assert named is not None
    return named


def _answers(cases: Sequence[Case]) -> list[tuple[str, float | None]]:
    """(what is wrong, times the seconds of max) of each, up to the first one that is wrong."""
    jobs: list[dict[str, object]] = []
    origins: list[str] = []
    for case in cases:
        source = source_of(_named(case))
        raw = base64.b64encode(source.raw).decode()
        jobs.append({"case": asdict(case), "raw": raw, "origin": source.origin})
        origins.append(source.origin)
    with tempfile.TemporaryDirectory(prefix="cnnkit-own-") as folder:
        answers = Path(folder) / "answers"
        (Path(folder) / "jobs").write_text(json.dumps(jobs))
        code, told = _in_a_process(Path(folder), LIMIT * len(cases) + START)
        lines = answers.read_text(encoding="utf-8").splitlines() if answers.exists() else []
    found = [tuple(json.loads(line)) for line in lines]
    if len(found) < len(cases) and not (found and found[-1][0]):
        found.append((_words_of_end(code, told, origins[len(found)]), None))
    return [*found, *[("", None)] * (len(cases) - len(found))]


def _in_a_process(folder: Path, limit: float) -> tuple[int | None, str]:
    """(exit code, what it wrote to standard error); None: it was stopped after so many seconds."""
    command = [sys.executable, "-m", "cnnkit.nn.tried_apart", str(folder), str(LIMIT)]
    here = str(Path(__file__).resolve().parents[2])
    paths = filter(None, [here, os.environ.get("PYTHONPATH")])  # an empty one would be the current folder
    surroundings = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    surroundings |= {"OMP_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"}
    try:
        done = subprocess.run(
            command,
            cwd=folder,  # before Python 3.11 the current folder is searched for modules all the same
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=limit,
            env=surroundings,
        )
    except subprocess.TimeoutExpired:
        return None, ""
    return done.returncode, done.stderr


def _words_of_end(code: int | None, told: str, origin: str) -> str:
    """Why a process ended without an answer."""
    if code is None or "Timeout (" in told:
        at = re.search(rf'File "{re.escape(origin)}", line (\d+) in (\w+)', told)
        where = f", and was at line {at[1]} of {origin}, in {at[2]}" if at else ""
        return f"it does not end: it was stopped after {LIMIT:g} s{where}"
    return f"it ends the process in which it is tried (exit code {code})"


def main(folder: Path, limit: float) -> None:
    """Tries the classes in the file `jobs`; writes a line for each into `answers`.

    limit: seconds for each.
    """
    with (folder / "answers").open("w", encoding="utf-8") as answers:
        for job in json.loads((folder / "jobs").read_text()):
            case, source = Case(**job["case"]), Source(base64.b64decode(job["raw"]), job["origin"])
            know(source)
            trust([_named(case)])
            faulthandler.dump_traceback_later(limit, exit=True)
            problem, times = problem_of(case), None
            if not problem and case.family == POOLING:
                with contextlib.suppress(Exception):
                    times = seconds_against_max(case)
            faulthandler.cancel_dump_traceback_later()
            answers.write(json.dumps([problem, times]) + "\n")
            answers.flush()
            if problem:
                return


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
