"""An image file's bytes → pixels of one size and number of channels. Nothing here imports torch.

Workers that decode many files import this module alone, so that they start quickly.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnkit.errors import ImageError

Bytes = NDArray[np.uint8]
LARGEST_IMAGE = 50_000_000  # pixels; a photo of a phone has 12 to 50 million
WIDE_GREYS = ("I", "I;16", "I;16B", "I;16L", "I;16N")  # modes of 16 bits; "I" holds them in 32
MODES = ("", "L", "RGB", "RGBA", "P", "1", "LA", "PA", "CMYK", "YCbCr", "LAB", "F", *WIDE_GREYS)
Shape = tuple[int, int, int]  # width, height, and the number of the mode in MODES, 0 for another
ORIENTATION, ON_ITS_SIDE = 0x0112, (5, 6, 7, 8)  # of EXIF
PAPER = 255  # what shows where an image is transparent: white, as on a page
EDGE = 0  # what surrounds an image that `contain` has made smaller: black


@contextmanager
def quiet() -> Iterator[None]:
    """Pillow's warnings are not shown: what matters is told as an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def import_formats() -> None:
    """The usual ones, which else the first image imports."""
    from PIL import Image

    Image.preinit()


def refuse_pipe(path: Path) -> None:
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise ImageError(f"{path} is no file: reading it might never end")


@contextmanager
def opened(source: Path | BytesIO, name: object) -> Iterator[Any]:
    """An image of Pillow, not yet decoded. name: of the file, for messages.

    Raises ImageError, also from the body of the `with` block, where the file is no image, too large, damaged.
    """
    try:
        if isinstance(source, Path):
            refuse_pipe(source)
        with _opened(source, name) as image:
            yield image
    except ImageError:
        raise
    except Exception as error:  # each of Pillow's formats and modes fails in ways of its own
        raise _in_words(error, source, name) from error


def _opened(source: Path | BytesIO, name: object) -> Any:
    from PIL import Image

    image = Image.open(source)
    if image.width * image.height > LARGEST_IMAGE:
        image.close()
        raise ImageError(
            f"{name} has {image.width:,} × {image.height:,} pixels; "
            f"{LARGEST_IMAGE // 1_000_000} million are the most: make it smaller"
        )
    return image


def _in_words(error: Exception, source: Path | BytesIO, name: object) -> ImageError:
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        empty = not source.getvalue() if isinstance(source, BytesIO) else source.stat().st_size == 0
        return ImageError(f"{name} is {'an empty file' if empty else 'no image that can be read'}")
    if isinstance(error, Image.DecompressionBombError):
        return ImageError(f"{name} is too large: {error}")
    if isinstance(error, MemoryError):
        return ImageError(f"{name} is too large for the memory that is free")
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return ImageError(f"{name} cannot be read: {reason}")


def pixels_of(source: bytes | Bytes, name: object, channels: int, size: tuple[int, int], fit: str) -> Bytes:
    """(channels, height, width) uint8 of an image file's bytes, or of an array (H, W) or (H, W, 1, 3 or 4).

    channels: 1 grey (ITU-R 601 luma), 3 red, green, blue. size: (height, width). fit: `cover`, the middle
    that has the shape of `size`; `contain`, the whole image with black edges; `stretch`, distorted. Of an
    animation the first frame is taken; an EXIF orientation is obeyed; transparent pixels are white.
    Raises ImageError where the file cannot be read.
    """
    return decoded(source, name, channels, size, fit)[0]


def decoded(
    source: bytes | Bytes, name: object, channels: int, size: tuple[int, int], fit: str
) -> tuple[Bytes, Shape]:
    """What `pixels_of` gives, and how the image was before."""
    if isinstance(source, bytes):
        file = BytesIO(source)
        try:  # not by `opened`: a generator would take a twentieth of the time for a small image
            with _opened(file, name) as image:
                shape = shape_of(image)  # before a JPEG is decoded smaller, in the mode that is asked for
                return _fitted(_upright(image, channels, size), channels, size, fit), shape
        except ImageError:
            raise
        except Exception as error:
            raise _in_words(error, file, name) from error
    image = of_array(source)
    return _fitted(_in_mode(image, channels), channels, size, fit), shape_of(image)


def shape_of(image: Any) -> Shape:
    """Of an image that is not decoded yet, as it is seen: after its EXIF orientation."""
    mode = MODES.index(image.mode if image.mode in MODES else "")
    # Elsewhere Pillow would decode the image to look for an orientation; of a TIFF it gives turned sizes.
    known = "exif" in image.info and image.format != "TIFF"
    if known and image.getexif().get(ORIENTATION) in ON_ITS_SIDE:
        return image.height, image.width, mode
    return image.width, image.height, mode


def of_array(values: Bytes) -> Any:
    """(H, W) or (H, W, C) uint8 -> an image of Pillow."""
    from PIL import Image

    return Image.fromarray(values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values)


def _upright(image: Any, channels: int, size: tuple[int, int]) -> Any:
    twice, wanted = 2 * max(size), "L" if channels == 1 else "RGB"
    if image.format == "JPEG" and (image.mode != wanted or min(image.size) >= 2 * twice):
        image.draft(
            wanted, (twice, twice)
        )  # decoded at a half, quarter or eighth where twice the size is left
    image.load()
    if "exif" in image.info or image.format in ("TIFF", "PNG", "WEBP"):
        from PIL import ImageOps

        image = ImageOps.exif_transpose(image)
    return _in_mode(image, channels)


def _in_mode(image: Any, channels: int) -> Any:
    """Any mode of Pillow -> L or RGB."""
    wanted = "L" if channels == 1 else "RGB"
    if image.mode == wanted:
        return image
    from PIL import Image

    if image.mode in WIDE_GREYS:
        greys = np.asarray(image).astype(np.float64) / 257
        image = Image.fromarray(np.rint(greys.clip(0, 255)).astype(np.uint8))
    elif image.mode == "F":
        greys = np.nan_to_num(np.asarray(image, np.float64))
        image = Image.fromarray(
            np.rint((greys * (255 if greys.max() <= 1 else 1)).clip(0, 255)).astype(np.uint8)
        )
    elif image.mode == "LAB":
        image = _from_lab(image)
    if "A" in image.getbands() or "transparency" in image.info:
        layers = image.convert("RGBA")
        paper = Image.new("RGBA", layers.size, (PAPER, PAPER, PAPER, 255))
        image = Image.alpha_composite(paper, layers).convert("RGB")
    return image.convert(wanted)


def _from_lab(image: Any) -> Any:
    from PIL import ImageCms

    profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.profileToProfile(image, *profiles, outputMode="RGB")


def _fitted(image: Any, channels: int, size: tuple[int, int], fit: str) -> Bytes:
    frame = size[::-1]  # Pillow's order: width, height
    if image.size != frame:
        from PIL import Image, ImageOps

        smooth = Image.Resampling.BILINEAR  # of all pixels that a new one covers
        if fit == "stretch":
            image = image.resize(frame, smooth)
        elif fit == "cover":
            image = ImageOps.fit(image, frame, smooth)
        else:
            image = ImageOps.pad(image, frame, smooth, color=EDGE)
    pixels = np.frombuffer(image.tobytes(), np.uint8)  # a third faster than `np.asarray(image)`
    return pixels.reshape(*size, channels).transpose(2, 0, 1)
