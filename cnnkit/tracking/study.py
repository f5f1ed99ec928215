"""A comparison that trackers are told of: a run of its own, and one for each trial when it ends."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cnnkit.comparison.function_study import AnyStudy, any_study, planned_trials
from cnnkit.comparison.intervals import informative
from cnnkit.comparison.pair_records import THE_BEST
from cnnkit.comparison.records import StudyResults
from cnnkit.comparison.results import read_results
from cnnkit.comparison.sentence import sentence
from cnnkit.comparison.study_file import trial_folder
from cnnkit.comparison.study_records import StudyFile
from cnnkit.errors import Interrupted
from cnnkit.events import (
    Note,
    NoteListener,
    PointDone,
    SeedDone,
    StudyBegun,
    StudyEvent,
    StudyListener,
    TrialDone,
    TuningBegun,
)
from cnnkit.experiment.run_dir import RunDir
from cnnkit.filenames import RESULTS, TUNING
from cnnkit.report.parts import reason
from cnnkit.stats import Interval
from cnnkit.tracking.delivery import Deliveries
from cnnkit.tracking.messages import Ended, File, Opened, Row, Scalars, Text, escaped
from cnnkit.tracking.run import tracked_before
from cnnkit.tracking.taker import ENDED, kept_memory
from cnnkit.tracking.told import parameters_of
from cnnkit.tracking.trials import TrialMessages, tuned_in


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
        self.trials: TrialMessages | None = None  # None: it has not begun
        self.points: set[str] = set()  # folders of trainings of `--tune` that were told
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
        if self.trials is None:  # it never began
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
        if isinstance(event, TuningBegun | StudyBegun):
            self._begin(event)
        elif isinstance(event, SeedDone):
            means = {f"mean/{one.level}": one.mean for one in event.standings}
            self.deliveries.tell(Scalars(str(self.folder), [Row(event.seeds, means, time.time())]))
        elif isinstance(event, PointDone) and self.trials:
            self.points.add(event.folder)
            self.deliveries.tell(*self.trials.of_point(event.level, event.folder, event.error or ""))
        elif isinstance(event, TrialDone) and self.trials:
            planned = planned_trials(self.trials.study)
            ended = next(e for e in planned if (e.level, e.seed) == (event.level, event.seed))
            self.deliveries.tell(*self.trials.of_trial(ended, event.error or ""))

    def _begin(self, event: TuningBegun | StudyBegun) -> None:
        """Opens the study, and tells what it held before."""
        study, known = any_study(self.folder), self.trials is not None
        self.trials = TrialMessages(self.folder, study)
        if not known:
            told = self._opened(study, event)
            self.deliveries.remember(self.folder)  # however it ends, it goes on with the same trackers
            self.deliveries.tell(told)
        if isinstance(event, TuningBegun):
            return  # it is not known yet which trainings the study has
        for level, name in tuned_in(study):
            if name not in self.points and not self._has_all(trial_folder(self.folder, name, TUNING)):
                self.deliveries.tell(*self.trials.of_point(level, name, goes_on=True))
        for entry in planned_trials(study):
            home = trial_folder(self.folder, entry.folder)
            if RunDir(home).finished and not self._has_all(home):
                self.deliveries.tell(*self.trials.of_trial(entry, goes_on=True))

    def _opened(self, study: AnyStudy, begun: TuningBegun | StudyBegun) -> Opened:
        plan = {
            "varied": study.key,
            "levels": [level.name for level in study.levels],
            "seeds": study.seeds,
            "margin": study.margin,
        }
        if isinstance(study, StudyFile):
            given = {**parameters_of(study.base()), "metric": study.metric, "match": study.match}
        else:
            given = {"function": study.function}
        tags = (
            {"title": begun.what}
            if isinstance(begun, TuningBegun)
            else {"title": begun.title, "where": begun.where}
        )
        name, goes_on = self.folder.resolve().name, bool(tracked_before(self.folder))
        return Opened(str(self.folder), name, {**given, **plan}, tags, goes_on=goes_on)

    def _has_all(self, home: Path) -> bool:
        """Whether each tracker has taken all of a trial."""
        return all(kept_memory(home, name).get(ENDED) for name in self.names)


def verdict(results: StudyResults) -> str:
    """The verdict of a study and its intervals, as Markdown."""
    shown = informative(results) if results.levels else results
    rows = [
        f"| {escaped(level.name)} | {len(level.seeds)} | {_percent(level.compared)} "
        f"| {_percent(level.to_best.difference, '+') if level.to_best else ''} "
        f"| {level.to_best.verdict if level.to_best else THE_BEST} |"
        for level in shown.levels
    ]
    titles = f"| value | seeds | {results.measure}, % | to the best, points | verdict |"
    table = [titles, "|---" * 5 + "|", *rows] if rows else []
    return "\n".join([f"**{escaped(sentence(results))}**", "", *table])


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
