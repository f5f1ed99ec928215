"""What is installed works without the checkout."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parent.parent


def test_a_wheel_carries_the_configurations_their_schema_and_the_types(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    shipped = {f"cnnkit/configs/{path.name}" for path in (ROOT / "configs").iterdir()}
    page = {f"cnnkit/play/assets/{path.name}" for path in (ROOT / "cnnkit/play/assets").iterdir()}
    others = {"cnnkit/py.typed", "cnnkit/cli/app.py", "cnnkit/report/templates/study.html.j2"}
    assert shipped | page | others <= names
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    listed = subprocess.run(
        [sys.executable, "-P", "-c", "from cnnkit.__main__ import main; main()", "config", "list"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "installed")},
        check=True,
        capture_output=True,
        text=True,
    )
    assert "mnist" in listed.stdout


def test_the_known_good_set_names_versions_and_no_addresses() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(line.split(";")[0].strip().count("==") == 1 for line in pins)
    assert not any("//" in line or "@" in line for line in pins)


CHANGES = """# Changelog

## 1.2.0 - {date}

### Added

- A thing of 1.1.0.

## 1.1.0 - 2026-01-01

- An older thing.
"""


def release_notes(folder: Path, tag: str, date: str) -> "subprocess.CompletedProcess[str]":
    """What scripts/release-notes says of a checkout of version 1.2.0."""
    for name in ("scripts", "cnnkit"):
        (folder / name).mkdir()
    shutil.copy(ROOT / "scripts/release-notes", folder / "scripts")
    (folder / "CHANGELOG.md").write_text(CHANGES.format(date=date))
    (folder / "cnnkit/version.py").write_text('"""What it is."""\n\n__version__ = "1.2.0"\n')
    return subprocess.run([folder / "scripts/release-notes", tag], capture_output=True, text=True)


@pytest.mark.skipif(sys.platform == "win32", reason="needs bash")
def test_release_notes_are_what_the_changelog_says_of_the_tagged_version(tmp_path: Path) -> None:
    done = release_notes(tmp_path, "v1.2.0", "2026-11-26")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["###", "Added", "-", "A", "thing", "of", "1.1.0."]


@pytest.mark.skipif(sys.platform == "win32", reason="needs bash")
@pytest.mark.parametrize(
    ("tag", "date", "told"),
    [
        ("v1.1.0", "2026-11-26", "the tag is v1.1.0, but cnnkit.__version__ is 1.2.0"),
        ("1.2.0", "2026-11-26", "the tag is 1.2.0"),
        ("v1.2.0", "unreleased", "has no date"),
        ("v1.2.0", "2026-11-26\n## 1.1.9 - 2026-01-02", "says nothing of 1.2.0"),
    ],
)
def test_what_is_not_ready_is_not_released(tag: str, date: str, told: str, tmp_path: Path) -> None:
    done = release_notes(tmp_path, tag, date)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert told in done.stderr


@pytest.mark.parametrize("path", sorted((ROOT / ".github/workflows").iterdir()), ids=lambda path: path.stem)
def test_a_workflow_runs_scripts_that_exist_and_names_no_address(path: Path) -> None:
    assert "//" not in path.read_text()
    jobs = YAML(typ="safe").load(path)["jobs"]
    commands = [step.get("run", "") for job in jobs.values() for step in job.get("steps", ())]
    scripts = re.findall(r"scripts/[\w-]+", "\n".join(commands))
    assert scripts
    assert all((ROOT / script).stat().st_mode & 0o111 for script in scripts)


def test_only_the_job_that_publishes_may_ask_for_an_identity_and_it_waits_for_the_checks() -> None:
    workflow = YAML(typ="safe").load(ROOT / ".github/workflows/release.yml")
    jobs = workflow["jobs"]
    assert workflow["permissions"] == {"contents": "read"}
    assert {name: job.get("permissions") for name, job in jobs.items()} == {
        "test": None,
        "build": None,
        "publish": {"id-token": "write"},
        "tell": {"contents": "write"},
    }
    assert (jobs["publish"]["needs"], jobs["tell"]["needs"]) == ("build", "publish")
    assert jobs["build"]["needs"] == "test"
    assert jobs["test"]["uses"] == "./.github/workflows/test.yml"
    checks = [step.get("run", "") for step in jobs["build"]["steps"]]
    assert any("scripts/release-notes" in run for run in checks)
    assert "scripts/check-wheel" in checks
