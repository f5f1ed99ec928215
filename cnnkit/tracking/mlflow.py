"""MLflow: the server that MLFLOW_TRACKING_URI names, or files in the current folder."""

import itertools
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cnnkit.tracking.messages import Memory, Opened, Refused, Row, State, Tracked

EXPERIMENT, DEFAULT_EXPERIMENT = "MLFLOW_EXPERIMENT_NAME", "cnnkit"
SURROUNDINGS = {  # unless a person has set them
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # what fails is tried again later, all of it
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",  # seconds
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
STATES: Mapping[State, str] = {"finished": "FINISHED", "failed": "FAILED", "killed": "KILLED"}
AT_ONCE = 100  # parameters; of numbers MLflow takes 1,000
LONGEST_VALUE = 500  # characters that every version takes
NOT_IN_NAMES = re.compile(r"[^\w.\-/ ]")
GONE = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "BAD_REQUEST")  # trying again would fail, too
Batch = list[Any]


class MlflowRun:
    """See `Tracked`. Trials are nested in the run of their study."""

    def __init__(self, opened: Opened, memory: Memory, parent: Tracked | None) -> None:
        os.environ.update({key: value for key, value in SURROUNDINGS.items() if key not in os.environ})
        from mlflow.tracking import MlflowClient

        self._client = MlflowClient()
        self._there: dict[str, set[int]] = {}
        address = self._client.tracking_uri
        kept = memory.get("run") if memory.get("address") == address else None
        self._goes_on = bool(kept) and self._is_there(str(kept))
        self.id = str(kept) if self._goes_on else self._new_run(opened, parent)
        if not self._goes_on:
            self._parameters(opened.parameters)
        self.memory: Memory = {"address": address, "run": self.id}

    def scalars(self, rows: Sequence[Row]) -> None:
        from mlflow.entities import Metric

        several = [
            Metric(NOT_IN_NAMES.sub("_", name), value, int(row.seconds * 1000), row.step)
            for row in rows
            for name, value in row.values.items()
        ]
        new = [metric for metric in several if metric.step not in self._steps_of(metric.key)]
        for batch in _batches(new):
            with _refusals():
                self._client.log_batch(self.id, metrics=batch)
            for metric in batch:
                self._there[metric.key].add(metric.step)

    def picture(self, name: str, png: bytes, size: tuple[int, int]) -> None:
        self._write(f"pictures/{name}.png", lambda path: path.write_bytes(png))

    def text(self, name: str, line: str, markdown: str) -> None:
        with _refusals():
            self._client.set_tag(self.id, name, _short(line))
            self._client.set_tag(self.id, "mlflow.note.content", markdown)  # the description of the run
        self._write(f"{name}.md", lambda path: path.write_text(markdown, encoding="utf-8"))

    def file(self, path: str) -> None:
        with _refusals():
            self._client.log_artifact(self.id, path)

    def end(self, state: State, seconds: float) -> None:
        self._client.set_terminated(self.id, STATES[state], int(seconds * 1000))

    def _new_run(self, opened: Opened, parent: Tracked | None) -> str:
        tags = {**opened.tags, "mlflow.source.name": "cnnkit", "folder": opened.folder}
        if isinstance(parent, MlflowRun):
            tags["mlflow.parentRunId"] = parent.id
        began = int(opened.seconds * 1000)
        run = self._client.create_run(self._experiment(), began, tags, opened.name)
        return str(run.info.run_id)

    def _is_there(self, kept: str) -> bool:
        """Whether a run can go on: a person may have deleted it."""
        from mlflow.exceptions import MlflowException

        try:
            self._client.update_run(kept, status="RUNNING")
        except MlflowException as error:
            if error.error_code in GONE:
                return False
            raise
        return True

    def _experiment(self) -> str:
        from mlflow.exceptions import MlflowException

        name = os.environ.get(EXPERIMENT, DEFAULT_EXPERIMENT)
        for last in (False, True):
            if found := self._client.get_experiment_by_name(name):
                return str(found.experiment_id)
            try:
                return str(self._client.create_experiment(name))
            except MlflowException as error:  # another process was faster
                if last or error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
        raise AssertionError

    def _parameters(self, parameters: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        told = [Param(NOT_IN_NAMES.sub("_", key), _short(value)) for key, value in parameters.items()]
        for batch in _batches(told):
            with _refusals():
                self._client.log_batch(self.id, params=batch)

    def _steps_of(self, name: str) -> set[int]:
        """Of which steps a number is there."""
        if name not in self._there:
            known = self._client.get_metric_history(self.id, name) if self._goes_on else []
            self._there[name] = {metric.step for metric in known}
        return self._there[name]

    def _write(self, name: str, write: Callable[[Path], object]) -> None:
        """Writes an artifact. name: with the folders that it lies in."""
        with TemporaryDirectory(prefix="cnnkit-") as folder, _refusals():
            path = Path(folder) / Path(name).name
            write(path)
            below = str(Path(name).parent)
            self._client.log_artifact(self.id, str(path), None if below == "." else below)


@contextmanager
def _refusals() -> Iterator[None]:
    """Turns what a server will always answer alike into Refused."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code in GONE:
            raise Refused(str(error)) from error
        raise


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def _batches(several: Sequence[Any]) -> Iterator[Batch]:
    rest = iter(several)
    while batch := list(itertools.islice(rest, AT_ONCE)):
        yield batch
