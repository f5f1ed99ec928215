"""`probe.json`: what the networks of a study answer when they are probed, and which differences are real."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnnkit.comparison.function_study import is_of_function
from cnnkit.comparison.pair_records import EQUIVALENT, UNDECIDED, PairResult, ToBest
from cnnkit.comparison.probe_file import VERSION, Probe, ProbedTrial, read_probe
from cnnkit.comparison.study_file import load_study, no_networks, trial_folder
from cnnkit.comparison.study_records import TrialEntry
from cnnkit.comparison.verdicts import Observed, judge
from cnnkit.config.own_code import tell_of
from cnnkit.config.schema import Config
from cnnkit.data.sources import with_root
from cnnkit.errors import DamagedFile, RunError, UsageError
from cnnkit.events import Note, NoteListener, Prepared, ignore
from cnnkit.experiment.checkpoints import load_weights
from cnnkit.experiment.run_dir import RunDir
from cnnkit.filenames import BEST, PROBE
from cnnkit.files import write_json
from cnnkit.kept import read_kept, sealed, sha256
from cnnkit.own.code import not_run, refuse_untrusted
from cnnkit.own.names import Reference
from cnnkit.own.sources import is_trusted
from cnnkit.probe.measure import IMAGES, Asked, Found, asked_of, figures_of
from cnnkit.stats import Interval, mean_interval
from cnnkit.training.device import choose_device
from cnnkit.words import counted

MARGIN = 0.01  # a difference of less than one point explains nothing
REASONS = 2  # at most, in the words at the top
# What a figure says of two levels, the higher value first; in the order in which they are looked at.
SAID = {
    "smallest_object": "of the smallest objects {a} tells {x:.1%} right, {b} {y:.1%}",
    "shift.1.same_answer": "{a} keeps {x:.1%} of its answers when the image moves by one pixel, {b} {y:.1%}",
    "mean_corruption_error": "of worn images {a} takes {x:.1%} for something else, {b} {y:.1%}",
    "receptive_field": "a cell of the last maps sees {x:.0%} of what it could with {a}, {y:.0%} with {b}",
}
WHOLE = {
    "shift.1.same_answer": "same answer after a shift by 1 pixel, %",
    "shift.3.same_answer": "by 3 pixels, %",
    "mean_corruption_error": "error on worn images, %",
    "receptive_field": "receptive field, % of its size",
}


@dataclass(frozen=True)
class Judged:
    """One figure over the levels. means: with 95 % intervals over the seeds; None where no trial has it.

    pairs: as in `results.json`, over the seeds that both levels share.
    """

    means: dict[str, Interval | None]
    pairs: list[PairResult]

    def against(self, level: str, other: str) -> ToBest | None:
        """The difference of one level to another; None where they share no seeds."""
        for pair in self.pairs:
            if {pair.a, pair.b} == {level, other} and pair.seeds:
                return pair.seen_from(level)
        return None

    def differs(self, level: str, other: str) -> bool:
        """Whether other seeds would find the same difference."""
        found = self.against(level, other)
        return found is not None and found.verdict not in (UNDECIDED, EQUIVALENT)


def judged(probe: Probe, levels: Sequence[str]) -> dict[str, Judged]:
    """Each figure, by the rules of the study's own verdicts. levels: in the order of the study.

    Each figure is judged by itself: of twenty figures that are all equal one may be called different.
    """
    seeds = sorted({trial.seed for trial in probe.trials})
    names = list(dict.fromkeys(name for trial in probe.trials for name in trial.figures))
    return {name: _judged(probe, name, levels, seeds) for name in names}


def _judged(probe: Probe, name: str, levels: Sequence[str], seeds: Sequence[int]) -> Judged:
    values = np.full((len(levels), len(seeds)), np.nan)
    for trial in probe.trials:
        if trial.level in levels and name in trial.figures:
            values[levels.index(trial.level), seeds.index(trial.seed)] = trial.figures[name]
    observed = Observed(levels, values, np.zeros(values.shape, bool), None, 0)
    means = {
        level: mean_interval(row[np.isfinite(row)]) if np.isfinite(row).any() else None
        for level, row in zip(levels, values, strict=True)
    }
    pairs = judge(observed, MARGIN)[2] if len(observed.known.names) > 1 else []
    return Judged(means, pairs)


def reasons(figures: Mapping[str, Judged], levels: Sequence[str]) -> list[str]:
    """What tells the leader from another level by `MARGIN` or more: of each figure the largest difference."""
    told = []
    for name, words in SAID.items():
        others = {other: _difference(figures, name, levels[0], other) for other in levels[1:]}
        if any(others.values()):
            other = max(others, key=lambda level: others[level])
            means = {level: figures[name].means[level] for level in (levels[0], other)}
            (x, a), (y, b) = sorted(((i.mean, level) for level, i in means.items() if i), reverse=True)
            told.append(words.format(a=a, x=x, b=b, y=y))
    return told[:REASONS]


def _difference(figures: Mapping[str, Judged], name: str, best: str, other: str) -> float:
    """Its size, where it is real and large enough; else 0."""
    figure = figures.get(name)
    found = figure.against(other, best) if figure and figure.differs(other, best) else None
    size = abs(found.difference.mean) if found else 0.0
    return size if size >= MARGIN else 0.0


def probe_study(
    folder: Path,
    images: int = IMAGES,
    device: str | None = None,
    notify: NoteListener = ignore,
    root: Path | None = None,
) -> Probe:
    """Probes every network of a study that was not probed yet, and keeps the figures beside its results.

    images: of the test split, chosen at random, the same for all. device: instead of the configured one.
    root: where the images lie now. Levels whose own code a person does not trust are left out.
    Raises UsageError where there is no study of networks, or a root cannot act, DataError where its images
    are missing.
    """
    if is_of_function(folder):
        raise UsageError(f"{folder} compares {no_networks(folder)}: there are no networks to probe")
    if images < 1:
        raise UsageError(f"--images {images}: at least 1 image must be asked")
    known = _known(folder, images)
    asked, networks = _Questions(images, notify, root), _to_ask(folder, known, notify)
    probed: list[ProbedTrial] = []
    for number, (entry, run, stamp) in enumerate(networks):
        notify(Prepared(f"probing {counted(len(networks), 'network')} of {folder}", number, len(networks)))
        found = known.get(stamp) or _figures(run, asked, device)
        probed.append(ProbedTrial(entry.level, entry.seed, stamp, found.figures, found.field))
        probe = Probe(VERSION, images, min(images, run.result.test_images), probed)
        write_json(folder / PROBE, sealed(probe.to_dict()))
    notify(Prepared(f"probed {counted(len(networks), 'network')}", len(networks), len(networks)))
    return probe


def _to_ask(
    folder: Path, known: Mapping[str, Found], notify: NoteListener
) -> list[tuple[TrialEntry, RunDir, str]]:
    """Each trial that has ended, its run, and the hash of its weights. known: as `_known` gives it.

    A level whose code a person does not trust is left out, and that is told. Raises OwnCodeError where no
    other level is left, RunError where no trial has ended.
    """
    networks, untrusted, own = [], dict[str, Reference](), list[Reference]()
    for entry in load_study(folder).trials:
        run = RunDir(trial_folder(folder, entry.folder))
        if not run.finished:
            continue
        stamp = sha256(read_kept(run.path / BEST, any_size=True))
        named = [] if stamp in known else run.config.model.own_classes
        if refused := [one for one in named if not is_trusted(one)]:
            untrusted[entry.level] = refused[0]
        else:
            own += named
            networks.append((entry, run, stamp))
    if not networks:
        refuse_untrusted(*untrusted.values())
        raise RunError(f"{folder} holds no trial that has ended; nothing can be probed")
    tell_of(own, notify)
    for level, reference in untrusted.items():
        notify(Note(f"{level} is not probed: {not_run(reference)}"))
    return networks


class _Questions:
    """The images that networks are asked; made once for all that share their data."""

    def __init__(self, images: int, notify: NoteListener, root: Path | None) -> None:
        self.images, self.notify, self.root = images, notify, root
        self.made: dict[str, Asked] = {}

    def of(self, config: Config) -> Asked:
        seed = config.training.seed if config.data.redrawn else 0
        key = f"{seed} {config.data.model_dump_json()}"
        if key not in self.made:
            data = with_root(config.data, self.root, self.notify)
            config = config.model_copy(update={"data": data})
            self.made = {key: asked_of(config, self.images, self.notify)}
        return self.made[key]


def _figures(run: RunDir, asked: _Questions, device: str | None) -> Found:
    weights = load_weights(run.path)
    alone = weights.config.runtime.model_copy(update={"threads": None})  # beside other trials it had fewer
    placement = choose_device(alone, device)
    with placement.in_force():
        return figures_of(weights.model, asked.of(weights.config), placement)


def _known(folder: Path, images: int) -> dict[str, Found]:
    """By the hash of the weights: what was found before, if the same images were asked."""
    with contextlib.suppress(DamagedFile):
        kept = read_probe(folder)
        if kept is not None and (kept.version, kept.images) == (VERSION, images):
            return {trial.weights: Found(trial.figures, trial.field) for trial in kept.trials}
    return {}
