"""Part images: odd image files. The odd one is answered or told of; the others are answered as ever."""

import contextlib
import os
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random

from torturing.processes import Workshop
from torturing.samples import RUN, finished_run, told
from torturing.tries import Attempt, Part

GOOD = "seven.png"
MEMORY = 3_000_000_000  # bytes beyond torch
PATIENCE = 30.0  # seconds
# A mode of Pillow's, and a format that keeps it.
MODES = (
    *(
        ("1", "png"),
        ("L", "png"),
        ("LA", "png"),
        ("P", "png"),
        ("RGB", "png"),
        ("RGBA", "png"),
        ("I;16", "png"),
    ),
    *(("1", "tiff"), ("CMYK", "tiff"), ("LAB", "tiff"), ("YCbCr", "tiff"), ("I", "tiff"), ("F", "tiff")),
    *(("CMYK", "jpeg"), ("RGB", "jpeg"), ("L", "jpeg"), ("P", "gif"), ("RGB", "bmp"), ("1", "bmp")),
    *(("RGB", "webp"), ("RGBA", "webp"), ("L", "ppm"), ("RGB", "tga"), ("L", "pcx")),
)
SIZES = ((1, 1), (1, 10_000), (10_000, 1), (2, 2), (3, 40), (8, 8), (28, 28), (60, 60), (500, 400))
NAMES = (
    *("x" * 300 + ".png", "a" * 200 + "/" * 3 + "b.png", "[bold]x[/bold].png", "a\nb.png", "\x1b[31mred.png"),
    *(" .png", "ü\u202e.png", "not-utf8-\udcff.png", "--top", "%s%n.png", "a\u0000b.png"),
)


def prepare(workshop: Workshop) -> Attempt:
    made = finished_run(workshop)
    alone = told(workshop.run(made, "predict", RUN, GOOD, "--json").check([0]).out)["predictions"][0]

    def attempt(random: Random, folder: Path) -> str:
        shutil.copytree(made / RUN, folder / RUN)
        shutil.copy(made / GOOD, folder / GOOD)
        odd = random.choice(ODD)
        name = odd(random, folder)
        workshop.commands.append(f"# {odd.__name__}")
        done = workshop.run(
            folder,
            *("predict", "--json", RUN, "--", GOOD, name, GOOD),
            memory=MEMORY,
            seconds=PATIENCE,
        ).check([0, 1])
        first, of_odd, last = told(done.out)["predictions"] if done.out else ({}, {}, {})
        if first != alone or last != alone:
            done.fail("the images beside an odd one are answered otherwise")
        if done.code != int("error" in of_odd):
            done.fail("another exit code")
        return "told of" if done.code else "answered"

    return attempt


def mode_and_size(random: Random, folder: Path) -> str:
    return _drawn(random, folder, *random.choice(MODES), random.choice(SIZES))


def _drawn(random: Random, folder: Path, mode: str, kind: str, size: tuple[int, int]) -> str:
    """A stroke, noise, or one colour."""
    from PIL import Image, ImageDraw

    grey = Image.new("L", size, random.choice((0, 255, 128)))
    if (what := random.random()) < 0.4:
        ImageDraw.Draw(grey).line([0, 0, *size], fill=random.choice((0, 255)), width=max(1, size[0] // 9))
    elif what < 0.8:
        grey = Image.frombytes("L", size, random.randbytes(size[0] * size[1]))
    name = f"odd.{kind}"
    if mode == "LAB":
        Image.merge("LAB", (grey, grey, grey)).save(folder / name)
    else:
        grey.convert(mode).save(folder / name)
    return name


def broken(random: Random, folder: Path) -> str:
    """Cut off, or with some bytes changed."""
    mode, kind = random.choice(MODES)
    name = _drawn(random, folder, mode, kind, random.choice(SIZES[4:]))
    raw = bytearray((folder / name).read_bytes())
    if random.random() < 0.5:
        raw = raw[: random.randrange(len(raw))]
    for _ in range(random.randint(0, 20) if raw else 0):
        raw[random.randrange(min(len(raw), random.choice((64, 100_000))))] = random.randrange(256)
    (folder / name).write_bytes(raw)
    return name


def wrong_suffix(random: Random, folder: Path) -> str:
    mode, kind = random.choice(MODES)
    name = f"odd.{random.choice(('txt', 'png', 'safetensors', 'yaml', 'svg', 'eps', 'pdf', ''))}"
    (folder / _drawn(random, folder, mode, kind, (60, 60))).rename(folder / name)
    return name


def no_image(random: Random, folder: Path) -> str:
    texts = (b"", b"\0" * 100, b"<svg/>", b"%PDF-1.4", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    (folder / "odd.png").write_bytes(random.choice((*texts, random.randbytes(5000))))
    return "odd.png"


def no_file(random: Random, folder: Path) -> str:
    """A folder, a pipe, a link to itself, a device, nothing."""
    kind, odd = random.randrange(5), folder / "odd.png"
    if kind == 0:
        odd.mkdir()
    elif kind == 1:
        os.mkfifo(odd)
    elif kind == 2:
        odd.symlink_to(odd)
    return random.choice(("/dev/zero", "/dev/stdin")) if kind == 3 else odd.name


def odd_name(random: Random, folder: Path) -> str:
    name = random.choice(NAMES)
    with contextlib.suppress(OSError, ValueError):  # a name that no file can have is given all the same
        shutil.copy(folder / GOOD, folder / name)
    return name.replace("\0", "")


def bomb(random: Random, folder: Path) -> str:
    """A small file that tells of a huge image, or unpacks to a huge text."""
    side = random.choice((8_000, 30_000, 100_000, 2**31 - 1))
    header = struct.pack(">IIBBBBB", side, random.choice((1, side)), 8, 0, 0, 0, 0)
    text = b"Comment\0\0" + zlib.compress(b"x" * 200_000_000) if random.random() < 0.2 else b""
    chunks = [(b"IHDR", header), (b"zTXt", text), (b"IDAT", zlib.compress(bytes(1_000_000))), (b"IEND", b"")]
    (folder / "odd.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*c) for c in chunks if c != (b"zTXt", b""))
    )
    return "odd.png"


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


def moving_or_turned(random: Random, folder: Path) -> str:
    """An animation, or a picture whose EXIF data turn it or are broken."""
    from PIL import Image

    frames = [Image.frombytes("L", (40, 40), random.randbytes(1600)) for _ in range(3)]
    if random.random() < 0.5:
        frames[0].save(folder / "odd.gif", save_all=True, append_images=frames[1:])
        return "odd.gif"
    exif = Image.Exif()
    exif[0x0112] = random.choice((0, 1, 3, 6, 8, 9, 255))
    raw = exif.tobytes()
    frames[0].save(folder / "odd.jpeg", exif=raw[: random.choice((len(raw), len(raw) - 3))])
    return "odd.jpeg"


Odd = Callable[[Random, Path], str]
ODD: tuple[Odd, ...] = (
    *(mode_and_size, mode_and_size, broken, broken, wrong_suffix, no_image, no_file),
    *(odd_name, bomb, moving_or_turned),
)


PART = Part("images", "Odd image files: answered or told of, the others as ever", prepare, 200)
