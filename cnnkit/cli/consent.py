"""Asking before what takes more than an hour."""

import sys
from collections.abc import Callable
from typing import TypeVar

import typer

from cnnkit.api.progress import err, say
from cnnkit.events import Forecast, StudyBegun
from cnnkit.words import about

LONG = 3600.0  # seconds
Told = TypeVar("Told")


def asking(progress: Callable[[Told], None], yes: bool) -> Callable[[Told], None]:
    """A listener that asks once it is told of a long time, and then passes on what it was told.

    Where nobody can answer it warns. Raises typer.Abort where the answer is no.
    """

    def told(event: Told) -> None:
        seconds = _least_seconds(event)
        if seconds > LONG and not yes:
            if sys.stdin.isatty() and err.is_terminal:
                typer.confirm(f"this takes {about(seconds)}; go on?", default=True, abort=True, err=True)
            else:
                say(err, f"note: this takes {about(seconds)}", "yellow")
        progress(event)

    return told


def _least_seconds(event: object) -> float:
    if isinstance(event, Forecast):
        return event.seconds
    return event.seconds[0] if isinstance(event, StudyBegun) and event.seconds else 0.0
