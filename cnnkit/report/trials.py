"""What a study's trials show beyond their accuracy: curves, confusions, images, provenance."""

import contextlib
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnkit.comparison.records import StudyResults
from cnnkit.comparison.results import images_tested
from cnnkit.comparison.study_file import trial_folder
from cnnkit.comparison.study_records import StudyFile
from cnnkit.comparison.trial_records import Hashes
from cnnkit.config.images import DataConfig
from cnnkit.config.schema import Config
from cnnkit.data.dataset import ImageDataset
from cnnkit.errors import RunError
from cnnkit.events import EpochRecord
from cnnkit.experiment.run_dir import RunDir
from cnnkit.filenames import LABELS, PREDICTIONS, RESULTS, STUDY
from cnnkit.report.axes import Panel
from cnnkit.report.captions import confusion_caption, curves_caption, gallery_caption
from cnnkit.report.crops import crop_note, whole_image
from cnnkit.report.curves import HOW_MEASURED, training_fields
from cnnkit.report.damage import damaged_files, labels_left, predictions_left
from cnnkit.report.effects import series_of
from cnnkit.report.heat import HeatMap, heat_map, mistakes_alone, mistakes_map, most_confused, note_on_many
from cnnkit.report.plots import Curve, curve_of, curve_panel
from cnnkit.report.provenance import provenance_of
from cnnkit.words import counted, listed

GALLERY_SHOWN = 18
UNTESTED = -1  # no class
CURVES = (  # field of an epoch's record, title, scale, whether it may be logarithmic
    ("val_accuracy", "validation accuracy, %", 100.0, False),
    ("val_loss", "validation loss, nats", 1.0, True),
    ("train_accuracy", "training accuracy, %", 100.0, False),
    ("train_loss", "training loss, nats", 1.0, True),
)
CURVES_WITHOUT_VALIDATION = CURVES[2:]
SHARED = {"data": "data", "split": "split", "order": "data order", "augmentation": "augmentation stream"}


@dataclass(frozen=True)
class Trials:
    """A study's finished trials.

    order: levels, best first. series: each level's colour and marker. seeds: those that every level has
    finished. labels: (images,), none where they are damaged. predictions: (images,), of the trials that
    still have them whole, `UNTESTED` where a seed was not tested on an image. damage: what is wrong with the
    files, a sentence each.
    """

    folder: Path
    config: Config
    order: list[str]
    series: Mapping[str, int]
    seeds: list[int]
    runs: Mapping[tuple[str, int], RunDir]
    hashes: Mapping[tuple[str, int], Mapping[str, Any]]
    labels: NDArray[np.int64]
    predictions: Mapping[tuple[str, int], NDArray[np.int64]]
    damage: list[str]

    @property
    def predicted(self) -> list[int]:
        """The seeds for which the predictions of every level are there."""
        return [seed for seed in self.seeds if all((level, seed) in self.predictions for level in self.order)]

    def predictions_of(self, level: str) -> NDArray[np.int64]:
        """(seeds, images), of the seeds in `predicted`."""
        return np.stack([self.predictions[level, seed] for seed in self.predicted])


def open_trials(folder: Path, study: StudyFile, config: Config, results: StudyResults) -> Trials:
    """The study's own order of levels gives each level its colour, whatever its rank."""
    finished = {(t.level, t.seed): t for t in results.trials if not t.error}
    levels = [level.name for level in study.levels]
    labels, damage = labels_left(folder, study)
    order = [level.name for level in results.levels] or levels
    runs = {}
    for key, trial in finished.items():
        try:
            runs[key] = RunDir(trial_folder(folder, trial.folder))
        except RunError as error:
            damage.append(str(error))
    damage += [sentence for run in runs.values() for sentence in damaged_files(run)]
    predictions = {
        key: kept
        for key, run in runs.items()
        if (kept := _predictions(run, len(labels), config.data, finished[key].hashes)) is not None
    }
    return Trials(
        folder=folder,
        config=config,
        order=order,
        series=series_of(study),
        seeds=[seed for seed in results.seeds if all((name, seed) in runs for name in order)],
        runs=runs,
        hashes={key: trial.hashes or {} for key, trial in finished.items()},
        labels=labels,
        predictions=predictions,
        damage=damage,
    )


