"""The whole walk: configuration → data → model → training → one look at the test split → run directory."""

import time
from dataclasses import dataclass, replace

import torch

from cnnkit import signals
from cnnkit.calibrator import calibrator_of
from cnnkit.config.costs import layer_costs
from cnnkit.config.schema import Config
from cnnkit.config.training import BALANCED
from cnnkit.data.dataset import Published, Splits
from cnnkit.data.hardest import hardest_first
from cnnkit.data.prepare import load_splits
from cnnkit.errors import Interrupted, OutOfMemory, RunError, TrainingError
from cnnkit.events import Begun, Listener, Note, ignore
from cnnkit.experiment import digit_check
from cnnkit.experiment.checkpoints import Weights, load_state, load_weights, save_state, save_weights
from cnnkit.experiment.new_run import write_environment
from cnnkit.experiment.pixel_hashes import keep_hashes, refuse_other_pixels
from cnnkit.experiment.run_dir import RunDir, RunResult, resume_command
from cnnkit.filenames import BEST, FAILURE, LAST, STATE
from cnnkit.files import write_atomically
from cnnkit.nn.model import build_model
from cnnkit.random import generator_for
from cnnkit.scores import balanced_weights
from cnnkit.training.device import Placement, choose_device, device_errors_in_words
from cnnkit.training.evaluation import Evaluation, evaluate
from cnnkit.training.familiarity import HONEST, familiarity_of
from cnnkit.training.idle_cores import IdleCores
from cnnkit.training.loop import train
from cnnkit.training.memory import refuse_what_cannot_fit
from cnnkit.training.state import Training
from cnnkit.words import counted


@dataclass(frozen=True)
class Setting:
    """What a training needs before it can begin: a device, and images that lie on it. seconds: to prepare."""

    placement: Placement
    splits: Splits
    seconds: float


def prepare(
    config: Config,
    notify: Listener = ignore,
    device_name: str | None = None,
    published: Published | None = None,
    threads: int | None = None,
) -> Setting:
    """Finds the device and the data. Raises UsageError or DataError where they are not to be had.

    device_name: instead of the configured one. published: the images, where they are known already.
    threads: how many an interrupted run began with, so that its weights stay the same bit for bit; None: as
    many as cores are idle.
    """
    started, cores = time.perf_counter(), IdleCores()
    placement = choose_device(config.runtime, device_name)
    with placement.in_force(), device_errors_in_words():
        splits = load_splits(config.data, config.training.seed, notify, published).to(placement.device)
    if threads is None:
        placement = cores.fit(placement, config.runtime, notify)
    elif config.runtime.threads is None:
        placement = replace(placement, threads=min(threads, placement.threads))
    return Setting(placement, splits, time.perf_counter() - started)


def run_experiment(
    config: Config,
    run: RunDir,
    notify: Listener = ignore,
    setting: Setting | None = None,
    remember: bool = True,
) -> RunResult:
    """Trains into a new run directory, or goes on where it stopped; returns what `result.json` holds.

    remember: keeps beside the best weights what the training images look like, for `predict`.
    Raises Interrupted, after saving, where Ctrl-C or SIGTERM arrives while it trains.
    """
    setting = setting or prepare(config, notify, threads=run.threads)
    with setting.placement.in_force():
        started = time.perf_counter()
        training = _begin_or_restore(config, run, setting, notify)
        setup_seconds = setting.seconds + time.perf_counter() - started

        begun = describe(training)
        notify(begun)
        if training.finished:
            notify(Note("training had ended; only the test was missing"))
        try:
            _train_and_keep(training, setting.splits, run, notify)
        except TrainingError as error:
            if not isinstance(error, OutOfMemory):  # another machine may have more
                write_atomically(run.path / FAILURE, str(error))
            raise
        return finish(training, setting.splits, run, begun, setup_seconds, remember)


def _begin_or_restore(config: Config, run: RunDir, setting: Setting, notify: Listener) -> Training:
    """A training before its first step, or where an interrupted run stopped."""
    with device_errors_in_words(config.training.batch_size):
        training = begin(config, setting.placement, setting.splits)
    run.remove_leftovers()
    if (run.path / STATE).is_file():
        refuse_other_pixels(run, setting.splits)
        _restore(training, run)
        _warn_of_another_machine(run, setting.placement, notify)
    else:
        write_environment(run.path, setting.placement)
        keep_hashes(run.path, setting.splits)
    return training


