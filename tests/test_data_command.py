"""`cnnkit data PATH`: what it tells of a person's own images; the cache; images that are nearly equal."""

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from support import call

from cnnkit.config.first import first_configuration, fitting_size
from cnnkit.config.load import load_config
from cnnkit.data import sheet
from cnnkit.data.near_duplicates import near_duplicates
from cnnkit.data.prepare import load_data
from cnnkit.events import Note
from cnnkit.listing import list_images

Capture = pytest.CaptureFixture[str]
Bytes = NDArray[np.uint8]


def scene(number: int, side: int = 32) -> Image.Image:
    """A smooth picture of shapes in random colours, as different from others as photographs are."""
    random = np.random.default_rng(number)
    noise = Image.fromarray(random.integers(0, 256, (10, 10, 3), dtype=np.uint8))
    return noise.resize((side, side), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(side / 64))


def mirrored(image: Image.Image) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def moved(image: Image.Image, right: int, down: int) -> Image.Image:
    values = np.pad(np.asarray(image), ((8, 8), (8, 8), (0, 0)), mode="edge")
    height, width = image.height, image.width
    return Image.fromarray(values[8 + down : 8 + down + height, 8 + right : 8 + right + width])


def compressed(image: Image.Image) -> Image.Image:
    file = BytesIO()
    image.save(file, "JPEG", quality=50)
    return Image.open(file).convert("RGB")


def lighter(image: Image.Image) -> Image.Image:
    return image.point(lambda value: min(255, round(value * 1.2)))


