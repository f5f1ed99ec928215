"""The functions of `import cnnkit`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cnnkit.api.drawn import as_path
from cnnkit.api.progress import shown
from cnnkit.api.refusals import anew, limits_of, refuse_of_function, values_of, whole
from cnnkit.api.run import Run
from cnnkit.api.study_progress import StudyProgress
from cnnkit.config import load
from cnnkit.config.checks import grid_complaints
from cnnkit.config.own_code import trust_values
from cnnkit.config.schema import Config
from cnnkit.config.validation import known_trackers
from cnnkit.data.dataset import ImageDataset, Splits, pixel_statistics
from cnnkit.data.prepare import load_splits
from cnnkit.errors import UsageError
from cnnkit.events import Listener
from cnnkit.experiment.forecast import forecast
from cnnkit.experiment.latest import followed
from cnnkit.experiment.new_run import new_run, refuse_taken
from cnnkit.experiment.train import prepare, run_experiment
from cnnkit.families.datasets import ImageInfo
from cnnkit.nn.model import CNN
from cnnkit.nn.model import build_model as build
from cnnkit.nn.tried_apart import try_own_classes
from cnnkit.own.sources import trust as trust_code
from cnnkit.tracking.run import tracked_run
from cnnkit.words import counted

if TYPE_CHECKING:
    from cnnkit.api.study import Study
    from cnnkit.comparison.function_call import Function
    from cnnkit.comparison.widths import Match


def load_images(config: Config) -> Splits:
    """The images of a configuration: found or fetched, cropped, and split by `training.seed`.

    Each of train, validation and test has images (N, C, H, W) uint8, pixels 0 … 255, and labels (N,) int64.
    Raises DataError where the files are damaged, or missing and not to be had.

    >>> cnnkit.load_images(cnnkit.load_config("digits")).test.images.shape
    torch.Size([360, 1, 8, 8])
    """
    with anew():
        return load_splits(config.data, config.training.seed)


def build_model(
    config: Config,
    images: ImageDataset | None = None,
    *,
    shape: tuple[int, int, int] | None = None,
    classes: int | None = None,
) -> CNN:
    """The network of a configuration, with the initial weights of `training.seed`: a `torch.nn.Module`.

    It maps pixels 0 … 255, (N, C, H, W) uint8 or float, to logits (N, classes).
    images: training images; the network then subtracts their mean and divides by their deviation, as
    `train` has it. Without them it takes pixels as they are. shape: (C, H, W) of an image, and classes: how
    many, instead of those of `config.data`. Raises UsageError where a shape is too small for the stages.

    >>> cnnkit.build_model(cnnkit.load_config("digits"))(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 10])
    """
    if classes is not None and classes < 2:
        raise UsageError(f"classes: {classes}; a network tells at least 2 apart")
    if shape is not None and len(shape) != 3:
        raise UsageError(f"shape: {shape}; expected (channels, height, width)")
    known = config.data.info if images is None else images.info
    names = known.class_names if classes is None else tuple(map(str, range(classes)))
    info = ImageInfo(shape or known.shape, names)
    if complaints := list(grid_complaints(config.model, info.shape)):
        raise UsageError("; ".join(f"{complaint.key}: {complaint.message}" for complaint in complaints))
    if images is not None and images.info.shape[0] != info.shape[0]:
        channels = counted(images.info.shape[0], "channel")
        raise UsageError(f"the images have {channels}, the shape {info.shape[0]}")
    mean, std = (0.0, 1.0) if images is None else pixel_statistics(images)
    return build(config.model, info, config.training.seed, mean, std)


def train(
    config: Config,
    out: str | Path | None = None,
    *,
    name: str | None = None,
    progress: bool | Listener = True,
) -> Run:
    """Trains a network, keeps what it learned in a run directory, and tests it once.

    out: the run directory, new or empty; without it `runs/<name>-<pooling>-<time>`. name: by default that of
    the data set. progress: a line an epoch on standard error, or a function that is called with each event
    of `cnnkit.events`. The trackers that `config.tracking` names are told of it.
    Raises UsageError where `out` holds something or is being trained into, or there is no such device,
    DataError, TrainingError, and Interrupted, after saving, on Ctrl-C.

    >>> cnnkit.train(cnnkit.load_config("digits", {"training.epochs": 1}), "runs/one").result.epochs
    1
    """
    folder = as_path(out)
    if folder is not None:
        refuse_taken(folder)
    with shown(progress) as listener, anew():
        try_own_classes([config.model], listener)
        setting = prepare(config, listener)  # first: a run that cannot begin leaves no folder
        listener(forecast(config, setting))
        labels = setting.splits.test.labels.cpu().numpy()
        with (
            new_run(config, name or config.data.dataset, folder) as run,
            tracked_run(config.tracking, run, config, labels, listener) as told,
        ):
            run_experiment(config, run, told, setting)
    return Run(run.path)


def open_run(path: str | Path, *, trust: bool = False) -> Run:
    """The run in a directory, or what can be known of a weights file alone.

    trust: lets classes of its own run, which were kept with it; read them before. Without it OwnCodeError is
    raised where one would have to run, unless your own configuration names it in this process.
    Raises UsageError where there is neither.

    >>> cnnkit.open_run("runs/one").result.epochs
    1
    """
    run = Run(followed(Path(path)))
    if trust:
        trust_code(run.config.model.own_classes)
    return run


def compare(
    config: "Config | Function",
    vary: Mapping[str, Sequence[Any]],
    seeds: int | None = None,
    out: str | Path | None = None,
    *,
    min_seeds: int | None = None,
    max_seeds: int | None = None,
    tune: int | None = None,
    tune_keys: Sequence[str] = (),
    folds: int | None = None,
    resample_test: bool = False,
    metric: str = "accuracy",
    margin: float | None = None,
    match: "Match" = "none",
    shard: tuple[int, int] | None = None,
    workers: int | None = None,
    executor: Literal["local", "ray"] = "local",
    ray_address: str | None = None,
    track: Sequence[str] = (),
    progress: bool = True,
) -> "Study":
    """Trains each value of a key under the same seeds, and tells which differences are real.

    config: a configuration; or your own training, in any framework: a function that is called with a value
    and a seed, and returns its accuracy, 0 … 1, or which test images were right: (N,) bool or 0 and 1, the
    same images in the same order each time. Only these tell whether other images would come out alike.
    vary: dotted keys and their values; of several keys every combination is trained, and none is dropped. A
    function then gets a dict, the value of each key, in place of a value.
    seeds: exactly so many; None: until the leader is known, between `min_seeds` (None: 3, or as many as there
    are folds) and `max_seeds` (None: 40); a value that is beaten is trained no further. folds: seeds test on
    one fold of all images after another, instead of the test split; resample_test: each seed draws a test
    split of its own. metric: what decides, "accuracy", "balanced_accuracy" or "macro_f1".
    margin: percentage points up to which a difference counts for nothing; None: 0.1, or two
    test images if these are more. match: "parameters" or "macs" scales the channels until all values cost
    what the first does.
    shard: (3, 16) trains only the third of 16 shares of the trials, for another machine each; `merge` makes
    one study of them. It takes `seeds`.
    out: the study's folder; what it holds of the same study is kept, and no value or seed is dropped.
    track: trackers that are told of it, besides those that `config.tracking` names.
    workers: trials side by side, not with Ray; of a function 1, in this process, or as many processes,
    which import it from its module. tune: so many points at which each value is tried first, on validation
    images alone; it keeps the settings of the best. tune_keys: what is tuned, dotted keys; without any the
    learning rate. match, metric, shard, executor, ray_address, tune, folds, resample_test: not of a
    function, which may return another score, 0 … 1, in place of an accuracy.
    Raises UsageError where the values or options make no study or `out` holds another one, and Interrupted,
    after the running trials have saved, on Ctrl-C: `out` then holds the verdict so far.

    >>> config = cnnkit.load_config("digits", {"training.epochs": 1})
    >>> study = cnnkit.compare(config, {"model.pooling": ["max", "avg"]}, seeds=2, out="studies/a")
    >>> [level.name for level in study.results.levels if level.accuracy.mean < 0.1]
    []

    >>> def train(optimizer, seed):
    ...     rng = np.random.default_rng([seed, len(optimizer)])
    ...     return rng.random(1000) < {"sgd": 0.8, "adamw": 0.9}[optimizer]  # which test images were right
    >>> print(cnnkit.compare(train, {"optimizer": ["sgd", "adamw"]}, out="studies/own", progress=False))
    optimizer adamw wins with 9...%: it is better than every other by ... points or more.
    """
    trackers = [*known_trackers(track, "track="), *(() if callable(config) else config.tracking)]
    varied, limits = values_of(vary, tune_keys), limits_of(seeds, min_seeds, max_seeds, margin)
    if not callable(config):
        trust_values(varied)
    whole(tune=tune, folds=folds, workers=workers)
    from cnnkit.api.study import run_function_plan, run_plan, with_page
    from cnnkit.comparison.function_plan import plan_function
    from cnnkit.comparison.going_on import as_planned
    from cnnkit.comparison.plan_options import with_shard, with_tuning
    from cnnkit.comparison.shards import given_shard
    from cnnkit.comparison.study import plan_study
    from cnnkit.tracking.study import tracked_study

    planned, folder = {**as_planned(varied), **limits}, as_path(out)
    of_plan: dict[str, object] = {"match": match, "metric": metric, "tune": tune, "folds": folds}
    of_plan |= {"resample_test": resample_test, "shard": shard}
    with StudyProgress(quiet=not progress) as listener:
        if callable(config):
            refuse_of_function(
                executor=executor, ray_address=ray_address, tune_keys=tuple(tune_keys), **of_plan
            )
            own = plan_function(config, **planned)
            with tracked_study(trackers, folder, listener) as tracked:
                study = run_function_plan(
                    config, own, folder, workers=workers, notify=listener, tracked=tracked
                )
                return with_page(study, tracked)
        base = load.with_own_test_images(config, folds, resample_test)
        plan = plan_study(base, **planned, match=match, metric=metric, here=executor == "local")
        plan = with_shard(with_tuning(plan, tune, tune_keys), given_shard(shard))
        with tracked_study(trackers, folder, listener) as tracked, anew():
            study = run_plan(
                plan,
                folder,
                workers=workers,
                executor=executor,
                ray_address=ray_address,
                notify=listener,
                tracked=tracked,
            )
            return study if plan.shard else with_page(study, tracked)


def merge(folders: Sequence[str | Path], out: str | Path, *, progress: bool = True) -> "Study":
    """Makes one study, in `out`, of shards that several machines have trained; trains nothing.

    folders: of the shards, in any order, and of studies of the same plan; the same one twice does no harm.
    What `out` holds of the study is kept, so more can be merged later. What is missing or damaged is told on
    standard error, with the command that trains it. Raises UsageError where they are of different studies,
    images or versions; nothing is written then.

    >>> config, vary = cnnkit.load_config("digits", {"training.epochs": 1}), {"model.pooling": ["max", "avg"]}
    >>> for number in (1, 2):
    ...     _ = cnnkit.compare(config, vary, seeds=2, shard=(number, 2), out=f"S/{number}", progress=False)
    >>> len(cnnkit.merge(["S/1", "S/2"], out="S/all").results.trials)
    4
    """
    from cnnkit.api.study import Study
    from cnnkit.comparison.merging import merge_studies

    with StudyProgress(quiet=not progress) as listener:
        merge_studies([Path(folder) for folder in folders], Path(out), listener)
    return Study(Path(out))


def open_study(folder: str | Path, *, trust: bool = False) -> "Study":
    """The study in a folder. trust: as for `open_run`. Raises UsageError where there is none.

    >>> cnnkit.open_study("studies/a").results.key
    'model.pooling'
    """
    from cnnkit.api.study import Study

    if trust:
        from cnnkit.comparison.trusted import trust_kept

        trust_kept(Path(folder))
    return Study(Path(folder))
