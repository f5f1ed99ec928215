"""What is installed works without the checkout."""

import subprocess
import sys
import zipfile
from pathlib import Path

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
