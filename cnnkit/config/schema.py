"""The schema: every key of the YAML, its type, default and one line of documentation.

Each section has its own file: `images`, `model`, `training` and `runtime`. The table of keys,
`cnnkit config schema` and the error messages all come from here. Nothing here imports torch.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, model_validator

from cnnkit.config.checks import complaints_about
from cnnkit.config.choices import OneOf
from cnnkit.config.images import DataConfig
from cnnkit.config.model import ModelConfig
from cnnkit.config.runtime import RuntimeConfig
from cnnkit.config.training import TrainingConfig
from cnnkit.config.types import Inconsistent, Listed, Section
from cnnkit.families.trackers import TRACKERS

TrackerName = Annotated[str, OneOf(TRACKERS)]


class Config(Section):
    """One experiment."""

    data: DataConfig = Field(DataConfig(), description="which images")
    model: ModelConfig = Field(ModelConfig(), description="the network")
    training: TrainingConfig = Field(TrainingConfig(), description="how it learns")
    runtime: RuntimeConfig = Field(RuntimeConfig(), description="where it runs")
    tracking: Listed[TrackerName] = Field(
        (), description="trackers that are told of the training; it is computed alike with and without them"
    )

    if TYPE_CHECKING:  # for people's own type checks: every key has a default, and a section may be a dict

        def __init__(
            self,
            *,
            data: DataConfig | Mapping[str, Any] = ...,
            model: ModelConfig | Mapping[str, Any] = ...,
            training: TrainingConfig | Mapping[str, Any] = ...,
            runtime: RuntimeConfig | Mapping[str, Any] = ...,
            tracking: Sequence[str] = ...,
        ) -> None: ...

    @model_validator(mode="after")
    def _fits_together(self) -> "Config":
        if complaints := list(complaints_about(self.data, self.model, self.training)):
            raise Inconsistent(complaints)
        return self