def _restore(training: Training, run: RunDir) -> None:
    """Raises RunError where the state is whole but not one of this training's."""
    state = load_state(run)
    try:
        training.restore(state)
    except (LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise RunError(
            f"{run.path / STATE} is damaged: it holds no state of this training; "
            "train again into another folder"
        ) from error


def finish(
    training: Training,
    splits: Splits,
    run: RunDir,
    begun: Begun,
    setup_seconds: float,
    remember: bool = False,
) -> RunResult:
    """Measures the kept weights on the test split, once, and writes `result.json`.

    remember: as for `run_experiment`.
    """
    weights = load_weights(run.path)
    if weights.config != training.config:
        raise RunError(
            f"{weights.source} is not what was trained here: another program wrote it; "
            "train into another folder"
        )
    if remember:
        _remember_training_images(weights, run, splits, training.placement)
    started = time.perf_counter()
    test = evaluate(weights.model, splits.test, training.placement, weights.calibrator)
    eval_seconds = time.perf_counter() - started
    run.write_predictions(test.predictions, splits.info.classes, splits.tested)
    result = _result_of(training, splits, run, begun, test, (setup_seconds, eval_seconds))
    (run.path / FAILURE).unlink(missing_ok=True)  # of an earlier try
    run.keep_result(result)
    return result


def _result_of(
    training: Training,
    splits: Splits,
    run: RunDir,
    begun: Begun,
    test: Evaluation,
    seconds: tuple[float, float],
) -> RunResult:
    """seconds: to set up, and to test."""
    config, best = training.config, training.history[training.best_epoch - 1]
    setup_seconds, eval_seconds = seconds
    return RunResult(
        run=str(run.path),
        test_accuracy=test.accuracy,
        test_loss=test.loss,
        val_accuracy=best.val_accuracy,
        val_loss=best.val_loss,
        best_epoch=training.best_epoch,
        epochs=len(training.history),
        train_seconds=sum(record.seconds for record in training.history),
        eval_seconds=eval_seconds,
        seed=config.training.seed,
        device=str(training.placement.device),
        precision=training.placement.precision,
        threads=training.placement.threads,
        dataset=config.data.dataset,
        train_images=len(splits.train),
        val_images=len(splits.validation),
        test_images=len(splits.test),
        parameters=begun.parameters,
        macs=begun.macs,
        setup_seconds=setup_seconds,
        clean_train_accuracy=best.clean_train_accuracy,
        clean_train_loss=best.clean_train_loss,
        calibration=test.calibration(),
        test_balanced_accuracy=test.scores.balanced_accuracy,
        test_macro_f1=test.scores.macro_f1,
    )


def _train_and_keep(training: Training, splits: Splits, run: RunDir, notify: Listener) -> None:
    """Trains to the end. Raises Interrupted, after saving, where a signal comes first."""
    config = training.config

    def keep(best: bool) -> None:
        calibrator = calibrator_of(training.history[-1])
        save_weights(run, LAST, training.kept_model, config, calibrator)
        if best:
            save_weights(run, BEST, training.kept_model, config, calibrator)
        run.write_metrics(training.history)
        save_state(run, training.state(), config)  # last: where it is there, the others are whole

    with signals.collected() as received:
        whole = train(training, splits, on_event=notify, on_epoch=keep, stop_requested=lambda: bool(received))
        if not whole:
            save_state(run, training.state(), config)
            raise Interrupted(
                f"stopped and saved in {run.path}; go on with: {resume_command(run.path)}", received[0]
            )


def _remember_training_images(weights: Weights, run: RunDir, splits: Splits, placement: Placement) -> None:
    """Keeps with the best weights what `predict` needs to warn of images unlike the training images."""
    model = weights.model.to(placement.device)
    config = weights.config
    generator = generator_for(config.training.seed, "familiarity")
    honest = digit_check.HONEST if digit_check.acts_on(config.data.info) else HONEST
    with device_errors_in_words():
        known = familiarity_of(model, splits.train, splits.validation, placement, generator, honest)
    if known is not None:
        save_weights(run, BEST, model, config, weights.calibrator, known)


def begin(config: Config, placement: Placement, splits: Splits) -> Training:
    """A training that has not taken a step, from the initial weights of its seed.

    Raises OutOfMemory where it cannot fit.
    """
    refuse_what_cannot_fit(config, splits.info, placement.device)
    mean, std = splits.pixel_statistics
    model = build_model(config.model, splits.info, config.training.seed, mean, std)
    labels, shown, choosing = splits.train.labels, None, 0.0
    if config.training.hardest < 1:
        started = time.perf_counter()
        order = hardest_first(splits.train).cpu()  # waits for the device
        choosing = time.perf_counter() - started
        shown = order[: config.training.shown_of(len(order))]
        labels = labels[shown.to(labels.device)]
    weights = None
    if config.training.class_weights == BALANCED:
        counts = torch.bincount(labels, minlength=splits.info.classes)
        weights = torch.from_numpy(balanced_weights(counts.cpu().numpy())).float()
    return Training(
        config, model, placement, len(labels), class_weights=weights, shown=shown, choosing=choosing
    )


def describe(training: Training) -> Begun:
    """What a person is told before it trains."""
    config, placement = training.config, training.placement
    costs = layer_costs(config.model, training.model.info)
    title = f"{config.data.info.title}, {config.model.strategies} pooling"
    if training.class_weights is not None:
        least, most = (float(weight) for weight in training.class_weights.aminmax())
        title += f", classes weighted {least:.3g} to {most:.3g}"
    if training.shown is not None:
        title += f", on the hardest {counted(training.train_images, 'image')}"
    return Begun(
        title=title,
        device=f"{placement.device}, {placement.precision}, {counted(placement.threads, 'thread')}",
        parameters=sum(cost.parameters for cost in costs),
        macs=sum(cost.macs for cost in costs),
        epochs=config.training.epochs,
    )


def _warn_of_another_machine(run: RunDir, placement: Placement, notify: Listener) -> None:
    try:
        before = run.environment
    except RunError:
        before = {}
    now = {
        "device": str(placement.device),
        "precision": placement.precision,
        "threads": placement.threads,
        "torch": torch.__version__,
    }
    if changed := [f"{key} {before.get(key)} → {now[key]}" for key in now if before.get(key) != now[key]]:
        notify(Note(f"resumed with another {', '.join(changed)}: the weights will not be bitwise the same"))
