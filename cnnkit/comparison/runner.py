"""Runs a study: trains the trials that are missing, then writes `results.json`."""

import contextlib
import shlex
import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cnnkit import signals
from cnnkit.class_numbers import kept_bytes
from cnnkit.comparison.can_tell import ImagesOfSeed, few_of_a_class, told_of_images
from cnnkit.comparison.course import Course
from cnnkit.comparison.executor import Executor, Outcome
from cnnkit.comparison.factors import judge_for
from cnnkit.comparison.forecasts import StudyForecast, forecast_study, of_this_machine
from cnnkit.comparison.function_study import FunctionStudy
from cnnkit.comparison.going_on import refuse_another_study, with_kept
from cnnkit.comparison.records import StudyResults
from cnnkit.comparison.results import analyse, rewritten, share_of
from cnnkit.comparison.study import StudyPlan
from cnnkit.comparison.study_file import trial_folder
from cnnkit.comparison.study_records import TrialEntry
from cnnkit.comparison.trial import Trial, data_hash, is_finished, refuse_changed, with_kept_folders
from cnnkit.comparison.trials_table import trials_table
from cnnkit.comparison.tuning_trials import TuningRun
from cnnkit.config.images import DataConfig
from cnnkit.config.own_code import own_classes_of
from cnnkit.data.dataset import Published
from cnnkit.data.prepare import all_tested, load_data
from cnnkit.data.splits import refuse_large_groups
from cnnkit.errors import Interrupted, RunError
from cnnkit.events import Note, SeedDone, StudyBegun, StudyEvent, StudyListener, TrialDone, ignore
from cnnkit.experiment.run_dir import RunDir
from cnnkit.filenames import GROUPS, LABELS, OWN, RESULTS, STUDY, TRIALS, TRIALS_TABLE, TUNING
from cnnkit.files import remove_parts, write_atomically, write_json
from cnnkit.kept import sealed, sha256
from cnnkit.locks import alone_at
from cnnkit.own.sources import handed_over, keep
from cnnkit.scores import ACCURACY, METRICS
from cnnkit.training.idle_cores import IdleCores
from cnnkit.words import TIMES, counted, listed

ROUND = 5  # seeds whose test images are tried before anything trains, where they are drawn and no folds


class StudyInterrupted(Interrupted):
    """results: the verdict so far, which is as valid as any."""

    def __init__(self, stopped: Interrupted, results: StudyResults) -> None:
        super().__init__(str(stopped), stopped.exit_code - 128)
        self.results = results


def run_study(
    study: StudyPlan, folder: Path, executor: Executor, notify: StudyListener = ignore
) -> StudyResults:
    """Runs the trials of a study that its folder does not hold yet; returns the results, which it keeps.

    A trial that fails is reported and its reason kept; the others go on.
    Raises UsageError, before anything is written, where the folder is of another study, and StudyInterrupted,
    after the running trials have saved, where Ctrl-C or SIGTERM arrives.
    """
    refuse_another_study(study, folder)  # before it is made, and before the images are read
    published, cores = load_data(study.base.data, notify), IdleCores()
    refuse_large_groups(study.base.data, published, study.all_seeds[: study.base.data.folds or ROUND])
    data = data_hash(published)
    with alone_at(folder, "study"):
        refuse_another_study(study, folder)
        refuse_changed(folder, data)
        if (folder / STUDY).exists():
            for told in rewritten(folder):
                notify(Note(told))
        remove_parts(folder)
        study, tested = _with_images(with_kept(study, folder), published)
        trials = _write_plan(study, data, published, folder)
        if study.untuned:
            tuning = TuningRun(study, folder / TUNING, data)
            notify(tuning.begun(executor, published))
            _listen(tuning.ended(executor, published), folder, notify)
            study = tuning.study()
            trials = _write_plan(study, data, published, folder)
        course = Course(study, trials, tested.share, judge_for(study.to_file(), tested.share))
        whole = [trial for trial in trials if _is_whole(folder, trial, notify)]
        for trial in whole:
            result = RunDir(folder / TRIALS / trial.folder).result
            seeds = list(course.ended(trial, result.tested_by(study.metric)))
        done = {trial.folder for trial in whole}
        missing = [trial for trial in trials if trial.folder not in done and not course.over]
        known = bool(missing) and not executor.seeds_at_once
        costs = forecast_study(study, executor, published) if known else None
        begun = _begun(study, tested, len(trials), len(whole))
        notify(_with_costs(begun, costs, study, missing, cores) if costs else begun)
        if whole and seeds:
            notify(seeds[-1])
        _listen(_ended(course, study.metric, executor, published, folder), folder, notify)
        return keep_results(folder)


