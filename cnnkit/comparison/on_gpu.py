"""Where trials run: in this process, the seeds of a level together on its device."""

import contextlib
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from cnnkit.calibrator import calibrator_of
from cnnkit.comparison.executor import Outcome
from cnnkit.comparison.local import LocalExecutor, keep_failure
from cnnkit.comparison.trial import Trial, open_folder, write_trial_json
from cnnkit.data.dataset import Published, Splits
from cnnkit.data.prepare import pixel_hashes
from cnnkit.data.splits import shares_of
from cnnkit.errors import GpuFailed, OutOfMemory, TrainingError
from cnnkit.events import Begun
from cnnkit.experiment.checkpoints import save_weights
from cnnkit.experiment.new_run import write_environment
from cnnkit.experiment.pixel_hashes import keep_hashes
from cnnkit.experiment.run_dir import RunDir
from cnnkit.experiment.train import Setting, begin, describe, finish
from cnnkit.filenames import BEST, FAILURE
from cnnkit.locks import alone_at
from cnnkit.training.device import choose_device, device_errors_in_words
from cnnkit.training.loop import train_together
from cnnkit.training.stack import Stack

TOGETHER = 32  # trainings at most


@dataclass(frozen=True)
class StackedExecutor:
    """This process. Trials of one level train as one, each into its folder under `home`.

    Seeds that have unequally many training images train apart.
    Each trial leaves the same files as if it had trained alone, up to rounding; its `train_seconds` are its
    share of the time of all. Nothing is saved during training: interrupted trials start again.
    Networks that cannot lie side by side, such as those of a pooling that draws, train one by one.
    Where memory does not hold all of them, they train in halves.
    """

    home: Path
    together: int = TOGETHER
    seeds_at_once: ClassVar[int | None] = 8

    def one_by_one(self, home: Path) -> LocalExecutor:
        """Trainings of other settings do not go together: a worker process takes one after the other."""
        return LocalExecutor(home)

    def run(self, trials: Iterable[Trial], published: Published) -> Generator[Outcome]:
        """Yields the trials of a group as it ends."""
        trials = list(trials)
        if not trials:
            return
        device = choose_device(trials[0].config.runtime).device
        resident = published.to(device)
        groups: dict[tuple[str, int], list[Trial]] = {}
        for trial in trials:  # groups and duplicates of a person's own images make the number the seed's own
            images = len(shares_of(trial.config.data, published, trial.seed).train)
            groups.setdefault((trial.level, images), []).append(trial)
        for group in groups.values():
            if not group[0].config.model.stacks:
                yield from self.one_by_one(self.home).run(group, published)
                continue
            for first in range(0, len(group), self.together):
                yield from self._attempt(group[first : first + self.together], published, resident)

    def _attempt(
        self, trials: Sequence[Trial], published: Published, resident: Published
    ) -> Iterator[Outcome]:
        reasons: Sequence[str | None] | None
        try:
            with device_errors_in_words(trials[0].config.training.batch_size):
                group = _Group(trials, self.home, published, resident)
                with group.placement.in_force():
                    reasons = group.train()
        except GpuFailed:
            raise  # all that would follow in this process would fail, too
        except Exception as error:
            too_many = isinstance(error, OutOfMemory) and len(trials) > 1
            reasons = None if too_many else [keep_failure(self.home / t.folder, error) for t in trials]
        if reasons is not None:
            yield from map(Outcome, trials, reasons)
            return
        half = len(trials) // 2  # only now, when the tensors have gone with the error
        for part in (trials[:half], trials[half:]):
            yield from self._attempt(part, published, resident)


class _Group:
    """Trials of one level that train as one. resident: `published`, on the device."""

    def __init__(
        self, trials: Sequence[Trial], home: Path, published: Published, resident: Published
    ) -> None:
        self.trials, self.home = trials, home
        data = trials[0].config.data
        resident = resident.cropped(data.crop)
        self.images = resident.all if data.redrawn else resident.train  # out of which shares are taken
        self.test_images = resident.test
        self.placement = choose_device(trials[0].config.runtime)
        shares = [shares_of(trial.config.data, published, trial.seed) for trial in trials]
        self.hashes = [pixel_hashes(published, share) for share in shares]
        device = self.placement.device
        self.shares = [
            share._replace(train=share.train.to(device), validation=share.validation.to(device))
            for share in shares
        ]
        self.bests: list[dict[str, Tensor]] = [{} for _ in trials]

    def train(self) -> list[str | None]:
        """For each trial why it failed; None where its folder holds a result."""
        with contextlib.ExitStack() as locks:
            for trial in self.trials:
                locks.enter_context(alone_at(self.home / trial.folder, "run"))
            return self._train()

    def _train(self) -> list[str | None]:
        started = time.perf_counter()
        self.runs = [self._open(row) for row in range(len(self.trials))]
        self.trainings = [
            begin(trial.config, self.placement, self._splits(row)) for row, trial in enumerate(self.trials)
        ]
        begun = describe(self.trainings[0])
        stack = Stack(self.trainings, self.images, [share.train for share in self.shares])
        setup_seconds = (time.perf_counter() - started) / len(self.trials)
        failures = train_together(stack, self._splits, self._keep)
        return [self._finish(row, begun, setup_seconds, failure) for row, failure in enumerate(failures)]

    def _open(self, row: int) -> RunDir:
        trial = self.trials[row]
        folder = self.home / trial.folder
        run = open_folder(trial, folder)
        (folder / FAILURE).unlink(missing_ok=True)
        run.remove_leftovers()
        run.forget_state()
        splits = self._splits(row)
        write_environment(run.path, self.placement)
        keep_hashes(run.path, splits)
        write_trial_json(trial, folder, Setting(self.placement, splits, 0.0))
        return run

    def _splits(self, row: int) -> Splits:
        """A trial's images, copied only for as long as somebody looks at them."""
        train, validation, tested = self.shares[row]
        test = self.test_images if tested is None else self.images[tested]
        return Splits(self.images[train], self.images[validation], test, tested, self.hashes[row])

    def _keep(self, row: int, best: bool) -> None:
        training = self.trainings[row]
        self.runs[row].write_metrics(training.history)
        if best:
            kept = training.kept_model.state_dict()
            self.bests[row] = {name: tensor.clone() for name, tensor in kept.items()}

    def _finish(
        self, row: int, begun: Begun, setup_seconds: float, failure: TrainingError | None
    ) -> str | None:
        """Once all have trained: their tensors are shared until then."""
        training, run = self.trainings[row], self.runs[row]
        if self.bests[row]:
            training.kept_model.load_state_dict(self.bests[row])
            calibrator = calibrator_of(training.history[training.best_epoch - 1])
            save_weights(run, BEST, training.kept_model, training.config, calibrator)
        if failure is not None:
            return keep_failure(run.path, failure)
        finish(training, self._splits(row), run, begun, setup_seconds)
        return None
