"""TensorBoard: event files in the run directory, below `tb/`."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from cnnkit.filenames import EVENT_FILES
from cnnkit.tracking.messages import Memory, Opened, Row, State, Tracked

EVENTS = "events.out.tfevents.*"
WITHOUT_TENSORFLOW = "tensorboard.compat.notf"  # where this module is, TensorBoard imports no TensorFlow


class TensorBoardRun:
    """See `Tracked`. The configuration is a session of the plugin HParams."""

    def __init__(self, opened: Opened, memory: Memory, parent: Tracked | None) -> None:
        sys.modules.setdefault(WITHOUT_TENSORFLOW, ModuleType(WITHOUT_TENSORFLOW))
        from tensorboard.plugins.hparams import summary_v2 as hparams
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        folder = Path(opened.folder) / EVENT_FILES
        self.memory: Memory = {}
        self._there = _steps_in(folder) if opened.goes_on else {}
        if not opened.goes_on:
            for old in folder.glob(EVENTS):
                old.unlink()
        self._writer = EventFileWriter(str(folder))
        if not self._there:
            values = {key: _plain(value) for key, value in opened.parameters.items()}
            self._add(hparams.hparams_pb(values, trial_id=opened.name, start_time_secs=opened.seconds), 0)

    def scalars(self, rows: Sequence[Row]) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        for row in rows:
            values = [
                Summary.Value(tag=name, simple_value=value)
                for name, value in row.values.items()
                if row.step not in self._there.setdefault(name, set())
            ]
            if values:
                self._add(Summary(value=values), row.step, row.seconds)
            for name in row.values:
                self._there[name].add(row.step)
        self._writer.flush()

    def picture(self, name: str, png: bytes, size: tuple[int, int]) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        width, height = size
        drawn = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=png)
        self._add(Summary(value=[Summary.Value(tag=name, image=drawn)]), 0)

    def text(self, name: str, line: str, markdown: str) -> None:
        from tensorboard.plugins.text.summary_v2 import text_pb

        self._add(text_pb(name, markdown), 0)

    def file(self, path: str) -> None:
        """Nothing: the file lies in the folder already, and TensorBoard shows none."""

    def end(self, state: State, seconds: float) -> None:
        self._writer.close()

    def _add(self, summary: Any, step: int, seconds: float | None = None) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        seconds = time.time() if seconds is None else seconds
        self._writer.add_event(Event(wall_time=seconds, step=step, summary=summary))
        self._writer.flush()


def _plain(value: object) -> str | bool | float:
    return value if isinstance(value, str | bool | int | float) else str(value)


def _steps_in(folder: Path) -> dict[str, set[int]]:
    """By the name of a number, the steps that the event files of a folder hold."""
    from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

    if not any(folder.glob(EVENTS)):
        return {}
    found = EventAccumulator(str(folder), size_guidance={SCALARS: 0})
    found.Reload()
    return {name: {event.step for event in found.Scalars(name)} for name in found.Tags()["scalars"]}
