"""The keys of `data.augment`: how training images are changed at random."""

from typing import Annotated

from pydantic import Field

from cnnkit.config.types import Probability, Section

Chance = Annotated[float, Field(ge=0, le=1)]
Spread = Annotated[float, Field(ge=0, le=1)]


class AugmentConfig(Section):
    """Random changes of the training images, drawn again for each batch, on the device."""

    rotate: Annotated[float, Field(ge=0, le=180)] = Field(0.0, description="largest turn either way, degrees")
    translate: Annotated[float, Field(ge=0, le=1000)] = Field(
        0.0, description="largest shift along each axis, pixels; whole ones if nothing is turned or zoomed"
    )
    zoom: Probability = Field(0.0, description="largest enlargement or reduction, fraction")

    flip: Chance = Field(0.0, description="probability of mirroring left to right; not for digits or letters")
    brightness: Spread = Field(0.0, description="s: values times a factor from 1 - s to 1 + s")
    contrast: Spread = Field(0.0, description="s: differences to the mean grey times 1 - s to 1 + s")
    saturation: Spread = Field(
        0.0, description="s: differences to the grey image times 1 - s to 1 + s; needs images in colour"
    )
    erase: Chance = Field(
        0.0, description="probability of painting a rectangle, 2 to 33 % of the image, in its mean colour"
    )

    @property
    def active(self) -> bool:
        return self.moves or self.alters

    @property
    def moves(self) -> bool:
        return self.rotate > 0 or self.translate > 0 or self.zoom > 0

    @property
    def shifts_alone(self) -> bool:
        """Whether images move by whole pixels, none of which has to be computed anew."""
        return self.translate > 0 and self.translate.is_integer() and not (self.rotate or self.zoom)

    @property
    def alters(self) -> bool:
        return self.recolours or max(self.flip, self.erase) > 0

    @property
    def recolours(self) -> bool:
        return max(self.brightness, self.contrast, self.saturation) > 0
