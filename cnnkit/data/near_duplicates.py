"""Which images of one split nearly equal an image of another.

Found are copies that were mirrored, moved by up to a tenth of their side, compressed, scaled, made lighter or
darker, in three steps. First, each image is described by two vectors, and those training images are taken
whose vectors agree most with those of a judged image. The waves are the cosine transform of the inner part,
each frequency divided by its usual strength; a mirrored image has them with another sign in the odd columns.
The spectrum is of the whole image, and hardly changes where the image is moved or mirrored. Second, the waves
of the images that were taken are compared again, at several places. Third, the few that agree most are
compared at every place within reach, by the correlation of their pixels without the local mean.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d

THUMBNAIL = 32  # pixels: larger images are made that small first
REACH = 0.1  # of the side: how far a copy may be moved
WAVES = 7  # frequencies of the cosine transform along each axis
SPECTRUM = 5  # the highest frequency of the spectrum, periods of the side
BY_WAVES, BY_SPECTRUM = 8, 40  # training images that the first step takes for a judged image
CLOSELY = 5  # of these: compared in the third step
BLOCK = 512  # judged images that are compared at once
PART = 4096  # training images that they are compared with at once
ALIKE = 0.8  # the correlation from which a pair is told
DETAILS = ((1, 5), (3, 9))  # pixels: means over the first square, without those over the second
FLAT = 1.0  # of 255: details whose standard deviation is less are not compared


class Pair(NamedTuple):
    """Two images that are nearly the same: their rows, and their likeness, a correlation up to 1."""

    train: int
    judged: int
    likeness: float


def near_duplicates(
    pixels: NDArray[np.uint8], train: NDArray[np.int64], judged: NDArray[np.int64]
) -> list[Pair]:
    """For each judged image the training image that it nearly equals, if there is one; the likest first.

    pixels: (N, C, H, W). train, judged: rows of it.
    Equal images are pairs, too, unless they show nearly nothing.
    """
    if not (len(train) and len(judged)):
        return []
    window = _Window((min(THUMBNAIL, pixels.shape[2]), min(THUMBNAIL, pixels.shape[3])))
    known = _Known.of(window, (_thumbnails(pixels, rows, window) for rows in _blocks(train)))
    found: list[Pair] = []
    for rows in _blocks(judged):
        thumbs = _thumbnails(pixels, rows, window)
        near = known.nearest(thumbs)
        others = _thumbnails(pixels, train[near.flatten().numpy()], window)
        likeness, best = _likeness(thumbs, others.view(*near.shape, *window.whole), window).max(1)
        for i in (likeness >= ALIKE).nonzero()[:, 0].tolist():
            found.append(Pair(int(train[near[i, best[i]]]), int(rows[i]), float(likeness[i])))
    return sorted(found, key=lambda pair: -pair.likeness)


class _Window:
    """The inner part of a thumbnail, from which a copy may be moved.

    whole: (height, width) of the thumbnail. reach: (vertical, horizontal), pixels. places: (top, left) of the
    inner part in the second step.
    """

    def __init__(self, whole: tuple[int, int]) -> None:
        self.whole = whole
        self.reach = tuple(round(REACH * side) for side in whole)
        self.size = tuple(side - 2 * reach for side, reach in zip(whole, self.reach, strict=True))
        self.down, self.across = (_cosines(min(WAVES, side), side) for side in self.size)
        odd = (torch.arange(len(self.across)) % 2 == 1).expand(len(self.down), -1).flatten()[1:]
        self.order = torch.cat([(~odd).nonzero(), odd.nonzero()])[:, 0] + 1  # without the mean of all pixels
        self.even = int((~odd).sum())
        tops, lefts = (range(reach % 2, 2 * reach + 1, 2) for reach in self.reach)
        self.places = [(top, left) for top in tops for left in lefts]
        down, across = (torch.hann_window(side + 2, periodic=False)[1:-1] for side in whole)
        self.fading = down[:, None] * across

    def waves(self, thumbs: Tensor, place: tuple[int, ...] = ()) -> Tensor:
        """(n, h, w) -> (n, waves), the even ones first. place: empty: the middle."""
        top, left = place or self.reach
        part = thumbs[:, top : top + self.size[0], left : left + self.size[1]]
        return (self.down @ part @ self.across.T).flatten(1)[:, self.order]

    def spectrum(self, thumbs: Tensor) -> Tensor:
        """(n, h, w) -> (n, strengths), the same for a mirrored image."""
        strength = torch.fft.rfft2((thumbs - thumbs.mean((1, 2), keepdim=True)) * self.fading).abs()
        high, wide = (min(SPECTRUM, (side - 1) // 2) for side in self.whole)
        rising, falling = strength[:, 1 : high + 1, : wide + 1], strength[:, -high:, : wide + 1].flip(1)
        parts = (strength[:, 0, 1 : wide + 1], rising + falling, (rising - falling)[:, :, 1:].abs())
        return torch.cat([part.flatten(1) for part in parts], 1).sqrt()


class _Known(NamedTuple):
    """The training images. waves, spectra: (T, …), unit vectors. scale, mean, spread: of all, before."""

    window: _Window
    waves: Tensor
    scale: Tensor
    spectra: Tensor
    mean: Tensor
    spread: Tensor

    @classmethod
    def of(cls, window: _Window, blocks: Iterator[Tensor]) -> "_Known":
        both = [(window.waves(thumbs), window.spectrum(thumbs)) for thumbs in blocks]
        waves, spectra = (torch.cat(parts) for parts in zip(*both, strict=True))
        scale = waves.square().mean(0).sqrt().clamp(min=1e-6)
        mean, spread = spectra.mean(0), spectra.std(0, correction=0).clamp(min=1e-6)
        return cls(window, _unit(waves / scale), scale, _unit((spectra - mean) / spread), mean, spread)

    def nearest(self, thumbs: Tensor) -> Tensor:
        """(n, h, w) -> (n, CLOSELY) indices of the training images that agree most with each."""
        even = self.window.even
        moved = torch.stack(
            [_unit(self.window.waves(thumbs, place) / self.scale) for place in self.window.places], 1
        )
        middle = _unit(self.window.waves(thumbs) / self.scale)
        spectrum = _unit((self.window.spectrum(thumbs) - self.mean) / self.spread)

        def by_waves(part: slice) -> Tensor:
            mirrored_or_not = (middle[:, even:] @ self.waves[part, even:].T).abs_()
            return mirrored_or_not.addmm_(middle[:, :even], self.waves[part, :even].T)

        total = len(self.waves)
        found = torch.cat(
            [
                _highest(by_waves, total, BY_WAVES),
                _highest(lambda part: spectrum @ self.spectra[part].T, total, BY_SPECTRUM),
            ],
            1,
        )
        others = self.waves[found]  # (n, found, waves)
        odd = (others[..., even:] @ moved[..., even:].mT).abs()
        agreement = (others[..., :even] @ moved[..., :even].mT + odd).amax(2)
        return found.gather(1, agreement.topk(min(CLOSELY, found.shape[1])).indices)


def _highest(score: Callable[[slice], Tensor], total: int, count: int) -> Tensor:
    """(n, count) indices of the highest scores of each row. score: (n, columns) of a part of all columns."""
    parts = []
    for first in range(0, total, PART):
        values = score(slice(first, first + PART))
        best = values.topk(min(count, values.shape[1]))
        parts.append((best.values, best.indices + first))
    values, indices = (torch.cat(both, 1) for both in zip(*parts, strict=True))
    highest: Tensor = indices.gather(1, values.topk(min(count, total)).indices)
    return highest


def _cosines(count: int, side: int) -> Tensor:
    """(count, side): the first rows of the cosine transform (DCT-II)."""
    angles = math.pi * torch.arange(count)[:, None] * (torch.arange(side) + 0.5) / side
    return _unit(torch.cos(angles))


def _unit(vectors: Tensor) -> Tensor:
    unit: Tensor = vectors / vectors.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    return unit


def _blocks(rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    for first in range(0, len(rows), BLOCK):
        yield rows[first : first + BLOCK]


def _thumbnails(pixels: NDArray[np.uint8], rows: NDArray[np.int64], window: _Window) -> Tensor:
    """(n, h, w) greys, float32."""
    colours = torch.from_numpy(pixels[rows]).unbind(1)
    greys = (
        torch.stack([colour.float() for colour in colours]).mean(0)
        if len(colours) > 1
        else colours[0].float()
    )
    return (
        greys if greys.shape[1:] == window.whole else adaptive_avg_pool2d(greys[:, None], window.whole)[:, 0]
    )


def _likeness(thumbs: Tensor, others: Tensor, window: _Window) -> Tensor:
    """(n, h, w), (n, k, h, w) -> (n, k): the largest correlation, mirrored or not, at any place within reach.

    It is the mean of the correlations of fine and coarse details.
    """
    (height, width), (down, right) = window.size, window.reach
    total = torch.zeros(())
    for fine, coarse in DETAILS:
        inner = _detail(others.flatten(0, 1), fine, coarse)[:, down : down + height, right : right + width]
        both = _centred(torch.stack([inner, inner.flip(2)], 1).flatten(2)).view(
            len(thumbs), -1, height * width
        )
        moved = _detail(thumbs, fine, coarse).unfold(1, height, 1).unfold(2, width, 1)
        total = total + both @ _centred(moved.flatten(3).flatten(1, 2)).mT
    return total.amax(2).view(len(thumbs), -1, 2).amax(2) / len(DETAILS)


def _detail(thumbs: Tensor, fine: int, coarse: int) -> Tensor:
    return _local_mean(thumbs, fine) - _local_mean(thumbs, coarse)


def _local_mean(thumbs: Tensor, side: int) -> Tensor:
    """Over squares of `side` pixels, an odd number; of a narrower image over its whole breadth, or nearly."""
    height, width = (min(side, (whole - 1) // 2 * 2 + 1) for whole in thumbs.shape[1:])
    padding = (height // 2, width // 2)
    return avg_pool2d(thumbs[:, None], (height, width), 1, padding, count_include_pad=False)[:, 0]


def _centred(vectors: Tensor) -> Tensor:
    """Unit vectors without their mean; zeros where there is hardly any detail."""
    centred = vectors - vectors.mean(-1, keepdim=True)
    enough = centred.square().mean(-1, keepdim=True).sqrt() >= FLAT
    return _unit(centred) * enough
