"""The recipe of "99 % in 0.76 s": one seed, in plain float32, written anew from its published settings.

Source: github.com/tuomaso/train_mnist_fast, notebook 8_Final and data_saver.py. Normalised float images
lie on the device in an order drawn once, when they were saved. Time is that of the training steps:
network, optimizer and test stay outside.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks import reference

BATCH, EPOCHS, PEAK_RATE, BETAS = 256, 1, 0.01, (0.7, 0.9)


def network() -> nn.Sequential:
    """(N, 1, 28, 28) -> (N, 10) log-probabilities. 28 → 24 → 12 → 10 → 5."""
    return nn.Sequential(
        nn.Conv2d(1, 24, 5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(24, 32, 3),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(800, 256),
        nn.ReLU(),
        nn.Linear(256, 10),
        nn.LogSoftmax(dim=1),
    )


def train(images: Tensor, labels: Tensor) -> tuple[nn.Module, float]:
    """The trained network and the seconds that its steps took."""
    model = network().to(images.device)
    optimizer = torch.optim.Adam(model.parameters(), PEAK_RATE, betas=BETAS)
    steps = EPOCHS * -(-len(labels) // BATCH)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_RATE, total_steps=steps, cycle_momentum=False
    )
    clock = reference.Clock()
    model.train()
    with clock.running():
        for _ in range(EPOCHS):
            for batch, target in zip(images.split(BATCH), labels.split(BATCH), strict=True):
                optimizer.zero_grad()
                F.nll_loss(model(batch), target).backward()
                optimizer.step()
                scheduler.step()
    return model, clock.seconds


def main() -> None:
    from cnnkit.data.prepare import load_dataset
    from cnnkit.data.sources import data_root

    parser = reference.parser()
    parser.add_argument("--warm", action="store_true", help="train once before, without being measured")
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    train_split, test = (split.to(reference.device()) for split in load_dataset("mnist", data_root(None)))
    order = torch.randperm(len(train_split)).to(reference.device())
    images, labels = reference.normalized(train_split.images[order]), train_split.labels[order]
    if arguments.warm:
        train(images, labels)
    model, seconds = train(images, labels)
    result = reference.accuracy(model, reference.normalized(test.images), test.labels)
    reference.print_result(seconds, result, precision="float32", epochs=EPOCHS)


if __name__ == "__main__":
    main()
