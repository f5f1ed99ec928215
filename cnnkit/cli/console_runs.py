"""What a person sees of two runs or two studies side by side."""

from typing import Any

from cnnkit.api.progress import say
from cnnkit.cli.console import make_table, out, print_table
from cnnkit.comparison.two_runs import SideBySide
from cnnkit.files import json_text
from cnnkit.words import in_one_line

UNKNOWN = "·"


def print_side_by_side(found: SideBySide) -> None:
    """A table of what differs in the configuration, one of the surroundings, one of the results.

    Their columns are called A and B: names of runs are long.
    """
    for letter, name in (("A", found.a), ("B", found.b)):
        say(out, f"{letter}: {in_one_line(name)}", "bold")
    out.print()
    if not found.configuration:
        say(out, "the same configuration")
    parts = {
        "configuration": found.configuration,
        "surroundings": found.environment,
        "result": {key.replace("_", " "): pair for key, pair in found.result.items()},
    }
    for title, pairs in parts.items():
        if pairs:
            table = make_table(title, "A", "B")
            for key, pair in pairs.items():
                table.add_row(in_one_line(key), *map(_cell(key), pair))
            print_table(table)
            out.print()
    for sentence in found.said:
        say(out, sentence)


def _cell(key: str) -> Any:
    def told(value: Any) -> str:
        if value is None:
            return UNKNOWN
        if key.endswith("interval"):
            return f"{value[0]:.2%} to {value[1]:.2%}"
        if isinstance(value, float):
            share = any(word in key for word in ("accuracy", "macro f1", "calibration"))
            return f"{value:.2%}" if share else f"{value:.1f} s" if "seconds" in key else f"{value:g}"
        if isinstance(value, int) and not isinstance(value, bool):
            return f"{value:,}"
        return in_one_line(value if isinstance(value, str) else json_text(value, indent=None))

    return told