def _predictions(
    run: RunDir, images: int, data: DataConfig, hashes: Hashes | None
) -> NDArray[np.int64] | None:
    """(images,), those that any seed may be tested on; None where not all of them are there."""
    kept_hash = hashes.get("predictions", "") if hashes else ""
    if not data.redrawn:
        return predictions_left(run, images, data.info.classes, kept_hash)
    tested = data.info.test_images
    kept = predictions_left(run, tested, data.info.classes, kept_hash)
    with contextlib.suppress(RunError):
        numbers = images_tested(run, tested, images)
        if kept is not None:
            everywhere = np.full(images, UNTESTED)
            everywhere[numbers] = kept
            return everywhere
    return None


def missing_predictions(trials: Trials) -> str:
    """Names the trials whose predictions are missing, in a sentence; empty if there are none."""
    lost = [f"{level}, seed {seed}" for level, seed in sorted(trials.runs.keys() - trials.predictions.keys())]
    if not lost:
        return ""
    left = len(trials.predicted)
    rest = f"this rests on {counted(left, 'seed')} of {len(trials.seeds)}" if left else "this is not drawn"
    return f"No whole {PREDICTIONS} is left of {'; '.join(lost)}: {rest}."


def curves_view(trials: Trials) -> dict[str, object] | None:
    """Panels of accuracies and losses over the epochs; None where no trial has kept any.

    Over the seeds that every level has, so that none is ahead for its easier seeds.
    """
    histories, shared = _histories(trials)
    panels: list[Panel] = []
    caption = ""
    held_out = any(h[0].val_accuracy is not None for of_level in histories.values() for h in of_level if h)
    fields = training_fields(history for of_level in histories.values() for history in of_level)
    for name, title, scale, log in CURVES if held_out else CURVES_WITHOUT_VALIDATION:
        curves = _curves(histories, trials.series, name.replace("train", fields), scale)
        if curves:
            panels.append(curve_panel(title, curves, log))
            caption = caption or curves_caption(curves, title.partition(",")[0], shared)
    return {"panels": panels, "caption": f"{caption} {HOW_MEASURED[fields]}"} if panels else None


def _histories(trials: Trials) -> tuple[dict[str, list[list[EpochRecord]]], list[int]]:
    """The epochs of each level's trials, and the seeds that these are of; none: each level's own."""
    kept: dict[tuple[str, int], list[EpochRecord]] = {}
    for trial, run in trials.runs.items():
        with contextlib.suppress(RunError):
            kept[trial] = run.metrics()
    shared = [seed for seed in trials.seeds if all((level, seed) in kept for level in trials.order)]
    histories: dict[str, list[list[EpochRecord]]] = {level: [] for level in trials.order}
    for (level, seed), epochs in kept.items():
        if not shared or seed in shared:
            histories[level].append(epochs)
    return histories, shared


def _curves(
    histories: Mapping[str, Sequence[Sequence[EpochRecord]]],
    series: Mapping[str, int],
    name: str,
    scale: float,
) -> list[Curve]:
    curves = []
    for level, of_level in histories.items():
        values = [
            [getattr(r, name) * scale for r in h] for h in of_level if h and getattr(h[0], name) is not None
        ]
        if values:
            curves.append(curve_of(series[level], level, values))
    return curves


def confusion_view(trials: Trials) -> dict[str, object] | None:
    """The best level's mistakes, and how the other levels' mistakes differ: mean counts per training."""
    if not trials.predicted:
        return None
    names = trials.config.data.info.class_names
    confusions = {
        level: mean_confusion(trials.predictions_of(level), trials.labels, len(names))
        for level in trials.order
    }
    best, *others = trials.order
    differences = {level: confusions[level] - confusions[best] for level in others}
    widest = max([float(np.abs(mistakes_alone(d)).max()) for d in differences.values()] + [1e-9])
    maps: list[HeatMap] = [mistakes_map(confusions[best], names, best, trials.series[best])]
    maps += [heat_map(d, names, n, widest, trials.series[n], signed=True) for n, d in differences.items()]
    caption = confusion_caption(confusions, names, trials.order, trials.predicted)
    caption = f"{caption} {note_on_many(names)}".rstrip()
    return {"maps": maps, "caption": caption, "pairs": most_confused([*confusions.values()], names)}


