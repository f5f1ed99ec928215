"""A person's own images: from files to tensors, and to a training."""

import contextlib
import io
import os
import re
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock
from numpy.typing import NDArray
from PIL import Image, ImageOps
from support import SIGKILL, Here, call, exit_code, posix_signals, start

import cnnkit
from cnnkit.comparison.runner import run_study
from cnnkit.comparison.study import plan_study
from cnnkit.comparison.verification import verify
from cnnkit.config.load import config_text, load_config, parse_config
from cnnkit.config.schema import Config
from cnnkit.data import decoding, prepared
from cnnkit.data.dataset import Published, Splits
from cnnkit.data.own_images import load_image
from cnnkit.data.pictures import decoded, pixels_of
from cnnkit.data.prepare import load_data, load_splits, paths_of
from cnnkit.errors import ConfigError, DataError, ImageError, RunError
from cnnkit.events import Note, Prepared
from cnnkit.filenames import GROUPS, TRIALS
from cnnkit.report.page import write_report

COLOURS = {"blue": (0, 0, 250), "green": (0, 250, 0), "red": (250, 0, 0)}


def picture(colour: Sequence[int], number: int, size: tuple[int, int] = (12, 12)) -> Image.Image:
    """A noisy picture of a colour. size: (width, height)."""
    noise = np.random.default_rng([*colour, number]).integers(0, 60, (*size[::-1], 3))
    return Image.fromarray((np.array(colour) * 0.7 + noise).astype(np.uint8))


def taken(folder: Path) -> Path:
    """The folder with three classes of 20 PNG files, 12 × 12."""
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for number in range(20):
            picture(colour, number).save(folder / name / f"{number:02}.png")
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return taken(tmp_path / "photos")


def own(root: Path, *overrides: str) -> Config:
    text = f"""
data: {{dataset: folder, root: '{root}', size: 12}}
model: {{channels: [4], kernel_sizes: 3, hidden: [8]}}
training: {{epochs: 2, batch_size: 16, learning_rate: 0.01}}
runtime: {{device: cpu, precision: float32}}
"""
    return parse_config(text, "own", overrides)


def in_groups(photos: Path) -> None:
    """A table that puts four pictures in a row into one group."""
    rows = ["path,label,group"]
    for name in COLOURS:
        rows += [f"{name}/{number:02}.png,{name},{name}{number // 4}" for number in range(20)]
    (photos / "all.csv").write_text("\n".join(rows))


