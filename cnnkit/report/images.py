"""The report's images: digits, filters and feature maps, each a PNG inside the page.

Values are drawn in the alpha channel, so zero has the colour of the page, light or dark.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cnnkit.config.schema import Config, DataConfig
from cnnkit.data.dataset import ImageDataset
from cnnkit.data.prepare import load_data, load_objects
from cnnkit.data.sources import at_hand, data_root
from cnnkit.errors import CnnkitError
from cnnkit.experiment.checkpoints import Weights
from cnnkit.families.poolings import POOLINGS
from cnnkit.nn.model import CNN
from cnnkit.nn.pooling import Downsampling, SameConv2d

POSITIVE, NEGATIVE = (213, 94, 0), (0, 114, 178)  # Okabe and Ito's vermillion and blue
FILTERS_SHOWN, FILTER_COLUMNS = 32, 8
CHANNELS_SHOWN = 3
FADED = 0.18  # opacity of what a strided convolution never computes


def data_uri(pixels: NDArray[np.uint8]) -> str:
    """A PNG of (H, W, 4) RGBA."""
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def ink_image(image: Tensor) -> str:
    """An image (C, H, W) uint8, its first channel as black ink."""
    pixels = np.zeros((*image.shape[1:], 4), np.uint8)
    pixels[..., 3] = image[0].numpy()
    return data_uri(pixels)


def signed_image(values: Tensor, strongest: float, faded: Tensor | None = None) -> str:
    """A map (H, W): vermillion above 0, blue below, opaque far from 0. faded: (H, W) bool, drawn paler."""
    opacity = (values.abs() / max(strongest, 1e-12)).clamp(0, 1)
    pixels = np.zeros((*values.shape, 4), np.uint8)
    pixels[..., :3] = np.where((values >= 0).numpy()[..., None], POSITIVE, NEGATIVE)
    if faded is not None:
        opacity = opacity * torch.where(faded, FADED, 1.0)
    pixels[..., 3] = (opacity * 255).round().to(torch.uint8).numpy()
    return data_uri(pixels)


@dataclass(frozen=True)
class Filters:
    """The first convolution's filters on one sheet. columns, rows: of the sheet, in weights."""

    image: str
    count: int
    shown: int
    size: int
    strongest: float
    columns: int
    rows: int


