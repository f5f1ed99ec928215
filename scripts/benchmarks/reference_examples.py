"""The MNIST script of PyTorch's examples repository, up to its first epoch with 99 % on the test split.

Source: github.com/pytorch/examples, mnist/main.py, written anew from its published settings. Each image is
decoded and normalised on its way into a batch. Without an accelerator nothing is shuffled, as published.
Time is that of the training epochs: its tests, which the script runs after every epoch, and its log lines
stay outside. That it stops by test accuracy is the target's own wording; nothing of cnnkit does.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader

from benchmarks import reference

BATCH, TEST_BATCH, RATE, GAMMA, EPOCHS = 64, 1000, 1.0, 0.7, 14
ENOUGH = 0.99
WITH_ACCELERATOR: dict[str, Any] = {
    "num_workers": 1,
    "persistent_workers": True,
    "pin_memory": True,
    "shuffle": True,
}


def network() -> nn.Sequential:
    """(N, 1, 28, 28) -> (N, 10) log-probabilities. 28 → 26 → 24 → 12."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(9216, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, 10),
        nn.LogSoftmax(dim=1),
    )


def train_epoch(model: nn.Module, loader: Any, optimizer: torch.optim.Optimizer) -> None:
    model.train()
    for images, labels in loader:
        images, labels = images.to(reference.device()), labels.to(reference.device())
        optimizer.zero_grad()
        F.nll_loss(model(images), labels).backward()
        optimizer.step()


def test_accuracy(model: nn.Module, loader: Any) -> float:
    model.eval()
    right = 0
    with torch.no_grad():
        for images, labels in loader:
            predicted = model(images.to(reference.device())).argmax(1)
            right += int((predicted == labels.to(reference.device())).sum())
    return right / len(loader.dataset)


def train(train_loader: Any, test_loader: Any, most_epochs: int = EPOCHS) -> tuple[float, float, int]:
    """Seconds of training, test accuracy, epochs: until one is enough."""
    model = network().to(reference.device())
    optimizer = torch.optim.Adadelta(model.parameters(), RATE)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=GAMMA)
    clock, reached, epoch = reference.Clock(), 0.0, 0
    while reached < ENOUGH and epoch < most_epochs:
        with clock.running():
            train_epoch(model, train_loader, optimizer)
        scheduler.step()
        reached, epoch = test_accuracy(model, test_loader), epoch + 1
    return clock.seconds, reached, epoch


def main() -> None:
    from torchvision import transforms

    torch.manual_seed(reference.seed_from_arguments() + 1)  # the script's own first seed is 1
    transform = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize((reference.MEAN,), (reference.STD,))]
    )
    more = WITH_ACCELERATOR if torch.accelerator.is_available() else {}

    def loader(is_train: bool, size: int) -> Any:
        return DataLoader(reference.torchvision_mnist(is_train, transform), batch_size=size, **more)

    seconds, reached, epochs = train(loader(True, BATCH), loader(False, TEST_BATCH))
    reference.print_result(seconds, reached, precision="float32", epochs=epochs)


if __name__ == "__main__":
    main()