def groups_of(splits: Splits) -> list[set[tuple[str, int]]]:
    """Those of `in_groups` in each split."""
    groups = []
    for part in (splits.train, splits.validation, splits.test):
        held = {image.permute(1, 2, 0).contiguous().numpy().tobytes() for image in part.images}
        groups.append(
            {
                (name, number // 4)
                for name, colour in COLOURS.items()
                for number in range(20)
                if picture(colour, number).tobytes() in held
            }
        )
    return groups


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def pixels(raw: bytes, channels: int = 3, size: tuple[int, int] = (12, 12), fit: str = "stretch") -> Any:
    return pixels_of(raw, "image", channels, size, fit)


def channels_first(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image.convert("RGB")).transpose(2, 0, 1)


# From bytes to pixels


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP", "GIF", "JPEG"])
def test_an_image_of_the_right_size_keeps_the_pixels_that_pillow_decodes(kind: str) -> None:
    image = picture((200, 90, 10), 0)
    raw = encoded(image, kind, **({"lossless": True} if kind == "WEBP" else {}))
    assert np.array_equal(pixels(raw), channels_first(Image.open(io.BytesIO(raw))))
    if kind in ("PNG", "BMP", "TIFF", "WEBP"):
        assert np.array_equal(pixels(raw), channels_first(image))


def test_of_three_channels_one_is_the_luma_of_itu_r_601() -> None:
    image = picture((200, 90, 10), 0)
    red, green, blue = channels_first(image).astype(float)
    grey = pixels(encoded(image, "PNG"), channels=1)[0]
    assert np.abs(grey - (0.299 * red + 0.587 * green + 0.114 * blue)).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_exif_orientation_is_obeyed(orientation: int) -> None:
    image, exif = picture((200, 90, 10), 0, (16, 16)), Image.Exif()
    exif[0x0112] = orientation
    turned = {  # how a picture looks that was taken with such a camera, by the EXIF standard 2.3
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: lambda a: np.rot90(a),
    }[orientation]
    shown = pixels(encoded(image, "PNG", exif=exif), size=(16, 16))
    assert np.array_equal(shown, turned(np.asarray(image)).transpose(2, 0, 1))


def test_every_mode_becomes_red_green_blue() -> None:
    image = picture((200, 90, 10), 0)
    opaque = image.convert("RGBA")
    assert np.array_equal(pixels(encoded(opaque, "PNG")), channels_first(image))
    clear = opaque.copy()
    clear.putalpha(0)
    assert (pixels(encoded(clear, "PNG")) == 255).all()  # as on white paper
    palette = image.quantize(16)
    assert np.array_equal(pixels(encoded(palette, "PNG")), channels_first(palette))
    wide = np.asarray(image.convert("L")).astype(np.uint16) * 257
    assert np.array_equal(pixels(encoded(Image.fromarray(wide), "PNG"), 1)[0], np.asarray(image.convert("L")))
    cmyk = pixels(encoded(image.convert("CMYK"), "TIFF")).astype(int)
    assert np.abs(cmyk - channels_first(image)).max() <= 2


@pytest.mark.parametrize("channels", [1, 3])
def test_the_pixels_of_a_photo_may_be_written_to(photos: Path, channels: int) -> None:
    info = own(photos, f"data.channels={channels}").data.info
    found = load_image(photos / "blue" / "00.png", info).pixels  # torch warns of what may only be read
    assert found.shape == (1, channels, 12, 12)


def test_an_animation_shows_its_first_frame() -> None:
    first, second = picture((200, 90, 10), 0).quantize(32), picture((0, 0, 0), 1).quantize(32)
    raw = encoded(first, "GIF", save_all=True, append_images=[second])
    assert np.array_equal(pixels(raw), channels_first(first))


def test_other_shapes_are_cut_padded_or_stretched() -> None:
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 200  # the middle square
    raw = encoded(Image.fromarray(wide), "PNG")
    assert (pixels(raw, fit="cover")[..., 1:-1] == 200).all()  # at the edge the filter sees beyond
    contained = pixels(raw, fit="contain")
    assert (contained[:, 4:8, 5:7] == 200).all()
    assert not contained[:, :4].any()
    assert not contained[:, 8:].any()
    stretched = pixels(raw, fit="stretch")
    assert (stretched[:, :, 5:7] == 200).all()
    assert not stretched[:, :, :3].any()


def test_a_large_jpeg_is_decoded_small_and_looks_the_same() -> None:
    smooth = np.tile(np.linspace(0, 255, 800).astype(np.uint8)[None, :, None], (600, 1, 3))
    raw = encoded(Image.fromarray(smooth), "JPEG", quality=95)
    reference = ImageOps.fit(Image.open(io.BytesIO(raw)), (12, 12), Image.Resampling.BILINEAR)
    difference = pixels(raw, fit="cover").astype(int) - channels_first(reference).astype(int)
    assert np.abs(difference).max() <= 3


@pytest.mark.parametrize(
    ("raw", "said"),
    [(b"", "empty file"), (b"no image", "no image that can be read"), (b"\x89PNG\r\n\x1a\n", "read")],
)
def test_what_is_no_image_is_said_in_words(raw: bytes, said: str) -> None:
    with pytest.raises(ImageError, match=said):
        pixels(raw)


# From a folder to tensors


def test_the_folder_says_classes_and_numbers_and_the_text_that_is_kept_says_them_again(photos: Path) -> None:
    config = own(photos)
    assert config.data.classes == ("blue", "green", "red")
    assert config.data.images == (48, 0, 12)  # a fifth is held out to test on
    assert config.data.info.shape == (3, 12, 12)
    assert config.data.validation_images == 5  # a tenth of the others
    photos.rename(photos.with_name("elsewhere"))
    assert parse_config(config_text(config), kept=True) == config  # nothing is looked for


def test_every_image_has_its_class_and_its_pixels_and_is_in_one_split(photos: Path) -> None:
    splits = load_splits(own(photos).data, seed=1)
    parts = (splits.train, splits.validation, splits.test)
    assert [len(part) for part in parts] == [43, 5, 12]
    seen = [image.numpy().tobytes() for part in parts for image in part.images]
    assert len(set(seen)) == 60
    for part in parts:
        strongest = torch.tensor([2, 1, 0])[part.images.float().mean((2, 3)).argmax(1)]
        assert torch.equal(part.labels, strongest)  # blue, green, red: the third, second, first channel
    assert torch.equal(splits.test.labels.bincount(), torch.tensor([4, 4, 4]))


def test_the_test_images_depend_on_their_own_seed_alone(photos: Path) -> None:
    def tested(*overrides: str, seed: int = 0) -> set[bytes]:
        images = load_splits(own(photos, *overrides).data, seed).test.images
        return {image.numpy().tobytes() for image in images}

    assert tested() == tested(seed=5) == tested("data.validation=0.3")
    assert tested() != tested("data.test_seed=1")


def test_a_training_of_own_images_learns_and_is_evaluated_the_same(photos: Path, tmp_path: Path) -> None:
    run = cnnkit.train(own(photos, "training.epochs=25"), tmp_path / "run", progress=False)
    assert run.result.test_accuracy == 1.0
    assert run.evaluate().evaluation.accuracy == run.result.test_accuracy
    (prediction,) = run.predict(photos / "red" / "03.png")
    assert prediction.classes[0] == "red"
    shown = load_data(run.config.data)
    assert any((part.images == prediction.seen).flatten(1).all(1).any() for part in shown)


def test_a_run_can_be_used_where_its_images_are_gone(photos: Path, tmp_path: Path) -> None:
    cnnkit.train(own(photos), tmp_path / "run", progress=False)
    picture = photos / "blue" / "00.png"
    picture.rename(tmp_path / "blue.png")
    photos.rename(tmp_path / "moved")
    again = cnnkit.open_run(tmp_path / "run")
    assert again.predict(tmp_path / "blue.png")[0].probabilities
    with pytest.raises(DataError, match="photos"):
        again.evaluate()
    assert again.report().is_file()


@pytest.mark.parametrize("change", ["added", "removed", "renamed"])
def test_a_folder_that_has_changed_is_not_taken_for_what_it_was(photos: Path, change: str) -> None:
    config = own(photos)
    first = photos / "red" / "00.png"
    if change == "added":
        picture((9, 9, 9), 0).save(photos / "red" / "new.png")
    elif change == "removed":
        first.unlink()
    else:
        first.rename(photos / "red" / "zz.png")
    with pytest.raises(DataError, match="no longer what it was"):
        load_data(config.data)
    load_data(own(photos).data)


def test_a_file_whose_pixels_have_changed_is_decoded_again(photos: Path) -> None:
    before = load_data(own(photos).data)
    path = photos / "red" / "00.png"
    raw = path.read_bytes()
    other = encoded(picture(COLOURS["red"], 99), "PNG")
    path.write_bytes(other + b"\0" * max(0, len(raw) - len(other)))
    os.utime(path, ns=(1, 1))
    after = load_data(own(photos).data)
    changed = [
        (a.images != b.images).flatten(1).any(1).sum().item() for a, b in zip(before, after, strict=True)
    ]
    assert sum(changed) == 1


@pytest.mark.parametrize(("each", "held"), [(20, 5), (8, 3), (5, 3), (3, 0)])
def test_where_nothing_is_said_a_tenth_or_one_image_a_class_is_held_out(
    photos: Path, each: int, held: int
) -> None:
    for name in COLOURS:
        for path in sorted((photos / name).iterdir())[each:]:
            path.unlink()
    config = own(photos)
    assert config.data.images == (3 * each - round(0.2 * 3 * each), 0, round(0.2 * 3 * each))
    validation = load_splits(config.data, 0).validation
    assert len(validation) == config.data.validation_images == held
    if held == 3:
        assert validation.labels.tolist() == [0, 1, 2]


def test_what_no_configuration_can_mean_is_refused_in_words(photos: Path, tmp_path: Path) -> None:
    for overrides, said in (
        (["data.root=null"], "data.root"),
        ([f"data.root={tmp_path / 'nowhere'}"], "data.root"),
        (["data.channels=2"], "expected 1 or 3"),
        (["data.fit=tile"], "cover, contain or stretch"),
        (["data.crop=2"], "data.crop"),
        (["data.dataset=digits"], "data.size"),
    ):
        with pytest.raises(ConfigError, match=said):
            own(photos, *overrides)


# Damaged and equal images


def test_damaged_files_are_counted_and_named_and_left_out_on_request(photos: Path) -> None:
    for number in range(12):
        (photos / "red" / f"{number:02}.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"12 images of 60 cannot be used.*data\.damaged: skip") as refused:
        load_data(own(photos).data)
    assert str(refused.value).count("no image that can be read") == 10
    assert "2 more" in str(refused.value)
    told: list[Note] = []
    published = load_data(own(photos, "data.damaged=skip").data, told.append)
    assert sum(map(len, published)) == 48
    assert any("12 images of 60" in note.text for note in told)


def duplicated(photos: Path) -> tuple[Published, Config]:
    """Where the same picture lies in both splits twice, once as another file."""
    config = own(photos)
    published = load_data(config.data)
    for split in ("train", "test"):
        for name in COLOURS:
            (photos / split / name).mkdir(parents=True)
    for name, colour in COLOURS.items():
        for path in sorted((photos / name).iterdir()):
            path.rename(photos / ("test" if path.name < "05" else "train") / name / path.name)
        (photos / name).rmdir()
        same = picture(colour, 3)
        same.save(photos / "train" / name / "again.bmp")
    return published, own(photos)


def test_training_images_that_equal_a_test_image_are_left_out(photos: Path) -> None:
    _, config = duplicated(photos)
    assert config.data.images == (48, 0, 15)
    told: list[Note] = []
    published = load_data(config.data, told.append)
    assert any("3 training images equal" in note.text for note in told)
    with_all = load_splits(config.data.model_copy(update={"duplicates": "keep"}), 0, published=published)
    without = load_splits(config.data, 0, published=published)
    assert len(with_all.train) - len(without.train) + 0 <= 3
    tested = {image.numpy().tobytes() for image in without.test.images}
    judged = tested | {image.numpy().tobytes() for image in without.validation.images}
    assert not any(image.numpy().tobytes() in judged for image in without.train.images)
    assert any(image.numpy().tobytes() in tested for image in with_all.train.images)
    with pytest.raises(DataError, match=r"data\.duplicates: drop"):
        load_data(config.data.model_copy(update={"duplicates": "refuse"}))


def test_validation_images_that_equal_a_test_image_are_left_out(photos: Path) -> None:
    _, config = duplicated(photos)
    data = config.data.model_copy(update={"validation": 0.5})
    published = load_data(data)
    kept = 0
    for seed in range(3):
        both = [
            load_splits(data.model_copy(update={"duplicates": how}), seed, published=published)
            for how in ("drop", "keep")
        ]
        left, whole = ([image.numpy().tobytes() for image in splits.validation.images] for splits in both)
        tested = {image.numpy().tobytes() for image in both[0].test.images}
        assert left == [image for image in whole if image not in tested]
        kept += len(whole) - len(left)
    assert kept


def test_where_all_validation_images_equal_a_test_image_this_is_said(photos: Path) -> None:
    duplicated(photos)
    shutil.copytree(photos / "test", photos / "val")
    config = own(photos)
    assert "15 validation images equal, pixel by pixel, an image of the test split: left out" in texts(config)
    with pytest.raises(DataError, match=r"data\.duplicates: keep"):
        load_splits(config.data, 0)


def texts(config: Config) -> list[str]:
    told: list[Note] = []
    load_data(config.data, told.append)
    return [note.text for note in told if not isinstance(note, Prepared)]


def test_training_images_that_equal_one_of_the_source_s_own_validation_split_are_told(photos: Path) -> None:
    duplicated(photos)
    (photos / "test").rename(photos / "val")
    config = own(photos, "data.test=0.2")
    assert config.data.images is not None
    assert config.data.images[1] == 15
    equal = [text for text in texts(config) if "pixel by pixel" in text]
    assert len(equal) == 1
    assert re.match(r"[1-9]\d* training images? equals?, pixel by pixel", equal[0])


def test_what_is_odd_in_a_folder_is_told_once_before_training(photos: Path) -> None:
    (photos / "red" / "clip.mp4").write_bytes(b"0")
    (photos / "red" / "photo.HEIC").write_bytes(b"0")
    picture((1, 2, 3), 0).save(photos / "loose.png")
    (photos / "nothing").mkdir()
    told = "\n".join(texts(own(photos)))
    for words in (
        "Passed over: files of other kinds: 2 (red/clip.mp4, red/photo.HEIC).",
        "1 image in",
        "1 folder without an image: nothing.",
        "`cnnkit data",
    ):
        assert told.count(words) == 1
    assert "`cnnkit data" not in "\n".join(texts(own(photos)))


def test_equal_images_of_two_classes_are_told_with_their_names(photos: Path) -> None:
    assert not any("another class" in text for text in texts(own(photos)))
    shutil.copy(photos / "red" / "03.png", photos / "blue" / "a.png")
    shutil.copy(photos / "red" / "03.png", photos / "red" / "again.png")
    (told,) = (text for text in texts(own(photos)) if "another class" in text)
    assert told.startswith("3 images equal, pixel by pixel, an image of another class")
    assert "blue/a.png and red/" in told


def test_of_folds_no_split_of_the_source_is_told(photos: Path) -> None:
    duplicated(photos)
    folds = ("data.folds=3", "data.validation=5")
    told = "\n".join(texts(own(photos, *folds)))
    assert "validation or test split" not in told
    assert "3 images equal another one" in told
    with pytest.raises(DataError, match="a seed may part them"):
        texts(own(photos, *folds, "data.duplicates=refuse"))
    (photos / "train" / "red" / "torn.png").write_bytes(b"torn")
    with pytest.raises(DataError, match=r"skip does not go with data\.folds"):
        texts(own(photos, *folds, "data.damaged=skip"))


def test_of_too_few_images_to_hold_out_one_of_each_class_one_message_says_what_works(tmp_path: Path) -> None:
    for label in range(12):
        (tmp_path / "few" / f"k{label}").mkdir(parents=True)
        for number in range(3):
            picture((label, label, 9), number).save(tmp_path / "few" / f"k{label}" / f"{number}.png")
    shares = ("data.test=0.4", "data.validation=6")
    with pytest.raises(ConfigError) as refused:
        own(tmp_path / "few", *shares)
    assert str(refused.value).count("data.validation:") == 1
    assert "set data.validation=0" in str(refused.value)
    assert "hold out at" not in str(refused.value)
    assert own(tmp_path / "few", shares[0], "data.validation=0").data.train_images == 22


def test_a_relative_root_counts_from_the_folder_one_works_in(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "configs").mkdir()
    config = tmp_path / "configs" / "own.yaml"
    config.write_text("data: {dataset: folder, root: photos, size: 12}", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert load_config(config).data.root == str(photos)
    monkeypatch.chdir(tmp_path / "configs")
    words = f"(photos counts from the folder you work in, {tmp_path / 'configs'})"
    with pytest.raises(ConfigError) as refused:
        load_config(config)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("value", "example"),
    [("data.size=[32]", "of 2 values, such as [32, 32]"), ("data.images=[1]", "such as [400, 50, 100]")],
)
def test_a_list_of_another_length_is_told_with_a_right_one(photos: Path, value: str, example: str) -> None:
    with pytest.raises(ConfigError) as refused:
        own(photos, value)
    assert example in str(refused.value)


# The cache


def test_images_are_decoded_once_and_as_many_as_are_missing(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 0

    def counting(*arguments: Any) -> Any:
        nonlocal count
        count += 1
        if count == stop_at:
            raise KeyboardInterrupt
        return decoded(*arguments)

    monkeypatch.setattr(decoding, "decoded", counting)
    monkeypatch.setattr(prepared, "CHUNK", 10)
    stop_at = 25
    with pytest.raises(KeyboardInterrupt):
        load_data(own(photos).data)
    stop_at, told = 0, list[Note]()
    whole = load_data(own(photos).data, told.append)
    assert count == 25 + 36  # 24 were whole
    begun, *_, ended = [note for note in told if isinstance(note, Prepared)]
    assert (begun.done, ended.done, ended.images) == (24, 60, 60)
    assert [note.done for note in told if note.text == "prepared 60 images"] == [60]  # told when it is true
    again = load_data(own(photos).data)
    assert count == 61
    assert torch.equal(whole.train.images, again.train.images)


def test_bytes_of_the_cache_that_have_changed_are_found_and_mended(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    before = load_data(own(photos).data).train.images.clone()
    (path,) = (tmp_path / "cache/cnnkit/prepared").glob("*.pixels")
    raw = bytearray(path.read_bytes())
    raw[1000] ^= 1
    path.write_bytes(raw)
    assert torch.equal(load_data(own(photos).data).train.images, before)
    path.unlink()
    assert torch.equal(load_data(own(photos).data).train.images, before)


def test_a_changed_folder_leaves_no_old_files_in_the_cache(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    load_data(own(photos).data)
    load_data(own(photos, "data.channels=1").data)
    picture((9, 9, 9), 0).save(photos / "red" / "new.png")
    load_data(own(photos).data)
    found = sorted(
        path.suffix for path in (tmp_path / "cache/cnnkit/prepared").iterdir() if path.suffix != ".lock"
    )
    assert found == sorted([".hashes", ".json", ".keys", ".pixels", ".shapes"] * 2)


@pytest.mark.parametrize("stopped", [False, True])
def test_where_some_files_have_changed_only_these_are_decoded(
    photos: Path, tmp_path: Path, stopped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    decoded_now: list[str] = []

    def counting(raw: Any, name: str, *rest: Any) -> Any:
        decoded_now.append(name)
        if stopped and len(decoded_now) == 50:
            raise KeyboardInterrupt
        return decoded(raw, name, *rest)

    monkeypatch.setattr(decoding, "decoded", counting)
    with pytest.raises(KeyboardInterrupt) if stopped else contextlib.nullcontext():
        load_data(own(photos).data)
    left = 60 - len(decoded_now[: 49 if stopped else 60])
    stopped = False
    decoded_now.clear()
    picture((9, 9, 9), 0).save(photos / "red" / "00.png")
    picture((9, 9, 9), 1).save(photos / "blue" / "new.png")
    (photos / "green" / "00.png").unlink()
    told: list[Note] = []
    found = load_data(own(photos).data, told.append)
    assert {"red/00.png", "blue/new.png"} <= set(decoded_now)
    assert len(decoded_now) <= 2 + left
    assert left or "58 of 60 images have not changed: their pixels are kept" in [note.text for note in told]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
    for mine, anew in zip(found, load_data(own(photos).data), strict=True):
        assert torch.equal(mine.images, anew.images)


def test_of_a_changed_archive_every_image_is_decoded(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "photos"), "zip", photos))
    load_data(own(archive).data)
    count: list[str] = []
    monkeypatch.setattr(
        decoding, "decoded", lambda raw, name, *rest: count.append(name) or decoded(raw, name, *rest)
    )
    os.utime(archive, ns=(1, 1))
    load_data(own(archive).data)
    assert len(count) == 60


def test_other_splits_of_the_same_files_are_not_decoded_again(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count: list[str] = []
    monkeypatch.setattr(
        decoding, "decoded", lambda raw, name, *rest: count.append(name) or decoded(raw, name, *rest)
    )
    first = own(photos)
    cnnkit.train(first, tmp_path / "run", progress=False).evaluate(data=photos)
    for overrides in (["data.test=0.3"], ["data.test_seed=1"], ["data.folds=5"]):
        config = own(photos, *overrides)
        for part in load_data(config.data):
            for path, pixels, label in zip(
                paths_of(config.data, part), part.images, part.labels, strict=True
            ):
                assert np.array_equal(pixels, channels_first(Image.open(photos / path)))
                assert path.split("/")[0] == part.info.class_names[label]
    assert len(count) == 60
    load_data(first.data)
    assert len(count) == 60  # what the others used is what the first one left


def test_a_training_sees_the_images_in_the_order_of_split_class_and_path(photos: Path) -> None:
    config = own(photos)
    published = load_data(config.data)
    for part in published:
        paths = paths_of(config.data, part)
        assert list(paths) == sorted(paths)
    stored = published.train.stored
    everything = sorted(paths_of(config.data, published.all))
    for path, pixels in zip(everything, stored, strict=True):
        assert np.array_equal(pixels, channels_first(Image.open(photos / path)))


def test_what_another_process_prepares_is_left_to_it(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    load_data(own(photos).data)
    before = sorted((tmp_path / "cache/cnnkit/prepared").iterdir())
    with FileLock(next(path for path in before if path.suffix == ".pixels").with_suffix(".lock")):
        picture((9, 9, 9), 0).save(photos / "red" / "new.png")
        load_data(own(photos).data)
        assert all(path.exists() for path in before if path.suffix != ".lock")
    picture((9, 9, 9), 1).save(photos / "red" / "newer.png")
    load_data(own(photos).data)
    assert not any(path.exists() for path in before if path.suffix != ".lock")


def _prepare_slowly(root: str, stop_after: int) -> None:
    """Decodes in this process, and dies as if it were killed; a target of `start`."""
    count = 0

    def dying(*arguments: Any) -> Any:
        nonlocal count
        count += 1
        if count == stop_after:
            os.kill(os.getpid(), SIGKILL)
        return decoded(*arguments)

    decoding.decoded = dying  # type: ignore[assignment]
    load_data(own(Path(root)).data)


@posix_signals
def test_a_killed_process_loses_no_image(photos: Path) -> None:
    assert exit_code(start(_prepare_slowly, str(photos), 41)) == -signal.SIGKILL
    told: list[Note] = []
    published = load_data(own(photos).data, told.append)
    assert next(note.done for note in told if isinstance(note, Prepared)) == 40
    reference = {picture(colour, n).tobytes() for colour in COLOURS.values() for n in range(20)}
    shown = [
        image.permute(1, 2, 0).contiguous().numpy().tobytes() for part in published for image in part.images
    ]
    assert set(shown) == reference


def test_several_processes_decode_the_same_as_one(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = load_data(own(photos).data)
    monkeypatch.setattr(prepared, "FEW", 0)
    monkeypatch.setattr(prepared, "CHUNK", 16)
    monkeypatch.setattr(prepared, "VERSION", 999)  # another file
    together = load_data(own(photos).data)
    for one, other in zip(alone, together, strict=True):
        assert torch.equal(one.images, other.images)


def test_no_process_is_started_where_the_images_are_prepared(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepared, "FEW", 0)
    started: list[object] = []
    pool = prepared.ProcessPoolExecutor
    monkeypatch.setattr(prepared, "ProcessPoolExecutor", lambda *a: started.append(a) or pool(*a))
    load_data(own(photos).data)
    assert len(started) == 1  # before the listing, and not again for the decoding
    load_data(own(photos).data)
    assert len(started) == 1


def test_images_are_mapped_and_not_held(photos: Path) -> None:
    splits = load_splits(own(photos).data, seed=0)
    parts = (splits.train, splits.validation, splits.test)
    assert len({part.stored.data_ptr() for part in parts}) == 1
    assert all(part.rows is not None for part in parts)


# Comparisons


def test_pooling_strategies_are_compared_on_own_images_and_verified(
    photos: Path, tmp_path: Path, trials_here: None, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(config_text(own(photos)))
    out = tmp_path / "study"
    compared = call(
        capsys,
        *("compare-pooling", "--config", file, "--strategies", "max,avg", "--seeds", 2),
        *("--workers", 1, "--out", out),
    )
    assert compared.code == 0, compared.err
    verified = call(capsys, "compare", "--verify", out)
    assert verified.code == 0, verified.err
    moved = photos.rename(tmp_path / "moved")
    deep = ("compare", "--verify", out, "--deep")
    lost = call(capsys, *deep)
    assert (lost.code, "add --root PATH" in lost.err) == (1, True)
    found = call(capsys, *deep, "--root", moved)
    assert (found.code, "give every prediction" in found.out) == (0, True), found.err
    assert cnnkit.open_study(out).verify(deep=True, root=moved).trials
    (moved / "blue" / "00.png").write_bytes((moved / "blue" / "01.png").read_bytes())
    assert call(capsys, *deep, "--root", moved).code == 1
    assert call(capsys, *deep[:-1], "--root", moved).code == 2  # nothing looks at images


@pytest.mark.parametrize("choice", ["data.folds=3", "data.resample_test=true"])
def test_seeds_that_choose_their_test_images_part_no_group(choice: str, photos: Path, tmp_path: Path) -> None:
    in_groups(photos)
    config = own(photos, "data.validation=0.2", "training.epochs=1", choice)
    groups = groups_of(load_splits(config.data, 0))
    assert all(groups)
    assert sum(map(len, groups)) == len(set.union(*groups)) == 15
    study = plan_study(config, "model.dropout", [0, 0.5], 2)
    run_study(study, tmp_path / "study", Here(tmp_path / "study" / TRIALS))
    told: list[str] = []
    verify(tmp_path / "study", deep=True, told=told.append)
    assert any("the groups in groups.bin" in sentence for sentence in told)
    assert "could not be drawn" not in write_report(tmp_path / "study").read_text("utf-8")
    kept = bytearray((tmp_path / "study" / GROUPS).read_bytes())
    assert len({*np.frombuffer(bytes(kept), "<u4")}) == 15
    kept[0] ^= 1
    (tmp_path / "study" / GROUPS).write_bytes(kept)
    with pytest.raises(RunError, match=r"groups\.bin is damaged or was changed"):
        verify(tmp_path / "study")


def test_groups_that_are_too_large_for_folds_are_told_before_anything_trains(
    photos: Path, tmp_path: Path
) -> None:
    in_groups(photos)
    table = photos / "all.csv"
    table.write_text(re.sub(r"red\d+$", "red", table.read_text(), flags=re.MULTILINE))
    study, folder = plan_study(own(photos, "data.folds=3"), "model.dropout", [0, 0.5], 3), tmp_path / "study"
    with pytest.raises(DataError, match="nothing of red is left to learn from"):
        run_study(study, folder, Here(folder / TRIALS))
    assert not folder.exists()


def test_images_that_belong_together_are_in_one_split(photos: Path) -> None:
    in_groups(photos)
    config = own(photos, "data.validation=0.25")
    notes: list[Note] = []
    splits = load_splits(config.data, 0, notes.append)
    assert "60 images in 15 groups" in notes[0].text
    assert re.search(r"about \d+ to validate on \(held out in whole groups, by the seed\)", notes[0].text)
    assert "to test on (held out in whole groups, the same for each seed)" in notes[0].text
    groups = groups_of(splits)
    assert all(groups)
    assert sum(map(len, groups)) == len(set.union(*groups)) == 15
