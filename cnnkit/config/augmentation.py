"""The keys of `data.augment`: how training images are changed at random."""

from typing import Annotated

from pydantic import Field

from cnnkit.config.types import Probability, Section


class AugmentConfig(Section):
    """Random changes of the training images, drawn again for each batch, on the device."""

    rotate: Annotated[float, Field(ge=0, le=180)] = Field(0.0, description="largest turn either way, degrees")
    translate: Annotated[float, Field(ge=0, le=1000)] = Field(
        0.0, description="largest shift along each axis, pixels"
    )
    zoom: Probability = Field(0.0, description="largest enlargement or reduction, fraction")

    @property
    def active(self) -> bool:
        return self.rotate > 0 or self.translate > 0 or self.zoom > 0
