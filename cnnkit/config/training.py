"""The section `training` of a configuration: how a network learns."""

from typing import Annotated

from pydantic import Field

from cnnkit.config.choices import OneOf
from cnnkit.config.types import Count, NonNegative, Positive, Probability, Section
from cnnkit.families.optimizers import OPTIMIZERS
from cnnkit.families.schedules import SCHEDULES
from cnnkit.words import listed

BALANCED = "balanced"
MONITORS = ("accuracy", "loss", "balanced_accuracy", "macro_f1")
OptimizerName = Annotated[str, OneOf(OPTIMIZERS)]
ScheduleName = Annotated[str, OneOf(SCHEDULES)]
WARMUPS = ", ".join(f"{entry.warmup:g} for {entry.name}" for entry in SCHEDULES.values() if entry.warmup)


def _optimizers_with(setting: str) -> str:
    return listed([entry.name for entry in OPTIMIZERS.values() if setting in entry.settings])


class TrainingConfig(Section):
    """How it learns."""

    epochs: Count = Field(5, description="passes over the training images")
    hardest: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0,
        description="share of each class's training images that is shown: those that a linear classifier "
        "of the pixels gets least right; 1: all",
    )
    batch_size: Count = Field(256, description="images per optimizer step")
    optimizer: OptimizerName = Field("adam", description="the rule that turns gradients into steps")
    learning_rate: Positive = Field(0.005, description="its peak")
    schedule: ScheduleName = Field(
        "one_cycle",
        description="the learning rate after its warm-up; "
        + "; ".join(f"{entry.name}: {entry.summary}" for entry in SCHEDULES.values()),
    )
    warmup: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        None, description=f"share of all steps in which the rate rises; null: {WARMUPS}, else 0"
    )
    gamma: Annotated[float, Field(gt=0, le=1)] = Field(
        0.7,
        description="factor of the schedule "
        + listed([name for name, entry in SCHEDULES.items() if entry.takes_gamma]),
    )
    weight_decay: NonNegative = Field(
        0.0,
        description="L2 penalty; decoupled for "
        + listed([name for name, entry in OPTIMIZERS.items() if entry.decoupled]),
    )
    momentum: Probability = Field(0.9, description=f"of {_optimizers_with('momentum')}")
    betas: Annotated[tuple[Probability, Probability], Field(strict=False)] = Field(
        (0.9, 0.999), description=f"decay of the two running means of {_optimizers_with('betas')}"
    )
    label_smoothing: Probability = Field(0.0, description="share of the target spread over all classes")
    class_weights: Annotated[str, OneOf(("none", BALANCED))] = Field(
        "none",
        description="of the loss: none, or balanced, so that all classes count alike however many training "
        "images they have",
    )
    gradient_clip: Positive | None = Field(None, description="largest norm of the gradient; null: any")
    weight_averaging: Probability = Field(
        0.0, description="decay per step of a running mean of the weights, which is then what is kept; 0: off"
    )
    monitor: Annotated[str, OneOf(MONITORS)] = Field(
        "accuracy", description="of the validation images, tells the best epoch, whose weights are kept"
    )
    early_stopping: Count | None = Field(
        None,
        description="epochs without a better epoch, as `monitor` tells, after which to stop; null: never",
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(
        0, description="of initial weights, data order, split, augmentation and dropout"
    )

    def shown_of(self, images: int) -> int:
        """How many of so many training images an epoch shows."""
        return max(1, round(self.hardest * images))
