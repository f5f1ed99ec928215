"""Measures `cnnkit.data.near_duplicates`: which planted copies it finds, and what else it calls copies.

    python scripts/planted_copies.py FOLDER

FOLDER: images in split folders, such as CIFAR-10's. Copies of training images are planted in each way below.
"""

import sys
import time
from collections.abc import Callable
from io import BytesIO

import numpy as np
from PIL import Image

from cnnkit.config.load import parse_config
from cnnkit.data.folder import listing_now, prepared_folder
from cnnkit.data.near_duplicates import near_duplicates
from cnnkit.data.pictures import Bytes
from cnnkit.events import ignore
from cnnkit.files import json_text
from cnnkit.listing import TEST, TRAIN

COPIES = 500  # of each kind
SEED = 0


def picture(pixels: Bytes) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))


def pixels_of(image: Image.Image) -> Bytes:
    return np.asarray(image.convert("RGB")).transpose(2, 0, 1)


def mirrored(pixels: Bytes) -> Bytes:
    return pixels[:, :, ::-1]


def moved(right: int, down: int) -> Callable[[Bytes], Bytes]:
    def move(pixels: Bytes) -> Bytes:
        padded = np.pad(pixels, ((0, 0), (8, 8), (8, 8)), mode="edge")
        height, width = pixels.shape[1:]
        return padded[:, 8 + down : 8 + down + height, 8 + right : 8 + right + width]

    return move


def compressed(quality: int) -> Callable[[Bytes], Bytes]:
    def compress(pixels: Bytes) -> Bytes:
        file = BytesIO()
        picture(pixels).save(file, "JPEG", quality=quality)
        return pixels_of(Image.open(file))

    return compress


def lighter(pixels: Bytes) -> Bytes:
    return (pixels * 1.2).clip(0, 255).astype(np.uint8)


def scaled(factor: float) -> Callable[[Bytes], Bytes]:
    def scale(pixels: Bytes) -> Bytes:
        image, smooth = picture(pixels), Image.Resampling.BILINEAR
        small = image.resize((round(image.width * factor), round(image.height * factor)), smooth)
        return pixels_of(small.resize(image.size, smooth))

    return scale


KINDS: dict[str, Callable[[Bytes], Bytes]] = {
    "mirrored": mirrored,
    "moved by 2 and 2 pixels": moved(-2, 2),
    "moved by 3 pixels": moved(3, 0),
    "moved by 3 and 3 pixels": moved(3, -3),
    "JPEG of quality 50": compressed(50),
    "JPEG of quality 20": compressed(20),
    "1.2 times as light": lighter,
    "scaled to 3/4 and back": scaled(0.75),
    "scaled to 1/2 and back": scaled(0.5),
    "mirrored, moved by 2 and 1, JPEG 50, lighter": lambda pixels: lighter(
        compressed(50)(moved(2, -1)(mirrored(pixels)))
    ),
}


def main() -> None:
    config = parse_config(f"data: {{dataset: folder, root: {json_text(sys.argv[1], None)}, size: 32}}").data
    listing = listing_now(config)
    found = prepared_folder(config, listing, ignore)
    train, test = (np.flatnonzero(listing.splits == split) for split in (TRAIN, TEST))
    chosen = np.random.default_rng(SEED).choice(train, COPIES, replace=False)
    for kind, copied in KINDS.items():
        copies = np.stack([copied(found.pixels[i]) for i in chosen])
        both = np.concatenate([found.pixels[train], copies])
        pairs = near_duplicates(both, np.arange(len(train)), np.arange(len(train), len(both)))
        right = sum(train[pair.train] == chosen[pair.judged - len(train)] for pair in pairs)
        print(f"{kind:<46} {right / COPIES:6.1%} found, {len(pairs) / COPIES:6.1%} called copies")
    started = time.perf_counter()
    pairs = near_duplicates(found.pixels, train, test)
    seconds = time.perf_counter() - started
    print(f"{len(pairs):,} of {len(test):,} test images ({len(pairs) / len(test):.1%}), {seconds:.1f} s")
    for pair in pairs[-20:]:
        print(f"  {pair.likeness:.3f}  {listing.paths[pair.train]}  {listing.paths[pair.judged]}")


if __name__ == "__main__":
    main()
