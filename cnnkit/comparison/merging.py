"""`--merge`: one study of the shards that several machines have trained."""

import contextlib
import shlex
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from cnnkit.comparison.function_study import is_of_function
from cnnkit.comparison.going_on import planned_again, refuse_something_else
from cnnkit.comparison.records import StudyResults
from cnnkit.comparison.runner import keep_results
from cnnkit.comparison.shards import Shard, number_of
from cnnkit.comparison.study import StudyPlan
from cnnkit.comparison.study_file import load_study, read_labels, trial_folder
from cnnkit.comparison.study_records import StudyFile, TrialEntry, name_of
from cnnkit.comparison.trial import Trial, is_finished
from cnnkit.comparison.trial_records import facts_of
from cnnkit.config.load import flat
from cnnkit.config.own_code import own_classes_of
from cnnkit.errors import CnnkitError, UsageError
from cnnkit.events import Note, NoteListener, ignore
from cnnkit.experiment.run_dir import RunDir
from cnnkit.filenames import GROUPS, LABELS, LAST, LOCK, OWN, STATE, STUDY, TRIALS
from cnnkit.files import PART, copy_folder, remove_parts, write_atomically, write_json
from cnnkit.kept import sealed
from cnnkit.locks import alone_at
from cnnkit.own.sources import keep, references_in
from cnnkit.words import counted, listed

SHOWN = 4  # trainings, in a message
NOT_TAKEN = (LOCK, STATE, LAST, f".*{PART}")  # of a trial
VERSIONS = ("cnnkit", "torch")  # which all trials have to share
HASH_OF_IMAGES = "the hash of the images"


@dataclass(frozen=True)
class Source:
    """A study, or a shard of one, in its folder."""

    path: Path
    study: StudyFile

    def holds(self, trial: Trial) -> RunDir:
        """Where it keeps a trial, which need not be there. Raises RunError for a link out of the study."""
        name = self.names.get((trial.level, trial.seed)) or trial.folder
        return RunDir(trial_folder(self.path, name))

    @cached_property
    def names(self) -> dict[tuple[str, int], str]:
        """The folders of its trials, by level and seed."""
        return {(entry.level, entry.seed): entry.folder for entry in self.study.trials}


def merge_studies(paths: Sequence[Path], folder: Path, notify: NoteListener = ignore) -> StudyResults:
    """Makes one study of several that share a plan, such as shards; trains nothing; returns its results.

    paths: their folders, in any order; one that is no study is left out. Every whole trial is copied; what
    the folder holds of the study already is kept. notify: is told what is missing, with the command that
    trains it, and what is damaged. Raises UsageError, before anything is written, where they are not of one
    study, or of other images or versions.
    """
    _together(_sources(paths, folder, ignore))  # before the folder is made
    with alone_at(folder, "study"):
        sources = _sources(paths, folder, notify)
        plan, trials = _together(sources)
        remove_parts(folder)
        _write_plan(sources, plan, trials, folder)
        missing = [turn for turn, trial in enumerate(trials) if not _taken(trial, sources, folder, notify)]
        for told in _what_is_missing(missing, trials, sources, folder):
            notify(Note(told))
        return keep_results(folder)


def _sources(paths: Sequence[Path], folder: Path, notify: NoteListener) -> list[Source]:
    """What is merged: first what the folder holds already, then the others by their names."""
    named = {path.resolve(): path for given in paths for path in _found(given)}
    named.pop(folder.resolve(), None)
    studies = [path for _, path in sorted(named.items()) if (path / STUDY).exists()]
    if strange := [str(path) for path in named.values() if path not in studies]:
        notify(Note(f"without {listed(sorted(strange))}: there is no {STUDY} in it"))
    if not studies:
        raise UsageError(f"--merge {' '.join(map(str, paths))}: there is no study to merge")
    if (folder / STUDY).exists():
        studies.insert(0, folder)
    else:
        refuse_something_else(folder)
    for path in studies:
        if is_of_function(path):
            raise UsageError(f"{path} is a study of a function of your own: its calls are not merged")
    sources = [Source(path, load_study(path)) for path in studies]
    for source in sources:
        _refuse_unfit(source, folder)
    return sources


def _found(path: Path) -> list[Path]:
    """The folders that a name means. Raises UsageError where there are none."""
    inside = str(path.relative_to(path.anchor))
    found = [path] if path.exists() else sorted(Path(path.anchor).glob(inside))
    if not found:
        raise UsageError(f"--merge {path}: there is no such folder")
    return found


def _refuse_unfit(source: Source, folder: Path) -> None:
    path, study = source.path, source.study
    if path == folder and study.shard:
        raise UsageError(f"{folder} is shard {study.shard} of a study; name another folder with --out")
    if study.min_seeds is not None:
        raise UsageError(f"{path} ends once it is decided: only studies with --seeds are merged")
    if study.tuning:
        raise UsageError(f"{path} tuned its values first: such studies are not merged")


def _together(sources: Sequence[Source]) -> tuple[StudyPlan, list[Trial]]:
    """The whole study that all are of, and its trials. Raises UsageError where they are of several."""
    first, *others = sources
    for other in others:
        mine, theirs = _facts(first.study), _facts(other.study)
        if told := [
            f"{key} is {mine.get(key)} in {first.path} and {theirs.get(key)} in {other.path}"
            for key in {**mine, **theirs}
            if mine.get(key) != theirs.get(key)
        ]:
            raise UsageError(f"these are not shards of one study: {'; '.join(told)}")
    longest = max(sources, key=lambda source: source.study.seeds).study
    plan = replace(planned_again(longest, here=False), shard=None)
    data = _data_of(sources)
    return plan, [Trial(level.name, config, data) for level, config in plan.trials()]