def first_filters(model: CNN) -> Filters:
    """The weights on the first input channel, as a sheet with a gap of one weight between filters."""
    convolution = _downsamplings(model)[0].convolution
    weights = convolution.weight.detach()[:, 0].float()
    shown, size = weights[:FILTERS_SHOWN], weights.shape[-1]
    columns, rows = min(len(shown), FILTER_COLUMNS), -(-len(shown) // FILTER_COLUMNS)
    sheet = torch.zeros(rows * (size + 1) - 1, columns * (size + 1) - 1)
    for i, weight in enumerate(shown):
        top, left = i // FILTER_COLUMNS * (size + 1), i % FILTER_COLUMNS * (size + 1)
        sheet[top : top + size, left : left + size] = weight
    strongest = float(shown.abs().max())
    image = signed_image(sheet, strongest)
    return Filters(image, len(weights), len(shown), size, strongest, sheet.shape[1], sheet.shape[0])


@dataclass(frozen=True)
class StageMaps:
    """What one image becomes in one stage.

    dense: (C, H, W), the convolution at every place. after: (parts, C, h, w), what downsampling leaves,
    before norm and activation. faded: (H, W) bool, places that the stage never computes, or None.
    """

    dense: Tensor
    after: Tensor
    faded: Tensor | None

    @property
    def kept(self) -> list[float]:
        """Mean |value| that each part leaves, as a share of that of the convolution."""
        whole = float(self.dense.abs().mean()) or 1.0
        return [float(part.abs().mean()) / whole for part in self.after]


def stage_maps(model: CNN, image: Tensor) -> list[StageMaps]:
    """The maps of each stage, from the first to the last. image: (C, H, W) uint8."""
    model.eval()
    stages = []
    with torch.inference_mode():
        maps = model.normalize(image[None])
        for stage, downsampling in zip(model.stages, _downsamplings(model), strict=True):
            dense = downsampling.convolution.dense(maps)[0]
            after = downsampling(maps)[0]
            parts = after.reshape(downsampling.pooling.multiplies_channels, len(dense), *after.shape[1:])
            stages.append(StageMaps(dense, parts, _never_computed(downsampling.convolution, dense)))
            maps = stage(maps)
    return stages


def _never_computed(convolution: SameConv2d, dense: Tensor) -> Tensor | None:
    rows, columns = convolution.stride
    if rows == columns == 1:
        return None
    faded = torch.ones(dense.shape[1:], dtype=torch.bool)
    faded[::rows, ::columns] = False
    return faded


def _downsamplings(model: CNN) -> list[Downsampling]:
    return [module for module in model.modules() if isinstance(module, Downsampling)]


def liveliest_channels(of_levels: Sequence[StageMaps]) -> list[int]:
    """The channels, of those that all levels have, whose maps vary most. Levels count equally."""
    fewest = min(len(maps.dense) for maps in of_levels)
    deviations = [maps.dense[:fewest].flatten(1).std(1, correction=0) for maps in of_levels]
    total = torch.stack([d / d.max().clamp(min=1e-12) for d in deviations]).sum(0)
    chosen: list[int] = total.argsort(descending=True, stable=True)[:CHANNELS_SHOWN].tolist()
    return sorted(chosen)


@dataclass(frozen=True)
class Channel:
    """One feature map: the convolution's, and what each part of the strategy leaves of it."""

    number: int
    dense: str
    after: list[tuple[str, str]]


@dataclass(frozen=True)
class DrawnStage:
    """One level in the picture of one stage. share: of the convolution's grid, that a part keeps."""

    series: int
    name: str
    before: str
    grid: str
    strided: bool
    kept: list[tuple[str, float]]
    channels: list[Channel]
    share: float


def draw_stage(series: int, name: str, pooling: str, maps: StageMaps, channels: Sequence[int]) -> DrawnStage:
    """A convolution's map and what pooling leaves of it share one colour scale, so that fading shows."""
    parts = POOLINGS[pooling].parts or (pooling,)
    drawn = []
    for c in channels:
        strongest = float(maps.dense[c].abs().max())
        after = [(p, signed_image(m[c], strongest)) for p, m in zip(parts, maps.after, strict=True)]
        drawn.append(Channel(c, signed_image(maps.dense[c], strongest, maps.faded), after))
    return DrawnStage(
        series,
        name,
        grid_size(maps.dense),
        grid_size(maps.after),
        maps.faded is not None,
        list(zip(parts, maps.kept, strict=True)),
        drawn,
        maps.after[0, 0].numel() / maps.dense[0].numel(),
    )


def grid_size(maps: Tensor) -> str:
    return f"{maps.shape[-2]} × {maps.shape[-1]}"


@dataclass(frozen=True)
class Networks:
    """The first filters of some networks, and what one image becomes in each of their stages.

    filters, stages: per level, in the order given. kept: per stage and level, the parts and their share.
    """

    filters: list[tuple[int, str, Filters]]
    stages: list[list[DrawnStage]]

    @property
    def kept(self) -> list[dict[str, list[tuple[str, float]]]]:
        return [{level.name: level.kept for level in stage} for stage in self.stages]


def draw_networks(
    weights: Mapping[str, Weights], series: Mapping[str, int], image: Tensor | None
) -> Networks:
    """weights: per level. image: (C, H, W) uint8; None: no image is at hand, and no maps are drawn."""
    filters = [(series[name], name, first_filters(w.model)) for name, w in weights.items()]
    if image is None:
        return Networks(filters, [])
    maps = {name: stage_maps(w.model, image) for name, w in weights.items()}
    stages = []
    for number in range(max(map(len, maps.values()))):
        here = {name: of_level[number] for name, of_level in maps.items() if number < len(of_level)}
        channels = liveliest_channels(list(here.values()))
        poolings = {name: weights[name].config.model.stages[number].pooling for name in here}
        stages.append([draw_stage(series[n], n, poolings[n], m, channels) for n, m in here.items()])
    return Networks(filters, stages)


def images_of(config: Config, labels: NDArray[np.uint8] | None = None) -> tuple[ImageDataset | None, str]:
    """The test images of a configuration, or None and why they cannot be shown.

    labels: (N,), of the images that were tested; others than these are refused.
    """
    if not at_hand(config.data):  # a report fetches nothing
        return None, f"{config.data.source.title} is not in {data_root(config.data.root)}"
    try:
        test = load_data(config.data)[1].cropped(config.data.crop)
    except (CnnkitError, OSError) as error:
        return None, str(error).splitlines()[0]
    if labels is not None and not np.array_equal(test.labels.numpy(), labels):
        return None, f"the images at hand ({config.data.info.title}) are not those that were tested"
    return test, ""


def objects_alone(data: DataConfig, test: ImageDataset) -> Tensor | None:
    """The test scenes without their clutter, (N, 1, S, S) uint8; None where the images are no such scenes."""
    if not data.drawn:
        return None
    alone = load_objects(data)
    return alone if alone.shape == test.images.shape and bool((alone <= test.images).all()) else None
