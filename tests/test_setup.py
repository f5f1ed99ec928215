"""scripts/setup on machines that lack something: a fake uv and a fake Python on a short PATH."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs bash and links")
ROOT = Path(__file__).resolve().parent.parent
TOOLS = ("bash", "cat", "chmod", "cksum", "dirname", "env", "grep", "mkdir", "mktemp", "rm", "sh", "uname")

# Without pip; `venv` leaves half an environment behind, as Debian's does without ensurepip.
PYTHON = """#!/bin/sh
case "$*" in
  *version_info*) exit {too_old} ;;
  *venv*) mkdir -p .venv/bin; touch .venv/bin/python; echo "ensurepip is not available"; exit 1 ;;
  *) echo "No module named pip" >&2; exit 1 ;;
esac
"""
# Makes an environment whose Python always succeeds, and says how it was called.
UV = """#!/bin/sh
echo "$* cache=$UV_CACHE_DIR" >> {calls}
case "$1" in
  venv) mkdir -p .venv/bin; printf '#!/bin/sh\\n' > .venv/bin/python; chmod +x .venv/bin/python ;;
  pip) [ -z "{says}" ] || {{ echo "{says}" >&2; exit 2; }} ;;
esac
"""
Setup = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "mein Gepäck" / "cnnkit"
    (folder / "scripts").mkdir(parents=True)
    for name in ("scripts/setup", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture
def setup(checkout: Path, tmp_path: Path) -> Setup:
    """`setup(python=…, uv=…, HOME=…)`: runs scripts/setup where only these programs are on the PATH."""

    def run(
        *arguments: str, python: str = PYTHON.format(too_old=0), uv: str = "", **environment: str
    ) -> object:
        programs = tmp_path / "programs"
        programs.mkdir(exist_ok=True)
        for name in TOOLS:
            if not (programs / name).exists():
                (programs / name).symlink_to(str(shutil.which(name)))
        for name, text in {"python3": python, "uv": uv}.items():
            if text:
                (programs / name).write_text(text)
                (programs / name).chmod(0o755)
        surroundings = {"PATH": str(programs), "HOME": str(tmp_path), **environment}
        return subprocess.run(
            [checkout / "scripts/setup", *arguments],
            env=surroundings,
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )

    return run  # type: ignore[return-value]


def fake_uv(folder: Path, says: str = "") -> str:
    return UV.format(calls=f"'{folder}/calls'", says=says)


def left_in(checkout: Path) -> set[str]:
    return {path.name for path in checkout.iterdir()} - {"scripts", "pyproject.toml", "constraints.txt"}


def test_it_installs_in_a_path_with_spaces_and_umlauts_and_the_second_time_does_nothing(
    setup: Setup, checkout: Path, tmp_path: Path
) -> None:
    done = setup(uv=fake_uv(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert left_in(checkout) == {".venv"}
    calls = (tmp_path / "calls").read_text()
    assert "--editable .[test] cache=\n" in calls
    again = setup(uv=fake_uv(tmp_path))
    assert (again.returncode, again.stdout + again.stderr) == (0, "")
    assert (tmp_path / "calls").read_text() == calls
    (checkout / "constraints.txt").write_text("torch==2.15.0\n")
    setup(uv=fake_uv(tmp_path))
    assert (tmp_path / "calls").read_text() != calls


def test_plain_leaves_the_test_extras_out_until_they_are_asked_for(setup: Setup, tmp_path: Path) -> None:
    def calls() -> list[str]:
        return (tmp_path / "calls").read_text().splitlines()

    setup("plain", uv=fake_uv(tmp_path))
    assert "--editable . cache=" in calls()[-1]
    plain = calls()
    assert setup("plain", uv=fake_uv(tmp_path)).returncode == 0
    assert calls() == plain
    setup(uv=fake_uv(tmp_path))
    assert "--editable .[test] cache=" in calls()[-1]
    whole = calls()
    setup("plain", uv=fake_uv(tmp_path))
    assert calls() == whole


@pytest.mark.parametrize("name", ["HOME", "XDG_CACHE_HOME"])
def test_a_home_that_cannot_be_written_gets_no_cache(
    name: str, setup: Setup, checkout: Path, tmp_path: Path
) -> None:
    done = setup(uv=fake_uv(tmp_path), **{name: "/proc"})
    assert (done.returncode, done.stderr) == (0, "")
    assert f"cache={checkout}/.setup-" in (tmp_path / "calls").read_text()
    assert left_in(checkout) == {".venv"}


@pytest.mark.parametrize(
    ("uv_says", "told", "shown"),
    [
        ("cause: dns error\ncause: failed to lookup address information", "there is no network", False),
        ("error: Failed to fetch: x\n  cause: client error (Connect)", "there is no network", False),
        ("cause: client error (Connect)\ncause: tunnel error", "the proxy http://p:1 lets", False),
        ("cause: proxy authorization required", "the proxy http://p:1 lets", False),
        ("failed to copy file: No space left on device (os error 28)", "the disk is full; torch", False),
        ("error: Failed to build pillow==10.3.0", "is not published ready-made for this Python", True),
        ("error: something else", "cnnkit could not be installed", True),
    ],
)
def test_the_last_line_says_why_nothing_was_installed(
    uv_says: str, told: str, shown: bool, setup: Setup, checkout: Path, tmp_path: Path
) -> None:
    done = setup(uv=fake_uv(tmp_path, uv_says), HTTPS_PROXY="http://p:1")
    *before, last = done.stderr.splitlines()
    assert done.returncode == 1
    assert last.startswith("scripts/setup: ")
    assert told in last
    assert before == uv_says.splitlines() * shown
    assert left_in(checkout) == {".venv"}
    assert setup(uv=fake_uv(tmp_path)).returncode == 0, "it goes on once that is mended"


def test_the_password_of_a_proxy_is_not_printed(setup: Setup, tmp_path: Path) -> None:
    done = setup(uv=fake_uv(tmp_path, "tunnel error"), HTTPS_PROXY="http://me:secret@p:1")
    assert ("the proxy p:1 lets" in done.stderr, "secret" in done.stderr) == (True, False)


def test_a_python_without_pip_and_with_half_a_venv_is_told_in_one_line(setup: Setup, checkout: Path) -> None:
    for _ in range(2):
        done = setup()
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert "python3-venv" in done.stderr
        assert not left_in(checkout)


def test_a_python_that_is_too_old_is_told_in_one_line(setup: Setup, checkout: Path) -> None:
    done = setup(python=PYTHON.format(too_old=1))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "needs Python 3.10 or newer" in done.stderr
    assert not left_in(checkout)