def scaled(image: Image.Image) -> Image.Image:
    small = image.resize((image.width * 3 // 4, image.height * 3 // 4), Image.Resampling.BILINEAR)
    return small.resize(image.size, Image.Resampling.BILINEAR)


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "mirrored": mirrored,
    "moved": lambda image: moved(image, -2, 2),
    "moved far": lambda image: moved(image, 3, 0),
    "compressed": compressed,
    "lighter": lighter,
    "scaled": scaled,
    "all": lambda image: lighter(compressed(moved(mirrored(image), 2, -1))),
}


def stacked(images: list[Image.Image]) -> Bytes:
    """(N, 3, H, W)."""
    return np.stack([np.asarray(image).transpose(2, 0, 1) for image in images])


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
def test_copies_among_other_images_are_found(copy: Callable[[Image.Image], Image.Image]) -> None:
    known = [scene(number) for number in range(300)]
    judged = [copy(image) for image in known[:20]] + [scene(1000 + number) for number in range(100)]
    pairs = near_duplicates(stacked(known + judged), np.arange(300), np.arange(300, 420))
    assert {(pair.train, pair.judged) for pair in pairs} == {(n, 300 + n) for n in range(20)}


@pytest.mark.parametrize(("height", "width"), [(8, 8), (96, 64), (5, 40)])
def test_copies_are_found_at_any_size(height: int, width: int) -> None:
    images = [scene(number).resize((width, height)) for number in range(40)]
    pixels = stacked([*images, mirrored(images[7])])[:, :1]
    (pair,) = near_duplicates(pixels, np.arange(40), np.array([40]))
    assert (pair.train, pair.judged) == (7, 40)
    assert pair.likeness == pytest.approx(1, abs=1e-4)


def test_images_that_show_hardly_anything_are_not_alike() -> None:
    faint = stacked([scene(0)] * 2) // 128 + 100
    assert near_duplicates(faint, np.array([0]), np.array([1])) == []


def test_nothing_is_like_no_image() -> None:
    none, one = np.arange(0), np.arange(1)
    assert (
        near_duplicates(stacked([scene(0)]), none, one)
        == near_duplicates(stacked([scene(0)]), one, none)
        == []
    )


# What is told of a folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache" / "cnnkit" / "prepared"


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Split folders: 12 training and 4 test images of cats and dogs, 32 × 32; one cat is wider."""
    for first, (label, split, count) in enumerate(
        (label, split, count) for label in ("cat", "dog") for split, count in (("train", 12), ("test", 4))
    ):
        folder = tmp_path / "pets" / split / label
        folder.mkdir(parents=True)
        for number in range(count):
            scene(100 * first + number).save(folder / f"{number:02}.png")
    scene(5).resize((48, 32)).save(tmp_path / "pets" / "train" / "cat" / "00.png")
    return tmp_path / "pets"


def told(capsys: Capture, *arguments: object) -> Any:
    outcome = call(capsys, "data", *arguments, "--json")
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def test_two_lines_tell_what_was_understood_also_before_training(pets: Path, capsys: Capture) -> None:
    lines = [
        "pets: split folders, 2 classes (cat and dog), 32 images",
        "splits: 22 images to train on, 2 to validate on (held out, by the seed), "
        "8 to test on (as the source says)",
    ]
    outcome = call(capsys, "data", pets, "--yaml", "own.yaml")
    assert outcome.out.splitlines()[:2] == lines
    notes: list[Note] = []
    load_data(load_config("own.yaml").data, notes.append)
    assert [note.text for note in notes].count("\n".join(lines)) == 1


def test_classes_sizes_and_modes_are_counted(pets: Path, capsys: Capture) -> None:
    Image.new("L", (8, 40), 90).save(pets / "train" / "dog" / "00.png")
    found = told(capsys, pets)
    assert found["images"]["test"] == {"cat": 4, "dog": 4}
    together = [
        found["images"]["training"][name] + found["images"]["validation"][name] for name in ("cat", "dog")
    ]
    assert together == [12, 12]
    assert found["sizes"] == {
        "smallest": [8, 40],
        "median": [32, 32],
        "largest": [48, 32],
        "not_square": 2,
    }
    assert found["modes"] == {"RGB": 31, "L": 1}


def test_equal_and_nearly_equal_images_are_told_apart(pets: Path, capsys: Capture) -> None:
    config = pets.parent / "all.yaml"
    config.write_text(f"data: {{dataset: folder, root: '{pets}', validation: 0}}")
    scene(1).save(pets / "test" / "cat" / "equal.png")
    mirrored(scene(2)).save(pets / "test" / "dog" / "near.png")
    scene(203).save(pets / "train" / "dog" / "again.png")
    found = told(capsys, config)
    assert found["equal"] == {"within_splits": 1, "across_splits": 1}
    (pair,) = found["nearly_equal"]
    assert (pair["training"], pair["test"]) == ("train/cat/02.png", "test/dog/near.png")
    outcome = call(capsys, "data", config)
    assert "1 validation or test image nearly equals a training image" in outcome.err
    assert "train/cat/02.png and test/dog/near.png" in outcome.err


@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
def test_sizes_are_those_of_the_turned_photos(tmp_path: Path, capsys: Capture, kind: str) -> None:
    for label in ("a", "b"):
        (tmp_path / "turned" / label).mkdir(parents=True)
        for number in range(6):
            exif = Image.Exif()
            exif[0x0112] = 5 + number % 4
            scene(number).resize((160, 80)).save(tmp_path / "turned" / label / f"{number}.{kind}", exif=exif)
    found = told(capsys, tmp_path / "turned")
    assert found["sizes"]["median"] == [80, 160]
    assert "size: [64, 32]" in found["configuration"]


def test_equal_images_of_two_classes_are_told(pets: Path, capsys: Capture) -> None:
    scene(1).save(pets / "test" / "dog" / "equal.png")
    found = told(capsys, pets)["equal_of_other_classes"]
    assert found == {"images": 2, "pairs": [["train/cat/01.png", "test/dog/equal.png"]]}
    err = call(capsys, "data", pets).err
    assert "2 images equal, pixel by pixel, an image of another class" in err
    assert "train/cat/01.png and test/dog/equal.png" in err


def test_damaged_and_foreign_files_are_named(pets: Path, capsys: Capture) -> None:
    for number in range(12):
        (pets / "train" / "dog" / f"torn{number:02}.png").write_bytes(b"\x89PNG torn")
    (pets / "train" / "dog" / "notes.txt").write_text("none")
    outcome = call(capsys, "data", pets)
    assert outcome.code == 0
    assert "12 images cannot be read" in outcome.err
    assert "torn09.png" in outcome.err
    assert "torn10.png" not in outcome.err
    assert "and 2 more" in outcome.err
    assert "notes.txt" in outcome.out
    assert len(told(capsys, pets)["damaged"]) == 12


def test_of_many_classes_the_table_shows_some(tmp_path: Path, capsys: Capture) -> None:
    for label in range(35):
        (tmp_path / "many" / f"class{label}").mkdir(parents=True)
        for number in range(5 if label < 30 else 6):
            Image.new("L", (4, 4), label * 7 + number).save(
                tmp_path / "many" / f"class{label}" / f"{number}.png"
            )
    out = call(capsys, "data", "./many").out
    assert "class29" in out
    assert "class30" not in out
    assert "and 5 more classes, of 6 images each" in out


def test_a_configuration_decides_the_size(pets: Path, capsys: Capture) -> None:
    config = pets.parent / "small.yaml"
    config.write_text(f"data: {{dataset: folder, root: '{pets}', size: [16, 24], channels: 1, fit: contain}}")
    out = call(capsys, "data", config).out
    assert "24 × 16 in grey, data.fit: contain" in out
    assert "dataset: folder" not in out


# The configuration to begin with


def test_the_configuration_to_begin_with_trains(pets: Path, capsys: Capture) -> None:
    assert call(capsys, "data", "pets", "--yaml", "own.yaml").code == 0
    settings = ("--set", "training.epochs=1", "--set", "runtime.device=cpu", "--out", "run")
    outcome = call(capsys, "train", "own.yaml", *settings, "--quiet")
    assert outcome.code == 0, outcome.err
    assert "test accuracy" in outcome.out


def test_a_configuration_is_never_overwritten(pets: Path, capsys: Capture) -> None:
    for option in ("--yaml", "--sheet"):
        (pets.parent / "mine").write_text("mine")
        outcome = call(capsys, "data", pets, option, "mine")
        assert outcome.code == 2
        assert "there already" in outcome.err
        assert (pets.parent / "mine").read_text() == "mine"


@pytest.mark.parametrize(
    ("sizes", "fitted"),
    [
        ([(28, 28)] * 3, (28, 28)),
        ([(400, 300), (300, 400), (500, 500)], (64, 64)),
        ([(200, 100)] * 2, (32, 64)),
        ([(40, 30), (50, 45), (48, 60)], (45, 45)),
        ([(2000, 10)], (4, 64)),
    ],
)
def test_a_fitting_size(sizes: list[tuple[int, int]], fitted: tuple[int, int]) -> None:
    assert fitting_size(sizes) == fitted


@pytest.mark.parametrize(("side", "stages"), [(4, 1), (8, 1), (28, 2), (32, 3), (64, 4)])
def test_stages_are_added_until_the_grid_is_small(pets: Path, side: int, stages: int) -> None:
    text = first_configuration(pets, list_images(pets), 3, (side, side), 100)
    Path("first.yaml").write_text(text)
    assert len(load_config("first.yaml").model.stages) == stages


# The sheet


def test_a_sheet_shows_what_the_network_sees(pets: Path, capsys: Capture) -> None:
    mirrored(scene(2)).save(pets / "test" / "dog" / "near.png")
    call(capsys, "data", pets, "--sheet", "sheet.png")
    with Image.open("sheet.png") as drawn:
        shown = np.asarray(drawn.convert("RGB")).astype(int)
    tile = np.asarray(scene(1)).repeat(2, 0).repeat(2, 1)  # the second cat, twice as large
    assert any(
        np.array_equal(shown[top : top + 64, left : left + 64], tile)
        for top in range(shown.shape[0] - 63)
        for left in range(4, shown.shape[1] - 63, 68)
    )


def test_a_sheet_lies_in_the_cache_where_no_other_place_is_said(
    pets: Path, own_cache: Path, capsys: Capture
) -> None:
    drawn = Path(told(capsys, pets)["sheet"])
    assert drawn.parent == own_cache
    assert f"drawn in {drawn}" in call(capsys, "data", pets).out.replace("\n", "")
    before = drawn.read_bytes()
    scene(9).save(pets / "test" / "dog" / "03.png")
    again = Path(told(capsys, pets)["sheet"])
    assert again.read_bytes() != before
    assert not drawn.exists()  # of what the folder was before
    assert call(capsys, "data", "--cache", "--clear").code == 0
    assert not again.exists()


@pytest.mark.parametrize("fonts", [(), sheet.FONTS])
def test_a_sheet_names_classes_in_any_script(
    tmp_path: Path, fonts: tuple[str, ...], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("é", "犬", "क", "л", "猫")
    for number, name in enumerate(names):
        (tmp_path / "any" / name).mkdir(parents=True)
        for image in range(4):
            scene(4 * number + image).save(tmp_path / "any" / name / f"{image}.png")
    monkeypatch.setattr(sheet, "FONTS", fonts)
    call(capsys, "data", tmp_path / "any", "--sheet", "any.png")
    with Image.open("any.png") as drawn:
        rows = np.asarray(drawn.convert("L")).astype(int)
    height = sheet.TEXT + 64 + sheet.GAP
    titles = {rows[top : top + sheet.TEXT].tobytes() for top in range(sheet.GAP, 5 * height, height)}
    assert len(titles) == len(names)  # letters that a font does not have all look the same


# Which images are meant


@pytest.mark.parametrize("name", ["folder", "imagenet"])
def test_a_name_that_is_neither_is_answered_with_advice(name: str, capsys: Capture) -> None:
    outcome = call(capsys, "data", name)
    assert outcome.code == 2
    assert "./" in outcome.err


@pytest.mark.parametrize(
    "arguments", [("./pets", "--root", "."), ("digits", "--sheet", "a"), ("digits", "--yaml", "a")]
)
def test_an_option_of_the_other_kind_is_refused(
    pets: Path, arguments: tuple[str, ...], capsys: Capture
) -> None:
    outcome = call(capsys, "data", *arguments)
    assert outcome.code == 2
    assert f"leave out {arguments[1]}" in outcome.err


def test_a_path_that_is_not_there_is_told_as_one(capsys: Capture) -> None:
    outcome = call(capsys, "data", "./none")
    assert outcome.code == 1
    assert "is not there" in outcome.err


# The cache


def test_the_cache_is_listed_and_cleared_and_nothing_else(
    pets: Path, own_cache: Path, capsys: Capture
) -> None:
    call(capsys, "data", pets)
    call(capsys, "data", "digits")
    foreign = own_cache / "folder-notes.json"
    foreign.write_text("mine")
    half = own_cache / f"folder-{'a' * 8}-{'b' * 6}-{'c' * 10}.pixels"
    half.write_bytes(bytes(1000))
    rows = told(capsys, "--cache")["kept"]
    sizes = {row["source"]: row["bytes"] for row in rows}
    assert sizes.keys() == {"handwritten digits", str(pets), "half prepared"}
    assert [*sizes.values()] == sorted(sizes.values(), reverse=True)
    (drawn,) = own_cache.glob("*.png")
    pixels = 32 * (3 * 32 * 32 + 8 + 12) + drawn.stat().st_size
    assert pixels <= sizes[str(pets)] <= pixels + 1000
    assert call(capsys, "data", "--cache", "--clear").code == 0
    assert list(own_cache.iterdir()) == [foreign]
    assert (pets / "test").is_dir()


def test_images_that_are_being_prepared_stay_in_the_cache(
    pets: Path, own_cache: Path, capsys: Capture
) -> None:
    call(capsys, "data", pets)
    (pixels,) = own_cache.glob("*.pixels")
    with FileLock(pixels.with_suffix(".lock")):
        outcome = call(capsys, "data", "--cache", "--clear")
    assert "in use by another process" in outcome.err
    assert pixels.exists()
