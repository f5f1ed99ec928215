"""A comparison that trackers are told of: a run of its own, and one for each trial when it ends."""

import contextlib
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnkit.comparison.intervals import informative
from cnnkit.comparison.pair_records import THE_BEST
from cnnkit.comparison.records import StudyResults
from cnnkit.comparison.results import read_results
from cnnkit.comparison.sentence import sentence
from cnnkit.comparison.study_file import load_study, read_labels, trial_folder
from cnnkit.comparison.study_records import StudyFile, TrialEntry
from cnnkit.errors import Interrupted
from cnnkit.events import Note, NoteListener, SeedDone, StudyBegun, StudyEvent, StudyListener, TrialDone
from cnnkit.experiment.run_dir import RunDir
from cnnkit.filenames import CONFIG, RESULTS
from cnnkit.report.parts import reason
from cnnkit.stats import Interval
from cnnkit.tracking.delivery import Deliveries
from cnnkit.tracking.messages import Ended, File, Message, Opened, Row, Scalars, Text
from cnnkit.tracking.run import tracked_before
from cnnkit.tracking.taker import ENDED, kept_memory
from cnnkit.tracking.told import history, opened, outcome, parameters_of


@contextmanager
def tracked_study(
    names: Sequence[str], folder: Path | None, notify: NoteListener
) -> Iterator["TrackedStudy | None"]:
    """Tells trackers of a study for the length of a `with` block; None where there are none to be told.

    folder: of a study that goes on, whose trackers are told again; None: a new one. What goes wrong is told
    with notes, and stops nothing.
    """
    names = list(dict.fromkeys([*names, *(tracked_before(folder) if folder else ())]))
    if not names:
        yield None
        return
    study = TrackedStudy(names, Deliveries(names, notify), notify)
    try:
        yield study
        study.end("finished")
    except (Interrupted, KeyboardInterrupt):
        study.end("killed")
        raise
    except BaseException:
        study.end("failed")
        raise
    finally:
        study.deliveries.close()


