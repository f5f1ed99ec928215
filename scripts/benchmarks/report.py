"""What was measured, as tables for a person and as JSON for a program."""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.parts import Part
from benchmarks.processes import SCRIPTS
from benchmarks.summary import SHOWN, Row, Rows, Verdict, deviation

JSON_VERSION = 1
PIPE_WIDTH = 150  # columns where no terminal says how many there are
TARGET_CORES = 2
PACKAGES = ("cnnkit", "torch", "torchvision", "lightning", "fastai", "keras")
SETTINGS = (("card", "{}"), ("precision", "{}"), ("epochs", "{} epochs"), ("scaled_to", "scaled to {}"))
CPU_INFO = Path("/proc/cpuinfo")


def machine() -> dict[str, Any]:
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "commit": commit(),
        "cpu": cpu_name(),
        "cores": usable_cores(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
    }


def commit() -> str | None:
    """Of the checkout, with a + where files differ from it."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--exclude=*"],
            cwd=SCRIPTS,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def cpu_name() -> str:
    if CPU_INFO.is_file():
        for line in CPU_INFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def console() -> Console:
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)


def print_machine(out: Console, about: dict[str, Any]) -> None:
    packages = ", ".join(f"{name} {version}" for name, version in about["packages"].items())
    cores = f"{about['cores']} core{'s' if about['cores'] > 1 else ''}"
    checkout = f" (commit {about['commit']})" if about["commit"] else ""
    out.print(f"{about['date']}{checkout}; {about['cpu']}, {cores}; Python {about['python']}, {packages}")
    if about["cores"] != TARGET_CORES:
        out.print(f"The targets are meant for {TARGET_CORES} cores.")


def print_part(out: Console, part: Part, rows: Rows) -> None:
    verdicts = part.judge(rows)
    first = next(iter(rows.values()), None)
    with_accuracy = any(row.column("test_accuracy") for row in rows.values())
    table = Table(title=part.title, title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    for header in ("median", "least – most", "runs"):
        table.add_column(header, justify="right")
    table.add_column(f"× {first.name}" if first else "", justify="right")
    if with_accuracy:
        table.add_column("accuracy, mean ± deviation", justify="right")
    table.add_column("target, or note")
    for row in rows.values():
        accuracy = [accuracy_cell(row)] if with_accuracy else []
        table.add_row(
            row.name, *figures(row), against(first, row), *accuracy, remarks(row, verdicts.get(row.name, []))
        )
    out.print()
    out.print(table)


def figures(row: Row) -> tuple[str, str, str]:
    values, shown = row.column(), SHOWN[row.unit]
    if not values:
        return "", "", "0"
    return shown(row.median), f"{shown(min(values))} – {shown(max(values))}", str(len(values))


def against(first: Row | None, row: Row) -> str:
    """How many times the first row's median this one is."""
    if first is None or not first.samples or not row.samples:
        return ""
    return f"{row.median / first.median:.3g}"


def accuracy_cell(row: Row) -> str:
    values = row.column("test_accuracy")
    if not values:
        return ""
    spread = f" ± {deviation(values):.3%}" if len(values) > 1 else ""
    return f"{row.mean_accuracy:.3%}{spread}"


def remarks(row: Row, verdicts: list[Verdict]) -> str:
    """Targets, why there is nothing, and what settings tell the row from its neighbours."""
    settings = [
        word
        for key, one in SETTINGS
        if (word := "/".join(dict.fromkeys(one.format(s[key]) for s in row.samples if key in s)))
    ]
    lines = [*map(str, verdicts), row.note, ", ".join(settings).replace("1 epochs", "1 epoch")]
    return "\n".join(filter(None, lines))


def content(about: dict[str, Any], measured: Mapping[str, tuple[Part, Rows]]) -> dict[str, Any]:
    return {
        "version": JSON_VERSION,
        "machine": about,
        "parts": {name: _part(part, rows) for name, (part, rows) in measured.items()},
    }


def write(path: Path, measured: dict[str, Any]) -> None:
    path.write_text(json.dumps(measured, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _part(part: Part, rows: Rows) -> dict[str, Any]:
    verdicts = part.judge(rows)
    return {
        "title": part.title,
        "rows": [
            {**row.as_dict(), "targets": [verdict.as_dict() for verdict in verdicts.get(row.name, [])]}
            for row in rows.values()
        ],
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
