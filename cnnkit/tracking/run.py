"""A training that trackers are told of."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnnkit.config.schema import Config
from cnnkit.errors import Interrupted
from cnnkit.events import Begun, EpochRecord, Event, Listener, Note
from cnnkit.experiment.run_dir import RunDir
from cnnkit.families.trackers import TRACKERS
from cnnkit.filenames import METRICS
from cnnkit.report.parts import reason
from cnnkit.tracking.delivery import Deliveries
from cnnkit.tracking.messages import Ended, Scalars, State
from cnnkit.tracking.taker import memory_path


@contextmanager
def tracked_run(
    names: Sequence[str], run: RunDir, config: Config, labels: NDArray[np.int64], notify: Listener
) -> Iterator[Listener]:
    """A listener for `run_experiment` that tells trackers, too; without names it is `notify` itself.

    labels: of the test images, (images,). A tracker that is slow, down or missing is told of with a note, and
    holds nothing up but the end, for some seconds.
    """
    if not names:
        yield notify
        return
    from cnnkit.tracking.told import outcome  # takes time to import

    deliveries = Deliveries(names, notify)
    state: State = "failed"
    try:
        yield _listener(run, config, notify, deliveries)
        try:
            deliveries.tell(*outcome(run, config, labels))
        except Exception as error:
            notify(Note(f"trackers are not told the whole result: {reason(error)}"))
        state = "finished"
    except (Interrupted, KeyboardInterrupt):
        state = "killed"
        raise
    finally:
        deliveries.tell(Ended(str(run.path), state))
        deliveries.close()


def _listener(run: RunDir, config: Config, notify: Listener, deliveries: Deliveries) -> Listener:
    """Passes each event on to `notify`, and tells trackers of the start and of each epoch."""
    from cnnkit.tracking.told import history, opened, parameters_of, row_of

    folder = str(run.path)
    goes_on = bool(tracked_before(run.path)) or (run.path / METRICS).is_file()

    def listen(event: Event) -> None:
        notify(event)
        if isinstance(event, Begun):
            deliveries.tell(opened(run, parameters_of(config), goes_on, device=event.device))
            if goes_on:
                deliveries.tell(Scalars(folder, history(run)))
        elif isinstance(event, EpochRecord):
            deliveries.tell(Scalars(folder, [row_of(event, time.time())]))
            deliveries.pass_on()

    return listen


def tracked_before(folder: Path) -> list[str]:
    """The trackers that were told of a run or a study."""
    return [name for name in TRACKERS if memory_path(folder, name).is_file()]