def _listen(events: Iterable[StudyEvent], folder: Path, notify: StudyListener) -> None:
    """Tells what happens. Raises StudyInterrupted where Ctrl-C or SIGTERM arrives."""
    try:
        with interrupted_in_words(folder, _again(folder)) as received:
            for event in events:
                notify(event)
                if received:
                    raise KeyboardInterrupt(received[0])
    except Interrupted as stopped:
        raise StudyInterrupted(stopped, keep_results(folder)) from stopped


def keep_results(folder: Path) -> StudyResults:
    """Writes `results.json`, and `trials.csv` beside it."""
    results = analyse(folder)
    write_json(folder / RESULTS, sealed(results.to_dict()))
    with contextlib.suppress(PermissionError):  # a spreadsheet program holds the file open (Windows)
        trials_table(folder, results).write(folder / TRIALS_TABLE, anew=True)
    return results


def _ended(
    course: Course[Trial], metric: str, executor: Executor, published: Published, folder: Path
) -> Iterator[TrialDone | SeedDone]:
    """Runs what is needed; yields each trial as it ends, and what is known after each seed."""
    for trials in course.batches(executor.seeds_at_once):
        with contextlib.closing(executor.run(trials, published)) as outcomes:
            for outcome in outcomes:
                run = RunDir(folder / TRIALS / outcome.trial.folder)
                done = _done(outcome, run, metric)
                yield done
                yield from course.ended(outcome.trial, done.accuracy)
                if course.over:
                    return


def _write_plan(study: StudyPlan, data: str, published: Published, folder: Path) -> Sequence[Trial]:
    """Writes `study.json` first: from then on `--resume` can go on after a kill. Returns the trials."""
    own = own_classes_of(level.config for level in study.levels)
    code = handed_over(own)
    planned = [Trial(level.name, config, data, code=code) for level, config in study.trials()]
    trials = with_kept_folders(planned, folder / TRIALS)
    labels = kept_bytes(all_tested(study.base.data, published).labels, published.train.info.classes)
    groups = _groups(study.base.data, published)
    entries = [TrialEntry(trial.level, trial.seed, trial.folder) for trial in trials]
    kept = replace(study.to_file(entries), labels=sha256(labels + groups))
    write_json(folder / STUDY, sealed(kept.to_dict()))
    keep(own, folder)
    write_atomically(folder / LABELS, labels)
    if groups:
        write_atomically(folder / GROUPS, groups)
    return trials


def _groups(data: DataConfig, published: Published) -> bytes:
    """Which of the images belong together, four bytes an image, where seeds draw test images by that."""
    groups = published.apart.groups
    return b"" if groups is None or not data.redrawn else groups.numpy().astype("<u4").tobytes()


def _is_whole(folder: Path, trial: Trial, notify: StudyListener) -> bool:
    """Whether a trial need not be run. One that is damaged is run again, and that is told."""
    home = trial_folder(folder, trial.folder)
    try:
        return is_finished(home, trial.config.data)
    except RunError as error:
        notify(Note(f"{error}; {trial.level}, seed {trial.seed}, is trained again"))
        return False


def _with_costs(
    begun: StudyBegun, costs: StudyForecast, study: StudyPlan, missing: Sequence[Trial], cores: IdleCores
) -> StudyBegun:
    """What is told at the beginning, with what the missing trials cost."""
    fewest = study.all_seeds[: study.min_seeds]
    least = sum(costs.seconds[trial.level] for trial in missing if trial.seed in fewest)
    most = sum(costs.seconds[trial.level] for trial in missing)
    warnings = [*begun.warnings, *of_this_machine(costs, cores, study.base.runtime.device)]
    return replace(
        begun, seconds=(least, most), workers=costs.workers, memory=costs.memory, warnings=warnings
    )


