"""The report's images: digits, filters and feature maps, each a PNG inside the page.

Values are drawn in the alpha channel, so zero has the colour of the page, light or dark.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cnnkit.comparison.study_file import no_networks
from cnnkit.config.images import DataConfig
from cnnkit.config.schema import Config
from cnnkit.data.dataset import ImageDataset
from cnnkit.data.prepare import all_tested, load_data, load_objects
from cnnkit.data.sources import at_hand, data_root, with_root
from cnnkit.data.splits import shares_of
from cnnkit.errors import CnnkitError, UsageError
from cnnkit.events import ignore
from cnnkit.experiment.checkpoints import Weights
from cnnkit.families.poolings import POOLINGS
from cnnkit.nn.layers import Downsampling, SameConv2d
from cnnkit.nn.model import CNN, Stage

POSITIVE, NEGATIVE = (213, 94, 0), (0, 114, 178)  # Okabe and Ito's vermillion and blue
CHANNELS_SHOWN = 3  # maps of a stage that a reader sees before unfolding the others
MOST_DRAWN, FEWEST_DRAWN = 64, 8  # filters, or maps of a stage: of all levels, and of one in any case
LARGEST_PNG, JPEG_QUALITY = 64, 90  # pixels a side of a photo; one of 224 takes 100 kB as PNG, 15 as JPEG
FADED = 0.18  # opacity of what a strided convolution never computes


def data_uri(pixels: NDArray[np.uint8], kind: str = "png") -> str:
    """A PNG of (H, W, 3) RGB or (H, W, 4) RGBA, or a JPEG of RGB."""
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, kind, optimize=True, quality=JPEG_QUALITY)
    return f"data:image/{kind};base64," + base64.b64encode(buffer.getvalue()).decode()


def ink_image(image: Tensor) -> str:
    """An image (C, H, W) uint8, its first channel as black ink."""
    pixels = np.zeros((*image.shape[1:], 4), np.uint8)
    pixels[..., 3] = image[0].numpy()
    return data_uri(pixels)


def colours(image: Tensor) -> NDArray[np.uint8]:
    """(C, H, W) uint8 -> (H, W, 3): red, green and blue, or the first channel as grey."""
    channels = image[:3] if len(image) >= 3 else image[:1].expand(3, -1, -1)
    return channels.permute(1, 2, 0).contiguous().numpy()


def input_image(image: Tensor, as_is: bool) -> str:
    """An image (C, H, W) uint8, in its colours if it is shown `as_is`, else as black ink."""
    if not as_is:
        return ink_image(image)
    return data_uri(colours(image), "jpeg" if max(image.shape[1:]) > LARGEST_PNG else "png")


def weights_image(weights: Tensor, strongest: float) -> str:
    """Weights (3, H, W) on red, green and blue as one picture: 0 is grey, `strongest` full colour."""
    shares = (weights / max(strongest, 1e-12)).clamp(-1, 1)
    return data_uri(colours(((shares + 1) * 127.5).round().to(torch.uint8)))


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
class StageMaps:
    """What one image becomes in one stage.

    convolved: (C, H, W), maps of the first convolution, at every place. dense: the maps that are reduced:
    those of the last convolution, or what norm and activation make of them if `activated`. after:
    (parts, C, h, w), what downsampling leaves of these. faded: (H, W) bool, places that the stage never
    computes, or None.
    """

    convolved: Tensor
    dense: Tensor
    after: Tensor
    faded: Tensor | None
    activated: bool

    @property
    def kept(self) -> list[float]:
        """Mean |value| that each part leaves, as a share of that before."""
        whole = float(self.dense.abs().mean()) or 1.0
        return [float(part.abs().mean()) / whole for part in self.after]


def stage_maps(model: CNN, image: Tensor) -> list[StageMaps]:
    """The maps of each stage, from the first to the last. image: (C, H, W) uint8."""
    model.eval()
    stages = []
    with torch.inference_mode():
        maps = model.normalize(image[None])
        for stage, downsampling in zip(stages_of(model), downsamplings(model), strict=True):
            first, given = stage.first_convolution.dense(maps), stage.before_last(maps)
            convolved = downsampling.convolution.dense(given)
            if stage.pools_first:
                dense, after = convolved[0], downsampling(given)[0]
            else:
                dense, after = stage.activated(convolved)[0], downsampling(given, stage.activated)[0]
            parts = after.reshape(downsampling.entry.multiplies_channels, len(dense), *after.shape[1:])
            faded = _never_computed(downsampling.convolution, dense)
            stages.append(StageMaps(first[0], dense, parts, faded, not stage.pools_first))
            maps = stage(maps)
    return stages


def _never_computed(convolution: SameConv2d, dense: Tensor) -> Tensor | None:
    rows, columns = convolution.stride
    if rows == columns == 1:
        return None
    faded = torch.ones(dense.shape[1:], dtype=torch.bool)
    faded[::rows, ::columns] = False
    return faded


def stages_of(model: CNN) -> list[Stage]:
    return [module for module in model.stages if isinstance(module, Stage)]


def downsamplings(model: CNN) -> list[Downsampling]:
    return [module for module in model.modules() if isinstance(module, Downsampling)]


def drawn_at_most(levels: int) -> int:
    """How many filters, or maps of a stage, are drawn of each level."""
    return max(FEWEST_DRAWN, MOST_DRAWN // max(levels, 1))


def liveliest_channels(of_levels: Sequence[StageMaps]) -> list[int]:
    """The channels, of those that all levels have, whose maps vary most. Levels count equally."""
    fewest = min(len(maps.dense) for maps in of_levels)
    deviations = [maps.dense[:fewest].flatten(1).std(1, correction=0) for maps in of_levels]
    total = torch.stack([d / d.max().clamp(min=1e-12) for d in deviations]).sum(0)
    chosen: list[int] = total.argsort(descending=True, stable=True)[:CHANNELS_SHOWN].tolist()
    return sorted(chosen)


@dataclass(frozen=True)
class Channel:
    """One feature map: before it is reduced, and what each part of the strategy leaves of it."""

    number: int
    dense: str
    after: list[tuple[str, str]]


@dataclass(frozen=True)
class DrawnStage:
    """One level in the picture of one stage.

    what: the maps that are reduced. share: of their grid, that a part keeps. others: channels that are
    folded away. left_out: how many are not drawn.
    """

    series: int
    name: str
    what: str
    before: str
    grid: str
    strided: bool
    kept: list[tuple[str, float]]
    channels: list[Channel]
    share: float
    others: list[Channel]
    left_out: int


def draw_stage(
    series: int, name: str, pooling: str, maps: StageMaps, channels: Sequence[int], most: int
) -> DrawnStage:
    """channels: that come first. most: channels that are drawn."""
    parts = POOLINGS[pooling].drawn_parts
    others = [c for c in range(len(maps.dense)) if c not in channels][: most - len(channels)]
    return DrawnStage(
        series,
        name,
        "activation" if maps.activated else "convolution",
        grid_size(maps.dense),
        grid_size(maps.after),
        maps.faded is not None,
        list(zip(parts, maps.kept, strict=True)),
        [_channel(c, parts, maps) for c in channels],
        maps.after[0, 0].numel() / maps.dense[0].numel(),
        [_channel(c, parts, maps) for c in others],
        len(maps.dense) - len(channels) - len(others),
    )


def _channel(number: int, parts: Sequence[str], maps: StageMaps) -> Channel:
    """A map and what pooling leaves of it share one colour scale, so that fading shows."""
    dense = maps.dense[number]
    strongest = float(dense.abs().max())
    after = [(p, signed_image(m[number], strongest)) for p, m in zip(parts, maps.after, strict=True)]
    return Channel(number, signed_image(dense, strongest, maps.faded), after)


def grid_size(maps: Tensor) -> str:
    return f"{maps.shape[-2]} × {maps.shape[-1]}"


def draw_stages(
    weights: Mapping[str, Weights], series: Mapping[str, int], maps: Mapping[str, list[StageMaps]]
) -> list[list[DrawnStage]]:
    """The levels in each stage. weights, series: per level. maps: of one image, a list over the stages."""
    stages = []
    most = drawn_at_most(len(maps))
    for number in range(max(map(len, maps.values()), default=0)):
        here = {name: of_level[number] for name, of_level in maps.items() if number < len(of_level)}
        channels = liveliest_channels(list(here.values()))
        poolings = {name: weights[name].config.model.stages[number].pooling for name in here}
        stages.append([draw_stage(series[n], n, poolings[n], m, channels, most) for n, m in here.items()])
    return stages


def images_of(config: Config, labels: NDArray[np.int64] | None = None) -> tuple[ImageDataset | None, str]:
    """The images that a configuration may test, before its crop, or None and why they cannot be shown.

    labels: (N,), of the images that were tested; others than these are refused.
    """
    if config.data.own and not at_hand(config.data):
        return None, f"{config.data.root} is not there"
    if not at_hand(config.data):  # a report fetches nothing
        return None, f"{config.data.source.title} is not in {data_root(config.data.root)}"
    try:
        test = all_tested(config.data, load_data(config.data))
    except (CnnkitError, OSError) as error:
        return None, str(error).splitlines()[0]
    if labels is not None and not np.array_equal(test.labels.numpy(), labels):
        return None, f"the images at hand ({config.data.info.title}) are not those that were tested"
    return test, ""


def moved_to(config: Config, root: Path | None) -> Config:
    """The same with its images in `root`; None: where they were. Raises UsageError where it cannot act."""
    if root is None:
        return config
    return config.model_copy(update={"data": with_root(config.data, root, ignore)})


def refuse_root(folder: Path, root: Path | None) -> None:
    if root is not None:
        raise UsageError(f"{folder} compares {no_networks(folder)}; leave out --root")


def own_test_images(data: DataConfig, seed: int, images: ImageDataset | None) -> ImageDataset | None:
    """Those of `images_of` that a seed tests on."""
    if images is None or not data.redrawn:
        return images
    tested = shares_of(data, load_data(data), seed).tested
    assert tested is not None
    return images[tested]


def objects_alone(data: DataConfig, test: ImageDataset) -> Tensor | None:
    """The test scenes without their clutter, (N, 1, S, S) uint8; None where the images are no such scenes."""
    if not data.drawn:
        return None
    alone = load_objects(data)
    scenes = test.images
    return alone if alone.shape == scenes.shape and bool((alone <= scenes).all()) else None
