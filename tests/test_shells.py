"""Completion in real shells. In bash and zsh every match is put into the line, which is then echoed."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cnnkit.config.load import shipped_configs
from cnnkit.families.heads import HEADS
from cnnkit.families.poolings import POOLINGS

ROOT = Path(__file__).resolve().parent.parent
OFFERED = {
    "train --set model.pooling=": [f"model.pooling={name}" for name in POOLINGS],
    "train digits -s training.seed=1 --set model.order=a": ["model.order=activation_first"],
    "compare digits --vary model.pooling=max,str": ["model.pooling=max,stride"],
    "compare-pooling digits --strategies max,gat": ["max,gated"],
    "compare-pooling --strategies my_pool.py:Mine --config fas": ["fashion", "fast"],
    "compare-pooling --where head --strategies max,": [f"max,{name}" for name in HEADS if name != "max"],
    "eval runs/": ["runs/one", "runs/two"],
    "train --set=runtime.det": ["--set=runtime.deterministic=true", "--set=runtime.deterministic=false"],
    "train digits --set=model.pooling=g": ["--set=model.pooling=gated"],
    "train --config ": [*shipped_configs(), "mine.yaml", "runs/"],
}
SECONDS = 60  # of silence, after which nothing more is waited for
START = {
    "bash": "source shell; bind '\"\\C-xa\": insert-completions'",
    "zsh": """autoload -Uz compinit && compinit -u -D && source shell
zle -C every-match complete-word _generic && bindkey '^Xa' every-match
zstyle ':completion:every-match:*' insert yes
zstyle ':completion:every-match::::' completer _all_matches _complete""",
}
PLAIN = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: with two runs and a configuration; `cnnkit` is on the PATH."""
    here, program = tmp_path / "here", tmp_path / "bin/cnnkit"
    for run in ("one", "two"):
        (here / "runs" / run).mkdir(parents=True)
        (here / "runs" / run / "config.yaml").touch()
    (here / "mine.yaml").touch()
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cnnkit "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(here)
    return here


def needs(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")


def script_of(shell: str) -> str:
    """What `cnnkit --install-completion` would install."""
    environment = os.environ | {"_CNNKIT_COMPLETE": f"source_{shell}"}
    return subprocess.run(["cnnkit"], env=environment, check=True, capture_output=True, text=True).stdout


def typed(shell: str, keys: str) -> str:
    """What a terminal shows after these keys, which are pressed as soon as the shell can take them."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "dumb", "PS1": "> ", "HOME": str(Path.cwd()), "HISTFILE": ""}
    with subprocess.Popen(
        PLAIN[shell], stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    ) as process:
        os.close(theirs)
        os.write(ours, keys.encode())
        shown = b""
        while select.select([ours], [], [], SECONDS)[0]:
            try:
                shown += os.read(ours, 4096)
            except OSError:  # how Linux tells the end
                break
        process.kill()
    os.close(ours)
    return shown.decode(errors="replace")


def in_a_terminal(shell: str, lines: list[str]) -> dict[str, list[str]]:
    """What is put in the place of the last word of each line."""
    asked = (f"cnnkit {line}\x18a\x01echo found{n} " for n, line in enumerate(lines))
    shown = typed(shell, "\r".join([START[shell], *asked, "exit"]) + "\r")
    found: dict[str, list[str]] = {}
    for n, line in enumerate(lines):
        told = re.findall(rf"^found{n} cnnkit (.*?) *\r?$", shown, flags=re.MULTILINE)
        assert told, shown
        before, _, last = line.rpartition(" ")
        words = told[-1].removeprefix(before).split()
        kept = re.sub("[^=:]*$", "", last)  # bash puts only what follows it into the line, again and again
        found[line] = [words[0], *(kept * (shell == "bash") + word for word in words[1:])]
    return found


def in_fish(shell: str, lines: list[str]) -> dict[str, list[str]]:
    def ask(line: str) -> list[str]:
        command = ["fish", "--no-config", "-c", "source shell; complete -C $argv[1]", f"cnnkit {line}"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()

    return {line: ask(line) for line in lines}


@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal of Unix")
@pytest.mark.parametrize(
    ("shell", "ask"), [("bash", in_a_terminal), ("zsh", in_a_terminal), ("fish", in_fish)]
)
def test_a_real_shell_completes_values_runs_and_names(
    shell: str, ask: Callable[[str, list[str]], dict[str, list[str]]], folder: Path
) -> None:
    needs(shell)
    (folder / "shell").write_text(script_of(shell))
    found = ask(shell, list(OFFERED))
    assert {line: sorted(words) for line, words in found.items()} == {
        line: sorted(words) for line, words in OFFERED.items()
    }