def _with_images(study: StudyPlan, published: Published) -> tuple[StudyPlan, ImagesOfSeed]:
    """The study with what the images warn of, and what a seed tests."""
    data, images = study.base.data, all_tested(study.base.data, published)
    labels = images.labels.cpu().numpy()
    tested = data.info.test_images if data.redrawn else len(labels)
    pool = len(labels) if data.redrawn else 0
    told = few_of_a_class(study.metric, labels, tested, images.info.class_names)
    return replace(study, of_images=tuple(told)), ImagesOfSeed(
        tested, pool, share_of(study.metric, labels, tested)
    )


def _begun(study: StudyPlan, tested: ImagesOfSeed, trials: int, finished: int) -> StudyBegun:
    runtime, least = study.base.runtime, tested.least(map(len, study.varied.values()))
    threads = counted(runtime.threads or 1, "thread")
    by = "" if study.metric == ACCURACY else f" by {METRICS[study.metric]}"
    within = f"{by} within ±{study.margin:g} points"
    return StudyBegun(
        title=f"{study.key} on {study.base.data.info.title}: {what(study)}{_matched(study)}, "
        f"{how_many(study, within)}{_tested_on(study.base.data)}"
        f"{f', shard {study.shard}' if study.shard else ''}",
        where=f"{runtime.device}, {runtime.precision}, {threads} a trial",
        trials=trials,
        finished=finished,
        warnings=study.warnings(),
        at_most=study.min_seeds is not None,
        measure=METRICS[study.metric],
        can_tell="" if least is None else told_of_images(least, tested.images),
    )


def what(study: StudyPlan | FunctionStudy, level: str = "network", training: str = "training") -> str:
    """What is compared. level, training: what a combination and a trial are called."""
    if not study.factors:
        return ", ".join(one.name for one in study.levels)
    of_keys = TIMES.join(f"({', '.join(factor.names)})" for factor in study.factors)
    least = study.min_seeds or study.seeds
    trainings = listed([f"{len(study.levels) * seeds:,}" for seeds in sorted({least, study.seeds})], "to")
    return f"{of_keys}, {counted(len(study.levels), level)}, {trainings} {training}s"


def _matched(study: StudyPlan) -> str:
    """The first level is what the others are matched to, so that another order is another study."""
    return "" if study.match == "none" else f", all with the {study.match} of {study.levels[0].name}"


def how_many(study: StudyPlan | FunctionStudy, within: str = "") -> str:
    """Seeds, in words. within: the margin, in words."""
    seeds = len(study.all_seeds)
    if study.min_seeds is None:
        return f"{counted(seeds, 'seed')} each"
    fewest = "" if study.min_seeds == seeds else f"{study.min_seeds} to "
    return f"until it is decided{within}, {fewest}{seeds} seeds each{'' if fewest else ' at most'}"


def _tested_on(data: DataConfig) -> str:
    if data.folds:
        return f", each tested on one of {data.folds} folds"
    return ", each tested on a split that it draws" if data.resample_test else ""


def _done(outcome: Outcome, run: RunDir, metric: str) -> TrialDone:
    trial = outcome.trial
    if outcome.error is not None:
        return TrialDone(trial.level, trial.seed, None, None, outcome.error)
    value = run.result.tested_by(metric)
    return TrialDone(trial.level, trial.seed, value, run.result.train_seconds, None)


def _again(folder: Path) -> str:
    own = (folder / OWN).is_dir()
    return f"cnnkit compare --resume --out {shlex.quote(str(folder))}" + " --trust" * own


@contextmanager
def interrupted_in_words(folder: Path, again: str) -> Iterator[list[int]]:
    """Turns Ctrl-C and SIGTERM while trials run into Interrupted. again: how to go on."""
    try:
        with signals.raised() as received:
            yield received
    except KeyboardInterrupt as error:
        number = error.args[0] if error.args else signal.SIGINT
        raise Interrupted(
            f"stopped; trials that have ended are kept in {folder}; go on with: {again}", number
        ) from error
