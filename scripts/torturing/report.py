"""What was tried, as a table for a person and as JSON for a program."""

import json
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.report import commit, console
from torturing.tries import Tally

JSON_VERSION = 1
SHOWN = 5  # failures of a part


def content(tallies: Sequence[Tally]) -> dict[str, Any]:
    about = {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "commit": commit(),
        "python": platform.python_version(),
        "system": platform.platform(),
    }
    return {"version": JSON_VERSION, **about, "parts": {tally.part: tally.as_dict() for tally in tallies}}


def write(path: Path, tallies: Sequence[Tally]) -> None:
    path.write_text(json.dumps(content(tallies), indent=2) + "\n", encoding="utf-8")


def print_tallies(tallies: Sequence[Tally]) -> None:
    out = console()
    table = Table(box=None, pad_edge=False)
    table.add_column("part")
    table.add_column("tries", justify="right")
    table.add_column("failed", justify="right")
    table.add_column("what held")
    for tally in tallies:
        held = ", ".join(f"{count} {what}" for what, count in tally.held.most_common())
        table.add_row(tally.part, f"{tally.tries:,}", f"{len(tally.failed):,}", held)
    out.print(table)
    for tally in tallies:
        for failed in tally.failed[:SHOWN]:
            lines = (f"\n{failed.repeat}", failed.reason, *failed.commands)
            out.print("\n  ".join(lines), soft_wrap=True)
        if (more := len(tally.failed) - SHOWN) > 0:
            out.print(f"\nand {more} more of {tally.part}: --json FILE keeps them all")
