"""Runs a study of a person's own function: calls it where that is needed, then writes `results.json`."""

import contextlib
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from cnnkit.comparison.can_tell import ImagesOfSeed, told_of_images
from cnnkit.comparison.course import Course
from cnnkit.comparison.factors import judge_for
from cnnkit.comparison.function_call import EXPECTED, Failed, Function, call, for_processes
from cnnkit.comparison.function_plan import with_kept
from cnnkit.comparison.function_study import Answer, FunctionStudy, FunctionTrial, read_answer
from cnnkit.comparison.local import INTERRUPTED, KILLED, in_processes
from cnnkit.comparison.records import StudyResults
from cnnkit.comparison.runner import StudyInterrupted, how_many, interrupted_in_words, keep_results, what
from cnnkit.comparison.sentence import sentence
from cnnkit.comparison.study_file import trial_folder
from cnnkit.errors import Interrupted, RunError, UsageError
from cnnkit.events import Note, SeedDone, StudyBegun, StudyListener, TrialDone, ignore
from cnnkit.experiment.new_run import write_environment
from cnnkit.filenames import FAILURE, RESULT, STUDY
from cnnkit.files import write_atomically, write_json
from cnnkit.image_error import default_margin
from cnnkit.kept import sealed
from cnnkit.locks import alone_at
from cnnkit.words import counted

Ended = Generator[tuple[FunctionTrial, Answer | Failed]]
Caller = Callable[[Iterable[FunctionTrial]], Ended]


def run_function(
    function: Function, study: FunctionStudy, folder: Path, workers: int = 1, notify: StudyListener = ignore
) -> StudyResults:
    """Calls the function where the folder does not hold its answer yet; returns the results, which it keeps.

    workers: 1: in this process. A call that raises is reported and its traceback kept; the others go on.
    Raises UsageError, before anything is written, where the folder is of another study, and where the
    function returns something else than it should; StudyInterrupted on Ctrl-C or SIGTERM.
    """
    caller = _in_processes(function, workers) if workers > 1 else _here(function)
    with_kept(study, folder, function)  # before the folder is made
    with alone_at(folder, "study"):
        running = Running(with_kept(study, folder, function), folder)
        running.keep_plan()
        finished = running.take_in_kept(notify)
        notify(_begun(running.study, finished, workers))
        if running.told:
            notify(running.told[-1])
        try:
            with interrupted_in_words(folder, f"cnnkit.compare(…, out={str(folder)!r})") as received:
                for event in running.ended(caller):
                    notify(event)
                    if received:
                        raise KeyboardInterrupt(received[0])
        except Interrupted as stopped:
            results = keep_results(folder)
            so_far = Interrupted(f"{stopped}. So far: {sentence(results)}", stopped.exit_code - 128)
            raise StudyInterrupted(so_far, results) from stopped
        except UsageError:
            keep_results(folder)
            raise
        return keep_results(folder)


class Running:
    """A study while it runs. told: what was known after each seed that was kept from before."""

    def __init__(self, study: FunctionStudy, folder: Path) -> None:
        self.study, self.folder = study, folder
        share = 1 / study.images if study.images else 0.0
        self.course = Course(study, list(study.trials()), share, judge_for(study, share))
        self.told: list[SeedDone] = []

    def keep_plan(self) -> None:
        write_json(self.folder / STUDY, sealed(self.study.to_dict()))

    def take_in_kept(self, notify: StudyListener) -> int:
        """How many calls need not be made again. A damaged answer is told, and its call made again."""
        finished = 0
        for trial in self.course.trials:
            try:
                answer = read_answer(self.folder, trial)
            except RunError as error:
                notify(Note(f"{error}; {trial.level}, seed {trial.seed}, is called again"))
                (trial_folder(self.folder, trial.folder) / RESULT).unlink()
                continue
            if answer:
                finished += 1
                self.told += self.course.ended(trial, answer.accuracy)
        return finished

    def ended(self, caller: Caller) -> Iterator[Note | TrialDone | SeedDone]:
        """Makes the calls that are needed; yields each as it ends, and what is known after each seed."""
        for trials in self.course.batches(None):
            with contextlib.closing(caller(trials)) as calls:
                for trial, outcome in calls:
                    if isinstance(outcome, Answer):
                        yield from self._compare_images(trial, outcome.images)
                    done = self._keep(trial, outcome)
                    yield done
                    yield from self.course.ended(trial, done.accuracy)
                    if self.course.over:
                        return

    def _keep(self, trial: FunctionTrial, outcome: Answer | Failed) -> TrialDone:
        home = trial_folder(self.folder, trial.folder)
        if isinstance(outcome, Failed):
            write_atomically(home / FAILURE, outcome.text)
            return TrialDone(trial.level, trial.seed, None, None, outcome.reason)
        write_environment(home)
        write_json(home / RESULT, sealed(outcome.to_dict()))
        (home / FAILURE).unlink(missing_ok=True)
        return TrialDone(trial.level, trial.seed, outcome.accuracy, outcome.seconds, None)

    def _compare_images(self, trial: FunctionTrial, images: int) -> Iterator[Note]:
        """The first answer tells how many test images there are, before anything can be compared."""
        study = self.study
        if study.images is None:
            margin = study.margin if study.margin_given else default_margin(images)
            self.study = self.course.study = replace(study, images=images, margin=margin)
            share = 1 / images if images else 0.0
            self.course.resolution, self.course.factors = share, judge_for(self.study, share)
            self.keep_plan()
            of = f"{counted(images, 'test image')}: " if images else ""
            yield Note(f"{of}a difference of less than {margin:g} points counts as none")
            if least := ImagesOfSeed(images, 0, share).least(map(len, study.varied.values())):
                yield Note(told_of_images(least, images))
        elif images != study.images:
            raise UsageError(_other_images(trial, images, study.images))


def _other_images(trial: FunctionTrial, images: int, expected: int) -> str:
    told, before = (
        f"whether each of {n:,} test images was right" if n else "an accuracy alone"
        for n in (images, expected)
    )
    return (
        f"the call with {trial.value!r}, seed {trial.seed}, returned {told}, and a call before {before}: "
        f"the same is needed of all; {EXPECTED}"
    )


def _here(function: Function) -> Caller:
    def calls(trials: Iterable[FunctionTrial]) -> Ended:
        for trial in trials:
            yield trial, call(function, trial)

    return calls


def _in_processes(function: Function, workers: int) -> Caller:
    work = for_processes(function)

    def calls(trials: Iterable[FunctionTrial]) -> Ended:
        with contextlib.closing(in_processes(trials, work, lambda _: workers)) as ended:
            for trial, reply in ended:
                if isinstance(reply, UsageError):
                    raise reply
                yield trial, Failed(KILLED) if reply == INTERRUPTED else reply

    return calls


def _begun(study: FunctionStudy, finished: int, workers: int) -> StudyBegun:
    within = f" within ±{study.margin:g} points" if study.images is not None or study.margin_given else ""
    return StudyBegun(
        title=f"{study.key} of {study.function.removeprefix('__main__.')}: "
        f"{what(study, 'combination', 'call')}, {how_many(study, within)}",
        where="in this process" if workers == 1 else f"in {workers} processes",
        trials=len(study.levels) * study.seeds,
        finished=finished,
        warnings=study.warnings,
        at_most=study.min_seeds is not None,
    )
