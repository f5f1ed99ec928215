"""Seconds of training of some seeds of one configuration, together and warm: in a process that has trained.

python -m benchmarks.warm --config fast --seed 0 --together 32
"""

import statistics
import tempfile
import time
from pathlib import Path

from benchmarks import reference
from cnnkit.comparison.on_gpu import StackedExecutor
from cnnkit.comparison.trial import Trial
from cnnkit.config.load import load_config
from cnnkit.config.schema import Config
from cnnkit.data.dataset import Published
from cnnkit.data.prepare import load_data
from cnnkit.experiment.run_dir import RunDir
from cnnkit.training.device import place


def train(configs: list[Config], published: Published) -> tuple[float, float, list[float]]:
    """As a comparison trains them: seconds of training, seconds of all, and the test accuracy of each."""
    trials = [Trial("warm", config, "") for config in configs]
    with tempfile.TemporaryDirectory() as folder:
        home, started = Path(folder), time.perf_counter()
        for outcome in StackedExecutor(home, len(trials)).run(trials, published):
            if outcome.error:
                raise SystemExit(f"error: {outcome.error}")
        whole = time.perf_counter() - started
        results = [RunDir(home / trial.folder).result for trial in trials]
    return sum(r.train_seconds for r in results), whole, [r.test_accuracy for r in results]


def main() -> None:
    parser = reference.parser()
    parser.add_argument("--config", required=True)
    parser.add_argument("--together", type=int, default=1)
    arguments = parser.parse_args()
    configs = [
        load_config(arguments.config, [f"training.seed={arguments.seed + number}"])
        for number in range(arguments.together)
    ]
    published = load_data(configs[0].data)
    train(configs, published)  # libraries choose their kernels, memory comes into being
    taken, whole, accuracies = train(configs, published)
    placement = place(configs[0].runtime)
    reference.print_result(
        taken,
        statistics.fmean(accuracies),
        accuracies=accuracies,
        whole_seconds=whole,
        card=placement.name,
        precision=placement.precision,
        epochs=configs[0].training.epochs,
    )


if __name__ == "__main__":
    main()