def mean_confusion(
    predictions: NDArray[np.int64], labels: NDArray[np.int64], classes: int
) -> NDArray[np.float64]:
    """Mean counts over trainings: (seeds, images), (images,) -> (classes, classes), rows the truth."""
    pairs = (labels * classes + predictions)[predictions != UNTESTED]
    counts = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    return counts / len(predictions)


def gallery_view(trials: Trials, test: ImageDataset) -> dict[str, object] | None:
    """Test images in which the levels differ most, over the seeds; None where no image tells them apart.

    test: before the crop.
    """
    predictions = {level: trials.predictions_of(level) for level in trials.order}
    right = np.stack([(p == trials.labels).sum(0) for p in predictions.values()])  # (levels, images)
    apart = right.max(0) - right.min(0)
    tested = (predictions[trials.order[0]] != UNTESTED).sum(0)  # with how many seeds each image was
    numbers = np.argsort(-apart, kind="stable")[:GALLERY_SHOWN]
    numbers = numbers[apart[numbers] > 0]
    if not len(numbers):
        return None
    info, crop = trials.config.data.info, trials.config.data.crop
    names, as_is = info.class_names, info.shown_as_is
    cards = []
    shown = test[numbers.tolist()].images
    for i, pixels in zip(numbers.tolist(), shown, strict=True):
        rows = []
        for level, of_level in predictions.items():
            answers = of_level[of_level[:, i] != UNTESTED, i]
            wrong = Counter(answers[answers != trials.labels[i]].tolist()).most_common(1)
            taken = names[wrong[0][0]] if wrong else ""
            row = {"series": trials.series[level], "name": level, "taken": taken, "tested": len(answers)}
            rows.append({**row, "right": int((answers == trials.labels[i]).sum())})
        truth = names[int(trials.labels[i])]
        image = whole_image(pixels, crop, as_is)
        cards.append({"image": image, "number": i, "truth": truth, "rows": rows})
    clear = int(((apart == tested) & (tested > 0)).sum())
    each = "every seed that tested it" if trials.config.data.redrawn else f"all {tested.max()} seeds"
    caption = gallery_caption(len(cards), int((apart > 0).sum()), clear, int(tested.max()), each)
    note = crop_note(shown, crop, as_is)
    return {"cards": cards, "caption": f"{caption} {note}".strip()}


def provenance_view(trials: Trials) -> dict[str, object]:
    """Commands, versions and hashes: to repeat the study, and to check what its trials shared."""
    files = [trials.folder / name for name in (RESULTS, STUDY, LABELS)]
    hashes = [(p.name, hashlib.sha256(p.read_bytes()).hexdigest()) for p in files if p.is_file()]
    data = sorted({str(of_trial["data"]) for of_trial in trials.hashes.values()})
    return {
        **provenance_of(trials.runs.values()),
        "hashes": [*hashes, *(("data", value) for value in data)],
        "shared": list(_shared(trials)),
    }


def _shared(trials: Trials) -> list[str]:
    """Sentences that tell, from the hashes, what the trials of one seed share."""
    if not trials.seeds:
        return []
    groups = [[trials.hashes[level, seed] for level in trials.order] for seed in trials.seeds]
    agree = {
        name: all(len({str(h[key]) for h in group}) == 1 for group in groups) for key, name in SHARED.items()
    }
    same = [name for name, yes in agree.items() if yes]
    sentences = []
    if same:
        sentences.append(f"Trials with the same seed use the same {listed(same)}: their hashes are equal.")
    if other := [name for name, yes in agree.items() if not yes]:
        sentences.append(f"They differ in {listed(other)}, because what the levels differ in changes it.")
    layers = set.intersection(*(set(h["weights"]) for group in groups for h in group))
    alike = [n for n in layers if all(len({h["weights"][n] for h in group}) == 1 for group in groups)]
    every = set.union(*(set(h["weights"]) for group in groups for h in group))
    sentences.append(
        f"{len(alike)} of {len(every)} parameter tensors began with equal values in every level."
    )
    return sentences