class TrackedStudy:
    """Tells trackers of a study. files: are kept with it, where a tracker keeps files."""

    def __init__(self, names: Sequence[str], deliveries: Deliveries, notify: NoteListener) -> None:
        self.names, self.deliveries, self.notify = names, deliveries, notify
        self.folder = Path()
        self.study: StudyFile | None = None
        self.files: list[Path] = []

    def at(self, folder: Path, notify: StudyListener) -> StudyListener:
        """The listener to give to the study in this folder. notify: the one that listens besides."""
        self.folder = folder

        def listen(event: StudyEvent) -> None:
            notify(event)
            with self._nothing_stops():
                self._tell(event)
            self.deliveries.pass_on()

        return listen

    def end(self, state: Any) -> None:
        """Tells the verdict, as far as there is one, and that it has ended. state: of `Ended`."""
        if self.study is None:  # it never began
            return
        folder = str(self.folder)
        with self._nothing_stops():
            results = read_results(self.folder)
            self.deliveries.tell(Text(folder, "verdict", sentence(results), verdict(results)))
            if results.levels:
                self.deliveries.tell(Scalars(folder, [intervals(results, time.time())]))
        for path in (self.folder / RESULTS, *self.files):
            if path.is_file():
                self.deliveries.tell(File(folder, str(path)))
        self.deliveries.tell(Ended(folder, state))

    @contextmanager
    def _nothing_stops(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.notify(Note(f"trackers are not told all: {reason(error)}"))

    def _tell(self, event: StudyEvent) -> None:
        if isinstance(event, StudyBegun):
            self.study = load_study(self.folder)
            self.deliveries.tell(self._opened(self.study, event))
            for entry in self.study.trials:
                if RunDir(self._home(entry)).finished and not self._has_all(self._home(entry)):
                    self.deliveries.tell(*self._trial(self.study, entry, goes_on=True))
        elif isinstance(event, TrialDone) and self.study:
            ended = next(e for e in self.study.trials if (e.level, e.seed) == (event.level, event.seed))
            self.deliveries.tell(*self._trial(self.study, ended, error=event.error or ""))
        elif isinstance(event, SeedDone):
            means = {f"mean/{one.level}": one.mean for one in event.standings}
            self.deliveries.tell(Scalars(str(self.folder), [Row(event.seeds, means, time.time())]))

    def _opened(self, study: StudyFile, begun: StudyBegun) -> Opened:
        plan = {
            "varied": study.key,
            "levels": [level.name for level in study.levels],
            "seeds": study.seeds,
            "metric": study.metric,
            "margin": study.margin,
            "match": study.match,
        }
        name, values = self.folder.resolve().name, {**parameters_of(study.base()), **plan}
        tags = {"title": begun.title, "where": begun.where}
        return Opened(str(self.folder), name, values, tags, goes_on=bool(tracked_before(self.folder)))

    def _trial(
        self, study: StudyFile, entry: TrialEntry, error: str = "", goes_on: bool = False
    ) -> Iterator[Message]:
        """All of a trial that has ended, from its files."""
        run = RunDir(self._home(entry))
        folder, parameters = str(run.path), _parameters(study, entry, run)
        tags = {"level": entry.level, "seed": str(entry.seed)}
        rows = history(run)
        told = opened(run, parameters, goes_on, str(self.folder), **tags)
        yield replace(told, seconds=rows[0].seconds - rows[0].values["seconds"]) if rows else told
        yield Scalars(folder, rows)
        if error:
            yield Text(folder, "failure", error, _cell(error))
        else:
            yield from outcome(run, run.config, self._labels(study, run))
        yield Ended(folder, "failed" if error else "finished", rows[-1].seconds if rows else time.time())

    def _labels(self, study: StudyFile, run: RunDir) -> NDArray[np.int64]:
        """Of the images that a trial was tested on, (images,)."""
        labels = read_labels(self.folder, study)
        if study.base().data.redrawn:
            labels = labels[np.frombuffer(run.tested(), "<u4")]
        return labels

    def _home(self, entry: TrialEntry) -> Path:
        return trial_folder(self.folder, entry.folder)

    def _has_all(self, home: Path) -> bool:
        """Whether each tracker has taken all of a trial."""
        return all(kept_memory(home, name).get(ENDED) for name in self.names)


def _parameters(study: StudyFile, entry: TrialEntry, run: RunDir) -> dict[str, Any]:
    """Those of a trial: kept with it, or planned where it never began."""
    if (run.path / CONFIG).is_file():
        return parameters_of(run.config)
    level = next(one for one in study.levels if one.name == entry.level)
    tuned = level.tuned.settings if level.tuned else {}
    planned = {**study.settings_of(level), **tuned, "training.seed": entry.seed}
    return {**parameters_of(study.base()), **planned}


def verdict(results: StudyResults) -> str:
    """The verdict of a study and its intervals, as Markdown."""
    shown = informative(results) if results.levels else results
    rows = [
        f"| {_cell(level.name)} | {len(level.seeds)} | {_percent(level.compared)} "
        f"| {_percent(level.to_best.difference, '+') if level.to_best else ''} "
        f"| {level.to_best.verdict if level.to_best else THE_BEST} |"
        for level in shown.levels
    ]
    titles = f"| value | seeds | {results.measure}, % | to the best, points | verdict |"
    table = [titles, "|---" * 5 + "|", *rows] if rows else []
    return "\n".join([f"**{_cell(sentence(results))}**", "", *table])


def _cell(text: str) -> str:
    return re.sub(r"([|*_<`])", r"\\\1", text)


def _percent(interval: Interval, sign: str = "") -> str:
    """A mean and its interval, times 100."""
    ends = [None if end is None else f"{end * 100:{sign}.2f}" for end in (interval.low, interval.high)]
    mean = f"{interval.mean * 100:{sign}.2f}"
    return mean if None in ends else f"{mean} [{ends[0]}, {ends[1]}]"


def intervals(results: StudyResults, seconds: float) -> Row:
    """Means and differences with the ends of their intervals, as numbers. seconds: since 1970."""
    shown, values = informative(results), {}
    measured = [(level.name, level.compared) for level in shown.levels]
    measured += [(f"{pair.a} - {pair.b}", pair.difference) for pair in shown.pairs]
    for name, interval in measured:
        for end in ("mean", "low", "high"):
            with contextlib.suppress(TypeError):
                values[f"result/{name}/{end}"] = float(getattr(interval, end))
    return Row(max(len(level.seeds) for level in shown.levels), values, seconds)