def _facts(study: StudyFile) -> dict[str, object]:
    """What shards of one study share; how many seeds they have and where their images lie does not matter."""
    own: dict[str, object] = {"margin": study.margin, "match": study.match, "metric": study.metric}
    for key, values in study.varied.items():
        own[f"what is compared of {key}"] = ", ".join(map(name_of, values))
        own[f"the code of {key}"] = ", ".join(one.hash for one in references_in(values))
    own |= {key: value for key, value in flat(study.base()).items() if key not in study.varied}
    own.pop("data.root", None)
    return {**own, f"the hash of {LABELS}": study.labels}


def _data_of(sources: Sequence[Source]) -> str:
    """The hash of the images that all trials had. Raises UsageError where they differ, or in their versions.

    A damaged trial is left out, which is told when it is looked for.
    """
    values: dict[str, dict[str, RunDir]] = defaultdict(dict)
    for source in sources:
        for entry in source.study.trials:
            with contextlib.suppress(CnnkitError):
                run = RunDir(trial_folder(source.path, entry.folder))
                for name, value in _shared_by_trials(run).items() if run.finished else ():
                    values[name].setdefault(value, run)
    for name, found in values.items():
        if len(found) > 1:
            (one, first), (other, second), *_ = found.items()
            raise UsageError(
                f"these are not shards of one study: {name} is {one} in {first.path} and {other} in "
                f"{second.path}"
            )
    if not values:
        raise UsageError("no training has ended in any of them: there is nothing to merge yet")
    return next(iter(values[HASH_OF_IMAGES]))


def _shared_by_trials(run: RunDir) -> dict[str, str]:
    """What all trials of a study have alike, in words, and its value."""
    versions = {f"the version of {name}": str(run.environment.get(name)) for name in VERSIONS}
    return {HASH_OF_IMAGES: facts_of(run).hashes["data"], **versions}


def _write_plan(sources: Sequence[Source], plan: StudyPlan, trials: Sequence[Trial], folder: Path) -> None:
    """Writes `study.json` first: after a kill it can be merged again, or resumed."""
    longest = max(sources, key=lambda source: source.study.seeds)
    entries = [TrialEntry(trial.level, trial.seed, trial.folder) for trial in trials]
    before = [one for source in sources for one in source.study.history]
    history = [one for place, one in enumerate(before) if one not in before[:place]]
    study = replace(longest.study, shard=None, trials=entries, history=history)
    write_json(folder / STUDY, sealed(study.to_dict()))
    keep(own_classes_of(level.config for level in plan.levels), folder)
    read_labels(longest.path, longest.study)
    for name in (LABELS, GROUPS):
        if (longest.path / name).exists():
            write_atomically(folder / name, (longest.path / name).read_bytes())


def _taken(trial: Trial, sources: Sequence[Source], folder: Path, notify: NoteListener) -> bool:
    """Copies a trial from the first that has it whole, or else why it failed; whether one has ended."""
    held, home = [], folder / TRIALS / trial.folder
    for source in sources:
        with _told(notify):
            held.append(source.holds(trial))
    whole = [run for run in held if _is_whole(run, trial, notify)]
    failed = [run for run in held if not run.finished and run.failure]
    for run in (whole or failed)[:1]:
        if run.path != home:
            copy_folder(run.path, home, folder, NOT_TAKEN)
    for run in whole[1:]:
        if run.predictions() != whole[0].predictions():
            notify(Note(f"{run.path} predicts otherwise than {whole[0].path}, which is taken"))
    return bool(whole or failed)


@contextlib.contextmanager
def _told(notify: NoteListener) -> Iterator[None]:
    """Tells what is damaged in a `with` block."""
    try:
        yield
    except CnnkitError as error:
        notify(Note(f"{error}; it is left out"))


def _is_whole(run: RunDir, trial: Trial, notify: NoteListener) -> bool:
    with _told(notify):
        if is_finished(run.path, trial.config.data):
            if facts_of(run).id == trial.id:
                return True
            notify(Note(f"{run.path} holds another training than {STUDY} plans; it is left out"))
    return False


def _what_is_missing(
    missing: Sequence[int], trials: Sequence[Trial], sources: Sequence[Source], folder: Path
) -> Iterator[str]:
    """A sentence for each shard, and the command that trains it. missing: turns, as in `number_of`."""
    seeds = max(source.study.seeds for source in sources)
    shards = {source.study.shard: source for source in sources if source.study.shard}
    (of, *others) = {shard.of for shard in shards} or {0}
    by_shard: dict[Shard | None, list[Trial]] = defaultdict(list)
    for turn in missing:
        known = of and not others
        shard = Shard(number_of(turn, len(trials) // seeds, seeds, of), of) if known else None
        by_shard[shard].append(trials[turn])
    for shard, lacking in by_shard.items():
        named = [f"{trial.level} seed {trial.seed}" for trial in lacking[:SHOWN]]
        more = f" and {len(lacking) - SHOWN:,} more" if len(lacking) > SHOWN else ""
        told = f"{counted(len(lacking), 'training')} ({', '.join(named)}{more})"
        if shard is None:
            yield f"missing: {told}"
        elif shard in shards:
            yield f"shard {shard} lacks {told}; train them by: {_resume(shards[shard], seeds)}"
        else:
            yield f"shard {shard} is missing: {told}; train it as the others, with --shard {shard}"
    if missing:
        yield f"or train all that is missing here by: {_resume(Source(folder, load_study(folder)), seeds)}"


def _resume(source: Source, seeds: int) -> str:
    more = f" --seeds {seeds}" if source.study.seeds < seeds else ""
    trust = " --trust" if (source.path / OWN).is_dir() else ""
    return f"cnnkit compare --resume --out {shlex.quote(str(source.path))}{more}{trust}"
